//! How exact products are: the formats to which the operands of contractions are rounded. Their sums, and everything else,
//! are f32.
use crate::ops::Scalar;

/// What `precision` may be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Precision {
    /// Nothing is rounded.
    #[default]
    F32,
    /// The range of f32, 11 binary digits.
    Tf32,
    /// The range of f32, 8 binary digits.
    Bf16,
    /// IEEE half precision: 11 binary digits, the largest number 65504, the smallest 2^-24.
    F16,
}

/// A binary format below f32.
struct Format {
    /// Digits of a number, the leading one among them.
    digits: i32,
    /// The exponent of the smallest number that has them all.
    least: i32,
    /// Half a step beyond the largest number: from here on a number is infinite.
    limit: f64,
}

impl Precision {
    /// All of them, the most exact one first.
    pub const ALL: &'static [Precision] = &[Precision::F32, Precision::Tf32, Precision::Bf16, Precision::F16];

    /// As in a file.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
            Precision::F16 => "f16",
        }
    }

    /// The op that rounds a value, and the one that rounds its cotangent. `None`: nothing is rounded.
    pub fn rounding(self) -> Option<(Scalar, Scalar)> {
        match self {
            Precision::F32 => None,
            Precision::Tf32 => Some((Scalar::RoundTf32, Scalar::GradientTf32)),
            Precision::Bf16 => Some((Scalar::RoundBf16, Scalar::GradientBf16)),
            Precision::F16 => Some((Scalar::RoundF16, Scalar::GradientF16)),
        }
    }

    /// The nearest number of the format, of two the even one; infinite beyond the largest. F32 leaves a number as it is.
    pub fn round(self, x: f64) -> f64 {
        let Some(format) = self.format() else { return x };
        if x == 0.0 || !x.is_finite() {
            return x;
        }
        if x.abs() >= format.limit {
            return f64::INFINITY.copysign(x);
        }
        // Every f32, and what is rounded to one, is a normal f64: its exponent is in its bits.
        let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023;
        let step = 2f64.powi(exponent.max(format.least) - format.digits + 1);
        (x / step).round_ties_even() * step
    }

    fn format(self) -> Option<Format> {
        let (digits, least, most) = match self {
            Precision::F32 => return None,
            Precision::Tf32 => (11, -126, 127),
            Precision::Bf16 => (8, -126, 127),
            Precision::F16 => (11, -14, 15),
        };
        let limit = 2f64.powi(most + 1) - 2f64.powi(most - digits);
        Some(Format { digits, least, limit })
    }
}
