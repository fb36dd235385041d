//! Loops of all shapes against the interpreter: strides, gathers, sums, nests, several iterations of a program's loop.

mod common;

use common::{Code, Random, affine, check, each, exactly, launch, program};
use stmc_ir::kernel::{Access, Affine, Core, Inst, LoopKind, Stmt, ValId};
use stmc_ir::program::{Binding, BufferId, KernelId, Launch, ScalarArg, Step, StepTerm};
use stmc_ir::types::DType;

fn numbers(len: usize, seed: u64) -> Vec<u32> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.number().to_bits()).collect()
}

const READ: (DType, Access) = (DType::F32, Access::Read);
const WRITE: (DType, Access) = (DType::F32, Access::Write);

/// `b1[2 i + 100 p] = b0[stride i + 50 p + 120] + b0[p]`
#[test]
fn strides_along_lanes() {
    for stride in [1, 0, -1, 2, 3, -2] {
        let mut code = Code::new();
        let (p, i) = (code.var(), code.var());
        let mut body = vec![];
        let index = affine(&[(i, stride), (p, 50)], 120);
        let x = code.define(&mut body, DType::F32, Inst::Load { param: 0, index });
        let y = code.define(&mut body, DType::F32, Inst::Load { param: 0, index: affine(&[(p, 1)], 0) });
        let sum = code.core(&mut body, Core::Add, &[x, y]);
        body.push(Stmt::Store { param: 1, index: affine(&[(i, 2), (p, 100)], 0), value: sum });
        let lanes = each(i, 43, LoopKind::Lanes, body);
        let kernel =
            code.kernel("strided", &[READ, WRITE], &[], vec![each(p, 5, LoopKind::Parallel, vec![lanes])]);
        let before = [numbers(500, 1), numbers(500, 2)];
        check("strides", &program(vec![kernel], &[500, 500], vec![launch(2)]), &before, &exactly);
    }
}

/// `b1[i] = b0[floor_mod(7 i, 30)] * i`, an index through a value.
#[test]
fn gathers_and_lane_numbers() {
    let mut code = Code::new();
    let i = code.var();
    let mut body = vec![];
    let seven = code.define(&mut body, DType::I32, Inst::Index(affine(&[(i, 7)], 0)));
    let thirty = code.define(&mut body, DType::I32, Inst::Const(DType::I32, 30));
    let at = code.core(&mut body, Core::FloorMod, &[seven, thirty]);
    let x = code.define(&mut body, DType::F32, Inst::Load { param: 0, index: affine(&[(at, 1), (i, 1)], 2) });
    let number = code.core(&mut body, Core::ToF32, &[i]);
    let y = code.core(&mut body, Core::Mul, &[x, number]);
    let moved = code.define(&mut body, DType::I32, Inst::Index(affine(&[(at, 3), (i, -1)], 50)));
    let moved = code.core(&mut body, Core::ToF32, &[moved]);
    let z = code.core(&mut body, Core::Add, &[y, moved]);
    body.push(Stmt::Store { param: 1, index: affine(&[(i, 1)], 0), value: z });
    let kernel = code.kernel("gather", &[READ, WRITE], &[], vec![each(i, 43, LoopKind::Lanes, body)]);
    check(
        "gather",
        &program(vec![kernel], &[80, 43], vec![launch(2)]),
        &[numbers(80, 1), numbers(43, 2)],
        &exactly,
    );
}

/// Sums over lanes into a local outside, with and without a serial loop inside, by each way of adding up.
#[test]
fn sums_over_lanes() {
    for (core, extent) in
        [(Core::Add, 43), (Core::Max, 43), (Core::Min, 6), (Core::Add, 3), (Core::Fma, 100), (Core::Sub, 20)]
    {
        for inner in [1, 3] {
            let mut code = Code::new();
            let (p, i, j) = (code.var(), code.var(), code.var());
            let sum = code.block.local(DType::F32);
            let mut body = vec![];
            let index = affine(&[(p, 300), (i, 1), (j, 100)], 0);
            let x = code.define(&mut body, DType::F32, Inst::Load { param: 0, index });
            let old = code.define(&mut body, DType::F32, Inst::Get(sum));
            let new = match core {
                Core::Fma => code.core(&mut body, core, &[x, x, old]),
                _ => code.core(&mut body, core, &[old, x]),
            };
            body.push(Stmt::Set { local: sum, value: new });
            let body = vec![each(j, inner, LoopKind::Serial, body)];
            let mut outer = vec![];
            let start = code.define(&mut outer, DType::F32, Inst::Const(DType::F32, 2.0f32.to_bits()));
            outer.push(Stmt::Set { local: sum, value: start });
            outer.push(each(i, extent, LoopKind::Lanes, body));
            let value = code.define(&mut outer, DType::F32, Inst::Get(sum));
            outer.push(Stmt::Store { param: 1, index: affine(&[(p, 1)], 0), value });
            let nest = each(p, 4, LoopKind::Parallel, outer);
            let kernel = code.kernel(core.name(), &[READ, WRITE], &[], vec![nest]);
            let before = [numbers(1200, 1), numbers(4, 2)];
            check("sum", &program(vec![kernel], &[1200, 4], vec![launch(2)]), &before, &exactly);
        }
    }
}

