//! What a launch of a kernel has to do, from its text alone: the numerator of every rate, and the roof over it.
use super::{Affine, Body, Contraction, Core, Inst, Kernel, Operand, Stmt, ValId};
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// Operations and memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Work {
    /// Additions, multiplications and other arithmetic on f32, each function (`exp`, `tanh` …) as one.
    pub flops: u64,
    /// Bytes that must be read or written at least once: each element counts once, however often it is used.
    pub bytes: u64,
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Work) {
        self.flops += other.flops;
        self.bytes += other.bytes;
    }
}

impl Kernel {
    /// What one launch has to do.
    pub fn work(&self) -> Work {
        match &self.body {
            Body::Contraction(c) => c.work(),
            Body::Loops(block) => {
                let mut walk = Walk { extents: BTreeMap::new(), flops: 0, touched: BTreeMap::new() };
                walk.stmts(&block.stmts, 1);
                Work { flops: walk.flops, bytes: 4 * walk.touched.values().sum::<u64>() }
            }
        }
    }

    /// The instructions that it is made of, each with how often it stands in the text; commonest first.
    pub fn instructions(&self) -> Vec<(Core, usize)> {
        let mut counts: Vec<(Core, usize)> = vec![];
        if let Body::Loops(block) = &self.body {
            each_core(&block.stmts, &mut |core| match counts.iter_mut().find(|c| c.0 == core) {
                Some(count) => count.1 += 1,
                None => counts.push((core, 1)),
            });
        }
        counts.sort_by_key(|c| std::cmp::Reverse(c.1));
        counts
    }
}

impl Contraction {
    fn work(&self) -> Work {
        let all = |extents: &[usize]| extents.iter().product::<usize>() as u64;
        let (g, m, n) = (all(&self.g), all(&self.m), all(&self.n));
        let operand = |o: &Operand, second: &[usize], third: &[usize]| {
            let loops = self
                .g
                .iter()
                .zip(&o.first)
                .chain(second.iter().zip(&o.second))
                .chain(third.iter().zip(&o.third));
            elements(loops.map(|(&extent, &stride)| (extent, stride)))
        };
        let result = g * m * n * if self.accumulate { 2 } else { 1 };
        Work {
            flops: 2 * self.multiplications() as u64,
            bytes: 4 * (operand(&self.a, &self.m, &self.k) + operand(&self.b, &self.n, &self.k) + result),
        }
    }
}

/// Elements that loops of these extents and strides reach: never more than there are combinations, nor than lie between the first
/// and the last.
fn elements(loops: impl Iterator<Item = (usize, i64)>) -> u64 {
    let (mut combinations, mut reach) = (1, 1);
    for (extent, stride) in loops.filter(|l| l.1 != 0) {
        combinations *= extent as u64;
        reach += extent.saturating_sub(1) as u64 * stride.unsigned_abs();
    }
    combinations.min(reach)
}

struct Walk {
    /// Of the loops around, and those before.
    extents: BTreeMap<ValId, usize>,
    flops: u64,
    /// Elements by param: of several accesses the one that reaches most.
    touched: BTreeMap<usize, u64>,
}

impl Walk {
    fn stmts(&mut self, stmts: &[Stmt], times: u64) {
        for stmt in stmts {
            match stmt {
                Stmt::For { var, extent, body, .. } => {
                    self.extents.insert(*var, *extent);
                    self.stmts(body, times * *extent as u64);
                }
                Stmt::Let { inst: Inst::Load { param, index }, .. } | Stmt::Store { param, index, .. } => {
                    self.touch(*param, index, times);
                }
                Stmt::Let { inst: Inst::Core(core, _), .. } => self.flops += times * core.flops(),
                Stmt::Let { .. } | Stmt::Set { .. } => {}
            }
        }
    }

