//! The data of the file that is being written: opened once, and made up where they are not there.
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use stmc_base::schema::{Coordinates, SchemaAxis, SourceSchema, Variable};
use stmc_base::{Code, Diagnostic, Schema, Severity};
use stmc_data::{DataError, Samples, Source};
use stmc_ir::data::{DataPlan, SourceSpec};
use stmc_model::{Counts, Resolved, Settings};
use stmc_syntax::ast::{self, DataKind, ExprKind, ItemKind};

/// The extent of an axis that nobody knows: many powers of two divide it.
const EXTENT: usize = 64;

/// Messages that say nothing where extents are made up.
const OF_EXTENTS: &[Code] = &[
    Code::E0201,
    Code::E0206,
    Code::E0207,
    Code::E0208,
    Code::E0405,
    Code::E0505,
    // Names, dates and columns are known by the data alone.
    Code::E0901,
    Code::E0902,
    Code::E0905,
    Code::E0902,
    Code::E0904,
    Code::W0801,
    Code::W0902,
];

/// Sources that were opened, until their files change.
#[derive(Default)]
pub struct DataCache {
    opened: RefCell<BTreeMap<String, (Option<SystemTime>, Arc<dyn Source>)>>,
}

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
            found.retain(|d| !OF_EXTENTS.contains(&d.code));
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
    let schema = match stmc_model::data_sources(resolved, settings) {
        Ok(specs) => schema(&specs, resolved, path, cache, &mut bound),
        Err(wrong) => {
            bound.diagnostics.extend(wrong);
            None
        }
    };
    let schema = schema.unwrap_or_else(|| {
        bound.guessed = true;
        declared(resolved)
    });
    match stmc_model::data_plan(resolved, settings, &schema) {
        Ok(plan) => count(&plan, resolved, settings, &mut bound),
        Err(wrong) => {
            let guessed = bound.guessed;
            bound.diagnostics.extend(wrong.into_iter().filter(|d| !guessed || !OF_EXTENTS.contains(&d.code)));
        }
    }
    bound
}

/// What the files or generators hold, or what `stmc schema` once said of them. `None`: neither is there.
fn schema(
    specs: &[SourceSpec],
    resolved: &Resolved,
    path: &Path,
    cache: &DataCache,
    bound: &mut Bound,
) -> Option<Schema> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut schema = Schema::default();
    let (mut opened, mut wrong) = (vec![], vec![]);
    for spec in specs {
        match cache.open(spec, folder) {
            Ok(source) => {
                schema.sources.push(source.schema().clone());
                opened.push(source);
            }
            Err(error) => wrong.push(error.diagnostic(spec.span())),
        }
    }
    if wrong.is_empty()
        && let Err(more) =
            stmc_data::list_categories(&mut schema, &stmc_model::data_categories(resolved), &opened)
    {
        wrong.extend(more.into_iter().map(|(source, error)| error.diagnostic(specs[source].span())));
    }
    if wrong.is_empty() {
        return Some(schema);
    }
    let kept = std::fs::read_to_string(path.with_extension("schema.json")).ok();
    if let Some(schema) = kept.and_then(|text| serde_json::from_str(&text).ok()) {
        return Some(schema);
    }
    bound.diagnostics.extend(wrong);
    None
}

/// The parts of the split, counted.
fn count(plan: &DataPlan, resolved: &Resolved, settings: &Settings, bound: &mut Bound) {
    let seed = stmc_model::seed(resolved, settings).unwrap_or(0);
    match Samples::index(plan, seed) {
        Ok(samples) => {
            let parts = samples.names().iter().enumerate();
            bound.counts.parts = parts.map(|(i, n)| (n.clone(), samples.samples(i).len())).collect();
            let warnings = samples.warnings(plan);
            bound.diagnostics.extend(warnings.into_iter().filter(|_| !bound.guessed));
        }
        Err(wrong) if !bound.guessed => bound.diagnostics.push(wrong),
        Err(_) => {}
    }
    bound.plan = Some(plan.clone());
}

/// The schema of data that hold just what the fields declare.
fn declared(resolved: &Resolved) -> Schema {
    let mut schema = Schema::default();
    let blocks = resolved.units[0].file.items.iter();
    let block = blocks.filter_map(|i| if let ItemKind::Data(d) = &i.kind { Some(d) } else { None }).next();
    for statement in block.map_or(&[][..], |b| &b.statements) {
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
        let (key, changed) = match spec {
            SourceSpec::File { path, .. } => {
                let file = folder.join(path);
                (file.display().to_string(), Some(changed(&file)))
            }
            SourceSpec::Reader { format, path, options, .. } => {
                let file = folder.join(path);
                (format!("{format} {} {options:?}", file.display()), Some(changed(&file)))
            }
            SourceSpec::Generator { name, args, .. } => (format!("{name} {args:?}"), None),
        };
        if let Some((when, source)) = self.opened.borrow().get(&key)
            && *when == changed.flatten()
        {
            return Ok(source.clone());
        }
        let source = stmc_data::open(spec, folder)?;
        self.opened.borrow_mut().insert(key, (changed.flatten(), source.clone()));
        Ok(source)
    }
}

/// When a file was written; of a pattern, when its folder was.
fn changed(file: &Path) -> Option<SystemTime> {
    let place = match file.exists() {
        true => file.to_path_buf(),
        false => file.parent().map(Path::to_path_buf).unwrap_or_else(PathBuf::new),
    };
    std::fs::metadata(place).ok()?.modified().ok()
}
