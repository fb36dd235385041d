//! Writes the loops of one kernel: pulls the value of each leaf through the ops that are not stored, at the position that the loops
//! stand at. A first, dry run finds out how the loops are best ordered; the second writes them.
use crate::coalesce::coalesce;
use crate::fuse::Work;
use crate::stored::Stored;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use stmc_base::Span;
use stmc_ir::kernel::{
    Access, Affine, Block, Body, Core, Inst, Kernel, LocalId, LoopKind, Param, Stmt, ValId,
};
use stmc_ir::lower::{At, Emit};
use stmc_ir::program::{Binding, ScalarArg};
use stmc_ir::{AxisId, DType, Graph, NodeId, Op, Type};

mod scatter;

/// What the emitter must know of the region it works in.
pub(crate) struct Scene<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// Where each stored node lies.
    pub stored: &'a HashMap<NodeId, Stored>,
    /// The node of the step number, and how it is passed.
    pub step: Option<(NodeId, ScalarArg)>,
    /// Where constant data lie.
    pub tables: &'a mut dyn FnMut(&Arc<[u32]>, DType) -> Stored,
}

/// Work of the kernel and where its value is put. All leaves of a kernel have one domain.
#[derive(Clone, Debug)]
pub(crate) struct Leaf<'a> {
    /// What is computed.
    pub work: &'a Work,
    /// Where to; `Work::moves` says at which place there.
    pub target: Stored,
}

/// A finished kernel with its arguments.
pub(crate) struct Emitted {
    pub kernel: Kernel,
    pub buffers: Vec<Binding>,
    pub scalars: Vec<ScalarArg>,
    pub spans: Vec<Span>,
}

/// One loop of the domain: an axis, or a part of one that had to be split so that indices stay affine.
#[derive(Clone, Copy, PartialEq, Debug)]
struct DomainLoop {
    axis: AxisId,
    extent: usize,
    /// What one step of it adds to the axis' index.
    weight: i64,
}

/// What the dry run learns.
#[derive(Clone, Default, Debug)]
struct Hints {
    /// Least stride of any load along each loop of the folds, by number of fold and of loop.
    fold_strides: Vec<Vec<i64>>,
    /// Whether the innermost fold loop of a fold runs in lanes.
    lane_fold: bool,
}

