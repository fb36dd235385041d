//! Kernels made ready: compiled, or planned as contractions, and cut into units of work.

use crate::code::{Code, Compiler, is_function, iterations};
use crate::contraction::{self, Prepared};
use crate::schedule::{Loops, schedule};
use stmc_ir::kernel::{Body, Core, Inst, Kernel, LoopKind, Stmt};
use stmc_kernels::Isa;

/// A kernel made ready.
pub(crate) enum Ready {
    /// Code, its parallel iterations, and the units they are cut into.
    Loops { code: Code, iterations: usize, units: usize },
    /// A contraction on the precompiled kernels.
    Contraction(Box<Prepared>),
}

/// Compiles a kernel.
pub(crate) fn kernel(kernel: &Kernel, isa: Isa, compiler: &mut Compiler) -> Result<Ready, String> {
    if let Body::Contraction(c) = &kernel.body
        && !contraction::is_for_loops(c)
    {
        return Ok(Ready::Contraction(Box::new(Prepared::new(c, isa)?)));
    }
    let loops = loops(kernel);
    let code = compiler.compile(kernel, &loops)?;
    let iterations = iterations(&loops);
    let units = (cost(&loops.block.stmts) / UNIT_COST).clamp(1, MOST_UNITS).min(iterations.max(1));
    Ok(Ready::Loops { code, iterations, units })
}

/// The loops that a kernel runs as, or, if it runs as a contraction, those that define it.
pub(crate) fn loops(kernel: &Kernel) -> Loops {
    schedule(match &kernel.body {
        Body::Contraction(c) if contraction::is_for_loops(c) => contraction::loops(c),
        Body::Contraction(_) | Body::Loops(_) => kernel.loops().into_owned(),
    })
}

/// Cost that makes a unit worth handing to another thread: some microseconds.
pub(crate) const UNIT_COST: usize = 16_384;
const MOST_UNITS: usize = 64;

/// An estimate of the cycles that statements take.
pub(crate) fn cost(stmts: &[Stmt]) -> usize {
    let cost_of = |stmt: &Stmt| match stmt {
        Stmt::Let { inst, .. } if is_function(inst) => 16,
        Stmt::Let { inst: Inst::Core(Core::Div | Core::Sqrt, _), .. } => 6,
        Stmt::Let { inst: Inst::Const(..) | Inst::Scalar(_) | Inst::Get(_), .. } => 0,
        Stmt::Let { .. } | Stmt::Set { .. } | Stmt::Store { .. } => 1,
        Stmt::For { extent, kind: LoopKind::Lanes, body, .. } => extent.div_ceil(4) * cost(body) + 4,
        Stmt::For { extent, body, .. } => extent * (cost(body) + 1),
    };
    stmts.iter().map(cost_of).sum()
}
