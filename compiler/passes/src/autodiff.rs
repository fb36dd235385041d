//! Reverse-mode derivatives: after it gradients are ordinary nodes and further outputs of the graph.
//!
//! It knows no op: each gives its own cotangents. Only a scan's derivative is made here, because it is a
//! whole loop: it runs the other way and carries the cotangents of the carries, and sums for the tensors that
//! every step reads. What the steps computed is read from the stacks that `tape` made scans yield, or
//! computed again. Only nodes that depend on a wanted input get cotangents.
use crate::rebuild::{SharedAxes, ancestors, dependents, input_index, rebuild};
use crate::scan::parts::Loop;
use crate::scan::tape::is_kept;
use std::collections::BTreeMap;
use std::sync::Arc;
use stmc_ir::module::{EntryGraph, InputRole, OutputRole};
use stmc_ir::ops::{Rename, Scan, ScanResult, Site};
use stmc_ir::{AxisId, Builder, DType, Graph, Node, NodeId, Op};

/// Appends the gradients of the sum of the entry's losses by these inputs (indices into `entry.inputs`). An
/// input that no loss depends on gets no output.
pub fn autodiff(axes: &SharedAxes, entry: &EntryGraph, wanted: &[usize]) -> EntryGraph {
    let losses = entry.outputs.iter().zip(&entry.graph.outputs);
    let losses: Vec<NodeId> =
        losses.filter(|(role, _)| matches!(role, OutputRole::Loss { .. })).map(|(_, node)| *node).collect();
    let (graph, found) = differentiate(axes, &entry.graph, &losses, wanted);
    let role = |input: usize| match entry.inputs[input] {
        InputRole::Param(param) => OutputRole::ParamGradient(param),
        _ => OutputRole::InputGradient(input),
    };
    let mut outputs = entry.outputs.clone();
    outputs.extend(found.into_iter().map(role));
    EntryGraph { graph, outputs, ..entry.clone() }
}

/// The graph with further outputs: the gradients of the sum of all elements of `losses` by these inputs.
/// Gives also those inputs that a loss depends on: only they have a gradient.
pub fn differentiate(
    axes: &SharedAxes,
    graph: &Graph,
    losses: &[NodeId],
    wanted: &[usize],
) -> (Graph, Vec<usize>) {
    let b = Builder::new(axes.clone());
    let values = copy(&b, graph);
    let inputs: Vec<Option<NodeId>> = wanted.iter().map(|w| input_node(graph, *w)).collect();
    let present: Vec<NodeId> = inputs.iter().flatten().copied().collect();
    let seeds = losses.iter().map(|l| (*l, b.fill(1.0, graph.ty(*l)))).collect();
    let gradients = pull_back(&b, graph, &values, seeds, &present);
    let mut outputs: Vec<NodeId> = graph.outputs.iter().map(|o| values[o.index()]).collect();
    let mut found = vec![];
    for (input, node) in wanted.iter().zip(&inputs) {
        if let Some(gradient) = node.and_then(|n| gradients[n.index()]) {
            outputs.push(gradient);
            found.push(*input);
        }
    }
    (b.finish(outputs), found)
}

/// The graph without `stop` and its like: once gradients are there they mean nothing.
pub fn release(axes: &SharedAxes, graph: &Graph) -> Graph {
    rebuild(axes, graph, |b, _, node| match &node.op {
        Op::Scalar(op) if op.only_for_gradients() => b.expand_to(node.args[0], &node.ty),
        Op::Scan(scan) => {
            let body = release(axes, &scan.body);
            b.must(Op::Scan(Arc::new(Scan { body, ..(**scan).clone() })), &node.args)
        }
        op => b.must(op.clone(), &node.args),
    })
}

/// Copies a graph into a builder. Gives the value of each node.
fn copy(b: &Builder, graph: &Graph) -> Vec<NodeId> {
    let mut values: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let args: Vec<NodeId> = node.args.iter().map(|a| values[a.index()]).collect();
        b.at(&node.spans);
        values.push(b.must(node.op.clone(), &args));
    }
    values
}

fn input_node(graph: &Graph, index: usize) -> Option<NodeId> {
    graph.nodes.iter().position(|n| input_index(n) == Some(index)).map(NodeId::from_index)
}

/// Cotangents of the nodes of `graph` that depend on `wanted`, given those of some (`seeds`). `values` are
/// the nodes' values in `b`, where the derivative is built.
fn pull_back(
    b: &Builder,
    graph: &Graph,
    values: &[NodeId],
    seeds: Vec<(NodeId, NodeId)>,
    wanted: &[NodeId],
) -> Vec<Option<NodeId>> {
    let depends = dependents(graph, wanted);
    let cotangents = vec![None; graph.nodes.len()];
    let mut reverse = Reverse { b, graph, values, depends, cotangents, results: BTreeMap::new() };
    for (node, dy) in seeds {
        reverse.add(node, dy);
    }
    for i in (0..graph.nodes.len()).rev() {
        reverse.step(NodeId::from_index(i));
    }
    reverse.cotangents
}

