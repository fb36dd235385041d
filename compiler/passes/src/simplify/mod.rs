//! Local rewrites, each a small function whose name is its equation, applied until none fits.
//!
//! A rule is directional: the right side is never dearer than the left and keeps the type. All hold for NaN
//! and infinity as far as a sum may be taken in another order; there is no `x * 0 => 0`. Slices go towards
//! the inputs (less is computed), expansions and pads towards the outputs.
use crate::rebuild::{SharedAxes, drop_dead, rebuild};
use crate::scan::parts::{Loop, rewrite_loops};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use stmc_ir::interpret::Value;
use stmc_ir::ops::{Expand, Scan};
use stmc_ir::{AxisId, Builder, Graph, Node, NodeId, Op, Type};

mod arithmetic;
mod broadcast;
mod constants;
mod contract;
mod demand;
mod pads;
mod slices;
mod views;

/// A rewrite at one node.
pub struct Rule {
    /// Its equation.
    pub name: &'static str,
    /// The other side. `None`: the rule does not fit.
    apply: fn(&Rewriter, &Node) -> Option<NodeId>,
}

/// All rules, in the order in which they are tried.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    [
        arithmetic::RULES,
        broadcast::RULES,
        views::RULES,
        slices::RULES,
        pads::RULES,
        contract::RULES,
        constants::RULES,
    ]
    .into_iter()
    .flatten()
}

/// The graph, and the bodies of its scans, with every rule applied wherever it fits.
pub fn simplify(axes: &SharedAxes, graph: &Graph) -> Graph {
    // Opening and closing a loop captures what it slices needlessly.
    let graph = rewrite_loops(axes, graph, &|parts: Loop, _| parts.close().into_iter().map(Some).collect());
    settled(axes, graph, None)
}

/// As `simplify`, with one rule alone and no look into scans: how the tests see it fire.
pub fn simplify_with(axes: &SharedAxes, graph: &Graph, rule: &'static Rule) -> Graph {
    settled(axes, graph.clone(), Some(rule))
}

fn settled(axes: &SharedAxes, mut graph: Graph, only: Option<&'static Rule>) -> Graph {
    // Which rules fit may depend on how often a node is used, which a round may change. Few rounds ever
    // matter.
    for _ in 0..12 {
        let next = round(axes, &graph, only);
        if next == graph {
            break;
        }
        graph = next;
    }
    graph
}

fn round(axes: &SharedAxes, graph: &Graph, only: Option<&'static Rule>) -> Graph {
    let readers = readers(graph);
    let demands = if only.is_none() { demand::demands(graph) } else { vec![None; graph.nodes.len()] };
    let mut rewriter: Option<Rewriter> = None;
    let next = rebuild(axes, graph, |b, id, node| {
        let rewriter = rewriter.get_or_insert_with(|| Rewriter::new(b, only));
        let new = match &node.op {
            Op::Scan(scan) if only.is_none() => {
                let body = settled(axes, scan.body.clone(), None);
                b.must(Op::Scan(Arc::new(Scan { body, ..(**scan).clone() })), &node.args)
            }
            _ => rewriter.make_part(node, &demands[id.index()]),
        };
        rewriter.note(new, readers[id.index()]);
        new
    });
    drop_dead(axes, &next)
}

/// How a node is read.
#[derive(Clone, Copy, Default)]
struct Readers {
    /// By how many nodes and outputs.
    all: usize,
    /// In how many ways: views count apart, computations that read all of it count once together.
    ways: usize,
}

fn readers(graph: &Graph) -> Vec<Readers> {
    let live = graph.live();
    let mut readers = vec![Readers::default(); graph.nodes.len()];
    let mut whole = vec![false; graph.nodes.len()];
    for o in &graph.outputs {
        readers[o.index()].all += 1;
        whole[o.index()] = true;
    }
    for (i, node) in graph.nodes.iter().enumerate().rev().filter(|(i, _)| live[*i]) {
        readers[i].ways += usize::from(whole[i]);
        let mut args = node.args.clone();
        args.sort();
        args.dedup();
        for a in args {
            readers[a.index()].all += 1;
            if node.op.rule().moves() {
                readers[a.index()].ways += readers[i].ways;
            } else {
                whole[a.index()] = true;
            }
        }
    }
    readers
}

