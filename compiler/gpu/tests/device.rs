//! What the device does is what the interpreter of programs does.
#![cfg(feature = "gpu")]

mod common;

use common::{
    Builder, Code, bias_gelu, bits, contraction, device, floats, folds, instruction, launch, row_softmax,
    run, signatures,
};
use stmc_ir::device::{Device, Scalars};
use stmc_ir::kernel::{
    Access, Affine, Body, Contraction, Core, Inst, Kernel, LocalId, LoopKind, Operand, Param, ValId,
};
use stmc_ir::kernel_interpret::Interpreter;
use stmc_ir::program::{Binding, BufferId, BufferKind, ScalarArg, Step, StepTerm};
use stmc_ir::types::DType;

/// How far an instruction may be from the interpreter's value `want` for the operand `x`.
///
/// These are the bounds of the WGSL specification, section "Floating Point Accuracy", except where noted: a
/// GPU owes us no more, and CUDA's are tighter.
fn tolerance(core: Core, x: f32, want: f32) -> f32 {
    let ulp = want.abs().max(f32::MIN_POSITIVE) * f32::EPSILON;
    match core {
        Core::Div => 2.5 * ulp,
        // The product may be rounded before the sum, which may cancel. Our operands are at most 8 in size.
        Core::Fma => 64.0 * f32::EPSILON,
        // Inherited from 1 / inverseSqrt(x).
        Core::Sqrt => 4.5 * ulp,
        Core::Exp => (3.0 + 2.0 * x.abs()) * ulp,
        Core::Log if (0.5..=2.0).contains(&x) => (-21.0_f32).exp2(),
        Core::Log => 3.0 * ulp,
        Core::Sin | Core::Cos => (-11.0_f32).exp2(),
        Core::Tanh => 1e-5,
        // Not an instruction of WGSL: Abramowitz and Stegun's polynomial of error 1.5e-7, computed in f32.
        Core::Erf => 5e-7,
        _ => 0.0,
    }
}

/// Operands of a type. NaN, infinities and zeros of both signs are among the f32; subnormals are not, for a
/// GPU may flush them.
fn operands(dtype: DType) -> Vec<u32> {
    match dtype {
        DType::F32 => bits(&[
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            -0.5,
            1.5,
            2.5,
            -2.5,
            0.1,
            -0.3,
            2.0,
            3.2,
            -3.1,
            7.75,
            -7.75,
            1e-3,
            1e-20,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            3e9,
            -3e9,
            2_147_483_648.0,
            -2_147_483_648.0,
            33.25,
            -85.0,
        ]),
        DType::I32 => [0, 1, 2, 3, 7, 31, 64, 1000, 65_537, i32::MAX, -1, -2, -7, -1000, i32::MIN]
            .map(|i| i as u32)
            .to_vec(),
        DType::Bool => vec![0, 1],
    }
}

/// Whether the language of kernels defines the instruction for these operands, and WGSL bounds its error.
fn defined(core: Core, args: &[u32]) -> bool {
    let float = |i: usize| f32::from_bits(args[i]);
    match core {
        Core::FloorDiv | Core::FloorMod => args[1] as i32 > 0,
        Core::ShiftRight => args[1] < 32,
        Core::Sin | Core::Cos => float(0).abs() <= std::f32::consts::PI,
        Core::Fma => args.iter().all(|x| f32::from_bits(*x).abs() <= 8.0),
        // A quotient is bounded for divisors from 2^-126 to 2^126.
        Core::Div => (1e-37..1e37).contains(&float(1).abs()),
        _ => true,
    }
}

/// Every tuple of operands of these types.
fn tuples(core: Core, types: &[DType]) -> Vec<Vec<u32>> {
    let mut tuples: Vec<Vec<u32>> = vec![vec![]];
    for dtype in types {
        let longer =
            |tuple: &Vec<u32>| operands(*dtype).into_iter().map(|x| [&tuple[..], &[x]].concat()).collect();
        tuples = tuples.iter().flat_map::<Vec<Vec<u32>>, _>(longer).collect();
    }
    tuples.retain(|args| defined(core, args));
    tuples
}

