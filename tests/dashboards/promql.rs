//! A query of a dashboard, read: what it selects, and which labels its answer carries.
//!
//! `Sent` writes a query as Grafana sends it; `parse` reads one without macros.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, OnceLock},
};

use promql_parser::{
    label::Matcher,
    parser::{
        self, AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality,
        VectorSelector,
        token::{T_BOTTOMK, T_LAND, T_LOR, T_LUNLESS, T_TOPK},
    },
};

pub(crate) type Labels = BTreeSet<String>;

/// What Grafana puts in the place of variables and macros.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) job: String,
    pub(crate) collector_job: String,
    /// Regular expressions, as Grafana writes a choice of several values.
    pub(crate) instance: String,
    pub(crate) task_name: String,
    pub(crate) range_seconds: u64,
    /// The step from one point to the next.
    pub(crate) interval_seconds: u64,
    /// Four scrapes, or a step and a scrape.
    pub(crate) rate_interval_seconds: u64,
}

#[derive(Debug)]
pub(crate) struct Query {
    expr: Arc<Expr>,
}

#[derive(Debug)]
pub(crate) struct Selector<'a> {
    pub(crate) name: &'a str,
    pub(crate) matchers: &'a [Matcher],
    /// The functions and aggregations it stands in, the innermost first.
    pub(crate) within: Vec<&'a Expr>,
}

/// Reads a query that has no variable and no macro in it.
pub(crate) fn parse(expr: &str) -> Result<Query, String> {
    // A debug build takes milliseconds for each, and asks for most of them often.
    static READ: OnceLock<Mutex<HashMap<String, Arc<Expr>>>> = OnceLock::new();
    let read = READ.get_or_init(Mutex::default);
    let known = read.lock().unwrap().get(expr).cloned();
    let parsed = match known {
        Some(parsed) => parsed,
        None => Arc::new(parser::parse(expr)?),
    };
    let kept = Arc::clone(&parsed);
    read.lock().unwrap().insert(expr.to_owned(), kept);
    Ok(Query { expr: parsed })
}

// === impl Sent ===

impl Default for Sent {
    /// The choices that a dashboard opens with.
    fn default() -> Self {
        Self {
            job: "taskpulse".to_owned(),
            collector_job: "otel-collector".to_owned(),
            instance: ".*".to_owned(),
            task_name: ".*".to_owned(),
            range_seconds: 900,
            interval_seconds: 5,
            rate_interval_seconds: 20,
        }
    }
}

impl Sent {
    pub(crate) fn query(&self, expr: &str) -> String {
        let rate_interval = format!("{}s", self.rate_interval_seconds);
        let interval_ms = (self.interval_seconds * 1_000).to_string();
        let range_seconds = self.range_seconds.to_string();
        let range = format!("{range_seconds}s");
        // A longer name goes before those that it begins with.
        [
            ("$__rate_interval", &rate_interval),
            ("$__interval_ms", &interval_ms),
            ("$__range_s", &range_seconds),
            ("$__range", &range),
            ("$collector_job", &self.collector_job),
            ("$job", &self.job),
            ("$instance", &self.instance),
            ("$task_name", &self.task_name),
        ]
        .iter()
        .fold(expr.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
    }
}

// === impl Query ===

impl Query {
    pub(crate) fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Everything that it selects.
    pub(crate) fn selectors(&self) -> Vec<Selector<'_>> {
        selectors(&self.expr)
    }

    /// The names of the labels that each series of the answer is to carry. A label
    /// whose value is empty is not there in an answer.
    pub(crate) fn grouping(&self) -> Labels {
        carried(&self.expr, &|_| Labels::new())
    }

    /// The names of the labels that a series of the answer may carry, if `labels`
    /// says what a selected series has.
    pub(crate) fn labels(&self, labels: &dyn Fn(&str) -> Labels) -> Labels {
        carried(&self.expr, labels)
    }
}

pub(crate) fn selectors(expr: &Expr) -> Vec<Selector<'_>> {
    let mut found = Vec::new();
    collect(expr, &mut Vec::new(), &mut found);
    found
}

fn collect<'a>(expr: &'a Expr, within: &mut Vec<&'a Expr>, found: &mut Vec<Selector<'a>>) {
    let selected = match expr {
        Expr::VectorSelector(selector) => Some(selector),
        Expr::MatrixSelector(matrix) => Some(&matrix.vs),
        _ => None,
    };
    if let Some(selector) = selected {
        found.push(Selector {
            name: name(selector),
            matchers: &selector.matchers.matchers,
            within: within.iter().rev().copied().collect(),
        });
    }
    within.push(expr);
    for child in children(expr) {
        collect(child, within, found);
    }
    within.pop();
}

