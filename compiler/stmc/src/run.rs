//! Running a compiled file: training, going on with a run, evaluating, predicting, single steps.
use crate::front::{self, Compiled};
use crate::{Error, Options};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use stmc_base::Schema;
use stmc_ir::Device;
use stmc_runtime::folder;
use stmc_runtime::import::Map;
use stmc_runtime::score::Score;
use stmc_runtime::tensor::Named;
use stmc_runtime::{Config, Data, Outcome, RunError, RunFolder, Session, Trainer, Watching};

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
        let data = self.data()?;
        let config = self.config(&*device);
        let name =
            Path::new(&self.checked.main.name).file_stem().map_or("model".into(), |s| s.to_string_lossy());
        let folder = match &options.out {
            Some(path) => RunFolder::create(path, &config),
            None => RunFolder::create_numbered(Path::new("runs"), &name, &config),
        };
        let folder = folder.map_err(fail)?;
        let mut session = self.session(device)?;
        let run = Trainer::begin(&mut session, data, folder, &watching(options)).and_then(Trainer::run);
        run.map(over).map_err(fail)
    }

    pub(crate) fn data(&self) -> Result<&Data, Error> {
        let missing =
            "there are no data to run on: the file has no `data` block, or a schema stands in for them";
        self.checked.data.as_ref().ok_or_else(|| Error::World(missing.into()))
    }

    pub(crate) fn session<'a>(&'a self, device: &'a mut dyn Device) -> Result<Session<'a>, Error> {
        let seed = self.checked.module.train.as_ref().map_or(0, |t| t.seed);
        Session::start(&self.checked.module, &self.program, device, seed)
            .map_err(|e| Error::run(&self.checked.sources, e))
    }

    fn config(&self, device: &dyn Device) -> Config {
        let checked = &self.checked;
        let pair = |s: &String| s.split_once('=').map(|(a, b)| (a.trim().to_string(), b.to_string()));
        Config {
            version: env!("CARGO_PKG_VERSION").into(),
            model: checked.module.name.clone(),
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

fn over(leg: stmc_runtime::Leg) -> Outcome {
    match leg {
        stmc_runtime::Leg::Over(outcome) => outcome,
        stmc_runtime::Leg::Next(_) => unreachable!("there is one phase"),
    }
}

fn watching(options: &TrainOptions) -> stmc_runtime::Options {
    stmc_runtime::Options { interrupted: options.interrupted.clone(), watch: options.watch, phases: 1 }
}

impl Again {
    /// Opens a run directory. With `on`, another file takes the place of the run's own sources (its data, its metrics); the
    /// weights are still the run's. `set` (`step=32`) goes before what the run was begun with.
    pub fn open(path: &Path, on: Option<&Path>, set: &[String]) -> Result<Again, Error> {
        let config = read_config(path)?;
        let compiled = match on {
            Some(file) => front::compile_file(file, &Options { set: set.to_vec(), schema: None })?,
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

fn read_config(path: &Path) -> Result<Config, Error> {
    folder::config(path).map_err(|e| Error::World(e.to_string()))
}

fn compile_again(config: &Config, set: &[String], schema: Option<Schema>) -> Result<Compiled, Error> {
    let named = |name: &str| set.iter().any(|s| s.split('=').next().map(str::trim) == Some(name));
    let begun = config.set.iter().filter(|(name, _)| !named(name));
    let begun = begun.map(|(name, value)| format!("{name}={value}"));
    let options = Options { set: begun.chain(set.iter().cloned()).collect(), schema };
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
    let data = again.compiled.data()?;
    let mut session = again.compiled.session(device)?;
    Trainer::resume(&mut session, data, folder, &watching(options))
        .and_then(Trainer::run)
        .map(over)
        .map_err(fail)
}

/// The metrics of every part but `train`, with the weights that the run kept.
pub fn evaluate(again: &Again, device: &mut dyn Device) -> Result<Vec<(String, Vec<Score>)>, Error> {
    let fail = |e| Error::run(&again.compiled.checked.sources, e);
    let data = again.compiled.data()?;
    let mut session = again.compiled.session(device)?;
    let parts: Vec<&str> =
        data.samples.names().iter().map(String::as_str).filter(|p| *p != "train").collect();
    stmc_runtime::report::evaluate(&mut session, data, &again.path, &parts).map_err(fail)
}

/// The model's outputs for given inputs, with the weights that the run kept.
pub fn predict(again: &Again, device: &mut dyn Device, inputs: &Named) -> Result<Named, Error> {
    let fail = |e| Error::run(&again.compiled.checked.sources, e);
    let mut session = again.compiled.session(device)?;
    let kept = stmc_runtime::report::load_kept(&mut session, &again.path).map_err(fail)?;
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

/// Runs optimizer steps on one batch; gives outputs, loss, gradients, and the weights after each step.
pub fn step(
    path: &Path,
    options: &Options,
    files: &StepFiles,
    device: &mut dyn Device,
    count: u64,
) -> Result<Named, Error> {
    let world = |e: RunError| Error::World(e.to_string());
    let map = files.map.as_deref().map(stmc_runtime::import::read_map).transpose().map_err(world)?;
    let map = map.unwrap_or_else(Map::default);
    let mut given = stmc_runtime::tensor::read(&files.batch).map_err(world)?;
    if let Some(masks) = &files.masks {
        let masks = stmc_runtime::tensor::read(masks).map_err(world)?;
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
        let weights = stmc_runtime::tensor::read(weights).map_err(world)?;
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
