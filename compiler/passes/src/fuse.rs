//! Decides which nodes of a region are stored and which kernels compute them. A node that is not stored is computed again
//! wherever it is needed; nodes with one domain that need each other only at the same position share a kernel.
//!
//! After: every operand of a contraction and of a scan is a view of something stored, and units stand in an order in which everything is
//! stored before it is read by another unit.
use std::collections::{BTreeMap, BTreeSet};
use stmc_ir::ops::{Concat, Pad};
use stmc_ir::{AxisId, Graph, NodeId, Op};

/// Work for one kernel, or a scan.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Unit {
    /// Loops over a domain.
    Loops(Vec<Work>),
    /// A contraction template.
    Contract(NodeId),
    /// A loop of the program.
    Scan(NodeId),
}

/// One value of a loop kernel and where it goes.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Work {
    /// What is computed.
    pub value: NodeId,
    /// Where to.
    pub dest: Dest,
    /// The loops: the axes of the destination, with the extents of this part of it.
    pub domain: Vec<(AxisId, usize)>,
    /// Along axes without one, the destination's index is the index.
    pub moves: Vec<Move>,
}

impl Work {
    /// Whether it is what stores the value: then there is nothing to load.
    pub fn stores_value(&self) -> bool {
        self.dest == Dest::Node(self.value)
    }
}

/// Along `axis`, the destination's index is `offset + scale * index`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Move {
    pub axis: AxisId,
    pub offset: i64,
    pub scale: i64,
}

/// A place that a value is stored to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Dest {
    /// The buffer of a stored node.
    Node(NodeId),
    /// Output `i` of the region.
    Output(usize),
    /// The first value of carry `i` of a scan.
    First(NodeId, usize),
}

/// At which positions of a stored node a value reads it.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Place {
    /// At the value's own alone.
    Same,
    /// At others too.
    Any,
}

/// The result of fusion.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// In order.
    pub units: Vec<Unit>,
    /// Nodes with a buffer of their own (inputs and results of scans are stored too, by others).
    pub stored: BTreeSet<NodeId>,
}

/// Contractions of fewer multiplications than this are ordinary loops.
const SMALL_DOT: usize = 2048;
/// What may be computed again in a second kernel, in additions per element.
const CHEAP: usize = 24;
/// How far up a node's operands its cost is counted: nobody needs to know how much more than dear it is.
const COST_LEVELS: usize = 7;
/// Values stored and read by one kernel.
const MANY: usize = 20;

/// Whether a node runs as a contraction template.
pub(crate) fn contraction(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    let Op::Dot(dot) = &node.op else { return false };
    let contracted: usize = dot.axes.iter().filter_map(|a| graph.ty(node.args[0]).extent(*a)).product();
    node.ty.len() * contracted >= SMALL_DOT
}

/// What a chain of views looks at.
pub(crate) fn base(graph: &Graph, mut id: NodeId) -> NodeId {
    while graph.node(id).op.rule().strided() {
        id = graph.node(id).args[0];
    }
    id
}

/// Plans a region. Outputs in `direct` are written by whoever aliases them; no work is made for them.
pub(crate) fn plan(graph: &Graph, direct: &[usize]) -> Plan {
    let mut fusion = Fusion::new(graph, direct);
    loop {
        let units = fusion.units();
        match fusion.shared(&units) {
            Some(id) => {
                fusion.stored.insert(id);
            }
            None => return Plan { units, stored: fusion.stored },
        }
    }
}

struct Fusion<'g> {
    graph: &'g Graph,
    live: Vec<bool>,
    direct: &'g [usize],
    stored: BTreeSet<NodeId>,
}

