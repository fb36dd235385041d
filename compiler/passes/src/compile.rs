//! From a module to a program: optimizes each entry, lowers it, makes the update of the weights, places all memory.
use crate::layout::Layout;
use crate::lower::{Given, Lowerer};
use crate::rebuild::SharedAxes;
use crate::split::split_reductions;
use crate::stored::{Stored, StoredDim};
use crate::update::update;
use crate::{pipeline, plan};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use stmc_ir::module::{EntryGraph, InputRole, Module, OutputRole, Param, ParamId, Train};
use stmc_ir::program::{
    Binding, Buffer, BufferDim, BufferId, BufferKind, Entry, InputPort, OutputPort, ProgramParam, Step,
};
use stmc_ir::{AxisId, DType, Dim, Program, Type, verify};

/// What is to be compiled besides what the module says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Gradients {
    /// Of the weights.
    #[default]
    Weights,
    /// Of the weights and of every f32 input.
    WeightsAndInputs,
}

/// Compiles a module: one entry of the program per entry of the module, and `apply` (and `accumulate`) if it trains.
pub fn compile(module: &Module, gradients: Gradients) -> Program {
    let axes: SharedAxes = Rc::new(RefCell::new(module.axes.clone()));
    let entries: Vec<EntryGraph> =
        module.entries.iter().map(|e| optimized(&axes, module, e, gradients)).collect();
    let known = Module { axes: axes.borrow().clone(), entries: entries.clone(), ..module.clone() };
    let mut lowerer = Lowerer::new(axes.clone(), Layout::new(&known));
    lowerer.program.scalars.clone_from(&module.scalars);
    let weights = Weights::new(&mut lowerer.program, module, &entries);
    for entry in &entries {
        let lowered = lower_entry(&mut lowerer, &weights, entry);
        lowerer.program.entries.push(lowered);
    }
    if let Some(train) = &module.train {
        update(&mut lowerer, &weights.arenas, train);
    }
    let mut program = lowerer.program;
    program.params = weights.params;
    let lasting = |role: &InputRole| match (role, &module.data) {
        (InputRole::Slab { slab, .. }, Some(data)) => !data.slabs[*slab].is_moved(),
        _ => false,
    };
    plan::place(&mut program, &lasting);
    verify::program(&program);
    program
}

/// The entry after the last graph pass of that name; `train` with its gradients, where the passes have made them by then.
pub fn optimized_until(
    axes: &SharedAxes,
    module: &Module,
    entry: &EntryGraph,
    gradients: Gradients,
    last: &str,
) -> EntryGraph {
    pipeline::optimize_until(
        axes,
        entry,
        &wanted(module, entry, gradients),
        rounded(module, entry),
        Some(last),
    )
}

/// Whose precision the products of an entry have. `None`: nothing is rounded.
fn rounded<'m>(module: &'m Module, entry: &EntryGraph) -> Option<&'m Train> {
    // What is fitted to the data is no part of the model.
    module.train.as_ref().filter(|_| !entry.name.starts_with("fit"))
}

/// The entry after all graph passes; `train` with its gradients.
pub fn optimized(axes: &SharedAxes, module: &Module, entry: &EntryGraph, gradients: Gradients) -> EntryGraph {
    let mut entry =
        pipeline::optimize(axes, entry, &wanted(module, entry, gradients), rounded(module, entry));
    entry.graph = split_reductions(axes, &entry.graph);
    verify::graph(&entry.graph, &axes.borrow(), "split_reductions");
    entry
}

/// The inputs by which the losses of an entry are differentiated.
fn wanted(module: &Module, entry: &EntryGraph, gradients: Gradients) -> Vec<usize> {
    if entry.name != "train" {
        return vec![];
    }
    let floats = entry.graph.inputs().into_iter().filter(|(_, ty)| ty.dtype == DType::F32);
    let is_wanted = |i: &usize| match &entry.inputs[*i] {
        InputRole::Param(p) => module.params[p.index()].is_trained(),
        InputRole::Slab { .. } | InputRole::Named { .. } => gradients == Gradients::WeightsAndInputs,
        InputRole::Valid | InputRole::Mask { .. } => false,
    };
    floats.map(|(i, _)| i).filter(is_wanted).collect()
}