fn name(selector: &VectorSelector) -> &str {
    selector.name.as_deref().unwrap_or_default()
}

pub(crate) fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(it) => vec![&it.expr],
        Expr::Unary(it) => vec![&it.expr],
        Expr::Binary(it) => vec![&it.lhs, &it.rhs],
        Expr::Paren(it) => vec![&it.expr],
        Expr::Subquery(it) => vec![&it.expr],
        Expr::Call(it) => it.args.args.iter().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    }
}

/// Whatever is in the parentheses.
pub(crate) fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(paren) => bare(&paren.expr),
        _ => expr,
    }
}

/// The number that it is, if it is made of numbers alone.
pub(crate) fn number(expr: &Expr) -> Option<f64> {
    match bare(expr) {
        Expr::NumberLiteral(literal) => Some(literal.val),
        Expr::Unary(it) => number(&it.expr).map(|value| -value),
        Expr::Binary(it) => {
            let (left, right) = (number(&it.lhs)?, number(&it.rhs)?);
            match it.op.to_string().as_str() {
                "*" => Some(left * right),
                "/" => Some(left / right),
                "+" => Some(left + right),
                "-" => Some(left - right),
                _ => None,
            }
        }
        _ => None,
    }
}

// === Labels of the answer ===

pub(crate) fn carried(expr: &Expr, selected: &dyn Fn(&str) -> Labels) -> Labels {
    match expr {
        Expr::VectorSelector(it) => selected(name(it)),
        Expr::MatrixSelector(it) => selected(name(&it.vs)),
        Expr::Aggregate(it) => aggregated(it, selected),
        Expr::Call(it) => called(it, selected),
        Expr::Binary(it) => matched(it, selected),
        Expr::Paren(it) => carried(&it.expr, selected),
        Expr::Unary(it) => carried(&it.expr, selected),
        Expr::Subquery(it) => carried(&it.expr, selected),
        _ => Labels::new(),
    }
}

pub(crate) fn listed(modifier: Option<&LabelModifier>) -> Labels {
    match modifier {
        Some(LabelModifier::Include(labels)) => labels.labels.iter().cloned().collect(),
        Some(LabelModifier::Exclude(_)) | None => Labels::new(),
    }
}

fn aggregated(it: &AggregateExpr, selected: &dyn Fn(&str) -> Labels) -> Labels {
    // These choose among series, and leave them as they are.
    if [T_TOPK, T_BOTTOMK].contains(&it.op.id()) {
        return carried(&it.expr, selected);
    }
    match &it.modifier {
        Some(LabelModifier::Exclude(out)) => {
            let mut labels = carried(&it.expr, selected);
            labels.retain(|label| !out.labels.contains(label));
            labels
        }
        by => listed(by.as_ref()),
    }
}

fn called(it: &Call, selected: &dyn Fn(&str) -> Labels) -> Labels {
    let of_arguments = it.args.args.iter().map(|it| carried(it, selected));
    let mut labels: Labels = of_arguments.flatten().collect();
    if it.func.name == "histogram_quantile" {
        labels.remove("le");
    }
    labels
}

/// As Prometheus matches two vectors; a number has no labels, and takes none away.
fn matched(it: &BinaryExpr, selected: &dyn Fn(&str) -> Labels) -> Labels {
    let (left, right) = (carried(&it.lhs, selected), carried(&it.rhs, selected));
    match it.op.id() {
        T_LAND | T_LUNLESS => return left,
        // A series of either side: what both have is certain.
        T_LOR => return &left & &right,
        _ => {}
    }
    let Some(modifier) = &it.modifier else {
        return &left | &right;
    };
    match &modifier.card {
        VectorMatchCardinality::ManyToOne(more) => &left | &more.labels.iter().cloned().collect(),
        VectorMatchCardinality::OneToMany(more) => &right | &more.labels.iter().cloned().collect(),
        VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => {
            let on = listed(modifier.matching.as_ref());
            match modifier.is_matching_on() {
                true => on,
                false => &left | &right,
            }
        }
    }
}

/// Whether it keeps only values above 0, or from 0 on: what is left is a number.
pub(crate) fn is_guarded(expr: &Expr) -> bool {
    let Expr::Binary(it) = bare(expr) else {
        return number(expr).is_some_and(|value| value != 0.0);
    };
    let operator = it.op.to_string();
    let zero = number(&it.rhs) == Some(0.0);
    let filters = !it.return_bool();
    zero && filters && (operator == ">" || operator == ">=")
}