struct Reverse<'a> {
    b: &'a Builder,
    graph: &'a Graph,
    /// Of each node, in `b`.
    values: &'a [NodeId],
    /// Whether a node depends on a wanted one.
    depends: Vec<bool>,
    /// In `b`. `None`: nothing depends on the node, as far as was seen.
    cotangents: Vec<Option<NodeId>>,
    /// The cotangents of each scan's results.
    results: BTreeMap<NodeId, BTreeMap<usize, NodeId>>,
}

impl Reverse<'_> {
    /// One more part of a node's cotangent.
    fn add(&mut self, node: NodeId, d: NodeId) {
        if !self.depends[node.index()] || self.graph.ty(node).dtype != DType::F32 {
            return;
        }
        assert_eq!(self.b.ty(d), *self.graph.ty(node), "a cotangent has the type of its value");
        let sum = match self.cotangents[node.index()] {
            None => d,
            Some(old) => self.b.plus(old, d),
        };
        self.cotangents[node.index()] = Some(sum);
    }

    fn step(&mut self, id: NodeId) {
        if !self.depends[id.index()] {
            return;
        }
        let node = self.graph.node(id);
        self.b.at(&node.spans);
        if let Op::Scan(scan) = &node.op {
            // Its results come after it, so their cotangents are complete.
            if let Some(given) = self.results.remove(&id) {
                self.scan(id, scan, &given);
            }
            return;
        }
        let Some(dy) = self.cotangents[id.index()] else { return };
        if let Op::ScanResult(r) = &node.op {
            self.results.entry(node.args[0]).or_default().insert(r.index, dy);
            return;
        }
        let args: Vec<NodeId> = node.args.iter().map(|a| self.values[a.index()]).collect();
        let site = Site { args: &args, out: self.values[id.index()] };
        for (arg, d) in node.args.iter().zip(node.op.rule().vjp(self.b, &site, dy)) {
            if let Some(d) = d {
                self.add(*arg, d);
            }
        }
    }

    /// Adds the reversed loop of a scan and the cotangents of the scan's operands.
    fn scan(&mut self, id: NodeId, scan: &Scan, given: &BTreeMap<usize, NodeId>) {
        let args = self.graph.node(id).args.clone();
        let flow = Flow::of(scan, &args.iter().map(|a| self.depends[a.index()]).collect::<Vec<_>>(), given);
        let mut back = Loop::new(self.b, scan.axis, scan.extent);
        back.reverse = !scan.reverse;
        let outside: Vec<NodeId> = args.iter().map(|a| self.values[a.index()]).collect();
        let values = self.forward_values(&mut back, id, scan, &outside);

        let mut seeds = vec![];
        for c in &flow.carries {
            let first = given.get(c).copied().unwrap_or_else(|| self.b.fill(0.0, &self.b.ty(outside[*c])));
            seeds.push((scan.body.outputs[*c], back.carry(first)));
        }
        for (index, dy) in given.range(scan.carries..) {
            seeds.push((scan.body.outputs[*index], back.slice(*dy)));
        }
        let body = back.body.clone();
        let cotangents = pull_back(&body, &scan.body, &values, seeds, &flow.inputs);
        let of = |input: usize| input_node(&scan.body, input).and_then(|n| cotangents[n.index()]);

        // Where each operand's cotangent will be among the results of the reversed loop.
        let mut carried: Vec<(usize, usize)> = vec![];
        let mut stacked: Vec<(usize, usize)> = vec![];
        for (n, c) in flow.carries.iter().enumerate() {
            let next = of(scan.carry_input(*c));
            back.carries[n].next = next.unwrap_or_else(|| body.fill(0.0, &self.b.ty(outside[*c])));
            carried.push((*c, n));
        }
        for i in scan.carries..args.len() {
            let Some(d) = of(1 + i) else { continue };
            if i < scan.carries + scan.slices {
                stacked.push((i, back.stack(d)));
            } else {
                let d = set_aside(&body, d, scan.axis);
                let sum = back.carry(self.b.fill(0.0, &body.ty(d)));
                back.carries.last_mut().expect("just added").next = body.plus(sum, d);
                carried.push((i, back.carries.len() - 1));
            }
        }
        let carries = back.carries.len();
        let results = back.close();
        for (operand, c) in carried {
            let d = put_back(self.b, results[c], scan.axis);
            self.add(args[operand], d);
        }
        for (operand, y) in stacked {
            self.add(args[operand], results[carries + y]);
        }
    }

    /// The values that the body's nodes had in the forward loop, as seen in a step of the reversed one.
    fn forward_values(&self, back: &mut Loop, id: NodeId, scan: &Scan, outside: &[NodeId]) -> Vec<NodeId> {
        let body = back.body.clone();
        let mut values: Vec<NodeId> = Vec::with_capacity(scan.body.nodes.len());
        for (i, node) in scan.body.nodes.iter().enumerate() {
            let here = NodeId::from_index(i);
            body.at(&node.spans);
            let value = match &node.op {
                Op::Input { index: 0, .. } => back.step,
                Op::Input { index, .. } => {
                    let operand = *index as usize - 1;
                    if operand < scan.carries {
                        self.taped(back, id, scan, here).expect("`tape` made every scan yield its carries")
                    } else if operand < scan.carries + scan.slices {
                        back.slice(outside[operand])
                    } else {
                        back.capture(outside[operand])
                    }
                }
                op => {
                    let kept = is_kept(node) || scan.body.outputs[..scan.carries].contains(&here);
                    let taped = if kept { self.taped(back, id, scan, here) } else { None };
                    let args: Vec<NodeId> = node.args.iter().map(|a| values[a.index()]).collect();
                    taped.unwrap_or_else(|| body.must(op.clone(), &args))
                }
            };
            values.push(value);
        }
        values
    }

    /// The slice of the stack of a node of the forward body. `None`: the scan does not yield the node.
    fn taped(&self, back: &mut Loop, id: NodeId, scan: &Scan, node: NodeId) -> Option<NodeId> {
        let y = scan.body.outputs[scan.carries..].iter().position(|y| *y == node)?;
        Some(back.slice(self.result(id, scan, scan.carries + y)))
    }

    /// The value of a result of a scan. An inner scan's results are nodes of the body that were taped
    /// themselves.
    fn result(&self, id: NodeId, scan: &Scan, index: usize) -> NodeId {
        let is =
            |node: &Node| matches!(&node.op, Op::ScanResult(r) if r.index == index) && node.args[0] == id;
        match self.graph.nodes.iter().position(is) {
            Some(i) => self.values[i],
            None => {
                let op = Op::ScanResult(ScanResult { index, ty: scan.result(index) });
                self.b.must(op, &[self.values[id.index()]])
            }
        }
    }
}

