//! Single operations against values and gradients computed elsewhere: `STMC_REFERENCE` names the folder with `oracle/ops/`, the table
//! `oracle/ops.txt` says how each is written in `.stm`. Without the folder nothing is compared, and the test says so.
//!
//! A block of the table begins with `op NAME`, perhaps with attributes that a case must have (`mode=reflect`, a present
//! tensor `?bias`); the first block that fits a case is its. Then, each on a line:
//!
//! - `given x: batch channel row col`: the tensor `in.x`, its axes in its order; `given weight -> conv.weight`: it is a weight.
//!   An axis `_` has extent 1 and is left out. If no tensor has `batch`, a batch of one is put before them.
//! - `space row col`, `use std.nn.Conv`, `model conv = …` (a line of the model's body, or of the file for `file …`)
//! - `out y: channel row = …`: `out.y`; it is multiplied by `gout.y` and added up, and the gradients of that are compared
//! - `loss y = …`: a scalar of everything that is given; `p` is the model's output then
//! - `none …`: why the language has nothing to compare
//!
//! `<stride>` is an attribute, `<pad.0>` a part of one, `<stride@row,col>` the same by axis, `<x.1>` an extent of `in.x`, `<?bias>` whether there is a tensor.
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use stmc::{Options, Schema, StepFiles, Tensor};
use stmc_base::schema::{SchemaAxis, SourceSchema, Variable};
use stmc_ir::Device;
use stmc_runtime::tensor::{Named, read, write};
use stmc_tests::devices;

/// A block of the table.
#[derive(Default, Clone, Debug)]
struct Block {
    op: String,
    conditions: Vec<String>,
    given: Vec<String>,
    space: Option<String>,
    uses: Vec<String>,
    file: Vec<String>,
    model: Vec<String>,
    out: Vec<String>,
    loss: Vec<String>,
    none: Option<String>,
}

/// A case of the manifest.
struct Case {
    name: String,
    attrs: serde_json::Map<String, Json>,
    tensors: BTreeMap<String, Vec<usize>>,
    tolerance: BTreeMap<String, f64>,
    relative: f64,
}

/// An output that is compared.
struct Output {
    name: String,
    /// Its axes but the batch, with their extents.
    axes: Vec<(String, usize)>,
    value: String,
    /// The dimensions of the case's tensor, the batch's first. `None`: it stands first already, or there is none.
    order: Option<Vec<usize>>,
}

/// A tensor that a program is given: its name and its axes with their extents.
struct Given {
    name: String,
    axes: Vec<(String, usize)>,
    /// The weight that it is. `None`: it is a part of the sample.
    weight: Option<String>,
}

fn table() -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/ops.txt");
    let text = std::fs::read_to_string(path).expect("the table is there");
    let mut blocks: Vec<Block> = vec![];
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (word, rest) = line.split_once(' ').expect("a line has a word and the rest");
        let rest = rest.trim().to_string();
        if word == "op" {
            let mut words = rest.split_whitespace().map(str::to_string);
            let op = words.next().expect("a block has a name");
            blocks.push(Block { op, conditions: words.collect(), ..Block::default() });
            continue;
        }
        let block = blocks.last_mut().expect("a block begins with `op`");
        match word {
            "given" => block.given.extend(rest.split(';').map(|g| g.trim().to_string())),
            "space" => block.space = Some(rest),
            "use" => block.uses.push(rest),
            "file" => block.file.push(rest),
            "model" => block.model.push(rest),
            "out" => block.out.push(rest),
            "loss" => block.loss.push(rest),
            "none" => block.none = Some(rest),
            other => panic!("the table has no `{other}`"),
        }
    }
    blocks
}

fn cases(folder: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(folder.join("manifest.json")).expect("the oracle has a manifest");
    let all: Vec<Json> = serde_json::from_str(&text).expect("the manifest is JSON");
    all.iter().map(case).collect()
}

fn case(json: &Json) -> Case {
    let object = |key: &str| json[key].as_object().cloned().unwrap_or_default();
    let mut attrs = object("attrs");
    for key in ["op", "name"] {
        attrs.insert(key.into(), json[key].clone());
    }
    let shape = |t: &Json| {
        let dims = t["shape"].as_array().expect("a tensor has a shape");
        dims.iter().map(|d| d.as_u64().expect("an extent") as usize).collect()
    };
    let tolerance = json["tolerance"]["atol"].as_object().cloned().unwrap_or_default();
    Case {
        name: json["name"].as_str().expect("a case has a name").to_string(),
        attrs,
        tensors: object("tensors").iter().map(|(name, t)| (name.clone(), shape(t))).collect(),
        tolerance: tolerance.iter().filter_map(|(n, x)| Some((n.clone(), x.as_f64()?))).collect(),
        relative: json["tolerance"]["rtol"].as_f64().unwrap_or(1e-5),
    }
}

