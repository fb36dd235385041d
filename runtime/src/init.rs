//! First values of weights. Element `i` (in disk order) of a weight is a pure function of (seed, path, i): the same on every
//! device, whatever the layout, and unchanged when another weight is added.
use stmc_ir::module::Init;
use stmc_ir::philox::{key, philox};

/// The first `count` values of the weight `path`.
pub(crate) fn values(init: Init, seed: u64, path: &str, count: usize) -> Vec<f32> {
    match init {
        Init::Fill(x) => vec![x as f32; count],
        Init::Uniform { low, high } => {
            // `low + (high - low) * u` may round up to `high` in f32, which is as good a sample as any.
            drawn(seed, path, count, |bits| low + (high - low) * fraction(bits[0]))
        }
        Init::Normal { mean, std } => drawn(seed, path, count, |bits| {
            // Box-Muller; 1 - u lies in (0, 1], so the logarithm is finite.
            let radius = (-2.0 * (1.0 - fraction(bits[0])).ln()).sqrt();
            mean + std * radius * (std::f64::consts::TAU * fraction(bits[1])).cos()
        }),
    }
}

fn drawn(seed: u64, path: &str, count: usize, value: impl Fn([u32; 4]) -> f64) -> Vec<f32> {
    let stream = hash(path);
    let counter = |i: u64| [i as u32, (i >> 32) as u32, stream as u32, (stream >> 32) as u32];
    (0..count as u64).map(|i| value(philox(key(seed), counter(i))) as f32).collect()
}

/// In [0, 1).
fn fraction(bits: u32) -> f64 {
    f64::from(bits) / 4_294_967_296.0
}

/// FNV-1a, 64 bits.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_distribution_asked_for() {
        let moments = |x: &[f32]| {
            let n = x.len() as f64;
            let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
            (mean, (x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n).sqrt())
        };
        let uniform = values(Init::Uniform { low: -2.0, high: 4.0 }, 1, "a.weight", 100_000);
        assert!(uniform.iter().all(|x| (-2.0..=4.0).contains(x)));
        let (mean, std) = moments(&uniform);
        assert!((mean - 1.0).abs() < 0.02 && (std - 6.0 / 12f64.sqrt()).abs() < 0.02, "{mean} {std}");
        let (mean, std) = moments(&values(Init::Normal { mean: 3.0, std: 0.5 }, 1, "a.weight", 100_000));
        assert!((mean - 3.0).abs() < 0.01 && (std - 0.5).abs() < 0.01, "{mean} {std}");
        assert_eq!(values(Init::Fill(0.5), 1, "b", 2), [0.5, 0.5]);
    }

    #[test]
    fn values_depend_on_seed_path_and_place_alone() {
        let normal = Init::Normal { mean: 0.0, std: 1.0 };
        let first = values(normal, 7, "cell.weight", 10);
        assert_eq!(first[..4], values(normal, 7, "cell.weight", 4));
        assert_ne!(first, values(normal, 8, "cell.weight", 10));
        assert_ne!(first, values(normal, 7, "cell.bias", 10));
    }
}
