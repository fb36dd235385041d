//! From a file to a compiled program: resolve, open the data, elaborate, compile.
use crate::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stmc_base::diagnostic::add_new;
use stmc_base::{Code, Diagnostic, Schema, SourceId, Sources};
use stmc_data::{Dataset, Samples};
use stmc_ir::data::{DataPlan, SourceSpec};
use stmc_ir::{Module, Program};
use stmc_model::{Counts, Request, Resolved, Settings, Tuning};
use stmc_passes::compile::{Gradients, compile};
use stmc_runtime::Data;

/// How a file is compiled.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `frames=3`, `train.batch=8`, `radar.from="path.npy"`.
    pub set: Vec<String>,
    /// Stands in for data that are not there.
    pub schema: Option<Schema>,
    /// Which model, where the file has several. `None`: the only one; `check` looks at all.
    pub model: Option<String>,
    /// Where a run has numbered names already, they keep their numbers, and no others may come.
    pub names: Option<Schema>,
}

/// A checked file.
#[derive(Clone)]
pub struct Checked {
    /// Its texts.
    pub sources: Sources,
    /// The typed graphs; of a run in phases those of the first.
    pub module: Module,
    /// What is probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// What the data look like. `None`: the file has none.
    pub schema: Option<Schema>,
    pub(crate) data: Option<Data>,
    /// The other phases of the run.
    pub(crate) later: Vec<Phase>,
    pub(crate) main: Main,
    pub(crate) set: Vec<String>,
    pub(crate) model: Option<String>,
}

/// A phase of a run after the first.
#[derive(Clone)]
pub(crate) struct Phase {
    pub module: Module,
    pub data: Option<Data>,
}

/// What of a file is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// The model that is meant.
    One,
    /// Every model.
    All,
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

/// Checks a file without running anything: all its models, or the one that the options name. Data are opened, but only their
/// headers are read. Of several models the first is given.
pub fn check_file(path: impl AsRef<Path>, options: &Options) -> Result<Checked, Error> {
    let reach = if options.model.is_some() { Reach::One } else { Reach::All };
    check_for(path.as_ref(), options, Request::Train, reach)
}

/// Checks a text as if it were the file `path`: what it imports and reads is looked for beside that.
pub fn check_text(path: impl AsRef<Path>, text: &str, options: &Options) -> Result<Checked, Error> {
    let (mut sources, main, id) = main_text(path.as_ref(), text);
    check(&mut sources, &main, id, &beside(&main), options, Request::Train, Reach::All)
}

/// Checks the model of a file that is meant.
pub(crate) fn check_one(path: &Path, options: &Options) -> Result<Checked, Error> {
    check_for(path, options, Request::Train, Reach::One)
}

/// Checks and compiles a file for training, evaluation and prediction.
pub fn compile_file(path: impl AsRef<Path>, options: &Options) -> Result<Compiled, Error> {
    let checked = check_one(path.as_ref(), options)?;
    Ok(Compiled { program: compile(&checked.module, Gradients::Weights), checked })
}

/// Checks and compiles a file whose sample parts are given by name.
pub(crate) fn compile_for_step(path: &Path, options: &Options) -> Result<Compiled, Error> {
    let checked = check_for(path, options, Request::Step, Reach::One)?;
    Ok(Compiled { program: compile(&checked.module, Gradients::WeightsAndInputs), checked })
}

fn check_for(path: &Path, options: &Options, request: Request, reach: Reach) -> Result<Checked, Error> {
    let (mut sources, main, id) = read_main(path)?;
    let checked = check(&mut sources, &main, id, &beside(&main), options, request, reach)?;
    start_is_there(&checked)?;
    Ok(checked)
}

