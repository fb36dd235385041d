//! A scan taken apart, ready to be put together differently.
//!
//! The body is under construction: its inputs have provisional numbers, and nodes may be added to it at will.
//! `close` numbers the inputs as `Scan` wants them and leaves out the slices and captures that nothing reads.
use crate::rebuild::{SharedAxes, input_index, rebuild};
use std::collections::BTreeMap;
use stmc_ir::ops::Scan;
use stmc_ir::{AxisId, Builder, DType, Graph, Node, NodeId, Op, Type};

/// A value that goes from step to step.
#[derive(Clone, Copy)]
pub(crate) struct Carry {
    /// Outside: its value before the first step.
    pub(crate) initial: NodeId,
    /// In the body: its value as a step begins.
    pub(crate) value: NodeId,
    /// In the body: its value as a step ends.
    pub(crate) next: NodeId,
}

/// A tensor that the body reads: whole, or the slice of its step.
#[derive(Clone, Copy)]
pub(crate) struct Port {
    /// Outside.
    pub(crate) outside: NodeId,
    /// In the body.
    pub(crate) inside: NodeId,
}

/// A scan in pieces.
pub(crate) struct Loop {
    /// What it runs along.
    pub(crate) axis: AxisId,
    /// Number of steps.
    pub(crate) extent: usize,
    /// From the last step to the first.
    pub(crate) reverse: bool,
    /// The graph outside, to which `close` adds the scan.
    pub(crate) outside: Builder,
    /// The graph of a step.
    pub(crate) body: Builder,
    /// In the body: the number of the step, i32.
    pub(crate) step: NodeId,
    pub(crate) carries: Vec<Carry>,
    pub(crate) slices: Vec<Port>,
    pub(crate) captures: Vec<Port>,
    /// In the body: values to be stacked along the axis.
    pub(crate) yields: Vec<NodeId>,
    /// How many provisional input numbers were given out.
    inputs: usize,
}

impl Loop {
    /// A loop that does nothing yet, from the first step to the last.
    pub(crate) fn new(outside: &Builder, axis: AxisId, extent: usize) -> Loop {
        let body = outside.sub();
        let step = body.input(0, Type::scalar(DType::I32));
        Loop {
            axis,
            extent,
            reverse: false,
            outside: outside.clone(),
            body,
            step,
            carries: vec![],
            slices: vec![],
            captures: vec![],
            yields: vec![],
            inputs: 1,
        }
    }

    /// The scan of these operands, in pieces. Equal operands become one port.
    pub(crate) fn open(outside: &Builder, scan: &Scan, args: &[NodeId]) -> Loop {
        let mut parts = Loop::new(outside, scan.axis, scan.extent);
        parts.reverse = scan.reverse;
        let (carries, rest) = args.split_at(scan.carries);
        let (slices, captures) = rest.split_at(scan.slices);
        let mut inputs = vec![parts.step];
        inputs.extend(carries.iter().map(|initial| parts.carry(*initial)));
        inputs.extend(slices.iter().map(|xs| parts.slice(*xs)));
        inputs.extend(captures.iter().map(|x| parts.capture(*x)));
        let map = parts.body.inline(&scan.body, &inputs);
        let (next, yields) = scan.body.outputs.split_at(scan.carries);
        for (carry, next) in parts.carries.iter_mut().zip(next) {
            carry.next = map[next.index()];
        }
        parts.yields = yields.iter().map(|y| map[y.index()]).collect();
        parts
    }

    fn input(&mut self, ty: Type) -> NodeId {
        self.inputs += 1;
        self.body.input(self.inputs - 1, ty)
    }

    /// A new carry; its value in the body. Until `next` is set, it stays as it is.
    pub(crate) fn carry(&mut self, initial: NodeId) -> NodeId {
        let value = self.input(self.outside.ty(initial));
        self.carries.push(Carry { initial, value, next: value });
        value
    }

    /// The slice of `outside`, which has the axis, at each step. What is the same at each step is captured
    /// instead.
    pub(crate) fn slice(&mut self, outside: NodeId) -> NodeId {
        let node = self.outside.node(outside);
        let ty = node.ty.without(&[self.axis]);
        match node.op {
            Op::Fill { bits, .. } => return self.body.must(Op::Fill { bits, ty }, &[]),
            Op::Expand(e) if e.axis == self.axis => return self.capture(node.args[0]),
            _ => {}
        }
        if let Some(port) = self.slices.iter().find(|p| p.outside == outside) {
            return port.inside;
        }
        let inside = self.input(ty);
        self.slices.push(Port { outside, inside });
        inside
    }

    /// `outside` in the body, the same at each step.
    pub(crate) fn capture(&mut self, outside: NodeId) -> NodeId {
        let node = self.outside.node(outside);
        if let Op::Fill { .. } = node.op {
            return self.body.must(node.op, &[]);
        }
        if let Some(port) = self.captures.iter().find(|p| p.outside == outside) {
            return port.inside;
        }
        let inside = self.input(node.ty);
        self.captures.push(Port { outside, inside });
        inside
    }

    /// Stacks a value of the body; its place among the yields.
    pub(crate) fn stack(&mut self, value: NodeId) -> usize {
        if let Some(i) = self.yields.iter().position(|y| *y == value) {
            return i;
        }
        self.yields.push(value);
        self.yields.len() - 1
    }

