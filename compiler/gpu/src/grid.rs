//! Kernels as grids: what one dispatch runs, an invocation per iteration of the loops that are spread over
//! it.
//!
//! A perfect nest of `Parallel` and `Lanes` loops is spread whole. What is left runs in order within an
//! invocation, or within a cube that shares its folds.
use crate::{contract, folds};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use stmc_ir::kernel::{Access, Affine, Block, Body, Inst, Kernel, LoopKind, Param, Stmt, ValId};
use stmc_ir::types::DType;

/// A dispatch. Equal grids share one compiled shader, whatever their names.
#[derive(Debug)]
pub(crate) struct Grid {
    /// The kernel's, as an identifier of WGSL and C++.
    pub(crate) name: String,
    /// Iterations of the spread loops.
    pub(crate) iterations: usize,
    pub(crate) code: Code,
    /// Of `code`, computed once: CubeCL looks a kernel up at every launch.
    hash: u64,
}

/// Who runs an iteration of the spread loops.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Team {
    /// One invocation.
    Alone,
    /// The invocations of a cube: all of them compute everything, but each only its part of a fold, and one
    /// stores.
    Cube,
}

impl Team {
    /// Invocations of a cube. Alone, a multiple of every subgroup size in use, and small enough to fill the
    /// device with the short grids of small models; in a team, what every device promises.
    pub(crate) fn size(self) -> usize {
        match self {
            Team::Alone => 64,
            Team::Cube => 256,
        }
    }

    /// A team is worth its barriers where there are too few iterations to fill a device and folds are long,
    /// and where a fold is so long that software adapters, which stop after 65535 rounds, would cut it short.
    pub(crate) fn of(iterations: usize, longest_fold: Option<usize>) -> Team {
        match longest_fold {
            Some(fold) if fold > 32768 || (fold >= 256 && iterations < 16384) => Team::Cube,
            _ => Team::Alone,
        }
    }
}

/// What a grid computes.
#[derive(PartialEq, Eq, Hash, Debug)]
pub(crate) struct Code {
    pub(crate) team: Team,
    /// The loops whose iterations are spread over the device, slowest first.
    pub(crate) spread: Vec<(ValId, usize)>,
    /// Run by each team.
    pub(crate) body: Vec<Stmt>,
    pub(crate) params: Vec<Param>,
    pub(crate) scalars: Vec<DType>,
    pub(crate) values: Vec<DType>,
    pub(crate) locals: Vec<DType>,
}

impl Grid {
    fn new(name: &str, code: Code) -> Grid {
        let mut hasher = DefaultHasher::new();
        code.hash(&mut hasher);
        let iterations = iterations(&code.spread);
        Grid { name: identifier(name), iterations, code, hash: hasher.finish() }
    }

    /// How often an invocation comes to the end of a loop.
    pub(crate) fn rounds(&self) -> usize {
        rounds(&self.code.body, self.code.team)
    }

    /// Cubes that run all iterations.
    pub(crate) fn cubes(&self) -> usize {
        match self.code.team {
            Team::Alone => self.iterations.div_ceil(Team::Alone.size()),
            Team::Cube => self.iterations,
        }
    }
}

fn rounds(stmts: &[Stmt], team: Team) -> usize {
    let round = |stmt: &Stmt| match (stmt, team) {
        (Stmt::For { .. }, Team::Cube) => {
            let fold = folds::fold(stmt).expect("the loops of a team are folds");
            let body: usize =
                fold.body.iter().map(|stmt| rounds(std::slice::from_ref(stmt), Team::Alone)).sum();
            let tree = fold.sums.len() * team.size().ilog2() as usize;
            fold.iterations().div_ceil(team.size()) * (1 + body) + tree
        }
        (Stmt::For { extent, body, .. }, Team::Alone) => extent * (1 + rounds(body, team)),
        _ => 0,
    };
    stmts.iter().map(round).sum()
}

fn iterations(loops: &[(ValId, usize)]) -> usize {
    loops.iter().map(|(_, extent)| extent).product()
}

