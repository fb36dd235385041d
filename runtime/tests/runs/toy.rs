//! A small program that has everything the runtime deals with: weights, dropout, two terms of the loss, a schedule, momentum,
//! a fitted field, metrics with a baseline. It is compiled as any other and runs on the interpreter of kernels.
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use stmc_base::{SourceId, Span};
use stmc_data::{Dataset, Samples, write_npy};
use stmc_ir::data::{
    Binder, DataPlan, Field, FieldOrigin, FitPlan, Part, Reading, Slab, SlabRange, SourceSpec,
};
use stmc_ir::device::Scalars;
use stmc_ir::host::{HostBinary, HostExpr, LOSS_SCALE};
use stmc_ir::kernel_interpret::Interpreter;
use stmc_ir::module::{
    Combine, EntryGraph, Init, InputRole, LossScale, Metric, Optimizer, OutputRole, Param, ParamId, Resets,
    ScalarId, Stalled, Train, Watch,
};
use stmc_ir::ops::{Dot, Random, Rename, Scalar};
use stmc_ir::program::BufferId;
use stmc_ir::types::{Axes, AxisId, DType, Dim, Type};
use stmc_ir::{Builder, Device, DeviceError, Graph, Module, NodeId, Op, Precision, Program};
use stmc_passes::compile::{Gradients, compile};
use stmc_runtime::{Config, Data};

pub(crate) const SAMPLES: usize = 60;
pub(crate) const FEATURES: usize = 3;
pub(crate) const BATCH: usize = 4;
/// Where the squared error stands in an imagined source.
pub(crate) const ERROR_SPAN: (usize, usize) = (10, 20);

/// A program with its data.
pub(crate) struct Toy {
    pub(crate) module: Module,
    pub(crate) program: Program,
    pub(crate) data: Data,
    pub(crate) config: Config,
}

/// What a test changes.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) epochs: usize,
    pub(crate) accumulate: usize,
    pub(crate) rate: f64,
    pub(crate) stop: Option<usize>,
    pub(crate) bad_target: Option<f32>,
    pub(crate) ema: Option<f64>,
    pub(crate) save_every: Option<usize>,
    pub(crate) resets: Resets,
    pub(crate) precision: Precision,
    /// By what the first term of the loss is multiplied.
    pub(crate) gain: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            epochs: 6,
            accumulate: 1,
            rate: 0.05,
            stop: None,
            bad_target: None,
            ema: None,
            save_every: None,
            resets: Resets::default(),
            precision: Precision::F32,
            gain: 1.0,
        }
    }
}

/// Makes the data in `folder`, the module and its program.
pub(crate) fn toy(folder: &Path, settings: &Settings) -> Toy {
    write_data(folder, settings);
    let plan = plan();
    let sources = plan.sources.iter().map(|s| stmc_data::open(s, folder).unwrap()).collect();
    let samples = Arc::new(Samples::index(&plan, 5).unwrap());
    let data = Data { set: Arc::new(Dataset::new(plan.clone(), sources).unwrap()), samples };
    let module = module(plan, settings, Draws::Drawn);
    let program = compile(&module, Gradients::Weights);
    let config = Config { model: "Toy".into(), seed: 5, device: "interpreter".into(), ..Config::default() };
    Toy { module, program, data, config }
}

fn write_data(folder: &Path, settings: &Settings) {
    let noise = |i: usize| (i as f32 * 12.9898).sin() * 43758.547 % 1.0;
    let x: Vec<f32> = (0..SAMPLES * FEATURES).map(noise).collect();
    let mut y: Vec<f32> = x
        .chunks(FEATURES)
        .enumerate()
        .map(|(i, x)| 2.0 * x[0] - x[1] + 0.5 * x[2] + 3.0 + 0.05 * noise(i + 7))
        .collect();
    if let Some(bad) = settings.bad_target {
        y.fill(bad);
    }
    let file = |name: &str| std::fs::File::create(folder.join(name)).unwrap();
    write_npy(file("x.npy"), &[SAMPLES, FEATURES], &x).unwrap();
    write_npy(file("y.npy"), &[SAMPLES], &y).unwrap();
}

pub(crate) fn span((start, end): (usize, usize)) -> Span {
    Span::new(SourceId(0), start, end)
}

