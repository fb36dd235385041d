//! Rows of the table of elementwise ops that round, or that say what becomes of a gradient.
//!
//! A cotangent passes a rounding as it is: to the optimizer weights are f32, however they were rounded for a product.
use super::scalar::{Scalar, ScalarRule, Vjp, floats};
use crate::kernel::{Core, ValId};
use crate::lower::Emit;

/// The bits of an infinite f32; those of NaN are more.
const INFINITE: i64 = 0x7f80_0000;

type Lower = fn(e: &mut dyn Emit, x: &[ValId]) -> ValId;

/// x rounded.
pub(super) const fn rounds(name: &'static str, lower: Lower, eval: fn(&[f64]) -> f64) -> ScalarRule {
    ScalarRule {
        name,
        arity: 1,
        dtypes: floats,
        vjp: |_, _, _, dy| vec![Some(dy)],
        lower,
        eval,
        domain: (-3.0, 3.0),
        cost: 12,
    }
}

/// The first operand itself; only its cotangent is another.
pub(super) const fn marks(name: &'static str, arity: usize, vjp: Vjp) -> ScalarRule {
    ScalarRule {
        name,
        arity,
        dtypes: floats,
        vjp,
        lower: |_, x| x[0],
        eval: |x| x[0],
        domain: (-3.0, 3.0),
        cost: 0,
    }
}

impl Scalar {
    /// Whether the value is that of the first operand, and the op only says what becomes of its cotangent. Once gradients
    /// are there it means nothing.
    pub fn only_for_gradients(self) -> bool {
        matches!(
            self,
            Scalar::Stop
                | Scalar::GradientTf32
                | Scalar::GradientBf16
                | Scalar::GradientF16
                | Scalar::ScaleGradient
        )
    }

    /// Whether it makes a number less exact, for a product to read.
    pub fn rounds_products(self) -> bool {
        matches!(self, Scalar::RoundTf32 | Scalar::RoundBf16 | Scalar::RoundF16)
    }
}

/// An f32 without its last `drop` bits, to nearest even: half a step less one bit, and the bit that stays last, carry over
/// where they must, into the exponent and up to infinity. Only instructions on bits: no device takes liberties with them.
pub(super) fn drop_bits(e: &mut dyn Emit, x: ValId, drop: u32) -> ValId {
    let rounded = rounded_bits(e, x, drop);
    let rounded = e.core(Core::FromBits, &[rounded]);
    // NaN would become infinite if its few bits were dropped.
    let size = magnitude(e, x);
    let infinite = e.int(INFINITE);
    let nan = e.core(Core::Less, &[infinite, size]);
    e.core(Core::Select, &[nan, x, rounded])
}

fn rounded_bits(e: &mut dyn Emit, x: ValId, drop: u32) -> ValId {
    let bits = e.core(Core::Bits, &[x]);
    let (count, two) = (e.int(i64::from(drop)), e.int(2));
    let stays = e.core(Core::ShiftRight, &[bits, count]);
    let odd = e.core(Core::FloorMod, &[stays, two]);
    let half = e.int((1 << (drop - 1)) - 1);
    let sum = e.core(Core::Add, &[bits, half]);
    let sum = e.core(Core::Add, &[sum, odd]);
    let step = e.int(1 << drop);
    let rest = e.core(Core::FloorMod, &[sum, step]);
    e.core(Core::Sub, &[sum, rest])
}

/// The bits without the sign.
fn magnitude(e: &mut dyn Emit, x: ValId) -> ValId {
    let size = e.core(Core::Abs, &[x]);
    e.core(Core::Bits, &[size])
}

/// An f32 as IEEE half precision has it.
pub(super) fn half(e: &mut dyn Emit, x: ValId) -> ValId {
    let normal = drop_bits(e, x, 13);
    // Below 2^-14 numbers are multiples of 2^-24. Both products are exact.
    let (up, down) = (e.number(2f64.powi(24)), e.number(2f64.powi(-24)));
    let steps = e.core(Core::Mul, &[x, up]);
    let steps = e.core(Core::Round, &[steps]);
    let small = e.core(Core::Mul, &[steps, down]);
    let size = magnitude(e, x);
    let least = e.int(i64::from(2f32.powi(-14).to_bits()));
    let is_small = e.core(Core::Less, &[size, least]);
    let value = e.core(Core::Select, &[is_small, small, normal]);
    // From the middle between 65504 and 2^16 on a number is infinite; NaN is not.
    let (limit, infinite) = (e.int(i64::from(65520f32.to_bits())), e.int(INFINITE));
    let above = e.core(Core::LessEqual, &[limit, size]);
    let number = e.core(Core::LessEqual, &[size, infinite]);
    let is_large = e.core(Core::And, &[above, number]);
    let zero = e.number(0.0);
    let negative = e.core(Core::Less, &[x, zero]);
    let (most, least) = (e.number(f64::INFINITY), e.number(f64::NEG_INFINITY));
    let large = e.core(Core::Select, &[negative, least, most]);
    e.core(Core::Select, &[is_large, large, value])
}
