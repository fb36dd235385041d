//! A program made ready: kernels compiled, places resolved, work cut into units.

use crate::code::{Code, Compiler, iterations};
use crate::contraction::{self, Prepared};
use crate::schedule::schedule;
use stmc_ir::Program;
use stmc_ir::kernel::{Body, Core, Inst, Kernel, LoopKind, Stmt};
use stmc_ir::program::{Binding, BufferId, KernelId, Launch, ScalarArg, Step, StepTerm};
use stmc_kernels::Isa;

/// A kernel made ready.
pub(crate) enum Ready {
    /// Code, its parallel iterations, and the units they are cut into.
    Loops { code: Code, iterations: usize, units: usize },
    /// A contraction on the precompiled kernels.
    Contraction(Box<Prepared>),
}

/// A step with its places resolved.
pub(crate) enum ReadyStep {
    Launch { kernel: KernelId, places: Vec<Place>, scalars: Vec<ScalarArg> },
    Loop { count: usize, body: Vec<ReadyStep> },
    Copy { from: Place, to: Place, len: usize },
    Fill { to: Place, len: usize, bits: u32 },
}

/// An element of the arena, which loops around may move.
pub(crate) struct Place {
    start: i64,
    steps: Vec<StepTerm>,
}

impl Place {
    fn new(program: &Program, binding: &Binding) -> Place {
        let start = start(program, binding.buffer) as i64 + binding.base;
        Place { start, steps: binding.steps.clone() }
    }

    /// The element in these iterations of the loops around.
    pub(crate) fn at(&self, iterations: &[usize]) -> usize {
        let moved = self.steps.iter().map(|step| {
            let i = iterations[step.depth] as i64 + step.shift;
            step.stride * step.modulo.map_or(i, |modulo| i.rem_euclid(modulo))
        });
        usize::try_from(self.start + moved.sum::<i64>()).expect("places are not negative")
    }
}

/// The first element of a buffer in the arena.
pub(crate) fn start(program: &Program, buffer: BufferId) -> usize {
    let (root, offset) = program.root(buffer);
    program.buffer(root).place + offset
}

/// Resolves the places of steps.
pub(crate) fn steps(program: &Program, steps: &[Step]) -> Vec<ReadyStep> {
    let place = |binding: &Binding| Place::new(program, binding);
    let ready = |step: &Step| match step {
        Step::Launch(Launch { kernel, buffers, scalars, .. }) => ReadyStep::Launch {
            kernel: *kernel,
            places: buffers.iter().map(place).collect(),
            scalars: scalars.clone(),
        },
        Step::Loop { count, body } => ReadyStep::Loop { count: *count, body: self::steps(program, body) },
        Step::Copy { from, to, len } => ReadyStep::Copy { from: place(from), to: place(to), len: *len },
        Step::Fill { to, len, bits } => ReadyStep::Fill { to: place(to), len: *len, bits: *bits },
    };
    steps.iter().map(ready).collect()
}

/// Loops that are nested, at most, in these steps.
pub(crate) fn depth(steps: &[ReadyStep]) -> usize {
    let depth_of = |step: &ReadyStep| match step {
        ReadyStep::Loop { body, .. } => 1 + depth(body),
        ReadyStep::Launch { .. } | ReadyStep::Copy { .. } | ReadyStep::Fill { .. } => 0,
    };
    steps.iter().map(depth_of).max().unwrap_or(0)
}

/// Compiles a kernel.
pub(crate) fn kernel(kernel: &Kernel, isa: Isa, compiler: &mut Compiler) -> Result<Ready, String> {
    let block = match &kernel.body {
        Body::Contraction(c) if contraction::is_for_loops(c) => contraction::loops(c),
        Body::Contraction(c) => return Ok(Ready::Contraction(Box::new(Prepared::new(c, isa)?))),
        Body::Loops(block) => block.clone(),
    };
    let loops = schedule(block);
    let code = compiler.compile(kernel, &loops)?;
    let iterations = iterations(&loops);
    let units = (cost(&loops.block.stmts) / UNIT_COST).clamp(1, MOST_UNITS).min(iterations.max(1));
    Ok(Ready::Loops { code, iterations, units })
}

/// Cost that makes a unit worth handing to another thread: some microseconds.
pub(crate) const UNIT_COST: usize = 16_384;
const MOST_UNITS: usize = 64;

/// An estimate of the cycles that statements take.
pub(crate) fn cost(stmts: &[Stmt]) -> usize {
    let cost_of = |stmt: &Stmt| match stmt {
        Stmt::Let { inst: Inst::Core(core, _), .. } => match core {
            Core::Exp | Core::Log | Core::Sin | Core::Cos | Core::Tanh | Core::Erf => 16,
            Core::Div | Core::Sqrt => 6,
            _ => 1,
        },
        Stmt::Let { inst: Inst::Const(..) | Inst::Scalar(_) | Inst::Get(_), .. } => 0,
        Stmt::Let { .. } | Stmt::Set { .. } | Stmt::Store { .. } => 1,
        Stmt::For { extent, kind: LoopKind::Lanes, body, .. } => extent.div_ceil(4) * cost(body) + 4,
        Stmt::For { extent, body, .. } => extent * (cost(body) + 1),
    };
    stmts.iter().map(cost_of).sum()
}
