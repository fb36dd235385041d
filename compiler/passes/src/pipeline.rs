//! The order of the passes over a graph.
use crate::autodiff::autodiff;
use crate::prune::prune;
use crate::rebuild::SharedAxes;
use crate::scan::tape::tape;
use stmc_ir::module::EntryGraph;
use stmc_ir::{Graph, verify};

/// An entry after all graph passes, with the gradients of its losses by the `wanted` inputs.
pub fn optimize(axes: &SharedAxes, entry: &EntryGraph, wanted: &[usize]) -> EntryGraph {
    let mut entry = entry.clone();
    if !wanted.is_empty() {
        entry.graph = tape(axes, &entry.graph);
        entry = autodiff(axes, &entry, wanted);
    }
    entry.graph = tidy(axes, &entry.graph);
    verify::graph(&entry.graph, &axes.borrow(), "optimize");
    entry
}

/// Only the passes that make a graph smaller.
pub fn tidy(axes: &SharedAxes, graph: &Graph) -> Graph {
    prune(axes, graph)
}
