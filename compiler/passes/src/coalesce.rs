//! Joins loops that walk memory as one: two become one if every index moves as far in all steps of the inner one as in one step of
//! the outer. Then a processor has longer lanes, and a graphics card fewer divisions to find its place.
use stmc_ir::kernel::{Affine, Inst, LoopKind, Stmt, ValId};

/// Before: a nest of independent loops. After: the same stores of the same values by fewer, longer loops.
pub(crate) fn coalesce(mut stmts: Vec<Stmt>) -> Vec<Stmt> {
    while let Some((outer, inner)) = pair(&stmts) {
        stmts = stmts.into_iter().flat_map(|stmt| join(stmt, outer, inner)).collect();
    }
    stmts
}

/// A loop's variable and extent.
type Loop = (ValId, usize);

/// Two loops that walk memory as one: neighbours, or any one and the innermost, which lanes take. Another merged loop in the middle
/// would be in nobody's interest.
fn pair(stmts: &[Stmt]) -> Option<(Loop, Loop)> {
    let loops = nest(stmts);
    let pairs = (0..loops.len()).flat_map(|i| (i + 1..loops.len()).map(move |j| (i, j)));
    let near = pairs.filter(|(i, j)| i + 1 == *j || j + 1 == loops.len());
    near.map(|(i, j)| (loops[i], loops[j])).find(|(outer, inner)| walks_as_one(stmts, *outer, *inner))
}

/// The independent loops, outermost first: parallel ones, and one over lanes with nothing but plain values beside it.
fn nest(stmts: &[Stmt]) -> Vec<Loop> {
    let plain = |stmt: &Stmt| matches!(stmt, Stmt::Let { inst, .. } if !matches!(inst, Inst::Get(_)));
    match stmts.split_last() {
        Some((Stmt::For { var, extent, kind: LoopKind::Parallel, body }, [])) => {
            [vec![(*var, *extent)], nest(body)].concat()
        }
        Some((Stmt::For { var, extent, kind: LoopKind::Lanes, .. }, beside)) if beside.iter().all(plain) => {
            vec![(*var, *extent)]
        }
        _ => vec![],
    }
}

/// Whether every use of the two variables is in an index that does not tell them from one variable of a longer loop.
fn walks_as_one(stmts: &[Stmt], outer: Loop, inner: Loop) -> bool {
    let through = |index: &Affine| index.factor(outer.0) == index.factor(inner.0) * inner.1 as i64;
    let is_neither = |value: &ValId| *value != outer.0 && *value != inner.0;
    stmts.iter().all(|stmt| match stmt {
        Stmt::For { body, .. } => walks_as_one(body, outer, inner),
        Stmt::Set { value, .. } => is_neither(value),
        Stmt::Store { index, value, .. } => through(index) && is_neither(value),
        Stmt::Let { inst, .. } => match inst {
            Inst::Load { index, .. } | Inst::Index(index) => through(index),
            Inst::Core(_, args) => args.iter().all(is_neither),
            Inst::Const(..) | Inst::Scalar(_) | Inst::Get(_) => true,
        },
    })
}

/// The statement without the outer loop, whose steps the inner one takes as well.
fn join(mut stmt: Stmt, outer: Loop, inner: Loop) -> Vec<Stmt> {
    if let Stmt::For { var, extent, body, .. } = &mut stmt {
        let joined = std::mem::take(body).into_iter().flat_map(|stmt| join(stmt, outer, inner)).collect();
        if *var == outer.0 {
            return joined;
        }
        if *var == inner.0 {
            *extent *= outer.1;
        }
        *body = joined;
    }
    if let Some(index) = stmt.index_mut() {
        index.terms.retain(|(value, _)| *value != outer.0);
    }
    vec![stmt]
}
