//! The data of the file that is being written: opened once, and made up where they are not there.
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use stmc_base::schema::{Coordinates, SchemaAxis, SourceSchema, Variable, VariableRef};
use stmc_base::{Diagnostic, Schema, Severity};
use stmc_data::{DataError, Dataset, Samples, Source};
use stmc_ir::data::{DataPlan, SourceSpec};
use stmc_model::{Counts, Resolved, Settings};
use stmc_syntax::ast::{self, DataKind, ExprKind};

/// The extent of an axis that nobody knows: many powers of two divide it.
const EXTENT: usize = 64;

/// Sources in the order of the `from` lines. The same ones are the same data: a file that has changed is opened anew.
type Opened = Vec<Arc<dyn Source>>;

/// Sources that were opened, until their files change, and what was read of them.
#[derive(Default)]
pub struct DataCache {
    opened: RefCell<BTreeMap<String, File>>,
    schemas: Memory<Vec<(usize, VariableRef)>, Schema>,
    samples: Memory<(DataPlan, u64), Sampled>,
}

/// An open file.
struct File {
    /// When it was written. `None`: it is a generator's.
    when: Option<SystemTime>,
    source: Arc<dyn Source>,
}

/// The parts of the split, counted, with warnings; or what is wrong with them.
type Sampled = Result<(Counts, Vec<Diagnostic>), Vec<Diagnostic>>;

/// The data block bound to its data.
#[derive(Default)]
pub(crate) struct Bound {
    /// `None`: there is no block, or it has mistakes.
    pub plan: Option<DataPlan>,
    pub counts: Counts,
    pub guessed: bool,
    diagnostics: Vec<Diagnostic>,
}

impl Bound {
    /// Its messages and those of the model. A model on made-up or broken data has mistakes of its own only.
    pub(crate) fn messages_with(mut self, mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let sound = self.diagnostics.iter().all(|d| d.severity() == Severity::Warning);
        if self.guessed || !sound {
            found.retain(|d| !d.code.is_of_data());
        }
        self.diagnostics.extend(found);
        self.diagnostics
    }
}

/// Binds the data block, if there is one.
pub(crate) fn bind(resolved: &Resolved, settings: &Settings, path: &Path, cache: &DataCache) -> Bound {
    let mut bound = Bound::default();
    if !resolved.has_data() {
        return bound;
    }
    let found = match stmc_model::data_sources(resolved, settings) {
        Ok(specs) => found(&specs, resolved, path, cache, &mut bound),
        Err(wrong) => {
            bound.diagnostics.extend(wrong);
            None
        }
    };
    bound.guessed = found.is_none();
    let (schema, opened) = found.unwrap_or_else(|| (declared(resolved), None));
    match stmc_model::data_plan(resolved, settings, &schema) {
        Ok(plan) => {
            let seed = stmc_model::seed(resolved, settings).unwrap_or(0);
            count(plan, seed, opened, cache, &mut bound);
        }
        Err(wrong) => {
            let guessed = bound.guessed;
            bound.diagnostics.extend(wrong.into_iter().filter(|d| !guessed || !d.code.is_of_data()));
        }
    }
    bound
}

/// What the files or generators hold, or what `stmc schema` once said of them. `None`: neither is there.
fn found(
    specs: &[SourceSpec],
    resolved: &Resolved,
    path: &Path,
    cache: &DataCache,
    bound: &mut Bound,
) -> Option<(Schema, Option<Opened>)> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let (mut opened, mut wrong) = (vec![], vec![]);
    for spec in specs {
        match cache.open(spec, folder) {
            Ok(source) => opened.push(source),
            Err(error) => wrong.push(error.diagnostic(spec.span())),
        }
    }
    if wrong.is_empty() {
        match cache.schema(&opened, stmc_model::data_categories(resolved)) {
            Ok(schema) => return Some((schema, Some(opened))),
            Err(more) => {
                wrong.extend(more.into_iter().map(|(source, e)| e.diagnostic(specs[source].span())));
            }
        }
    }
    let kept = std::fs::read_to_string(path.with_extension("schema.json")).ok();
    if let Some(schema) = kept.and_then(|text| serde_json::from_str(&text).ok()) {
        return Some((schema, None));
    }
    bound.diagnostics.extend(wrong);
    None
}

/// Counts the parts of the split.
fn count(plan: DataPlan, seed: u64, opened: Option<Opened>, cache: &DataCache, bound: &mut Bound) {
    let sampled = match opened {
        Some(opened) => cache.samples(&opened, &plan, seed),
        None => counted(&plan, Samples::index(&plan, seed)),
    };
    let told = match sampled {
        Ok((counts, warnings)) => {
            bound.counts = counts;
            warnings
        }
        Err(wrong) => wrong,
    };
    bound.diagnostics.extend(told.into_iter().filter(|_| !bound.guessed));
    bound.plan = Some(plan);
}

fn counted(plan: &DataPlan, samples: Result<Samples, Diagnostic>) -> Sampled {
    let samples = samples.map_err(|wrong| vec![wrong])?;
    let parts = samples.names().iter().enumerate();
    let mut counts = Counts { parts: parts.map(|(i, n)| (n.clone(), samples.samples(i).len())).collect() };
    counts.parts.insert("train".into(), samples.trained());
    Ok((counts, samples.warnings(plan)))
}

