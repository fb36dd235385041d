//! Loops put into a better order for this processor, before code is made of them.
//!
//! Works on nests of parallel loops around one loop over lanes with nothing but plain values between: there every
//! order of iterations gives the same result. The loop along which memory is best read and written becomes the one over
//! lanes, and long lanes are shared out. Everything else stays as it is.

use crate::code::{TILE, is_function};
use crate::prepare::{UNIT_COST, cost};
use stmc_ir::kernel::{Affine, Block, Inst, LoopKind, Stmt, ValId};
use stmc_ir::types::DType;

/// Cost of an access along lanes that are not neighbours, in vectors of which each holds four.
const SCATTERED: f64 = 6.0;
/// A loop must be so much better than the one that was given to take its place.
const BETTER: f64 = 0.7;
/// Units of a kernel that are worth having.
const UNITS: usize = 16;
/// A share of lanes is a multiple of this: what vectors take at a time, and a line of the cache.
const LINE: usize = 16;

/// A nest taken apart.
struct Nest {
    /// All loops, outermost first; the last one is over lanes.
    loops: Vec<(ValId, usize)>,
    /// Values that do not depend on the lanes.
    before: Vec<Stmt>,
    /// What is done in each lane.
    body: Vec<Stmt>,
}

/// Loops in order.
pub(crate) struct Loops {
    pub(crate) block: Block,
    pub(crate) tiled: Tiled,
}

/// What a parallel iteration is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tiled {
    /// One of all parallel loops.
    No,
    /// One of all parallel loops but the innermost, which is done whole: with the lanes it makes a tile.
    Rows,
}

/// The block in its best order.
pub(crate) fn schedule(mut block: Block) -> Loops {
    let Some(mut nest) = Nest::of(&block) else { return Loops { block, tiled: Tiled::No } };
    nest.choose_lanes();
    nest.share_lanes(&mut block);
    let tiled = nest.tile(&mut block);
    block.stmts = nest.stmts();
    Loops { block, tiled }
}

impl Nest {
    /// `None`: the block is of another form.
    fn of(block: &Block) -> Option<Nest> {
        let (mut loops, mut stmts) = (vec![], &block.stmts[..]);
        while let [Stmt::For { var, extent, kind: LoopKind::Parallel, body }] = stmts {
            loops.push((*var, *extent));
            stmts = body;
        }
        let (last, before) = stmts.split_last()?;
        let Stmt::For { var, extent, kind: LoopKind::Lanes, body } = last else { return None };
        let plain = |stmt: &Stmt| matches!(stmt, Stmt::Let { inst, .. } if !matches!(inst, Inst::Get(_)));
        if !before.iter().all(plain) || sums_outside(body, &mut vec![]) {
            return None;
        }
        loops.push((*var, *extent));
        Some(Nest { loops, before: before.to_vec(), body: body.clone() })
    }

    fn stmts(self) -> Vec<Stmt> {
        let mut loops = self.loops.into_iter().rev();
        let (var, extent) = loops.next().expect("a nest has its lanes");
        let mut stmts = self.before;
        stmts.push(Stmt::For { var, extent, kind: LoopKind::Lanes, body: self.body });
        loops.fold(stmts, |body, (var, extent)| {
            vec![Stmt::For { var, extent, kind: LoopKind::Parallel, body }]
        })
    }

    /// Gives the lanes to the loop whose accesses are cheapest.
    fn choose_lanes(&mut self) {
        let last = self.loops.len() - 1;
        let costs: Vec<f64> = (0..=last).map(|i| self.cost_along(i)).collect();
        let best = (0..=last).min_by(|&i, &j| costs[i].total_cmp(&costs[j])).expect("a nest has its lanes");
        if costs[best] > BETTER * costs[last] {
            return;
        }
        let lanes = self.loops.remove(best);
        self.loops.push(lanes);
        let mut body = std::mem::take(&mut self.before);
        body.append(&mut self.body);
        self.body = body;
    }

    /// The accesses of one iteration if the lanes run along this loop.
    fn cost_along(&self, candidate: usize) -> f64 {
        let (var, extent) = self.loops[candidate];
        let last = candidate + 1 == self.loops.len();
        let mut cost = 0.0;
        for (stmts, shared) in [(&self.before, last), (&self.body, false)] {
            for stmt in stmts {
                let weight = weight(stmt, if shared { 0.1 } else { 1.0 });
                each_index(stmt, &mut |index| {
                    cost += weight * if matches!(index.factor(var), 0 | 1) { 1.0 } else { SCATTERED };
                });
            }
        }
        // Lanes that do not fill a vector are done one by one.
        let vectors = (extent / 4 + extent % 4 * 3) as f64 / (extent as f64 / 4.0);
        cost * vectors
    }

