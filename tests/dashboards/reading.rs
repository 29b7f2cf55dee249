//! `promql` reads a query as Prometheus does: which labels its answer carries.

use promql_parser::parser::Expr;

use crate::promql::{Labels, Sent, is_guarded, number, parse, selectors};

/// A query, the labels each series of its answer must carry, and those that it may
/// where each selected series has `a`, `b` and `le`.
#[track_caller]
fn check(expr: &str, must: &[&str], may: &[&str]) {
    let query = parse(expr).expect(expr);
    let labels = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect::<Labels>();
    assert_eq!(query.grouping(), labels(must), "must: {expr}");
    let selected = |_: &str| labels(&["a", "b", "le"]);
    assert_eq!(query.labels(&selected), labels(may), "may: {expr}");
}

#[test]
fn labels_of_an_answer() {
    check("x", &[], &["a", "b", "le"]);
    check("sum(x)", &[], &[]);
    check("sum by (a) (rate(x[5m]))", &["a"], &["a"]);
    check("max without (a) (x)", &[], &["b", "le"]);
    check("round(sum by (a, c) (x)) > 0", &["a", "c"], &["a", "c"]);
    check("time() - max by (a) (x)", &["a"], &["a"]);
    check(
        "histogram_quantile(0.9, sum by (le, a) (rate(x[5m]))) >= 0",
        &["a"],
        &["a"],
    );
    check("sum by (a) (x) / (sum by (a) (y) > 0)", &["a"], &["a"]);
    check("sum by (a, b) (x) * on (a) sum by (a) (y)", &["a"], &["a"]);
    check(
        "sum by (a, b) (x) * on (a) group_left (c) max by (a, c) (y)",
        &["a", "b", "c"],
        &["a", "b", "c"],
    );
    check(
        "sum by (a, b) (x) and on (a) sum by (a) (y)",
        &["a", "b"],
        &["a", "b"],
    );
    check(
        "sum by (a, b) (x) unless on (a) y",
        &["a", "b"],
        &["a", "b"],
    );
    check("count(sum by (a) (x)) or 0 * count(y)", &[], &[]);
    check("sum by (a, b) (x) or sum by (a) (y)", &["a"], &["a"]);
}

#[test]
fn what_cannot_be_read() {
    for expr in ["sum by (a) x{", "x[5m", "rate(x)", "floor(time())"] {
        assert!(parse(expr).is_err(), "{expr}");
    }
}

#[test]
fn what_is_selected_and_in_what() {
    let query = parse(r#"sum by (a) (rate(x{b="1"}[5m])) / (y > 0)"#).unwrap();
    let found = selectors(query.expr());
    let names: Vec<_> = found.iter().map(|it| it.name).collect();
    assert_eq!(names, ["x", "y"]);
    assert_eq!(found[0].matchers[0].value, "1");
    let Expr::Call(call) = found[0].within[0] else {
        panic!("{:?}", found[0].within);
    };
    assert_eq!(call.func.name, "rate");
}

#[test]
fn numbers_and_guards() {
    for (expr, value) in [
        ("900", 900.0),
        ("0.9 * 28800", 25_920.0),
        ("-(1 + 1)", -2.0),
    ] {
        assert_eq!(number(parse(expr).unwrap().expr()), Some(value), "{expr}");
    }
    assert_eq!(number(parse("x * 2").unwrap().expr()), None);
    for (expr, is_so) in [
        ("(x > 0)", true),
        ("x >= 0", true),
        ("28800", true),
        ("0", false),
        ("x", false),
        ("x > bool 0", false),
        ("x < 0", false),
        ("x > 1", false),
    ] {
        assert_eq!(is_guarded(parse(expr).unwrap().expr()), is_so, "{expr}");
    }
}

#[test]
fn a_query_is_sent_without_a_variable() {
    let sent = Sent {
        instance: "demo".to_owned(),
        ..Sent::default()
    };
    for (expr, written) in [
        (
            r#"x{job="$job",instance=~"$instance",task_name=~"$task_name"}"#,
            r#"x{job="taskpulse",instance=~"demo",task_name=~".*"}"#,
        ),
        (r#"y{job="$collector_job"}"#, r#"y{job="otel-collector"}"#),
        ("rate(x[$__rate_interval])", "rate(x[20s])"),
        ("x[$__range] - $__range_s", "x[900s] - 900"),
        ("x < $__interval_ms / 1000", "x < 5000 / 1000"),
    ] {
        assert_eq!(sent.query(expr), written);
    }
}