#[test]
fn every_instruction_agrees_with_the_interpreter() {
    let Some(mut device) = device() else { return };
    let mut wrong = vec![];
    for core in Core::ALL {
        for types in signatures(*core) {
            let tuples = tuples(*core, &types);
            let kernel = instruction(*core, &types, tuples.len());
            let mut buffers: Vec<Vec<u32>> =
                (0..types.len()).map(|k| tuples.iter().map(|args| args[k]).collect()).collect();
            buffers.push(vec![0; tuples.len()]);
            let want = run(&mut Interpreter::default(), &kernel, &buffers, &[]);
            let have = run(&mut device, &kernel, &buffers, &[]);
            let result = core.result(&types).expect("operands fit the instruction");
            for (args, (have, want)) in tuples.iter().zip(have[types.len()].iter().zip(&want[types.len()])) {
                if !agrees(*core, result, args[0], *have, *want) {
                    wrong.push(format!("{} {types:?} {args:x?}: {have:#x}, not {want:#x}", core.name()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} results differ on {}:\n{}", wrong.len(), device.name(), wrong.join("\n"));
}

fn agrees(core: Core, result: DType, first: u32, have: u32, want: u32) -> bool {
    if have == want || result != DType::F32 {
        return have == want;
    }
    let (x, have, want) = (f32::from_bits(first), f32::from_bits(have), f32::from_bits(want));
    have == want || (have.is_nan() && want.is_nan()) || (have - want).abs() <= tolerance(core, x, want)
}

/// Values that need no rounding to be compared: sums and products of them are exact in f32.
fn small(len: usize, step: usize) -> Vec<u32> {
    (0..len).map(|i| (((i * step) % 17) as f32 - 8.0).to_bits()).collect()
}

/// `b2[y, x, o] += Σ b0[y + u, x + v, i] * b1[o, u, v, i]`.
fn convolution(height: usize, width: usize, inputs: usize, outputs: usize) -> Kernel {
    let [columns, inputs_, outputs_] = [width, inputs, outputs].map(|extent| extent as i64);
    let row = (columns + 2) * inputs_;
    let operand = |param, second, third| Operand { param, offset: 0, first: vec![], second, third };
    let contraction = Contraction {
        g: vec![],
        m: vec![height, width],
        n: vec![outputs],
        k: vec![3, 3, inputs],
        a: operand(0, vec![row, inputs_], vec![row, inputs_, 1]),
        b: operand(1, vec![9 * inputs_], vec![3 * inputs_, inputs_, 1]),
        out: operand(2, vec![columns * outputs_, outputs_], vec![1]),
        accumulate: true,
    };
    let param = |access| Param { dtype: DType::F32, access };
    let params = vec![param(Access::Read), param(Access::Read), param(Access::ReadWrite)];
    Kernel { name: "convolution".into(), params, scalars: vec![], body: Body::Contraction(contraction) }
}

/// Alone, in tiles of every shape that these sizes allow, in teams.
#[test]
fn contractions_agree_with_the_interpreter() {
    let Some(mut device) = device() else { return };
    let of = |g, m, n, k| {
        (contraction(g, m, n, k), vec![small(g * m * k, 3), small(g * n * k, 5), vec![0; g * m * n]])
    };
    let cases = [
        of(2, 7, 9, 70),
        of(1, 513, 128, 3),
        of(1, 512, 512, 3),
        of(2, 256, 130, 3),
        of(2, 3, 5, 1000),
        of(1, 1, 1, 40_000),
        (
            convolution(30, 36, 5, 64),
            vec![small(32 * 38 * 5, 3), small(64 * 9 * 5, 7), small(30 * 36 * 64, 5)],
        ),
    ];
    for (kernel, buffers) in cases {
        stmc_ir::verify::kernel(&kernel);
        let want = run(&mut Interpreter::default(), &kernel, &buffers, &[]);
        assert!(run(&mut device, &kernel, &buffers, &[]) == want, "{}", kernel.dump());
    }
}

#[test]
fn folds_agree_with_the_interpreter() {
    let Some(mut device) = device() else { return };
    for (rows, columns) in [(3, 5), (300, 7), (1000, 70)] {
        let numbers = (0..rows as u32).collect();
        let kernel = folds(rows, columns);
        let buffers = [small(rows * columns, 3), vec![0], vec![0], numbers];
        let want = run(&mut Interpreter::default(), &kernel, &buffers, &[]);
        assert_eq!(run(&mut device, &kernel, &buffers, &[]), want, "{rows} x {columns}");
    }
}

/// A loop over `b0` that looks like a fold: `body(code, local, x)` sets the local, which ends up in `b1[0]`.
fn almost_a_fold(name: &str, body: impl FnOnce(&mut Code, LocalId, ValId)) -> Kernel {
    let mut code = Code::default();
    let local = code.block.local(DType::F32);
    code.repeat(LoopKind::Serial, 300, |code, i| {
        let x = code.load(DType::F32, 0, Affine::term(i, 1));
        body(code, local, x);
    });
    let last = code.get(local);
    code.store(1, Affine::constant(0), last);
    code.kernel(name, &[(DType::F32, Access::Read), (DType::F32, Access::Write)], &[])
}

#[test]
fn only_folds_are_shared() {
    let Some(mut device) = device() else { return };
    let join = |code: &mut Code, local, core, [a, b]: [ValId; 2]| {
        let new = code.core(core, &[a, b]);
        code.set(local, new);
    };
    let fold = almost_a_fold("a fold", |code, local, x| {
        let old = code.get(local);
        join(code, local, Core::Add, [old, x]);
    });
    let alternating = almost_a_fold("an alternating sum", |code, local, x| {
        let old = code.get(local);
        join(code, local, Core::Sub, [x, old]);
    });
    let doubling = almost_a_fold("a sum of itself", |code, local, _| {
        let old = code.get(local);
        join(code, local, Core::Add, [old, old]);
    });
    let running = almost_a_fold("a running sum", |code, local, x| {
        let old = code.get(local);
        join(code, local, Core::Add, [old, x]);
        let new = code.get(local);
        code.store(1, Affine::constant(1), new);
    });
    let dependent = almost_a_fold("a sum that is looked at", |code, local, x| {
        let so_far = code.get(local);
        let larger = code.core(Core::Max, &[so_far, x]);
        let old = code.get(local);
        join(code, local, Core::Add, [old, larger]);
    });
    let mut contraction = contraction(1, 1, 2, 300);
    if let Body::Contraction(c) = &mut contraction.body {
        c.k = vec![6, 50];
        (c.a.third, c.b.third) = (vec![50, 1], vec![50, 1]);
    }
    let buffers = [small(300, 3), small(600, 5), vec![0; 2]];
    let want = run(&mut Interpreter::default(), &contraction, &buffers, &[]);
    assert_eq!(run(&mut device, &contraction, &buffers, &[]), want);
    assert!(stmc_gpu::emit_wgsl(&contraction).expect("the kernel compiles").contains("workgroupBarrier"));
    for (kernel, shared) in
        [(fold, true), (alternating, false), (doubling, false), (running, false), (dependent, false)]
    {
        let text = stmc_gpu::emit_wgsl(&kernel).expect("the kernel compiles");
        assert_eq!(text.contains("workgroupBarrier"), shared, "{}", kernel.name);
        let buffers = [small(300, 3), vec![0; 2]];
        let want = run(&mut Interpreter::default(), &kernel, &buffers, &[]);
        assert_eq!(run(&mut device, &kernel, &buffers, &[]), want, "{}", kernel.name);
    }
}

#[test]
fn pointwise_and_row_kernels_agree_with_the_interpreter() {
    let Some(mut device) = device() else { return };
    let (rows, columns) = (13, 70);
    let (x, bias, out) = (small(rows * columns, 3), small(columns, 5), vec![0; rows * columns]);
    for (kernel, buffers) in [
        (bias_gelu(rows, columns), vec![x.clone(), bias, out.clone()]),
        (row_softmax(rows, columns), vec![x, out]),
    ] {
        let want = run(&mut Interpreter::default(), &kernel, &buffers, &[]);
        let have = run(&mut device, &kernel, &buffers, &[]);
        let last = buffers.len() - 1;
        for (have, want) in floats(&have[last]).iter().zip(floats(&want[last])) {
            // Of values up to 8: a few rounding errors of erf and exp on the way.
            assert!((have - want).abs() <= 8e-6, "{}: {have}, not {want}", kernel.name);
        }
    }
}

#[test]
fn a_grid_of_several_rows_of_cubes_reaches_every_element() {
    let Some(mut device) = device() else { return };
    let len = 65535 * 64 + 77;
    let mut code = Code::default();
    code.repeat(LoopKind::Parallel, len, |code, i| {
        let number = code.define(DType::I32, Inst::Index(Affine::term(i, 1)));
        code.store(0, Affine::term(i, 1), number);
    });
    let kernel = code.kernel("iota", &[(DType::I32, Access::Write)], &[]);
    let have = run(&mut device, &kernel, &[vec![0; len]], &[]);
    assert!(have[0].iter().enumerate().all(|(i, x)| *x == i as u32));
}

/// `b1[0] = b0[0] * s0 + to_f32(s1)`.
fn advance() -> Kernel {
    let mut code = Code::default();
    let x = code.load(DType::F32, 0, Affine::constant(0));
    let factor = code.define(DType::F32, Inst::Scalar(0));
    let product = code.core(Core::Mul, &[x, factor]);
    let iteration = code.define(DType::I32, Inst::Scalar(1));
    let iteration = code.core(Core::ToF32, &[iteration]);
    let sum = code.core(Core::Add, &[product, iteration]);
    code.store(1, Affine::constant(0), sum);
    code.kernel(
        "advance",
        &[(DType::F32, Access::Read), (DType::F32, Access::Write)],
        &[DType::F32, DType::I32],
    )
}

/// A scan with a carry in two slots, a reversed one, constants, halos, parts of buffers, copies, fills and
/// every scalar.
fn scans() -> (Builder, Vec<BufferId>) {
    let mut builder = Builder::default();
    let first: Vec<u32> = bits(&[2.0, 3.0]);
    let constant = builder.buffer(DType::F32, 2, BufferKind::Constant(first.into()));
    let carry = builder.buffer(DType::F32, 2, BufferKind::Temp);
    let all = builder.buffer(DType::F32, 40, BufferKind::Output);
    let halo = builder.buffer(DType::F32, 5, BufferKind::Halo(7.0_f32.to_bits()));
    let part = builder.buffer(DType::F32, 8, BufferKind::Output);
    builder.program.buffers[part.index()].parent = Some((all, 24));
    let scalars = builder.buffer(DType::I32, 3, BufferKind::Output);
    let advance = builder.kernel(advance());
    let at = |buffer, stride, shift, modulo| Binding {
        buffer,
        base: 0,
        steps: vec![StepTerm { depth: 0, stride, shift, modulo }],
    };
    let forward = launch(
        advance,
        vec![at(carry, 1, 0, Some(2)), at(carry, 1, 1, Some(2))],
        vec![ScalarArg::Host(0), ScalarArg::Iteration { depth: 0, reversed: None }],
    );
    let keep = Step::Copy { from: at(carry, 1, 1, Some(2)), to: at(all, 2, 0, None), len: 1 };
    let backward = launch(
        advance,
        vec![at(constant, 0, 0, None), Binding { base: 23, ..at(all, -2, 0, None) }],
        vec![ScalarArg::Host(1), ScalarArg::Iteration { depth: 0, reversed: Some(12) }],
    );
    let start = Step::Copy { from: Binding::whole(constant), to: Binding::whole(carry), len: 1 };
    let fill =
        Step::Fill { to: Binding { base: 2, ..Binding::whole(part) }, len: 3, bits: 5.0_f32.to_bits() };
    let edge =
        Step::Copy { from: Binding::whole(halo), to: Binding { base: 35, ..Binding::whole(all) }, len: 5 };
    let mut code = Code::default();
    for i in 0..3 {
        let scalar = code.define(DType::I32, Inst::Scalar(i));
        code.store(0, Affine::constant(i as i64), scalar);
    }
    let show = builder.kernel(code.kernel("show", &[(DType::I32, Access::Write)], &[DType::I32; 3]));
    let seeds = vec![ScalarArg::SeedLow, ScalarArg::SeedHigh, ScalarArg::Update];
    let show = launch(show, vec![Binding::whole(scalars)], seeds);
    let steps = Step::Loop { count: 12, body: vec![forward, keep, backward] };
    builder.entry(vec![start, steps, fill, edge, show]);
    (builder, vec![constant, carry, all, halo, part, scalars])
}

#[test]
fn programs_agree_with_the_interpreter() {
    let Some(mut device) = device() else { return };
    let (builder, buffers) = scans();
    let scalars = Scalars { host: vec![0.5, -1.0], seed: 0x1234_5678_9abc_def0, update: 41 };
    let outcome = |device: &mut dyn Device| {
        device.load(&builder.program).expect("the device works");
        // Twice, for the second run must not see more of the first than its state.
        (0..2).for_each(|_| device.run(0, &scalars).expect("the device works"));
        let memory = |id: &BufferId| {
            let mut values = vec![0; builder.program.buffer(*id).len];
            device.read(*id, &mut values).expect("the device works");
            values
        };
        buffers.iter().map(memory).collect::<Vec<_>>()
    };
    assert_eq!(outcome(&mut device), outcome(&mut Interpreter::default()));
}

#[test]
fn a_program_that_does_not_fit_is_refused_with_its_size() {
    let Some(mut device) = device() else { return };
    let mut builder = Builder::default();
    builder.program.arena = i32::MAX as usize + 1;
    let error = device.load(&builder.program).expect_err("8 GiB do not fit into one buffer");
    assert!(error.to_string().contains("needs 8192 MiB in one buffer"), "{error}");
}
