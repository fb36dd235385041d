//! Functions and smooth fields of which every machine makes the same bits: sums, products and quotients alone.
use crate::draw::Draw;
use std::f64::consts::{LN_2, TAU};

/// sin(2π x), within 1e-11.
pub(crate) fn sine(turns: f64) -> f64 {
    let x = turns - (turns + 0.5).floor();
    // Folded into the quarter turns around 0, where Taylor's series is short.
    let x = if x.abs() > 0.25 { 0.5_f64.copysign(x) - x } else { x };
    let angle = TAU * x;
    let series = |inner: f64, k: i32| 1.0 - angle * angle / f64::from(2 * k * (2 * k + 1)) * inner;
    angle * (1..8).rev().fold(1.0, series)
}

/// cos(2π x), within 1e-11.
pub(crate) fn cosine(turns: f64) -> f64 {
    sine(turns + 0.25)
}

/// The natural logarithm of a positive number, within 1e-12.
pub(crate) fn log(x: f64) -> f64 {
    let (mut x, mut powers) = (x, 0.0);
    while x > 1.5 {
        (x, powers) = (x / 2.0, powers + 1.0);
    }
    while x < 0.75 {
        (x, powers) = (x * 2.0, powers - 1.0);
    }
    // log x = 2 artanh((x - 1) / (x + 1))
    let z = (x - 1.0) / (x + 1.0);
    let sum = (0..9).rev().fold(0.0, |sum, k| 1.0 / f64::from(2 * k + 1) + z * z * sum);
    2.0 * z * sum + powers * LN_2
}

/// A smooth field on a plane: waves of random direction, length and phase.
pub(crate) struct Waves {
    /// Turns per unit along rows and columns, and the phase in turns.
    waves: Vec<[f64; 3]>,
}

impl Waves {
    /// Waves of at most so many turns per unit along each axis.
    pub(crate) fn new(draw: &mut Draw, count: usize, turns: f32) -> Waves {
        let mut wave =
            || [-turns..turns, -turns..turns, 0.0..1.0].map(|range| f64::from(draw.between(range)));
        Waves { waves: (0..count).map(|_| wave()).collect() }
    }

    /// The same, with whole turns along columns: where these go once around, the field closes.
    pub(crate) fn around(draw: &mut Draw, count: usize, turns: f32) -> Waves {
        let mut waves = Waves::new(draw, count, turns);
        waves.waves.iter_mut().for_each(|wave| wave[1] = wave[1].round());
        waves
    }

    /// Values at places along rows and columns, row-major. Over all draws their mean is 0, their variance 1.
    pub(crate) fn field(&self, rows: &[f64], columns: &[f64]) -> Vec<f64> {
        let mut field = vec![0.0; rows.len() * columns.len()];
        let height = (2.0 / self.waves.len() as f64).sqrt();
        let both = |turns: f64| (sine(turns), cosine(turns));
        for [along_rows, along_columns, phase] in &self.waves {
            // sin(a + b) = sin a cos b + cos a sin b: few sines for many cells.
            let columns: Vec<_> = columns.iter().map(|x| both(along_columns * x)).collect();
            for (y, line) in rows.iter().zip(field.chunks_exact_mut(columns.len().max(1))) {
                let (s, c) = both(along_rows * y + phase);
                line.iter_mut().zip(&columns).for_each(|(out, (sx, cx))| *out += height * (s * cx + c * sx));
            }
        }
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_functions_that_they_stand_for() {
        for i in -2000..2000 {
            let x = f64::from(i) * 0.013;
            assert!((sine(x) - (TAU * x).sin()).abs() < 1e-11, "sine {x}");
            assert!((cosine(x) - (TAU * x).cos()).abs() < 1e-11, "cosine {x}");
            let x = 0.01 + f64::from(i + 2000) * 0.11;
            assert!((log(x) - x.ln()).abs() < 1e-12, "log {x}");
        }
    }

    #[test]
    fn fields_have_mean_0_and_variance_1_and_may_close() {
        let places: Vec<f64> = (0..64).map(|i| f64::from(i) / 64.0).collect();
        let (mut mean, mut square) = (0.0, 0.0);
        for number in 0..100 {
            let waves = Waves::around(&mut Draw::new(1, "test", number), 12, 3.0);
            let field = waves.field(&places, &places);
            mean += field.iter().sum::<f64>() / field.len() as f64 / 100.0;
            square += field.iter().map(|x| x * x).sum::<f64>() / field.len() as f64 / 100.0;
            let next = waves.field(&[0.3], &[0.2, 1.2]);
            assert!((next[0] - next[1]).abs() < 1e-9);
        }
        // Of a hundred draws: three standard errors.
        assert!(mean.abs() < 0.15 && (square - 1.0).abs() < 0.2, "mean {mean}, variance {square}");
    }
}
