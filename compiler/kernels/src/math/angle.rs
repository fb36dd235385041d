//! Sine and cosine, with a reduction of the angle that is right for every `f32`.

use super::{ROUND, SIGN, polynomial};
use crate::vector::{MOST_LANES, Vector};
use std::f64::consts::FRAC_PI_2;

/// Which of the two waves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Sin,
    Cos,
}

impl Phase {
    /// Quarter turns by which the wave is ahead of the sine.
    fn quarters(self) -> u32 {
        match self {
            Phase::Sin => 0,
            Phase::Cos => 1,
        }
    }
}

/// Up to here the reduction in three parts is exact enough.
const LARGE: f32 = 32_768.0;
// pi / 2 in three parts of 24 bits each. With a fused product the first difference is exact below `LARGE`.
const HALF_PI: [f32; 3] = [1.570_796_4, -4.371_139e-8, -1.715_124_5e-15];

/// # Safety
///
/// The path is available.
#[inline(always)]
pub(super) unsafe fn wave<V: Vector>(x: V, phase: Phase) -> V {
    // SAFETY: the caller vouches for the path.
    unsafe {
        let rounded = x.mul_add(V::splat(std::f32::consts::FRAC_2_PI), V::splat(ROUND));
        let n = rounded.sub(V::splat(ROUND));
        let mut r = x;
        for part in HALF_PI {
            r = n.mul_add(V::splat(-part), r);
        }
        let y = turned(r, rounded.add_bits(V::splat_bits(phase.quarters())), x, phase);
        let large = V::splat(LARGE).less(super::magnitude(x));
        if V::any(large) { V::select(large, each(x, phase), y) } else { y }
    }
}

/// The sine of `r` after as many quarter turns as the low bits of `quarters` say.
///
/// # Safety
///
/// The path is available.
#[inline(always)]
unsafe fn turned<V: Vector>(r: V, quarters: V, x: V, phase: Phase) -> V {
    // SAFETY: the caller vouches for the path.
    unsafe {
        let square = r.mul(r);
        // |r| <= pi / 4
        let q = polynomial(square, [-0.166_666_54, 0.008_332_146, -0.000_195_133_25]);
        let sin = square.mul(r).mul_add(q, r);
        let q = polynomial(square, [0.041_666_646, -0.001_388_729_7, 0.000_024_430_918]);
        let cos = square.mul(square).mul_add(q, square.mul_add(V::splat(-0.5), V::splat(1.0)));
        // The lowest bit, moved to the sign, says which of the two; the next one is the sign of the result. The
        // mask is built on the bits of one, since a comparison needs a number.
        let odd = quarters.shift_left::<31>().and_bits(V::splat_bits(SIGN)).or_bits(V::splat(1.0));
        let y = V::select(odd.less(V::splat(0.0)), cos, sin);
        let y = y.xor_bits(quarters.shift_right::<1>().shift_left::<31>());
        match phase {
            // Keeps the sign of a zero.
            Phase::Sin => {
                V::select(V::splat(0.0).less(super::magnitude(x)), y, V::select(x.less(V::splat(1.0)), x, y))
            }
            Phase::Cos => y,
        }
    }
}

/// The wave of large angles, one by one. Infinities have none, and nobody asks for the small ones.
#[cold]
#[inline(never)]
fn each<V: Vector>(x: V, phase: Phase) -> V {
    let mut values = [0.0f32; MOST_LANES];
    // SAFETY: no vector has more lanes than that; whoever made `x` has the path.
    unsafe { x.store(values.as_mut_ptr()) };
    for value in values.iter_mut().take(V::LANES) {
        *value = if value.is_finite() && value.abs() > LARGE { wave_of(*value, phase) } else { f32::NAN };
    }
    // SAFETY: as above.
    unsafe { V::load(values.as_ptr()) }
}

fn wave_of(x: f32, phase: Phase) -> f32 {
    let (quarters, r) = reduce(x);
    let quarters = quarters.wrapping_add(phase.quarters());
    let square = r * r;
    // Taylor series: on |r| <= pi / 4 the first missing terms are beyond the precision of the result.
    let series = |first: f64, divisors: [f64; 5]| {
        let mut term = first;
        divisors.iter().fold(first, |sum, divisor| {
            term *= -square / divisor;
            sum + term
        })
    };
    let y = match quarters % 2 {
        0 => series(r, [6.0, 20.0, 42.0, 72.0, 110.0]),
        _ => series(1.0, [2.0, 12.0, 30.0, 56.0, 90.0]),
    };
    (if quarters & 2 == 0 { y } else { -y }) as f32
}

/// The binary digits of 2 / pi.
const TWO_OVER_PI: [u32; 8] =
    [0xa2f9_836e, 0x4e44_1529, 0xfc27_57d1, 0xf534_ddc0, 0xdb62_9599, 0x3c43_9041, 0xfe51_63ab, 0xdebb_c561];

/// Quarter turns in `x`, which is larger than `LARGE`, and what is left of it.
fn reduce(x: f32) -> (u32, f64) {
    let bits = x.to_bits();
    let mantissa = u128::from(bits & 0x007f_ffff | 0x0080_0000);
    let exponent = (bits >> 23 & 0xff) as i32 - 150;
    // x = mantissa * 2^exponent. Digits of 2 / pi above the window make whole turns, those below are too small.
    let skipped = (exponent - 2).max(0);
    let product = mantissa * window(skipped as u32);
    // Binary digits after the point in the product: those of the window less the exponent.
    let digits = 96 + skipped - exponent;
    let quarters = (product >> digits) as u32;
    let rest = product & ((1 << digits) - 1);
    let (quarters, rest) = if rest >> (digits - 1) == 0 {
        (quarters, rest as f64)
    } else {
        (quarters.wrapping_add(1), -(((1u128 << digits) - rest) as f64))
    };
    let r = rest / 2f64.powi(digits) * FRAC_PI_2;
    if x < 0.0 { (quarters.wrapping_neg(), -r) } else { (quarters, r) }
}

/// 96 digits of 2 / pi after the first `skipped`.
fn window(skipped: u32) -> u128 {
    let (word, bit) = ((skipped / 32) as usize, skipped % 32);
    let digits = TWO_OVER_PI[word..word + 4].iter().fold(0, |digits, &word| digits << 32 | u128::from(word));
    digits << bit >> 32
}
