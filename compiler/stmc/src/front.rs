//! From a file to a compiled program: resolve, open the data, elaborate, compile.
use crate::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stmc_base::{Diagnostic, Schema, SourceId, Sources};
use stmc_data::{Dataset, Samples};
use stmc_ir::data::SourceSpec;
use stmc_ir::{Module, Program};
use stmc_model::{Counts, Request, Resolved, Settings};
use stmc_passes::compile::{Gradients, compile};
use stmc_runtime::Data;

/// How a file is compiled.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `frames=3`, `train.batch=8`, `radar.from="path.npy"`.
    pub set: Vec<String>,
    /// Stands in for data that are not there.
    pub schema: Option<Schema>,
}

/// A checked file.
#[derive(Clone)]
pub struct Checked {
    /// Its texts.
    pub sources: Sources,
    /// The typed graphs.
    pub module: Module,
    /// What is probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// What the data look like. `None`: the file has none.
    pub schema: Option<Schema>,
    pub(crate) data: Option<Data>,
    pub(crate) main: Main,
    pub(crate) set: Vec<String>,
}

/// A compiled file.
#[derive(Clone)]
pub struct Compiled {
    /// What it was made from.
    pub checked: Checked,
    /// What devices run.
    pub program: Program,
}

/// The main file and where its relative paths begin.
#[derive(Clone, Debug)]
pub(crate) struct Main {
    pub name: String,
    pub folder: PathBuf,
}

/// Checks a file without running anything. Data are opened, but only their headers are read.
pub fn check_file(path: impl AsRef<Path>, options: &Options) -> Result<Checked, Error> {
    check_for(path.as_ref(), options, Request::Train)
}

/// Checks and compiles a file for training, evaluation and prediction.
pub fn compile_file(path: impl AsRef<Path>, options: &Options) -> Result<Compiled, Error> {
    let checked = check_file(path, options)?;
    Ok(Compiled { program: compile(&checked.module, Gradients::Weights), checked })
}

/// Checks and compiles a file whose sample parts are given by name.
pub(crate) fn compile_for_step(path: &Path, options: &Options) -> Result<Compiled, Error> {
    let checked = check_for(path, options, Request::Step)?;
    Ok(Compiled { program: compile(&checked.module, Gradients::WeightsAndInputs), checked })
}

fn check_for(path: &Path, options: &Options, request: Request) -> Result<Checked, Error> {
    let (mut sources, main, id) = read_main(path)?;
    check(&mut sources, &main, id, &beside(&main), options, request)
}

/// Compiles the texts of an earlier run again.
pub(crate) fn compile_sources(texts: &Sources, folder: &Path, options: &Options) -> Result<Compiled, Error> {
    let mut sources = Sources::default();
    let main = &texts.source(SourceId(0));
    let id = sources.add(main.name.clone(), main.text.clone());
    let imported = texts.clone();
    let read = move |relative: &str| {
        let found =
            imported.iter().find(|(_, s)| s.name == relative || s.name.ends_with(&format!("/{relative}")));
        let missing = || std::io::Error::new(std::io::ErrorKind::NotFound, "the run did not import it");
        found.map(|(_, s)| s.text.to_string()).ok_or_else(missing)
    };
    let main = Main { name: main.name.clone(), folder: folder.to_path_buf() };
    let checked = check(&mut sources, &main, id, &read, options, Request::Train)?;
    Ok(Compiled { program: compile(&checked.module, Gradients::Weights), checked })
}

/// What the data of a file look like; only headers are read.
pub fn schema_of(path: impl AsRef<Path>, options: &Options) -> Result<Schema, Error> {
    let (mut sources, main, id) = read_main(path.as_ref())?;
    let (resolved, settings) = resolved(&mut sources, id, &beside(&main), options)?;
    let specs = stmc_model::data_sources(&resolved, &settings).map_err(|d| Error::program(&sources, d))?;
    let (schema, opened) = open(&sources, &specs, &main.folder)?;
    with_categories(&sources, &resolved, &specs, schema, &opened)
}

pub(crate) fn read_main(path: &Path) -> Result<(Sources, Main, SourceId), Error> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| Error::World(format!("{name}: {}", reason(&e))))?;
    let mut sources = Sources::default();
    let id = sources.add(name.clone(), text);
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    Ok((sources, Main { name, folder }, id))
}

