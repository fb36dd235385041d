//! Programs of a few launches, run by the device and by the interpreter.
#![allow(dead_code, reason = "each test file uses a part of this")]

use stmc_cpu::{CpuDevice, Isa};
use stmc_ir::device::{Device, Scalars};
use stmc_ir::kernel::{Access, Affine, Block, Body, Core, Inst, Kernel, LoopKind, Param, Stmt, ValId};
use stmc_ir::kernel_interpret::Interpreter;
use stmc_ir::program::{Binding, Buffer, BufferId, BufferKind, Entry, KernelId, Launch, Program, Step};
use stmc_ir::types::DType;

/// Random bits, always the same.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 24) as u32
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.bits() as usize % end
    }

    /// Small integers, so that sums are exact in any order.
    pub fn number(&mut self) -> f32 {
        self.below(17) as f32 - 8.0
    }
}

/// Statements under construction.
pub struct Code {
    pub block: Block,
}

impl Code {
    pub fn new() -> Code {
        Code { block: Block::default() }
    }

    pub fn var(&mut self) -> ValId {
        self.block.value(DType::I32)
    }

    pub fn define(&mut self, stmts: &mut Vec<Stmt>, dtype: DType, inst: Inst) -> ValId {
        let out = self.block.value(dtype);
        stmts.push(Stmt::Let { out, inst });
        out
    }

    pub fn core(&mut self, stmts: &mut Vec<Stmt>, core: Core, args: &[ValId]) -> ValId {
        let types: Vec<DType> = args.iter().map(|arg| self.block.values[arg.index()]).collect();
        let dtype = core.result(&types).expect("the operands fit");
        self.define(stmts, dtype, Inst::Core(core, args.to_vec()))
    }

    pub fn kernel(
        mut self,
        name: &str,
        params: &[(DType, Access)],
        scalars: &[DType],
        stmts: Vec<Stmt>,
    ) -> Kernel {
        self.block.stmts = stmts;
        let params = params.iter().map(|&(dtype, access)| Param { dtype, access }).collect();
        Kernel { name: name.into(), params, scalars: scalars.to_vec(), body: Body::Loops(self.block) }
    }
}

pub fn each(var: ValId, extent: usize, kind: LoopKind, body: Vec<Stmt>) -> Stmt {
    Stmt::For { var, extent, kind, body }
}

pub fn affine(terms: &[(ValId, i64)], constant: i64) -> Affine {
    terms
        .iter()
        .fold(Affine::constant(constant), |sum, &(value, factor)| sum.plus(&Affine::term(value, factor)))
}

/// A program of these buffers, which all are state, and one entry.
pub fn program(kernels: Vec<Kernel>, lens: &[usize], steps: Vec<Step>) -> Program {
    let mut arena = 0;
    let mut buffers = vec![];
    for (i, &len) in lens.iter().enumerate() {
        buffers.push(Buffer {
            name: format!("b{i}"),
            dtype: DType::F32,
            dims: vec![],
            len,
            kind: BufferKind::State,
            parent: None,
            place: arena,
        });
        arena += len.next_multiple_of(16);
    }
    let entry = Entry { name: "test".into(), steps, inputs: vec![], outputs: vec![], batch: 1, flops: 0 };
    Program { buffers, kernels, entries: vec![entry], arena, ..Program::default() }
}

/// A launch of kernel 0 on all buffers in order.
pub fn launch(count: usize) -> Step {
    let buffers = (0..count).map(|i| Binding::whole(BufferId::from_index(i))).collect();
    Step::Launch(Launch { kernel: KernelId::from_index(0), buffers, scalars: vec![], spans: vec![] })
}

/// The contents of all buffers after a run.
pub fn run(device: &mut dyn Device, program: &Program, before: &[Vec<u32>]) -> Vec<Vec<u32>> {
    device.load(program).expect("the program loads");
    for (i, values) in before.iter().enumerate() {
        device.write(BufferId::from_index(i), values).expect("buffers can be written");
    }
    device
        .run(0, &Scalars { host: vec![0.75, -2.0], seed: 0x1234_5678_9abc_def0, update: 3 })
        .expect("the program runs");
    let read = |(i, values): (usize, &Vec<u32>)| {
        let mut after = vec![0; values.len()];
        device.read(BufferId::from_index(i), &mut after).expect("buffers can be read");
        after
    };
    before.iter().enumerate().map(read).collect()
}

pub fn paths() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| {
        if !isa.is_available() {
            println!("skipped: this processor lacks {}", isa.name());
        }
        isa.is_available()
    })
}

/// Runs on the interpreter, and on each path with one and two threads, which must agree to the bit; then `same` judges
/// every element.
pub fn check(name: &str, program: &Program, before: &[Vec<u32>], same: &dyn Fn(u32, u32) -> bool) {
    let expected = run(&mut Interpreter::default(), program, before);
    for isa in paths() {
        let after = [1, 2].map(|threads| {
            run(&mut CpuDevice::new(threads, isa).expect("the path is available"), program, before)
        });
        assert!(after[0] == after[1], "{name} on {}: threads change bits", isa.name());
        for (buffer, (after, expected)) in after[0].iter().zip(&expected).enumerate() {
            for (i, (&is, &wanted)) in after.iter().zip(expected).enumerate() {
                assert!(
                    same(is, wanted),
                    "{name} on {}: element {i} of buffer {buffer} is {is:#x} = {:e}, not {wanted:#x} = {:e}\n{}",
                    isa.name(),
                    f32::from_bits(is),
                    f32::from_bits(wanted),
                    program.kernels[0].dump(),
                );
            }
        }
    }
}

/// Equal bits, or both NaN.
pub fn exactly(is: u32, wanted: u32) -> bool {
    is == wanted || (f32::from_bits(is).is_nan() && f32::from_bits(wanted).is_nan())
}