/// No carry may have the axis of its loop, but a captured tensor may, and then its cotangent does: the axis
/// gets another name while the steps add it up.
fn set_aside(b: &Builder, x: NodeId, axis: AxisId) -> NodeId {
    if b.ty(x).has(axis) { b.must(Op::Rename(Rename::one(axis, aside(b, axis))), &[x]) } else { x }
}

fn put_back(b: &Builder, x: NodeId, axis: AxisId) -> NodeId {
    let aside = aside(b, axis);
    if b.ty(x).has(aside) { b.must(Op::Rename(Rename::one(aside, axis)), &[x]) } else { x }
}

fn aside(b: &Builder, axis: AxisId) -> AxisId {
    b.axes().borrow_mut().axis("aside", &format!("#{}", axis.0))
}

/// Through which carries and inputs of a scan's body gradients flow.
struct Flow {
    /// Carries that depend on a wanted input, and on which a result with a cotangent depends.
    carries: Vec<usize>,
    /// The body's inputs that depend on a wanted input.
    inputs: Vec<NodeId>,
}

impl Flow {
    /// `depends`: whether each operand depends on a wanted input. `given`: the results with cotangents.
    fn of(scan: &Scan, depends: &[bool], given: &BTreeMap<usize, NodeId>) -> Flow {
        let varied = Flow::varied(scan, depends);
        let active = Flow::active(scan, given);
        let differentiable = |i: usize| {
            let node = input_node(&scan.body, 1 + i);
            node.filter(|n| varied[i] && scan.body.ty(*n).dtype == DType::F32)
        };
        let carries = (0..scan.carries).filter(|c| active[*c] && varied[*c]).collect();
        Flow { carries, inputs: (0..depends.len()).filter_map(differentiable).collect() }
    }

    /// The operands whose value in some step depends on a wanted input.
    fn varied(scan: &Scan, depends: &[bool]) -> Vec<bool> {
        let mut varied = depends.to_vec();
        loop {
            let inputs: Vec<NodeId> = (0..varied.len())
                .filter(|i| varied[*i])
                .filter_map(|i| input_node(&scan.body, 1 + i))
                .collect();
            let reached = dependents(&scan.body, &inputs);
            let before = varied.clone();
            for c in 0..scan.carries {
                varied[c] |= reached[scan.body.outputs[c].index()];
            }
            if varied == before {
                return varied;
            }
        }
    }

    /// The carries on which a result with a cotangent depends.
    fn active(scan: &Scan, given: &BTreeMap<usize, NodeId>) -> Vec<bool> {
        let float = |c: usize| scan.body.ty(scan.body.outputs[c]).dtype == DType::F32;
        let mut active: Vec<bool> = (0..scan.carries).map(|c| given.contains_key(&c)).collect();
        loop {
            let roots =
                (0..scan.carries).filter(|c| active[*c]).chain(given.range(scan.carries..).map(|(i, _)| *i));
            let needed = ancestors(&scan.body, &roots.map(|i| scan.body.outputs[i]).collect::<Vec<_>>());
            let before = active.clone();
            for (c, active) in active.iter_mut().enumerate() {
                let input = input_node(&scan.body, scan.carry_input(c));
                *active |= float(c) && input.is_some_and(|n| needed[n.index()]);
            }
            if active == before {
                return active;
            }
        }
    }
}