/// The weights of each update rule in one arena, with their gradients and states beside them in arenas of the same shape.
pub(crate) struct Weights {
    params: Vec<ProgramParam>,
    /// Where each weight lies.
    places: Vec<Stored>,
    gradients: Vec<Option<Stored>>,
    /// Where its average lies.
    averages: Vec<Option<Stored>>,
    /// One per rule. Empty: the module does not train.
    pub arenas: Vec<Arenas>,
    /// Buffers with a next value.
    updated: Option<Updated>,
}

/// Whole arenas.
pub(crate) struct Arenas {
    pub len: usize,
    /// Elements that have a weight.
    taken: usize,
    pub weights: BufferId,
    pub gradients: BufferId,
    pub states: Vec<BufferId>,
    /// Sums of gradients, where they are accumulated.
    pub sums: Option<BufferId>,
    /// Averages of the weights, where they are wanted.
    pub averages: Option<BufferId>,
}

/// Elements: every weight begins on 64 bytes.
const ALIGN: usize = 16;
/// The arena is a multiple of this, so that its loops split evenly.
const CHUNK: usize = 1024;

impl Arenas {
    /// The arenas of a rule, for all weights that it updates.
    fn new(program: &mut Program, module: &Module, train: &Train, rule: usize) -> Arenas {
        let own = module.params.iter().filter(|p| p.optimizer == Some(rule));
        let len = own.map(|p| p.ty.len().next_multiple_of(ALIGN)).sum::<usize>().next_multiple_of(CHUNK);
        let mut whole = |name: &str| plain(program, name, len);
        Arenas {
            len,
            taken: 0,
            weights: whole("weights"),
            gradients: whole("gradients"),
            states: train.optimizers[rule].states.iter().map(|s| whole(s)).collect(),
            sums: (train.accumulate > 1).then(|| whole("sums")),
            averages: train.ema.map(|_| whole("averages")),
        }
    }

    /// Where the next weight begins.
    fn take(&mut self, len: usize) -> usize {
        self.taken += len.next_multiple_of(ALIGN);
        self.taken - len.next_multiple_of(ALIGN)
    }
}

impl Weights {
    fn new(program: &mut Program, module: &Module, entries: &[EntryGraph]) -> Weights {
        let rules = |train: &Train| -> Vec<Arenas> {
            let rules = 0..train.optimizers.len();
            rules.map(|rule| Arenas::new(program, module, train, rule)).collect()
        };
        let arenas = module.train.as_ref().map_or(vec![], rules);
        let updated = Updated::new(program, module, entries);
        let (params, places, gradients, averages) = Default::default();
        let mut weights = Weights { params, places, gradients, averages, arenas, updated };
        for id in (0..module.params.len()).map(ParamId::from_index) {
            weights.add(program, module, id);
        }
        for role in entries.iter().flat_map(|e| &e.outputs) {
            if let OutputRole::ParamGradient(id) = role {
                weights.params[id.index()].live = true;
            }
        }
        weights
    }

