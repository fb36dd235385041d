//! Vectors in one register of an x86 processor: AVX2 with fused multiply-add, and AVX-512F with nothing beyond.
use super::Vector;
use std::arch::x86_64::*;

/// A vector from its intrinsics: those on values, those on integers, which are lifted to the bits of values, and then
/// the functions that the paths do not have alike.
macro_rules! register {
    (
        $name:ident($register:ty): $lanes:literal lanes, mask $mask:ty;
        load: $load:ident, store: $store:ident, splat: $splat:ident, fused: $fused:ident;
        values { $($value:ident: $on_values:ident,)+ }
        bits by $to_bits:ident, $from_bits:ident { $($bit:ident: $on_bits:ident,)+ }
        $($own:tt)+
    ) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name($register);

        // SAFETY (all blocks below): the trait's contract promises the path, and pointers valid for a vector.
        impl Vector for $name {
            const LANES: usize = $lanes;
            // The runs of k that a contraction is planned in are short enough.
            const BLOCK: usize = usize::MAX;
            type Mask = $mask;
            type Total = Self;

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: see above the impl.
                unsafe { Self($load(from)) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: see above the impl.
                unsafe { $store(to, self.0) }
            }
            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                // SAFETY: see above the impl.
                unsafe { Self($splat(value)) }
            }
            #[inline(always)]
            unsafe fn mul_add(self, a: Self, b: Self) -> Self {
                // SAFETY: see above the impl.
                unsafe { Self($fused(self.0, a.0, b.0)) }
            }
            #[inline(always)]
            unsafe fn accumulate(self, a: Self, b: Self) -> Self {
                // SAFETY: see above the impl.
                unsafe { Self($fused(a.0, b.0, self.0)) }
            }
            #[inline(always)]
            unsafe fn widen(self) -> Self {
                self
            }
            #[inline(always)]
            unsafe fn add_to(self, total: Self) -> Self {
                // SAFETY: see above the impl.
                unsafe { total.add(self) }
            }
            #[inline(always)]
            unsafe fn narrow(total: Self) -> Self {
                total
            }
            $(
                #[inline(always)]
                unsafe fn $value(self, other: Self) -> Self {
                    // SAFETY: see above the impl.
                    unsafe { Self($on_values(self.0, other.0)) }
                }
            )+
            $(
                #[inline(always)]
                unsafe fn $bit(self, other: Self) -> Self {
                    // SAFETY: see above the impl.
                    unsafe { Self($from_bits($on_bits($to_bits(self.0), $to_bits(other.0)))) }
                }
            )+
            $($own)+
        }
    };
}

register! {
    Avx2(__m256): 8 lanes, mask __m256;
    load: _mm256_loadu_ps, store: _mm256_storeu_ps, splat: _mm256_set1_ps, fused: _mm256_fmadd_ps;
    values {
        add: _mm256_add_ps,
        sub: _mm256_sub_ps,
        mul: _mm256_mul_ps,
        div: _mm256_div_ps,
        min: _mm256_min_ps,
        max: _mm256_max_ps,
    }
    bits by _mm256_castps_si256, _mm256_castsi256_ps {
        and_bits: _mm256_and_si256,
        or_bits: _mm256_or_si256,
        xor_bits: _mm256_xor_si256,
        add_bits: _mm256_add_epi32,
        sub_bits: _mm256_sub_epi32,
    }
    #[inline(always)]
    unsafe fn shift_left<const N: u32>(self) -> Self {
        // SAFETY: see above the impl.
        unsafe {
            let bits = _mm256_sll_epi32(_mm256_castps_si256(self.0), _mm_cvtsi32_si128(N as i32));
            Self(_mm256_castsi256_ps(bits))
        }
    }
    #[inline(always)]
    unsafe fn shift_right<const N: u32>(self) -> Self {
        // SAFETY: see above the impl.
        unsafe {
            let bits = _mm256_sra_epi32(_mm256_castps_si256(self.0), _mm_cvtsi32_si128(N as i32));
            Self(_mm256_castsi256_ps(bits))
        }
    }
    #[inline(always)]
    unsafe fn less(self, other: Self) -> __m256 {
        // SAFETY: see above the impl.
        unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, other.0) }
    }
    #[inline(always)]
    unsafe fn select(mask: __m256, yes: Self, no: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Self(_mm256_blendv_ps(no.0, yes.0, mask)) }
    }
    #[inline(always)]
    unsafe fn any(mask: __m256) -> bool {
        // SAFETY: see above the impl.
        unsafe { _mm256_movemask_ps(mask) != 0 }
    }
}

register! {
    Avx512(__m512): 16 lanes, mask __mmask16;
    load: _mm512_loadu_ps, store: _mm512_storeu_ps, splat: _mm512_set1_ps, fused: _mm512_fmadd_ps;
    values {
        add: _mm512_add_ps,
        sub: _mm512_sub_ps,
        mul: _mm512_mul_ps,
        div: _mm512_div_ps,
        min: _mm512_min_ps,
        max: _mm512_max_ps,
    }
    bits by _mm512_castps_si512, _mm512_castsi512_ps {
        and_bits: _mm512_and_si512,
        or_bits: _mm512_or_si512,
        xor_bits: _mm512_xor_si512,
        add_bits: _mm512_add_epi32,
        sub_bits: _mm512_sub_epi32,
    }
    #[inline(always)]
    unsafe fn shift_left<const N: u32>(self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Self(_mm512_castsi512_ps(_mm512_slli_epi32::<N>(_mm512_castps_si512(self.0)))) }
    }
    #[inline(always)]
    unsafe fn shift_right<const N: u32>(self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Self(_mm512_castsi512_ps(_mm512_srai_epi32::<N>(_mm512_castps_si512(self.0)))) }
    }
    #[inline(always)]
    unsafe fn less(self, other: Self) -> __mmask16 {
        // SAFETY: see above the impl.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, other.0) }
    }
    #[inline(always)]
    unsafe fn select(mask: __mmask16, yes: Self, no: Self) -> Self {
        // SAFETY: see above the impl.
        unsafe { Self(_mm512_mask_blend_ps(mask, no.0, yes.0)) }
    }
    #[inline(always)]
    unsafe fn any(mask: __mmask16) -> bool {
        mask != 0
    }
}