/// Reads what the main file imports.
fn beside(main: &Main) -> impl Fn(&str) -> std::io::Result<String> {
    |relative| std::fs::read_to_string(main.folder.join(relative))
}

/// What an error of the file system says, without its number.
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::InvalidData => "this is not a text (UTF-8) file".into(),
        std::io::ErrorKind::IsADirectory => "this is a directory".into(),
        _ => error.to_string().split(" (os error").next().unwrap_or_default().to_lowercase(),
    }
}

type Reader<'a> = &'a dyn Fn(&str) -> std::io::Result<String>;

fn resolved(
    sources: &mut Sources,
    main: SourceId,
    read: Reader<'_>,
    options: &Options,
) -> Result<(Resolved, Settings), Error> {
    let resolved = stmc_model::resolve(sources, main, read).map_err(|d| Error::program(sources, d))?;
    let settings = Settings::parse(sources, &options.set).map_err(|d| Error::program(sources, d))?;
    Ok((resolved, settings))
}

fn check(
    sources: &mut Sources,
    main: &Main,
    id: SourceId,
    read: Reader<'_>,
    options: &Options,
    request: Request,
) -> Result<Checked, Error> {
    let (resolved, settings) = resolved(sources, id, read, options)?;
    let mut warnings = vec![];
    let (mut schema, mut data, mut plan, mut counts) = (None, None, None, Counts::default());
    if resolved.has_data() {
        let fail = |d| Error::program(sources, d);
        let specs = stmc_model::data_sources(&resolved, &settings).map_err(fail)?;
        let (found, opened) = match &options.schema {
            Some(schema) => (schema.clone(), None),
            None => {
                let (schema, opened) = open(sources, &specs, &main.folder)?;
                let schema = with_categories(sources, &resolved, &specs, schema, &opened)?;
                (schema, Some(opened))
            }
        };
        let made = stmc_model::data_plan(&resolved, &settings, &found).map_err(fail)?;
        // A mistake in the `train` block is reported with all others, by `elaborate`.
        let seed = stmc_model::seed(&resolved, &settings).unwrap_or(0);
        let set = opened.map(|opened| Dataset::new(made.clone(), opened)).transpose();
        let set = set.map_err(|d| Error::program(sources, d))?;
        let samples = match &set {
            Some(set) => Samples::of(set, seed),
            None => Samples::index(&made, seed),
        };
        let samples = samples.map_err(|d| Error::program(sources, vec![d]))?;
        warnings.extend(samples.warnings(&made));
        counts.parts =
            samples.names().iter().enumerate().map(|(i, n)| (n.clone(), samples.samples(i).len())).collect();
        counts.parts.insert("train".into(), samples.trained());
        if let Some(set) = set.filter(|_| request == Request::Train) {
            data = Some(Data { set: Arc::new(set), samples: Arc::new(samples) });
        }
        (schema, plan) = (Some(found), Some(made));
    }
    let (module, more) = stmc_model::elaborate(&resolved, &settings, plan.as_ref(), &counts, request)
        .map_err(|d| Error::program(sources, d))?;
    warnings.extend(more);
    let (main, set) = (main.clone(), options.set.clone());
    Ok(Checked { sources: sources.clone(), module, warnings, schema, data, main, set })
}

type Opened = Vec<Arc<dyn stmc_data::Source>>;

fn open(sources: &Sources, specs: &[SourceSpec], folder: &Path) -> Result<(Schema, Opened), Error> {
    let (mut opened, mut wrong) = (vec![], vec![]);
    for spec in specs {
        match stmc_data::open(spec, folder) {
            Ok(source) => opened.push(source),
            Err(error) => wrong.push(error.diagnostic(spec.span())),
        }
    }
    if !wrong.is_empty() {
        return Err(Error::program(sources, wrong));
    }
    Ok((Schema { sources: opened.iter().map(|s| s.schema().clone()).collect() }, opened))
}

/// The schema with the names of what fields read as categories.
fn with_categories(
    sources: &Sources,
    resolved: &Resolved,
    specs: &[SourceSpec],
    mut schema: Schema,
    opened: &Opened,
) -> Result<Schema, Error> {
    let wanted = stmc_model::data_categories(resolved);
    let told = |(source, error): (usize, stmc_data::DataError)| error.diagnostic(specs[source].span());
    match stmc_data::list_categories(&mut schema, &wanted, opened) {
        Ok(()) => Ok(schema),
        Err(wrong) => Err(Error::program(sources, wrong.into_iter().map(told).collect())),
    }
}
