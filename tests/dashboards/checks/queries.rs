//! That queries ask for what there is, and answer with a number where there is one.

use promql_parser::{
    label::Matcher,
    parser::{BinaryExpr, Expr, VectorMatchCardinality},
};
use serde_json::Value;

use super::{Known, list, panels, text};
use crate::{
    names::Metric,
    promql::{
        self, Labels, Query, Selector, Sent, bare, carried, children, is_guarded, listed, selectors,
    },
};

/// Functions that want a counter.
const RATES: [&str; 3] = ["rate", "irate", "increase"];
/// Functions that look at how a value changes, whatever it is.
const CHANGES: [&str; 3] = ["changes", "resets", "last_over_time"];
/// Functions that read a gauge's slope: none of ours has one worth reading.
const SLOPES: [&str; 4] = ["delta", "idelta", "deriv", "predict_linear"];

pub(super) fn findings(board: &Value, known: &Known) -> Vec<String> {
    let mut found = variables(board, known);
    for annotation in list(board, "/annotations/list") {
        if annotation["builtIn"] != 1 {
            let title = text(annotation, "/titleFormat");
            found.extend(of_query(text(annotation, "/target/expr"), title, known));
        }
    }
    for panel in panels(board) {
        for target in list(panel, "/targets") {
            let (expr, legend) = (text(target, "/expr"), text(target, "/legendFormat"));
            let of_query = of_query(expr, legend, known).into_iter();
            let at = format!("{:?} {}", text(panel, "/title"), text(target, "/refId"));
            found.extend(of_query.map(|finding| format!("{at}: {finding}")));
        }
    }
    found
}

/// The labels that the series of all its queries have. A number that is drawn as a
/// line has none, and no link.
pub(super) fn labels(panel: &Value, known: &Known) -> Labels {
    let exprs = list(panel, "/targets").iter().map(|it| text(it, "/expr"));
    let parsed = exprs.filter_map(|expr| promql::parse(&Sent::default().query(expr)).ok());
    let parsed = parsed.filter(|query| !query.selectors().is_empty());
    let labels = parsed.map(|query| query.labels(&|name| known.names.labels(name)));
    labels.reduce(|all, more| &all & &more).unwrap_or_default()
}

fn of_query(expr: &str, legend: &str, known: &Known) -> Vec<String> {
    let sent = Sent::default().query(expr);
    let query = match promql::parse(&sent) {
        Ok(query) if !sent.contains('$') => query,
        Ok(_) => return vec![format!("Grafana leaves a variable in {sent}")],
        Err(error) => return vec![format!("{error} in {sent}")],
    };
    let mut found = Vec::new();
    for selector in query.selectors() {
        found.extend(of_selector(&selector, known));
    }
    nodes(query.expr(), false, known, &mut found);
    found.extend(of_legend(legend, &query, known));
    found
}

// === Selectors ===

fn of_selector(selector: &Selector<'_>, known: &Known) -> Vec<String> {
    let name = selector.name;
    let Some(metric) = known.names.get(name) else {
        return vec![format!("there is no metric {name:?}")];
    };
    let mut found = Vec::new();
    for matcher in selector.matchers {
        if !metric.labels.contains(&matcher.name) {
            found.push(format!("{name} has no label {}", matcher.name));
        }
        if matcher.name == "le" && !is_edge(metric, matcher) {
            found.push(format!(
                "le{}{} is no edge of {name}",
                matcher.op, matcher.value
            ));
        }
    }
    if !is_of_one_job(metric, selector) {
        found.push(format!("{name} is not of the one job that was chosen"));
    }
    found.extend(use_of(metric, selector));
    found
}

/// Prometheus 2 stores whole edges as `/metrics` spells them, 3 as `900.0`. A matcher
/// must take the same one edge of both.
fn is_edge(metric: &Metric, matcher: &Matcher) -> bool {
    let newer = |edge: &str| match edge.contains(['.', 'I']) {
        true => edge.to_owned(),
        false => format!("{edge}.0"),
    };
    let mut edges = metric.edges.iter();
    let one = edges.clone().filter(|edge| matcher.is_match(edge)).count() == 1;
    one && edges.all(|edge| matcher.is_match(edge) == matcher.is_match(&newer(edge)))
}

/// Both copies of a series in one sum would count twice. Alerts are not copied.
fn is_of_one_job(metric: &Metric, selector: &Selector<'_>) -> bool {
    let sent = Sent::default();
    let (label, value) = match (metric.of_alerts, metric.of_collector) {
        (true, _) => ("alertname", "Taskpulse.*".to_owned()),
        (false, true) => ("job", sent.collector_job),
        (false, false) => ("job", sent.job),
    };
    let operator = if metric.of_alerts { "=~" } else { "=" };
    let mut matchers = selector.matchers.iter();
    matchers.any(|it| it.name == label && it.value == value && it.op.to_string() == operator)
}

