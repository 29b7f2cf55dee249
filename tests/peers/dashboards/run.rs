//! A dashboard as Grafana opens it: variables are settled one after the other,
//! then every panel and annotation asks.

use std::net::SocketAddr;

use super::{
    ask::{self, Answer, Window},
    board::{Board, How, Panel, Target, Variable, seconds},
    promql,
    scope::{Chosen, Place, Scope},
};

/// Where and when dashboards are opened, and by whom.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) prometheus: SocketAddr,
    /// Unix seconds.
    pub(crate) now: f64,
    /// What the data source says is the scrape interval, in seconds.
    pub(crate) scrape: f64,
    /// Uids of data sources that are provisioned.
    pub(crate) sources: Vec<String>,
    /// What is chosen by hand, by the variable's name.
    pub(crate) choices: Vec<(String, String)>,
    /// How many values are chosen where several can be; `None` is all.
    pub(crate) several: Option<usize>,
}

/// A dashboard, open.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) scope: Scope,
    pub(crate) rows: Vec<Row>,
    /// What is wrong with its variables.
    pub(crate) findings: Vec<String>,
}

/// A question of a dashboard, and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) board: String,
    /// The panel's title, or that of an annotation.
    pub(crate) panel: String,
    pub(crate) job: String,
    pub(crate) target: Target,
    /// The query as it was sent.
    pub(crate) sent: String,
    pub(crate) window: Window,
    pub(crate) answer: Answer,
    /// What is wrong before anything is sent.
    pub(crate) findings: Vec<String>,
}

// === impl Row ===

impl Row {
    /// A question of no dashboard: that of an alert.
    pub(crate) fn instant(name: &str, query: &str, prometheus: SocketAddr, at: f64) -> Self {
        Self {
            board: "rules.yml".to_owned(),
            panel: name.to_owned(),
            job: "any".to_owned(),
            target: Target::instant(query),
            sent: query.to_owned(),
            window: Window {
                from: at,
                to: at,
                step: 1.0,
            },
            answer: ask::instant(prometheus, query, at),
            findings: Vec::new(),
        }
    }
}

/// Opens a dashboard.
pub(crate) fn open(board: &Board, visit: &Visit) -> Opened {
    let window = window(board.range, visit.scrape, visit);
    let mut opened = Opened {
        scope: times(window, board.range, visit.scrape),
        rows: Vec::new(),
        findings: Vec::new(),
    };
    for variable in &board.variables {
        match settle(variable, &opened.scope, visit, window) {
            Ok(chosen) => opened.scope.set(&variable.name, chosen),
            Err(what) => {
                let name = &variable.name;
                opened
                    .findings
                    .push(format!("{}: variable {name}: {what}", board.uid));
            }
        }
    }
    let job = opened.scope.one("job").unwrap_or_default().to_owned();
    let ask = |place: &str, target: &Target| Row {
        board: board.uid.clone(),
        panel: place.to_owned(),
        job: job.clone(),
        ..ask(target, &opened.scope, board.range, visit)
    };
    let marks = board.annotations.iter().map(|target| {
        let place = format!("annotation {}", target.reference);
        ask(&place, target)
    });
    let each = |panel: &Panel| -> Vec<Row> {
        let targets = panel.targets.iter();
        targets.map(|target| ask(&panel.title, target)).collect()
    };
    opened.rows = marks.chain(board.panels.iter().flat_map(each)).collect();
    opened
}

/// Sends one question.
fn ask(target: &Target, scope: &Scope, length: f64, visit: &Visit) -> Row {
    let least = target
        .min_step
        .as_deref()
        .map(|text| scope.fill(text, Place::Query).0);
    let least = least
        .and_then(|text| seconds(&text))
        .unwrap_or(visit.scrape);
    let step = step(length, target.max_points, least);
    let window = window(length, step, visit);
    let mut scope = scope.clone();
    set_intervals(&mut scope, step, least);
    let (sent, unknown) = scope.fill(&target.text, Place::Query);
    let mut findings: Vec<_> = unknown
        .iter()
        .map(|name| format!("nothing is called ${name}"))
        .collect();
    findings.extend(source(&target.source, &scope, visit).err());
    let answer = match (findings.is_empty(), target.how) {
        (false, _) => Answer::default(),
        (true, How::Range) => ask::range(visit.prometheus, &sent, window),
        (true, How::Instant) => ask::instant(visit.prometheus, &sent, window.to),
    };
    Row {
        board: String::new(),
        panel: String::new(),
        job: String::new(),
        target: target.clone(),
        sent,
        window,
        answer,
        findings,
    }
}

/// Whether a data source of this uid is there.
fn source(named: &str, scope: &Scope, visit: &Visit) -> Result<(), String> {
    let (uid, _) = scope.fill(named, Place::Query);
    match visit.sources.contains(&uid) {
        true => Ok(()),
        false => Err(format!("no data source {uid:?} among {:?}", visit.sources)),
    }
}

