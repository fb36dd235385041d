//! Computes before a loop what does not depend on its carries: contractions and reductions of the slices once
//! for all steps (the same ops, on the whole tensors, which have the loop's axis), and everything that is the
//! same at each step. A contraction of a concatenation of which one part depends on the carries is split
//! first.
//!
//! Not hoisted: what reads a capture that has the loop's axis itself, and random numbers that differ by step.
use super::parts::{Loop, rewrite_loops};
use crate::rebuild::{SharedAxes, dependents, uses};
use std::collections::BTreeMap;
use stmc_ir::ops::{Concat, Dot, Gather, Rename, Scalar, Slice};
use stmc_ir::{AxisId, Builder, Graph, Node, NodeId, Op};

/// Every loop with only that inside which must be.
pub fn hoist(axes: &SharedAxes, graph: &Graph) -> Graph {
    rewrite_loops(axes, graph, &|parts, _| {
        let parts = split_contractions(slice_lookups(parts));
        let mut lift = Lift::new(&parts);
        match lift.everything() {
            Some(results) => results.into_iter().map(Some).collect(),
            None => lift.frontier(parts).close().into_iter().map(Some).collect(),
        }
    })
}

/// What of a loop can be computed outside.
struct Lift {
    axis: AxisId,
    extent: usize,
    outside: Builder,
    graph: Graph,
    /// The results are the carries' last values first.
    carries: usize,
    /// What the body's inputs are outside, where they are something.
    inputs: BTreeMap<NodeId, NodeId>,
    /// Whether a node differs from step to step.
    varies: Vec<bool>,
    /// Whether a node can be computed outside.
    free: Vec<bool>,
    /// The nodes computed outside so far.
    made: BTreeMap<NodeId, NodeId>,
}

impl Lift {
    fn new(parts: &Loop) -> Lift {
        let graph = parts.graph();
        let slices = parts.slices.iter().map(|p| p.inside);
        let varies = dependents(&graph, &slices.chain([parts.step]).collect::<Vec<_>>());
        let carries: Vec<NodeId> = parts.carries.iter().map(|c| c.value).collect();
        let carried = dependents(&graph, &carries);
        let mut lift = Lift {
            axis: parts.axis,
            extent: parts.extent,
            outside: parts.outside.clone(),
            carries: parts.carries.len(),
            inputs: parts.slices.iter().chain(&parts.captures).map(|p| (p.inside, p.outside)).collect(),
            varies,
            free: vec![],
            made: BTreeMap::new(),
            graph,
        };
        let index = Op::Index { axis: lift.axis, extent: lift.extent };
        lift.inputs.insert(parts.step, lift.outside.must(index, &[]));
        for (i, carried) in carried.into_iter().enumerate() {
            let free = !carried && lift.is_free(i);
            lift.free.push(free);
        }
        lift
    }

    /// Whether a node whose operands are judged, and which no carry reaches, can be computed outside.
    fn is_free(&self, i: usize) -> bool {
        let node = &self.graph.nodes[i];
        if !node.args.iter().all(|a| self.free[a.index()]) {
            return false;
        }
        if !self.varies[i] {
            return true;
        }
        // For all steps at once it gets the loop's axis, which must not mean something else already.
        let clash = node.ty.has(self.axis) || node.args.iter().any(|a| self.graph.ty(*a).has(self.axis));
        !clash && !matches!(node.op, Op::Scan(_) | Op::ScanResult(_) | Op::Random(_))
    }

    /// A node for all steps at once.
    fn make(&mut self, id: NodeId) -> NodeId {
        if let Some(made) = self.inputs.get(&id).or_else(|| self.made.get(&id)) {
            return *made;
        }
        let node = self.graph.node(id).clone();
        let args: Vec<NodeId> = node.args.iter().map(|a| self.make(*a)).collect();
        self.outside.at(&node.spans);
        let made = self.outside.must(node.op, &args);
        self.made.insert(id, made);
        made
    }

