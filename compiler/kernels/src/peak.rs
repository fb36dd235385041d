//! What the processor can do at most, measured: the roof over every kernel.
use crate::{Isa, Pool};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Steps of each chain between two looks at the clock.
const ROUNDS: usize = 20_000;
/// Sums that do not wait for each other, enough to hide the latency of an instruction.
const CHAINS: usize = 12;
/// How often each thread looks at the clock; its fastest time counts.
const LOOKS: usize = 200;
/// Elements of each of the three streamed arrays: together more than caches hold.
const STREAMED: usize = 1 << 24;
/// How often the arrays are streamed; the fastest time counts.
const STREAMS: usize = 5;

/// Operations per second of all threads together, with products and sums in registers alone.
pub fn multiply_add(isa: Isa, pool: &mut Pool) -> f64 {
    assert!(isa.is_available(), "the path is available on this processor");
    let rates: Vec<Mutex<f64>> = (0..pool.threads()).map(|_| Mutex::new(0.0)).collect();
    let flops = (2 * ROUNDS * CHAINS * lanes(isa)) as f64;
    pool.run(rates.len(), &|unit, _| {
        let fastest = (0..LOOKS).map(|_| seconds(isa)).fold(f64::INFINITY, f64::min);
        *rates[unit].lock().unwrap_or_else(PoisonError::into_inner) = flops / fastest;
    });
    rates.into_iter().map(|rate| rate.into_inner().unwrap_or_else(PoisonError::into_inner)).sum()
}

/// Bytes per second that all threads together read, or read and write, whichever is more: `a = b + 0.5 * c`, and the sum of `b`, over
/// arrays beyond the caches.
pub fn bandwidth(pool: &mut Pool) -> f64 {
    let [mut a, b, c] = [0.0f32, 1.0, 2.0].map(|x| vec![x; STREAMED]);
    let share = STREAMED.div_ceil(pool.threads());
    let mut moved = |bytes: usize, work: &mut dyn FnMut(&mut Pool)| {
        let once = || {
            let began = Instant::now();
            work(pool);
            began.elapsed().as_secs_f64()
        };
        bytes as f64 / std::iter::repeat_with(once).take(STREAMS).fold(f64::INFINITY, f64::min)
    };
    let streamed = moved(3 * STREAMED * size_of::<f32>(), &mut |pool| {
        let parts: Vec<_> = a.chunks_mut(share).map(Mutex::new).collect();
        pool.run(parts.len(), &|unit, _| {
            let mut a = parts[unit].lock().unwrap_or_else(PoisonError::into_inner);
            let (b, c) = (&b[unit * share..], &c[unit * share..]);
            a.iter_mut().zip(b).zip(c).for_each(|((a, b), c)| *a = b + 0.5 * c);
        });
    });
    let read = moved(STREAMED * size_of::<f32>(), &mut |pool| {
        let parts: Vec<_> = b.chunks(share).collect();
        pool.run(parts.len(), &|unit, _| {
            let mut sums = [0.0f32; 64]; // as many as need not wait for each other
            for line in parts[unit].chunks_exact(sums.len()) {
                sums.iter_mut().zip(line).for_each(|(sum, x)| *sum += x);
            }
            std::hint::black_box(sums);
        });
    });
    streamed.max(read)
}

/// Values that a step of a chain works on: the portable path has vectors of every processor's least size.
fn lanes(isa: Isa) -> usize {
    if isa == Isa::Portable { 4 } else { isa.lanes() }
}

/// How long all rounds take.
fn seconds(isa: Isa) -> f64 {
    let start = Instant::now();
    // SAFETY: `multiply_add` made sure that this processor has the path.
    let sum = unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => fused_avx512(ROUNDS),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => fused_avx2(ROUNDS),
            _ => products_and_sums(ROUNDS),
        }
    };
    std::hint::black_box(sum);
    start.elapsed().as_secs_f64()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn fused_avx512(rounds: usize) -> f32 {
    use std::arch::x86_64::*;
    let mut sums = [_mm512_set1_ps(std::hint::black_box(1.0)); CHAINS];
    let (x, y) = (_mm512_set1_ps(std::hint::black_box(0.5)), _mm512_set1_ps(std::hint::black_box(0.25)));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, x, y);
        }
    }
    sums.iter().map(|&sum| _mm512_reduce_add_ps(sum)).sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fused_avx2(rounds: usize) -> f32 {
    use std::arch::x86_64::*;
    let mut sums = [_mm256_set1_ps(std::hint::black_box(1.0)); CHAINS];
    let (x, y) = (_mm256_set1_ps(std::hint::black_box(0.5)), _mm256_set1_ps(std::hint::black_box(0.25)));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, x, y);
        }
    }
    sums.iter().map(|&sum| _mm256_cvtss_f32(sum)).sum()
}

fn products_and_sums(rounds: usize) -> f32 {
    let mut sums = [[std::hint::black_box(1.0f32); 4]; CHAINS];
    let (x, y) = (std::hint::black_box(0.5), std::hint::black_box(0.25));
    for _ in 0..rounds {
        for sum in &mut sums {
            for lane in sum {
                *lane = *lane * x + y;
            }
        }
    }
    sums.as_flattened().iter().sum()
}