fn plan() -> DataPlan {
    let here = span((0, 1));
    let file = |path: &str| SourceSpec::File { path: path.into(), span: here };
    let field = |name: &str, origin: FieldOrigin, axes: &[(&str, usize)]| Field {
        name: name.into(),
        origin,
        dtype: DType::F32,
        axes: axes.iter().map(|a| (a.0.to_string(), a.1)).collect(),
        unit: None,
        // A value that is no number is to reach the loss.
        reading: Reading { optional: true, ..Reading::default() },
        span: here,
    };
    let source = |source| FieldOrigin::Source { source, variable: String::new() };
    let sample = SlabRange { binder: Some(0), offset: 0, len: 1, keep: false };
    let all = SlabRange { binder: None, offset: 0, len: FEATURES, keep: true };
    let below = |name: &str, share: f64| {
        let rank = HostExpr::var("shuffled(sample)");
        let predicate = HostExpr::binary(HostBinary::Lt, rank, HostExpr::Const(share));
        Part { name: name.into(), predicate, span: here }
    };
    DataPlan {
        name: "toy".into(),
        sources: vec![file("x.npy"), file("y.npy")],
        fields: vec![
            field("x", source(0), &[("sample", SAMPLES), ("feature", FEATURES)]),
            field("y", source(1), &[("sample", SAMPLES)]),
            field("typical", FieldOrigin::Fit { fit: 0 }, &[]),
        ],
        binders: vec![Binder { name: "s".into(), axis: "sample".into(), start: 0, stop: SAMPLES, step: 1 }],
        slabs: vec![
            Slab { field: 0, range: vec![sample, all] },
            Slab { field: 1, range: vec![sample] },
            Slab { field: 2, range: vec![] },
        ],
        split: vec![below("train", 0.6), below("valid", 0.8), below("test", 2.0)],
        fits: vec![FitPlan {
            axes: vec!["sample".into()],
            slabs: vec![Slab { field: 1, range: vec![sample] }],
        }],
        ..DataPlan::default()
    }
}

/// Where random numbers come from.
#[derive(Clone, Copy, PartialEq)]
enum Draws {
    Drawn,
    Given,
}

struct Maker {
    axes: Rc<RefCell<Axes>>,
    batch: AxisId,
    feature: AxisId,
}

impl Maker {
    fn builder(&self) -> Builder {
        Builder::new(self.axes.clone())
    }

    fn ty(&self, axes: &[(AxisId, usize)]) -> Type {
        Type::new(DType::F32, axes.iter().map(|a| Dim { axis: a.0, extent: a.1 }).collect()).unwrap()
    }

    fn of_batch(&self) -> Type {
        self.ty(&[(self.batch, BATCH)])
    }

    /// Inputs 0 and 1 are the weights, 2 is x.
    fn model(&self, b: &Builder, x: NodeId) -> NodeId {
        let weight = b.input(0, self.ty(&[(self.feature, FEATURES)]));
        let bias = b.input(1, Type::scalar(DType::F32));
        b.plus(b.must(Op::Dot(Dot::new(&[self.feature])), &[x, weight]), bias)
    }

    fn x(&self, b: &Builder) -> NodeId {
        b.input(2, self.ty(&[(self.batch, BATCH), (self.feature, FEATURES)]))
    }

    fn train(&self, draws: Draws, gain: f64) -> EntryGraph {
        let b = self.builder();
        let x = self.x(&b);
        let random = match draws {
            Draws::Drawn => b.must(Op::Random(Random { site: 9, ty: b.ty(x) }), &[]),
            Draws::Given => b.input(4, b.ty(x)),
        };
        let kept = b.scalar(Scalar::Less, &[random, b.number(0.9)]);
        let x = b.scalar(Scalar::Where, &[kept, x, b.number(0.0)]);
        let error = b.minus(self.model(&b, x), b.input(3, self.of_batch()));
        let fit = b.over(b.sum(b.times(error, error), &[self.batch]), b.number(BATCH as f64));
        let fit = if gain == 1.0 { fit } else { b.times(fit, b.number(gain)) };
        let weight = b.input(0, self.ty(&[(self.feature, FEATURES)]));
        let decay = b.times(b.number(1e-3), b.sum(b.times(weight, weight), &[self.feature]));
        let inputs = match draws {
            Draws::Drawn => vec![self.slab(0), self.slab(1)],
            Draws::Given => vec![
                InputRole::Named { name: "x".into(), axes: vec![self.batch, self.feature] },
                InputRole::Named { name: "y".into(), axes: vec![self.batch] },
                InputRole::Mask { site: "drop".into(), axes: vec![self.batch, self.feature] },
            ],
        };
        EntryGraph {
            name: "train".into(),
            graph: b.finish(vec![fit, decay]),
            inputs: self.inputs(&inputs),
            outputs: vec![
                OutputRole::Loss { name: "fit".into(), span: span(ERROR_SPAN) },
                OutputRole::Loss { name: "decay".into(), span: span((30, 40)) },
            ],
            batch: BATCH,
        }
    }

