//! Interpreter of kernels and programs: the third oracle. Values are f32, i32 or bool, exactly as the kernel says; a read or
//! write outside a buffer is a panic with the kernel's name.
use crate::device::{Device, DeviceError, Scalars};
use crate::host::erf;
use crate::kernel::{Affine, Block, Core, Inst, Kernel, Stmt, ValId};
use crate::program::{Binding, BufferId, Program, Step};
use crate::types::DType;

/// Runs a kernel. `bind(param)` gives the element in `memory` where a param's index 0 lies.
fn run_kernel(kernel: &Kernel, memory: &mut [u32], bind: &[usize], scalars: &[u32]) {
    let loops = kernel.loops();
    let mut machine = Machine {
        kernel,
        block: &loops,
        memory,
        bind,
        scalars,
        values: vec![0; loops.values.len()],
        locals: vec![0; loops.locals.len()],
    };
    machine.stmts(&loops.stmts);
}

struct Machine<'a> {
    kernel: &'a Kernel,
    block: &'a Block,
    memory: &'a mut [u32],
    bind: &'a [usize],
    scalars: &'a [u32],
    values: Vec<u32>,
    locals: Vec<u32>,
}

impl Machine<'_> {
    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let { out, inst } => self.values[out.index()] = self.inst(inst),
                Stmt::Set { local, value } => self.locals[local.index()] = self.values[value.index()],
                Stmt::Store { param, index, value } => {
                    let at = self.place(*param, index);
                    self.memory[at] = self.values[value.index()];
                }
                Stmt::For { var, extent, body, .. } => {
                    for i in 0..*extent {
                        self.values[var.index()] = i as u32;
                        self.stmts(body);
                    }
                }
            }
        }
    }

    fn affine(&self, index: &Affine) -> i64 {
        index.terms.iter().map(|(v, f)| f * i64::from(self.values[v.index()] as i32)).sum::<i64>()
            + index.constant
    }

    fn place(&self, param: usize, index: &Affine) -> usize {
        let at = self.bind[param] as i64 + self.affine(index);
        match usize::try_from(at) {
            Ok(at) if at < self.memory.len() => at,
            _ => panic!("kernel `{}` reaches element {at} through b{param}[{index}]", self.kernel.name),
        }
    }

    fn inst(&self, inst: &Inst) -> u32 {
        match inst {
            Inst::Const(_, bits) => *bits,
            Inst::Load { param, index } => self.memory[self.place(*param, index)],
            Inst::Scalar(i) => self.scalars[*i],
            Inst::Get(local) => self.locals[local.index()],
            Inst::Index(index) => self.affine(index) as i32 as u32,
            Inst::Core(core, args) => {
                let types: Vec<DType> = args.iter().map(|a| self.block.values[a.index()]).collect();
                let bits: Vec<u32> = args.iter().map(|a: &ValId| self.values[a.index()]).collect();
                eval_core(*core, &types, &bits)
            }
        }
    }
}

