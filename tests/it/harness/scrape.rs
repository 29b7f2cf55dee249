//! Prometheus' text format, read strictly: what a scraper of theirs would
//! complain about is a failure here.

use std::collections::{BTreeMap, BTreeSet};

use super::Response;

/// What `/metrics` said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scrape {
    /// By the name of the family: without `_bucket`, `_sum` and `_count`.
    pub(crate) families: BTreeMap<String, Family>,
}

/// The series of a name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Family {
    pub(crate) help: String,
    /// `counter`, `gauge` or `histogram`.
    pub(crate) kind: String,
    pub(crate) samples: Vec<Sample>,
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) value: f64,
}

pub(crate) type Labels = BTreeMap<String, String>;

// === impl Scrape ===

impl Scrape {
    /// Reads an answer of `/metrics`.
    #[track_caller]
    pub(crate) fn of(response: &Response) -> Self {
        assert_eq!(response.status, 200, "{}", response.text());
        let media = response.header("content-type");
        assert_eq!(media, Some("text/plain; version=0.0.4; charset=utf-8"));
        Self::parse(&response.text())
    }

    #[track_caller]
    pub(crate) fn parse(text: &str) -> Self {
        assert!(
            text.is_empty() || text.ends_with('\n'),
            "the last line ends"
        );
        let mut scrape = Self {
            families: BTreeMap::new(),
        };
        let mut seen = BTreeSet::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
                let family = scrape.families.entry(name.to_owned()).or_default();
                assert!(
                    family.samples.is_empty() && family.help.is_empty(),
                    "{line}"
                );
                family.help = unescaped(help);
                name.clone_into(&mut current);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect(line);
                let family = scrape.families.entry(name.to_owned()).or_default();
                assert!(
                    family.samples.is_empty() && family.kind.is_empty(),
                    "{line}"
                );
                kind.clone_into(&mut family.kind);
                name.clone_into(&mut current);
            } else if !line.is_empty() {
                let sample = sample(line);
                let key = (sample.name.clone(), sample.labels.clone());
                assert!(seen.insert(key), "twice: {line}");
                let family = scrape.families.get_mut(&current).expect(line);
                let suffix = sample.name.strip_prefix(&current).expect(line);
                let allowed: &[&str] = match family.kind.as_str() {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => &[""],
                };
                assert!(allowed.contains(&suffix), "{line} among {current}");
                family.samples.push(sample);
            }
        }
        scrape
    }

    #[track_caller]
    pub(crate) fn family(&self, name: &str) -> &Family {
        self.families
            .get(name)
            .unwrap_or_else(|| panic!("no {name} among {:?}", self.families.keys()))
    }

    /// The value of the line with this name and exactly these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted = labels.iter();
        let wanted: Labels = wanted
            .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()))
            .collect();
        let samples = self.families.values().flat_map(|family| &family.samples);
        let mut samples = samples.filter(|sample| sample.name == name && sample.labels == wanted);
        samples.next().map(|sample| sample.value)
    }

    /// The sum of all lines with this name and among others these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let samples = self.families.values().flat_map(|family| &family.samples);
        let has = |sample: &&Sample| {
            let mut wanted = labels.iter();
            let all = wanted.all(|(label, value)| {
                sample.labels.get(*label).map(String::as_str) == Some(*value)
            });
            sample.name == name && all
        };
        samples.filter(has).map(|sample| sample.value).sum()
    }
}

/// Reads `name{label="value",...} value`.
fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").expect(line);
            let end = end_of_value(after).expect(line);
            let before = labels.insert(label.to_owned(), unescaped(&after[..end]));
            assert!(before.is_none(), "a label twice: {line}");
            rest = after[end + 1..].trim_start_matches(',');
        }
        rest = &rest[1..];
    }
    let value = match rest.trim() {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        value => value.parse().expect(line),
    };
    Sample {
        name: name.to_owned(),
        labels,
        value,
    }
}

/// Where the quote is that ends a label's value.
fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => plain.push('\n'),
                Some(other) => plain.push(other),
                None => plain.push('\\'),
            },
            letter => plain.push(letter),
        }
    }
    plain
}
