//! Elaborates the text of a program whose data are `storms`, or are described in comments:
//! `// data: variable axis=extent …`.
use std::collections::BTreeMap;
use stmc_base::diagnostic::Style;
use stmc_base::schema::{SchemaAxis, SourceSchema, Variable};
use stmc_base::{Diagnostic, Schema, Sources};
use stmc_ir::data::SourceSpec;
use stmc_ir::interpret::{self, Context, Value};
use stmc_ir::module::{EntryGraph, InputRole, OutputRole};
use stmc_ir::{AxisId, Module, Type};
use stmc_model::{Counts, Request, Resolved, Settings, data_plan, data_sources, elaborate, resolve};

/// The modules of a run's phases.
pub fn modules(text: &str) -> Vec<Module> {
    let mut sources = Sources::default();
    let id = sources.add("program.stm", text);
    match all_phases(&mut sources, id, text, &[], Request::Train) {
        Ok(parts) => parts.into_iter().map(|(module, _)| module).collect(),
        Err(errors) => panic!("{text}\n{}", rendered(&sources, &errors)),
    }
}

/// The module and its warnings, or the errors.
pub type Outcome = Result<(Module, Vec<Diagnostic>), Vec<Diagnostic>>;

/// The outcome and the texts.
pub fn elaborated(text: &str, set: &[&str], request: Request) -> (Sources, Outcome) {
    let mut sources = Sources::default();
    let id = sources.add("program.stm", text);
    let result = phases(&mut sources, id, text, set, request);
    (sources, result)
}

fn phases(
    sources: &mut Sources,
    id: stmc_base::SourceId,
    text: &str,
    set: &[&str],
    request: Request,
) -> Outcome {
    let parts = all_phases(sources, id, text, set, request)?;
    Ok(parts.into_iter().next().expect("a run has a phase"))
}

fn all_phases(
    sources: &mut Sources,
    id: stmc_base::SourceId,
    text: &str,
    set: &[&str],
    request: Request,
) -> Result<Vec<(Module, Vec<Diagnostic>)>, Vec<Diagnostic>> {
    let missing = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    let resolved = resolve(sources, id, &missing)?;
    let set: Vec<String> = set.iter().map(|s| s.to_string()).collect();
    let settings = Settings::parse(sources, &set)?;
    let all = stmc_model::phases(&resolved, &settings)?;
    let parts: Result<Vec<_>, _> = all.iter().map(|s| phase(&resolved, s, text, request)).collect();
    let parts = parts?;
    let pairs: Vec<_> = parts.iter().map(|(module, _)| module).zip(&all).collect();
    let misfits = stmc_model::check_phases(&pairs);
    if misfits.is_empty() { Ok(parts) } else { Err(misfits) }
}

fn phase(resolved: &Resolved, settings: &Settings, text: &str, request: Request) -> Outcome {
    if !resolved.has_data() {
        return elaborate(resolved, settings, None, &Counts::default(), request);
    }
    let specs = data_sources(resolved, settings)?;
    let schema = Schema { sources: specs.iter().map(|s| source(s, text)).collect() };
    let plan = data_plan(resolved, settings, &schema)?;
    let counts = Counts { parts: [("train".to_string(), 800)].into() };
    elaborate(resolved, settings, Some(&plan), &counts, request)
}

/// What a source holds.
fn source(spec: &SourceSpec, text: &str) -> SourceSchema {
    match spec {
        SourceSpec::Generator { name, args, .. } => {
            let n = |name: &str| args.get(name).map_or(1, |x| *x as usize);
            let axes =
                [("sequence", n("count")), ("time", n("length")), ("row", n("size")), ("col", n("size"))];
            SourceSchema { origin: name.clone(), variables: vec![variable("rain", &axes)] }
        }
        SourceSpec::File { path, .. }
        | SourceSpec::Files { pattern: path, .. }
        | SourceSpec::Reader { path, .. } => {
            SourceSchema { origin: path.clone(), variables: described(text) }
        }
    }
}

fn described(text: &str) -> Vec<Variable> {
    let lines = text.lines().filter_map(|l| l.strip_prefix("// data: "));
    let parse = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a variable has a name").to_string();
        let axes: Vec<(String, usize)> = words
            .map(|w| w.split_once('=').expect("an axis has an extent"))
            .map(|(axis, n)| (axis.to_string(), n.parse().expect("an extent is a number")))
            .collect();
        let axes: Vec<(&str, usize)> = axes.iter().map(|(a, n)| (a.as_str(), *n)).collect();
        variable(&name, &axes)
    };
    lines.map(parse).collect()
}