/// A running sum that is stored on the way must stay in order.
#[test]
fn sums_that_are_looked_at_stay_in_order() {
    let mut code = Code::new();
    let i = code.var();
    let sum = code.block.local(DType::F32);
    let mut body = vec![];
    let x = code.define(&mut body, DType::F32, Inst::Load { param: 0, index: affine(&[(i, 1)], 0) });
    let old = code.define(&mut body, DType::F32, Inst::Get(sum));
    let new = code.core(&mut body, Core::Add, &[old, x]);
    body.push(Stmt::Set { local: sum, value: new });
    body.push(Stmt::Store { param: 1, index: affine(&[(i, 1)], 0), value: old });
    let kernel = code.kernel("running", &[READ, WRITE], &[], vec![each(i, 43, LoopKind::Lanes, body)]);
    check(
        "running",
        &program(vec![kernel], &[43, 43], vec![launch(2)]),
        &[numbers(43, 1), numbers(43, 2)],
        &exactly,
    );
}

/// A product of matrices with the columns along lanes, the sum private to each lane.
#[test]
fn serial_loops_inside_lanes() {
    let mut code = Code::new();
    let (m, n, k) = (code.var(), code.var(), code.var());
    let sum = code.block.local(DType::F32);
    let mut inner = vec![];
    let a = code.define(&mut inner, DType::F32, Inst::Load { param: 0, index: affine(&[(m, 9), (k, 1)], 0) });
    let b =
        code.define(&mut inner, DType::F32, Inst::Load { param: 1, index: affine(&[(k, 43), (n, 1)], 0) });
    let old = code.define(&mut inner, DType::F32, Inst::Get(sum));
    let new = code.core(&mut inner, Core::Fma, &[a, b, old]);
    inner.push(Stmt::Set { local: sum, value: new });
    let mut body = vec![];
    let zero = code.define(&mut body, DType::F32, Inst::Const(DType::F32, 0));
    body.push(Stmt::Set { local: sum, value: zero });
    body.push(each(k, 9, LoopKind::Serial, inner));
    let value = code.define(&mut body, DType::F32, Inst::Get(sum));
    body.push(Stmt::Store { param: 2, index: affine(&[(m, 43), (n, 1)], 0), value });
    let nest = each(m, 7, LoopKind::Parallel, vec![each(n, 43, LoopKind::Lanes, body)]);
    let kernel = code.kernel("product", &[READ, READ, WRITE], &[], vec![nest]);
    let before = [numbers(63, 1), numbers(387, 2), numbers(301, 3)];
    check("product", &program(vec![kernel], &[63, 387, 301], vec![launch(3)]), &before, &exactly);
}

/// Enough work for several units; a nest of three, and lanes that are split between threads.
#[test]
fn large_kernels_are_shared() {
    let mut code = Code::new();
    let (a, b, c, i) = (code.var(), code.var(), code.var(), code.var());
    let mut body = vec![];
    let index = |constant| affine(&[(a, 6400), (b, 640), (c, 64), (i, 1)], constant);
    let x = code.define(&mut body, DType::F32, Inst::Load { param: 0, index: index(0) });
    let y = code.core(&mut body, Core::Tanh, &[x]);
    body.push(Stmt::Store { param: 1, index: index(0), value: y });
    let lanes = each(i, 64, LoopKind::Lanes, body);
    let nest = [c, b, a].into_iter().zip([10, 10, 12]);
    let nest = nest.fold(lanes, |inner, (var, extent)| each(var, extent, LoopKind::Parallel, vec![inner]));
    let near = |is: u32, wanted: u32| is.abs_diff(wanted) <= 2;
    let len = 76_800;
    let before = [numbers(len, 1), numbers(len, 2)];
    let nested = code.kernel("nest", &[READ, WRITE], &[], vec![nest]);
    check("nest", &program(vec![nested], &[len, len], vec![launch(2)]), &before, &near);

    let mut code = Code::new();
    let i = code.var();
    let mut body = vec![];
    let x = code.define(&mut body, DType::F32, Inst::Load { param: 0, index: Affine::term(i, 1) });
    let number = code.core(&mut body, Core::ToF32, &[i]);
    let y = code.core(&mut body, Core::Mul, &[x, number]);
    body.push(Stmt::Store { param: 1, index: Affine::term(i, 1), value: y });
    let flat = code.kernel("flat", &[READ, WRITE], &[], vec![each(i, len, LoopKind::Lanes, body)]);
    check("flat", &program(vec![flat], &[len, len], vec![launch(2)]), &before, &exactly);
}

