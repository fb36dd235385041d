//! Contractions as loops: the nest that defines one, and the same with a tile of the result in each iteration.
use super::{Affine, Block, Contraction, Core, Inst, LocalId, LoopKind, Operand, Stmt, ValId};
use crate::types::DType;

/// How a sum over several loops is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Summed {
    /// A sum of sums, one per step of the outermost loop: a long one loses far fewer digits.
    InBlocks,
    /// One after the other: for those who cut the sum themselves.
    InOrder,
}

impl Contraction {
    /// The nest of loops that defines it: `g`, `m`, `n` parallel, `k` serial.
    pub fn loops(&self) -> Block {
        self.tiled((1, 1), Summed::InBlocks)
    }

    /// The same nest with `rows` by `columns` results in each iteration, so that what is loaded is used more than once:
    /// along the innermost loops of `m` and `n`, whose extents are multiples of them.
    pub fn tiled(&self, (rows, columns): (usize, usize), summed: Summed) -> Block {
        let mut block = Block::default();
        // From the outside in: an index adds up in this order, and what an inner loop leaves alone can stay outside it.
        let groups = [(&self.g, 1), (&self.m, rows), (&self.n, columns), (&self.k, 1)];
        let [g, m, n, k] = groups.map(|(extents, step)| nest(&mut block, extents, step));
        let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))).collect();
        let mut tiling = Tiling { c: self, block, g, m, n, k, rows, columns, cells };
        let sums = tiling.locals();
        let places = tiling.places();
        let mut body = tiling.begin(&sums, &places);
        body.extend(match summed {
            Summed::InBlocks if self.k.len() > 1 => tiling.blocks(&sums),
            Summed::InBlocks | Summed::InOrder => {
                let products = tiling.products(&sums);
                around(&tiling.k, LoopKind::Serial, products)
            }
        });
        body.extend(tiling.end(&sums, places));
        let spread = [&tiling.g[..], &tiling.m, &tiling.n].concat();
        tiling.block.stmts = around(&spread, LoopKind::Parallel, body);
        tiling.block
    }
}

/// A loop, and how far its index moves in a step.
type Loop = (ValId, usize, i64);

struct Tiling<'a> {
    c: &'a Contraction,
    block: Block,
    g: Vec<Loop>,
    m: Vec<Loop>,
    n: Vec<Loop>,
    k: Vec<Loop>,
    rows: usize,
    columns: usize,
    /// Row and column of each result of the tile.
    cells: Vec<(usize, usize)>,
}

impl Tiling<'_> {
    /// A sum for each cell.
    fn locals(&mut self) -> Vec<LocalId> {
        self.cells.iter().map(|_| self.block.local(DType::F32)).collect()
    }

    /// Where the cells lie.
    fn places(&self) -> Vec<Affine> {
        let place =
            |&(row, column): &(usize, usize)| self.place(&self.c.out, (&self.m, row), (&self.n, column));
        self.cells.iter().map(place).collect()
    }

    fn begin(&mut self, sums: &[LocalId], places: &[Affine]) -> Vec<Stmt> {
        let c = self.c;
        let mut stmts = vec![];
        for (local, index) in sums.iter().zip(places) {
            let start = if c.accumulate {
                Inst::Load { param: c.out.param, index: index.clone() }
            } else {
                Inst::Const(DType::F32, 0)
            };
            let value = self.define(&mut stmts, start);
            stmts.push(Stmt::Set { local: *local, value });
        }
        stmts
    }

    /// The loops of `k`, each step of the outermost with sums of its own that are added when they are done.
    fn blocks(&mut self, sums: &[LocalId]) -> Vec<Stmt> {
        let parts = self.locals();
        let mut stmts = vec![];
        for part in &parts {
            let zero = self.define(&mut stmts, Inst::Const(DType::F32, 0));
            stmts.push(Stmt::Set { local: *part, value: zero });
        }
        let products = self.products(&parts);
        stmts.extend(around(&self.k[1..], LoopKind::Serial, products));
        for (part, sum) in parts.iter().zip(sums) {
            let done = self.define(&mut stmts, Inst::Get(*part));
            let before = self.define(&mut stmts, Inst::Get(*sum));
            let after = self.define(&mut stmts, Inst::Core(Core::Add, vec![before, done]));
            stmts.push(Stmt::Set { local: *sum, value: after });
        }
        around(&self.k[..1], LoopKind::Serial, stmts)
    }

    /// Adds a product to each sum.
    fn products(&mut self, sums: &[LocalId]) -> Vec<Stmt> {
        let c = self.c;
        let mut stmts = vec![];
        let rows = (0..self.rows).map(|row| self.place(&c.a, (&self.m, row), (&self.k, 0))).collect();
        let a = self.loads(&mut stmts, c.a.param, rows);
        let columns =
            (0..self.columns).map(|column| self.place(&c.b, (&self.n, column), (&self.k, 0))).collect();
        let b = self.loads(&mut stmts, c.b.param, columns);
        for ((row, column), local) in self.cells.clone().into_iter().zip(sums) {
            let old = self.define(&mut stmts, Inst::Get(*local));
            let args = vec![a[row], b[column], old];
            let value = self.define(&mut stmts, Inst::Core(Core::Fma, args));
            stmts.push(Stmt::Set { local: *local, value });
        }
        stmts
    }

    fn end(&mut self, sums: &[LocalId], places: Vec<Affine>) -> Vec<Stmt> {
        let mut stmts = vec![];
        for (local, index) in sums.iter().zip(places) {
            let value = self.define(&mut stmts, Inst::Get(*local));
            stmts.push(Stmt::Store { param: self.c.out.param, index, value });
        }
        stmts
    }

    fn define(&mut self, stmts: &mut Vec<Stmt>, inst: Inst) -> ValId {
        let out = self.block.value(DType::F32);
        stmts.push(Stmt::Let { out, inst });
        out
    }

    fn loads(&mut self, stmts: &mut Vec<Stmt>, param: usize, indices: Vec<Affine>) -> Vec<ValId> {
        indices.into_iter().map(|index| self.define(stmts, Inst::Load { param, index })).collect()
    }

    /// An operand's element, so many elements on along its second and its third group of loops.
    fn place(&self, o: &Operand, (second, i): (&[Loop], usize), (third, j): (&[Loop], usize)) -> Affine {
        let groups = [(&self.g[..], &o.first), (second, &o.second), (third, &o.third)];
        let terms = groups.into_iter().flat_map(|(loops, strides)| loops.iter().zip(strides));
        let within = i as i64 * o.second.last().unwrap_or(&0) + j as i64 * o.third.last().unwrap_or(&0);
        terms.fold(Affine::constant(o.offset + within), |sum, ((var, _, step), stride)| {
            sum.plus(&Affine::term(*var, stride * step))
        })
    }
}

/// The loops of a group, the last of them in steps.
fn nest(block: &mut Block, extents: &[usize], step: usize) -> Vec<Loop> {
    let steps =
        extents.iter().enumerate().map(|(i, extent)| (extent, if i + 1 == extents.len() { step } else { 1 }));
    steps.map(|(extent, step)| (block.value(DType::I32), extent / step, step as i64)).collect()
}

fn around(loops: &[Loop], kind: LoopKind, body: Vec<Stmt>) -> Vec<Stmt> {
    loops
        .iter()
        .rev()
        .fold(body, |body, (var, extent, _)| vec![Stmt::For { var: *var, extent: *extent, kind, body }])
}