/// The schema of data that hold just what the fields declare.
fn declared(resolved: &Resolved) -> Schema {
    let mut schema = Schema::default();
    for statement in resolved.data().map_or(&[][..], |block| &block.statements) {
        match &statement.kind {
            DataKind::From(_) => schema.sources.push(SourceSchema::default()),
            DataKind::Field(f) => {
                if let Some(source) = schema.sources.last_mut() {
                    source.variables.push(variable(f));
                }
            }
            _ => {}
        }
    }
    schema
}

fn variable(field: &ast::Field) -> Variable {
    let name = match field.source.as_ref().map(|s| &s.kind) {
        Some(ExprKind::Str(name)) => name.to_string(),
        _ => field.name.text.to_string(),
    };
    let dims = match &field.ty.kind {
        ast::TypeKind::Tensor { shape: Some(dims), .. } => dims.as_slice(),
        _ => &[],
    };
    let extent = |dim: &ast::Dim| match &dim.extent {
        ast::Extent::Expr(e) => match e.kind {
            ExprKind::Int(i) => usize::try_from(i).unwrap_or(EXTENT),
            _ => EXTENT,
        },
        _ => EXTENT,
    };
    // A split by dates needs some.
    let dates = || Coordinates::Dates { first: "2000-01".into(), months: 1, days: 0.0 };
    let axis = |dim: &ast::Dim| {
        let name = dim.axis.word()?.text.to_string();
        let coordinates = (name == "time").then(dates);
        Some(SchemaAxis { name, extent: extent(dim), coordinates })
    };
    let unit = field.unit.as_ref().map(|u| u.value.to_string());
    let axes = dims.iter().filter_map(axis).collect();
    let is_name = matches!(&field.ty.kind, ast::TypeKind::Tensor { dtype: Some(ast::DType::Category), .. });
    let categories = is_name.then(|| vec!["a".to_string(), "b".to_string()]);
    Variable { name, dtype: "f32".into(), axes, unit, categories, ..Variable::default() }
}

impl DataCache {
    /// A source, opened anew only if its file has changed.
    fn open(&self, spec: &SourceSpec, folder: &Path) -> Result<Arc<dyn Source>, DataError> {
        let (key, when) = match spec {
            SourceSpec::File { path, .. } => {
                let file = folder.join(path);
                (file.display().to_string(), changed(&file))
            }
            SourceSpec::Files { pattern, axes, .. } => {
                let files = folder.join(pattern);
                (format!("{} {axes:?}", files.display()), changed(&files))
            }
            SourceSpec::Reader { format, path, options, .. } => {
                let file = folder.join(path);
                (format!("{format} {} {options:?}", file.display()), changed(&file))
            }
            SourceSpec::Generator { name, args, .. } => (format!("{name} {args:?}"), None),
        };
        if let Some(file) = self.opened.borrow().get(&key).filter(|file| file.when == when) {
            return Ok(file.source.clone());
        }
        let source = stmc_data::open(spec, folder)?;
        self.opened.borrow_mut().insert(key, File { when, source: source.clone() });
        Ok(source)
    }

    /// The schema of sources, with the names behind the categories that are wanted.
    fn schema(
        &self,
        opened: &Opened,
        wanted: Vec<(usize, VariableRef)>,
    ) -> Result<Schema, Vec<(usize, DataError)>> {
        if let Some(schema) = self.schemas.recall(opened, &wanted) {
            return Ok(schema);
        }
        let mut schema = Schema { sources: opened.iter().map(|source| source.schema().clone()).collect() };
        stmc_data::list_categories(&mut schema, &wanted, opened)?;
        self.schemas.keep(opened, wanted, schema.clone());
        Ok(schema)
    }

    /// The samples of a plan: the split may ask for values.
    fn samples(&self, opened: &Opened, plan: &DataPlan, seed: u64) -> Sampled {
        let key = (plan.clone(), seed);
        self.samples.recall(opened, &key).unwrap_or_else(|| {
            let sampled = Dataset::new(plan.clone(), opened.clone())
                .and_then(|set| counted(plan, Samples::of(&set, seed)));
            self.samples.keep(opened, key, sampled.clone());
            sampled
        })
    }
}

/// What was made of data lately.
struct Memory<K, V>(RefCell<VecDeque<(Opened, K, V)>>);

impl<K, V> Default for Memory<K, V> {
    fn default() -> Memory<K, V> {
        Memory(RefCell::default())
    }
}

impl<K: PartialEq, V: Clone> Memory<K, V> {
    /// So many files may be open.
    const SIZE: usize = 8;

    fn recall(&self, opened: &Opened, key: &K) -> Option<V> {
        let same =
            |o: &Opened| o.len() == opened.len() && o.iter().zip(opened).all(|(a, b)| Arc::ptr_eq(a, b));
        self.0.borrow().iter().find(|(o, k, _)| same(o) && k == key).map(|(_, _, value)| value.clone())
    }

    fn keep(&self, opened: &Opened, key: K, value: V) {
        let mut all = self.0.borrow_mut();
        all.push_front((opened.clone(), key, value));
        all.truncate(Self::SIZE);
    }
}

/// When a file was written; of a pattern, when its folder was.
fn changed(file: &Path) -> Option<SystemTime> {
    let place = match file.exists() {
        true => file.to_path_buf(),
        false => file.parent().map(Path::to_path_buf).unwrap_or_default(),
    };
    std::fs::metadata(place).ok()?.modified().ok()
}
