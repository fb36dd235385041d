//! Contractions of the kernel IR against their loops in the interpreter.

mod common;

use common::{Random, check, exactly, launch, program};
use stmc_ir::kernel::{Access, Body, Contraction, Kernel, Operand, Param};
use stmc_ir::types::DType;

/// Extents of a group of loops with the strides in its two tensors.
type Group<'a> = &'a [(usize, i64, i64)];

/// `g` has a third stride: the result's.
fn contraction(g: &[(usize, [i64; 3])], m: Group<'_>, n: Group<'_>, k: Group<'_>) -> Contraction {
    let extents = |group: Group<'_>| group.iter().map(|axis| axis.0).collect();
    let first = |group: Group<'_>| group.iter().map(|axis| axis.1).collect::<Vec<_>>();
    let second = |group: Group<'_>| group.iter().map(|axis| axis.2).collect::<Vec<_>>();
    let batch = |of: usize| g.iter().map(|axis| axis.1[of]).collect::<Vec<_>>();
    let operand = |param, offset, batch_of, second, third| Operand {
        param,
        offset,
        first: batch(batch_of),
        second,
        third,
    };
    Contraction {
        g: g.iter().map(|axis| axis.0).collect(),
        m: extents(m),
        n: extents(n),
        k: extents(k),
        a: operand(0, 3, 0, first(m), first(k)),
        b: operand(1, 0, 1, first(n), second(k)),
        out: operand(2, 5, 2, second(m), second(n)),
        accumulate: false,
    }
}

fn reach(offset: i64, groups: [(&[usize], &[i64]); 3]) -> usize {
    let last = groups.iter().flat_map(|(extents, strides)| extents.iter().zip(*strides));
    (offset + 1 + last.map(|(&extent, &stride)| (extent as i64 - 1) * stride.max(0)).sum::<i64>()) as usize
}

fn verify(name: &str, c: &Contraction) {
    let lens = [
        reach(c.a.offset, [(&c.g, &c.a.first), (&c.m, &c.a.second), (&c.k, &c.a.third)]),
        reach(c.b.offset, [(&c.g, &c.b.first), (&c.n, &c.b.second), (&c.k, &c.b.third)]),
        reach(c.out.offset, [(&c.g, &c.out.first), (&c.m, &c.out.second), (&c.n, &c.out.third)]),
    ];
    let access = [Access::Read, Access::Read, if c.accumulate { Access::ReadWrite } else { Access::Write }];
    let params = access.map(|access| Param { dtype: DType::F32, access }).to_vec();
    let kernel = Kernel { name: name.into(), params, scalars: vec![], body: Body::Contraction(c.clone()) };
    let mut random = Random::new(9);
    let before: Vec<Vec<u32>> =
        lens.iter().map(|&len| (0..len).map(|_| random.number().to_bits()).collect()).collect();
    check(name, &program(vec![kernel], &lens, vec![launch(3)]), &before, &exactly);
}

#[test]
fn products_in_all_layouts() {
    for accumulate in [false, true] {
        for (m, n, k) in
            [(30, 40, 20), (1, 50, 33), (50, 1, 33), (70, 5, 9), (5, 70, 9), (2, 2, 300), (1, 1, 1)]
        {
            for layout in 0..8 {
                let strides = |bit: usize, rows: i64, cols: i64| {
                    if layout >> bit & 1 == 0 { (cols, 1) } else { (1, rows) }
                };
                let (a, b, c) = (strides(0, m, k), strides(1, n, k), strides(2, m, n));
                let groups = [(m, a.0, c.0), (n, b.0, c.1), (k, a.1, b.1)];
                let [m_loop, n_loop, k_loop] = groups.map(|(extent, x, y)| [(extent as usize, x, y)]);
                let c = Contraction { accumulate, ..contraction(&[], &m_loop, &n_loop, &k_loop) };
                verify(&format!("{m} x {n} x {k}, layout {layout:03b}"), &c);
            }
        }
    }
}

#[test]
fn convolutions_and_their_gradients() {
    let (batch, side, c_in, c_out, taps) = (2i64, 6i64, 5i64, 24i64, 3i64);
    let p = side + taps - 1;
    let pixels = [(batch, p * p * c_in), (side, p * c_in), (side, c_in)];
    let window = [(taps, p * c_in), (taps, c_in), (c_in, 1)];
    let out = [side * side * c_out, side * c_out, c_out];
    let weights = [taps * c_in * c_out, c_in * c_out, c_out];
    let group = |loops: [(i64, i64); 3], other: [i64; 3]| -> Vec<(usize, i64, i64)> {
        loops.iter().zip(other).map(|(&(extent, stride), other)| (extent as usize, stride, other)).collect()
    };
    let forward = contraction(&[], &group(pixels, out), &[(c_out as usize, 1, 1)], &group(window, weights));
    verify("convolution", &forward);
    let gradient = contraction(&[], &group(window, weights), &[(c_out as usize, 1, 1)], &group(pixels, out));
    verify("weight gradient", &Contraction { accumulate: true, ..gradient });
}

#[test]
fn batches_and_sums_over_several_axes() {
    let g = [(3, [400, 0, 250]), (2, [200, 300, 125])];
    let c = contraction(&g, &[(5, 40, 25)], &[(25, 1, 1)], &[(4, 10, 75), (3, 3, 25)]);
    verify("batch", &c);
    let long = contraction(&[], &[(9, 1, 30)], &[(30, 1, 1)], &[(50, 900, 3000), (100, 9, 30)]);
    verify("long sums", &Contraction { accumulate: true, ..long });
    let reversed = contraction(&[], &[(6, 4, 9)], &[(9, 1, 1)], &[(4, 1, 9)]);
    verify("plain", &reversed);
}