/// What a run begins with is a file or a directory that exists.
fn start_is_there(checked: &Checked) -> Result<(), Error> {
    let Some(start) = checked.module.train.as_ref().and_then(|t| t.start.as_ref()) else { return Ok(()) };
    if checked.main.folder.join(&start.path).exists() {
        return Ok(());
    }
    let message = format!("`{}` is not there", start.path);
    let diagnostic = Diagnostic::new(Code::E0804, start.span, message);
    let help = "a path begins at the folder of this file";
    Err(Error::program(&checked.sources, vec![diagnostic.help(help)]))
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
    let checked = check(&mut sources, &main, id, &read, options, Request::Train, Reach::One)?;
    Ok(Compiled { program: compile(&checked.module, Gradients::Weights), checked })
}

/// What the data of a file look like; only headers are read.
pub fn schema_of(path: impl AsRef<Path>, options: &Options) -> Result<Schema, Error> {
    let (mut sources, main, id) = read_main(path.as_ref())?;
    let (resolved, settings) = resolved(&mut sources, id, &beside(&main), options)?;
    let specs = stmc_model::data_sources(&resolved, &settings).map_err(|d| Error::program(&sources, d))?;
    let (schema, opened) = open(&sources, &specs, &main.folder)?;
    with_categories(&sources, &resolved, &specs, schema, &opened, options)
}

/// What the `tune` block of a file asks for. `None`: it has none.
pub(crate) fn tuning_of(path: &Path, options: &Options) -> Result<Option<Tuning>, Error> {
    let (mut sources, main, id) = read_main(path)?;
    let (resolved, settings) = resolved(&mut sources, id, &beside(&main), options)?;
    stmc_model::tuning(&resolved, &settings).map_err(|d| Error::program(&sources, d))
}

pub(crate) fn read_main(path: &Path) -> Result<(Sources, Main, SourceId), Error> {
    let failed = |e| Error::World(format!("{}: {}", path.display(), reason(&e)));
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(main_text(path, &text))
}

fn main_text(path: &Path, text: &str) -> (Sources, Main, SourceId) {
    let name = path.display().to_string();
    let mut sources = Sources::default();
    let id = sources.add(name.clone(), text);
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    (sources, Main { name, folder }, id)
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
    reach: Reach,
) -> Result<Checked, Error> {
    let (mut resolved, settings) = resolved(sources, id, read, options)?;
    let choices = match reach {
        Reach::All => resolved.choices(),
        Reach::One => {
            let chosen = resolved.choice(options.model.as_deref());
            vec![chosen.map_err(|why| Error::Usage(format!("{}: {why}", main.name)))?]
        }
    };
    let file = File { sources, main, options, request };
    let (mut first, mut wrong, mut warnings): (Option<Checked>, Vec<Diagnostic>, Vec<Diagnostic>) =
        Default::default();
    for choice in choices {
        resolved.choose(choice);
        match file.check(&resolved, &settings) {
            Ok(mut checked) => {
                add_new(&mut warnings, std::mem::take(&mut checked.warnings));
                first = first.or(Some(checked));
            }
            Err(Error::Program { diagnostics, .. }) => add_new(&mut wrong, diagnostics),
            Err(other) => return Err(other),
        }
    }
    match first {
        Some(checked) if wrong.is_empty() => Ok(Checked { warnings, ..checked }),
        _ => Err(Error::program(sources, wrong)),
    }
}

/// A resolved file and how it is looked at.
struct File<'a> {
    sources: &'a Sources,
    main: &'a Main,
    options: &'a Options,
    request: Request,
}

/// One phase, checked.
struct Part {
    module: Module,
    warnings: Vec<Diagnostic>,
    schema: Option<Schema>,
    data: Option<Data>,
}

/// Sources of data that an earlier phase opened.
type Known = Option<(Vec<SourceSpec>, Schema, Opened)>;

