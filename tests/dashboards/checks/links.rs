//! That links lead somewhere, and carry what was chosen.

use serde_json::Value;

use super::{Known, list, panels, queries, text, texts};
use crate::promql::Labels;

/// What Grafana itself puts into a link.
const BUILT_IN: [&str; 4] = ["__url_time_range", "__all_variables", "__from", "__to"];

pub(super) fn findings(board: &Value, boards: &[Value], known: &Known) -> Vec<String> {
    let mut found = variables(board, boards);
    for link in list(board, "/links") {
        let url = text(link, "/url");
        let carries = link["includeVars"] == true && link["keepTime"] == true;
        if to_dashboard(url).is_some() && !carries {
            found.push(format!("the link {url} does not carry time and variables"));
        }
        found.extend(target(url, boards));
        found.extend(macros(url, board, &Labels::new(), &Labels::new()));
    }
    for panel in panels(board) {
        let title = text(panel, "/title");
        let (fields, labels) = (fields(panel, known), queries::labels(panel, known));
        let mut of_panel = columns(panel, &fields);
        for link in data_links(panel) {
            let url = text(link, "/url");
            of_panel.extend(target(url, boards));
            of_panel.extend(carried(url, board));
            of_panel.extend(macros(url, board, &fields, &labels));
        }
        let of_panel = of_panel.into_iter();
        found.extend(of_panel.map(|finding| format!("{title:?}: {finding}")));
    }
    found
}

/// All dashboards have the same variables, and show no one that they do not use.
fn variables(board: &Value, boards: &[Value]) -> Vec<String> {
    let ours = names(board);
    let same = boards.iter().all(|other| names(other) == ours);
    let mut found = Vec::new();
    if !same {
        found.push("another dashboard has other variables, so links lose some".to_owned());
    }
    let mut used = Vec::new();
    texts(board, &mut used);
    for variable in list(board, "/templating/list") {
        let name = text(variable, "/name");
        let forms = [format!("${name}"), format!("${{{name}")];
        let is_used = used
            .iter()
            .any(|it| forms.iter().any(|form| it.contains(form)));
        if variable["hide"] != 2 && !is_used {
            found.push(format!("{name} is shown, and nothing uses it"));
        }
    }
    found
}

fn names(board: &Value) -> Vec<&str> {
    let variables = list(board, "/templating/list").iter();
    variables.map(|variable| text(variable, "/name")).collect()
}

fn data_links(panel: &Value) -> Vec<&Value> {
    let config = &panel["fieldConfig"];
    let properties = list(config, "/overrides")
        .iter()
        .flat_map(|it| list(it, "/properties"));
    let of_columns = properties
        .filter(|property| property["id"] == "links")
        .flat_map(|property| list(property, "/value"));
    list(config, "/defaults/links")
        .iter()
        .chain(of_columns)
        .collect()
}

/// The uid of the dashboard that it leads to.
fn to_dashboard(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("/d/")?;
    Some(rest.split(['?', '/']).next().unwrap_or(rest))
}

fn target(url: &str, boards: &[Value]) -> Option<String> {
    match to_dashboard(url) {
        Some(uid) => {
            let there = boards.iter().any(|board| text(board, "/uid") == uid);
            (!there).then(|| format!("{url} leads to no dashboard"))
        }
        None if url.starts_with("${jaeger_url}/search") => None,
        None => Some(format!("{url} leads neither to a dashboard nor to Jaeger")),
    }
}

/// What a link from data does not take along.
fn carried(url: &str, board: &Value) -> Vec<String> {
    let mut wanted: Vec<String> = Vec::new();
    if to_dashboard(url).is_none() {
        let parts = ["service=${", "start=${", "}000&end=${", "}000&"];
        wanted.extend(parts.map(str::to_owned));
    } else {
        wanted.push("${__url_time_range}".to_owned());
        if !url.contains("${__all_variables}") {
            // One that is set anew need not be carried.
            let others = names(board).into_iter();
            let others = others.filter(|name| !url.contains(&format!("var-{name}=")));
            wanted.extend(others.map(|name| format!("${{{name}:queryparam}}")));
        }
    }
    let lost = wanted.into_iter().filter(|part| !url.contains(part));
    lost.map(|part| format!("{url} does not carry {part}"))
        .collect()
}

/// Macros that stand for nothing. `fields` are those of a row, `labels` of a series.
fn macros(url: &str, board: &Value, fields: &Labels, labels: &Labels) -> Vec<String> {
    let parts = url.split("${").skip(1);
    let names = parts.map(|part| part.split('}').next().unwrap_or(part));
    let stands = |name: &str| {
        let name = name.split(':').next().unwrap_or(name);
        if let Some(field) = name.strip_prefix("__data.fields.") {
            return fields.contains(field.trim_end_matches(".numeric"));
        }
        if let Some(label) = name.strip_prefix("__field.labels.") {
            return labels.contains(label);
        }
        BUILT_IN.contains(&name) || self::names(board).contains(&name)
    };
    names
        .filter(|name| !stands(name))
        .map(|name| format!("{url}: ${{{name}}} stands for nothing"))
        .collect()
}

/// What a row of a table has: the labels, and the values under their new names.
fn fields(panel: &Value, known: &Known) -> Labels {
    let mut fields = queries::labels(panel, known);
    for step in list(panel, "/transformations") {
        let renamed = step.pointer("/options/renameByName");
        let renamed = renamed.and_then(Value::as_object).into_iter().flatten();
        fields.extend(renamed.filter_map(|(_, name)| name.as_str().map(str::to_owned)));
    }
    fields
}

/// Columns of a table that are not in its data.
fn columns(panel: &Value, fields: &Labels) -> Vec<String> {
    if panel["type"] != "table" {
        return Vec::new();
    }
    let overrides = list(panel, "/fieldConfig/overrides").iter();
    let columns = overrides.map(|it| text(it, "/matcher/options"));
    let sorted = list(panel, "/options/sortBy").iter();
    let columns = columns.chain(sorted.map(|it| text(it, "/displayName")));
    columns
        .filter(|column| !fields.contains(*column))
        .map(|column| format!("there is no column {column}"))
        .collect()
}
