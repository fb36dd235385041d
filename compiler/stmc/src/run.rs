//! Running a compiled file: training, going on with a run, evaluating, predicting, single steps.
use crate::front::{self, Compiled};
use crate::{Error, Options};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use stmc_base::Schema;
use stmc_ir::program::BufferId;
use stmc_ir::{DType, Device, Module, Program};
use stmc_passes::compile::{Gradients, compile};
use stmc_runtime::folder::{self, Mark};
use stmc_runtime::import::Map;
use stmc_runtime::score::Score;
use stmc_runtime::tensor::Named;
use stmc_runtime::{Config, Data, Handed, Leg, Outcome, RunError, RunFolder, Session, Trainer, Watching};

/// How a training run is carried out.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// The run directory. `None`: `runs/<file>-<n>`.
    pub out: Option<PathBuf>,
    /// Whether a person watches.
    pub watch: Watching,
    /// Becomes true to ask the run to finish its step, save and return.
    pub interrupted: Arc<AtomicBool>,
}

impl Default for TrainOptions {
    fn default() -> TrainOptions {
        TrainOptions { out: None, watch: Watching::Silent, interrupted: Arc::default() }
    }
}

/// An earlier run, compiled again from what its directory keeps.
pub struct Again {
    /// The program.
    pub compiled: Compiled,
    /// What the run was made from.
    pub config: Config,
    /// Its directory.
    pub path: PathBuf,
}

impl Compiled {
    /// Trains from the start, in a new run directory.
    pub fn train(&self, device: &mut dyn Device, options: &TrainOptions) -> Result<Outcome, Error> {
        let fail = |e| Error::run(&self.checked.sources, e);
        self.data()?;
        let folder = self.folder(options.out.as_deref(), &self.config(&*device)).map_err(fail)?;
        self.run(device, options, 0, Begin::New(folder))
    }

    /// A new run directory. `out` is `None`: `runs/<file>-<n>`.
    pub(crate) fn folder(&self, out: Option<&Path>, config: &Config) -> Result<RunFolder, RunError> {
        let name =
            Path::new(&self.checked.main.name).file_stem().map_or("model".into(), |s| s.to_string_lossy());
        match out {
            Some(path) => RunFolder::create(path, config),
            None => RunFolder::create_numbered(Path::new("runs"), &name, config),
        }
    }

    /// Runs the phases from one on.
    fn run(
        &self,
        device: &mut dyn Device,
        options: &TrainOptions,
        first: usize,
        mut begin: Begin,
    ) -> Result<Outcome, Error> {
        let fail = |e| Error::run(&self.checked.sources, e);
        let phases = self.checked.later.len() + 1;
        let told = stmc_runtime::Options {
            interrupted: options.interrupted.clone(),
            watch: options.watch,
            phases: phases as u64,
        };
        for n in first..phases {
            let phase = self.phase(n);
            let data = phase.data.ok_or_else(no_data)?;
            let mut session = self.session_of(&phase, &mut *device)?;
            let trainer = match begin {
                Begin::New(mut folder) => {
                    self.start(&mut session, &mut folder, options.watch).map_err(fail)?;
                    Trainer::begin(&mut session, data, folder, &told)
                }
                Begin::Again(folder) => Trainer::resume(&mut session, data, folder, &told),
                Begin::Handed(handed) => Trainer::next(&mut session, data, *handed, &told),
            };
            match trainer.and_then(Trainer::run).map_err(fail)? {
                Leg::Over(outcome) => return Ok(*outcome),
                Leg::Next(handed) => begin = Begin::Handed(handed),
            }
        }
        unreachable!("the last phase ends the run")
    }

    /// Replaces first weights by those that `start` names.
    fn start(
        &self,
        session: &mut Session<'_>,
        folder: &mut RunFolder,
        watch: Watching,
    ) -> Result<(), RunError> {
        let start = self.checked.module.train.as_ref().and_then(|t| t.start.as_ref());
        let Some(start) = start else { return Ok(()) };
        let begun = stmc_runtime::start::load(session, &self.checked.main.folder.join(&start.path))?;
        folder.append(&begun.json(&start.path))?;
        if watch == Watching::Shown {
            eprintln!("{}", begun.text(&start.path));
        }
        Ok(())
    }