    fn eval(&self) -> EntryGraph {
        let b = self.builder();
        let y = b.input(3, self.of_batch());
        let valid = b.input(4, self.of_batch());
        let square = |x: NodeId| b.sum(b.times(valid, b.times(x, x)), &[self.batch]);
        let error = square(b.minus(self.model(&b, self.x(&b)), y));
        let typical = square(b.minus(y, b.input(5, Type::scalar(DType::F32))));
        EntryGraph {
            name: "eval".into(),
            graph: b.finish(vec![error, typical, b.sum(valid, &[self.batch])]),
            inputs: self.inputs(&[self.slab(0), self.slab(1), InputRole::Valid, self.slab(2)]),
            outputs: vec![OutputRole::Partial(Combine::Sum); 3],
            batch: BATCH,
        }
    }

    fn predict(&self) -> EntryGraph {
        let b = self.builder();
        let y = self.model(&b, self.x(&b));
        let named = InputRole::Named { name: "x".into(), axes: vec![self.batch, self.feature] };
        EntryGraph {
            name: "predict".into(),
            graph: b.finish(vec![y]),
            inputs: self.inputs(&[named]),
            outputs: vec![OutputRole::Named { name: "y".into(), axes: vec![self.batch] }],
            batch: BATCH,
        }
    }

    /// Pictures: the products of all pairs of features, and the same scaled by the bias as a forecast.
    fn show(&self) -> EntryGraph {
        let b = self.builder();
        let x = self.x(&b);
        let other = self.axes.borrow_mut().axis("other", "");
        let turned = b.must(Op::Rename(Rename::one(self.feature, other)), &[x]);
        let truth = b.times(x, turned);
        let forecast = b.times(truth, b.input(1, Type::scalar(DType::F32)));
        let axes = vec![self.batch, self.feature, other];
        let named = |name: &str| OutputRole::Named { name: name.into(), axes: axes.clone() };
        EntryGraph {
            name: "show".into(),
            graph: b.finish(vec![forecast, truth]),
            inputs: self.inputs(&[self.slab(0)]),
            outputs: vec![named("out.square"), named("sample.square")],
            batch: BATCH,
        }
    }

    fn fit(&self) -> EntryGraph {
        let b = self.builder();
        let (y, valid) = (b.input(0, self.of_batch()), b.input(1, self.of_batch()));
        EntryGraph {
            name: "fit0".into(),
            graph: b.finish(vec![b.sum(b.times(y, valid), &[self.batch]), b.sum(valid, &[self.batch])]),
            inputs: vec![InputRole::Slab { slab: 0, axes: vec![self.batch] }, InputRole::Valid],
            outputs: vec![OutputRole::Partial(Combine::Sum); 2],
            batch: BATCH,
        }
    }

    fn slab(&self, slab: usize) -> InputRole {
        let axes = [vec![self.batch, self.feature], vec![self.batch], vec![]][slab].clone();
        InputRole::Slab { slab, axes }
    }

    fn inputs(&self, others: &[InputRole]) -> Vec<InputRole> {
        let weights = [0, 1].map(|i| InputRole::Param(ParamId(i)));
        weights.into_iter().chain(others.iter().cloned()).collect()
    }

    /// From a sum and a count.
    fn mean(&self, root: bool) -> Graph {
        let b = self.builder();
        let number = Type::scalar(DType::F32);
        let mean = b.over(b.input(0, number.clone()), b.input(1, number));
        b.finish(vec![if root { b.scalar(Scalar::Sqrt, &[mean]) } else { mean }])
    }

    fn momentum(&self) -> Optimizer {
        let b = self.builder();
        let [w, g, m] = [0, 1, 2].map(|i| b.input(i, Type::scalar(DType::F32)));
        let next = b.plus(b.times(b.number(0.9), m), g);
        let moved = b.minus(w, b.times(b.must(Op::Host(ScalarId(0)), &[]), next));
        Optimizer { name: "Momentum".into(), states: vec!["m".into()], graph: b.finish(vec![moved, next]) }
    }
}

