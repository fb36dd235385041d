//! 256-bit vectors with fused multiply-add.
use super::Vector;
use std::arch::x86_64::*;

#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256);

/// Lifts an intrinsic on integers to one on the bits of floats.
macro_rules! bits {
    ($intrinsic:ident($($arg:expr),+)) => { Avx2(_mm256_castsi256_ps($intrinsic($(_mm256_castps_si256($arg.0)),+))) };
}

// SAFETY (all blocks below): the trait's contract promises AVX2 and FMA, and pointers valid for 8 values.
impl Vector for Avx2 {
    const LANES: usize = 8;
    // The runs of k that a contraction is planned in are short enough.
    const BLOCK: usize = usize::MAX;
    type Mask = __m256;
    type Total = Self;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx2(_mm256_loadu_ps(from)) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see above the impl.
        unsafe { _mm256_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx2(_mm256_set1_ps(value)) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx2(_mm256_add_ps(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx2(_mm256_sub_ps(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx2(_mm256_mul_ps(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx2(_mm256_div_ps(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx2(_mm256_fmadd_ps(self.0, a.0, b.0)) }
    }
    #[inline(always)]
    unsafe fn accumulate(self, a: Self, b: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx2(_mm256_fmadd_ps(a.0, b.0, self.0)) }
    }
    #[inline(always)]
    unsafe fn widen(self) -> Self {
        self
    }
    #[inline(always)]
    unsafe fn add_to(self, total: Self) -> Self {
        // SAFETY: see above.
        unsafe { total.add(self) }
    }
    #[inline(always)]
    unsafe fn narrow(total: Self) -> Self {
        total
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx2(_mm256_min_ps(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx2(_mm256_max_ps(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn and_bits(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { bits!(_mm256_and_si256(self, other)) }
    }
    #[inline(always)]
    unsafe fn or_bits(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { bits!(_mm256_or_si256(self, other)) }
    }
    #[inline(always)]
    unsafe fn xor_bits(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { bits!(_mm256_xor_si256(self, other)) }
    }
    #[inline(always)]
    unsafe fn add_bits(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { bits!(_mm256_add_epi32(self, other)) }
    }
    #[inline(always)]
    unsafe fn sub_bits(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { bits!(_mm256_sub_epi32(self, other)) }
    }
    #[inline(always)]
    unsafe fn shift_left<const N: u32>(self) -> Self {
        // SAFETY: see above the impl.
        unsafe {
            Avx2(_mm256_castsi256_ps(_mm256_sll_epi32(
                _mm256_castps_si256(self.0),
                _mm_cvtsi32_si128(N as i32),
            )))
        }
    }
    #[inline(always)]
    unsafe fn shift_right<const N: u32>(self) -> Self {
        // SAFETY: see above the impl.
        unsafe {
            Avx2(_mm256_castsi256_ps(_mm256_sra_epi32(
                _mm256_castps_si256(self.0),
                _mm_cvtsi32_si128(N as i32),
            )))
        }
    }
    #[inline(always)]
    unsafe fn less(self, other: Self) -> Self::Mask {
        // SAFETY: see above the impl.
        unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, other.0) }
    }
    #[inline(always)]
    unsafe fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx2(_mm256_blendv_ps(no.0, yes.0, mask)) }
    }
    #[inline(always)]
    unsafe fn any(mask: Self::Mask) -> bool {
        // SAFETY: see above the impl.
        unsafe { _mm256_movemask_ps(mask) != 0 }
    }
}
