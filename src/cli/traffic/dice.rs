//! Chance, the same for the same seed.

use std::time::Duration;

use rand_pcg::{Pcg64, rand_core::Rng as _};

/// A generator of numbers. What is made of them is written here, since crates
/// that draw from distributions change what they draw.
#[derive(Debug)]
pub(super) struct Dice(Pcg64);

/// The default of PCG's reference.
const STREAM: u128 = 0x0a02_bdbf_7bb3_c0a7_ac28_fa16_a64a_bf96;

// === impl Dice ===

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Pcg64::new(seed.into(), STREAM))
    }

    /// A number from 0 to 1, without the 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what it holds")]
    pub(super) fn fraction(&mut self) -> f64 {
        const STEPS: f64 = (1_u64 << 53) as f64;
        (self.0.next_u64() >> 11) as f64 / STEPS
    }

    /// Whether something happens that does in so many of 100 cases.
    pub(super) fn percent(&mut self, percent: u32) -> bool {
        self.fraction() * 100.0 < f64::from(percent)
    }

    /// One of `count` places; 0 if there is none.
    pub(super) fn place(&mut self, count: usize) -> usize {
        let product = u128::from(self.0.next_u64()) * (count as u128);
        // Below `count`.
        usize::try_from(product >> 64).unwrap_or_default()
    }

    /// Seconds between two, short ones as likely as long ones: each doubling has
    /// the same share. In whole milliseconds.
    pub(super) fn seconds(&mut self, least: f64, most: f64) -> f64 {
        let seconds = least * (most / least).powf(self.fraction());
        (seconds * 1_000.0).round() / 1_000.0
    }

    /// The time to the next of events that come `rate` times a second, each
    /// without regard to the others.
    pub(super) fn gap(&mut self, rate: f64) -> Duration {
        let seconds = -(1.0 - self.fraction()).ln() / rate;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(super) fn long_bits(&mut self) -> u128 {
        u128::from(self.bits()) << 64 | u128::from(self.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of a seed are part of what `--seed` promises.
    #[test]
    fn a_seed_has_its_numbers() {
        let mut dice = Dice::new(1);
        let drawn = [dice.bits(), dice.bits(), dice.bits()];
        let pcg64 = [
            16_695_383_544_411_184_014,
            7_903_462_828_706_050_398,
            1_958_822_554_193_817_779,
        ];
        assert_eq!(drawn, pcg64);
    }

    #[test]
    fn values_are_where_they_belong() {
        let mut dice = Dice::new(2);
        let mut places = [0; 3];
        let (mut short, mut often, mut waited) = (0, 0, Duration::ZERO);
        for _ in 0..10_000 {
            places[dice.place(3)] += 1;
            let seconds = dice.seconds(0.1, 10.0);
            assert!((0.1..=10.0).contains(&seconds), "{seconds}");
            short += u32::from(seconds < 1.0);
            often += u32::from(dice.percent(20));
            waited += dice.gap(4.0);
        }
        assert!(places.iter().all(|count| (3_000..3_700).contains(count)));
        assert!((4_800..5_200).contains(&short), "{short}");
        assert!((1_850..2_150).contains(&often), "{often}");
        assert!((2_400..2_600).contains(&waited.as_secs()), "{waited:?}");
        assert_eq!(dice.place(0), 0);
    }
}
