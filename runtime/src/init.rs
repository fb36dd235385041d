//! First values of weights. Element `i` (in disk order) of a weight is a pure function of (seed, path, i): the same on every
//! device, whatever the layout, and unchanged when another weight is added.
use stmc_ir::HostExpr;
use stmc_ir::module::Init;
use stmc_ir::philox::{key, philox};

/// The first values of the weight `path`, whose extents on disk are `shape`.
pub(crate) fn values(init: &Init, seed: u64, path: &str, shape: &[usize]) -> Vec<f32> {
    let count = shape.iter().product();
    let values = match init {
        Init::Fill(x) => return vec![*x as f32; count],
        // `low + (high - low) * u` may round up to `high` in f32, which is as good a sample as any.
        Init::Uniform { low, high } => {
            drawn(seed, path, count, |bits| low + (high - low) * fraction(bits[0]))
        }
        Init::Normal { mean, std } => drawn(seed, path, count, |bits| mean + std * gaussian(bits)),
        Init::Formula(formula) => formed(formula, seed, path, shape),
    };
    values.into_iter().map(|x| x as f32).collect()
}

/// A formula for each element. Each of its variables is drawn in a stream of its own.
fn formed(formula: &HostExpr, seed: u64, path: &str, shape: &[usize]) -> Vec<f64> {
    let count = shape.iter().product();
    let mut sources: Vec<(&str, Vec<f64>)> = vec![];
    for name in formula.variables() {
        if sources.iter().any(|s| s.0 == name) {
            continue;
        }
        let stream = format!("{path}#{name}");
        let values = match name.split('.').next() {
            Some("random") => drawn(seed, &stream, count, |bits| fraction(bits[0])),
            Some("gaussian") => drawn(seed, &stream, count, gaussian),
            Some("orthonormal") => orthonormal(seed, &stream, shape),
            _ => unreachable!("`{name}` is no random number"),
        };
        sources.push((name, values));
    }
    let of = |name: &str, i: usize| sources.iter().find(|s| s.0 == name).map(|s| s.1[i]);
    (0..count).map(|i| formula.eval(&|name| of(name, i))).collect()
}

/// The rows (the first axis) or the columns (the others), whichever are fewer, are orthonormal: Gaussian vectors, made so one
/// by one (Gram & Schmidt), which is uniform among such matrices.
fn orthonormal(seed: u64, stream: &str, shape: &[usize]) -> Vec<f64> {
    let count: usize = shape.iter().product();
    let rows = shape.first().copied().unwrap_or(1);
    let columns = count / rows.max(1);
    let (few, long) = (rows.min(columns), rows.max(columns));
    let gauss = drawn(seed, stream, count, gaussian);
    let mut vectors: Vec<Vec<f64>> = gauss.chunks(long.max(1)).map(<[f64]>::to_vec).collect();
    for i in 0..few {
        let (done, rest) = vectors.split_at_mut(i);
        let vector = &mut rest[0];
        // Once more takes away what rounding left.
        for other in done.iter().chain(done.iter()) {
            let along: f64 = vector.iter().zip(other).map(|(x, y)| x * y).sum();
            vector.iter_mut().zip(other).for_each(|(x, y)| *x -= along * y);
        }
        let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
        vector.iter_mut().for_each(|x| *x /= norm);
    }
    let element = |i: usize| {
        let (row, column) = (i / columns, i % columns);
        if rows <= columns { vectors[row][column] } else { vectors[column][row] }
    };
    (0..count).map(element).collect()
}

fn drawn(seed: u64, path: &str, count: usize, value: impl Fn([u32; 4]) -> f64) -> Vec<f64> {
    let stream = hash(path);
    let counter = |i: u64| [i as u32, (i >> 32) as u32, stream as u32, (stream >> 32) as u32];
    (0..count as u64).map(|i| value(philox(key(seed), counter(i)))).collect()
}

/// N(0, 1): Box-Muller. 1 - u lies in (0, 1], so the logarithm is finite.
fn gaussian(bits: [u32; 4]) -> f64 {
    (-2.0 * (1.0 - fraction(bits[0])).ln()).sqrt() * (std::f64::consts::TAU * fraction(bits[1])).cos()
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
        let uniform = values(&Init::Uniform { low: -2.0, high: 4.0 }, 1, "a.weight", &[100, 1000]);
        assert!(uniform.iter().all(|x| (-2.0..=4.0).contains(x)));
        let (mean, std) = moments(&uniform);
        assert!((mean - 1.0).abs() < 0.02 && (std - 6.0 / 12f64.sqrt()).abs() < 0.02, "{mean} {std}");
        let (mean, std) = moments(&values(&Init::Normal { mean: 3.0, std: 0.5 }, 1, "a.weight", &[100_000]));
        assert!((mean - 3.0).abs() < 0.01 && (std - 0.5).abs() < 0.01, "{mean} {std}");
        assert_eq!(values(&Init::Fill(0.5), 1, "b", &[2]), [0.5, 0.5]);
    }

    #[test]
    fn values_depend_on_seed_path_and_place_alone() {
        let normal = Init::Normal { mean: 0.0, std: 1.0 };
        let first = values(&normal, 7, "cell.weight", &[10]);
        assert_eq!(first[..4], values(&normal, 7, "cell.weight", &[4]));
        assert_ne!(first, values(&normal, 8, "cell.weight", &[10]));
        assert_ne!(first, values(&normal, 7, "cell.bias", &[10]));
    }

    #[test]
    fn formulas_are_made_of_draws_of_their_own() {
        use stmc_ir::host::HostBinary::{Max, Min, Sub};
        let gauss = |n: usize| HostExpr::var(&format!("gaussian.{n}"));
        let cut = |x, low: f64, high: f64| {
            let above = HostExpr::binary(Max, x, HostExpr::Const(low));
            HostExpr::binary(Min, above, HostExpr::Const(high))
        };
        let clamped = values(&Init::Formula(cut(gauss(0), -1.0, 1.0)), 1, "w", &[100, 100]);
        let normal = values(&Init::Formula(gauss(0)), 1, "w", &[100, 100]);
        assert!(clamped.iter().zip(&normal).all(|(c, n)| *c == n.clamp(-1.0, 1.0)));
        let apart = values(&Init::Formula(HostExpr::binary(Sub, gauss(0), gauss(1))), 1, "w", &[100, 100]);
        let variance = apart.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / 1e4;
        assert!((variance - 2.0).abs() < 0.1, "two draws are independent: {variance}");
    }

    #[test]
    fn the_fewer_of_rows_and_columns_are_orthonormal() {
        for (shape, rows) in
            [(vec![3, 2, 4], true), (vec![8, 3], false), (vec![5], false), (vec![4, 4], true)]
        {
            let w = values(&Init::Formula(HostExpr::var("orthonormal.0")), 3, "w", &shape);
            let columns = w.len() / shape[0];
            let at = |r: usize, c: usize| f64::from(w[r * columns + c]);
            let (n, m) = if rows { (shape[0], columns) } else { (columns, shape[0]) };
            let entry = |i: usize, k: usize| if rows { at(i, k) } else { at(k, i) };
            for i in 0..n {
                for j in 0..n {
                    let dot: f64 = (0..m).map(|k| entry(i, k) * entry(j, k)).sum();
                    assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-6, "{shape:?} {i} {j}: {dot}");
                }
            }
        }
    }
}
