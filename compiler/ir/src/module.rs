//! What `model` hands to the passes: typed graphs with roles for their inputs and outputs, the weights, the data plan and
//! the training settings. Nothing here has an order of axes, a buffer or a device.
use crate::data::DataPlan;
use crate::graph::{Graph, NodeId};
use crate::host::HostExpr;
use crate::precision::Precision;
use crate::types::{Axes, AxisId, Type};
use serde::Serialize;
use stmc_base::{Span, define_id};

define_id! {
    /// A weight of the model.
    pub struct ParamId
}
define_id! {
    /// A scalar that the host computes before each update; `Op::Host` reads it.
    pub struct ScalarId
}

/// A checked, elaborated program.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// The name of the model.
    pub name: String,
    /// The values of the hypers, as text, by the names that set them.
    pub hypers: std::collections::BTreeMap<String, String>,
    /// All axes of all graphs.
    pub axes: Axes,
    /// Weights in order of their paths' declaration.
    pub params: Vec<Param>,
    /// Run-time scalars, in f64 on the host. Variables are `STEP`, `UPDATES`, `LOSS_SCALE`, those of `states`, and of what schedules watch:
    /// `valid.loss`, its latest value (NaN at first), and `count(valid.loss)`, how many there were.
    pub scalars: Vec<HostExpr>,
    /// What schedules carry from update to update.
    pub states: Vec<HostState>,
    /// `train`, `eval`, `predict`, `fit0`, `fit1` …: whichever the file has. `show` reads slabs as `eval` does and gives named
    /// outputs, those of the model as `out.<name>` and the parts of the sample as `sample.<name>`: for pictures.
    pub entries: Vec<EntryGraph>,
    /// How the partial results of `fit0`, `fit1` … become the values of fitted fields; `partials` are outputs of that entry.
    pub fits: Vec<Metric>,
    /// Absent without a `train` block.
    pub train: Option<Train>,
    /// Absent without a `data` block.
    pub data: Option<DataPlan>,
}

/// A number that a schedule carries, in f64.
#[derive(Clone, Debug, PartialEq)]
pub struct HostState {
    /// The variable: `plateau.0.rate`.
    pub name: String,
    /// At the first update.
    pub first: f64,
    /// At the next update, of the values at this one.
    pub next: HostExpr,
}

/// A trained tensor, or a buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// `change.cells.0.gates.weight`.
    pub path: String,
    /// Its type.
    pub ty: Type,
    /// The order of axes in weight files, slowest first.
    pub disk: Vec<AxisId>,
    /// Its first values.
    pub init: Init,
    /// Who updates it: an index into `Train::optimizers`. `None`: it is frozen, or a buffer.
    pub optimizer: Option<usize>,
    /// Whether it is a buffer: no gradient flows to it, and `train` gives its next value.
    pub buffer: bool,
    /// The declaration.
    pub span: Span,
}

/// First values of a weight: element `i` (in disk order) of the weight `path` is a pure function of (seed, path, i).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // a variant's line tells its fields
pub enum Init {
    /// All the same.
    Fill(f64),
    /// U(low, high).
    Uniform { low: f64, high: f64 },
    /// N(mean, std²).
    Normal { mean: f64, std: f64 },
    /// A function of the element's random numbers: `random.0`, `gaussian.1`, `orthonormal.2` … A matrix of the last kind (the
    /// first axis on disk by the others) has orthonormal rows or columns, whichever are fewer.
    Formula(HostExpr),
}

/// A graph with a name and a meaning for each input and output.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryGraph {
    /// `train`, `eval`, `predict`, `fit0` …
    pub name: String,
    /// The computation. `Op::Input` index `i` is `inputs[i]`.
    pub graph: Graph,
    /// What each input is.
    pub inputs: Vec<InputRole>,
    /// What each of `graph.outputs` is.
    pub outputs: Vec<OutputRole>,
    /// Samples per run; the extent of `batch` where the graph has it.
    pub batch: usize,
}

/// What an input of an entry is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // a variant's line tells its fields
pub enum InputRole {
    /// A weight.
    Param(ParamId),
    /// `DataPlan::slabs[slab]` of the samples of a batch (in `fit0` … `DataPlan::fits[0].slabs[slab]`); `axes` names each kept axis of the slab (`batch` first if a binder moves it).
    Slab { slab: usize, axes: Vec<AxisId> },
    /// f32 over `batch`: 1 for a sample, 0 for padding at the end of a part. Only in `eval` and `fit`.
    Valid,
    /// A model input, given by name (`predict`, `step`), its axes in the declared order, `batch` first.
    Named { name: String, axes: Vec<AxisId> },
    /// A dropout mask given from outside instead of drawn (`step --masks`).
    Mask { site: String, axes: Vec<AxisId> },
}

/// What an output of an entry is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // a variant's line tells its fields
pub enum OutputRole {
    /// A term of the loss; the loss is their sum. In `train`.
    Loss { name: String, span: Span },
    /// The gradient of the loss by a weight. Appended by `autodiff`.
    ParamGradient(ParamId),
    /// The gradient of the loss by an input (an index into `inputs`). Appended by `autodiff` when asked for.
    InputGradient(usize),
    /// An output of the model, axes in the declared order, `batch` first.
    Named { name: String, axes: Vec<AxisId> },
    /// The next value of a buffer. In `train`.
    Buffer(ParamId),
    /// A partial result of `Train::metrics`, to be combined over the batches of a part.
    Partial(Combine),
}

