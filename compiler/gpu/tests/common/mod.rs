//! Kernels and programs that the tests share.
#![allow(dead_code, reason = "each test file uses a part of it")]

use stmc_gpu::GpuDevice;
use stmc_ir::device::{Device, Scalars};
use stmc_ir::kernel::{
    Access, Affine, Block, Body, Contraction, Core, Inst, Kernel, LocalId, LoopKind, Operand, Param, Stmt,
    ValId,
};
use stmc_ir::program::{
    Binding, Buffer, BufferId, BufferKind, Entry, KernelId, Launch, Program, ScalarArg, Step,
};
use stmc_ir::types::DType;

/// The adapter at hand, or a loud word and `None`.
pub(crate) fn device() -> Option<GpuDevice> {
    match GpuDevice::wgpu() {
        Ok(device) => Some(device),
        Err(error) => {
            eprintln!("SKIPPED, nothing was tested: {error}");
            None
        }
    }
}

/// Builds the body of a kernel.
#[derive(Default)]
pub(crate) struct Code {
    pub(crate) block: Block,
    stmts: Vec<Stmt>,
}

impl Code {
    pub(crate) fn define(&mut self, dtype: DType, inst: Inst) -> ValId {
        let out = self.block.value(dtype);
        self.stmts.push(Stmt::Let { out, inst });
        out
    }

    pub(crate) fn float(&mut self, value: f32) -> ValId {
        self.define(DType::F32, Inst::Const(DType::F32, value.to_bits()))
    }

    pub(crate) fn load(&mut self, dtype: DType, param: usize, index: Affine) -> ValId {
        self.define(dtype, Inst::Load { param, index })
    }

    pub(crate) fn core(&mut self, core: Core, args: &[ValId]) -> ValId {
        let types: Vec<DType> = args.iter().map(|arg| self.block.values[arg.index()]).collect();
        let dtype = core.result(&types).expect("operands fit the instruction");
        self.define(dtype, Inst::Core(core, args.to_vec()))
    }

    pub(crate) fn store(&mut self, param: usize, index: Affine, value: ValId) {
        self.stmts.push(Stmt::Store { param, index, value });
    }

    pub(crate) fn set(&mut self, local: LocalId, value: ValId) {
        self.stmts.push(Stmt::Set { local, value });
    }

    pub(crate) fn get(&mut self, local: LocalId) -> ValId {
        let dtype = self.block.locals[local.index()];
        self.define(dtype, Inst::Get(local))
    }

    pub(crate) fn repeat(&mut self, kind: LoopKind, extent: usize, body: impl FnOnce(&mut Code, ValId)) {
        let var = self.block.value(DType::I32);
        let outside = std::mem::take(&mut self.stmts);
        body(self, var);
        let body = std::mem::replace(&mut self.stmts, outside);
        self.stmts.push(Stmt::For { var, extent, kind, body });
    }

    pub(crate) fn kernel(mut self, name: &str, params: &[(DType, Access)], scalars: &[DType]) -> Kernel {
        self.block.stmts = self.stmts;
        Kernel {
            name: name.into(),
            params: params.iter().map(|&(dtype, access)| Param { dtype, access }).collect(),
            scalars: scalars.to_vec(),
            body: Body::Loops(self.block),
        }
    }
}

/// Every combination of types that an instruction takes.
pub(crate) fn signatures(core: Core) -> Vec<Vec<DType>> {
    let mut signatures: Vec<Vec<DType>> = vec![vec![]];
    for _ in 0..core.arity() {
        let types = [DType::F32, DType::I32, DType::Bool];
        signatures = signatures.iter().flat_map(|s| types.map(|dtype| [&s[..], &[dtype]].concat())).collect();
    }
    signatures.retain(|types| core.result(types).is_some());
    signatures
}

/// `b<arity>[i] = core b0[i] b1[i] …`
pub(crate) fn instruction(core: Core, types: &[DType], len: usize) -> Kernel {
    let mut code = Code::default();
    code.repeat(LoopKind::Parallel, len, |code, i| {
        let at = Affine::term(i, 1);
        let args: Vec<_> =
            types.iter().enumerate().map(|(k, dtype)| code.load(*dtype, k, at.clone())).collect();
        let result = code.core(core, &args);
        code.store(types.len(), at, result);
    });
    let result = core.result(types).expect("operands fit the instruction");
    let mut params: Vec<_> = types.iter().map(|dtype| (*dtype, Access::Read)).collect();
    params.push((result, Access::Write));
    code.kernel(core.name(), &params, &[])
}