fn module(plan: DataPlan, settings: &Settings, draws: Draws) -> Module {
    let axes = Rc::new(RefCell::new(Axes::default()));
    let batch = axes.borrow_mut().axis("batch", "");
    let feature = axes.borrow_mut().axis("feature", "");
    let maker = Maker { axes: axes.clone(), batch, feature };
    let metric = |name: &str, partial: usize, root: bool, unit: Option<&str>| Metric {
        name: name.into(),
        partials: vec![partial, 2],
        finish: maker.mean(root),
        axes: vec![],
        unit: unit.map(str::to_string),
    };
    let param = |path: &str, ty: Type, disk: &[AxisId], init: Init| Param {
        path: path.into(),
        ty,
        disk: disk.to_vec(),
        init,
        optimizer: Some(0),
        buffer: false,
        span: span((50, 60)),
    };
    let watch = Watch { part: "valid".into(), metric: "loss".into(), maximize: false };
    let steps_per_epoch = 36 / BATCH / settings.accumulate;
    // rate / (1 + step / 50)
    let slower = HostExpr::binary(HostBinary::Div, HostExpr::var("step"), HostExpr::Const(50.0));
    let slower = HostExpr::binary(HostBinary::Add, HostExpr::Const(1.0), slower);
    let rate = HostExpr::binary(HostBinary::Div, HostExpr::Const(settings.rate), slower);
    let scale = HostExpr::var(LOSS_SCALE);
    let inverse = HostExpr::binary(HostBinary::Div, HostExpr::Const(1.0), scale.clone());
    let train = Train {
        batch: BATCH * settings.accumulate,
        epochs: settings.epochs,
        steps_per_epoch,
        steps: settings.epochs * steps_per_epoch,
        seed: 5,
        accumulate: settings.accumulate,
        clip: None,
        optimizers: vec![maker.momentum()],
        ema: settings.ema,
        start: None,
        save_every: settings.save_every,
        precision: settings.precision,
        loss_scale: (settings.precision == Precision::F16)
            .then_some(LossScale { scale: ScalarId(1), inverse: ScalarId(2) }),
        resets: settings.resets,
        rate: Some(ScalarId(0)),
        metrics: vec![
            metric("loss", 0, false, None),
            metric("error", 0, true, Some("K")),
            metric("typical", 1, true, Some("K")),
        ],
        stop: settings.stop.map(|epochs| Stalled {
            watch: watch.clone(),
            epochs,
            by: 0.0,
            after: 0,
            gap: None,
        }),
        keep: Some(watch),
        watched: vec![],
    };
    let entries =
        vec![maker.train(draws, settings.gain), maker.eval(), maker.predict(), maker.show(), maker.fit()];
    let fits = vec![Metric { partials: vec![0, 1], ..metric("typical", 0, false, None) }];
    let params = vec![
        param("weight", maker.ty(&[(feature, FEATURES)]), &[feature], Init::Uniform { low: -1.0, high: 1.0 }),
        param("bias", Type::scalar(DType::F32), &[], Init::Fill(0.0)),
    ];
    let axes = axes.borrow().clone();
    Module {
        name: "Toy".into(),
        axes,
        params,
        scalars: if train.loss_scale.is_some() { vec![rate, scale, inverse] } else { vec![rate] },
        entries,
        fits,
        train: Some(train),
        data: Some(plan),
        ..Module::default()
    }
}

/// The same for a batch that is given: also with the gradients of its inputs.
pub(crate) fn step_program() -> (Module, Program) {
    let module = module(plan(), &Settings::default(), Draws::Given);
    let program = compile(&module, Gradients::WeightsAndInputs);
    (module, program)
}

/// The interpreter, with something that happens before a run of `apply`.
pub(crate) struct Watched {
    inner: Interpreter,
    apply: usize,
    count: BTreeMap<usize, u64>,
    event: Event,
}

/// What happens.
pub(crate) enum Event {
    Nothing,
    /// The flag becomes true before update number `.0`.
    Interrupt(u64, Arc<AtomicBool>),
    /// The device fails at update number `.0`.
    Failure(u64),
}

impl Watched {
    pub(crate) fn new(program: &Program, event: Event) -> Watched {
        let apply = program.entries.iter().position(|e| e.name == "apply").unwrap();
        Watched { inner: Interpreter::default(), apply, count: BTreeMap::new(), event }
    }
}

impl Device for Watched {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn load(&mut self, program: &Program) -> Result<(), DeviceError> {
        self.inner.load(program)
    }

    fn write(&mut self, buffer: BufferId, values: &[u32]) -> Result<(), DeviceError> {
        self.inner.write(buffer, values)
    }

    fn read(&mut self, buffer: BufferId, values: &mut [u32]) -> Result<(), DeviceError> {
        self.inner.read(buffer, values)
    }

    fn run(&mut self, entry: usize, scalars: &Scalars) -> Result<(), DeviceError> {
        let count = self.count.entry(entry).or_default();
        *count += 1;
        match &self.event {
            Event::Interrupt(at, flag) if entry == self.apply && count == at => {
                flag.store(true, Ordering::Relaxed);
            }
            Event::Failure(at) if entry == self.apply && count == at => {
                return Err(DeviceError { device: self.name(), reason: "it fell over".into() });
            }
            _ => {}
        }
        self.inner.run(entry, scalars)
    }
}
