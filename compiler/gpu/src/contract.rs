//! Contractions as loops for a GPU: an invocation computes a small tile of the result, so that it uses what
//! it loads more than once.
use crate::grid::Team;
use stmc_ir::kernel::{Affine, Block, Contraction, Core, Inst, LoopKind, Operand, Stmt, ValId};
use stmc_ir::types::DType;

/// Rows and columns of a tile, the best first.
const TILES: [(usize, usize); 9] = [(4, 4), (2, 4), (4, 2), (2, 2), (1, 4), (4, 1), (1, 2), (2, 1), (1, 1)];

/// Tiles below which a device is better filled by smaller ones.
const ENOUGH: usize = 16384;

/// The loops of a contraction: one fold for a team where that is worth while, else tiled by the innermost
/// loops of `m` and `n` where whole tiles cover them.
pub(crate) fn loops(contraction: &Contraction) -> Block {
    match (Team::of(results(contraction), Some(contraction.k.iter().product())), tile(contraction)) {
        (Team::Cube, _) => Tiling::new(contraction, (1, 1), Team::Cube).finish(),
        (Team::Alone, (1, 1)) => contraction.loops(),
        (Team::Alone, tile) => Tiling::new(contraction, tile, Team::Alone).finish(),
    }
}

fn results(c: &Contraction) -> usize {
    [&c.g, &c.m, &c.n].into_iter().flatten().product()
}

fn tile(c: &Contraction) -> (usize, usize) {
    let results = results(c);
    let last = |extents: &[usize]| extents.last().copied().unwrap_or(1);
    let fits = |&&(rows, columns): &&(usize, usize)| {
        last(&c.m).is_multiple_of(rows)
            && last(&c.n).is_multiple_of(columns)
            && results >= ENOUGH * rows * columns
    };
    TILES.iter().find(fits).copied().unwrap_or((1, 1))
}

/// A loop, and how far its index moves in a step.
type Loop = (ValId, usize, i64);

struct Tiling<'a> {
    c: &'a Contraction,
    rows: usize,
    columns: usize,
    team: Team,
    block: Block,
    g: Vec<Loop>,
    m: Vec<Loop>,
    n: Vec<Loop>,
    k: Vec<Loop>,
}

impl<'a> Tiling<'a> {
    fn new(c: &'a Contraction, (rows, columns): (usize, usize), team: Team) -> Tiling<'a> {
        let mut block = Block::default();
        let (g, k) = (nest(&mut block, &c.g, 1), nest(&mut block, &c.k, 1));
        let (m, n) = (nest(&mut block, &c.m, rows), nest(&mut block, &c.n, columns));
        Tiling { c, rows, columns, team, block, g, m, n, k }
    }

    fn finish(mut self) -> Block {
        let c = self.c;
        let cells: Vec<_> =
            (0..self.rows).flat_map(|i| (0..self.columns).map(move |j| (i as i64, j as i64))).collect();
        let sums: Vec<_> = cells.iter().map(|_| self.block.local(DType::F32)).collect();
        let results: Vec<Affine> =
            cells.iter().map(|(i, j)| self.place(&c.out, &self.m, *i, &self.n, *j)).collect();
        let mut body = vec![];
        for (local, index) in sums.iter().zip(&results) {
            let start = match c.accumulate {
                true => Inst::Load { param: c.out.param, index: index.clone() },
                false => Inst::Const(DType::F32, 0),
            };
            let value = self.define(&mut body, start);
            body.push(Stmt::Set { local: *local, value });
        }
        // A long sum is a sum of sums, one per step of the outermost loop: it loses far fewer digits. A team
        // adds its members' sums anyway.
        let of_sums = self.k.len() > 1 && self.team == Team::Alone;
        let parts: Vec<_> = match of_sums {
            true => cells.iter().map(|_| self.block.local(DType::F32)).collect(),
            false => sums.clone(),
        };
        let mut step = vec![];
        let rows = (0..self.rows).map(|i| self.place(&c.a, &self.m, i as i64, &self.k, 0)).collect();
        let a = self.loads(&mut step, c.a.param, rows);
        let columns = (0..self.columns).map(|j| self.place(&c.b, &self.n, j as i64, &self.k, 0)).collect();
        let b = self.loads(&mut step, c.b.param, columns);
        for ((i, j), local) in cells.iter().zip(&parts) {
            let old = self.define(&mut step, Inst::Get(*local));
            let value =
                self.define(&mut step, Inst::Core(Core::Fma, vec![a[*i as usize], b[*j as usize], old]));
            step.push(Stmt::Set { local: *local, value });
        }
        if of_sums {
            let mut block = vec![];
            for part in &parts {
                let zero = self.define(&mut block, Inst::Const(DType::F32, 0));
                block.push(Stmt::Set { local: *part, value: zero });
            }
            block.extend(around(&self.k[1..], LoopKind::Serial, step));
            for (part, sum) in parts.iter().zip(&sums) {
                let done = self.define(&mut block, Inst::Get(*part));
                let before = self.define(&mut block, Inst::Get(*sum));
                let after = self.define(&mut block, Inst::Core(Core::Add, vec![before, done]));
                block.push(Stmt::Set { local: *sum, value: after });
            }
            step = block;
        }
        let outer = if of_sums { 1 } else { self.k.len() };
        body.extend(around(&self.k[..outer], LoopKind::Serial, step));
        for (local, index) in sums.iter().zip(results) {
            let value = self.define(&mut body, Inst::Get(*local));
            body.push(Stmt::Store { param: c.out.param, index, value });
        }
        let spread = [&self.g[..], &self.m, &self.n].concat();
        self.block.stmts = around(&spread, LoopKind::Parallel, body);
        self.block
    }

    fn define(&mut self, stmts: &mut Vec<Stmt>, inst: Inst) -> ValId {
        let out = self.block.value(DType::F32);
        stmts.push(Stmt::Let { out, inst });
        out
    }

    fn loads(&mut self, stmts: &mut Vec<Stmt>, param: usize, indices: Vec<Affine>) -> Vec<ValId> {
        indices.into_iter().map(|index| self.define(stmts, Inst::Load { param, index })).collect()
    }

    /// The element of an operand at row (or column) `i` of the tile along its second group and `j` along its
    /// third.
    fn place(&self, o: &Operand, second: &[Loop], i: i64, third: &[Loop], j: i64) -> Affine {
        let groups = [(&self.g[..], &o.first), (second, &o.second), (third, &o.third)];
        let terms = groups.into_iter().flat_map(|(loops, strides)| loops.iter().zip(strides));
        let within = i * o.second.last().unwrap_or(&0) + j * o.third.last().unwrap_or(&0);
        terms.fold(Affine::constant(o.offset + within), |sum, ((var, _, step), stride)| {
            sum.plus(&Affine::term(*var, stride * step))
        })
    }
}

/// The loops of a group, the last of them in steps.
fn nest(block: &mut Block, extents: &[usize], step: usize) -> Vec<Loop> {
    let last = extents.len().wrapping_sub(1);
    let steps = extents.iter().enumerate().map(|(i, extent)| (extent, if i == last { step } else { 1 }));
    steps.map(|(extent, step)| (block.value(DType::I32), extent / step, step as i64)).collect()
}

fn around(loops: &[Loop], kind: LoopKind, body: Vec<Stmt>) -> Vec<Stmt> {
    loops
        .iter()
        .rev()
        .fold(body, |body, (var, extent, _)| vec![Stmt::For { var: *var, extent: *extent, kind, body }])
}
