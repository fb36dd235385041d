//! Computes after a loop what the loop itself does not need: gradients of captured tensors, which the steps
//! merely add up, and stacked contractions that no carry depends on. The steps stack the operands instead,
//! and one contraction over all steps does the rest.
//!
//! A reduction sinks only if its operand is at hand after the loop anyway; else adding up inside is cheaper.
use super::parts::{Carry, Loop, rewrite_loops};
use super::steps::AllSteps;
use crate::rebuild::{SharedAxes, ancestors, dependents};
use std::collections::{BTreeMap, BTreeSet};
use stmc_ir::ops::{Dot, Pad, Reduce, Reduction, Scalar};
use stmc_ir::{AxisId, DType, Graph, Node, NodeId, Op};

/// Every loop with only that inside which its steps need.
pub fn sink(axes: &SharedAxes, graph: &Graph) -> Graph {
    rewrite_loops(axes, graph, &|parts, _| Sink::new(parts).run().into_iter().map(Some).collect())
}

/// A carry that nothing reads, and to which each step adds terms.
struct Sum {
    /// Those that are added up after the loop.
    sunk: Vec<NodeId>,
    /// Those that stay.
    kept: Vec<NodeId>,
}

/// What may make a sum over all steps.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Contractions,
    /// They or contractions.
    Reductions,
}

struct Sink {
    parts: Loop,
    /// Which nodes depend on a carry.
    carried: Vec<bool>,
    /// Which nodes the loop needs for its carries.
    needed: Vec<bool>,
    /// Which nodes to compute after the loop if they are yielded: contractions that no carry needs and what
    /// is made of them, and views.
    late: Vec<bool>,
    /// What the loop stacks for use afterwards.
    stacks: BTreeSet<NodeId>,
    /// What is computed once the loop is over.
    after: AllSteps,
}

impl Sink {
    fn new(parts: Loop) -> Sink {
        let after = AllSteps::new(&parts);
        let values: Vec<NodeId> = parts.carries.iter().map(|c| c.value).collect();
        let carried = dependents(&after.body, &values);
        let (needed, late, stacks) = (vec![], vec![], BTreeSet::new());
        Sink { parts, carried, needed, late, stacks, after }
    }

    /// The loop's results after it has been put together anew.
    fn run(mut self) -> Vec<NodeId> {
        let terms: Vec<Option<Vec<NodeId>>> = (0..self.parts.carries.len()).map(|c| self.terms(c)).collect();
        let steady = self.parts.carries.iter().zip(&terms).filter(|(_, t)| t.is_none()).map(|(c, _)| c.next);
        self.needed = ancestors(&self.after.body, &steady.collect::<Vec<_>>());
        self.late = self.late();
        let yields = self.parts.yields.clone();
        // What stays a yield is at hand afterwards, so that comes first.
        self.stacks.extend(yields.iter().filter(|y| !self.late[y.index()]));
        let late_yields: Vec<bool> =
            yields.iter().map(|y| self.late[y.index()] && self.plan_late(*y)).collect();
        self.stacks.extend(yields.iter().zip(&late_yields).filter(|(_, l)| !**l).map(|(y, _)| *y));
        let sums = self.plan_sums(terms);
        self.finish(&yields, &late_yields, &sums)
    }

    /// The terms that a carry sums up if it does nothing else.
    fn terms(&self, c: usize) -> Option<Vec<NodeId>> {
        let carry = self.parts.carries[c];
        let live = self.after.body.live();
        let reached = dependents(&self.after.body, &[carry.value]);
        let elsewhere = self.after.body.outputs.iter().enumerate().any(|(i, o)| i != c && reached[o.index()]);
        if elsewhere || self.after.body.ty(carry.value).dtype != DType::F32 || !reached[carry.next.index()] {
            return None;
        }
        let mut terms = vec![];
        let mut sums = 0;
        let mut open = vec![carry.next];
        while let Some(id) = open.pop() {
            let node = self.after.body.node(id);
            if id == carry.value {
                continue;
            }
            if node.op == Op::Scalar(Scalar::Add) {
                sums += usize::from(reached[id.index()]);
                open.extend(node.args.iter().copied());
            } else {
                terms.push(id);
            }
        }
        // All that the carry reaches are these sums, each through one operand.
        let all = (0..live.len()).filter(|i| live[*i] && reached[*i]).count();
        let once = |id: &NodeId| {
            let node = self.after.body.node(*id);
            node.args.iter().filter(|a| reached[a.index()]).count() <= 1
        };
        let plain = (0..live.len()).filter(|i| live[*i] && reached[*i]).all(|i| once(&NodeId::from_index(i)));
        (plain && all == sums + 1 && !terms.iter().any(|t| reached[t.index()])).then_some(terms)
    }

