//! Vectors in plain Rust: arrays that the compiler maps to whatever the processor has.
use super::Vector;

/// Whether a fused multiply-add is one instruction; else it is a slow call, which sums of products need not make.
const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 8]);

#[inline(always)]
fn lanes(f: impl Fn(usize) -> f32) -> Portable {
    Portable(std::array::from_fn(f))
}

#[inline(always)]
fn bits(f: impl Fn(usize) -> u32) -> Portable {
    lanes(|i| f32::from_bits(f(i)))
}

impl Vector for Portable {
    const LANES: usize = 8;
    // Digits before speed, of which it costs a quarter: other paths are held against this one.
    const BLOCK: usize = 8;
    type Mask = [bool; 8];
    type Total = [f64; 8];

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's contract: valid for eight values; arrays of f32 may be read unaligned.
        unsafe { Portable(from.cast::<[f32; 8]>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's contract: valid for eight values.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Portable([value; 8])
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        lanes(|i| self.0[i] + other.0[i])
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        lanes(|i| self.0[i] - other.0[i])
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        lanes(|i| self.0[i] * other.0[i])
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        lanes(|i| self.0[i] / other.0[i])
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        lanes(|i| self.0[i].mul_add(a.0[i], b.0[i]))
    }
    #[inline(always)]
    unsafe fn accumulate(self, a: Self, b: Self) -> Self {
        if FUSED {
            lanes(|i| a.0[i].mul_add(b.0[i], self.0[i]))
        } else {
            lanes(|i| self.0[i] + a.0[i] * b.0[i])
        }
    }
    #[inline(always)]
    unsafe fn widen(self) -> [f64; 8] {
        self.0.map(f64::from)
    }
    #[inline(always)]
    unsafe fn add_to(self, total: [f64; 8]) -> [f64; 8] {
        std::array::from_fn(|i| total[i] + f64::from(self.0[i]))
    }
    #[inline(always)]
    unsafe fn narrow(total: [f64; 8]) -> Self {
        lanes(|i| total[i] as f32)
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        lanes(|i| if self.0[i] < other.0[i] { self.0[i] } else { other.0[i] })
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        lanes(|i| if self.0[i] > other.0[i] { self.0[i] } else { other.0[i] })
    }
    #[inline(always)]
    unsafe fn and_bits(self, other: Self) -> Self {
        bits(|i| self.0[i].to_bits() & other.0[i].to_bits())
    }
    #[inline(always)]
    unsafe fn or_bits(self, other: Self) -> Self {
        bits(|i| self.0[i].to_bits() | other.0[i].to_bits())
    }
    #[inline(always)]
    unsafe fn xor_bits(self, other: Self) -> Self {
        bits(|i| self.0[i].to_bits() ^ other.0[i].to_bits())
    }
    #[inline(always)]
    unsafe fn add_bits(self, other: Self) -> Self {
        bits(|i| self.0[i].to_bits().wrapping_add(other.0[i].to_bits()))
    }
    #[inline(always)]
    unsafe fn sub_bits(self, other: Self) -> Self {
        bits(|i| self.0[i].to_bits().wrapping_sub(other.0[i].to_bits()))
    }
    #[inline(always)]
    unsafe fn shift_left<const N: u32>(self) -> Self {
        bits(|i| self.0[i].to_bits() << N)
    }
    #[inline(always)]
    unsafe fn shift_right<const N: u32>(self) -> Self {
        bits(|i| (self.0[i].to_bits() as i32 >> N) as u32)
    }
    #[inline(always)]
    unsafe fn less(self, other: Self) -> Self::Mask {
        std::array::from_fn(|i| self.0[i] < other.0[i])
    }
    #[inline(always)]
    unsafe fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        lanes(|i| if mask[i] { yes.0[i] } else { no.0[i] })
    }
    #[inline(always)]
    unsafe fn any(mask: Self::Mask) -> bool {
        mask.contains(&true)
    }
}