/// Booleans in memory are 0 and 1, in lanes and alone.
#[test]
fn booleans() {
    for kind in [LoopKind::Lanes, LoopKind::Serial] {
        let mut code = Code::new();
        let i = code.var();
        let mut body = vec![];
        let at = Affine::term(i, 1);
        let x = code.define(&mut body, DType::Bool, Inst::Load { param: 0, index: at.clone() });
        let y = code.define(&mut body, DType::Bool, Inst::Load { param: 0, index: Affine::constant(3) });
        let not = code.core(&mut body, Core::Not, &[x]);
        let any = code.core(&mut body, Core::Or, &[not, y]);
        let chosen = code.core(&mut body, Core::Select, &[y, x, any]);
        body.push(Stmt::Store { param: 1, index: at.clone(), value: any });
        body.push(Stmt::Store { param: 2, index: at, value: chosen });
        let params =
            [(DType::Bool, Access::Read), (DType::Bool, Access::Write), (DType::Bool, Access::Write)];
        let kernel = code.kernel("booleans", &params, &[], vec![each(i, 43, kind, body)]);
        let mut random = Random::new(5);
        let before = [(0..43).map(|_| random.bits() & 1).collect(), vec![9; 43], vec![9; 43]];
        check("booleans", &program(vec![kernel], &[43; 3], vec![launch(3)]), &before, &exactly);
    }
}

/// A program's loop with moving bindings, a carry in two slots, and all kinds of run-time scalars.
#[test]
fn loops_of_a_program() {
    let mut code = Code::new();
    let i = code.var();
    let mut body = vec![];
    let x = code.define(&mut body, DType::F32, Inst::Load { param: 0, index: Affine::term(i, 1) });
    let carry = code.define(&mut body, DType::F32, Inst::Load { param: 1, index: Affine::term(i, 1) });
    let factor = code.define(&mut body, DType::F32, Inst::Scalar(0));
    let scalars: Vec<ValId> = (1..6).map(|s| code.define(&mut body, DType::I32, Inst::Scalar(s))).collect();
    let bits = scalars.iter().skip(1).fold(scalars[0], |sum, &s| code.core(&mut body, Core::Add, &[sum, s]));
    let mask = code.define(&mut body, DType::I32, Inst::Const(DType::I32, 64));
    let bits = code.core(&mut body, Core::FloorMod, &[bits, mask]);
    let bits = code.core(&mut body, Core::ToF32, &[bits]);
    let product = code.core(&mut body, Core::Mul, &[carry, factor]);
    let sum = code.core(&mut body, Core::Add, &[product, x]);
    let sum = code.core(&mut body, Core::Add, &[sum, bits]);
    body.push(Stmt::Store { param: 2, index: Affine::term(i, 1), value: sum });
    body.push(Stmt::Store { param: 3, index: Affine::term(i, 1), value: sum });
    let scalars = [DType::F32, DType::I32, DType::I32, DType::I32, DType::I32, DType::I32];
    let kernel =
        code.kernel("step", &[READ, READ, WRITE, WRITE], &scalars, vec![each(i, 19, LoopKind::Lanes, body)]);

    let step = |stride, shift, modulo| StepTerm { depth: 0, stride, shift, modulo };
    let binding =
        |buffer, base, step| Binding { buffer: BufferId::from_index(buffer), base, steps: vec![step] };
    let launch = Step::Launch(Launch {
        kernel: KernelId::from_index(0),
        buffers: vec![
            binding(0, 100, step(-20, 0, None)),
            binding(1, 0, step(20, 0, Some(2))),
            binding(1, 0, step(20, 1, Some(2))),
            binding(2, 0, step(20, 0, None)),
        ],
        scalars: vec![
            ScalarArg::Host(0),
            ScalarArg::Iteration { depth: 0, reversed: None },
            ScalarArg::Iteration { depth: 0, reversed: Some(6) },
            ScalarArg::SeedLow,
            ScalarArg::SeedHigh,
            ScalarArg::Update,
        ],
        spans: vec![],
    });
    let fill = Step::Fill { to: binding(3, 0, step(3, 0, None)), len: 2, bits: 7 };
    let (from, to) = (binding(2, 0, step(20, 0, None)), binding(4, 10, step(1, 0, None)));
    let copy = Step::Copy { from, to, len: 5 };
    let steps = vec![Step::Loop { count: 6, body: vec![launch, fill, copy] }];
    let lens = [120, 40, 120, 20, 30];
    let before: Vec<_> = lens.iter().zip(1..).map(|(&len, seed)| numbers(len, seed)).collect();
    check("loop", &program(vec![kernel], &lens, steps), &before, &exactly);
}