impl<'g> Fusion<'g> {
    fn new(graph: &'g Graph, direct: &'g [usize]) -> Fusion<'g> {
        let live = graph.live();
        let mut fusion = Fusion { graph, live: live.clone(), direct, stored: BTreeSet::new() };
        for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| live[*i]) {
            let id = NodeId::from_index(i);
            if node.op.rule().folds() {
                fusion.store(id);
            }
            match &node.op {
                // It reads each element once, but in a loop that is not shared out.
                Op::Scatter(_) => {
                    for a in node.args.iter().filter(|a| fusion.cost(**a) > CHEAP).collect::<Vec<_>>() {
                        fusion.store(*a);
                    }
                }
                Op::Dot(_) if contraction(graph, id) => {
                    node.args.iter().for_each(|a| fusion.store(base(graph, *a)));
                }
                Op::Scan(scan) => {
                    node.args[scan.carries..].iter().for_each(|a| fusion.store(base(graph, *a)));
                }
                // An element that several windows or lookups see is computed once, unless it is as cheap as a load.
                Op::Windows(_) | Op::Gather(_) if fusion.cost(node.args[0]) > 3 => fusion.store(node.args[0]),
                // A place that is looked up divides out of loops no more: the axes are put together once.
                Op::Gather(_) if matches!(graph.node(node.args[0]).op, Op::Flatten(_)) => {
                    fusion.store(node.args[0]);
                }
                _ => {}
            }
        }
        for (n, o) in graph.outputs.iter().enumerate() {
            if !direct.contains(&n) {
                fusion.store(*o);
            }
        }
        fusion
    }

    fn store(&mut self, id: NodeId) {
        if !self.given(id) {
            self.stored.insert(id);
        }
    }

    /// Stored by others: inputs and results of scans.
    fn given(&self, id: NodeId) -> bool {
        matches!(self.graph.node(id).op, Op::Input { .. } | Op::ScanResult(_))
    }

    fn in_memory(&self, id: NodeId) -> bool {
        self.given(id) || self.stored.contains(&id)
    }

    /// What one element costs to compute from stored values, in additions.
    fn cost(&self, id: NodeId) -> usize {
        self.cost_below(id, COST_LEVELS)
    }

    fn cost_below(&self, id: NodeId, levels: usize) -> usize {
        if self.in_memory(id) || levels == 0 {
            return 1;
        }
        let node = self.graph.node(id);
        node.op.rule().cost() + node.args.iter().map(|a| self.cost_below(*a, levels - 1)).sum::<usize>()
    }

    /// All work in an order in which operands come first, gathered into units.
    fn units(&self) -> Vec<Unit> {
        let mut units: Vec<Unit> = vec![];
        let mut unit_of: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (i, node) in self.graph.nodes.iter().enumerate().filter(|(i, _)| self.live[*i]) {
            let id = NodeId::from_index(i);
            if let Op::Scan(scan) = &node.op {
                for (n, first) in node.args[..scan.carries].iter().enumerate() {
                    let work = self.whole(*first, Dest::First(id, n));
                    self.place(&mut units, &unit_of, work);
                }
                units.push(Unit::Scan(id));
                unit_of.insert(id, units.len() - 1);
            } else if matches!(node.op, Op::ScanResult(_)) {
                unit_of.insert(id, unit_of[&node.args[0]]);
            } else if self.stored.contains(&id) {
                if contraction(self.graph, id) {
                    units.push(Unit::Contract(id));
                    unit_of.insert(id, units.len() - 1);
                } else {
                    for work in self.parts(id) {
                        let unit = self.place(&mut units, &unit_of, work);
                        let last = unit_of.entry(id).or_insert(unit);
                        *last = (*last).max(unit);
                    }
                }
            }
        }
        for (n, o) in self.graph.outputs.iter().enumerate() {
            // A stored node lies in its first output; others are copies.
            let own = self.stored.contains(o) && home(self.graph, self.direct, *o) == Some(n);
            if own || self.direct.contains(&n) {
                continue;
            }
            let work = self.whole(*o, Dest::Output(n));
            self.place(&mut units, &unit_of, work);
        }
        units
    }

    fn whole(&self, value: NodeId, dest: Dest) -> Work {
        let domain = self.graph.ty(value).dims().iter().map(|d| (d.axis, d.extent)).collect();
        Work { value, dest, domain, moves: vec![] }
    }

    /// The pieces that are written for a stored node: a concat part by part, a pad only inside its halo.
    fn parts(&self, id: NodeId) -> Vec<Work> {
        let output = self.graph.outputs.contains(&id);
        match self.graph.node(id).op {
            Op::Pad(_) if output => vec![self.whole(id, Dest::Node(id))],
            Op::Pad(_) | Op::Concat(_) => {
                let mut parts = vec![];
                let work = self.whole(id, Dest::Node(id));
                self.descend(&mut parts, work, halo_fill(self.graph, id));
                parts
            }
            _ => vec![self.whole(id, Dest::Node(id))],
        }
    }

    fn descend(&self, parts: &mut Vec<Work>, work: Work, fill: Option<u32>) {
        let node = self.graph.node(work.value);
        let inner = |value: NodeId, axis: AxisId, extent: usize, offset: i64, scale: i64| {
            let mut inner = Work { value, ..work.clone() };
            inner.domain.iter_mut().filter(|d| d.0 == axis).for_each(|d| d.1 = extent);
            match inner.moves.iter_mut().find(|m| m.axis == axis) {
                Some(m) => (m.offset, m.scale) = (m.offset + m.scale * offset, m.scale * scale),
                None => inner.moves.push(Move { axis, offset, scale }),
            }
            inner
        };
        let own = work.stores_value() || !self.in_memory(work.value);
        match &node.op {
            Op::Pad(Pad { axis, low, gap, fill: f, .. }) if own && Some(*f) == fill => {
                let extent = self.graph.ty(node.args[0]).extent(*axis).expect("checked by infer");
                self.descend(parts, inner(node.args[0], *axis, extent, *low as i64, *gap as i64 + 1), fill);
            }
            Op::Concat(Concat { axis }) if own => {
                let mut start = 0;
                for a in &node.args {
                    let extent = self.graph.ty(*a).extent(*axis).expect("checked by infer");
                    self.descend(parts, inner(*a, *axis, extent, start, 1), fill);
                    start += extent as i64;
                }
            }
            _ => parts.push(work),
        }
    }

    /// Puts work into the last unit that it may share, or a new one; gives its number.
    fn place(&self, units: &mut Vec<Unit>, unit_of: &BTreeMap<NodeId, usize>, work: Work) -> usize {
        let reads = self.reads(&work);
        // The first unit in which everything that is read elsewhere is there.
        let after = reads.keys().filter_map(|id| unit_of.get(id)).max().map_or(0, |u| *u);
        let stored_by = |works: &[Work], id: NodeId| works.iter().any(|w| w.stores_value() && w.value == id);
        for n in (after..units.len()).rev() {
            let Unit::Loops(works) = &units[n] else { continue };
            let fits = works[0].domain == work.domain
                && works.len() < MANY
                && !self.folds(&work)
                && !works.iter().any(|w| self.folds(w))
                && reads
                    .iter()
                    .filter(|(id, _)| unit_of.get(id) == Some(&n))
                    .all(|(id, place)| *place == Place::Same && stored_by(works, *id));
            if fits {
                let Unit::Loops(works) = &mut units[n] else { unreachable!("checked above") };
                works.push(work);
                return n;
            }
        }
        units.push(Unit::Loops(vec![work]));
        units.len() - 1
    }

    /// Whether work needs loops of its own: a reduction, or a scatter.
    fn folds(&self, work: &Work) -> bool {
        work.stores_value() && self.graph.node(work.value).op.rule().folds()
    }

    /// The stored nodes that work reads.
    fn reads(&self, work: &Work) -> BTreeMap<NodeId, Place> {
        let mut places = BTreeMap::new();
        if work.stores_value() {
            self.read_operands(work.value, Place::Same, &mut places);
        } else {
            self.read(work.value, Place::Same, &mut places);
        }
        places.retain(|id, _| self.in_memory(*id));
        places
    }

    /// Notes where a node is read, and all that it is computed from.
    fn read(&self, id: NodeId, place: Place, places: &mut BTreeMap<NodeId, Place>) {
        // A node met again adds nothing, unless it was only met at the same position.
        if places.get(&id).is_some_and(|known| *known == Place::Any || *known == place) {
            return;
        }
        places.insert(id, place);
        if !self.in_memory(id) {
            self.read_operands(id, place, places);
        }
    }

    fn read_operands(&self, id: NodeId, place: Place, places: &mut BTreeMap<NodeId, Place>) {
        let node = self.graph.node(id);
        let place = if node.op.rule().pointwise() { place } else { Place::Any };
        for a in &node.args {
            self.read(*a, place, places);
        }
    }

    /// A dear node that is not stored but needed by two units: the last such, so that what it needs is needed once.
    fn shared(&self, units: &[Unit]) -> Option<NodeId> {
        let mut users: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); self.graph.nodes.len()];
        for (n, unit) in units.iter().enumerate() {
            if let Unit::Loops(works) = unit {
                for w in works {
                    if w.stores_value() {
                        self.mark_operands(w.value, n, &mut users);
                    } else {
                        self.mark(w.value, n, &mut users);
                    }
                }
            }
        }
        (0..self.graph.nodes.len()).rev().map(NodeId::from_index).find(|id| {
            // Constants are folded; what has no axes is hoisted out of all loops.
            let worth = |id| self.graph.ty(id).len() > 1;
            !self.in_memory(*id) && users[id.index()].len() > 1 && self.cost(*id) > CHEAP && worth(*id)
        })
    }

    /// Notes which nodes a unit computes on the way to one.
    fn mark(&self, id: NodeId, unit: usize, users: &mut [BTreeSet<usize>]) {
        if !self.in_memory(id) && users[id.index()].insert(unit) {
            self.mark_operands(id, unit, users);
        }
    }

    fn mark_operands(&self, id: NodeId, unit: usize, users: &mut [BTreeSet<usize>]) {
        for a in &self.graph.node(id).args {
            self.mark(*a, unit, users);
        }
    }
}

/// The output in whose place a stored node lies. `None`: it has a buffer of its own.
pub(crate) fn home(graph: &Graph, direct: &[usize], id: NodeId) -> Option<usize> {
    (0..graph.outputs.len()).find(|n| graph.outputs[*n] == id && !direct.contains(n))
}

/// What the halo of a stored pad holds. `None`: it has none.
pub(crate) fn halo_fill(graph: &Graph, id: NodeId) -> Option<u32> {
    match graph.node(id).op {
        Op::Pad(Pad { fill, .. }) => Some(fill),
        _ => None,
    }
}