impl PartialEq for Grid {
    fn eq(&self, other: &Grid) -> bool {
        std::ptr::eq(self, other) || (self.hash == other.hash && self.code == other.code)
    }
}

impl Eq for Grid {}

impl Hash for Grid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Takes the loops of the nest into the grid, from the outside in, as far as it is perfect but for
/// definitions.
pub(crate) fn spread(kernel: &Kernel) -> Grid {
    let Block { values, locals, mut stmts } = match &kernel.body {
        Body::Loops(block) => block.clone(),
        Body::Contraction(contraction) => contract::loops(contraction),
    };
    let (mut spread, mut body) = (vec![], vec![]);
    while let Some((definitions, (var, extent), inside)) = perfect(kernel, &stmts) {
        spread.push((var, extent));
        body.extend(definitions);
        stmts = inside;
    }
    body.extend(stmts);
    let (params, scalars) = (kernel.params.clone(), kernel.scalars.clone());
    let team = Team::of(iterations(&spread), folds::longest(&body, &params));
    Grid::new(&kernel.name, Code { team, spread, body, params, scalars, values, locals })
}

type Nest = (Vec<Stmt>, (ValId, usize), Vec<Stmt>);

/// Definitions that every iteration may repeat, and then one loop with independent iterations and nothing
/// else.
fn perfect(kernel: &Kernel, stmts: &[Stmt]) -> Option<Nest> {
    let (last, definitions) = stmts.split_last()?;
    let Stmt::For { var, extent, kind: LoopKind::Parallel | LoopKind::Lanes, body } = last else {
        return None;
    };
    definitions
        .iter()
        .all(|stmt| repeats(kernel, stmt))
        .then(|| (definitions.to_vec(), (*var, *extent), body.clone()))
}

/// Whether a statement gives the same whenever it runs: it reads nothing that the kernel writes.
fn repeats(kernel: &Kernel, stmt: &Stmt) -> bool {
    match stmt {
        Stmt::Let { inst: Inst::Load { param, .. }, .. } => kernel.params[*param].access == Access::Read,
        Stmt::Let { inst: Inst::Get(_), .. } => false,
        Stmt::Let { .. } => true,
        Stmt::For { .. } | Stmt::Store { .. } | Stmt::Set { .. } => false,
    }
}

/// A name that WGSL and C++ accept: letters, digits and single underscores, no digit first.
fn identifier(name: &str) -> String {
    let words: Vec<&str> =
        name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    format!("stm_{}", words.join("_"))
}

/// A grid that copies `len` elements from its first param to its second.
pub(crate) fn copy(len: usize) -> Grid {
    let mut block = Block::default();
    let (i, word) = (block.value(DType::I32), block.value(DType::I32));
    let index = Affine::term(i, 1);
    let body = vec![
        Stmt::Let { out: word, inst: Inst::Load { param: 0, index: index.clone() } },
        Stmt::Store { param: 1, index, value: word },
    ];
    over(block, i, len, body, "copy", &[Access::Read, Access::Write])
}

/// A grid that sets `len` elements of its only param to these bits.
pub(crate) fn fill(len: usize, bits: u32) -> Grid {
    let mut block = Block::default();
    let (i, word) = (block.value(DType::I32), block.value(DType::I32));
    let body = vec![
        Stmt::Let { out: word, inst: Inst::Const(DType::I32, bits) },
        Stmt::Store { param: 0, index: Affine::term(i, 1), value: word },
    ];
    over(block, i, len, body, "fill", &[Access::Write])
}

fn over(block: Block, var: ValId, len: usize, body: Vec<Stmt>, name: &str, accesses: &[Access]) -> Grid {
    let code = Code {
        team: Team::Alone,
        spread: vec![(var, len)],
        body,
        params: accesses.iter().map(|access| Param { dtype: DType::I32, access: *access }).collect(),
        scalars: vec![],
        values: block.values,
        locals: block.locals,
    };
    Grid::new(name, code)
}
