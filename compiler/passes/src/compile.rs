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
use stmc_ir::module::{EntryGraph, InputRole, Module, OutputRole, ParamId, Train};
use stmc_ir::program::{
    Binding, Buffer, BufferDim, BufferId, BufferKind, Entry, InputPort, OutputPort, ProgramParam, Step,
};
use stmc_ir::{AxisId, DType, Program, Type, verify};

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
    let weights = Weights::new(&mut lowerer, module, &entries);
    for entry in &entries {
        let lowered = lower_entry(&mut lowerer, &weights, entry);
        lowerer.program.entries.push(lowered);
    }
    if let Some(train) = &module.train {
        update(&mut lowerer, &weights.arenas, train);
    }
    let mut program = lowerer.program;
    program.params = weights.params;
    plan::place(&mut program);
    verify::program(&program);
    program
}

/// The entry after all graph passes; `train` with its gradients.
pub fn optimized(axes: &SharedAxes, module: &Module, entry: &EntryGraph, gradients: Gradients) -> EntryGraph {
    let wanted: Vec<usize> = (0..entry.inputs.len())
        .filter(|i| match &entry.inputs[*i] {
            InputRole::Param(p) => module.params[p.index()].is_trained(),
            InputRole::Slab { .. } | InputRole::Named { .. } => gradients == Gradients::WeightsAndInputs,
            InputRole::Valid | InputRole::Mask { .. } => false,
        })
        .filter(|_| entry.name == "train")
        .filter(|i| {
            let float = |(index, ty): (usize, Type)| (index == *i).then_some(ty.dtype == DType::F32);
            entry.graph.inputs().into_iter().find_map(float).unwrap_or(false)
        })
        .collect();
    // What is fitted to the data is no part of the model.
    let train = module.train.as_ref().filter(|_| !entry.name.starts_with("fit"));
    let mut entry = pipeline::optimize(axes, entry, &wanted, train);
    entry.graph = split_reductions(axes, &entry.graph);
    verify::graph(&entry.graph, &axes.borrow(), "split_reductions");
    entry
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
            weights: whole("weights"),
            gradients: whole("gradients"),
            states: train.optimizers[rule].states.iter().map(|s| whole(s)).collect(),
            sums: (train.accumulate > 1).then(|| whole("sums")),
            averages: train.ema.map(|_| whole("averages")),
        }
    }
}

