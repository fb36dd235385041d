//! Prints the speed of contractions beside the peak of the processor: `cargo run -r -p stmc-kernels --example peak`.
#![allow(unsafe_code)] // Contractions work on raw memory.

use std::time::Instant;
use stmc_kernels::peak::multiply_add;
use stmc_kernels::{Buffers, Contraction, ContractionSpec, Isa, Pool, View};

fn main() {
    let isa = Isa::from_env().unwrap_or_else(|message| panic!("{message}"));
    let threads = std::env::args().nth(1).map_or(1, |threads| threads.parse().expect("a number of threads"));
    let mut pool = Pool::new(threads);
    println!(
        "{} on {threads} thread(s), packing included; the peak is measured anew for each line",
        isa.name()
    );
    for (name, spec) in cases() {
        let before = multiply_add(isa, &mut pool);
        let speed = speed(&spec, isa, &mut pool);
        let peak = before.max(multiply_add(isa, &mut pool));
        println!(
            "{name:42} {:6.0} of {:4.0} GFLOP/s  {:3.0} %",
            speed * 1e-9,
            peak * 1e-9,
            100.0 * speed / peak
        );
    }
}

fn cases() -> Vec<(String, ContractionSpec)> {
    let mut cases = Vec::new();
    for (m, k, n) in [
        (9216, 576, 64),
        (512, 512, 512),
        (36_864, 1152, 128),
        (32, 128, 384),
        (32, 512, 1536),
        (256, 784, 1024),
        (2048, 7168, 128),
        (24, 27_648, 384),
    ] {
        cases.push((format!("product {m} x {k} x {n}"), product(m, n, k)));
    }
    let mut gradient = product(7168, 128, 2048);
    gradient.a = View::strided(7168, 1, 2048, 7168);
    cases.push(("the weight gradient of the last".into(), gradient));
    let mut wide = product(24, 27_648, 384);
    wide.b = View::strided(384, 1, 27_648, 384);
    cases.push(("product 24 x 384 x 27648, B transposed".into(), wide));
    let mut outer = product(27_648, 384, 24);
    outer.a = View::strided(27_648, 1, 24, 27_648);
    cases.push(("product 27648 x 24 x 384, A transposed".into(), outer));
    for (side, c_in, c_out) in [(16, 36, 128), (32, 36, 128), (16, 64, 128), (32, 64, 128), (32, 64, 64)] {
        let [forward, gradient] = convolution(16, side, c_in, c_out);
        cases.push((format!("convolution {side} x {side}, {c_in} to {c_out}"), forward));
        cases.push((format!("its weight gradient {side}, {c_in} to {c_out}"), gradient));
    }
    let mut attention = product(64, 64, 64);
    attention.batches = (0..256).map(|i| [i * 4096; 3]).collect();
    cases.push(("256 products of 64 x 64 x 64".into(), attention.clone()));
    attention.b = View::strided(64, 1, 64, 64);
    cases.push(("256 products of 64 x 64 x 64, B transposed".into(), attention));
    cases
}

fn product(m: usize, n: usize, k: usize) -> ContractionSpec {
    let (a, b) = (View::strided(m, k as i32, k, 1), View::strided(k, n as i32, n, 1));
    ContractionSpec::new(a, b, View::strided(m, n as i32, n, 1))
}

/// A 3 x 3 convolution, channels last, with its halo in the buffer; and its weight gradient.
fn convolution(batch: usize, side: usize, c_in: usize, c_out: usize) -> [ContractionSpec; 2] {
    let (p, c) = ((side + 2) as i32, c_in as i32);
    let rows = offsets(&[(batch, p * p * c), (side, p * c), (side, c)]);
    let cols = offsets(&[(3, p * c), (3, c), (c_in, 1)]);
    let b = |rows: usize| View::strided(rows, c_out as i32, c_out, 1);
    let forward =
        ContractionSpec::new(View { rows: rows.clone(), cols: cols.clone() }, b(cols.len()), b(rows.len()));
    let (m, k) = (cols.len(), rows.len());
    [forward, ContractionSpec::new(View { rows: cols, cols: rows }, b(k), b(m))]
}

fn offsets(axes: &[(usize, i32)]) -> Vec<i32> {
    axes.iter().fold(vec![0], |offsets, &(len, stride)| {
        offsets.iter().flat_map(|&offset| (0..len as i32).map(move |i| offset + i * stride)).collect()
    })
}

/// The best of many runs, packing included.
fn speed(spec: &ContractionSpec, isa: Isa, pool: &mut Pool) -> f64 {
    let contraction = Contraction::new(spec.clone(), isa);
    let buffer = |view: &View, operand: usize| {
        let last = spec.batches.iter().map(|offsets| i64::from(offsets[operand])).max().unwrap_or(0);
        vec![0.5f32; (view.reach().expect("there are elements").1 + last + 1) as usize]
    };
    let (a, b, mut c) = (buffer(&spec.a, 0), buffer(&spec.b, 1), buffer(&spec.c, 2));
    let mut packed = vec![0.0; contraction.packed_len()];
    let mut partial = vec![0.0; contraction.partial_len()];
    let mut scratch = vec![0.0; contraction.scratch_len() * pool.threads()];
    let buffers = Buffers {
        a: a.as_ptr(),
        b: b.as_ptr(),
        c: c.as_mut_ptr(),
        packed: packed.as_mut_ptr(),
        partial: partial.as_mut_ptr(),
    };
    let flops = 2.0 * (spec.batches.len() * spec.a.rows.len() * spec.a.cols.len() * spec.b.cols.len()) as f64;
    let runs = (1e10 / flops).clamp(5.0, 20_000.0) as usize;
    let mut best = f64::INFINITY;
    for _ in 0..runs {
        let start = Instant::now();
        // SAFETY: buffers are as long as views and contraction ask.
        unsafe { contraction.run(pool, &buffers, scratch.as_mut_ptr()) };
        best = best.min(start.elapsed().as_secs_f64());
    }
    flops / best
}
