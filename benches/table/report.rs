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
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
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
            if self.bound.admits(value) {
                "yes"
            } else {
                "NO"
            },
        );
        Ok(())
    }
}

// === impl Bound ===

impl Bound {
    fn admits(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
            Self::Under(bound, _) => value < bound,
        }
    }

    /// A value with as many digits as it is worth.
    fn written(self, value: f64) -> String {
        match self {
            Self::AtLeast(_) | Self::AtMost(_) => format!("{value:.2}"),
            Self::Under(..) if value < 100.0 => format!("{value:.1}"),
            Self::Under(..) => format!("{value:.0}"),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "at least {bound}"),
            Self::AtMost(bound) => write!(f, "at most {bound}"),
            Self::Under(bound, unit) => write!(f, "under {bound} {unit}"),
        }
    }
}
