//! The vector operations that kernels are written in, one implementation per path.
//!
//! Every operation rounds as IEEE 754 says, lane by lane, so that a function written in them gives the same bits
//! on each path. The one exception is [`Vector::accumulate`], which is for sums of products only.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

/// The most values that a vector of any path has.
pub(crate) const MOST_LANES: usize = 16;

/// A vector of `f32`. "Bits" are those of each lane, taken as a 32-bit integer.
///
/// # Safety
///
/// All functions may be called only where the path of the implementation is available, and are fast only when
/// inlined into a function that enables its instructions. `load` and `store` touch `LANES` values at any alignment.
pub(crate) trait Vector: Copy {
    /// Values in one vector.
    const LANES: usize;
    /// Products that are added one by one before they are added to a total.
    const BLOCK: usize;
    /// The outcome of a comparison.
    type Mask: Copy;
    /// A total of many sums, lane by lane, with the digits that this path can afford.
    type Total: Copy;

    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn splat(value: f32) -> Self;

    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn div(self, other: Self) -> Self;
    /// `self * a + b`, rounded once.
    unsafe fn mul_add(self, a: Self, b: Self) -> Self;
    /// `self + a * b`, rounded once or twice, whichever is faster on this path.
    unsafe fn accumulate(self, a: Self, b: Self) -> Self;
    /// This as a total.
    unsafe fn widen(self) -> Self::Total;
    /// `total + self`.
    unsafe fn add_to(self, total: Self::Total) -> Self::Total;
    /// The total, rounded.
    unsafe fn narrow(total: Self::Total) -> Self;
    /// The smaller; `other` where either is NaN.
    unsafe fn min(self, other: Self) -> Self;
    /// The larger; `other` where either is NaN.
    unsafe fn max(self, other: Self) -> Self;

    unsafe fn and_bits(self, other: Self) -> Self;
    unsafe fn or_bits(self, other: Self) -> Self;
    unsafe fn xor_bits(self, other: Self) -> Self;
    unsafe fn add_bits(self, other: Self) -> Self;
    unsafe fn sub_bits(self, other: Self) -> Self;
    unsafe fn shift_left<const N: u32>(self) -> Self;
    /// Shifts copies of the sign bit in.
    unsafe fn shift_right<const N: u32>(self) -> Self;

    /// Whether `self < other`; false where either is NaN.
    unsafe fn less(self, other: Self) -> Self::Mask;
    unsafe fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    unsafe fn any(mask: Self::Mask) -> bool;

    /// A vector of these bits in each lane.
    #[inline(always)]
    unsafe fn splat_bits(bits: u32) -> Self {
        // SAFETY: the caller vouches for the path.
        unsafe { Self::splat(f32::from_bits(bits)) }
    }
}