    fn late(&self) -> Vec<bool> {
        let mut late = vec![false; self.after.body.nodes.len()];
        for (i, node) in self.after.body.nodes.iter().enumerate() {
            let lifts = node.op.rule().lifts();
            let dot = matches!(node.op, Op::Dot(_)) && self.carried[i];
            late[i] = !self.needed[i] && lifts && (dot || node.args.iter().any(|a| late[a.index()]));
            late[i] |= self.renames(node);
        }
        late
    }

    /// Whether a node is the same elements under other names: then what it names is stacked, which others may
    /// read.
    fn renames(&self, node: &Node) -> bool {
        let view = node.op.rule().moves() && node.args.len() == 1;
        view && self.after.body.ty(node.args[0]).len() == node.ty.len() && !matches!(node.op, Op::Windows(_))
    }

    /// Whether a node has no axis that the loop's would be taken for.
    fn clean(&self, id: NodeId) -> bool {
        !self.after.body.ty(id).has(self.parts.axis)
    }

    /// Whether a node can be had after the loop from what is stacked already.
    fn at_hand(&self, id: NodeId) -> bool {
        self.is_at_hand(id, &mut BTreeMap::new())
    }

    /// The same; `known` spares looking at a node again that several ways lead to.
    fn is_at_hand(&self, id: NodeId, known: &mut BTreeMap<NodeId, bool>) -> bool {
        if let Some(known) = known.get(&id) {
            return *known;
        }
        let node = self.after.body.node(id);
        let at_hand = if self.stacks.contains(&id) {
            true
        } else if !self.clean(id) || !node.op.rule().lifts() {
            false
        } else if node.args.is_empty() {
            self.after.is_made(id) || !matches!(node.op, Op::Input { .. })
        } else {
            let rule = node.op.rule();
            let again = !self.carried[id.index()] || rule.moves() || rule.pointwise();
            again && node.args.iter().all(|a| self.is_at_hand(*a, known))
        };
        known.insert(id, at_hand);
        at_hand
    }

    /// Makes sure that a node can be had after the loop, by stacking it or what it is a view of. Whether it
    /// can.
    fn plan(&mut self, id: NodeId) -> bool {
        if self.at_hand(id) {
            return true;
        }
        if !self.clean(id) {
            return false;
        }
        let node = self.after.body.node(id).clone();
        let view = node.op.rule().moves() && node.args.len() == 1 && self.clean(node.args[0]);
        if view && self.plan(node.args[0]) {
            return true;
        }
        self.stacks.insert(id);
        true
    }

    /// The same for a yield that is computed after the loop.
    fn plan_late(&mut self, id: NodeId) -> bool {
        let before = self.stacks.clone();
        let fits = self.plan_operands(id, &mut BTreeSet::new());
        if !fits {
            self.stacks = before;
        }
        fits
    }

    /// Makes sure of what late nodes are computed from, each once.
    fn plan_operands(&mut self, id: NodeId, seen: &mut BTreeSet<NodeId>) -> bool {
        if !seen.insert(id) {
            return true;
        }
        if !self.late[id.index()] {
            return self.plan(id);
        }
        let args = self.after.body.node(id).args.clone();
        self.clean(id) && args.into_iter().all(|a| self.plan_operands(a, seen))
    }

    /// Contractions first: a reduction sinks only where its operand is at hand, and they stack operands.
    fn plan_sums(&mut self, terms: Vec<Option<Vec<NodeId>>>) -> Vec<Option<Sum>> {
        let mut sunk: BTreeSet<NodeId> = BTreeSet::new();
        for by in [By::Contractions, By::Reductions] {
            for term in terms.iter().flatten().flatten() {
                let before = self.stacks.clone();
                if self.plan_total(*term, by) {
                    sunk.insert(*term);
                } else {
                    self.stacks = before;
                }
            }
        }
        let sum = |terms: Vec<NodeId>| {
            let (sunk, kept) = terms.into_iter().partition(|t| sunk.contains(t));
            Sum { sunk, kept }
        };
        terms.into_iter().map(|t| t.map(sum)).collect()
    }