    /// The results of a loop without carries that can be computed without a loop.
    fn everything(&mut self) -> Option<Vec<NodeId>> {
        let yields = self.graph.outputs.clone();
        if self.carries > 0
            || !yields.iter().all(|y| self.free[y.index()] && !self.graph.ty(*y).has(self.axis))
        {
            return None;
        }
        let whole = |lift: &mut Lift, y: NodeId| {
            let ty = lift.graph.ty(y).with(lift.axis, lift.extent).expect("yields lack the axis");
            let made = lift.make(y);
            lift.outside.expand_to(made, &ty)
        };
        Some(yields.into_iter().map(|y| whole(self, y)).collect())
    }

    /// The loop in which what is worth it comes from outside.
    fn frontier(mut self, parts: Loop) -> Loop {
        let moved = self.moved();
        parts.rewritten(|parts, id, _| {
            if !moved[id.index()] {
                return None;
            }
            let made = self.make(id);
            let whole = self.outside.ty(made).has(self.axis) && self.varies[id.index()];
            Some(if whole { parts.slice(made) } else { parts.capture(made) })
        })
    }

    /// The last of the nodes that are worth computing outside: those that something inside reads.
    fn moved(&self) -> Vec<bool> {
        let live = self.graph.live();
        let uses = uses(&self.graph);
        let mut worth = vec![false; self.graph.nodes.len()];
        for (i, node) in self.graph.nodes.iter().enumerate() {
            worth[i] = live[i] && self.free[i] && self.is_worth(i, node, &worth, &uses);
        }
        // What is stacked takes its memory anyway.
        for y in &self.graph.outputs[self.carries..] {
            let node = self.graph.node(*y);
            worth[y.index()] |= self.free[y.index()] && !node.args.is_empty() && !node.ty.has(self.axis);
        }
        let mut read = vec![false; self.graph.nodes.len()];
        for o in &self.graph.outputs {
            read[o.index()] = true;
        }
        for (_, node) in self.graph.nodes.iter().enumerate().filter(|(i, _)| live[*i] && !worth[*i]) {
            for a in &node.args {
                read[a.index()] = true;
            }
        }
        worth.iter().zip(&read).map(|(worth, read)| *worth && *read).collect()
    }

    /// Whether a free node is worth its memory outside, given that of its operands.
    fn is_worth(&self, i: usize, node: &Node, worth: &[bool], uses: &[usize]) -> bool {
        if !self.varies[i] {
            // The same at each step: whatever takes arithmetic. The results of a scan stand for it.
            return node.op.rule().cost() > 0 && !matches!(node.op, Op::Scan(_));
        }
        if matches!(node.op, Op::Dot(_) | Op::Reduce(_)) {
            return true;
        }
        // What is computed from such a result alone takes as much memory, and it is work out of the loop.
        let mut heavy = node.args.iter().filter(|a| worth[a.index()] && self.varies[a.index()]).peekable();
        matches!(node.op, Op::Scalar(_)) && heavy.peek().is_some() && heavy.all(|a| uses[a.index()] == 1)
    }
}

/// `x[axis: step + c]` with the number of the step is a slice of `x`, if no step looks beyond its ends.
fn slice_lookups(parts: Loop) -> Loop {
    parts.rewritten(|parts, _, node| {
        let Op::Gather(Gather { axis }) = node.op else { return None };
        let start = shift(parts, node.args[1])?;
        let x = parts.captures.iter().find(|p| p.inside == node.args[0])?.outside;
        let b = parts.outside.clone();
        let ty = b.ty(x);
        let other = axis != parts.axis && ty.has(parts.axis);
        if other || start + parts.extent > ty.extent(axis)? {
            return None;
        }
        let range = b.must(Op::Slice(Slice::range(axis, start, parts.extent)), &[x]);
        let stack = if axis == parts.axis {
            range
        } else {
            b.must(Op::Rename(Rename::one(axis, parts.axis)), &[range])
        };
        Some(parts.slice(stack))
    })
}

