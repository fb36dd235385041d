//! The order of the passes over a graph: one list, with a reason on each line. The verifier runs after each.
use crate::autodiff::{autodiff, release};
use crate::precision::precision;
use crate::prune::prune;
use crate::rebuild::SharedAxes;
use crate::scan::hoist::hoist;
use crate::scan::sink::sink;
use crate::scan::tape::tape;
use crate::simplify::simplify;
use stmc_ir::module::{EntryGraph, Train};
use stmc_ir::{Graph, verify};

/// A pass over the graph of an entry.
pub struct Pass {
    /// For messages of the verifier, and to stop after it; a name that occurs twice then means the last.
    pub name: &'static str,
    run: Run,
    /// Why it stands here.
    pub why: &'static str,
}

enum Run {
    /// On every graph.
    Always(fn(&SharedAxes, &Graph) -> Graph),
    /// Only where gradients are wanted.
    Training(fn(&SharedAxes, &Graph) -> Graph),
    /// Appends the gradients.
    Autodiff,
    /// As the training wants it.
    Precision,
}

/// All graph passes in order.
pub const PIPELINE: &[Pass] = &[
    Pass { name: "precision", run: Run::Precision, why: "products are rounded as the file has them" },
    Pass { name: "simplify", run: Run::Always(simplify), why: "the passes below see fewer nodes" },
    Pass { name: "hoist", run: Run::Always(hoist), why: "one contraction over all steps beats one per step" },
    Pass { name: "sink", run: Run::Always(sink), why: "the same, for what the steps do not need" },
    Pass { name: "simplify", run: Run::Always(simplify), why: "the tape holds no more than it must" },
    Pass { name: "tape", run: Run::Training(tape), why: "a scan's derivative reads what the steps computed" },
    Pass { name: "autodiff", run: Run::Autodiff, why: "from here on gradients are ordinary nodes" },
    Pass { name: "release", run: Run::Always(release), why: "nothing is differentiated any more: no `stop`" },
    Pass { name: "prune", run: Run::Training(prune), why: "stacks that no derivative reads count as uses" },
    Pass { name: "simplify", run: Run::Training(simplify), why: "clears what derivatives leave behind" },
    Pass { name: "hoist", run: Run::Training(hoist), why: "the reversed loops are loops as well" },
    Pass { name: "sink", run: Run::Training(sink), why: "gradients of weights become one contraction" },
    Pass { name: "prune", run: Run::Always(prune), why: "the rules below look at how often a node is used" },
    Pass { name: "simplify", run: Run::Always(simplify), why: "slices and sums meet their new neighbours" },
    Pass { name: "prune", run: Run::Always(prune), why: "fusion counts consumers; dead ones mislead it" },
];

/// An entry after all graph passes, with the gradients of its losses by the `wanted` inputs. `train`: whose precision its
/// products have; without it nothing is rounded.
pub fn optimize(
    axes: &SharedAxes,
    entry: &EntryGraph,
    wanted: &[usize],
    train: Option<&Train>,
) -> EntryGraph {
    optimize_until(axes, entry, wanted, train, None)
}

/// An entry after the last pass of that name; after all of them if there is no such pass.
pub fn optimize_until(
    axes: &SharedAxes,
    entry: &EntryGraph,
    wanted: &[usize],
    train: Option<&Train>,
    last: Option<&str>,
) -> EntryGraph {
    let end = PIPELINE.iter().rposition(|p| Some(p.name) == last).map_or(PIPELINE.len(), |i| i + 1);
    let mut entry = entry.clone();
    for pass in &PIPELINE[..end] {
        match pass.run {
            Run::Always(run) => entry.graph = run(axes, &entry.graph),
            Run::Training(run) if !wanted.is_empty() => entry.graph = run(axes, &entry.graph),
            Run::Autodiff if !wanted.is_empty() => entry = autodiff(axes, &entry, wanted),
            Run::Precision => match train {
                Some(train) => entry = precision(axes, &entry, wanted, train),
                None => continue,
            },
            Run::Training(_) | Run::Autodiff => continue,
        }
        verify::graph(&entry.graph, &axes.borrow(), pass.name);
    }
    entry
}

/// Only the passes that make any graph smaller.
pub fn tidy(axes: &SharedAxes, graph: &Graph) -> Graph {
    let graph = prune(axes, &simplify(axes, graph));
    verify::graph(&graph, &axes.borrow(), "tidy");
    graph
}
