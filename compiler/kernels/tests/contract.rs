//! Contractions against the plain triple loop, on every path that this processor has.
#![allow(unsafe_code)] // The interface under test works on raw memory.

use stmc_kernels::{Buffers, Contraction, ContractionSpec, Isa, Pool, Start, View};

/// The memory of a case: values that need no rounding, so that every order of summation gives the same result.
fn values(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) % 17
    };
    (0..len).map(|_| next() as f32 - 8.0).collect()
}

/// Elements before offset 0 in each buffer, for views with negative offsets.
const MARGIN: usize = 5000;

struct Case {
    name: String,
    spec: ContractionSpec,
}

impl Case {
    fn new(name: impl Into<String>, spec: ContractionSpec) -> Case {
        Case { name: name.into(), spec }
    }

    fn len(&self, operand: usize) -> usize {
        let view = [&self.spec.a, &self.spec.b, &self.spec.c][operand];
        let (least, greatest) = view.reach().unwrap_or((0, 0));
        let batch = self.spec.batches.iter().map(|offsets| i64::from(offsets[operand])).max().unwrap_or(0);
        assert!(least >= -(MARGIN as i64), "the case fits the margin");
        MARGIN + (greatest + batch + 1) as usize
    }

    fn expected(&self, a: &[f32], b: &[f32], c: &mut [f32]) {
        let at = |base: i32, row: i32, col: i32| (MARGIN as i32 + base + row + col) as usize;
        let spec = &self.spec;
        for &[batch_a, batch_b, batch_c] in &spec.batches {
            for (&row, &c_row) in spec.a.rows.iter().zip(&spec.c.rows) {
                for (&col, &c_col) in spec.b.cols.iter().zip(&spec.c.cols) {
                    let products = spec.a.cols.iter().zip(&spec.b.rows);
                    let sum: f32 = products
                        .map(|(&k, &b_row)| a[at(batch_a, row, k)] * b[at(batch_b, b_row, col)])
                        .sum();
                    let place = &mut c[at(batch_c, c_row, c_col)];
                    *place = if spec.start == Start::C { *place + sum } else { sum };
                }
            }
        }
    }
}

fn run(case: &Case, isa: Isa, threads: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    let contraction = Contraction::new(case.spec.clone(), isa);
    let mut pool = Pool::new(threads);
    // One element more than asked for, to see that it stays.
    let mut memory =
        [contraction.packed_len(), contraction.partial_len(), contraction.scratch_len() * threads]
            .map(|len| vec![f32::MAX; len + 1]);
    let [packed, partial, scratch] = &mut memory;
    let buffers = Buffers {
        a: a[MARGIN..].as_ptr(),
        b: b[MARGIN..].as_ptr(),
        c: c[MARGIN..].as_mut_ptr(),
        packed: packed.as_mut_ptr(),
        partial: partial.as_mut_ptr(),
    };
    // SAFETY: `len` made the buffers as long as the views reach.
    unsafe { contraction.run(&mut pool, &buffers, scratch.as_mut_ptr()) };
    assert!(memory.iter().all(|buffer| buffer.last() == Some(&f32::MAX)), "{}: wrote too far", case.name);
}

fn check(cases: &[Case]) {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for case in cases {
            let (a, b) = (values(case.len(0), 1), values(case.len(1), 2));
            let before = values(case.len(2), 3);
            let mut expected = before.clone();
            case.expected(&a, &b, &mut expected);
            for threads in [1, 2] {
                let mut c = before.clone();
                run(case, isa, threads, &a, &b, &mut c);
                let wrong = c.iter().zip(&expected).position(|(c, expected)| c != expected);
                assert_eq!(
                    wrong,
                    None,
                    "{} on {}, {threads} threads: first wrong element",
                    case.name,
                    isa.name()
                );
            }
        }
    }
}

fn product(m: usize, n: usize, k: usize) -> ContractionSpec {
    let a = View::strided(m, k as i32, k, 1);
    let b = View::strided(k, n as i32, n, 1);
    ContractionSpec::new(a, b, View::strided(m, n as i32, n, 1))
}

/// A view of four axes in two groups: `[[(len, stride), ...], [...]]`.
fn grouped(rows: &[(usize, i32)], cols: &[(usize, i32)], base: i32) -> View {
    let offsets = |axes: &[(usize, i32)], base: i32| {
        axes.iter().fold(vec![base], |offsets, &(len, stride)| {
            offsets.iter().flat_map(|&o| (0..len as i32).map(move |i| o + i * stride)).collect()
        })
    };
    View { rows: offsets(rows, base), cols: offsets(cols, 0) }
}

struct Conv {
    batch: usize,
    side: usize,
    stride: usize,
    kernel: usize,
    c_in: usize,
    c_out: usize,
}

impl Conv {
    fn padded(&self) -> usize {
        self.side * self.stride + self.kernel - 1
    }

    /// Rows are result pixels, columns are places of the window.
    fn patches(&self) -> View {
        let (p, c) = (self.padded() as i32, self.c_in as i32);
        let s = self.stride as i32;
        grouped(
            &[(self.batch, p * p * c), (self.side, s * p * c), (self.side, s * c)],
            &[(self.kernel, p * c), (self.kernel, c), (self.c_in, 1)],
            0,
        )
    }