/// How far an index is ahead of the number of the step. `None`: it is something else.
fn shift(parts: &Loop, index: NodeId) -> Option<usize> {
    if index == parts.step {
        return Some(0);
    }
    let node = parts.body.node(index);
    let ahead = match node.op {
        Op::Scalar(Scalar::Add) if node.args[0] == parts.step => parts.body.constant(node.args[1])?,
        _ => return None,
    };
    (ahead >= 0.0).then_some(ahead as usize)
}

/// `dot(views(concat(a, b)), w) = dot(views(a), w[a's part]) + dot(views(b), w[b's part])` where the
/// concatenation is contracted and only some of its parts depend on the carries.
fn split_contractions(parts: Loop) -> Loop {
    parts.rewritten(|parts, _, node| {
        let Op::Dot(dot) = &node.op else { return None };
        (0..2).find_map(|side| split(parts, dot, &node.args, side))
    })
}

fn split(parts: &Loop, dot: &Dot, args: &[NodeId], side: usize) -> Option<NodeId> {
    let b = &parts.body;
    let (views, concat, axis) = concatenation(b, args[side])?;
    let Op::Concat(Concat { axis: along }) = concat.op else { return None };
    if !dot.axes.contains(&axis) {
        return None;
    }
    let carries: Vec<NodeId> = parts.carries.iter().map(|c| c.value).collect();
    let carried = dependents(&b.graph(), &carries);
    let runs = runs(&concat.args, |x| carried[x.index()]);
    if runs.len() < 2 {
        return None;
    }
    let whole = concat.ty.without(&[along]);
    let mut start = 0;
    let mut terms = vec![];
    for run in runs {
        let len: usize = run.iter().map(|x| b.ty(*x).extent(along).expect("parts have the axis")).sum();
        let ty = whole.with(along, len).expect("the axis was taken out");
        let joined = if let [one] = run { *one } else { b.must(concat.op.clone(), run) };
        let viewed = views.iter().fold(b.expand_to(joined, &ty), |x, view| b.must(view.clone(), &[x]));
        let weights = b.must(Op::Slice(Slice::range(axis, start, len)), &[args[1 - side]]);
        let args = if side == 0 { [viewed, weights] } else { [weights, viewed] };
        terms.push(b.must(Op::Dot(dot.clone()), &args));
        start += len;
    }
    Some(terms[1..].iter().fold(terms[0], |sum, t| b.plus(sum, *t)))
}

/// Neighbours of which `f` says the same.
fn runs(parts: &[NodeId], f: impl Fn(NodeId) -> bool) -> Vec<&[NodeId]> {
    parts.chunk_by(|x, y| f(*x) == f(*y)).collect()
}

/// A concatenation under views that keep its axis: the views in the order in which they apply, the
/// concatenation, and the name that its axis has after them.
fn concatenation(b: &Builder, mut x: NodeId) -> Option<(Vec<Op>, Node, AxisId)> {
    let mut views = vec![];
    let concat = loop {
        let node = b.node(x);
        match &node.op {
            Op::Concat(_) => break node,
            Op::Pad(_) | Op::Windows(_) | Op::Slice(_) | Op::Flip(_) | Op::Rename(_) => {
                views.push(node.op.clone());
                x = node.args[0];
            }
            _ => return None,
        }
    };
    views.reverse();
    let Op::Concat(Concat { axis }) = concat.op else { return None };
    let mut name = axis;
    for view in &views {
        match view {
            Op::Rename(r) => name = r.pairs.iter().find(|p| p.0 == name).map_or(name, |p| p.1),
            Op::Pad(p) if p.axis != name && p.fill == 0 => {}
            Op::Windows(w) if w.axis != name => {}
            Op::Slice(s) if s.axis != name => {}
            Op::Flip(f) if f.axis != name => {}
            _ => return None,
        }
    }
    Some((views, concat, name))
}
