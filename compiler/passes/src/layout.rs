//! The order of axes in memory. Axes have none in the language, so the compiler picks: sequence outermost (a step of a scan is one
//! contiguous piece), then `batch`, then space, and features (channels) innermost, where contractions and vector lanes want them.
use stmc_ir::module::Module;
use stmc_ir::{AxisId, Dim, Graph, Op};

/// Ranks of all axes of a module.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Smaller is slower.
    rank: Vec<u8>,
}

const BATCH: u8 = 1;
const SPACE: u8 = 2;
const FEATURE: u8 = 3;

impl Layout {
    /// Features are the axes of weights that are not taps of a window, and whatever they are renamed or taken apart to.
    pub fn new(module: &Module) -> Layout {
        let taps = |g: &Graph| -> Vec<AxisId> {
            walk(g)
                .into_iter()
                .filter_map(|op| if let Op::Windows(w) = op { Some(w.tap) } else { None })
                .collect()
        };
        let taps: Vec<AxisId> = module.entries.iter().flat_map(|e| taps(&e.graph)).collect();
        let mut rank = vec![SPACE; module.axes.len()];
        for d in module.params.iter().flat_map(|p| p.ty.dims()).filter(|d| !taps.contains(&d.axis)) {
            // A weight may lie on the grid itself (a peephole's map); its first axis on disk is the feature.
            rank[d.axis.index()] = FEATURE;
        }
        for p in &module.params {
            let grid = p.ty.dims().iter().filter(|d| shaped_like_space(module, d.axis));
            grid.for_each(|d| rank[d.axis.index()] = SPACE);
        }
        let ops: Vec<&Op> = module.entries.iter().flat_map(|e| walk(&e.graph)).collect();
        loop {
            let before = rank.clone();
            for op in &ops {
                match op {
                    Op::Rename(r) => r.pairs.iter().for_each(|(a, b)| {
                        let most = rank[a.index()].max(rank[b.index()]);
                        (rank[a.index()], rank[b.index()]) = (most, most);
                    }),
                    Op::Unflatten(u) if rank[u.axis.index()] == FEATURE => {
                        u.into.iter().for_each(|d| rank[d.axis.index()] = FEATURE);
                    }
                    _ => {}
                }
            }
            if rank == before {
                break;
            }
        }
        let batch = (0..module.axes.len())
            .map(AxisId::from_index)
            .find(|a| module.axes.name(*a) == "batch" && module.axes.get(*a).owner.is_empty());
        if let Some(batch) = batch {
            rank[batch.index()] = BATCH;
        }
        Layout { rank }
    }

    /// Axes, slowest first. `first`: the scan axis of a stack, which is slower than all.
    pub fn order(&self, dims: &[Dim], first: Option<AxisId>) -> Vec<Dim> {
        let mut dims = dims.to_vec();
        let key = |a: AxisId| self.rank.get(a.index()).copied().unwrap_or(SPACE);
        dims.sort_by_key(|d| (Some(d.axis) != first, key(d.axis), d.axis));
        dims
    }

    /// The order of a weight: taps first, the first axis on disk (what it gives) last, so that contractions read it row by row.
    pub fn weight(disk: &[AxisId], module: &Module) -> Vec<AxisId> {
        let Some((out, rest)) = disk.split_first() else { return vec![] };
        let tap = |a: &AxisId| !module.axes.name(*a).starts_with("tap(");
        let mut order = rest.to_vec();
        order.sort_by_key(tap);
        // A weight over the grid lies like an activation: features last, as its first axis is.
        order.push(*out);
        order
    }
}

/// Whether an axis is windowed somewhere: then it is a dimension of space, even if a weight has it.
fn shaped_like_space(module: &Module, axis: AxisId) -> bool {
    module.entries.iter().flat_map(|e| walk(&e.graph)).any(|op| match op {
        Op::Windows(w) => w.axis == axis,
        Op::Pad(p) => p.axis == axis && p.low > 0 && p.high > 0,
        _ => false,
    })
}

/// All ops of a graph and of the bodies of its scans.
fn walk(graph: &Graph) -> Vec<&Op> {
    let mut ops = vec![];
    for node in &graph.nodes {
        ops.push(&node.op);
        if let Op::Scan(scan) = &node.op {
            ops.extend(walk(&scan.body));
        }
    }
    ops
}
