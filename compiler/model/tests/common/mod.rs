//! Elaborates the text of a program whose data are `storms`, or are described in comments:
//! `// data: variable axis=extent …`.
use stmc_base::diagnostic::Style;
use stmc_base::schema::{SchemaAxis, SourceSchema, Variable};
use stmc_base::{Diagnostic, Schema, Sources};
use stmc_ir::Module;
use stmc_ir::data::SourceSpec;
use stmc_model::{Counts, Request, Settings, data_plan, data_sources, elaborate, resolve};

/// The module and its warnings, or the errors; and the texts.
pub fn elaborated(
    text: &str,
    set: &[&str],
    request: Request,
) -> (Sources, Result<(Module, Vec<Diagnostic>), Vec<Diagnostic>>) {
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
) -> Result<(Module, Vec<Diagnostic>), Vec<Diagnostic>> {
    let missing = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    let resolved = resolve(sources, id, &missing)?;
    let set: Vec<String> = set.iter().map(|s| s.to_string()).collect();
    let settings = Settings::parse(sources, &set)?;
    if !resolved.has_data() {
        return elaborate(&resolved, &settings, None, &Counts::default(), request);
    }
    let specs = data_sources(&resolved, &settings)?;
    let schema = Schema { sources: specs.iter().map(|s| source(s, text)).collect() };
    let plan = data_plan(&resolved, &settings, &schema)?;
    let counts = Counts { parts: [("train".to_string(), 800)].into() };
    elaborate(&resolved, &settings, Some(&plan), &counts, request)
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
        SourceSpec::File { path, .. } => SourceSchema { origin: path.clone(), variables: described(text) },
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
    let axes =
        axes.iter().map(|(name, extent)| SchemaAxis { name: name.to_string(), extent: *extent }).collect();
    Variable { name: name.to_string(), dtype: "f32".into(), axes, unit: None }
}

/// Messages as a terminal shows them.
pub fn rendered(sources: &Sources, diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|d| d.render(sources, Style::Plain)).collect()
}

/// The module of a program that is right.
pub fn module(text: &str) -> Module {
    let (sources, result) = elaborated(text, &[], Request::Train);
    result.unwrap_or_else(|e| panic!("{}", rendered(&sources, &e))).0
}
