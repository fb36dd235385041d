//! Joins nested loops that walk memory as one: two loops become one if every index moves on by the inner loop's whole length when the
//! outer one takes a step. A single long loop that is left is cut, so that its pieces can run side by side.
use stmc_ir::kernel::{Affine, Block, Body, Inst, Kernel, LoopKind, Stmt, ValId};

/// Iterations of a lanes loop aimed at when a long loop is cut.
const PIECE: usize = 2048;

/// Before: a kernel of loops. After: the same stores of the same values by fewer, longer loops.
pub(crate) fn coalesce(mut kernel: Kernel) -> Kernel {
    if let Body::Loops(block) = &mut kernel.body {
        let (mut nest, mut body) = take_nest(std::mem::take(&mut block.stmts));
        let mut outer = nest.len().saturating_sub(1);
        while outer > 0 {
            outer -= 1;
            let (a, b) = (nest[outer], nest[outer + 1]);
            if joins(&body, a.0, b.0, b.1) {
                nest[outer + 1].1 *= a.1;
                nest.remove(outer);
                body = rewrite(&body, &mut |index| without(index, a.0));
            }
        }
        block.stmts = match &nest[..] {
            [(var, extent, LoopKind::Lanes)] if *extent > PIECE => cut(block, *var, *extent, &body),
            _ => build(&nest, body),
        };
    }
    kernel
}

type Loop = (ValId, usize, LoopKind);

/// The perfectly nested loops around the rest: parallel ones, and lanes if nothing stands beside them.
fn take_nest(stmts: Vec<Stmt>) -> (Vec<Loop>, Vec<Stmt>) {
    let (mut nest, mut body) = (vec![], stmts);
    loop {
        match &body[..] {
            [Stmt::For { var, extent, kind: kind @ (LoopKind::Parallel | LoopKind::Lanes), body: inner }] => {
                nest.push((*var, *extent, *kind));
                let lanes = *kind == LoopKind::Lanes;
                body = inner.clone();
                if lanes {
                    return (nest, body);
                }
            }
            _ => return (nest, body),
        }
    }
}

fn build(nest: &[Loop], body: Vec<Stmt>) -> Vec<Stmt> {
    nest.iter().rev().fold(body, |body, (var, extent, kind)| {
        vec![Stmt::For { var: *var, extent: *extent, kind: *kind, body }]
    })
}

/// Whether every use of `outer` and `inner` is an index that walks through both as through one.
fn joins(stmts: &[Stmt], outer: ValId, inner: ValId, extent: usize) -> bool {
    stmts.iter().all(|stmt| match stmt {
        Stmt::For { body, .. } => joins(body, outer, inner, extent),
        Stmt::Set { .. } => true,
        Stmt::Store { index, value, .. } => {
            through(index, outer, inner, extent) && *value != outer && *value != inner
        }
        Stmt::Let { inst, .. } => match inst {
            Inst::Load { index, .. } | Inst::Index(index) => through(index, outer, inner, extent),
            Inst::Core(_, args) => !args.contains(&outer) && !args.contains(&inner),
            Inst::Const(..) | Inst::Scalar(_) | Inst::Get(_) => true,
        },
    })
}

fn through(index: &Affine, outer: ValId, inner: ValId, extent: usize) -> bool {
    index.factor(outer) == index.factor(inner) * extent as i64
}

fn without(index: &Affine, var: ValId) -> Affine {
    Affine { terms: index.terms.iter().copied().filter(|t| t.0 != var).collect(), constant: index.constant }
}

fn rewrite(stmts: &[Stmt], f: &mut impl FnMut(&Affine) -> Affine) -> Vec<Stmt> {
    let mut one = |stmt: &Stmt| match stmt {
        Stmt::For { var, extent, kind, body } => {
            Stmt::For { var: *var, extent: *extent, kind: *kind, body: rewrite(body, f) }
        }
        Stmt::Store { param, index, value } => Stmt::Store { param: *param, index: f(index), value: *value },
        Stmt::Let { out, inst: Inst::Load { param, index } } => {
            Stmt::Let { out: *out, inst: Inst::Load { param: *param, index: f(index) } }
        }
        Stmt::Let { out, inst: Inst::Index(index) } => Stmt::Let { out: *out, inst: Inst::Index(f(index)) },
        other => other.clone(),
    };
    stmts.iter().map(&mut one).collect()
}

/// One loop as two: pieces side by side, lanes within.
fn cut(block: &mut Block, var: ValId, extent: usize, body: &[Stmt]) -> Vec<Stmt> {
    let piece = (PIECE / 16..=PIECE).rev().find(|n| extent.is_multiple_of(*n));
    let direct = uses_directly(body, var);
    let Some(piece) = piece.filter(|_| !direct) else {
        return build(&[(var, extent, LoopKind::Lanes)], body.to_vec());
    };
    let outer = block.value(stmc_ir::DType::I32);
    let body = rewrite(body, &mut |index| index.plus(&Affine::term(outer, index.factor(var) * piece as i64)));
    build(&[(outer, extent / piece, LoopKind::Parallel), (var, piece, LoopKind::Lanes)], body)
}

fn uses_directly(stmts: &[Stmt], var: ValId) -> bool {
    stmts.iter().any(|stmt| match stmt {
        Stmt::For { body, .. } => uses_directly(body, var),
        Stmt::Store { value, .. } | Stmt::Set { value, .. } => *value == var,
        Stmt::Let { inst: Inst::Core(_, args), .. } => args.contains(&var),
        Stmt::Let { .. } => false,
    })
}
