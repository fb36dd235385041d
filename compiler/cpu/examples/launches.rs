//! Prints what the launches of a ConvLSTM-like training step take: `cargo run -r -p stmc-cpu --example launches`.

use std::time::Instant;
use stmc_cpu::{CpuDevice, Isa};
use stmc_ir::device::{Device, Scalars};
use stmc_ir::kernel::{
    Access, Affine, Block, Body, Contraction, Core, Inst, Kernel, LoopKind, Operand, Param, Stmt, ValId,
};
use stmc_ir::program::{Binding, Buffer, BufferId, BufferKind, Entry, KernelId, Launch, Program, Step};
use stmc_ir::types::DType;

const BATCH: usize = 16;
const SIDE: usize = 16;
const INPUT: usize = 4;
const STATE: usize = 32;
const GATES: usize = 4 * STATE;
const BOTH: usize = INPUT + STATE;
const TAPS: usize = 3;
const PIXELS: usize = BATCH * SIDE * SIDE;

fn main() {
    let threads = std::env::args().nth(1).map_or(1, |threads| threads.parse().expect("a number of threads"));
    let isa = Isa::from_env().unwrap_or_else(|message| panic!("{message}"));
    println!("{} on {threads} thread(s)", isa.name());
    for kernel in
        [forward(), input_gradient(), weight_gradient(), gates(), gradients_of_gates(), bias(), adam()]
    {
        time(&kernel, threads, isa);
    }
}

fn time(kernel: &Kernel, threads: usize, isa: Isa) {
    // Generous buffers, with values that are neither zero nor alike.
    let len = 1 << 21;
    let program = program(kernel, len);
    let mut device = CpuDevice::new(threads, isa).expect("the path is available");
    let since = Instant::now();
    device.load(&program).expect("the kernel compiles");
    let loaded = since.elapsed();
    let values: Vec<u32> = (0..len).map(|i| ((i * 7919 % 1000) as f32 / 1000.0 - 0.5).to_bits()).collect();
    for i in 0..kernel.params.len() {
        device.write(BufferId::from_index(i), &values).expect("buffers can be written");
    }
    let scalars = Scalars::default();
    let run = |device: &mut CpuDevice| {
        let since = Instant::now();
        device.run(0, &scalars).expect("the program runs");
        since.elapsed().as_secs_f64()
    };
    let best = (0..60).map(|_| run(&mut device)).fold(f64::INFINITY, f64::min);
    let speed = match &kernel.body {
        Body::Contraction(c) => format!("{:.0} GFLOP/s", 2e-9 * c.multiplications() as f64 / best),
        Body::Loops(_) => String::new(),
    };
    println!(
        "{:20} {:8.1} us  {speed:14}  loaded in {:.1} ms",
        kernel.name,
        1e6 * best,
        1e3 * loaded.as_secs_f64()
    );
}

fn program(kernel: &Kernel, len: usize) -> Program {
    let buffer = |i: usize| Buffer {
        name: format!("b{i}"),
        dtype: DType::F32,
        dims: vec![],
        len,
        kind: BufferKind::State,
        parent: None,
        // Not a power of two apart, which would make them compete for places in the cache.
        place: i * (len + 4160),
    };
    let buffers: Vec<Buffer> = (0..kernel.params.len()).map(buffer).collect();
    let launch = Step::Launch(Launch {
        kernel: KernelId::from_index(0),
        buffers: (0..buffers.len()).map(|i| Binding::whole(BufferId::from_index(i))).collect(),
        scalars: vec![],
        spans: vec![],
    });
    let entry = Entry {
        name: "step".into(),
        steps: vec![launch],
        inputs: vec![],
        outputs: vec![],
        batch: BATCH,
        flops: 0,
    };
    let arena = buffers.len() * (len + 4160);
    Program { buffers, kernels: vec![kernel.clone()], entries: vec![entry], arena, ..Program::default() }
}

fn contraction(
    name: &str,
    [m, n, k]: [Vec<usize>; 3],
    a: [&[i64]; 2],
    b: [&[i64]; 2],
    out: [&[i64]; 2],
) -> Kernel {
    let operand = |param, [second, third]: [&[i64]; 2]| Operand {
        param,
        offset: 0,
        first: vec![],
        second: second.to_vec(),
        third: third.to_vec(),
    };
    let (a, b, out) = (operand(0, a), operand(1, b), operand(2, out));
    let body = Body::Contraction(Contraction { g: vec![], m, n, k, a, b, out, accumulate: false });
    let params =
        [Access::Read, Access::Read, Access::Write].map(|access| Param { dtype: DType::F32, access });
    Kernel { name: name.into(), params: params.to_vec(), scalars: vec![], body }
}

/// Strides of pixels, and of places in the window, of a padded image of `channels`.
fn padded(channels: usize) -> ([i64; 3], [i64; 3]) {
    let (channel, row) = (channels as i64, ((SIDE + TAPS - 1) * channels) as i64);
    ([row * (SIDE + TAPS - 1) as i64, row, channel], [row, channel, 1])
}

