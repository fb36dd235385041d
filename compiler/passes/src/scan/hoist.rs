//! Computes before a loop what does not depend on its carries: contractions and reductions of the slices once
//! for all steps (the same ops, on the whole tensors, which have the loop's axis), and everything that is the
//! same at each step. A contraction of a concatenation of which one part depends on the carries is split
//! first.
//!
//! Not hoisted: what reads a capture that has the loop's axis itself, and random numbers that differ by step.
use super::parts::{Loop, rewrite_loops};
use super::steps::AllSteps;
use crate::rebuild::{SharedAxes, dependents, uses};
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
    outside: AllSteps,
    /// The results are the carries' last values first.
    carries: usize,
    /// Whether a node differs from step to step.
    varies: Vec<bool>,
    /// Whether a node can be computed outside.
    free: Vec<bool>,
}

impl Lift {
    fn new(parts: &Loop) -> Lift {
        let outside = AllSteps::new(parts);
        let slices = parts.slices.iter().map(|p| p.inside);
        let varies = dependents(&outside.body, &slices.chain([parts.step]).collect::<Vec<_>>());
        let carries: Vec<NodeId> = parts.carries.iter().map(|c| c.value).collect();
        let carried = dependents(&outside.body, &carries);
        let mut lift = Lift { outside, carries: carries.len(), varies, free: vec![] };
        for (i, carried) in carried.into_iter().enumerate() {
            let free = !carried && lift.is_free(i);
            lift.free.push(free);
        }
        lift
    }

    fn body(&self) -> &Graph {
        &self.outside.body
    }

    /// Whether a node has the loop's axis already, as a name for something else.
    fn has_axis(&self, id: NodeId) -> bool {
        self.body().ty(id).has(self.outside.axis)
    }

    /// Whether a node whose operands are judged, and which no carry reaches, can be computed outside.
    fn is_free(&self, i: usize) -> bool {
        let node = &self.body().nodes[i];
        if !node.args.iter().all(|a| self.free[a.index()]) {
            return false;
        }
        if !self.varies[i] {
            return true;
        }
        // For all steps at once it gets the loop's axis, which must not mean something else already.
        let clash = node.ty.has(self.outside.axis) || node.args.iter().any(|a| self.has_axis(*a));
        !clash && node.op.rule().lifts()
    }

    /// The results of a loop without carries that can be computed without a loop.
    fn everything(&mut self) -> Option<Vec<NodeId>> {
        let yields = self.body().outputs.clone();
        if self.carries > 0 || !yields.iter().all(|y| self.free[y.index()] && !self.has_axis(*y)) {
            return None;
        }
        Some(yields.into_iter().map(|y| self.outside.stack(y)).collect())
    }

    /// The loop in which what is worth it comes from outside.
    fn frontier(mut self, parts: Loop) -> Loop {
        let moved = self.moved();
        parts.rewritten(|parts, id, _| {
            if !moved[id.index()] {
                return None;
            }
            let made = self.outside.make(id);
            let whole = self.outside.b.ty(made).has(self.outside.axis) && self.varies[id.index()];
            Some(if whole { parts.slice(made) } else { parts.capture(made) })
        })
    }

    /// The last of the nodes that are worth computing outside: those that something inside reads.
    fn moved(&self) -> Vec<bool> {
        let graph = self.body();
        let live = graph.live();
        let uses = uses(graph);
        let mut worth = vec![false; graph.nodes.len()];
        for (i, node) in graph.nodes.iter().enumerate() {
            worth[i] = live[i] && self.free[i] && self.is_worth(i, node, &worth, &uses);
        }
        // What is stacked takes its memory anyway.
        for y in &graph.outputs[self.carries..] {
            let node = graph.node(*y);
            worth[y.index()] |= self.free[y.index()] && !node.args.is_empty() && !self.has_axis(*y);
        }
        let mut read = vec![false; graph.nodes.len()];
        for o in &graph.outputs {
            read[o.index()] = true;
        }
        for (_, node) in graph.nodes.iter().enumerate().filter(|(i, _)| live[*i] && !worth[*i]) {
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
        if node.op.rule().reduces() {
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
    let mut start = 0;
    let mut terms = vec![];
    for run in runs {
        let len: usize = run.iter().map(|x| b.ty(*x).extent(along).expect("parts have the axis")).sum();
        let ty = concat.ty.resized(along, len);
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