/// Writes the kernel of leaves over a domain (in the order of the layout, slowest first).
pub(crate) fn emit(
    scene: &mut Scene<'_>,
    name: &str,
    domain: &[(AxisId, usize)],
    leaves: &[Leaf<'_>],
) -> Emitted {
    if let [leaf] = leaves
        && leaf.work.stores_value()
        && matches!(scene.graph.node(leaf.work.value).op, Op::Scatter(_))
    {
        return scatter::emit(scene, name, domain, leaf);
    }
    let mut loops: Vec<DomainLoop> =
        domain.iter().map(|&(axis, extent)| DomainLoop { axis, extent, weight: 1 }).collect();
    loop {
        let mut dry = Emitter::new(scene, &loops, Hints::default());
        dry.leaves(leaves);
        match dry.split_wanted(&loops) {
            Some(split) => loops = split,
            None => {
                let hints = dry.hints(&loops);
                let mut emitter = Emitter::new(scene, &loops, hints);
                emitter.leaves(leaves);
                return emitter.finish(name, &loops);
            }
        }
    }
}

struct Emitter<'s, 'a> {
    scene: &'s mut Scene<'a>,
    block: Block,
    /// Statements of the open loops; the first lies inside all parallel loops.
    scopes: Vec<Vec<Stmt>>,
    /// The scope each value is defined in.
    depth: Vec<usize>,
    /// Ranges of i32 values used in indices.
    ranges: BTreeMap<ValId, (i64, i64)>,
    /// Values of nodes at positions; forgotten when the scope closes in which they are defined.
    memo: HashMap<(NodeId, Vec<(AxisId, Affine)>), ValId>,
    /// The same of instructions.
    insts: HashMap<Inst, ValId>,
    params: Vec<(Binding, Param)>,
    scalars: Vec<ScalarArg>,
    spans: Vec<Span>,
    /// The variables of the domain's loops.
    domain: Vec<ValId>,
    /// The variables of each fold's loops.
    folds: Vec<Vec<ValId>>,
    /// Least stride of any load along each variable.
    strides: BTreeMap<ValId, i64>,
    /// Variables that were divided, and by what.
    wanted: Vec<(ValId, i64)>,
    hints: Hints,
    /// Where the domain's loops stand.
    at: At,
}

impl<'s, 'a> Emitter<'s, 'a> {
    fn new(scene: &'s mut Scene<'a>, loops: &[DomainLoop], hints: Hints) -> Emitter<'s, 'a> {
        let mut e = Emitter {
            scene,
            block: Block::default(),
            scopes: vec![vec![]],
            depth: vec![],
            ranges: BTreeMap::new(),
            memo: HashMap::new(),
            insts: HashMap::new(),
            params: vec![],
            scalars: vec![],
            spans: vec![],
            domain: vec![],
            folds: vec![],
            strides: BTreeMap::new(),
            wanted: vec![],
            hints,
            at: At::default(),
        };
        let lanes = !e.hints.lane_fold && !loops.is_empty();
        for (n, l) in loops.iter().enumerate() {
            let inner = lanes && n + 1 == loops.len();
            let var = e.block.value(DType::I32);
            e.depth.push(usize::from(inner));
            e.ranges.insert(var, (0, l.extent as i64 - 1));
            e.domain.push(var);
        }
        if lanes {
            e.scopes.push(vec![]);
        }
        for (l, var) in loops.iter().zip(e.domain.clone()) {
            let term = Affine::term(var, l.weight);
            let known = e.at.iter().find(|p| p.0 == l.axis).map(|p| p.1.clone());
            e.at = e.at.with(l.axis, known.map_or(term.clone(), |k| k.plus(&term)));
        }
        e
    }

    fn leaves(&mut self, leaves: &[Leaf<'_>]) {
        let at = self.at.clone();
        for Leaf { work, target } in leaves {
            let stores_value = work.stores_value();
            let value = if stores_value { self.compute(work.value, &at) } else { self.pull(work.value, &at) };
            let place = work.moves.iter().fold(at.clone(), |place, m| {
                place.with(m.axis, at.along(m.axis).times(m.scale).plus(&Affine::constant(m.offset)))
            });
            let (param, constant) = self.param(target, self.block.values[value.index()], Access::Write);
            let index = target.index(&place).plus(&Affine::constant(constant));
            self.push(Stmt::Store { param, index, value });
        }
    }

    /// A statement in the innermost open loop.
    fn push(&mut self, stmt: Stmt) {
        self.scopes.last_mut().expect("a scope is open").push(stmt);
    }

    /// The value of a node at a position over exactly its axes (or more).
    fn pull(&mut self, node: NodeId, at: &At) -> ValId {
        let graph = self.scene.graph;
        let at = at.only(graph.ty(node));
        let key = (node, at.iter().cloned().collect::<Vec<_>>());
        if let Some(&value) = self.memo.get(&key) {
            return value;
        }
        let value = if let Some(stored) = self.scene.stored.get(&node) {
            let stored = stored.clone();
            self.load(&stored, graph.ty(node).dtype, &at)
        } else if let Some((_, arg)) = self.scene.step.filter(|s| s.0 == node) {
            self.scalar_value(arg)
        } else {
            return self.compute(node, &at);
        };
        self.memo.insert(key, value);
        value
    }

    /// The same, by the node's rule even if it is stored.
    fn compute(&mut self, node: NodeId, at: &At) -> ValId {
        let graph = self.scene.graph;
        let at = at.only(graph.ty(node));
        for span in &graph.node(node).spans {
            if !self.spans.contains(span) {
                self.spans.push(*span);
            }
        }
        let value = graph.node(node).op.rule().lower(&mut Lowering { emitter: self, node }, &at);
        self.memo.insert((node, at.iter().cloned().collect()), value);
        value
    }

    fn load(&mut self, stored: &Stored, dtype: DType, at: &At) -> ValId {
        let (param, constant) = self.param(stored, dtype, Access::Read);
        let index = stored.index(at).plus(&Affine::constant(constant));
        for (v, f) in &index.terms {
            let least = self.strides.entry(*v).or_insert(i64::MAX);
            *least = (*least).min(f.abs());
        }
        self.inst(Inst::Load { param, index }, dtype)
    }

    /// The number of a binding among the params, and what its index needs added: all parts of a buffer that no loop moves
    /// are one param.
    fn param(&mut self, stored: &Stored, dtype: DType, access: Access) -> (usize, i64) {
        let base = if stored.steps.is_empty() { 0 } else { stored.base };
        let binding = Binding { base, ..stored.binding() };
        let constant = stored.base - binding.base;
        if let Some(i) = self.params.iter().position(|(b, p)| *b == binding && p.dtype == dtype) {
            if self.params[i].1.access != access {
                self.params[i].1.access = Access::ReadWrite;
            }
            return (i, constant);
        }
        self.params.push((binding, Param { dtype, access }));
        (self.params.len() - 1, constant)
    }

    fn scalar_value(&mut self, arg: ScalarArg) -> ValId {
        let i = self.scalars.iter().position(|s| *s == arg).unwrap_or_else(|| {
            self.scalars.push(arg);
            self.scalars.len() - 1
        });
        self.inst(Inst::Scalar(i), arg.dtype())
    }

    /// A value of an instruction, in the outermost scope in which its operands are known; the same instruction once.
    fn inst(&mut self, inst: Inst, dtype: DType) -> ValId {
        if let Some(&value) = self.insts.get(&inst) {
            return value;
        }
        let depth = match &inst {
            Inst::Get(_) => self.scopes.len() - 1,
            _ => inst.operands().map(|v| self.depth[v.index()]).max().unwrap_or(0),
        };
        let out = self.new_value(dtype, depth);
        self.scopes[depth].push(Stmt::Let { out, inst: inst.clone() });
        if !matches!(inst, Inst::Get(_)) {
            self.insts.insert(inst, out);
        }
        out
    }

    /// `local = core(local, value)` in the innermost open loop.
    fn update(&mut self, local: LocalId, core: Core, value: ValId) {
        let dtype = self.block.values[value.index()];
        let old = self.inst(Inst::Get(local), dtype);
        let new = self.new_value(dtype, self.scopes.len() - 1);
        self.push(Stmt::Let { out: new, inst: Inst::Core(core, vec![old, value]) });
        self.push(Stmt::Set { local, value: new });
    }

    fn new_value(&mut self, dtype: DType, depth: usize) -> ValId {
        self.depth.push(depth);
        self.block.value(dtype)
    }

    fn close_scope(&mut self) -> Vec<Stmt> {
        let stmts = self.scopes.pop().expect("scopes are opened before they are closed");
        let open = self.scopes.len();
        let depth = &self.depth;
        self.memo.retain(|_, v| depth[v.index()] < open);
        self.insts.retain(|_, v| depth[v.index()] < open);
        stmts
    }

    /// The domain with a loop cut so that an index that was divided stays affine. `None`: no division met a whole loop.
    fn split_wanted(&self, loops: &[DomainLoop]) -> Option<Vec<DomainLoop>> {
        for (var, by) in &self.wanted {
            let Some(n) = self.domain.iter().position(|v| v == var) else { continue };
            let l = loops[n];
            if *by > 1 && l.extent as i64 > *by && l.extent as i64 % by == 0 {
                let outer = DomainLoop { extent: l.extent / *by as usize, weight: l.weight * by, ..l };
                let mut split = loops.to_vec();
                split.splice(n..=n, [outer, DomainLoop { extent: *by as usize, ..l }]);
                return Some(split);
            }
        }
        None
    }

    fn hints(&self, loops: &[DomainLoop]) -> Hints {
        let stride = |v: &ValId| self.strides.get(v).copied().unwrap_or(0);
        let fold_strides: Vec<Vec<i64>> = self.folds.iter().map(|f| f.iter().map(stride).collect()).collect();
        // Lanes run where memory is contiguous: along a fold only if no result's axis is.
        let fold_contiguous = self.folds.iter().flatten().any(|v| stride(v) == 1 && self.ranges[v].1 >= 7);
        let wide = loops.last().is_some_and(|l| l.extent >= 4);
        let domain_contiguous = wide && self.domain.last().is_some_and(|v| stride(v) == 1);
        Hints { fold_strides, lane_fold: fold_contiguous && !domain_contiguous }
    }

    fn finish(mut self, name: &str, loops: &[DomainLoop]) -> Emitted {
        let lanes = !self.hints.lane_fold && !loops.is_empty();
        if lanes {
            let inner = self.close_scope();
            let (var, extent) =
                (*self.domain.last().expect("there is a loop"), loops[loops.len() - 1].extent);
            self.push(Stmt::For { var, extent, kind: LoopKind::Lanes, body: inner });
        }
        let mut body = self.close_scope();
        let outer = loops.len() - usize::from(lanes);
        for n in (0..outer).rev() {
            body = vec![Stmt::For {
                var: self.domain[n],
                extent: loops[n].extent,
                kind: LoopKind::Parallel,
                body,
            }];
        }
        self.block.stmts = coalesce(body);
        let kernel = Kernel {
            name: name.to_string(),
            params: self.params.iter().map(|p| p.1).collect(),
            scalars: self.scalars.iter().map(|s| s.dtype()).collect(),
            body: Body::Loops(self.block),
        };
        let buffers = self.params.into_iter().map(|p| p.0).collect();
        Emitted { kernel, buffers, scalars: self.scalars, spans: self.spans }
    }

    fn range_of(&self, index: &Affine) -> (i64, i64) {
        index.terms.iter().fold((index.constant, index.constant), |(low, high), (v, f)| {
            let (a, b) = self.ranges[v];
            (low + (a * f).min(b * f), high + (a * f).max(b * f))
        })
    }

    /// `index = by * quotient + rest` with `rest` in `0 .. by`, both affine, if the ranges allow it.
    fn split_index(&self, index: &Affine, by: i64) -> Option<(Affine, Affine)> {
        let whole = |f: i64| f % by == 0;
        let mut rest = Affine::constant(index.constant.rem_euclid(by));
        let mut quotient = Affine::constant(index.constant.div_euclid(by));
        for &(v, f) in &index.terms {
            if whole(f) {
                quotient = quotient.plus(&Affine::term(v, f / by));
            } else {
                rest = rest.plus(&Affine::term(v, f));
            }
        }
        let (low, high) = self.range_of(&rest);
        (low >= 0 && high < by).then_some((quotient, rest))
    }

    fn divided(&mut self, index: &Affine, by: i64, core: Core) -> Affine {
        // A bare loop variable that is divided wants its loop to be split.
        for (v, f) in &index.terms {
            if f % by != 0 && by % f.abs() == 0 {
                self.wanted.push((*v, by / f.abs()));
            }
        }
        let (low, high) = self.range_of(index);
        let value = self.inst(Inst::Index(index.clone()), DType::I32);
        let divisor = self.inst(Inst::Const(DType::I32, by as i32 as u32), DType::I32);
        let out = self.inst(Inst::Core(core, vec![value, divisor]), DType::I32);
        let range =
            if core == Core::FloorDiv { (low.div_euclid(by), high.div_euclid(by)) } else { (0, by - 1) };
        self.ranges.insert(out, range);
        Affine::term(out, 1)
    }
}

/// The emitter at one node.
struct Lowering<'e, 's, 'a> {
    emitter: &'e mut Emitter<'s, 'a>,
    node: NodeId,
}

impl Lowering<'_, '_, '_> {
    fn operand(&self, i: usize) -> NodeId {
        self.emitter.scene.graph.node(self.node).args[i]
    }
}