fn pixels() -> Vec<usize> {
    vec![BATCH, SIDE, SIDE]
}

fn forward() -> Kernel {
    let (place, window) = padded(BOTH);
    let gates = GATES as i64;
    let weights = [TAPS as i64 * BOTH as i64 * gates, BOTH as i64 * gates, gates];
    let out = [(SIDE * SIDE) as i64 * gates, SIDE as i64 * gates, gates];
    let loops = [pixels(), vec![GATES], vec![TAPS, TAPS, BOTH]];
    contraction("convolution", loops, [&place, &window], [&[1], &weights], [&out, &[1]])
}

fn input_gradient() -> Kernel {
    let (place, window) = padded(GATES);
    let (both, gates) = (BOTH as i64, GATES as i64);
    let weights = [-(TAPS as i64) * both * gates, -both * gates, 1];
    let out = [(SIDE * SIDE) as i64 * both, SIDE as i64 * both, both];
    let loops = [pixels(), vec![BOTH], vec![TAPS, TAPS, GATES]];
    let mut kernel =
        contraction("input gradient", loops, [&place, &window], [&[gates], &weights], [&out, &[1]]);
    if let Body::Contraction(c) = &mut kernel.body {
        c.b.offset = ((TAPS * TAPS - 1) * BOTH * GATES) as i64;
    }
    kernel
}

fn weight_gradient() -> Kernel {
    let (place, window) = padded(BOTH);
    let (both, gates) = (BOTH as i64, GATES as i64);
    let out = [TAPS as i64 * both * gates, both * gates, gates];
    let dy = [(SIDE * SIDE) as i64 * gates, SIDE as i64 * gates, gates];
    let loops = [vec![TAPS, TAPS, BOTH], vec![GATES], pixels()];
    contraction("weight gradient", loops, [&window, &place], [&[1], &dy], [&out, &[1]])
}

/// Straight code over pixels and channels.
struct Pointwise {
    block: Block,
    vars: [ValId; 2],
    stmts: Vec<Stmt>,
    params: Vec<Param>,
}

impl Pointwise {
    fn new() -> Pointwise {
        let mut block = Block::default();
        let vars = [block.value(DType::I32), block.value(DType::I32)];
        Pointwise { block, vars, stmts: vec![], params: vec![] }
    }

    fn define(&mut self, inst: Inst) -> ValId {
        let out = self.block.value(DType::F32);
        self.stmts.push(Stmt::Let { out, inst });
        out
    }

    fn param(&mut self, access: Access) -> usize {
        self.params.push(Param { dtype: DType::F32, access });
        self.params.len() - 1
    }

    fn index(&self, stride: usize, offset: usize) -> Affine {
        let [pixel, channel] = self.vars;
        let index = Affine::term(pixel, stride as i64).plus(&Affine::term(channel, 1));
        index.plus(&Affine::constant(offset as i64))
    }

    fn load(&mut self, param: usize, stride: usize, offset: usize) -> ValId {
        let index = self.index(stride, offset);
        self.define(Inst::Load { param, index })
    }

    fn store(&mut self, param: usize, stride: usize, offset: usize, value: ValId) {
        let index = self.index(stride, offset);
        self.stmts.push(Stmt::Store { param, index, value });
    }

    fn number(&mut self, x: f32) -> ValId {
        self.define(Inst::Const(DType::F32, x.to_bits()))
    }

    fn core(&mut self, core: Core, args: &[ValId]) -> ValId {
        self.define(Inst::Core(core, args.to_vec()))
    }

    fn sigmoid(&mut self, x: ValId) -> ValId {
        let (minus, one) = (self.core(Core::Neg, &[x]), self.number(1.0));
        let e = self.core(Core::Exp, &[minus]);
        let sum = self.core(Core::Add, &[one, e]);
        self.core(Core::Div, &[one, sum])
    }

    fn finish(mut self, name: &str, extents: [usize; 2]) -> Kernel {
        let lanes =
            Stmt::For { var: self.vars[1], extent: extents[1], kind: LoopKind::Lanes, body: self.stmts };
        let nest =
            Stmt::For { var: self.vars[0], extent: extents[0], kind: LoopKind::Parallel, body: vec![lanes] };
        self.block.stmts = vec![nest];
        Kernel { name: name.into(), params: self.params, scalars: vec![], body: Body::Loops(self.block) }
    }
}