    /// Gives a weight its places.
    fn add(&mut self, program: &mut Program, module: &Module, id: ParamId) {
        let param = &module.params[id.index()];
        let path = &param.path;
        let extent = |axis| param.ty.extent(axis).expect("disk order names the weight's axes");
        let order = Layout::weight(&param.disk, module);
        let dims = StoredDim::dense(
            &order.into_iter().map(|axis| Dim { axis, extent: extent(axis) }).collect::<Vec<_>>(),
        );
        let mut part = |name: String, parent: Option<(BufferId, usize)>| {
            let buffer = program.add(weight_buffer(module, param, &dims, name, parent));
            Stored { buffer, base: 0, steps: vec![], dims: dims.clone() }
        };
        let rule = param.optimizer.filter(|rule| *rule < self.arenas.len());
        let start = rule.map_or(0, |rule| self.arenas[rule].take(param.ty.len()));
        let arenas = rule.map(|rule| &self.arenas[rule]);
        let updated = self.updated.as_mut().filter(|u| u.offsets.contains_key(&id));
        let now = updated.as_ref().map(|u| (u.now, u.offsets[&id]));
        let place = part(path.clone(), arenas.map(|a| (a.weights, start)).or(now));
        if let Some(updated) = updated {
            let next = part(format!("next.{path}"), Some((updated.next, updated.offsets[&id])));
            updated.places.insert(id, next);
        }
        let mut beside = |name: &str, whole: BufferId| part(format!("{name}.{path}"), Some((whole, start)));
        let gradient = arenas.map(|a| beside("grad", a.gradients));
        let states = arenas.map_or(vec![], |a| a.states.iter().map(|s| beside("state", *s).buffer).collect());
        let average = arenas.and_then(|a| a.averages).map(|whole| beside("average", whole));
        self.params.push(ProgramParam {
            path: path.clone(),
            buffer: place.buffer,
            gradient: gradient.as_ref().map(|g| g.buffer),
            states,
            average: average.as_ref().map(|a| a.buffer),
            init: param.init.clone(),
            live: false,
        });
        self.places.push(place);
        self.gradients.push(gradient);
        self.averages.push(average);
    }

    /// What an entry reads of a weight: its average, unless the entry trains.
    fn read(&self, param: ParamId, entry: &str) -> &Stored {
        let average = self.averages[param.index()].as_ref().filter(|_| entry != "train");
        average.unwrap_or(&self.places[param.index()])
    }
}

/// Buffers of the model that `train` gives a next value. A step reads the old values wherever it likes: the next ones lie
/// in an arena of their own, and are copied as a whole at its end.
struct Updated {
    len: usize,
    now: BufferId,
    next: BufferId,
    /// Of each buffer in both arenas.
    offsets: BTreeMap<ParamId, usize>,
    /// Where the next values go.
    places: BTreeMap<ParamId, Stored>,
}

impl Updated {
    /// `None`: there is no such buffer.
    fn new(program: &mut Program, module: &Module, entries: &[EntryGraph]) -> Option<Updated> {
        let (mut len, mut offsets) = (0, BTreeMap::new());
        for role in entries.iter().flat_map(|e| &e.outputs) {
            if let OutputRole::Buffer(id) = role {
                offsets.insert(*id, len);
                len += module.params[id.index()].ty.len().next_multiple_of(ALIGN);
            }
        }
        let (now, next) = match len {
            0 => return None,
            _ => (plain(program, "buffers", len), plain(program, "next buffers", len)),
        };
        Some(Updated { len, now, next, offsets, places: BTreeMap::new() })
    }

    /// At the end of an entry that made next values.
    fn store(&self) -> Step {
        Step::Copy { from: Binding::whole(self.next), to: Binding::whole(self.now), len: self.len }
    }
}

/// State without axes.
fn plain(program: &mut Program, name: &str, len: usize) -> BufferId {
    program.add(Buffer {
        name: name.to_string(),
        dtype: DType::F32,
        dims: vec![],
        len,
        kind: BufferKind::State,
        parent: None,
        place: 0,
    })
}

/// A buffer of a weight's shape, which lies as `dims` say and lists them in disk order.
fn weight_buffer(
    module: &Module,
    param: &Param,
    dims: &[StoredDim],
    name: String,
    parent: Option<(BufferId, usize)>,
) -> Buffer {
    let listed = param.disk.iter().map(|axis| {
        let d = dims.iter().find(|d| d.axis == *axis).expect("disk order names the weight's axes");
        BufferDim { axis: module.axes.name(*axis).to_string(), extent: d.extent, stride: d.stride as usize }
    });
    let (dims, len) = (listed.collect(), param.ty.len());
    Buffer { name, dtype: DType::F32, dims, len, kind: BufferKind::State, parent, place: 0 }
}