/// Whether it is asked for in the way that its kind allows.
fn use_of(metric: &Metric, selector: &Selector<'_>) -> Option<String> {
    let name = selector.name;
    let functions = selector.within.iter().filter_map(|expr| match expr {
        Expr::Call(call) => Some(call.func.name),
        _ => None,
    });
    let function = functions.clone().next().unwrap_or_default();
    if SLOPES.contains(&function) {
        return Some(format!("{function} of {name}"));
    }
    let is_rate = RATES.contains(&function);
    if is_rate && !metric.is_counter {
        return Some(format!("{function} of {name}, which is no counter"));
    }
    let has_no_rate = metric.is_born_late || is_of_lost_tasks(selector);
    if metric.is_counter && !has_no_rate && !is_rate && !CHANGES.contains(&function) {
        return Some(format!("the counter {name} as it is, without a rate"));
    }
    let by_edge = selector.matchers.iter().any(|it| it.name == "le");
    let kept = selector.within.iter().any(|expr| match expr {
        Expr::Aggregate(it) => listed(it.modifier.as_ref()).contains("le"),
        _ => false,
    });
    (metric.is_bucket && !by_edge && !kept)
        .then(|| format!("{name} without le: it counts each observation many times"))
}

/// A start counts the tasks that it finds lost: their series are born with a value,
/// which no rate can see.
fn is_of_lost_tasks(selector: &Selector<'_>) -> bool {
    let mut matchers = selector.matchers.iter();
    matchers.any(|it| it.name == "task_state" && it.value == "lost")
}

// === What is made of them ===

/// Looks at each operator and aggregation. `guarded` says that the result is compared,
/// so that what is no number is left out.
fn nodes(expr: &Expr, guarded: bool, known: &Known, found: &mut Vec<String>) {
    let labels = |expr: &Expr| carried(expr, &|name| known.names.labels(name));
    match expr {
        Expr::Aggregate(it) => {
            let missing = &listed(it.modifier.as_ref()) - &labels(&it.expr);
            found.extend(
                missing
                    .iter()
                    .map(|label| format!("by ({label}): nothing has it")),
            );
        }
        Expr::Call(it) if it.func.name == "histogram_quantile" => {
            let of = it.args.args.last().map(|it| bare(it));
            let by_edge = of.is_some_and(|it| is_by_edge(it, known));
            if !by_edge {
                found.push("histogram_quantile of what has no le".to_owned());
            }
            if !guarded {
                found.push("histogram_quantile is NaN when nothing happens".to_owned());
            }
        }
        Expr::Binary(it) => binary(it, &labels, found),
        _ => {}
    }
    let compared = is_guarded(expr) && matches!(bare(expr), Expr::Binary(_));
    let passes_on = matches!(expr, Expr::Paren(_)) && guarded;
    for child in children(expr) {
        nodes(child, compared || passes_on, known, found);
    }
}

/// Whether it is a sum over buckets that keeps their edges.
fn is_by_edge(expr: &Expr, known: &Known) -> bool {
    let Expr::Aggregate(it) = expr else {
        return false;
    };
    let metrics = selectors(&it.expr).into_iter();
    let mut metrics = metrics.map(|selector| known.names.get(selector.name));
    let buckets = metrics.all(|it| it.is_some_and(|it| it.is_bucket));
    listed(it.modifier.as_ref()).contains("le") && buckets
}

fn binary(it: &BinaryExpr, labels: &dyn Fn(&Expr) -> Labels, found: &mut Vec<String>) {
    if it.op.to_string() == "/" && !is_guarded(&it.rhs) {
        found.push(format!("a division by {}, which may be 0", it.rhs));
    }
    let Some(modifier) = &it.modifier else {
        return;
    };
    let (left, right) = (labels(&it.lhs), labels(&it.rhs));
    let on = listed(modifier.matching.as_ref());
    let missing = &on - &(&left & &right);
    found.extend(
        missing
            .iter()
            .map(|label| format!("on ({label}): one side has none")),
    );
    if let VectorMatchCardinality::ManyToOne(more) = &modifier.card {
        let more: Labels = more.labels.iter().cloned().collect();
        let missing = &more - &right;
        found.extend(
            missing
                .iter()
                .map(|label| format!("group_left ({label}): no such")),
        );
    }
}

fn of_legend(legend: &str, query: &Query, known: &Known) -> Vec<String> {
    let labels = query.labels(&|name| known.names.labels(name));
    let names = legend.split("{{").skip(1);
    let names = names.map(|it| it.split("}}").next().unwrap_or(it));
    names
        .filter(|name| !labels.contains(*name))
        .map(|name| format!("the legend has {{{{{name}}}}}, the answer has not"))
        .collect()
}

// === Variables ===

/// `label_values(selector, label)`, which names the values to choose from.
fn variables(board: &Value, known: &Known) -> Vec<String> {
    let mut found = Vec::new();
    let variables = list(board, "/templating/list").iter();
    for variable in variables.filter(|it| it["type"] == "query") {
        let asked = text(variable, "/query/query");
        let inner = asked.strip_prefix("label_values(");
        let inner = inner.and_then(|it| it.strip_suffix(')'));
        let Some((selector, label)) = inner.and_then(|it| it.rsplit_once(", ")) else {
            found.push(format!("{asked} is no label_values"));
            continue;
        };
        let sent = Sent::default().query(selector);
        let Ok(query) = promql::parse(&sent) else {
            found.push(format!("{sent} is no query"));
            continue;
        };
        for selector in query.selectors() {
            let of_selector = of_selector(&selector, known).into_iter();
            // Which job is what the first of them asks.
            found.extend(of_selector.filter(|it| label != "job" || !it.contains("one job")));
            if !known.names.labels(selector.name).contains(label) {
                found.push(format!("{} has no label {label}", selector.name));
            }
        }
    }
    found
}