    fn forward(&self) -> ContractionSpec {
        let a = self.patches();
        let (m, k, n) = (a.rows.len(), a.cols.len(), self.c_out as i32);
        ContractionSpec::new(a, View::strided(k, n, self.c_out, 1), View::strided(m, n, self.c_out, 1))
    }

    fn weight_gradient(&self) -> ContractionSpec {
        let View { rows, cols } = self.patches();
        let (m, k, n) = (cols.len(), rows.len(), self.c_out as i32);
        let a = View { rows: cols, cols: rows };
        ContractionSpec::new(a, View::strided(k, n, self.c_out, 1), View::strided(m, n, self.c_out, 1))
    }
}

#[test]
fn products() {
    let sizes = [
        (1, 1, 1),
        (1, 17, 5),
        (5, 1, 9),
        (7, 9, 1),
        (13, 31, 33),
        (64, 64, 64),
        (45, 100, 70),
        (200, 129, 37),
        (3, 300, 257),
        (100, 16, 1500),
        (129, 70, 3000),
        (32, 192, 64),
        (6, 40, 9000),
        (1, 1, 5000),
        (40, 33, 0),
    ];
    let case = |(m, n, k)| Case::new(format!("{m} x {n} x {k}"), product(m, n, k));
    check(&sizes.map(case));
}

#[test]
fn transposed_operands() {
    let (m, n, k) = (50, 67, 39);
    let a = [View::strided(m, k as i32, k, 1), View::strided(m, 1, k, m as i32)];
    let b = [View::strided(k, n as i32, n, 1), View::strided(k, 1, n, k as i32)];
    let c = [View::strided(m, n as i32, n, 1), View::strided(m, 1, n, m as i32)];
    let cases = (0..8).map(|i| {
        let (a, b, c) = (a[i & 1].clone(), b[i >> 1 & 1].clone(), c[i >> 2].clone());
        Case::new(format!("transposition {i:03b}"), ContractionSpec::new(a, b, c))
    });
    check(&cases.collect::<Vec<_>>());
}

#[test]
fn negative_strides() {
    let (m, n, k) = (30, 35, 20);
    let a = View::strided(m, -(k as i32), k, 1);
    let b = View::strided(k, -(n as i32), n, -1);
    let c = View::strided(m, n as i32, n, -1);
    check(&[Case::new("reversed", ContractionSpec::new(a, b, c))]);
}

#[test]
fn sums_that_start_from_c() {
    let sizes = [(40, 50, 60), (20, 24, 9000), (70, 64, 2500)];
    let spec = |(m, n, k)| ContractionSpec { start: Start::C, ..product(m, n, k) };
    let mut cases: Vec<_> = sizes.into_iter().map(|size| Case::new("from C", spec(size))).collect();
    let transposed = ContractionSpec { c: View::strided(70, 1, 64, 70), ..spec((70, 64, 2500)) };
    cases.push(Case::new("from a transposed C", transposed));
    check(&cases);
}

#[test]
fn batches() {
    let (m, n, k) = (33, 20, 17);
    let member = |i: usize| [i * m * k, i * k * n, (3 - i) * m * n].map(|offset| offset as i32);
    let spec = ContractionSpec { batches: (0..4).map(member).collect(), ..product(m, n, k) };
    // So many rows that B is packed in a step of its own.
    let tall = ContractionSpec { batches: vec![[0; 3], [5100, 340, 6000]], ..product(300, n, k) };
    let long = product(9, 8, 9000);
    let twice = ContractionSpec { batches: vec![[0; 3], [81_000, 72_000, 72]], ..long };
    check(&[Case::new("batch", spec), Case::new("tall batch", tall), Case::new("long batch", twice)]);
}

#[test]
fn convolutions() {
    let shapes = [
        (2, 9, 1, 3, 5, 7),
        (1, 8, 2, 3, 16, 33),
        (2, 6, 1, 5, 3, 64),
        (1, 5, 2, 5, 8, 48),
        (3, 16, 1, 3, 36, 128),
    ];
    let cases = shapes.into_iter().flat_map(|(batch, side, stride, kernel, c_in, c_out)| {
        let conv = Conv { batch, side, stride, kernel, c_in, c_out };
        let name = format!("{side} x {side}, stride {stride}, kernel {kernel}");
        [Case::new(name.clone(), conv.forward()), Case::new(name + ", gradient", conv.weight_gradient())]
    });
    check(&cases.collect::<Vec<_>>());
}

#[test]
fn threads_do_not_change_a_bit() {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for spec in [product(150, 90, 700), product(20, 30, 9000), product(32, 384, 128)] {
            let case = Case::new("bits", spec);
            let thirds = |values: Vec<f32>| -> Vec<f32> { values.iter().map(|value| value / 3.0).collect() };
            let (a, b) = (thirds(values(case.len(0), 1)), thirds(values(case.len(1), 2)));
            let results = [1, 2, 3].map(|threads| {
                let mut c = vec![0.0; case.len(2)];
                run(&case, isa, threads, &a, &b, &mut c);
                c.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
            });
            assert!(results.iter().all(|result| *result == results[0]), "{}", isa.name());
        }
    }
}
