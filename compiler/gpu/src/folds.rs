//! Which loops a cube can share: folds, whose iterations meet only in what they add up.
//!
//! A grid with few invocations and long folds (the mean of a loss, the gradient of a bias) would leave a GPU
//! idle; there a cube runs what an invocation would, each of its invocations a part of every fold. The parts
//! are combined in a tree of fixed shape, so the order of a sum depends on its length alone.
use std::collections::BTreeSet;
use stmc_ir::kernel::{Access, Core, Inst, LocalId, Param, Stmt, ValId};

/// A nest of loops that a cube can share.
pub(crate) struct Fold<'a> {
    /// Slowest first.
    pub(crate) loops: Vec<(ValId, usize)>,
    /// What an iteration does, in order.
    pub(crate) body: Vec<&'a Stmt>,
    /// The locals that the iterations meet in, each with the instruction that joins them.
    pub(crate) sums: Vec<(LocalId, Core)>,
    /// The locals that each iteration sets before it reads them.
    private: BTreeSet<LocalId>,
}

impl Fold<'_> {
    pub(crate) fn iterations(&self) -> usize {
        self.loops.iter().map(|(_, extent)| extent).product()
    }
}

/// The iterations of the longest fold in a body that a cube can run as one. `None`: it has to be a single
/// invocation.
pub(crate) fn longest(body: &[Stmt], params: &[Param]) -> Option<usize> {
    let (mut common, mut private, mut read) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut longest, mut stored) = (0, false);
    for stmt in body {
        // Only one invocation stores, and the others do not wait for it.
        if stored && reads_what_may_change(stmt, params) {
            return None;
        }
        match stmt {
            Stmt::Let { inst: Inst::Get(local), .. } => read.extend([*local]),
            Stmt::Let { .. } => {}
            Stmt::Set { local, .. } => common.extend([*local]),
            Stmt::Store { .. } => stored = true,
            Stmt::For { .. } => {
                let fold = fold(stmt)?;
                longest = longest.max(fold.iterations());
                common.extend(fold.sums.iter().map(|(local, _)| *local));
                private.extend(fold.private);
            }
        }
    }
    (longest > 0 && private.is_disjoint(&common) && read.is_subset(&common)).then_some(longest)
}

fn reads_what_may_change(stmt: &Stmt, params: &[Param]) -> bool {
    match stmt {
        Stmt::Let { inst: Inst::Load { param, .. }, .. } => params[*param].access != Access::Read,
        Stmt::For { body, .. } => body.iter().any(|stmt| reads_what_may_change(stmt, params)),
        Stmt::Let { .. } | Stmt::Set { .. } | Stmt::Store { .. } => false,
    }
}

/// The fold that a statement of a grid's body is, if it is one.
pub(crate) fn fold(stmt: &Stmt) -> Option<Fold<'_>> {
    let mut fold = Fold { loops: vec![], body: vec![], sums: vec![], private: BTreeSet::new() };
    let mut inside = std::slice::from_ref(stmt);
    while let [definitions @ .., Stmt::For { var, extent, kind: _, body }] = inside
        && definitions.iter().all(|stmt| keeps_to(stmt, &fold.private))
    {
        fold.loops.push((*var, *extent));
        fold.body.extend(definitions);
        inside = body;
    }
    fold.body.extend(inside);
    let mut rest = inside;
    while let Some((stmt, after)) = rest.split_first() {
        rest = match (sum(rest), stmt) {
            (Some((local, core)), _) if !fold.private.contains(&local) => {
                fold.sums.push((local, core));
                &rest[SUM..]
            }
            (_, Stmt::Set { local, .. }) => {
                fold.private.insert(*local);
                after
            }
            _ if keeps_to(stmt, &fold.private) => after,
            _ => return None,
        }
    }
    let meeting: BTreeSet<LocalId> = fold.sums.iter().map(|(local, _)| *local).collect();
    (meeting.len() == fold.sums.len() && meeting.is_disjoint(&fold.private) && !meeting.is_empty())
        .then_some(fold)
}

/// Whether a statement stores nothing and touches no local but these.
fn keeps_to(stmt: &Stmt, locals: &BTreeSet<LocalId>) -> bool {
    match stmt {
        Stmt::Let { inst: Inst::Get(local), .. } | Stmt::Set { local, .. } => locals.contains(local),
        Stmt::Let { .. } => true,
        Stmt::For { body, .. } => body.iter().all(|stmt| keeps_to(stmt, locals)),
        Stmt::Store { .. } => false,
    }
}

/// Statements in the pattern that `sum` looks for.
const SUM: usize = 3;

/// `old = l; new = core old x; l = new`: the local, and the instruction that joins two such sums.
fn sum(stmts: &[Stmt]) -> Option<(LocalId, Core)> {
    let [
        Stmt::Let { out: old, inst: Inst::Get(from) },
        Stmt::Let { out: new, inst: Inst::Core(core, args) },
        Stmt::Set { local, value },
        ..,
    ] = stmts
    else {
        return None;
    };
    let once = args.iter().filter(|arg| *arg == old).count() == 1;
    let joined = match core {
        Core::Add | Core::Mul | Core::Min | Core::Max => *core,
        Core::Fma if args[2] == *old => Core::Add,
        _ => return None,
    };
    (once && from == local && value == new).then_some((*local, joined))
}
