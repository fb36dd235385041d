//! Values between the steps of an array: in a line from step to step along each axis.
use crate::category;
use std::ops::Range;
use stmc_ir::DType;

/// Reads an array at `at`: per axis of the result where it lies, in steps of the array. `read` gives a slab of the array. Only
/// numbers are mixed; others lie at whole steps.
pub(crate) fn read<E>(
    at: &[&[f64]],
    dtype: DType,
    out: &mut [u32],
    read: impl FnOnce(&[Range<usize>], &mut [u32]) -> Result<(), E>,
) -> Result<(), E> {
    if out.is_empty() {
        return Ok(());
    }
    let bounds: Vec<Range<usize>> = at
        .iter()
        .map(|steps| {
            let low = steps.iter().fold(f64::INFINITY, |low, x| low.min(x.floor()));
            let high = steps.iter().fold(0.0, |high: f64, x| high.max(x.ceil()));
            low as usize..high as usize + 1
        })
        .collect();
    let mut values = vec![0; bounds.iter().map(Range::len).product()];
    read(&bounds, &mut values)?;
    let places: Vec<Range<usize>> = at.iter().map(|steps| 0..steps.len()).collect();
    for (i, out) in out.iter_mut().enumerate() {
        let at: Vec<f64> =
            category::position(i, &places).iter().zip(at).map(|(i, steps)| steps[*i]).collect();
        *out = match dtype {
            DType::F32 => (mixed(&values, &bounds, &at) as f32).to_bits(),
            _ => values[place(&bounds, at.iter().map(|x| x.round() as usize))],
        };
    }
    Ok(())
}

/// The sum over the corners of a cell; one of no weight does not count, even where it has no value.
fn mixed(values: &[u32], bounds: &[Range<usize>], at: &[f64]) -> f64 {
    let mut sum = 0.0;
    for corner in 0..1usize << at.len() {
        let upper = |axis: usize| corner >> axis & 1;
        let share = |(axis, x): (usize, &f64)| if upper(axis) == 1 { x.fract() } else { 1.0 - x.fract() };
        let weight: f64 = at.iter().enumerate().map(share).product();
        if weight > 0.0 {
            let steps = at.iter().enumerate().map(|(axis, x)| x.floor() as usize + upper(axis));
            sum += weight * f64::from(f32::from_bits(values[place(bounds, steps)]));
        }
    }
    sum
}

fn place(bounds: &[Range<usize>], steps: impl Iterator<Item = usize>) -> usize {
    bounds.iter().zip(steps).fold(0, |place, (bound, step)| place * bound.len() + step - bound.start)
}