    /// The body so far. Outputs: the next carries, then the yields.
    pub(crate) fn graph(&self) -> Graph {
        let next = self.carries.iter().map(|c| c.next);
        self.body.finish(next.chain(self.yields.iter().copied()).collect())
    }

    /// The loop with each computed node of its body replaced by what `f` makes of it (`None`: the same node).
    /// `f` gets the new loop, to which it may add ports, and the node with its operands already replaced.
    pub(crate) fn rewritten(mut self, mut f: impl FnMut(&mut Loop, NodeId, &Node) -> Option<NodeId>) -> Loop {
        let graph = self.graph();
        let live = graph.live();
        self.body = self.outside.sub();
        let mut map: Vec<Option<NodeId>> = vec![None; graph.nodes.len()];
        for (i, node) in graph.nodes.iter().enumerate() {
            if let Some(index) = input_index(node) {
                map[i] = Some(self.body.input(index, node.ty.clone()));
            }
        }
        let place =
            |map: &[Option<NodeId>], id: NodeId| map[id.index()].expect("inputs and live nodes are copied");
        self.step = place(&map, self.step);
        for port in self.slices.iter_mut().chain(&mut self.captures) {
            port.inside = place(&map, port.inside);
        }
        for carry in &mut self.carries {
            carry.value = place(&map, carry.value);
        }
        for (i, node) in graph.nodes.iter().enumerate().filter(|(i, n)| live[*i] && input_index(n).is_none())
        {
            let args = node.args.iter().map(|a| place(&map, *a)).collect();
            self.body.at(&node.spans);
            let node = Node { args, ..node.clone() };
            let new = f(&mut self, NodeId::from_index(i), &node);
            map[i] = Some(new.unwrap_or_else(|| self.body.must(node.op, &node.args)));
        }
        for (carry, next) in self.carries.iter_mut().zip(&graph.outputs) {
            carry.next = place(&map, *next);
        }
        self.yields = graph.outputs[self.carries.len()..].iter().map(|y| place(&map, *y)).collect();
        self
    }

    /// Puts the scan together. Gives its results: the last carries, then the stacked yields.
    pub(crate) fn close(mut self) -> Vec<NodeId> {
        let graph = self.graph();
        let live = graph.live();
        self.slices.retain(|p| live[p.inside.index()]);
        self.captures.retain(|p| live[p.inside.index()]);
        let body = self.numbered(&graph);
        let args: Vec<NodeId> = (self.carries.iter().map(|c| c.initial))
            .chain(self.slices.iter().chain(&self.captures).map(|p| p.outside))
            .collect();
        let scan = Scan {
            axis: self.axis,
            extent: self.extent,
            reverse: self.reverse,
            carries: self.carries.len(),
            slices: self.slices.len(),
            body,
        };
        self.outside
            .scan(scan, &args)
            .unwrap_or_else(|m| panic!("a loop was put together wrongly: {}", m.reason))
    }

    /// The live part of the body with its inputs numbered: step, carries, slices, captures.
    fn numbered(&self, graph: &Graph) -> Graph {
        let values = self.carries.iter().map(|c| c.value);
        let ports = self.slices.iter().chain(&self.captures).map(|p| p.inside);
        let number: BTreeMap<usize, usize> = [self.step]
            .into_iter()
            .chain(values)
            .chain(ports)
            .enumerate()
            .map(|(number, inside)| {
                (input_index(graph.node(inside)).expect("ports of a body are its inputs"), number)
            })
            .collect();
        rebuild(self.body.axes(), graph, |b, _, node| match input_index(node) {
            Some(index) => b.input(number[&index], node.ty.clone()),
            None => b.must(node.op.clone(), &node.args),
        })
    }
}

/// Puts a loop together anew, given which of its results are used: what stands for each result (`None` only
/// for unused ones).
pub(crate) type Rewrite<'a> = dyn Fn(Loop, &[bool]) -> Vec<Option<NodeId>> + 'a;

/// Rewrites every scan, inner ones first.
pub(crate) fn rewrite_loops(axes: &SharedAxes, graph: &Graph, f: &Rewrite<'_>) -> Graph {
    let used = used_results(graph);
    let mut results: BTreeMap<NodeId, Vec<Option<NodeId>>> = BTreeMap::new();
    rebuild(axes, graph, |b, id, node| match &node.op {
        Op::Scan(scan) => {
            let body = rewrite_loops(axes, &scan.body, f);
            let parts = Loop::open(b, &Scan { body, ..(**scan).clone() }, &node.args);
            results.insert(id, f(parts, &used[&id]));
            // Nothing reads the scan itself: its results stand for it. Any node will do.
            b.number(0.0)
        }
        Op::ScanResult(r) => {
            let scan = graph.node(id).args[0];
            results[&scan][r.index].expect("used results have a replacement")
        }
        _ => b.must(node.op.clone(), &node.args),
    })
}

/// For each live scan, which of its results a live node reads.
fn used_results(graph: &Graph) -> BTreeMap<NodeId, Vec<bool>> {
    let live = graph.live();
    let mut used: BTreeMap<NodeId, Vec<bool>> = BTreeMap::new();
    for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| live[*i]) {
        match &node.op {
            Op::Scan(scan) => {
                used.insert(NodeId::from_index(i), vec![false; scan.body.outputs.len()]);
            }
            Op::ScanResult(r) => {
                used.get_mut(&node.args[0]).expect("a scan precedes its results")[r.index] = true;
            }
            _ => {}
        }
    }
    used
}