/// Loops of random shape, order, strides and instructions.
#[test]
fn random_kernels() {
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let mut code = Code::new();
        let vars: Vec<ValId> = (0..3).map(|_| code.var()).collect();
        let extents = [1 + random.below(4), 1 + random.below(4), 1 + random.below(40)];
        let strides = [200, 45, 1];
        let out = affine(&[(vars[0], strides[0]), (vars[1], strides[1]), (vars[2], strides[2])], 0);
        let mut body = vec![];
        let mut values: Vec<ValId> = (0..3)
            .map(|_| {
                let terms: Vec<_> = vars.iter().map(|&var| (var, random.below(4) as i64 * 7 % 5)).collect();
                code.define(
                    &mut body,
                    DType::F32,
                    Inst::Load { param: 0, index: affine(&terms, random.below(50) as i64) },
                )
            })
            .collect();
        for _ in 0..random.below(12) {
            let core = [Core::Add, Core::Sub, Core::Min, Core::Max, Core::Neg, Core::Abs, Core::Floor]
                [random.below(7)];
            let args: Vec<ValId> = (0..core.arity()).map(|_| values[random.below(values.len())]).collect();
            let value = code.core(&mut body, core, &args);
            values.push(value);
        }
        let value = values[values.len() - 1];
        body.push(Stmt::Store { param: 1, index: out, value });
        let kinds =
            [[LoopKind::Parallel, LoopKind::Serial], [LoopKind::Serial, LoopKind::Serial]][random.below(2)];
        let inner = if random.below(4) == 0 { LoopKind::Serial } else { LoopKind::Lanes };
        let stmt = each(vars[2], extents[2], inner, body);
        let stmt = each(vars[1], extents[1], kinds[1], vec![stmt]);
        let stmt = each(vars[0], extents[0], kinds[0], vec![stmt]);
        let kernel = code.kernel("random", &[READ, WRITE], &[], vec![stmt]);
        let before = [numbers(400, seed + 1), numbers(1000, 7)];
        check(
            &format!("seed {seed}"),
            &program(vec![kernel], &[400, 1000], vec![launch(2)]),
            &before,
            &exactly,
        );
    }
}