impl File<'_> {
    fn fail(&self) -> impl Fn(Vec<Diagnostic>) -> Error {
        |diagnostics| Error::program(self.sources, diagnostics)
    }

    /// The chosen model in all its phases.
    fn check(&self, resolved: &Resolved, settings: &Settings) -> Result<Checked, Error> {
        let phases = match self.request {
            Request::Train => stmc_model::phases(resolved, settings).map_err(self.fail())?,
            Request::Step => vec![settings.clone()],
        };
        let mut parts = self.parts(resolved, &phases)?;
        let spanned: Vec<_> = parts.iter().map(|p| &p.module).zip(&phases).collect();
        let misfits = stmc_model::check_phases(&spanned);
        if !misfits.is_empty() {
            return Err(self.fail()(misfits));
        }
        if let Some(phases) = within_runs(&phases, &parts) {
            parts = self.parts(resolved, &phases)?;
        }
        let mut warnings = vec![];
        for part in &mut parts {
            add_new(&mut warnings, std::mem::take(&mut part.warnings));
        }
        let mut parts = parts.into_iter();
        let Part { module, schema, data, .. } = parts.next().expect("a run has a phase");
        Ok(Checked {
            sources: self.sources.clone(),
            module,
            warnings,
            schema,
            data,
            later: parts.map(|p| Phase { module: p.module, data: p.data }).collect(),
            main: self.main.clone(),
            set: self.options.set.clone(),
            model: self.options.model.clone(),
        })
    }

    /// Every phase; the mistakes of all of them together.
    fn parts(&self, resolved: &Resolved, phases: &[Settings]) -> Result<Vec<Part>, Error> {
        let (mut parts, mut wrong, mut known) = (vec![], vec![], None);
        for (n, phase) in phases.iter().enumerate() {
            match self.part(resolved, phase, &mut known) {
                Ok(part) => parts.push(part),
                Err(Error::Program { diagnostics, .. }) => {
                    let note = |d: Diagnostic| match phase.phase() {
                        Some(span) if d.labels[0].span != span => {
                            d.label(span, format!("in phase {}", n + 1))
                        }
                        _ => d,
                    };
                    add_new(&mut wrong, diagnostics.into_iter().map(note).collect());
                }
                Err(other) => return Err(other),
            }
        }
        if wrong.is_empty() { Ok(parts) } else { Err(self.fail()(wrong)) }
    }

    fn part(&self, resolved: &Resolved, settings: &Settings, known: &mut Known) -> Result<Part, Error> {
        let bound = match resolved.has_data() {
            true => self.bound(resolved, settings, known),
            false => Ok(Bound::default()),
        };
        let bound =
            bound.map_err(|error| with_mistakes_of_the_model(error, resolved, settings, self.request));
        let Bound { schema, plan, data, counts, mut warnings } = bound?;
        let made = stmc_model::elaborate(resolved, settings, plan.as_ref(), &counts, self.request);
        let (module, more) = made.map_err(self.fail())?;
        warnings.extend(more);
        Ok(Part { module, warnings, schema, data })
    }

    /// The data block and its data.
    fn bound(&self, resolved: &Resolved, settings: &Settings, known: &mut Known) -> Result<Bound, Error> {
        let (schema, opened) = self.opened(resolved, settings, known)?;
        let plan = stmc_model::data_plan(resolved, settings, &schema).map_err(self.fail())?;
        // A mistake in the `train` block is reported with all others, by `elaborate`.
        let seed = stmc_model::seed(resolved, settings).unwrap_or(0);
        let set = opened.map(|opened| Dataset::new(plan.clone(), opened)).transpose();
        let set = set.map_err(self.fail())?;
        let samples = match &set {
            Some(set) => Samples::of(set, seed),
            None => Samples::index(&plan, seed),
        };
        let samples = samples.map_err(|d| self.fail()(vec![d]))?;
        let mut bound = Bound { warnings: samples.warnings(&plan), ..Bound::default() };
        let count = |(i, n): (usize, &String)| (n.clone(), samples.samples(i).len());
        bound.counts.parts = samples.names().iter().enumerate().map(count).collect();
        bound.counts.parts.insert("train".into(), samples.trained());
        if let Some(set) = set.filter(|_| self.request == Request::Train) {
            bound.data = Some(Data { set: Arc::new(set), samples: Arc::new(samples) });
        }
        Ok(Bound { schema: Some(schema), plan: Some(plan), ..bound })
    }

    /// What the data look like, and the data where nothing stands in for them. Sources are opened once for all phases.
    fn opened(
        &self,
        resolved: &Resolved,
        settings: &Settings,
        known: &mut Known,
    ) -> Result<(Schema, Option<Opened>), Error> {
        let specs = stmc_model::data_sources(resolved, settings).map_err(self.fail())?;
        if let Some(schema) = &self.options.schema {
            return Ok((schema.clone(), None));
        }
        if let Some((_, schema, opened)) = known.as_ref().filter(|(before, ..)| *before == specs) {
            return Ok((schema.clone(), Some(opened.clone())));
        }
        let (schema, opened) = open(self.sources, &specs, &self.main.folder)?;
        let schema = with_categories(self.sources, resolved, &specs, schema, &opened, self.options)?;
        *known = Some((specs, schema.clone(), opened.clone()));
        Ok((schema, Some(opened)))
    }
}

