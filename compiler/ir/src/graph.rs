//! Tensor graph: an append-only, hash-consed DAG.
//!
//! Invariant: a node's operands have smaller ids than the node, so `0..len` is a topological order and no pass
//! needs to sort. There is one way to make a node, `Builder::add`, and it infers the type: no ill-typed node exists.
//! The graph knows nothing about memory or devices; see `program`.
use crate::ops::{Misfit, Op};
use crate::types::{Axes, Type};
use std::cell::{Ref, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use stmc_base::{Span, define_id};

define_id! {
    /// A node of one graph.
    pub struct NodeId
}

/// An op applied to operands.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// Smaller ids than its own.
    pub args: Vec<NodeId>,
    /// Of the result.
    pub ty: Type,
    /// Where in the source it came from; not part of its identity.
    pub spans: Vec<Span>,
}

/// A closed computation: `Op::Input` nodes in, `outputs` out.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Graph {
    /// In topological order.
    pub nodes: Vec<Node>,
    /// What it gives, in order.
    pub outputs: Vec<NodeId>,
}

impl Graph {
    /// The node of an id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// A node's type.
    pub fn ty(&self, id: NodeId) -> &Type {
        &self.nodes[id.index()].ty
    }

    /// Types of the inputs, by index; an index that no node mentions is absent.
    pub fn inputs(&self) -> Vec<(usize, Type)> {
        let mut inputs: Vec<(usize, Type)> = self
            .nodes
            .iter()
            .filter_map(|n| {
                if let Op::Input { index, .. } = n.op { Some((index as usize, n.ty.clone())) } else { None }
            })
            .collect();
        inputs.sort_by_key(|i| i.0);
        inputs
    }

    /// Which nodes an output depends on.
    pub fn live(&self) -> Vec<bool> {
        let mut live = vec![false; self.nodes.len()];
        for o in &self.outputs {
            live[o.index()] = true;
        }
        for i in (0..self.nodes.len()).rev() {
            if live[i] {
                for a in &self.nodes[i].args {
                    live[a.index()] = true;
                }
            }
        }
        live
    }

    /// One line per node, for `stmc emit --stage graph` and accepted dumps.
    pub fn dump(&self, axes: &Axes) -> String {
        self.dump_indented(axes, "")
    }

    fn dump_indented(&self, axes: &Axes, indent: &str) -> String {
        let mut out = String::new();
        for (i, node) in self.nodes.iter().enumerate() {
            let args: Vec<String> = node.args.iter().map(|a| format!("%{}", a.0)).collect();
            let ty = axes.show(&node.ty);
            out += &format!("{indent}%{i} = {} {} : {ty}\n", node.op.show(axes), args.join(" "));
            if let Op::Scan(scan) = &node.op {
                out += &scan.body.dump_indented(axes, &format!("{indent}    "));
            }
        }
        let outputs: Vec<String> = self.outputs.iter().map(|a| format!("%{}", a.0)).collect();
        out + &format!("{indent}return {}\n", outputs.join(" "))
    }
}

type Memo = HashMap<(Op, Vec<NodeId>), NodeId>;

/// Makes graphs. Cheap to clone: clones build the same graph. Axes are shared by all graphs of a compilation.
#[derive(Clone, Default)]
pub struct Builder {
    axes: Rc<RefCell<Axes>>,
    graph: Rc<RefCell<(Graph, Memo)>>,
    span: Rc<RefCell<Vec<Span>>>,
}

impl Builder {
    /// An empty graph over a table of axes.
    pub fn new(axes: Rc<RefCell<Axes>>) -> Builder {
        Builder { axes, ..Builder::default() }
    }

    /// An empty graph over the same axes: a scan's body.
    pub fn sub(&self) -> Builder {
        Builder::new(self.axes.clone())
    }

    /// The shared table of axes.
    pub fn axes(&self) -> &Rc<RefCell<Axes>> {
        &self.axes
    }

    /// Nodes added from now on come from here.
    pub fn at(&self, spans: &[Span]) {
        *self.span.borrow_mut() = spans.to_vec();
    }

    /// The only way to make a node: infers its type. The same op on the same operands gives the same node.
    pub fn add(&self, op: Op, args: &[NodeId]) -> Result<NodeId, Misfit> {
        let key = (op, args.to_vec());
        if let Some(&id) = self.graph.borrow().1.get(&key) {
            return Ok(id);
        }
        let ty = {
            let graph = &self.graph.borrow().0;
            let types: Vec<&Type> = args.iter().map(|a| graph.ty(*a)).collect();
            key.0.rule().infer(&types, &self.axes.borrow())?
        };
        let graph = &mut *self.graph.borrow_mut();
        let id = NodeId::from_index(graph.0.nodes.len());
        let spans = self.span.borrow().clone();
        graph.0.nodes.push(Node { op: key.0.clone(), args: key.1.clone(), ty, spans });
        graph.1.insert(key, id);
        Ok(id)
    }

    /// For rules, whose operands were already checked.
    pub fn must(&self, op: Op, args: &[NodeId]) -> NodeId {
        self.add(op, args).unwrap_or_else(|m| panic!("a rule built an ill-typed node: {}", m.reason))
    }

    /// A node's type.
    pub fn ty(&self, id: NodeId) -> Type {
        self.graph.borrow().0.ty(id).clone()
    }

    /// A node, copied.
    pub fn node(&self, id: NodeId) -> Node {
        self.graph.borrow().0.node(id).clone()
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.graph.borrow().0.nodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A look at the graph so far (its `outputs` are empty).
    pub fn graph(&self) -> Ref<'_, Graph> {
        Ref::map(self.graph.borrow(), |g| &g.0)
    }

    /// The graph with these results.
    pub fn finish(&self, outputs: Vec<NodeId>) -> Graph {
        let mut graph = self.graph.borrow().0.clone();
        graph.outputs = outputs;
        graph
    }

    /// Copies `graph` into this one: `inputs[i]` stands for its input `i`. Gives the new id of each node.
    pub fn inline(&self, graph: &Graph, inputs: &[NodeId]) -> Vec<NodeId> {
        let mut map: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            let args: Vec<NodeId> = node.args.iter().map(|a| map[a.index()]).collect();
            self.at(&node.spans);
            map.push(match node.op {
                Op::Input { index, .. } => inputs[index as usize],
                _ => self.must(node.op.clone(), &args),
            });
        }
        map
    }
}