/// Nests of parallel loops around lanes, which may be put into another order: results that walk memory in any order,
/// short lanes, values between the loops.
#[test]
fn nests_are_put_in_order() {
    for seed in 0..120 {
        let mut random = Random::new(1000 + seed);
        let mut code = Code::new();
        let count = 2 + random.below(3);
        let loops: Vec<(ValId, usize)> =
            (0..count).map(|_| (code.var(), [1, 2, 3, 4, 7, 16, 20][random.below(7)])).collect();
        let dense = |order: &[usize]| {
            let mut stride = 1;
            let mut terms = vec![];
            for &i in order.iter().rev() {
                terms.push((loops[i].0, stride));
                stride *= loops[i].1 as i64;
            }
            affine(&terms, 0)
        };
        let order = |random: &mut Random| {
            let mut order: Vec<usize> = (0..count).collect();
            for i in (1..count).rev() {
                order.swap(i, random.below(i + 1));
            }
            order
        };
        let (plain, mixed): (Vec<usize>, Vec<usize>) = ((0..count).collect(), order(&mut random));
        let mut before = vec![];
        let outer =
            code.define(&mut before, DType::F32, Inst::Load { param: 0, index: Affine::term(loops[0].0, 3) });
        let mut body = vec![];
        let read = if random.below(2) == 0 { &plain } else { &mixed };
        let x = code.define(&mut body, DType::F32, Inst::Load { param: 0, index: dense(read) });
        let mut y = code.core(&mut body, Core::Sub, &[x, outer]);
        if random.below(3) == 0 {
            let number = code.core(&mut body, Core::ToF32, &[loops[random.below(count)].0]);
            y = code.core(&mut body, Core::Add, &[y, number]);
        }
        let write = if random.below(2) == 0 { &plain } else { &mixed };
        body.push(Stmt::Store { param: 1, index: dense(write), value: y });
        let (lanes, rest) = loops.split_last().expect("there are loops");
        before.push(each(lanes.0, lanes.1, LoopKind::Lanes, body));
        let nest = rest
            .iter()
            .rev()
            .fold(before, |body, &(var, extent)| vec![each(var, extent, LoopKind::Parallel, body)]);
        let len = loops.iter().map(|(_, extent)| extent).product();
        let kernel = code.kernel("nest", &[READ, WRITE], &[], nest);
        let before = [numbers(len + 60, seed), numbers(len, 2)];
        check(
            &format!("seed {seed}"),
            &program(vec![kernel], &[len + 60, len], vec![launch(2)]),
            &before,
            &exactly,
        );
    }
}

/// Functions on tiles of iterations: one after the other, summed up, in place, with what is the same for a whole row.
#[test]
fn functions_run_in_stages() {
    let near = |is: u32, wanted: u32| {
        let (x, y) = (f32::from_bits(is), f32::from_bits(wanted));
        (x - y).abs() <= 1e-5 * (1.0 + y.abs())
    };
    for (rows, extent) in [(6, 43), (40, 32), (3, 2000), (1, 1500), (12, 5), (7, 1)] {
        for sums in [false, true] {
            let mut code = Code::new();
            let (p, i) = (code.var(), code.var());
            let sum = code.block.local(DType::F32);
            let index = affine(&[(p, extent as i64), (i, 1)], 0);
            let mut before = vec![];
            if sums {
                let zero = code.define(&mut before, DType::F32, Inst::Const(DType::F32, 0));
                before.push(Stmt::Set { local: sum, value: zero });
            }
            let row =
                code.define(&mut before, DType::F32, Inst::Load { param: 1, index: Affine::term(p, 1) });
            let row = code.core(&mut before, Core::Tanh, &[row]);
            let mut body = vec![];
            let x = code.define(&mut body, DType::F32, Inst::Load { param: 0, index: index.clone() });
            let bias = code.define(&mut body, DType::F32, Inst::Load { param: 1, index: Affine::term(i, 1) });
            let x = code.core(&mut body, Core::Add, &[x, bias]);
            let inner = code.core(&mut body, Core::Tanh, &[x]);
            let between = code.core(&mut body, Core::Sub, &[inner, row]);
            let outer = code.core(&mut body, Core::Exp, &[between]);
            let wave = code.core(&mut body, Core::Sin, &[x]);
            let y = code.core(&mut body, Core::Mul, &[outer, wave]);
            let y = code.core(&mut body, Core::Add, &[y, inner]);
            body.push(Stmt::Store { param: 0, index: index.clone(), value: y });
            if sums {
                let old = code.define(&mut body, DType::F32, Inst::Get(sum));
                let new = code.core(&mut body, Core::Add, &[old, outer]);
                body.push(Stmt::Set { local: sum, value: new });
            }
            before.push(each(i, extent, LoopKind::Lanes, body));
            if sums {
                let all = code.define(&mut before, DType::F32, Inst::Get(sum));
                before.push(Stmt::Store { param: 2, index: Affine::term(p, 1), value: all });
            }
            let nest = each(p, rows, LoopKind::Parallel, before);
            let params = [(DType::F32, Access::ReadWrite), READ, WRITE];
            let kernel = code.kernel("stages", &params, &[], vec![nest]);
            let lens = [rows * extent, 2000, 40];
            let before: Vec<_> = lens.iter().zip(1..).map(|(&len, seed)| numbers(len, seed)).collect();
            check(
                &format!("{rows} x {extent}"),
                &program(vec![kernel], &lens, vec![launch(3)]),
                &before,
                &near,
            );
        }
    }
}
