//! The kernel of a scatter: loops over the axes that stay; in each iteration the whole of the new axis is set to zero, and then a walk
//! over the removed axes adds each element where the index says. Iterations of the outer loops meet nowhere, and the
//! order of the sums is that of the walk, whatever runs at once.
use super::{DomainLoop, Emitted, Emitter, Hints, Leaf, Lowering, Scene};
use stmc_ir::kernel::{Access, Affine, Core, Inst, LoopKind, Stmt, ValId};
use stmc_ir::lower::{At, Emit};
use stmc_ir::ops::Scatter;
use stmc_ir::{AxisId, DType, Op};

/// Writes the kernel of a leaf that is a scatter.
pub(super) fn emit(
    scene: &mut Scene<'_>,
    name: &str,
    domain: &[(AxisId, usize)],
    leaf: &Leaf<'_>,
) -> Emitted {
    let Op::Scatter(scatter) = &scene.graph.node(leaf.work.value).op else {
        unreachable!("the caller saw it")
    };
    let stay = domain.iter().filter(|d| d.0 != scatter.axis);
    let loops: Vec<DomainLoop> = stay.map(|&(axis, extent)| DomainLoop { axis, extent, weight: 1 }).collect();
    let mut emitter = Emitter::new(scene, &loops, Hints::default());
    emitter.clear(leaf, scatter);
    emitter.walk(leaf, scatter);
    emitter.finish(name, &loops)
}

impl Emitter<'_, '_> {
    fn clear(&mut self, leaf: &Leaf<'_>, scatter: &Scatter) {
        let zero = self.inst(Inst::Const(DType::F32, 0), DType::F32);
        let var = self.open(scatter.extent);
        let place = self.at.with(scatter.axis, Affine::term(var, 1));
        let (param, index) = self.target(leaf, &place, Access::Write);
        self.push(Stmt::Store { param, index, value: zero });
        self.close(var, scatter.extent);
    }

    fn walk(&mut self, leaf: &Leaf<'_>, scatter: &Scatter) {
        let node = self.scene.graph.node(leaf.work.value);
        for span in &node.spans {
            if !self.spans.contains(span) {
                self.spans.push(*span);
            }
        }
        let (x, to) = (node.args[0], node.args[1]);
        let ty = self.scene.graph.ty(x);
        let extents: Vec<(AxisId, usize)> =
            ty.dims().iter().filter(|d| scatter.over.contains(&d.axis)).map(|d| (d.axis, d.extent)).collect();
        let vars: Vec<ValId> = extents.iter().map(|(_, extent)| self.open(*extent)).collect();
        let here = extents
            .iter()
            .zip(&vars)
            .fold(self.at.clone(), |at, ((axis, _), var)| at.with(*axis, Affine::term(*var, 1)));
        let index = self.pull(to, &here);
        let last = scatter.extent as i64 - 1;
        let mut e = Lowering { emitter: self, node: leaf.work.value };
        let e: &mut dyn Emit = &mut e;
        let (zero, end) = (e.int(0), e.int(last));
        let index = e.core(Core::Max, &[index, zero]);
        let index = e.core(Core::Min, &[index, end]);
        let index = e.index(index, 0, last);
        let value = self.pull(x, &here);
        self.add(leaf, &self.at.with(scatter.axis, index), value);
        for ((_, extent), var) in extents.iter().zip(&vars).rev() {
            self.close(*var, *extent);
        }
    }

    /// `target[place] += value`. What is loaded here was stored a moment ago: it is never taken for an earlier load.
    fn add(&mut self, leaf: &Leaf<'_>, place: &At, value: ValId) {
        let (param, index) = self.target(leaf, place, Access::Read);
        let depth = self.scopes.len() - 1;
        let [old, new] = [(); 2].map(|()| self.new_value(DType::F32, depth));
        self.push(Stmt::Let { out: old, inst: Inst::Load { param, index: index.clone() } });
        self.push(Stmt::Let { out: new, inst: Inst::Core(Core::Add, vec![old, value]) });
        self.push(Stmt::Store { param, index, value: new });
    }

    fn target(&mut self, leaf: &Leaf<'_>, place: &At, access: Access) -> (usize, Affine) {
        assert!(leaf.work.moves.is_empty(), "a scatter has a buffer of its own");
        let (param, constant) = self.param(&leaf.target, DType::F32, access);
        (param, leaf.target.index(place).plus(&Affine::constant(constant)))
    }

    /// Begins a loop in order; gives its variable.
    fn open(&mut self, extent: usize) -> ValId {
        self.scopes.push(vec![]);
        let var = self.new_value(DType::I32, self.scopes.len() - 1);
        self.ranges.insert(var, (0, extent as i64 - 1));
        var
    }

    fn close(&mut self, var: ValId, extent: usize) {
        let body = self.close_scope();
        self.push(Stmt::For { var, extent, kind: LoopKind::Serial, body });
    }
}
