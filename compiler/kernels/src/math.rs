//! Elementary functions over slices: the same bits on every path, within two units in the last place.
//!
//! Each is written once over `Vector`, with coefficients fitted to be near minimax on the interval named beside
//! them. Infinities, NaN, denormals and overflow come out as they do from an exact function rounded to `f32`.
mod angle;

use crate::Isa;
use crate::vector::{MOST_LANES, Vector};

/// An elementary function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Function {
    /// e to the x.
    Exp,
    /// The natural logarithm.
    Log,
    /// The hyperbolic tangent.
    Tanh,
    /// The sine.
    Sin,
    /// The cosine.
    Cos,
    /// The error function.
    Erf,
}

/// Applies a function to this many values. Input and output may be the same memory, but not partly overlap.
pub type SliceFn = unsafe extern "C" fn(x: *const f32, y: *mut f32, len: usize);

impl Function {
    /// All functions.
    pub const ALL: [Function; 6] =
        [Function::Exp, Function::Log, Function::Tanh, Function::Sin, Function::Cos, Function::Erf];

    /// The function compiled for `isa`, which must be available where it is called.
    pub fn code(self, isa: Isa) -> SliceFn {
        match isa {
            Isa::Portable => portable::code(self),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::code(self),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::code(self),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => unreachable!("only an available path is chosen"),
        }
    }

    /// Writes the function of each `x` to `y`, on the path `isa`.
    pub fn apply(self, isa: Isa, x: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), y.len(), "a value for each argument");
        assert!(isa.is_available(), "the path is available on this processor");
        // SAFETY: both slices have this length, and the path is available.
        unsafe { self.code(isa)(x.as_ptr(), y.as_mut_ptr(), x.len()) }
    }
}