/// Times as Grafana hands them to a dashboard.
fn times(window: Window, length: f64, scrape: f64) -> Scope {
    let mut scope = Scope::default();
    let millis = |at: f64| format!("{:.0}", at * 1_000.0);
    scope.set_raw("__from", millis(window.from));
    scope.set_raw("__to", millis(window.to));
    scope.set_raw("__range", format!("{length:.0}s"));
    scope.set_raw("__range_s", format!("{length:.0}"));
    scope.set_raw("__range_ms", millis(length));
    let url = format!("from={}&to={}", millis(window.from), millis(window.to));
    scope.set_raw("__url_time_range", url);
    set_intervals(&mut scope, scrape, scrape);
    scope
}

fn set_intervals(scope: &mut Scope, step: f64, scrape: f64) {
    scope.set_raw("__interval", format!("{step}s"));
    scope.set_raw("__interval_ms", format!("{:.0}", step * 1_000.0));
    let rate = (4.0 * scrape).max(step + scrape);
    scope.set_raw("__rate_interval", format!("{rate}s"));
}

/// The distance of a panel's points, rounded as Grafana rounds it.
fn step(length: f64, points: f64, least: f64) -> f64 {
    /// Up to the first number the second is taken, in seconds.
    const ROUNDED: [(f64, f64); 14] = [
        (1.5, 1.0),
        (3.5, 2.0),
        (7.5, 5.0),
        (12.5, 10.0),
        (17.5, 15.0),
        (25.0, 20.0),
        (45.0, 30.0),
        (90.0, 60.0),
        (210.0, 120.0),
        (450.0, 300.0),
        (750.0, 600.0),
        (1_050.0, 900.0),
        (1_500.0, 1_200.0),
        (f64::INFINITY, 1_800.0),
    ];
    let exact = length / points;
    if exact < least {
        return least;
    }
    let fits = ROUNDED.iter().find(|(limit, _)| exact <= *limit);
    fits.map_or(exact, |(_, rounded)| *rounded)
}

/// A range up to now whose ends are multiples of the step.
fn window(length: f64, step: f64, visit: &Visit) -> Window {
    let aligned = |at: f64| (at / step).floor() * step;
    Window {
        from: aligned(visit.now - length),
        to: aligned(visit.now),
        step,
    }
}

/// What is chosen for a variable.
fn settle(
    variable: &Variable,
    scope: &Scope,
    visit: &Visit,
    window: Window,
) -> Result<Chosen, String> {
    let offered = match variable.kind.as_str() {
        "query" => offered(variable, scope, visit, window)?,
        "datasource" => visit.sources.clone(),
        "custom" => variable
            .query
            .split(',')
            .map(|part| part.trim().to_owned())
            .collect(),
        // A text box and a constant hold what they hold.
        _ => vec![variable.query.clone()],
    };
    // A text box takes whatever is typed.
    let typed = variable.kind == "textbox";
    let by_hand = visit
        .choices
        .iter()
        .find(|(name, _)| *name == variable.name);
    if let Some((_, value)) = by_hand {
        return match typed || offered.contains(value) {
            true => Ok(Chosen::these(vec![value.clone()], variable.multi)),
            false => Err(format!("{value:?} is not among {offered:?}")),
        };
    }
    let many = variable.multi || variable.has_all;
    match (many, visit.several) {
        (false, _) => {
            let current = variable.current.iter().find(|it| offered.contains(it));
            let value = current.or_else(|| offered.first().filter(|_| variable.kind == "query"));
            let value = value.cloned();
            value
                .map(|value| Chosen::these(vec![value], false))
                .ok_or_else(|| format!("{:?} is not among {offered:?}", variable.current))
        }
        (true, Some(count)) => Ok(Chosen::these(
            offered.into_iter().take(count).collect(),
            true,
        )),
        (true, None) => Ok(match &variable.all_value {
            Some(all) => Chosen {
                values: vec![all.clone()],
                many: true,
                raw: true,
            },
            None => Chosen::these(offered, true),
        }),
    }
}

/// What a query variable finds.
fn offered(
    variable: &Variable,
    scope: &Scope,
    visit: &Visit,
    window: Window,
) -> Result<Vec<String>, String> {
    source(variable.source.as_deref().unwrap_or_default(), scope, visit)?;
    let (query, unknown) = scope.fill(&variable.query, Place::Query);
    if !unknown.is_empty() {
        return Err(format!("nothing is called {unknown:?}"));
    }
    let inner = query.strip_prefix("label_values(");
    let inner = inner.and_then(|inner| inner.strip_suffix(')'));
    let inner = inner.ok_or_else(|| format!("{query:?} is not label_values(…)"))?;
    let (selector, label) = match inner.rsplit_once(',') {
        Some((selector, label)) => (Some(selector.trim()), label.trim()),
        None => (None, inner.trim()),
    };
    let values = ask::label_values(visit.prometheus, label, selector, window)?;
    let kept: Vec<_> = match variable.regex.as_str() {
        "" => values,
        regex => promql::matching(&values, regex)
            .ok_or_else(|| format!("the regular expression {regex:?} is beyond this test"))?,
    };
    match kept.is_empty() {
        true => Err(format!("{query} finds nothing")),
        false => Ok(kept),
    }
}