/// The settings of phases whose schedules go on from each to the next: they see the updates of all of these as one run. `None`:
/// every schedule begins anew with its phase.
fn within_runs(phases: &[Settings], parts: &[Part]) -> Option<Vec<Settings>> {
    let trains: Vec<_> = parts.iter().map(|p| p.module.train.as_ref()).collect::<Option<_>>()?;
    let begins = |n: usize| n == 0 || trains[n].resets.schedules;
    if (0..phases.len()).all(begins) {
        return None;
    }
    let run = |n: usize| {
        let first = (0..=n).rev().find(|n| begins(*n)).expect("the first phase begins");
        let end = (n + 1..phases.len()).find(|n| begins(*n)).unwrap_or(phases.len());
        trains[first..end].iter().map(|t| t.steps).sum()
    };
    Some(phases.iter().enumerate().map(|(n, phase)| phase.within_run(run(n))).collect())
}

/// A data block and its data.
#[derive(Default)]
struct Bound {
    schema: Option<Schema>,
    plan: Option<DataPlan>,
    data: Option<Data>,
    counts: Counts,
    warnings: Vec<Diagnostic>,
}

/// What is wrong with the data is told together with what is wrong with the model, as far as that does not depend on
/// the data.
fn with_mistakes_of_the_model(
    error: Error,
    resolved: &Resolved,
    settings: &Settings,
    request: Request,
) -> Error {
    let Error::Program { sources, mut diagnostics } = error else { return error };
    if let Err(more) = stmc_model::elaborate(resolved, settings, None, &Counts::default(), request) {
        diagnostics.extend(more.into_iter().filter(|d| !d.code.is_of_data()));
    }
    Error::Program { sources, diagnostics }
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

/// The schema with the names of what fields read as categories, and without lists that are no coordinates here.
fn with_categories(
    sources: &Sources,
    resolved: &Resolved,
    specs: &[SourceSpec],
    mut schema: Schema,
    opened: &Opened,
    options: &Options,
) -> Result<Schema, Error> {
    let lists = schema.sources.iter_mut().flat_map(|s| &mut s.variables);
    lists.filter(|v| !resolved.has_axis(&v.name)).for_each(|v| v.coordinates = None);
    let mut wanted = stmc_model::data_categories(resolved);
    let mut numbered = options.names.clone().unwrap_or_default();
    wanted.retain(|(source, variable)| {
        let known = numbered.sources.get_mut(*source).and_then(|s| s.variable_mut(variable));
        match (known.and_then(|v| v.categories.take()), schema.sources[*source].variable_mut(variable)) {
            (Some(names), Some(variable)) => {
                variable.categories = Some(names);
                false
            }
            _ => true,
        }
    });
    let told = |(source, error): (usize, stmc_data::DataError)| error.diagnostic(specs[source].span());
    match stmc_data::list_categories(&mut schema, &wanted, opened) {
        Ok(()) => Ok(schema),
        Err(wrong) => Err(Error::program(sources, wrong.into_iter().map(told).collect())),
    }
}