    /// Whether the sum of a node over all steps can be had after the loop.
    fn plan_total(&mut self, id: NodeId, by: By) -> bool {
        let node = self.after.body.node(id).clone();
        match &node.op {
            Op::Dot(_) => self.clean(id) && node.args.iter().all(|a| self.plan(*a)),
            Op::Reduce(r) => by == By::Reductions && r.kind == Reduction::Sum && self.at_hand(node.args[0]),
            op if is_linear(op) => node.args.iter().all(|a| self.plan_total(*a, by)),
            _ => false,
        }
    }

    /// Puts the loop together, then what comes after it.
    fn finish(self, yields: &[NodeId], late: &[bool], sums: &[Option<Sum>]) -> Vec<NodeId> {
        let Sink { mut parts, stacks, mut after, .. } = self;
        let old = std::mem::take(&mut parts.carries);
        parts.yields = stacks.iter().copied().collect();
        // The place of each old carry among the new ones.
        let mut places = vec![None; old.len()];
        for (c, (carry, sum)) in old.iter().zip(sums).enumerate() {
            let next = match sum {
                Some(sum) if sum.kept.is_empty() => continue,
                Some(sum) => sum.kept.iter().fold(carry.value, |total, t| parts.body.plus(total, *t)),
                None => carry.next,
            };
            places[c] = Some(parts.carries.len());
            parts.carries.push(Carry { next, ..*carry });
        }
        let kept = parts.carries.len();
        let results = if parts.yields.is_empty() && kept == 0 { vec![] } else { parts.close() };

        after.add(stacks.iter().copied().zip(results.iter().skip(kept).copied()));
        let mut out = vec![];
        for (c, carry) in old.iter().enumerate() {
            let start = places[c].map_or(carry.initial, |place| results[place]);
            let sunk = sums[c].iter().flat_map(|s| &s.sunk);
            out.push(sunk.fold(start, |sum, term| after.plus_total(sum, *term)));
        }
        for (y, late) in yields.iter().zip(late) {
            out.push(if *late { after.stack(*y) } else { after.make(*y) });
        }
        out
    }
}

impl AllSteps {
    /// `sum` and a node's values of all steps.
    fn plus_total(&mut self, sum: NodeId, id: NodeId) -> NodeId {
        let total = self.total(id);
        self.b.plus(sum, total)
    }

    /// The sum of a node's values of all steps.
    fn total(&mut self, id: NodeId) -> NodeId {
        let node = self.body.node(id).clone();
        self.b.at(&node.spans);
        match &node.op {
            Op::Dot(dot) => {
                let args: Vec<NodeId> = node.args.iter().map(|a| self.make(*a)).collect();
                self.total_dot(dot, [args[0], args[1]])
            }
            Op::Reduce(reduce) => {
                let x = self.make(node.args[0]);
                if !self.b.ty(x).has(self.axis) {
                    let sum = self.b.must(node.op.clone(), &[x]);
                    return self.repeated(sum);
                }
                let axes: Vec<AxisId> = reduce.axes.iter().copied().chain([self.axis]).collect();
                self.b.must(Op::Reduce(Reduce::new(Reduction::Sum, &axes)), &[x])
            }
            op => {
                let args: Vec<NodeId> = node.args.iter().map(|a| self.total(*a)).collect();
                self.b.must(op.clone(), &args)
            }
        }
    }

    fn total_dot(&self, dot: &Dot, args: [NodeId; 2]) -> NodeId {
        let varies = args.map(|a| self.b.ty(a).has(self.axis));
        if varies == [true, true] {
            let axes: Vec<AxisId> = dot.axes.iter().copied().chain([self.axis]).collect();
            return self.b.must(Op::Dot(Dot::new(&axes)), &args);
        }
        // A factor that is the same at each step meets the sum of the other.
        let summed = [0, 1].map(|i| if varies[i] { self.b.sum(args[i], &[self.axis]) } else { args[i] });
        let dot = self.b.must(Op::Dot(dot.clone()), &summed);
        if varies == [false, false] { self.repeated(dot) } else { dot }
    }

    /// The same number at each step, added up.
    fn repeated(&self, x: NodeId) -> NodeId {
        self.b.times(x, self.b.number(self.extent as f64))
    }
}

/// Whether the sum over steps may be taken before the op.
fn is_linear(op: &Op) -> bool {
    match op {
        Op::Pad(Pad { fill, .. }) => *fill == 0,
        Op::Scalar(Scalar::Add | Scalar::Sub | Scalar::Neg) | Op::Fold(_) => true,
        op => op.rule().moves(),
    }
}