fn variable(name: &str, axes: &[(&str, usize)]) -> Variable {
    let axes = axes.iter().map(|(name, extent)| SchemaAxis::new(name, *extent)).collect();
    Variable { name: name.to_string(), dtype: "f32".into(), axes, ..Variable::default() }
}

/// Messages as a terminal shows them.
pub fn rendered(sources: &Sources, diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|d| d.render(sources, Style::Plain)).collect()
}

/// The module of a program that is right.
pub fn module(text: &str, request: Request) -> Module {
    let (sources, result) = elaborated(text, &[], request);
    result.unwrap_or_else(|e| panic!("{text}\n{}", rendered(&sources, &e))).0
}

/// Numbers by name.
pub type Numbers = BTreeMap<String, Vec<f64>>;

/// An entry's outputs, each in the order of its axes. Inputs are by name, in the order of their axes; weights by path, in
/// disk order, those not given follow a pattern.
pub fn run(module: &Module, entry: &str, given: &Numbers) -> Numbers {
    let entry = module.entry(entry).expect("the entry is there");
    let values = inputs(module, entry, given);
    let host = module.scalars.iter().map(|e| e.eval(&|_| Some(0.0))).collect();
    let results = interpret::run(&entry.graph, &values, &Context { host, seed: 1, update: 1 });
    let named = entry.outputs.iter().zip(results).enumerate().map(|(i, (role, value))| match role {
        OutputRole::Named { name, axes } => (name.clone(), ordered(&value, axes)),
        OutputRole::Loss { name, .. } => (name.clone(), value.data),
        OutputRole::Buffer(id) => {
            let param = &module.params[id.index()];
            (param.path.clone(), ordered(&value, &param.disk))
        }
        _ => (format!("partial{i}"), value.data),
    });
    named.collect()
}

fn inputs(module: &Module, entry: &EntryGraph, given: &Numbers) -> Vec<Value> {
    let types: BTreeMap<usize, Type> = entry.graph.inputs().into_iter().collect();
    let value = |(i, role): (usize, &InputRole)| {
        let ty = &types[&i];
        let (name, axes) = match role {
            InputRole::Param(id) => (&module.params[id.index()].path, module.params[id.index()].disk.clone()),
            InputRole::Named { name, axes } => (name, axes.clone()),
            InputRole::Slab { slab, axes } => return unordered(ty, axes, &given[&format!("slab{slab}")]),
            InputRole::Valid => return unordered(ty, &[ty.dims()[0].axis], &given["valid"]),
            InputRole::Mask { site, axes } => return unordered(ty, axes, &given[site]),
        };
        let numbers = given.get(name).cloned().unwrap_or_else(|| pattern(ty.len()));
        unordered(ty, &axes, &numbers)
    };
    entry.inputs.iter().enumerate().map(value).collect()
}

/// Small numbers of both signs without a short period.
pub fn pattern(n: usize) -> Vec<f64> {
    (0..n).map(|k| ((k * 7 + 3) % 23) as f64 / 20.0 - 0.5).collect()
}

/// A tensor from numbers in an order of axes, the slowest first.
fn unordered(ty: &Type, axes: &[AxisId], numbers: &[f64]) -> Value {
    assert_eq!(numbers.len(), ty.len(), "as many numbers as the input has elements");
    let extent = |a: &AxisId| ty.extent(*a).expect("the tensor has its axes");
    let place = |index: &[usize]| {
        axes.iter().fold(0, |at, a| {
            let i = ty.dims().iter().position(|d| d.axis == *a).expect("the tensor has its axes");
            at * extent(a) + index[i]
        })
    };
    Value::build(ty, |index| numbers[place(index)])
}

/// Numbers in an order of axes, the slowest first.
fn ordered(value: &Value, axes: &[AxisId]) -> Vec<f64> {
    let ty = &value.ty;
    let mut out = vec![0.0; ty.len()];
    let mut n = 0;
    interpret::each_index(ty, |index| {
        let at = axes.iter().fold(0, |at, a| {
            let i = ty.dims().iter().position(|d| d.axis == *a).expect("the tensor has its axes");
            at * ty.dims()[i].extent + index[i]
        });
        out[at] = value.data[n];
        n += 1;
    });
    out
}

/// Whether two lists of numbers are the same but for rounding.
pub fn assert_close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}: {found:?} and {expected:?}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f - e).abs() <= 1e-9 * (1.0 + e.abs()),
            "{what}: element {i} is {f}, not {e}; {found:?}, {expected:?}"
        );
    }
}