/// How partial results of the batches of a part are combined, in f64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Combine {
    /// Added.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

/// The `train` block.
#[derive(Clone, Debug, Default)]
pub struct Train {
    /// Samples in an update.
    pub batch: usize,
    /// Passes over the train part.
    pub epochs: usize,
    /// Updates in an epoch.
    pub steps_per_epoch: usize,
    /// Updates in all: `epochs * steps_per_epoch`, unless `steps` is set.
    pub steps: usize,
    /// Drawn from it: first weights, order of samples, flips, dropout.
    pub seed: u64,
    /// Micro-steps added up before an update.
    pub accumulate: usize,
    /// Applied after accumulation.
    pub clip: Option<Clip>,
    /// The update rules; each weight names its own.
    pub optimizers: Vec<Optimizer>,
    /// Evaluation uses averages of the weights: after each update `average = ema * average + (1 - ema) * weight`, from the first
    /// weights on. `None`: it uses the weights themselves.
    pub ema: Option<f64>,
    /// Weights to begin with. `None`: they are drawn.
    pub start: Option<Start>,
    /// A checkpoint that stays, every so many updates. `None`: only the last and the best stay.
    pub save_every: Option<usize>,
    /// To what the operands of contractions are rounded.
    pub precision: Precision,
    /// By what gradients are multiplied on their way. `None`: by nothing, they are rounded to formats of the range of f32.
    pub loss_scale: Option<LossScale>,
    /// What begins anew with this phase of the run; nothing if it is the first.
    pub resets: Resets,
    /// The learning rate of the last rule, for reports: index into `Module::scalars`. `None`: it has no `lr`.
    pub rate: Option<ScalarId>,
    /// Metrics over a part, the loss first (named `loss`).
    pub metrics: Vec<Metric>,
    /// Early stopping.
    pub stop: Option<Stalled>,
    /// Which weights are the result. `None`: the last.
    pub keep: Option<Watch>,
    /// What schedules watch.
    pub watched: Vec<Watch>,
}

/// The factor of dynamic loss scaling, which the run adapts: the variable `LOSS_SCALE` of run-time scalars.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LossScale {
    /// It itself.
    pub scale: ScalarId,
    /// 1 over it.
    pub inverse: ScalarId,
}

/// What begins anew with a phase. All else goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Resets {
    /// The state of the update rules.
    pub rules: bool,
    /// Schedules.
    pub schedules: bool,
}

/// `start = "weights.safetensors"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// A file of weights or a run directory, relative to the main file.
    pub path: String,
    /// Where it is said.
    pub span: Span,
}

/// Limits on the gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// All gradients are scaled so that their joint Euclidean norm is at most this.
    Norm(f64),
    /// Each element is cut to ± this.
    Value(f64),
}

/// An update rule: one graph over scalars, applied to every element of every weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimizer {
    /// `Adam`.
    pub name: String,
    /// Names of the state tensors (`m`, `v`), which start at zero.
    pub states: Vec<String>,
    /// Inputs: w, g, then the states. Outputs: w', then the states'. All are f32 scalars here.
    pub graph: Graph,
}

/// A metric: partial sums of the batches (outputs of `eval`) and a graph that finishes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// As in the file.
    pub name: String,
    /// Indices of `eval`'s outputs (all `Partial`), in the order of `finish`'s inputs.
    pub partials: Vec<usize>,
    /// Evaluated in f64 by the interpreter. One output; its axes in the order `axes`.
    pub finish: Graph,
    /// Axes that the metric keeps, for labels.
    pub axes: Vec<AxisId>,
    /// Its unit, if the data say.
    pub unit: Option<String>,
}

/// `best(valid.loss)`: a metric of a part, and which way is better.
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    /// `valid`.
    pub part: String,
    /// `loss`, or the name of a metric.
    pub metric: String,
    /// Whether larger is better.
    pub maximize: bool,
}

/// `stalled(valid.loss, for: 5 epochs)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Stalled {
    /// What must improve.
    pub watch: Watch,
    /// Epochs without improvement after which training ends.
    pub epochs: usize,
    /// How much better it must become to count as improved.
    pub by: f64,
    /// Epochs at the begin of a run that count for nothing.
    pub after: usize,
    /// How far the watched loss may lie above that of training, on average over some epochs. `None`: as far as it will.
    pub gap: Option<f64>,
}

impl Module {
    /// The entry of that name.
    pub fn entry(&self, name: &str) -> Option<&EntryGraph> {
        self.entries.iter().find(|e| e.name == name)
    }
}

impl Param {
    /// Whether the optimizer changes it.
    pub fn is_trained(&self) -> bool {
        self.optimizer.is_some()
    }
}

impl Watch {
    /// As schedules call it: `valid.loss`.
    pub fn variable(&self) -> String {
        format!("{}.{}", self.part, self.metric)
    }

    /// The number of values so far, as schedules call it.
    pub fn count_variable(&self) -> String {
        format!("count({}.{})", self.part, self.metric)
    }
}

impl EntryGraph {
    /// The node of an output.
    pub fn output(&self, i: usize) -> NodeId {
        self.graph.outputs[i]
    }
}
