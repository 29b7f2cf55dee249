//! What a query promises of its answer's labels.

use std::collections::BTreeSet;

use promql_parser::{
    label::{Labels, MatchOp},
    parser::{
        AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality,
        VectorSelector, parse, token,
    },
};

/// The labels that a series has, if the query decides.
pub(crate) type Promise = Option<BTreeSet<String>>;

/// What the answer's series have; one for each side of an `or`, the first
/// being what the query is about.
pub(crate) fn promises(query: &str) -> Result<Vec<Promise>, String> {
    parse(query).map(|expression| of(&expression))
}

fn of(expression: &Expr) -> Vec<Promise> {
    match expression {
        Expr::Aggregate(aggregate) => of_aggregate(aggregate),
        Expr::Binary(binary) => of_binary(binary),
        Expr::Call(call) => of_call(call),
        Expr::Paren(inner) => of(&inner.expr),
        Expr::Unary(inner) => of(&inner.expr),
        Expr::Subquery(inner) => of(&inner.expr),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => vec![Some(BTreeSet::new())],
        Expr::VectorSelector(_) | Expr::MatrixSelector(_) | Expr::Extension(_) => vec![None],
    }
}

fn set(labels: &Labels) -> BTreeSet<String> {
    labels.labels.iter().cloned().collect()
}

fn of_aggregate(aggregate: &AggregateExpr) -> Vec<Promise> {
    if [token::T_TOPK, token::T_BOTTOMK].contains(&aggregate.op.id()) {
        return of(&aggregate.expr);
    }
    match &aggregate.modifier {
        Some(LabelModifier::Include(labels)) => vec![Some(set(labels))],
        Some(LabelModifier::Exclude(labels)) => {
            let less = |promise: Promise| Some(&promise? - &set(labels));
            of(&aggregate.expr).into_iter().map(less).collect()
        }
        None => vec![Some(BTreeSet::new())],
    }
}

fn of_binary(binary: &BinaryExpr) -> Vec<Promise> {
    let (left, right) = (of(&binary.lhs), of(&binary.rhs));
    if binary.op.id() == token::T_LOR {
        return left.into_iter().chain(right).collect();
    }
    match (is_scalar(&binary.lhs), is_scalar(&binary.rhs)) {
        (true, _) => return right,
        (_, true) => return left,
        (false, false) => {}
    }
    let Some(modifier) = &binary.modifier else {
        return left;
    };
    let matched = |promise: Promise| match &modifier.matching {
        Some(LabelModifier::Include(labels)) => Some(set(labels)),
        Some(LabelModifier::Exclude(labels)) => Some(&promise? - &set(labels)),
        None => promise,
    };
    let with = |more: &Labels, promise: Promise| Some(&promise? | &set(more));
    match &modifier.card {
        VectorMatchCardinality::OneToOne => left.into_iter().map(matched).collect(),
        VectorMatchCardinality::ManyToOne(more) => left
            .into_iter()
            .map(|promise| with(more, promise))
            .collect(),
        VectorMatchCardinality::OneToMany(more) => right
            .into_iter()
            .map(|promise| with(more, promise))
            .collect(),
        VectorMatchCardinality::ManyToMany => left,
    }
}

fn is_scalar(expression: &Expr) -> bool {
    match expression {
        Expr::NumberLiteral(_) => true,
        Expr::Call(call) => ["time", "scalar"].contains(&call.func.name),
        Expr::Paren(inner) => is_scalar(&inner.expr),
        Expr::Unary(inner) => is_scalar(&inner.expr),
        Expr::Binary(inner) => is_scalar(&inner.lhs) && is_scalar(&inner.rhs),
        _ => false,
    }
}

fn of_call(call: &Call) -> Vec<Promise> {
    let argument = |at: usize| call.args.args.get(at).map(|inner| of(inner));
    let text = |at: usize| match call.args.args.get(at).map(|inner| &**inner) {
        Some(Expr::StringLiteral(text)) => Some(text.val.clone()),
        _ => None,
    };
    let none = || vec![Some(BTreeSet::new())];
    match call.func.name {
        "vector" | "scalar" | "time" => none(),
        "absent" | "absent_over_time" => vec![None],
        "histogram_quantile" => {
            let without = |promise: Promise| {
                let mut labels = promise?;
                labels.remove("le");
                Some(labels)
            };
            let inner = argument(1).unwrap_or_default();
            inner.into_iter().map(without).collect()
        }
        "label_replace" | "label_join" => {
            let with = |promise: Promise| {
                let mut labels = promise?;
                labels.extend(text(1));
                Some(labels)
            };
            let inner = argument(0).unwrap_or_default();
            inner.into_iter().map(with).collect()
        }
        "quantile_over_time" => argument(1).unwrap_or_else(none),
        _ => argument(0).unwrap_or_else(none),
    }
}