fn lower_entry(lowerer: &mut Lowerer, weights: &Weights, entry: &EntryGraph) -> Entry {
    let (given, inputs) = given(lowerer, weights, entry);
    let mut outputs = vec![];
    let mut targets = vec![];
    let mut updates = None;
    for (role, node) in entry.outputs.iter().zip(&entry.graph.outputs) {
        if let OutputRole::Buffer(p) = role {
            let updated = weights.updated.as_ref().expect("the entry updates a buffer");
            targets.push(updated.places[p].clone());
            updates = Some(updated.store());
            continue;
        }
        let target = target(lowerer, weights, entry, role, entry.graph.ty(*node));
        outputs.push(OutputPort { role: role.clone(), buffer: target.buffer });
        targets.push(target);
    }
    lowerer.flops = 0;
    let mut steps = lowerer.lower(&entry.graph, &given, targets);
    steps.extend(updates);
    Entry { name: entry.name.clone(), steps, inputs, outputs, batch: entry.batch, flops: lowerer.flops }
}

/// What the inputs of an entry's graph are, and which of them are written before a run.
fn given(
    lowerer: &mut Lowerer,
    weights: &Weights,
    entry: &EntryGraph,
) -> (HashMap<usize, Given>, Vec<InputPort>) {
    let types: HashMap<usize, Type> = entry.graph.inputs().into_iter().collect();
    let mut given = HashMap::new();
    let mut ports = vec![];
    for (i, role) in entry.inputs.iter().enumerate() {
        // An input that nothing uses is not asked for.
        let Some(ty) = types.get(&i) else { continue };
        let stored = match role {
            InputRole::Param(p) => weights.read(*p, &entry.name).clone(),
            InputRole::Slab { axes, .. } | InputRole::Named { axes, .. } | InputRole::Mask { axes, .. } => {
                port(lowerer, "input", ty, axes, BufferKind::Input)
            }
            InputRole::Valid => lowerer.tensor("valid", ty, BufferKind::Input, None),
        };
        if !matches!(role, InputRole::Param(_)) {
            ports.push(InputPort { role: role.clone(), buffer: stored.buffer });
        }
        given.insert(i, Given::Tensor(stored));
    }
    (given, ports)
}

/// Where an output goes.
fn target(
    lowerer: &mut Lowerer,
    weights: &Weights,
    entry: &EntryGraph,
    role: &OutputRole,
    ty: &Type,
) -> Stored {
    match role {
        OutputRole::ParamGradient(p) => {
            weights.gradients[p.index()].clone().expect("trained weights have a gradient")
        }
        OutputRole::Buffer(_) => unreachable!("next values of buffers are no outputs of the program"),
        OutputRole::Named { axes, .. } => port(lowerer, "output", ty, axes, BufferKind::Output),
        OutputRole::InputGradient(i) => match &entry.inputs[*i] {
            InputRole::Slab { axes, .. } | InputRole::Named { axes, .. } => {
                port(lowerer, "gradient", ty, axes, BufferKind::Output)
            }
            _ => lowerer.tensor("gradient", ty, BufferKind::Output, None),
        },
        // The host reads these in the order of the sorted axes, as the interpreter's values lie.
        OutputRole::Loss { .. } | OutputRole::Partial(_) => {
            let sorted: Vec<AxisId> = ty.dims().iter().map(|d| d.axis).collect();
            port(lowerer, "result", ty, &sorted, BufferKind::Output)
        }
    }
}

/// A buffer in the order of the layout whose dims are listed in the order of `axes`.
fn port(lowerer: &mut Lowerer, name: &str, ty: &Type, axes: &[AxisId], kind: BufferKind) -> Stored {
    let stored = lowerer.tensor(name, ty, kind, None);
    let names: Vec<String> = axes.iter().map(|a| lowerer.axes.borrow().name(*a).to_string()).collect();
    let strides: Vec<BufferDim> = axes
        .iter()
        .zip(names)
        .map(|(a, axis)| {
            let extent = ty.extent(*a).expect("a port's axes are its type's");
            BufferDim { axis, extent, stride: stored.stride(*a) as usize }
        })
        .collect();
    assert_eq!(strides.len(), ty.dims().len(), "a port lists every axis");
    lowerer.program.buffers[stored.buffer.index()].dims = strides;
    stored
}