/// What rules build with: every node it makes has been simplified itself.
struct Rewriter {
    b: Builder,
    only: Option<&'static Rule>,
    /// What a node was rewritten to.
    settled: RefCell<BTreeMap<NodeId, NodeId>>,
    /// How a node is read, where that is known.
    readers: RefCell<BTreeMap<NodeId, Readers>>,
    /// What it takes to compute nodes that depend on no input; `None` for those that do.
    known: RefCell<BTreeMap<NodeId, Option<constants::Known>>>,
    /// Values of nodes known while compiling.
    values: RefCell<BTreeMap<NodeId, Value>>,
}

impl Rewriter {
    fn new(b: &Builder, only: Option<&'static Rule>) -> Rewriter {
        Rewriter {
            b: b.clone(),
            only,
            settled: RefCell::default(),
            readers: RefCell::default(),
            known: RefCell::default(),
            values: RefCell::default(),
        }
    }

    /// A node, simplified.
    fn make(&self, op: Op, args: &[NodeId]) -> NodeId {
        let first = self.b.must(op, args);
        if let Some(id) = self.settled.borrow().get(&first) {
            return *id;
        }
        let mut id = first;
        while let Some(next) = self.rewritten(id) {
            id = next;
        }
        self.settled.borrow_mut().insert(first, id);
        id
    }

    /// The other side of the first rule that fits.
    fn rewritten(&self, id: NodeId) -> Option<NodeId> {
        let node = self.b.node(id);
        let apply = |rule: &Rule| {
            let next = (rule.apply)(self, &node).filter(|next| *next != id)?;
            assert_eq!(self.b.ty(next), node.ty, "`{}` keeps the type", rule.name);
            Some(next)
        };
        match self.only {
            Some(rule) => apply(rule),
            None => rules().find_map(apply),
        }
    }

    /// More readers of a node.
    fn note(&self, id: NodeId, more: Readers) {
        let mut readers = self.readers.borrow_mut();
        let known = readers.entry(id).or_default();
        *known = Readers { all: known.all + more.all, ways: known.ways + more.ways };
    }

    /// Whether a node is read in one way, so that nothing is lost when only that part of it is computed.
    fn one_way(&self, id: NodeId) -> bool {
        self.readers.borrow().get(&id).is_some_and(|r| r.ways == 1)
    }

    /// Whether one node alone reads a node.
    fn single(&self, id: NodeId) -> bool {
        self.readers.borrow().get(&id).is_some_and(|r| r.all == 1)
    }

    fn ty(&self, id: NodeId) -> Type {
        self.b.ty(id)
    }

    fn node(&self, id: NodeId) -> Node {
        self.b.node(id)
    }

    fn has(&self, id: NodeId, axis: AxisId) -> bool {
        self.b.graph().ty(id).has(axis)
    }

    fn extent(&self, id: NodeId, axis: AxisId) -> usize {
        self.b.graph().ty(id).extent(axis).expect("the node has the axis")
    }

    /// The number that a node is everywhere.
    fn constant(&self, id: NodeId) -> Option<f64> {
        self.b.constant(id)
    }

    /// `x` repeated along the axes of `ty` that it lacks.
    fn widen(&self, x: NodeId, ty: &Type) -> NodeId {
        let have = self.ty(x);
        ty.dims()
            .iter()
            .filter(|d| !have.has(d.axis))
            .fold(x, |x, d| self.make(Op::Expand(Expand { axis: d.axis, extent: d.extent }), &[x]))
    }
}