/// `b2[row, column] = gelu(b0[row, column] + b1[column])`.
pub(crate) fn bias_gelu(rows: usize, columns: usize) -> Kernel {
    let mut code = Code::default();
    code.repeat(LoopKind::Parallel, rows, |code, row| {
        code.repeat(LoopKind::Lanes, columns, |code, column| {
            let at = Affine::term(row, columns as i64).plus(&Affine::term(column, 1));
            let x = code.load(DType::F32, 0, at.clone());
            let bias = code.load(DType::F32, 1, Affine::term(column, 1));
            let x = code.core(Core::Add, &[x, bias]);
            let scale = code.float(std::f32::consts::FRAC_1_SQRT_2);
            let scaled = code.core(Core::Mul, &[x, scale]);
            let erf = code.core(Core::Erf, &[scaled]);
            let half = code.float(0.5);
            let half_x = code.core(Core::Mul, &[x, half]);
            let y = code.core(Core::Fma, &[half_x, erf, half_x]);
            code.store(2, at, y);
        });
    });
    let (f32, read, write) = (DType::F32, Access::Read, Access::Write);
    code.kernel("bias_gelu", &[(f32, read), (f32, read), (f32, write)], &[])
}

/// `b1[row, :] = softmax(b0[row, :])`.
pub(crate) fn row_softmax(rows: usize, columns: usize) -> Kernel {
    let mut code = Code::default();
    let (largest, sum) = (code.block.local(DType::F32), code.block.local(DType::F32));
    code.repeat(LoopKind::Parallel, rows, |code, row| {
        let at = |column| Affine::term(row, columns as i64).plus(&Affine::term(column, 1));
        let lowest = code.float(f32::NEG_INFINITY);
        code.set(largest, lowest);
        let zero = code.float(0.0);
        code.set(sum, zero);
        code.repeat(LoopKind::Lanes, columns, |code, column| {
            let x = code.load(DType::F32, 0, at(column));
            let so_far = code.get(largest);
            let larger = code.core(Core::Max, &[so_far, x]);
            code.set(largest, larger);
        });
        let top = code.get(largest);
        code.repeat(LoopKind::Lanes, columns, |code, column| {
            let x = code.load(DType::F32, 0, at(column));
            let shifted = code.core(Core::Sub, &[x, top]);
            let weight = code.core(Core::Exp, &[shifted]);
            code.store(1, at(column), weight);
            let so_far = code.get(sum);
            let more = code.core(Core::Add, &[so_far, weight]);
            code.set(sum, more);
        });
        let total = code.get(sum);
        code.repeat(LoopKind::Lanes, columns, |code, column| {
            let weight = code.load(DType::F32, 1, at(column));
            let share = code.core(Core::Div, &[weight, total]);
            code.store(1, at(column), share);
        });
    });
    code.kernel("row_softmax", &[(DType::F32, Access::Read), (DType::F32, Access::ReadWrite)], &[])
}

/// `b2[g, m, n] = Σ b0[g, m, k] * b1[g, n, k]`, all row-major.
pub(crate) fn contraction(g: usize, m: usize, n: usize, k: usize) -> Kernel {
    let operand = |param, rows: usize, columns: usize| Operand {
        param,
        offset: 0,
        first: vec![(rows * columns) as i64],
        second: vec![columns as i64],
        third: vec![1],
    };
    let contraction = Contraction {
        g: vec![g],
        m: vec![m],
        n: vec![n],
        k: vec![k],
        a: operand(0, m, k),
        b: operand(1, n, k),
        out: operand(2, m, n),
        accumulate: false,
    };
    let param = |access| Param { dtype: DType::F32, access };
    Kernel {
        name: "contraction".into(),
        params: vec![param(Access::Read), param(Access::Read), param(Access::Write)],
        scalars: vec![],
        body: Body::Contraction(contraction),
    }
}

