//! What the body of a loop computes, made outside of it for all steps at once: by the same ops on whole tensors, which have
//! the loop's axis, or lack it where the steps do not differ.
use super::parts::Loop;
use std::collections::BTreeMap;
use stmc_ir::{AxisId, Builder, Graph, NodeId, Op};

/// Nodes of a body and what they are outside.
pub(super) struct AllSteps {
    /// The graph outside.
    pub b: Builder,
    /// The loop's.
    pub axis: AxisId,
    /// Number of steps.
    pub extent: usize,
    /// The graph of a step.
    pub body: Graph,
    made: BTreeMap<NodeId, NodeId>,
}

impl AllSteps {
    /// What the loop slices and captures is at hand, and so is the number of the step.
    pub fn new(parts: &Loop) -> AllSteps {
        let (b, axis, extent) = (parts.outside.clone(), parts.axis, parts.extent);
        let ports = parts.slices.iter().chain(&parts.captures).map(|p| (p.inside, p.outside));
        let step = (parts.step, b.must(Op::Index { axis, extent }, &[]));
        let made = ports.chain([step]).collect();
        AllSteps { b, axis, extent, body: parts.graph(), made }
    }

    /// Whether a node is there already.
    pub fn is_made(&self, id: NodeId) -> bool {
        self.made.contains_key(&id)
    }

    /// More nodes and what they are outside.
    pub fn add(&mut self, made: impl Iterator<Item = (NodeId, NodeId)>) {
        self.made.extend(made);
    }

    /// A node for all steps at once.
    pub fn make(&mut self, id: NodeId) -> NodeId {
        if let Some(made) = self.made.get(&id) {
            return *made;
        }
        let node = self.body.node(id).clone();
        let args: Vec<NodeId> = node.args.iter().map(|a| self.make(*a)).collect();
        self.b.at(&node.spans);
        let made = self.b.must(node.op, &args);
        self.made.insert(id, made);
        made
    }

    /// A node's values of all steps along the axis.
    pub fn stack(&mut self, id: NodeId) -> NodeId {
        let ty = self.body.ty(id).with(self.axis, self.extent).expect("what is stacked lacks the axis");
        let made = self.make(id);
        self.b.expand_to(made, &ty)
    }
}