impl Weights {
    fn new(lowerer: &mut Lowerer, module: &Module, entries: &[EntryGraph]) -> Weights {
        let rules = |train: &Train| -> Vec<Arenas> {
            let rules = 0..train.optimizers.len();
            rules.map(|rule| Arenas::new(&mut lowerer.program, module, train, rule)).collect()
        };
        let arenas = module.train.as_ref().map_or(vec![], rules);
        let live: Vec<ParamId> = entries
            .iter()
            .flat_map(|e| &e.outputs)
            .filter_map(|o| if let OutputRole::ParamGradient(p) = o { Some(*p) } else { None })
            .collect();
        let updated = Updated::new(&mut lowerer.program, module, entries);
        let mut offsets = vec![0; arenas.len()];
        let (params, places, gradients, averages) = Default::default();
        let mut weights = Weights { params, places, gradients, averages, arenas, updated };
        for (i, param) in module.params.iter().enumerate() {
            let order = Layout::weight(&param.disk, module);
            let (mut stride, mut dims) = (1, vec![]);
            for axis in order.iter().rev() {
                let extent = param.ty.extent(*axis).expect("disk order names the weight's axes");
                dims.insert(0, StoredDim { axis: *axis, extent, stride: stride as i64 });
                stride *= extent;
            }
            let rule = param.optimizer.filter(|_| !weights.arenas.is_empty());
            let offset = rule.map_or(0, |rule| offsets[rule]);
            let mut part = |name: String, parent: Option<(BufferId, usize)>| {
                let buffer = sub_buffer(lowerer, module, name, &param.disk, &dims, parent);
                Stored { buffer, base: 0, steps: vec![], dims: dims.clone() }
            };
            let arena = rule.map(|rule| &weights.arenas[rule]);
            let id = ParamId::from_index(i);
            let updated = weights.updated.as_mut().filter(|u| u.offsets.contains_key(&id));
            let parent =
                arena.map(|a| (a.weights, offset)).or(updated.as_ref().map(|u| (u.now, u.offsets[&id])));
            let place = part(param.path.clone(), parent);
            if let Some(updated) = updated {
                let parent = Some((updated.next, updated.offsets[&id]));
                updated.places.insert(id, part(format!("next.{}", param.path), parent));
            }
            let gradient = arena.map(|a| part(format!("grad.{}", param.path), Some((a.gradients, offset))));
            let states: Vec<BufferId> = arena.map_or(vec![], |a| {
                let name = || format!("state.{}", param.path);
                a.states.iter().map(|s| part(name(), Some((*s, offset))).buffer).collect()
            });
            let average = arena
                .and_then(|a| a.averages)
                .map(|whole| part(format!("average.{}", param.path), Some((whole, offset))));
            if let Some(rule) = rule {
                offsets[rule] += param.ty.len().next_multiple_of(ALIGN);
            }
            weights.params.push(ProgramParam {
                path: param.path.clone(),
                buffer: place.buffer,
                gradient: gradient.as_ref().map(|g| g.buffer),
                states,
                average: average.as_ref().map(|a| a.buffer),
                init: param.init.clone(),
                live: live.contains(&id),
            });
            weights.places.push(place);
            weights.gradients.push(gradient);
            weights.averages.push(average);
        }
        weights
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
    program.buffers.push(Buffer {
        name: name.to_string(),
        dtype: DType::F32,
        dims: vec![],
        origin: 0,
        len,
        kind: BufferKind::State,
        parent: None,
        place: 0,
    });
    BufferId::from_index(program.buffers.len() - 1)
}

fn sub_buffer(
    lowerer: &mut Lowerer,
    module: &Module,
    name: String,
    disk: &[AxisId],
    dims: &[StoredDim],
    parent: Option<(BufferId, usize)>,
) -> BufferId {
    let listed = disk.iter().map(|axis| {
        let d = dims.iter().find(|d| d.axis == *axis).expect("disk order names the weight's axes");
        BufferDim { axis: module.axes.name(*axis).to_string(), extent: d.extent, stride: d.stride as usize }
    });
    lowerer.program.buffers.push(Buffer {
        name,
        dtype: DType::F32,
        dims: listed.collect(),
        origin: 0,
        len: dims.iter().map(|d| d.extent).product(),
        kind: BufferKind::State,
        parent,
        place: 0,
    });
    BufferId::from_index(lowerer.program.buffers.len() - 1)
}

fn lower_entry(lowerer: &mut Lowerer, weights: &Weights, entry: &EntryGraph) -> Entry {
    let types: HashMap<usize, Type> = entry.graph.inputs().into_iter().collect();
    let mut given = HashMap::new();
    let mut inputs = vec![];
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
            inputs.push(InputPort { role: role.clone(), buffer: stored.buffer });
        }
        given.insert(i, Given::Tensor(stored));
    }
    let mut outputs = vec![];
    let mut targets = vec![];
    for (role, node) in entry.outputs.iter().zip(&entry.graph.outputs) {
        let ty = entry.graph.ty(*node);
        let stored = match role {
            OutputRole::ParamGradient(p) => {
                weights.gradients[p.index()].clone().expect("trained weights have a gradient")
            }
            OutputRole::Buffer(p) => {
                let updated = weights.updated.as_ref().expect("the entry updates a buffer");
                targets.push(updated.places[p].clone());
                continue;
            }
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
        };
        outputs.push(OutputPort { role: role.clone(), buffer: stored.buffer });
        targets.push(stored);
    }
    lowerer.flops = 0;
    let mut steps = lowerer.lower(&entry.graph, &given, targets);
    if let Some(updated) = &weights.updated
        && entry.outputs.iter().any(|o| matches!(o, OutputRole::Buffer(_)))
    {
        steps.push(updated.store());
    }
    Entry { name: entry.name.clone(), steps, inputs, outputs, batch: entry.batch, flops: lowerer.flops }
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