/// Folds of every kind, one after the other and one in the other: `b1[0] = Σ_i max_j b0[i, j]`, `b2[0] = min
/// b0 + Σ b3`.
pub(crate) fn folds(rows: usize, columns: usize) -> Kernel {
    let mut code = Code::default();
    let locals = [DType::F32, DType::F32, DType::F32, DType::I32].map(|dtype| code.block.local(dtype));
    let [total, largest, smallest, count] = locals;
    let start = |code: &mut Code, local, value: f32| {
        let value = code.float(value);
        code.set(local, value);
    };
    let join = |code: &mut Code, local, core, value| {
        let old = code.get(local);
        let new = code.core(core, &[old, value]);
        code.set(local, new);
    };
    let at = |row, column| Affine::term(row, columns as i64).plus(&Affine::term(column, 1));
    start(&mut code, total, 100.0);
    code.repeat(LoopKind::Serial, rows, |code, row| {
        start(code, largest, f32::NEG_INFINITY);
        code.repeat(LoopKind::Lanes, columns, |code, column| {
            let x = code.load(DType::F32, 0, at(row, column));
            join(code, largest, Core::Max, x);
        });
        let row_largest = code.get(largest);
        join(code, total, Core::Add, row_largest);
    });
    let sum = code.get(total);
    code.store(1, Affine::constant(0), sum);
    start(&mut code, smallest, f32::INFINITY);
    code.repeat(LoopKind::Serial, rows, |code, row| {
        code.repeat(LoopKind::Lanes, columns, |code, column| {
            let x = code.load(DType::F32, 0, at(row, column));
            join(code, smallest, Core::Min, x);
        });
    });
    code.repeat(LoopKind::Lanes, rows, |code, row| {
        let n = code.load(DType::I32, 3, Affine::term(row, 1));
        join(code, count, Core::Add, n);
    });
    let (smallest, count) = (code.get(smallest), code.get(count));
    let count = code.core(Core::ToF32, &[count]);
    let sum = code.core(Core::Add, &[smallest, count]);
    code.store(2, Affine::constant(0), sum);
    let (f32, i32) = (DType::F32, DType::I32);
    let params = [(f32, Access::Read), (f32, Access::Write), (f32, Access::Write), (i32, Access::Read)];
    code.kernel("folds", &params, &[])
}

/// A program in the making: buffers one after the other in the arena.
#[derive(Default)]
pub(crate) struct Builder {
    pub(crate) program: Program,
}

impl Builder {
    pub(crate) fn buffer(&mut self, dtype: DType, len: usize, kind: BufferKind) -> BufferId {
        let id = BufferId::from_index(self.program.buffers.len());
        let place = self.program.arena;
        self.program.arena += len.next_multiple_of(16);
        let name = format!("b{}", id.index());
        self.program.buffers.push(Buffer { name, dtype, dims: vec![], len, kind, parent: None, place });
        id
    }

    pub(crate) fn kernel(&mut self, kernel: Kernel) -> KernelId {
        self.program.kernels.push(kernel);
        KernelId::from_index(self.program.kernels.len() - 1)
    }

    pub(crate) fn entry(&mut self, steps: Vec<Step>) -> usize {
        let name = format!("e{}", self.program.entries.len());
        self.program.entries.push(Entry { name, steps, inputs: vec![], outputs: vec![], batch: 1, flops: 0 });
        self.program.entries.len() - 1
    }
}

pub(crate) fn launch(kernel: KernelId, buffers: Vec<Binding>, scalars: Vec<ScalarArg>) -> Step {
    Step::Launch(Launch { kernel, buffers, scalars, spans: vec![] })
}

/// What a kernel leaves in its buffers, each bound whole. Scalars are host scalars, all f32.
pub(crate) fn run(
    device: &mut dyn Device,
    kernel: &Kernel,
    buffers: &[Vec<u32>],
    scalars: &[f32],
) -> Vec<Vec<u32>> {
    let mut builder = Builder::default();
    let ids: Vec<BufferId> = buffers
        .iter()
        .zip(&kernel.params)
        .map(|(values, param)| builder.buffer(param.dtype, values.len(), BufferKind::State))
        .collect();
    let id = builder.kernel(kernel.clone());
    let bindings = ids.iter().map(|id| Binding::whole(*id)).collect();
    let entry = builder.entry(vec![launch(id, bindings, (0..scalars.len()).map(ScalarArg::Host).collect())]);
    device.load(&builder.program).expect("the device works");
    for (id, values) in ids.iter().zip(buffers) {
        device.write(*id, values).expect("the device works");
    }
    device.run(entry, &Scalars { host: scalars.to_vec(), seed: 0, update: 0 }).expect("the device works");
    let read = |(id, values): (&BufferId, &Vec<u32>)| {
        let mut out = vec![0; values.len()];
        device.read(*id, &mut out).expect("the device works");
        out
    };
    ids.iter().zip(buffers).map(read).collect()
}

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

pub(crate) fn floats(bits: &[u32]) -> Vec<f32> {
    bits.iter().map(|x| f32::from_bits(*x)).collect()
}
