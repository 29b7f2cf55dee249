//! The table's rows and how they are judged.

use std::fmt;

use super::Outcome;

/// One row: what is measured, and what it must come to.
pub(crate) struct Row {
    /// What `cargo bench -- NAME` selects by.
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// The other side of a ratio.
    pub(crate) against: &'static str,
    pub(crate) bound: Bound,
    pub(crate) measure: fn() -> Outcome<Measured>,
}

/// What a measured value must come to.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    /// A ratio, greater is better.
    AtLeast(f64),
    /// A ratio, less is better.
    AtMost(f64),
    /// A figure in a unit, less is better.
    Under(f64, &'static str),
    /// None of what is named.
    No(&'static str),
    /// A figure in a unit that is shown, and must come to nothing.
    Shown(&'static str),
}

/// What came of measuring: one value per round.
pub(crate) struct Measured {
    /// In the bound's unit, or ratios.
    pub(crate) rounds: Vec<f64>,
    /// What a ratio was made of.
    pub(crate) figures: String,
}

/// Prints the head of the table.
pub(crate) fn head() {
    println!("| name | what | against | figures | median (min to max) | bound | met |");
    println!("|---|---|---|---|---|---|---|");
}

/// The middle value.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The value that this share of all is below.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() as f64 * share) as usize]
}

// === impl Row ===

impl Row {
    /// Measures and prints the row.
    pub(crate) fn fill(&self) -> Outcome<()> {
        let measured = (self.measure)()?;
        let value = median(&measured.rounds);
        let least = measured.rounds.iter().copied().fold(value, f64::min);
        let most = measured.rounds.iter().copied().fold(value, f64::max);
        println!(
            "| {} | {} | {} | {} | {} ({} to {}) | {} | {} |",
            self.name,
            self.what,
            self.against,
            measured.figures,
            self.bound.written(value),
            self.bound.written(least),
            self.bound.written(most),
            self.bound,
            match self.bound.admits(value) {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "",
            },
        );
        Ok(())
    }
}

// === impl Bound ===

impl Bound {
    fn admits(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(bound) => Some(value >= bound),
            Self::AtMost(bound) => Some(value <= bound),
            Self::Under(bound, _) => Some(value < bound),
            Self::No(_) => Some(value == 0.0),
            Self::Shown(_) => None,
        }
    }

    /// A value with as many digits as it is worth.
    fn written(self, value: f64) -> String {
        match self {
            Self::AtLeast(_) | Self::AtMost(_) => format!("{value:.2}"),
            Self::Under(..) | Self::Shown(_) if value < 100.0 => format!("{value:.1}"),
            Self::Under(..) | Self::Shown(_) | Self::No(_) => format!("{value:.0}"),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "at least {bound}"),
            Self::AtMost(bound) => write!(f, "at most {bound}"),
            Self::Under(bound, unit) => write!(f, "under {bound} {unit}"),
            Self::No(what) => write!(f, "no {what}"),
            Self::Shown(unit) => write!(f, "none, {unit}"),
        }
    }
}
