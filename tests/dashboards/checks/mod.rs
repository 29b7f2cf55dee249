//! What must hold of the dashboards as they are committed. Each check returns what it
//! finds, a sentence each, so that a test can also see that it finds something.

mod layout;
mod links;
mod queries;
mod sources;

use serde_json::Value;

use crate::names::Names;

/// What the dashboards are held to.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) names: Names,
    /// Uids of the data sources that Grafana is provisioned with.
    pub(crate) datasources: Vec<String>,
}

/// Everything that is wrong with these dashboards.
pub(crate) fn findings(boards: &[Value], known: &Known) -> Vec<String> {
    let mut found = layout::uids(boards);
    for board in boards {
        let uid = text(board, "/uid");
        let of_board = [
            layout::findings(board),
            sources::findings(board, known),
            links::findings(board, boards, known),
            queries::findings(board, known),
        ];
        let of_board = of_board.into_iter().flatten();
        found.extend(of_board.map(|finding| format!("{uid}: {finding}")));
    }
    found
}

/// A text in a document; empty where there is none.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

/// The elements of a list in a document; none where there is no list.
fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.map(Vec::as_slice).unwrap_or_default()
}

fn panels(board: &Value) -> &[Value] {
    list(board, "/panels")
}

/// Every text in the document, at any depth.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
