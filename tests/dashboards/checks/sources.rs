//! That every data source named is one that Grafana is provisioned with.

use serde_json::Value;

use super::{Known, list, text};

/// Grafana's own, which holds what people annotate.
const BUILT_IN: &str = "-- Grafana --";

pub(super) fn findings(board: &Value, known: &Known) -> Vec<String> {
    let mut uids = Vec::new();
    named(board, &mut uids);
    let variables = list(board, "/templating/list").iter();
    for variable in variables.filter(|it| it["type"] == "datasource") {
        uids.push(text(variable, "/current/value"));
    }
    let is_known = |uid: &&str| *uid == BUILT_IN || known.datasources.iter().any(|it| it == uid);
    let strange = uids.into_iter().filter(|uid| !is_known(uid));
    strange
        .map(|uid| format!("no data source has the uid {uid:?}"))
        .collect()
}

/// The uids at every key `datasource`, but for the variable, whose value is looked at.
fn named<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                match key.as_str() {
                    "datasource" if field["uid"] == "${datasource}" => {}
                    "datasource" => found.push(text(field, "/uid")),
                    _ => named(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| named(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