/// The meaning of an instruction, on bits.
fn eval_core(core: Core, types: &[DType], bits: &[u32]) -> u32 {
    let f = |i: usize| f32::from_bits(bits[i]);
    let n = |i: usize| bits[i] as i32;
    let float = types[0] == DType::F32;
    // Transcendental functions are rounded from f64.
    let wide = |g: fn(f64) -> f64| (g(f64::from(f(0))) as f32).to_bits();
    let number = |of_floats: fn(f32, f32) -> f32, of_ints: fn(i32, i32) -> i32| {
        if float { of_floats(f(0), f(1)).to_bits() } else { of_ints(n(0), n(1)) as u32 }
    };
    match core {
        Core::Add => number(|x, y| x + y, i32::wrapping_add),
        Core::Sub => number(|x, y| x - y, i32::wrapping_sub),
        Core::Mul => number(|x, y| x * y, i32::wrapping_mul),
        Core::Min => number(|x, y| if x < y { x } else { y }, i32::min),
        Core::Max => number(|x, y| if x > y { x } else { y }, i32::max),
        Core::Neg => {
            if float {
                (-f(0)).to_bits()
            } else {
                n(0).wrapping_neg() as u32
            }
        }
        Core::Abs => {
            if float {
                f(0).abs().to_bits()
            } else {
                n(0).wrapping_abs() as u32
            }
        }
        Core::Div => (f(0) / f(1)).to_bits(),
        Core::Fma => f(0).mul_add(f(1), f(2)).to_bits(),
        Core::Sqrt => f(0).sqrt().to_bits(),
        Core::Floor => f(0).floor().to_bits(),
        Core::Round => f(0).round_ties_even().to_bits(),
        Core::Exp => wide(f64::exp),
        Core::Log => wide(f64::ln),
        Core::Sin => wide(f64::sin),
        Core::Cos => wide(f64::cos),
        Core::Tanh => wide(f64::tanh),
        Core::Erf => wide(erf),
        Core::FloorDiv => n(0).div_euclid(n(1)) as u32,
        Core::FloorMod => n(0).rem_euclid(n(1)) as u32,
        Core::MulHigh => ((u64::from(bits[0]) * u64::from(bits[1])) >> 32) as u32,
        Core::Xor => bits[0] ^ bits[1],
        Core::ShiftRight => bits[0] >> bits[1],
        Core::Less => u32::from(if float { f(0) < f(1) } else { n(0) < n(1) }),
        Core::LessEqual => u32::from(if float { f(0) <= f(1) } else { n(0) <= n(1) }),
        Core::Equal => u32::from(if float { f(0) == f(1) } else { n(0) == n(1) }),
        Core::And => bits[0] & bits[1],
        Core::Or => bits[0] | bits[1],
        Core::Not => bits[0] ^ 1,
        Core::Select => {
            if bits[0] != 0 {
                bits[1]
            } else {
                bits[2]
            }
        }
        Core::ToF32 => (n(0) as f32).to_bits(),
        Core::ToI32 => {
            if float {
                f(0) as i32 as u32
            } else {
                bits[0]
            }
        }
        Core::Bits | Core::FromBits => bits[0],
    }
}

/// Runs programs by interpreting their kernels: slow, for tests.
#[derive(Default, Debug)]
pub struct Interpreter {
    program: Program,
    memory: Vec<u32>,
}

impl Interpreter {
    /// Where a binding leads in these iterations.
    fn place(&self, binding: &Binding, iterations: &[usize]) -> usize {
        self.program.start(binding.buffer) + binding.offset(iterations)
    }

    fn steps(&mut self, steps: &[Step], iterations: &mut Vec<usize>, scalars: &Scalars) {
        for step in steps {
            match step {
                Step::Loop { count, body } => {
                    for i in 0..*count {
                        iterations.push(i);
                        self.steps(body, iterations, scalars);
                        iterations.pop();
                    }
                }
                Step::Copy { from, to, len } => {
                    let (from, to) = (self.place(from, iterations), self.place(to, iterations));
                    self.memory.copy_within(from..from + len, to);
                }
                Step::Fill { to, len, bits } => {
                    let to = self.place(to, iterations);
                    self.memory[to..to + len].fill(*bits);
                }
                Step::Launch(launch) => {
                    let bind: Vec<usize> = launch.buffers.iter().map(|b| self.place(b, iterations)).collect();
                    let values: Vec<u32> =
                        launch.scalars.iter().map(|s| s.bits(iterations, scalars)).collect();
                    let kernel = &self.program.kernels[launch.kernel.index()];
                    run_kernel(kernel, &mut self.memory, &bind, &values);
                }
            }
        }
    }
}

impl Device for Interpreter {
    fn name(&self) -> String {
        "interpreter".into()
    }

    fn load(&mut self, program: &Program) -> Result<(), DeviceError> {
        self.program = program.clone();
        self.memory = vec![0; program.arena];
        program.fill_in(&mut self.memory);
        Ok(())
    }

    fn write(&mut self, buffer: BufferId, values: &[u32]) -> Result<(), DeviceError> {
        let start = self.program.start(buffer);
        self.memory[start..start + values.len()].copy_from_slice(values);
        Ok(())
    }

    fn read(&mut self, buffer: BufferId, values: &mut [u32]) -> Result<(), DeviceError> {
        let start = self.program.start(buffer);
        values.copy_from_slice(&self.memory[start..start + values.len()]);
        Ok(())
    }

    fn run(&mut self, entry: usize, scalars: &Scalars) -> Result<(), DeviceError> {
        let steps = self.program.entries[entry].steps.clone();
        self.steps(&steps, &mut vec![], scalars);
        Ok(())
    }
}
