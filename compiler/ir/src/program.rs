//! A program: buffers, kernels and, per entry point, a structured list of launches. A device compiles it once and runs its
//! entries; the only things that change between steps are the inputs, the state and a table of run-time scalars.
//! `stmc emit --stage program` writes it as JSON.
use crate::host::HostExpr;
use crate::kernel::Kernel;
use crate::module::{Init, InputRole, OutputRole};
use crate::types::DType;
use serde::Serialize;
use std::sync::Arc;
use stmc_base::{Span, define_id};

define_id! {
    /// A buffer of a program.
    pub struct BufferId
}
define_id! {
    /// A kernel of a program.
    pub struct KernelId
}

/// Everything a device needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Program {
    /// In one arena, or within another buffer.
    pub buffers: Vec<Buffer>,
    /// Each once, however often it is launched.
    pub kernels: Vec<Kernel>,
    /// Run by name.
    pub entries: Vec<Entry>,
    /// Computed on the host before each update, in f64; passed to kernels as f32.
    pub scalars: Vec<HostExpr>,
    /// The weights, in the order of the module.
    pub params: Vec<ProgramParam>,
    /// Elements (of four bytes) of the arena in which every buffer without a parent lies.
    pub arena: usize,
}

/// A weight and where it lives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProgramParam {
    /// `change.cells.0.gates.weight`.
    pub path: String,
    /// Its values: a buffer whose dims stand in disk order (their strides say how it lies in memory).
    pub buffer: BufferId,
    /// Its gradient, same dims. `None` in programs that do not train.
    pub gradient: Option<BufferId>,
    /// Its optimizer state, in the order of `Optimizer::states`, same dims.
    pub states: Vec<BufferId>,
    /// The average of its values over the updates, same dims: what evaluation reads. `None`: no averages are kept, or it is
    /// frozen.
    pub average: Option<BufferId>,
    /// Its first values.
    pub init: Init,
    /// Whether a gradient reaches it.
    pub live: bool,
}

/// A piece of memory.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Buffer {
    /// For people.
    pub name: String,
    /// What an element is.
    pub dtype: DType,
    /// The logical tensor within it: named axes with extents and strides, in the order of disk or declaration where there is one.
    pub dims: Vec<BufferDim>,
    /// Elements.
    pub len: usize,
    /// What it is for.
    pub kind: BufferKind,
    /// It is a part of another buffer, from this element on. `None`: it lies in the arena.
    pub parent: Option<(BufferId, usize)>,
    /// First element in the arena, a multiple of 16. Meaningless with a parent.
    pub place: usize,
}

/// One axis of a buffer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BufferDim {
    /// The axis' name.
    pub axis: String,
    /// Steps.
    pub extent: usize,
    /// Elements from one step to the next.
    pub stride: usize,
}

/// What a buffer is for, and so how long it lives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum BufferKind {
    /// Lives from run to run: weights, moments, accumulated gradients. Zero at first.
    State,
    /// Written by the host before a run.
    Input,
    /// Read by the host after a run.
    Output,
    /// Within one run; may share memory with others.
    Temp,
    /// A padded tensor within one run. All of it is set to these bits when the program is loaded, and its memory is not
    /// shared: only what the halo surrounds is ever written.
    Halo(u32),
    /// Never changes.
    Constant(Arc<[u32]>),
}

/// An entry point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// `train` (forward and backward), `apply` (clip, optimizer), `eval`, `predict`, `fit0` …
    pub name: String,
    /// In order.
    pub steps: Vec<Step>,
    /// What to write before a run. Weights are not listed: they are state.
    pub inputs: Vec<InputPort>,
    /// What can be read after a run.
    pub outputs: Vec<OutputPort>,
    /// Samples per run.
    pub batch: usize,
    /// Multiplications and additions of the contractions in one run.
    pub flops: u64,
}

/// An input of an entry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InputPort {
    /// What it is.
    pub role: InputRole,
    /// Where it goes; its dims are in the order of the role's axes.
    pub buffer: BufferId,
}

/// An output of an entry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutputPort {
    /// What it is.
    pub role: OutputRole,
    /// Where it comes from; its dims are in the order of the role's axes where it has one.
    pub buffer: BufferId,
}

/// A step of an entry.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // a variant's line tells its fields
pub enum Step {
    /// Runs a kernel.
    Launch(Launch),
    /// Runs its body `count` times; offsets and scalars see the number of the iteration.
    Loop { count: usize, body: Vec<Step> },
    /// Copies `len` elements.
    Copy { from: Binding, to: Binding, len: usize },
    /// Sets `len` elements to these bits.
    Fill { to: Binding, len: usize, bits: u32 },
}

/// A kernel with its arguments.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Launch {
    /// Which.
    pub kernel: KernelId,
    /// One per param of the kernel.
    pub buffers: Vec<Binding>,
    /// One per scalar of the kernel.
    pub scalars: Vec<ScalarArg>,
    /// Where in the source it came from.
    pub spans: Vec<Span>,
}