/// Input, forget and output gates, new cell and state.
fn gates() -> Kernel {
    let mut k = Pointwise::new();
    let (sums, bias, cell) = (k.param(Access::Read), k.param(Access::Read), k.param(Access::Read));
    let (new_cell, state) = (k.param(Access::Write), k.param(Access::Write));
    let gate: Vec<ValId> = (0..4)
        .map(|i| {
            let (x, b) = (k.load(sums, GATES, i * STATE), k.load(bias, 0, i * STATE));
            let sum = k.core(Core::Add, &[x, b]);
            if i == 2 { k.core(Core::Tanh, &[sum]) } else { k.sigmoid(sum) }
        })
        .collect();
    let before = k.load(cell, STATE, 0);
    let (kept, added) = (k.core(Core::Mul, &[gate[1], before]), k.core(Core::Mul, &[gate[0], gate[2]]));
    let sum = k.core(Core::Add, &[kept, added]);
    k.store(new_cell, STATE, 0, sum);
    let bounded = k.core(Core::Tanh, &[sum]);
    let h = k.core(Core::Mul, &[gate[3], bounded]);
    k.store(state, STATE, 0, h);
    k.finish("gates", [PIXELS, STATE])
}

/// Their gradients, with the gates computed again.
fn gradients_of_gates() -> Kernel {
    let mut k = Pointwise::new();
    let (sums, cell, dy, out) =
        (k.param(Access::Read), k.param(Access::Read), k.param(Access::Read), k.param(Access::Write));
    let one = k.number(1.0);
    for i in 0..4 {
        let x = k.load(sums, GATES, i * STATE);
        let y = if i == 2 { k.core(Core::Tanh, &[x]) } else { k.sigmoid(x) };
        let (c, d) = (k.load(cell, STATE, 0), k.load(dy, STATE, 0));
        let rest = k.core(Core::Sub, &[one, y]);
        let slope = k.core(Core::Mul, &[y, rest]);
        let product = k.core(Core::Mul, &[c, d]);
        let gradient = k.core(Core::Mul, &[slope, product]);
        k.store(out, GATES, i * STATE, gradient);
    }
    k.finish("gradients of gates", [PIXELS, STATE])
}

/// Sums over all pixels, channel by channel.
fn bias() -> Kernel {
    let mut block = Block::default();
    let [channel, pixel] = [DType::I32; 2].map(|dtype| block.value(dtype));
    let sum = block.local(DType::F32);
    let [x, old, new, all, zero] = [DType::F32; 5].map(|dtype| block.value(dtype));
    let index = Affine::term(pixel, GATES as i64).plus(&Affine::term(channel, 1));
    let inner = vec![
        Stmt::Let { out: x, inst: Inst::Load { param: 0, index } },
        Stmt::Let { out: old, inst: Inst::Get(sum) },
        Stmt::Let { out: new, inst: Inst::Core(Core::Add, vec![old, x]) },
        Stmt::Set { local: sum, value: new },
    ];
    let body = vec![
        Stmt::Let { out: zero, inst: Inst::Const(DType::F32, 0) },
        Stmt::Set { local: sum, value: zero },
        Stmt::For { var: pixel, extent: PIXELS, kind: LoopKind::Serial, body: inner },
        Stmt::Let { out: all, inst: Inst::Get(sum) },
        Stmt::Store { param: 1, index: Affine::term(channel, 1), value: all },
    ];
    block.stmts = vec![Stmt::For { var: channel, extent: GATES, kind: LoopKind::Lanes, body }];
    let params = [Access::Read, Access::Write].map(|access| Param { dtype: DType::F32, access });
    Kernel {
        name: "sum over pixels".into(),
        params: params.to_vec(),
        scalars: vec![],
        body: Body::Loops(block),
    }
}

/// The update of as many weights as there are in half a megabyte, of the moments and of the weights.
fn adam() -> Kernel {
    let mut k = Pointwise::new();
    let [w, g, m, v] =
        [Access::ReadWrite, Access::Read, Access::ReadWrite, Access::ReadWrite].map(|a| k.param(a));
    let old = [w, g, m, v].map(|param| k.load(param, 1024, 0));
    let [b1, c1, b2, c2, rate, epsilon] = [0.9, 0.1, 0.999, 0.001, 1e-3, 1e-8].map(|x| k.number(x));
    let blend = |k: &mut Pointwise, x, y, p, q| {
        let (x, y) = (k.core(Core::Mul, &[x, p]), k.core(Core::Mul, &[y, q]));
        k.core(Core::Add, &[x, y])
    };
    let square = k.core(Core::Mul, &[old[1], old[1]]);
    let (mean, variance) = (blend(&mut k, old[2], old[1], b1, c1), blend(&mut k, old[3], square, b2, c2));
    let magnitude = k.core(Core::Abs, &[variance]);
    let root = k.core(Core::Sqrt, &[magnitude]);
    let root = k.core(Core::Add, &[root, epsilon]);
    let step = k.core(Core::Div, &[mean, root]);
    let step = k.core(Core::Mul, &[step, rate]);
    let weight = k.core(Core::Sub, &[old[0], step]);
    for (param, value) in [(w, weight), (m, mean), (v, variance)] {
        k.store(param, 1024, 0, value);
    }
    k.finish("adam", [128, 1024])
}
