//! The collector's own metrics: the golden list that the offline tests hold queries
//! to, against what the collector says.

use std::collections::BTreeSet;

use super::{shipped, site::Site};
use crate::{harness::Scrape, peer::get};

/// Above it is what is always there, below it what is there after a failure.
const FAILURES: &str = "# Once there was a failure:";

/// A line of the list.
struct Known {
    name: String,
    kind: String,
    labels: BTreeSet<String>,
}

/// What the list says wrongly; `faulty` once there were failures.
pub(crate) fn findings(site: &Site, faulty: bool) -> Vec<String> {
    let text = std::fs::read_to_string(shipped::path("tests/golden/collector-metrics.txt"));
    let text = text.expect("the list is there");
    let (always, failures) = text.split_once(FAILURES).expect("a part about failures");
    let answer = get(site.collector_metrics(), "/metrics");
    let scrape = Scrape::parse(&answer.text());
    let known = match faulty {
        true => lines(failures),
        false => lines(always),
    };
    assert!(!known.is_empty(), "the list says nothing");
    known
        .iter()
        .filter_map(|known| known.finding(&scrape))
        .collect()
}

fn lines(text: &str) -> Vec<Known> {
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            Known {
                name: words.next().expect("a name"),
                kind: words.next().expect("a kind"),
                labels: labels(&words.next().unwrap_or_default()),
            }
        })
        .collect()
}

fn labels(text: &str) -> BTreeSet<String> {
    let labels = text.split(',').filter(|label| !label.is_empty());
    labels.map(str::to_owned).collect()
}

// === impl Known ===

impl Known {
    fn finding(&self, scrape: &Scrape) -> Option<String> {
        let Self { name, kind, labels } = self;
        let Some(family) = scrape.families.get(name) else {
            return Some(format!("the collector has no {name}"));
        };
        if family.kind != *kind {
            return Some(format!("{name} is a {} and no {kind}", family.kind));
        }
        let other = family.samples.iter().find(|sample| {
            let has: BTreeSet<_> = sample.labels.keys().cloned().collect();
            has != *labels
        });
        other.map(|sample| format!("{name} has {:?} and not {labels:?}", sample.labels))
    }
}