impl Emit for Lowering<'_, '_, '_> {
    fn args(&self) -> usize {
        self.emitter.scene.graph.node(self.node).args.len()
    }

    fn arg_type(&self, i: usize) -> Type {
        self.emitter.scene.graph.ty(self.operand(i)).clone()
    }

    fn arg(&mut self, i: usize, at: &At) -> ValId {
        self.emitter.pull(self.operand(i), at)
    }

    fn constant(&mut self, dtype: DType, bits: u32) -> ValId {
        let value = self.emitter.inst(Inst::Const(dtype, bits), dtype);
        if dtype == DType::I32 {
            let x = i64::from(bits as i32);
            self.emitter.ranges.insert(value, (x, x));
        }
        value
    }

    fn core(&mut self, core: Core, args: &[ValId]) -> ValId {
        let types: Vec<DType> = args.iter().map(|a| self.emitter.block.values[a.index()]).collect();
        let dtype = core.result(&types).expect("rules give instructions operands that fit");
        self.emitter.inst(Inst::Core(core, args.to_vec()), dtype)
    }

    fn scalar(&mut self, arg: ScalarArg) -> ValId {
        self.emitter.scalar_value(arg)
    }

    fn value(&mut self, index: &Affine) -> ValId {
        match &index.terms[..] {
            [(v, 1)] if index.constant == 0 => *v,
            _ => {
                let range = self.emitter.range_of(index);
                let value = self.emitter.inst(Inst::Index(index.clone()), DType::I32);
                self.emitter.ranges.insert(value, range);
                value
            }
        }
    }

    fn index(&mut self, value: ValId, low: i64, high: i64) -> Affine {
        self.emitter.ranges.insert(value, (low, high));
        Affine::term(value, 1)
    }

    fn range(&self, index: &Affine) -> (i64, i64) {
        self.emitter.range_of(index)
    }

    fn divide(&mut self, index: &Affine, by: i64) -> Affine {
        match self.emitter.split_index(index, by) {
            Some((quotient, _)) => quotient,
            None => self.emitter.divided(index, by, Core::FloorDiv),
        }
    }

    fn remainder(&mut self, index: &Affine, by: i64) -> Affine {
        match self.emitter.split_index(index, by) {
            Some((_, rest)) => rest,
            None => self.emitter.divided(index, by, Core::FloorMod),
        }
    }

    fn fold(
        &mut self,
        extents: &[usize],
        core: Core,
        start: ValId,
        body: &mut dyn FnMut(&mut dyn Emit, &[Affine]) -> ValId,
    ) -> ValId {
        let e = &mut *self.emitter;
        let number = e.folds.len();
        let dtype = e.block.values[start.index()];
        let local: LocalId = e.block.local(dtype);
        e.push(Stmt::Set { local, value: start });
        // Longest stride outermost, as the dry run saw it.
        let mut order: Vec<usize> = (0..extents.len()).collect();
        if let Some(strides) = e.hints.fold_strides.get(number) {
            order.sort_by_key(|n| std::cmp::Reverse(strides[*n]));
        }
        // A long sum in f32 is a sum of sums, one per step of each loop: it loses far fewer digits.
        let of_sums = core == Core::Add && dtype == DType::F32;
        let mut locals = vec![local];
        let mut vars = vec![ValId(0); extents.len()];
        for (level, n) in order.iter().enumerate() {
            if level > 0 && of_sums {
                let inner = e.block.local(dtype);
                let zero = e.inst(Inst::Const(dtype, 0), dtype);
                e.push(Stmt::Set { local: inner, value: zero });
                locals.push(inner);
            }
            e.scopes.push(vec![]);
            let depth = e.scopes.len() - 1;
            vars[*n] = e.new_value(DType::I32, depth);
            e.ranges.insert(vars[*n], (0, extents[*n] as i64 - 1));
        }
        e.folds.push(vars.clone());
        let indices: Vec<Affine> = vars.iter().map(|v| Affine::term(*v, 1)).collect();
        let node = self.node;
        let value = body(&mut Lowering { emitter: self.emitter, node }, &indices);
        let e = &mut *self.emitter;
        // A fold within a fold has the lanes; they do not nest.
        let leaf = e.folds.len() == number + 1;
        e.update(*locals.last().expect("there is the sum itself"), core, value);
        for (level, n) in order.iter().enumerate().rev() {
            if let Some(inner) = locals.get(level + 1) {
                let sum = e.inst(Inst::Get(*inner), dtype);
                e.update(locals[level], core, sum);
            }
            let stmts = e.close_scope();
            let innermost = level + 1 == order.len();
            let kind =
                if e.hints.lane_fold && innermost && leaf { LoopKind::Lanes } else { LoopKind::Serial };
            e.push(Stmt::For { var: vars[*n], extent: extents[*n], kind, body: stmts });
        }
        e.inst(Inst::Get(local), dtype)
    }

    fn table(&mut self, data: &Arc<[u32]>, dtype: DType, index: &Affine) -> ValId {
        let stored = (self.emitter.scene.tables)(data, dtype);
        let (param, constant) = self.emitter.param(&stored, dtype, Access::Read);
        self.emitter.inst(Inst::Load { param, index: index.plus(&Affine::constant(constant)) }, dtype)
    }
}