macro_rules! compile {
    ($path:ident, $vector:ident, $($feature:literal)?) => {
        mod $path {
            use super::{Function, SliceFn, map};
            use crate::vector::$vector;

            compile! { $vector, $($feature)?, exp log tanh sin cos erf }

            pub(super) fn code(function: Function) -> SliceFn {
                match function {
                    Function::Exp => exp,
                    Function::Log => log,
                    Function::Tanh => tanh,
                    Function::Sin => sin,
                    Function::Cos => cos,
                    Function::Erf => erf,
                }
            }
        }
    };
    ($vector:ident, , $($name:ident)+) => { $(compile! { @ $vector, [], $name })+ };
    ($vector:ident, $feature:literal, $($name:ident)+) => {
        $(compile! { @ $vector, [#[target_feature(enable = $feature)]], $name })+
    };
    (@ $vector:ident, [$($attribute:tt)*], $name:ident) => {
        $($attribute)*
        unsafe extern "C" fn $name(x: *const f32, y: *mut f32, len: usize) {
            // SAFETY: the caller of `SliceFn` vouches for the path and the slices.
            unsafe { map::<$vector>(x, y, len, |x| super::$name(x)) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
compile! { avx512, Avx512, "avx512f" }
#[cfg(target_arch = "x86_64")]
compile! { avx2, Avx2, "avx2,fma" }
compile! { portable, Portable, }

/// # Safety
///
/// `x` and `y` are valid for `len` values, the path is available.
#[inline(always)]
unsafe fn map<V: Vector>(x: *const f32, y: *mut f32, len: usize, function: impl Fn(V) -> V) {
    // SAFETY: whole vectors lie inside the slices, the last one is worked on aside.
    unsafe {
        let whole = len / V::LANES * V::LANES;
        for i in (0..whole).step_by(V::LANES) {
            function(V::load(x.add(i))).store(y.add(i));
        }
        if whole < len {
            let mut aside = [0.0f32; MOST_LANES];
            std::ptr::copy_nonoverlapping(x.add(whole), aside.as_mut_ptr(), len - whole);
            function(V::load(aside.as_ptr())).store(aside.as_mut_ptr());
            std::ptr::copy_nonoverlapping(aside.as_ptr(), y.add(whole), len - whole);
        }
    }
}

const SIGN: u32 = 0x8000_0000;
const ONE: u32 = 0x3f80_0000;
/// Adding this to a small number leaves the number, rounded to an integer, in the low bits of the sum.
const ROUND: f32 = 12_582_912.0;
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -0.000_212_194_44;

// In all functions below the caller vouches for the path, which is all that they need.

/// The polynomial with these coefficients, lowest power first.
#[inline(always)]
unsafe fn polynomial<V: Vector, const N: usize>(x: V, coefficients: [f32; N]) -> V {
    // SAFETY: see above.
    unsafe {
        let mut sum = V::splat(coefficients[N - 1]);
        for i in (0..N - 1).rev() {
            sum = sum.mul_add(x, V::splat(coefficients[i]));
        }
        sum
    }
}

#[inline(always)]
unsafe fn magnitude<V: Vector>(x: V) -> V {
    // SAFETY: see above.
    unsafe { x.and_bits(V::splat_bits(!SIGN)) }
}

/// `x`, which is not negative, with the sign of `like`.
#[inline(always)]
unsafe fn with_sign<V: Vector>(x: V, like: V) -> V {
    // SAFETY: see above.
    unsafe { x.or_bits(like.and_bits(V::splat_bits(SIGN))) }
}

#[inline(always)]
unsafe fn exp<V: Vector>(x: V) -> V {
    // SAFETY: see above.
    unsafe {
        // Beyond these the result is infinite or zero. NaN passes, being the second operand.
        let x = V::splat(89.0).min(V::splat(-104.0).max(x));
        let rounded = x.mul_add(V::splat(std::f32::consts::LOG2_E), V::splat(ROUND));
        let n = rounded.sub(V::splat(ROUND));
        let r = n.mul_add(V::splat(-LN_2_LOW), n.mul_add(V::splat(-LN_2_HIGH), x));
        // |r| <= ln 2 / 2
        let q = polynomial(r, [0.499_999_94, 0.166_665_15, 0.041_668_46, 0.008_369_424, 0.001_381_307_8]);
        let p = r.mul(r).mul_add(q, r).add(V::splat(1.0));
        // Two factors, since 2^n itself may overflow where the result does not, or the other way round.
        let n = rounded.sub_bits(V::splat(ROUND));
        let half = n.shift_right::<1>();
        p.mul(power_of_two(half)).mul(power_of_two(n.sub_bits(half)))
    }
}

/// 2 to the integer in `n`'s bits, from -126 to 127.
#[inline(always)]
unsafe fn power_of_two<V: Vector>(n: V) -> V {
    // SAFETY: see above.
    unsafe { n.shift_left::<23>().add_bits(V::splat_bits(ONE)) }
}

#[inline(always)]
unsafe fn log<V: Vector>(x: V) -> V {
    // SAFETY: see above.
    unsafe {
        let denormal = x.less(V::splat(f32::MIN_POSITIVE));
        let scaled = V::select(denormal, x.mul(V::splat(8_388_608.0)), x);
        // x = m * 2^n with sqrt 1/2 <= m < sqrt 2
        const SQRT_HALF: u32 = 0x3f35_04f3;
        let n = scaled.sub_bits(V::splat_bits(SQRT_HALF)).shift_right::<23>();
        let f = scaled.sub_bits(n.shift_left::<23>()).sub(V::splat(1.0));
        let n = n.add_bits(V::splat(ROUND)).sub(V::splat(ROUND));
        let n = V::select(denormal, n.sub(V::splat(23.0)), n);
        let q = polynomial(
            f,
            [
                0.333_333_13,
                -0.250_000_1,
                0.200_021_18,
                -0.166_679_93,
                0.142_195_54,
                -0.124_056_324,
                0.118_881_89,
                -0.116_754_03,
                0.067_462_83,
            ],
        );
        let square = f.mul(f);
        let small = n.mul_add(V::splat(LN_2_LOW), square.mul(f).mul(q));
        let small = square.mul_add(V::splat(-0.5), small);
        let y = n.mul_add(V::splat(LN_2_HIGH), f.add(small));
        // Infinity and NaN come back, zero has its pole, and below there is nothing.
        let y = V::select(x.less(V::splat(f32::INFINITY)), y, x);
        let y = V::select(
            V::splat(0.0).less(magnitude(x)),
            y,
            V::select(magnitude(x).less(V::splat(1.0)), V::splat(f32::NEG_INFINITY), y),
        );
        V::select(x.less(V::splat(0.0)), V::splat(f32::NAN), y)
    }
}

#[inline(always)]
unsafe fn tanh<V: Vector>(x: V) -> V {
    // SAFETY: see above.
    unsafe {
        let t = magnitude(x);
        // tanh x = 1 - 2 / (exp 2x + 1): no overflow to NaN at either end, but cancellation at zero.
        let large = V::splat(1.0).sub(V::splat(2.0).div(exp(t.add(t)).add(V::splat(1.0))));
        let square = x.mul(x);
        // |x| < 0.625
        let q =
            polynomial(square, [-0.333_332_8, 0.133_314_42, -0.053_739_704, 0.020_639_06, -0.005_704_960_3]);
        let small = square.mul(t).mul_add(q, t);
        with_sign(V::select(t.less(V::splat(0.625)), small, large), x)
    }
}

#[inline(always)]
unsafe fn erf<V: Vector>(x: V) -> V {
    // SAFETY: see above.
    unsafe {
        let t = magnitude(x);
        let square = t.mul(t);
        // |x| < 0.9375
        let q = polynomial(
            square,
            [0.128_379_15, -0.376_124_68, 0.112_815_52, -0.026_757_034, 0.004_979_127_6, -0.000_591_940_5],
        );
        let small = q.mul_add(t, t);
        // erf x = 1 - exp(-t (1 + q)), to where it rounds to 1.
        let far = V::splat(4.2).min(t);
        let q = polynomial(
            far,
            [
                0.128_658_58,
                0.635_110_56,
                0.106_304_06,
                -0.023_819_711,
                0.003_669_619,
                -0.000_329_461_6,
                0.000_011_894_434,
            ],
        );
        let large = V::splat(1.0).sub(exp(q.mul_add(far, far).xor_bits(V::splat_bits(SIGN))));
        with_sign(V::select(t.less(V::splat(0.9375)), small, large), x)
    }
}

#[inline(always)]
unsafe fn sin<V: Vector>(x: V) -> V {
    // SAFETY: see above.
    unsafe { angle::wave(x, angle::Phase::Sin) }
}

#[inline(always)]
unsafe fn cos<V: Vector>(x: V) -> V {
    // SAFETY: see above.
    unsafe { angle::wave(x, angle::Phase::Cos) }
}