/// A buffer from an element on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Binding {
    /// Which.
    pub buffer: BufferId,
    /// Elements, never negative.
    pub base: i64,
    /// Parts that depend on the loops around: each adds `stride * ((iteration + shift) mod modulo)`.
    pub steps: Vec<StepTerm>,
}

/// See `Binding::steps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StepTerm {
    /// Which loop: 0 is the outermost around the step.
    pub depth: usize,
    /// Elements per iteration; negative in reversed scans.
    pub stride: i64,
    /// Added to the iteration.
    pub shift: i64,
    /// `None`: no wrap. `Some(2)`: a carry's two slots.
    pub modulo: Option<i64>,
}

/// A run-time scalar of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // a variant's line tells its fields
pub enum ScalarArg {
    /// `Program::scalars[i]`, f32.
    Host(usize),
    /// `count - 1 - iteration` if reversed, else `iteration`, of the loop at a depth; i32.
    Iteration { depth: usize, reversed: Option<usize> },
    /// The run's seed, its low 32 bits; i32.
    SeedLow,
    /// The run's seed, its high 32 bits; i32.
    SeedHigh,
    /// Number of the update, 0 in evaluation; i32.
    Update,
}

impl Program {
    /// The entry of that name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.name == name)
    }

    /// One more buffer.
    pub fn add(&mut self, buffer: Buffer) -> BufferId {
        self.buffers.push(buffer);
        BufferId::from_index(self.buffers.len() - 1)
    }

    /// A buffer.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.index()]
    }

    /// The buffer in the arena that holds `id`, and the first element of `id` in it.
    pub fn root(&self, id: BufferId) -> (BufferId, usize) {
        match self.buffer(id).parent {
            None => (id, 0),
            Some((parent, offset)) => {
                let (root, start) = self.root(parent);
                (root, start + offset)
            }
        }
    }

    /// The first element of a buffer in the arena.
    pub fn start(&self, id: BufferId) -> usize {
        let (root, offset) = self.root(id);
        self.buffer(root).place + offset
    }

    /// Puts into an arena of zeros what is there before the first run: halos and constants.
    pub fn fill_in(&self, arena: &mut [u32]) {
        for (i, buffer) in self.buffers.iter().enumerate() {
            let start = self.start(BufferId::from_index(i));
            match &buffer.kind {
                BufferKind::Halo(bits) => arena[start..start + buffer.len].fill(*bits),
                BufferKind::Constant(data) => arena[start..start + data.len()].copy_from_slice(data),
                BufferKind::State | BufferKind::Input | BufferKind::Output | BufferKind::Temp => {}
            }
        }
    }
}

impl Step {
    /// The memory that it uses itself, not in the steps of a loop.
    pub fn bindings(&self) -> Vec<&Binding> {
        match self {
            Step::Launch(launch) => launch.buffers.iter().collect(),
            Step::Copy { from, to, .. } => vec![from, to],
            Step::Fill { to, .. } => vec![to],
            Step::Loop { .. } => vec![],
        }
    }
}

impl ScalarArg {
    /// What it is for kernels.
    pub fn dtype(self) -> DType {
        match self {
            ScalarArg::Host(_) => DType::F32,
            ScalarArg::Iteration { .. } | ScalarArg::SeedLow | ScalarArg::SeedHigh | ScalarArg::Update => {
                DType::I32
            }
        }
    }
}

impl Buffer {
    /// Elements of the logical tensor.
    pub fn count(&self) -> usize {
        self.dims.iter().map(|d| d.extent).product()
    }

    /// The logical tensor, in the order of `dims`, out of the buffer's memory.
    pub fn gather(&self, memory: &[u32]) -> Vec<u32> {
        let mut out = Vec::with_capacity(self.count());
        self.walk(|at| out.push(memory[at]));
        out
    }

    /// Puts a tensor (in the order of `dims`) into the buffer's memory.
    pub fn scatter(&self, values: &[u32], memory: &mut [u32]) {
        let mut values = values.iter();
        self.walk(|at| memory[at] = *values.next().expect("as many values as the tensor has elements"));
    }

    fn walk(&self, mut visit: impl FnMut(usize)) {
        let mut index = vec![0; self.dims.len()];
        let mut at = 0;
        for _ in 0..self.count() {
            visit(at);
            for (i, d) in index.iter_mut().zip(&self.dims).rev() {
                *i += 1;
                at += d.stride;
                if *i < d.extent {
                    break;
                }
                at -= d.stride * d.extent;
                *i = 0;
            }
        }
    }
}

impl Binding {
    /// The whole buffer.
    pub fn whole(buffer: BufferId) -> Binding {
        Binding { buffer, base: 0, steps: vec![] }
    }

    /// The offset in these iterations (outermost first).
    pub fn offset(&self, iterations: &[usize]) -> usize {
        let steps = self.steps.iter().map(|s| {
            let i = iterations[s.depth] as i64 + s.shift;
            s.stride * s.modulo.map_or(i, |m| i.rem_euclid(m))
        });
        usize::try_from(self.base + steps.sum::<i64>()).expect("offsets are not negative")
    }
}