    /// An index that is computed may lead anywhere: then there is an element for each time.
    fn touch(&mut self, param: usize, index: &Affine, times: u64) {
        let extents: Option<Vec<_>> =
            index.terms.iter().map(|(value, factor)| Some((*self.extents.get(value)?, *factor))).collect();
        let reached = extents.map_or(times, |loops| elements(loops.into_iter()));
        let touched = self.touched.entry(param).or_default();
        *touched = reached.max(*touched);
    }
}

impl Core {
    /// Operations on f32 that it stands for.
    fn flops(self) -> u64 {
        match self {
            Core::Fma => 2,
            Core::Add | Core::Sub | Core::Mul | Core::Min | Core::Max | Core::Neg | Core::Abs | Core::Div => {
                1
            }
            Core::Sqrt | Core::Floor | Core::Round => 1,
            Core::Exp | Core::Log | Core::Sin | Core::Cos | Core::Tanh | Core::Erf => 1,
            Core::FloorDiv | Core::FloorMod | Core::MulHigh | Core::Xor | Core::ShiftRight => 0,
            Core::Less | Core::LessEqual | Core::Equal | Core::And | Core::Or | Core::Not | Core::Select => 0,
            Core::ToF32 | Core::ToI32 | Core::Bits | Core::FromBits => 0,
        }
    }
}

fn each_core(stmts: &[Stmt], visit: &mut dyn FnMut(Core)) {
    for stmt in stmts {
        match stmt {
            Stmt::Let { inst: Inst::Core(core, _), .. } => visit(*core),
            Stmt::For { body, .. } => each_core(body, visit),
            Stmt::Let { .. } | Stmt::Store { .. } | Stmt::Set { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Access, Block, LoopKind, Param};
    use crate::types::DType;

    fn param(access: Access) -> Param {
        Param { dtype: DType::F32, access }
    }

    #[test]
    fn each_element_counts_once_and_each_operation_as_often_as_it_runs() {
        // out[i] = x[i + j] * y[0], for i < 4, j < 3: six elements of x, one of y, four of out.
        let mut block = Block::default();
        let [i, j] = [DType::I32; 2].map(|t| block.value(t));
        let [x, y, z] = [DType::F32; 3].map(|t| block.value(t));
        let load = |param, index| Inst::Load { param, index };
        let body = vec![
            Stmt::Let { out: x, inst: load(0, Affine::term(i, 1).plus(&Affine::term(j, 1))) },
            Stmt::Let { out: y, inst: load(1, Affine::default()) },
            Stmt::Let { out: z, inst: Inst::Core(Core::Mul, vec![x, y]) },
            Stmt::Store { param: 2, index: Affine::term(i, 1), value: z },
        ];
        let inner = Stmt::For { var: j, extent: 3, kind: LoopKind::Serial, body };
        block.stmts = vec![Stmt::For { var: i, extent: 4, kind: LoopKind::Parallel, body: vec![inner] }];
        let params = vec![param(Access::Read), param(Access::Read), param(Access::Write)];
        let kernel = Kernel { name: "mul".into(), params, scalars: vec![], body: Body::Loops(block) };
        assert_eq!(kernel.work(), Work { flops: 12, bytes: 4 * (6 + 1 + 4) });
        assert_eq!(kernel.instructions(), [(Core::Mul, 1)]);
    }

    #[test]
    fn a_convolution_reads_its_image_once() {
        // One row of 10 elements, 3 taps, 5 channels: 8 windows.
        let operand = |param, second: &[i64], third: &[i64]| Operand {
            param,
            offset: 0,
            first: vec![],
            second: second.to_vec(),
            third: third.to_vec(),
        };
        let c = Contraction {
            g: vec![],
            m: vec![8],
            n: vec![5],
            k: vec![3],
            a: operand(0, &[1], &[1]),
            b: operand(1, &[1], &[5]),
            out: operand(2, &[5], &[1]),
            accumulate: false,
        };
        assert_eq!(c.work(), Work { flops: 2 * 8 * 5 * 3, bytes: 4 * (10 + 15 + 40) });
    }
}
