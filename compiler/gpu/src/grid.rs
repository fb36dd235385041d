//! Kernels as grids: what one dispatch runs, an invocation per iteration of the loops that are spread over it.
//!
//! A perfect nest of `Parallel` and `Lanes` loops is spread whole; everything else runs in order within an invocation.
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use stmc_ir::kernel::{Access, Affine, Block, Inst, Kernel, LoopKind, Param, Stmt, ValId};
use stmc_ir::types::DType;

/// A dispatch. Equal grids share one compiled shader, whatever their names.
#[derive(Debug)]
pub(crate) struct Grid {
    /// The kernel's, as an identifier of WGSL and C++.
    pub(crate) name: String,
    /// Invocations: the product of the spread extents.
    pub(crate) invocations: usize,
    pub(crate) code: Code,
    /// Of `code`, computed once: CubeCL looks a kernel up at every launch.
    hash: u64,
}

/// What a grid computes.
#[derive(PartialEq, Eq, Hash, Debug)]
pub(crate) struct Code {
    /// The loops that invocations are numbered by, slowest first.
    pub(crate) spread: Vec<(ValId, usize)>,
    /// Run by each invocation.
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
        let invocations = code.spread.iter().map(|(_, extent)| extent).product();
        Grid { name: identifier(name), invocations, code, hash: hasher.finish() }
    }
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

/// Takes the loops of the nest into the grid, from the outside in, as far as it is perfect but for definitions.
pub(crate) fn spread(kernel: &Kernel) -> Grid {
    let Block { values, locals, mut stmts } = kernel.loops().into_owned();
    let (mut spread, mut body) = (vec![], vec![]);
    while let Some((definitions, (var, extent), inside)) = perfect(kernel, &stmts) {
        spread.push((var, extent));
        body.extend(definitions);
        stmts = inside;
    }
    body.extend(stmts);
    let (params, scalars) = (kernel.params.clone(), kernel.scalars.clone());
    Grid::new(&kernel.name, Code { spread, body, params, scalars, values, locals })
}

type Nest = (Vec<Stmt>, (ValId, usize), Vec<Stmt>);

/// Definitions that every invocation may repeat, and then one loop with independent iterations and nothing else.
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

/// Whether a statement gives the same whenever an invocation comes to it: it reads nothing that the kernel writes.
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
        spread: vec![(var, len)],
        body,
        params: accesses.iter().map(|access| Param { dtype: DType::I32, access: *access }).collect(),
        scalars: vec![],
        values: block.values,
        locals: block.locals,
    };
    Grid::new(name, code)
}