    /// A phase of the run, from 0.
    fn phase(&self, n: usize) -> PhaseOf<'_> {
        let checked = &self.checked;
        match n.checked_sub(1).and_then(|n| checked.later.get(n)) {
            None => PhaseOf {
                module: &checked.module,
                program: Cow::Borrowed(&self.program),
                data: checked.data.as_ref(),
            },
            Some(phase) => PhaseOf {
                module: &phase.module,
                program: Cow::Owned(compile(&phase.module, Gradients::Weights)),
                data: phase.data.as_ref(),
            },
        }
    }

    fn session_of<'a>(
        &self,
        phase: &'a PhaseOf<'_>,
        device: &'a mut dyn Device,
    ) -> Result<Session<'a>, Error> {
        let seed = phase.module.train.as_ref().map_or(0, |t| t.seed);
        Session::start(phase.module, &phase.program, device, seed)
            .map_err(|e| Error::run(&self.checked.sources, e))
    }

    pub(crate) fn data(&self) -> Result<&Data, Error> {
        self.checked.data.as_ref().ok_or_else(no_data)
    }

    pub(crate) fn session<'a>(&'a self, device: &'a mut dyn Device) -> Result<Session<'a>, Error> {
        let seed = self.checked.module.train.as_ref().map_or(0, |t| t.seed);
        Session::start(&self.checked.module, &self.program, device, seed)
            .map_err(|e| Error::run(&self.checked.sources, e))
    }

    pub(crate) fn config(&self, device: &dyn Device) -> Config {
        let checked = &self.checked;
        let pair = |s: &String| s.split_once('=').map(|(a, b)| (a.trim().to_string(), b.to_string()));
        Config {
            version: env!("CARGO_PKG_VERSION").into(),
            model: checked.module.name.clone(),
            chosen: checked.model.clone(),
            sources: checked.sources.clone(),
            set: checked.set.iter().filter_map(pair).collect(),
            hypers: checked.module.hypers.clone(),
            folder: std::path::absolute(&checked.main.folder).unwrap_or_else(|_| checked.main.folder.clone()),
            schema: checked.schema.clone(),
            device: device.name(),
            seed: checked.module.train.as_ref().map_or(0, |t| t.seed),
        }
    }
}

/// A phase, compiled.
pub(crate) struct PhaseOf<'a> {
    module: &'a Module,
    program: Cow<'a, Program>,
    data: Option<&'a Data>,
}

impl<'a> PhaseOf<'a> {
    pub(crate) fn module(&self) -> &'a Module {
        self.module
    }
}

/// How a phase begins.
enum Begin {
    /// The run is new.
    New(RunFolder),
    /// It goes on from its last checkpoint.
    Again(RunFolder),
    /// From what the phase before kept.
    Handed(Box<Handed>),
}

fn no_data() -> Error {
    let missing = "there are no data to run on: the file has no `data` block, or a schema stands in for them";
    Error::World(missing.into())
}

impl Again {
    /// Opens a run directory. With `on`, another file takes the place of the run's own sources (its data, its metrics); the
    /// weights are still the run's. `set` (`step=32`) goes before what the run was begun with.
    pub fn open(path: &Path, on: Option<&Path>, set: &[String]) -> Result<Again, Error> {
        let config = read_config(path)?;
        let compiled = match on {
            Some(file) => {
                let (set, model) = (set.to_vec(), config.chosen.clone());
                let names = config.schema.clone();
                front::compile_file(file, &Options { set, schema: None, names, model })?
            }
            None => compile_again(&config, set, None)?,
        };
        Ok(Again { compiled, config, path: path.to_path_buf() })
    }

    /// As `open`, but for `predict` alone: the run's data need not be there any more.
    pub fn without_data(path: &Path, set: &[String]) -> Result<Again, Error> {
        let config = read_config(path)?;
        let compiled = compile_again(&config, set, config.schema.clone())?;
        Ok(Again { compiled, config, path: path.to_path_buf() })
    }
}

impl Again {
    /// The phase that made the weights which the run kept.
    pub(crate) fn kept_phase(&self) -> Result<PhaseOf<'_>, Error> {
        let kept = folder::state(&self.path, Mark::Last).map_err(Error::world)?;
        Ok(self.compiled.phase(kept.map_or(0, |s| s.phase as usize)))
    }
}

fn read_config(path: &Path) -> Result<Config, Error> {
    folder::config(path).map_err(Error::world)
}

fn compile_again(config: &Config, set: &[String], schema: Option<Schema>) -> Result<Compiled, Error> {
    let named = |name: &str| set.iter().any(|s| s.split('=').next().map(str::trim) == Some(name));
    let begun = config.set.iter().filter(|(name, _)| !named(name));
    let begun = begun.map(|(name, value)| format!("{name}={value}"));
    let set = begun.chain(set.iter().cloned()).collect();
    let (names, model) = (config.schema.clone(), config.chosen.clone());
    let options = Options { set, schema, names, model };
    front::compile_sources(&config.sources, &config.folder, &options)
}

/// Goes on with a run from its last checkpoint.
pub fn resume(again: &Again, device: &mut dyn Device, options: &TrainOptions) -> Result<Outcome, Error> {
    let fail = |e| Error::run(&again.compiled.checked.sources, e);
    let name = device.name();
    if name != again.config.device {
        let was = &again.config.device;
        return Err(Error::World(format!(
            "the run was made on `{was}`; on `{name}` it would not go on bit for bit"
        )));
    }
    let folder = RunFolder::open(&again.path).map_err(fail)?;
    let last = folder::state(&again.path, Mark::Last).map_err(fail)?;
    again.compiled.run(device, options, last.map_or(0, |s| s.phase as usize), Begin::Again(folder))
}