/// The jobs that a query's selectors name, each selector's in turn; none for one
/// that names no single job.
pub(crate) fn jobs(query: &str) -> Vec<Option<String>> {
    let mut jobs = Vec::new();
    if let Ok(expression) = parse(query) {
        collect(&expression, &mut jobs);
    }
    jobs
}

fn collect(expression: &Expr, jobs: &mut Vec<Option<String>>) {
    let of_selector = |selector: &VectorSelector| {
        let mut matchers = selector.matchers.matchers.iter();
        let job = matchers.find(|it| it.name == "job" && it.op == MatchOp::Equal);
        job.map(|it| it.value.clone())
    };
    match expression {
        Expr::Aggregate(inner) => {
            collect(&inner.expr, jobs);
            if let Some(parameter) = &inner.param {
                collect(parameter, jobs);
            }
        }
        Expr::Binary(inner) => {
            collect(&inner.lhs, jobs);
            collect(&inner.rhs, jobs);
        }
        Expr::Call(call) => {
            for argument in &call.args.args {
                collect(argument, jobs);
            }
        }
        Expr::Paren(inner) => collect(&inner.expr, jobs),
        Expr::Unary(inner) => collect(&inner.expr, jobs),
        Expr::Subquery(inner) => collect(&inner.expr, jobs),
        Expr::VectorSelector(selector) => jobs.push(of_selector(selector)),
        Expr::MatrixSelector(matrix) => jobs.push(of_selector(&matrix.vs)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// The labels between `{{` and `}}` of a legend.
pub(crate) fn legend_labels(legend: &str) -> Vec<&str> {
    let parts = legend.split("{{").skip(1);
    parts
        .filter_map(|part| part.split_once("}}"))
        .map(|(label, _)| label.trim())
        .collect()
}

/// Those values that a regular expression without any operator but `.*`, `^`,
/// `$` and `|` finds.
pub(crate) fn matching(values: &[String], regex: &str) -> Option<Vec<String>> {
    let inner = regex
        .trim_matches('/')
        .trim_start_matches('^')
        .trim_end_matches('$');
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_|.*".contains(letter);
    if !inner.chars().all(plain) {
        return None;
    }
    let found = |value: &&String| {
        inner
            .split('|')
            .any(|choice| match choice.split_once(".*") {
                Some((start, end)) => value.starts_with(start) && value.ends_with(end),
                None => value.as_str() == choice,
            })
    };
    Some(values.iter().filter(found).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, wanted: &[Option<&[&str]>]) {
        let wanted: Vec<Promise> = wanted
            .iter()
            .map(|labels| {
                Some(
                    labels
                        .as_ref()?
                        .iter()
                        .map(|label| (*label).to_owned())
                        .collect(),
                )
            })
            .collect();
        assert_eq!(promises(query), Ok(wanted), "{query}");
    }

    #[test]
    fn a_query_promises_labels() {
        check("sum by (a, b) (rate(x[5m]))", &[Some(&["a", "b"])]);
        check("sum(x)", &[Some(&[])]);
        check("x{a=\"b\"}", &[None]);
        check(
            "histogram_quantile(0.9, sum by (le, a) (rate(x_bucket[5m])))",
            &[Some(&["a"])],
        );
        check(
            "sum by (a) (x) / on (a) group_left (c) sum by (a, c) (y)",
            &[Some(&["a", "c"])],
        );
        check(
            "sum by (a, b) (x) / on (a) sum by (a, c) (y)",
            &[Some(&["a"])],
        );
        check("sum by (a) (x) and on (c) y", &[Some(&["a"])]);
        check("topk(3, sum by (a) (x))", &[Some(&["a"])]);
        check("sum by (a) (x) or vector(0)", &[Some(&["a"]), Some(&[])]);
        check("time() - max by (i) (x)", &[Some(&["i"])]);
        check("1 - sum by (i) (x)", &[Some(&["i"])]);
        check(
            "label_replace(sum by (i) (x), \"j\", \"$1\", \"i\", \"(.*)\")",
            &[Some(&["i", "j"])],
        );
    }

    #[test]
    fn a_query_names_jobs() {
        let one = Some("a".to_owned());
        assert_eq!(jobs("sum(rate(x{job=\"a\"}[5m])) / y"), [one.clone(), None]);
        assert_eq!(
            jobs("max_over_time((x{job=\"a\"} or z{job=~\"a\"})[5m:])"),
            [one, None]
        );
    }

    #[test]
    fn a_legend_names_labels() {
        assert_eq!(legend_labels("{{a}} of {{ b }}, all"), ["a", "b"]);
    }
}