impl Case {
    fn is(&self, block: &Block) -> bool {
        let holds = |condition: &String| match condition.split_once('=') {
            Some((key, value)) => self.attrs.get(key).is_some_and(|v| shown(v) == value),
            None => self.has(condition.trim_start_matches('?')),
        };
        self.attrs["op"] == block.op && block.conditions.iter().all(holds)
    }

    fn has(&self, tensor: &str) -> bool {
        self.tensors.contains_key(&format!("in.{tensor}"))
    }

    /// A text of the table with this case's numbers.
    fn filled(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('<') {
            let found = after.split_once('>').and_then(|(key, tail)| Some((self.lookup(key)?, tail)));
            out += before;
            rest = match found {
                Some((value, tail)) => {
                    out += &value;
                    tail
                }
                None => {
                    out.push('<');
                    after
                }
            };
        }
        out + rest
    }

    fn lookup(&self, key: &str) -> Option<String> {
        if let Some(tensor) = key.strip_prefix('?') {
            return Some(self.has(tensor).to_string());
        }
        if let Some((name, axes)) = key.split_once('@') {
            let value = self.attrs.get(name)?;
            let each = |(i, axis): (usize, &str)| {
                let of = value.as_array().map_or(value, |list| &list[i]);
                format!("{axis}: {}", shown(of))
            };
            let parts: Vec<String> = axes.split(',').enumerate().map(each).collect();
            return Some(format!("{{ {} }}", parts.join(", ")));
        }
        if let Some((tensor, n)) = key.rsplit_once('.')
            && let Ok(n) = n.parse::<usize>()
            && let Some(shape) =
                self.tensors.get(&format!("in.{tensor}")).or_else(|| self.tensors.get(tensor))
        {
            return shape.get(n).map(usize::to_string);
        }
        if let Some((name, n)) = key.rsplit_once('.')
            && let (Some(list), Ok(n)) = (self.attrs.get(name).and_then(Json::as_array), n.parse::<usize>())
        {
            return list.get(n).map(shown);
        }
        self.attrs.get(key).map(shown)
    }

    fn given(&self, block: &Block) -> Vec<Given> {
        let mut given = vec![];
        for line in &block.given {
            let (name, weight, axes) = match (line.split_once("->"), line.split_once(':')) {
                (Some((name, path)), _) => (name.trim(), Some(path.trim().to_string()), ""),
                (None, Some((name, axes))) => (name.trim(), None, axes),
                (None, None) => (line.as_str(), None, ""),
            };
            if !self.has(name) {
                continue;
            }
            let shape = &self.tensors[&format!("in.{name}")];
            let axes: Vec<(String, usize)> =
                axes.split_whitespace().map(str::to_string).zip(shape.iter().copied()).collect();
            given.push(Given { name: name.to_string(), axes, weight });
        }
        given
    }
}