    /// Cuts long lanes into pieces for several threads where the loops around are too few.
    fn share_lanes(&mut self, block: &mut Block) {
        let (_, extent) = *self.loops.last().expect("a nest has its lanes");
        let around: usize = self.loops.iter().map(|(_, extent)| extent).product::<usize>() / extent.max(1);
        let lane = cost(&self.body).div_ceil(4).max(1);
        let wanted = (UNIT_COST / lane).max(LINE).max(extent.div_ceil(UNITS));
        let divides = |share: &usize| share.is_multiple_of(LINE) && extent.is_multiple_of(*share);
        let share = (LINE..extent).rev().filter(divides).find(|&share| share <= 2 * wanted);
        let Some(share) = share.filter(|_| around < UNITS && extent >= 2 * wanted) else { return };
        self.cut_lanes(share, block);
    }

    /// Makes tiles of a size that suits the functions of vectors, if the body calls any.
    fn tile(&mut self, block: &mut Block) -> Tiled {
        let calls = |stmt: &Stmt| matches!(stmt, Stmt::Let { inst, .. } if is_function(inst));
        let straight = !self.body.iter().any(|stmt| matches!(stmt, Stmt::For { .. }));
        if !straight || !self.body.iter().any(calls) {
            return Tiled::No;
        }
        let (_, extent) = *self.loops.last().expect("a nest has its lanes");
        if extent > TILE {
            let share =
                (LINE..=TILE).rev().find(|share| share.is_multiple_of(LINE) && extent.is_multiple_of(*share));
            if let Some(share) = share {
                self.cut_lanes(share, block);
            }
            return Tiled::No;
        }
        self.tile_rows(extent, block)
    }

    fn tile_rows(&mut self, lanes: usize, block: &mut Block) -> Tiled {
        let around: usize = self.loops.iter().rev().skip(1).map(|(_, extent)| extent).product();
        let [.., (var, extent), _] = self.loops[..] else { return Tiled::No };
        let fits = |rows: &usize| rows * lanes <= TILE && (around / rows >= UNITS || around < UNITS);
        let rows = (2..=extent).rev().filter(|rows| extent.is_multiple_of(*rows)).find(fits);
        let Some(rows) = rows else { return Tiled::No };
        if rows == extent {
            return Tiled::Rows;
        }
        let [part, row] = [block.value(DType::I32), block.value(DType::I32)];
        let index = Affine::term(part, rows as i64).plus(&Affine::term(row, 1));
        self.before.insert(0, Stmt::Let { out: var, inst: Inst::Index(index) });
        let lanes = self.loops.len() - 1;
        self.loops.splice(lanes - 1..lanes, [(part, extent / rows), (row, rows)]);
        Tiled::Rows
    }

    fn cut_lanes(&mut self, share: usize, block: &mut Block) {
        let (var, extent) = self.loops.pop().expect("a nest has its lanes");
        let [part, inner] = [block.value(DType::I32), block.value(DType::I32)];
        let index = Affine::term(part, share as i64).plus(&Affine::term(inner, 1));
        self.body.insert(0, Stmt::Let { out: var, inst: Inst::Index(index) });
        self.loops.extend([(part, extent / share), (inner, share)]);
    }
}

fn weight(stmt: &Stmt, factor: f64) -> f64 {
    match stmt {
        Stmt::For { .. } => 8.0 * factor,
        Stmt::Let { inst: Inst::Index(_), .. } => 0.0,
        Stmt::Let { .. } | Stmt::Set { .. } | Stmt::Store { .. } => factor,
    }
}

/// Whether a body may sum into a local that is declared outside: it looks at one before it sets it.
fn sums_outside(body: &[Stmt], set: &mut Vec<stmc_ir::kernel::LocalId>) -> bool {
    body.iter().any(|stmt| match stmt {
        Stmt::Let { inst: Inst::Get(local), .. } => !set.contains(local),
        Stmt::Set { local, .. } => {
            set.push(*local);
            false
        }
        Stmt::For { body, .. } => sums_outside(body, set),
        Stmt::Let { .. } | Stmt::Store { .. } => false,
    })
}

fn each_index(stmt: &Stmt, visit: &mut dyn FnMut(&Affine)) {
    stmt.index().into_iter().for_each(&mut *visit);
    if let Stmt::For { body, .. } = stmt {
        body.iter().for_each(|stmt| each_index(stmt, visit));
    }
}
