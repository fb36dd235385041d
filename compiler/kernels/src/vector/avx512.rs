//! 512-bit vectors, with nothing beyond AVX-512F.
use super::Vector;
use std::arch::x86_64::*;

#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512);

/// Lifts an intrinsic on integers to one on the bits of floats.
macro_rules! bits {
    ($intrinsic:ident($($arg:expr),+)) => { Avx512(_mm512_castsi512_ps($intrinsic($(_mm512_castps_si512($arg.0)),+))) };
}

// SAFETY (all blocks below): the trait's contract promises AVX-512F, and pointers valid for 16 values.
impl Vector for Avx512 {
    const LANES: usize = 16;
    // The runs of k that a contraction is planned in are short enough.
    const BLOCK: usize = usize::MAX;
    type Mask = __mmask16;
    type Total = Self;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx512(_mm512_loadu_ps(from)) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see above the impl.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx512(_mm512_set1_ps(value)) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx512(_mm512_add_ps(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx512(_mm512_sub_ps(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx512(_mm512_mul_ps(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx512(_mm512_div_ps(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx512(_mm512_fmadd_ps(self.0, a.0, b.0)) }
    }
    #[inline(always)]
    unsafe fn accumulate(self, a: Self, b: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx512(_mm512_fmadd_ps(a.0, b.0, self.0)) }
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
        unsafe { Avx512(_mm512_min_ps(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx512(_mm512_max_ps(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn and_bits(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { bits!(_mm512_and_si512(self, other)) }
    }
    #[inline(always)]
    unsafe fn or_bits(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { bits!(_mm512_or_si512(self, other)) }
    }
    #[inline(always)]
    unsafe fn xor_bits(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { bits!(_mm512_xor_si512(self, other)) }
    }
    #[inline(always)]
    unsafe fn add_bits(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { bits!(_mm512_add_epi32(self, other)) }
    }
    #[inline(always)]
    unsafe fn sub_bits(self, other: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { bits!(_mm512_sub_epi32(self, other)) }
    }
    #[inline(always)]
    unsafe fn shift_left<const N: u32>(self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx512(_mm512_castsi512_ps(_mm512_slli_epi32::<N>(_mm512_castps_si512(self.0)))) }
    }
    #[inline(always)]
    unsafe fn shift_right<const N: u32>(self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx512(_mm512_castsi512_ps(_mm512_srai_epi32::<N>(_mm512_castps_si512(self.0)))) }
    }
    #[inline(always)]
    unsafe fn less(self, other: Self) -> Self::Mask {
        // SAFETY: see above the impl.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, other.0) }
    }
    #[inline(always)]
    unsafe fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Avx512(_mm512_mask_blend_ps(mask, no.0, yes.0)) }
    }
    #[inline(always)]
    unsafe fn any(mask: Self::Mask) -> bool {
        mask != 0
    }
}