/// An attribute as the language writes it.
fn shown(value: &Json) -> String {
    match value {
        Json::String(s) => s.clone(),
        Json::Array(list) => format!("({})", list.iter().map(shown).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// A program for a case.
struct Program {
    text: String,
    /// `train.batch=2`
    batch: String,
    schema: Schema,
    /// What it gives, and which output of the case that is.
    results: Vec<(String, Output)>,
}

fn named(axes: &[(String, usize)]) -> impl Iterator<Item = &(String, usize)> {
    axes.iter().filter(|(a, _)| a != "batch" && a != "_")
}

fn typed(axes: &[(String, usize)]) -> String {
    named(axes).map(|(a, n)| format!("{a}: {n}")).collect::<Vec<_>>().join(", ")
}

/// The parts of the sample and what is known of the file that they would be in.
fn data(parts: &[Given], batched: bool) -> (String, Schema) {
    let of_samples = |g: &Given| !batched || g.axes.iter().any(|(a, _)| a == "batch");
    let mut text = String::from("data given {\n    from \"given.npz\"\n");
    let mut variables = vec![];
    for part in parts {
        let mut axes: Vec<(String, usize)> = named(&part.axes).cloned().collect();
        if of_samples(part) {
            let count = part.axes.iter().find(|(a, _)| a == "batch").map_or(1, |(_, n)| *n);
            axes.insert(0, ("case".into(), count));
        }
        let names: Vec<&str> = axes.iter().map(|(a, _)| a.as_str()).collect();
        text += &format!("    field {}: f32[{}]\n", part.name, names.join(", "));
        let axis = |(name, extent): &(String, usize)| SchemaAxis {
            name: name.clone(),
            extent: *extent,
            ..SchemaAxis::default()
        };
        variables.push(Variable {
            name: part.name.clone(),
            dtype: "f32".into(),
            axes: axes.iter().map(axis).collect(),
            ..Variable::default()
        });
    }
    text += "    sample at s in case {\n";
    for part in parts {
        let at = if of_samples(part) { "[case: s]" } else { "" };
        text += &format!("        {0}: {0}{at}\n", part.name);
    }
    text += "    }\n    split { train: rest }\n}\n";
    (text, Schema { sources: vec![SourceSchema { origin: "given.npz".into(), variables }] })
}

/// The programs of a case: one for all outputs, or one for each loss.
fn programs(case: &Case, block: &Block) -> Vec<Program> {
    let mut given = case.given(block);
    let batched = given.iter().any(|g| g.axes.iter().any(|(a, _)| a == "batch"));
    let outputs: Vec<Output> = block.out.iter().map(|o| output(case, o)).collect();
    let batch = given.iter().flat_map(|g| &g.axes).find(|(a, _)| a == "batch").map_or(1, |(_, n)| *n);
    for out in &outputs {
        let mut axes = out.axes.clone();
        if batched {
            axes.insert(0, ("batch".into(), batch));
        }
        given.push(Given { name: format!("gout_{}", out.name), axes, weight: None });
    }
    let parts: Vec<Given> = given.into_iter().filter(|g| g.weight.is_none()).collect();
    let (data, schema) = data(&parts, batched);
    let mut head: String = block.uses.iter().map(|u| format!("use {u}\n")).collect();
    head += "use std.optim.Adam\n";
    if let Some(space) = &block.space {
        head += &format!("axes space = ({})\n", space.replace(' ', ", "));
    }
    head += &block.file.iter().map(|l| case.filled(l) + "\n").collect::<String>();
    let train = |loss: &str| {
        format!(
            "train Net on given {{\n    loss = {loss}\n    optimizer = Adam(lr: 1e-3)\n    epochs = 1\n}}\n"
        )
    };
    let inputs = |parts: &[Given]| {
        let inputs = parts.iter().filter(|p| !p.name.starts_with("gout_"));
        inputs.map(|p| format!("{}: f32[{}]", p.name, typed(&p.axes))).collect::<Vec<_>>().join(", ")
    };
    if !outputs.is_empty() {
        let types: Vec<String> =
            outputs.iter().map(|o| format!("out_{}: f32[{}]", o.name, typed(&o.axes))).collect();
        let values: Vec<String> =
            outputs.iter().map(|o| format!("out_{}: one * ({})", o.name, o.value)).collect();
        let lines: String = block.model.iter().map(|l| format!("    {}\n", case.filled(l))).collect();
        let model = format!(
            "model Net({}) -> {{ {} }} {{\n    param one: [] ~ 1\n{lines}    {{ {} }}\n}}\n",
            inputs(&parts),
            types.join(", "),
            values.join(", ")
        );
        let terms: Vec<String> = outputs.iter().map(|o| format!("sum(out_{0} * gout_{0})", o.name)).collect();
        let results = outputs.into_iter().map(|o| (format!("out.out_{}", o.name), o)).collect();
        let text = format!("{head}{data}{model}{}", train(&terms.join(" + ")));
        return vec![Program { text, batch: format!("train.batch={batch}"), schema, results }];
    }
    let p = &parts[0];
    let model = format!(
        "model Net(given_p: f32[{0}]) -> {{ p: f32[{0}] }} {{\n    param one: [] ~ 1\n    {{ p: one * given_p }}\n}}\n",
        typed(&p.axes)
    );
    let data = data.replacen(&format!("        {}: ", p.name), "        given_p: ", 1);
    let program = |line: &String| {
        let (name, loss) = line.split_once('=').expect("a loss has a name");
        let name = name.trim();
        let loss = format!("{} + 0 * mean(p)", case.filled(loss.trim()));
        let text = format!("{head}{data}{model}{}", train(&loss));
        let out = Output { name: name.into(), axes: vec![], value: String::new(), order: None };
        Program {
            text,
            batch: format!("train.batch={batch}"),
            schema: schema.clone(),
            results: vec![("loss".into(), out)],
        }
    };
    block.loss.iter().map(program).collect()
}

/// `y: channel row = x`
fn output(case: &Case, line: &str) -> Output {
    let (left, value) = line.split_once('=').expect("an output has a value");
    let (name, axes) = left.split_once(':').expect("an output has axes");
    let shape = &case.tensors[&format!("out.{}", name.trim())];
    let mut names: Vec<String> = axes.split_whitespace().map(str::to_string).collect();
    if names.len() + 1 == shape.len() {
        names.insert(0, "batch".into());
    }
    let order = names.iter().position(|a| a == "batch").filter(|at| *at > 0).map(|at| {
        let mut order: Vec<usize> = (0..names.len()).filter(|d| *d != at).collect();
        order.insert(0, at);
        order
    });
    let axes = names.into_iter().zip(shape.iter().copied()).filter(|(a, _)| a != "batch").collect();
    Output { name: name.trim().to_string(), axes, value: case.filled(value.trim()), order }
}

impl Output {
    /// The case's tensor of this kind (`out`, `gout`), the batch's dimension first.
    fn tensor(&self, file: &Named, kind: &str) -> Option<Tensor> {
        let name = format!("{kind}.{}", self.name);
        let tensor = &file.iter().find(|t| t.0 == name)?.1;
        Some(self.order.as_ref().map_or_else(|| tensor.clone(), |order| tensor.permute(order)))
    }
}

/// What is compared: the result's name, the case's name for it, the values.
type Wanted = (String, String, Tensor);

fn run(case: &Case, block: &Block, folder: &Path, device: &mut dyn Device) -> Result<usize, String> {
    let file = read(&folder.join(format!("{}.safetensors", case.name))).map_err(|e| e.to_string())?;
    let given = case.given(block);
    if let Some(g) = given
        .iter()
        .find(|g| g.weight.is_none() && g.axes.len() != case.tensors[&format!("in.{}", g.name)].len())
    {
        return Err(format!("the table names {} axes of {}", g.axes.len(), g.name));
    }
    let mut compared = 0;
    for program in programs(case, block) {
        let wanted = wanted(&program, &given, &file);
        let found = results(&program, &given, &file, device)?;
        let is_loss = program.results[0].0 == "loss";
        let scale = if is_loss { program.results[0].1.tensor(&file, "gout") } else { None };
        let scale = scale.map_or(1.0, |g| g.numbers().next().expect("a number"));
        for (of, name, want) in wanted {
            let Some((_, found)) = found.iter().find(|r| r.0 == of) else {
                return Err(format!("the program gives no {of}"));
            };
            let scale = if name.starts_with("grad.") { scale } else { 1.0 };
            compare(case, &name, &want, found, scale)?;
            compared += 1;
        }
    }
    Ok(compared)
}

fn wanted(program: &Program, given: &[Given], file: &Named) -> Vec<Wanted> {
    let is_loss = program.results[0].0 == "loss";
    let own = |(of, out): &(String, Output)| {
        (of.clone(), format!("out.{}", out.name), out.tensor(file, "out").expect("a case has its results"))
    };
    let mut wanted: Vec<Wanted> = program.results.iter().map(own).collect();
    for (n, g) in given.iter().enumerate() {
        let name = format!("grad.{}", g.name);
        let Some((_, tensor)) = file.iter().find(|t| t.0 == name) else { continue };
        let of = match &g.weight {
            Some(path) => format!("grad.{path}"),
            None if is_loss && n == 0 => "grad.input.given_p".into(),
            None => format!("grad.input.{}", g.name),
        };
        // The batch's dimension is the first in the program.
        let at = g.axes.iter().position(|(a, _)| a == "batch").unwrap_or(0);
        let mut order: Vec<usize> = (0..tensor.shape.len()).filter(|d| *d != at).collect();
        if !tensor.shape.is_empty() {
            order.insert(0, at);
        }
        wanted.push((of, name, tensor.permute(&order)));
    }
    wanted
}

/// Runs a program once.
fn results(
    program: &Program,
    given: &[Given],
    file: &Named,
    device: &mut dyn Device,
) -> Result<Named, String> {
    let batched = given.iter().any(|g| g.axes.iter().any(|(a, _)| a == "batch"));
    let is_loss = program.results[0].0 == "loss";
    let mut inputs: Named = vec![];
    let mut params: Named = vec![("param.one".into(), Tensor::floats(vec![], [1.0]))];
    for (n, g) in given.iter().enumerate() {
        let name = format!("in.{}", g.name);
        let tensor = &file.iter().find(|t| t.0 == name).expect("it is in the file").1;
        match &g.weight {
            Some(weight) => params.push((format!("param.{weight}"), tensor.clone())),
            None if is_loss && n == 0 => inputs.push(("input.given_p".into(), part(tensor, g, batched))),
            None => inputs.push((format!("input.{}", g.name), part(tensor, g, batched))),
        }
    }
    for (_, out) in program.results.iter().filter(|_| !is_loss) {
        let shape = out.tensor(file, "out").expect("a case has its results").shape;
        let zeros = || Tensor::floats(shape.clone(), vec![0.0; shape.iter().product()]);
        let mut gout = out.tensor(file, "gout").unwrap_or_else(zeros);
        if !batched {
            gout.shape.insert(0, 1);
        }
        inputs.push((format!("input.gout_{}", out.name), gout));
    }
    let own = tempfile::tempdir().map_err(|e| e.to_string())?;
    let (path, batch, weights) =
        (own.path().join("case.stm"), own.path().join("batch"), own.path().join("weights"));
    write(&batch, &inputs).map_err(|e| e.to_string())?;
    write(&weights, &params).map_err(|e| e.to_string())?;
    std::fs::write(&path, &program.text).map_err(|e| e.to_string())?;
    let options = Options {
        schema: Some(program.schema.clone()),
        set: vec![program.batch.clone()],
        ..Options::default()
    };
    let files = StepFiles { weights: Some(weights), batch, masks: None, map: None };
    stmc::step(&path, &options, &files, device, 0).map_err(|e| e.to_string())
}

/// A given tensor as the sample has it: the batch first, no axes of extent 1 that are left out.
fn part(tensor: &Tensor, given: &Given, batched: bool) -> Tensor {
    let mut order: Vec<usize> = (0..given.axes.len()).collect();
    order.sort_by_key(|d| given.axes[*d].0 != "batch");
    let mut tensor = tensor.permute(&order);
    tensor.shape = order.iter().map(|d| &given.axes[*d]).filter(|(a, _)| a != "_").map(|(_, n)| *n).collect();
    if !batched {
        tensor.shape.insert(0, 1);
    }
    tensor
}

fn compare(case: &Case, name: &str, want: &Tensor, found: &Tensor, scale: f32) -> Result<(), String> {
    if want.bits.len() != found.bits.len() {
        return Err(format!("{name} has {} elements, not {}", found.bits.len(), want.bits.len()));
    }
    let absolute = case.tolerance.get(name).copied().unwrap_or(1e-6);
    for (i, (want, found)) in want.numbers().zip(found.numbers()).enumerate() {
        let (want, found) = (f64::from(want), f64::from(found * scale));
        let close = want == found || (want - found).abs() <= absolute + case.relative * want.abs();
        if !(close || want.is_nan() && found.is_nan()) {
            return Err(format!("{name}[{i}] is {found}, not {want} within {absolute:.1e}"));
        }
    }
    Ok(())
}

fn reference() -> Option<PathBuf> {
    let folder = std::env::var_os("STMC_REFERENCE").map(|f| Path::new(&f).join("oracle/ops"));
    if folder.is_none() {
        devices::skipped("comparisons of single operations: STMC_REFERENCE is not set");
    }
    folder
}

#[test]
fn operations_agree_with_the_oracle() {
    let Some(folder) = reference() else { return };
    let (blocks, cases) = (table(), cases(&folder));
    let mut device = stmc::device(stmc::DeviceKind::Cpu, 1).expect("the processor is there");
    // `STMC_CASE=conv2d` looks at those alone whose name begins so.
    let only = std::env::var("STMC_CASE").unwrap_or_default();
    let (mut passed, mut compared, mut none, mut faults) = (0, 0, vec![], vec![]);
    for case in cases.iter().filter(|c| c.name.starts_with(&only)) {
        match blocks.iter().find(|b| case.is(b)) {
            None => faults.push(format!("{}: the table has no row for it", case.name)),
            Some(Block { none: Some(why), .. }) => none.push(format!("{}: {why}", case.name)),
            Some(block) => match run(case, block, &folder, &mut *device) {
                Ok(n) => {
                    passed += 1;
                    compared += n;
                }
                Err(fault) => faults.push(format!("{}: {fault}", case.name)),
            },
        }
    }
    println!("{passed} passed ({compared} tensors), {} not applicable, {} failed", none.len(), faults.len());
    none.iter().for_each(|n| println!("not applicable: {n}"));
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), cases.len(), faults.join("\n"));
}