/// The metrics of every part but `train`, with the weights that the run kept.
pub fn evaluate(again: &Again, device: &mut dyn Device) -> Result<Vec<(String, Vec<Score>)>, Error> {
    let fail = |e| Error::run(&again.compiled.checked.sources, e);
    let phase = again.kept_phase()?;
    let data = phase.data.ok_or_else(no_data)?;
    let mut session = again.compiled.session_of(&phase, device)?;
    let parts: Vec<&str> =
        data.samples.names().iter().map(String::as_str).filter(|p| *p != "train").collect();
    stmc_runtime::report::evaluate(&mut session, data, &again.path, &parts).map_err(fail)
}

/// The model's outputs for given inputs, with the weights that the run kept.
pub fn predict(again: &Again, device: &mut dyn Device, inputs: &Named) -> Result<Named, Error> {
    let fail = |e| Error::run(&again.compiled.checked.sources, e);
    let phase = again.kept_phase()?;
    let mut session = again.compiled.session_of(&phase, device)?;
    let kept = stmc_runtime::report::load_kept(&mut session, &again.path).map_err(fail)?;
    let fits = stmc_runtime::train::read_fits(&again.path, kept.phase).map_err(fail)?;
    stmc_runtime::predict::write_fits(&mut session, &fits).map_err(fail)?;
    stmc_runtime::predict::predict(&mut session, inputs, kept.clock.schedules).map_err(fail)
}

/// What `step` works on.
#[derive(Clone, Debug)]
pub struct StepFiles {
    /// Weights, by path. `None`: first values drawn from the seed.
    pub weights: Option<PathBuf>,
    /// `input.<part>` tensors.
    pub batch: PathBuf,
    /// `dropout_mask.<path of the layer>` tensors, `path#1` for its second application. They go before those of the batch.
    /// `None`: the batch has them, or there is no dropout.
    pub masks: Option<PathBuf>,
    /// Renames, squeezes, slices, concatenates, permutes.
    pub map: Option<PathBuf>,
}

/// A tensor that `step` is given.
#[derive(Clone, Debug, PartialEq)]
pub struct StepInput {
    /// `input.<part>` or `dropout_mask.<path of the layer>`.
    pub name: String,
    /// What its elements are.
    pub dtype: DType,
    /// The axes' names and extents in the order of the file: `batch` first.
    pub axes: Vec<(String, usize)>,
}

/// What `step` wants of a batch and its masks. The batch's size is that of `train.batch`.
pub fn step_inputs(path: &Path, options: &Options) -> Result<Vec<StepInput>, Error> {
    let compiled = front::compile_for_step(path, options)?;
    let input = |(name, buffer): (String, BufferId)| {
        let buffer = compiled.program.buffer(buffer);
        let axes = buffer.dims.iter().map(|d| (d.axis.clone(), d.extent)).collect();
        StepInput { name, dtype: buffer.dtype, axes }
    };
    Ok(stmc_runtime::step::inputs(&compiled.program).into_iter().map(input).collect())
}

/// Runs optimizer steps on one batch; gives outputs, loss, gradients, and the weights after each step.
pub fn step(
    path: &Path,
    options: &Options,
    files: &StepFiles,
    device: &mut dyn Device,
    count: u64,
) -> Result<Named, Error> {
    let map = files.map.as_deref().map(stmc_runtime::import::read_map).transpose().map_err(Error::world)?;
    let map = map.unwrap_or_else(Map::default);
    let mut given = stmc_runtime::tensor::read(&files.batch).map_err(Error::world)?;
    if let Some(masks) = &files.masks {
        let masks = stmc_runtime::tensor::read(masks).map_err(Error::world)?;
        given.retain(|(name, _)| masks.iter().all(|mask| mask.0 != *name));
        given.extend(masks);
    }
    let batch = batch_size(&given);
    let mut options = options.clone();
    if !options.set.iter().any(|s| s.starts_with("train.batch")) {
        options.set.extend(batch.map(|b| format!("train.batch={b}")));
    }
    let compiled = front::compile_for_step(path, &options)?;
    let mut session = compiled.session(device)?;
    let fail = |e| Error::run(&compiled.checked.sources, e);
    if let Some(weights) = &files.weights {
        let weights = stmc_runtime::tensor::read(weights).map_err(Error::world)?;
        stmc_runtime::step::load_weights(&mut session, &weights, &map).map_err(fail)?;
    }
    stmc_runtime::step::run(&mut session, &given, &map, count).map_err(fail)
}

/// The first dimension of the first input: the samples of the batch.
fn batch_size(given: &Named) -> Option<usize> {
    given.iter().find(|(name, _)| name.starts_with("input.")).and_then(|(_, t)| t.shape.first().copied())
}

/// The scores of an outcome as a table.
pub fn scores(outcome: &Outcome) -> String {
    stmc_runtime::score::table(&outcome.scores)
}
