//! The programs that a case is made into.
use crate::case::{Case, Given};
use crate::table::Block;
use stmc::{Schema, Tensor};
use stmc_base::schema::{SchemaAxis, SourceSchema, Variable};
use stmc_runtime::tensor::Named;

/// An output that is compared.
pub struct Output {
    pub name: String,
    /// Its axes but the batch, with their extents.
    pub axes: Vec<(String, usize)>,
    pub value: String,
    /// The dimensions of the case's tensor, the batch's first. `None`: it stands first already, or there is none.
    pub order: Option<Vec<usize>>,
}

/// A program for a case.
pub struct Program {
    pub text: String,
    /// `train.batch=2`
    pub batch: String,
    pub schema: Schema,
    pub given: Vec<Given>,
    /// The samples are those of a batch; else there is one.
    pub batched: bool,
    /// What it gives, and which output of the case that is.
    pub results: Vec<(String, Output)>,
}

impl Program {
    /// Its result is the loss of what is given; the first of that is the model's output.
    pub fn is_loss(&self) -> bool {
        self.results.first().is_some_and(|r| r.0 == "loss")
    }
}

/// The program of all outputs, or one for each loss.
pub fn programs(case: &Case, block: &Block) -> Vec<Program> {
    if !block.loss.is_empty() {
        return block.loss.iter().map(|line| of_loss(case, block, line)).collect();
    }
    vec![of_outputs(case, block)]
}

fn named(axes: &[(String, usize)]) -> impl Iterator<Item = &(String, usize)> {
    axes.iter().filter(|(a, _)| a != "batch" && a != "_")
}

fn typed(axes: &[(String, usize)]) -> String {
    named(axes).map(|(a, n)| format!("{a}: {n}")).collect::<Vec<_>>().join(", ")
}

fn has_batch(given: &[Given]) -> bool {
    given.iter().any(|g| g.axes.iter().any(|(a, _)| a == "batch"))
}

fn batch_of(given: &[Given]) -> usize {
    given.iter().flat_map(|g| &g.axes).find(|(a, _)| a == "batch").map_or(1, |(_, n)| *n)
}

/// The parts of the sample and what is known of the file that they would be in.
fn data(parts: &[&Given], batched: bool) -> (String, Schema) {
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
        let missing = if part.gaps.is_some() { "?" } else { "" };
        text += &format!("    field {}: f32{missing}[{}]\n", part.name, names.join(", "));
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

fn head(case: &Case, block: &Block) -> String {
    let mut head: String = block.uses.iter().map(|u| format!("use {u}\n")).collect();
    if !has_rule(block) {
        head += "use std.optim.Adam\n";
    }
    if let Some(space) = &block.space {
        head += &format!("axes space = ({})\n", space.replace(' ', ", "));
    }
    head + &block.file.iter().map(|l| case.filled(l) + "\n").collect::<String>()
}

fn has_rule(block: &Block) -> bool {
    block.train.iter().any(|l| l.starts_with("optimizer"))
}

fn train(case: &Case, block: &Block, loss: &str) -> String {
    let mut lines: Vec<String> = block.train.iter().map(|l| case.filled(l)).collect();
    if !has_rule(block) {
        lines.push("optimizer = Adam(lr: 1e-3)".into());
    }
    let lines: String = lines.iter().map(|l| format!("    {l}\n")).collect();
    format!("train Net on given {{\n    loss = {loss}\n{lines}    epochs = 1\n}}\n")
}

fn inputs(parts: &[&Given]) -> String {
    let inputs = parts.iter().filter(|p| !p.name.starts_with("gout_"));
    inputs.map(|p| format!("{}: f32[{}]", p.name, typed(&p.axes))).collect::<Vec<_>>().join(", ")
}

/// Each output is multiplied by its upstream gradient, and all is added up; or there is something to minimise.
fn of_outputs(case: &Case, block: &Block) -> Program {
    let outputs: Vec<Output> = block.out.iter().map(|o| output(case, o)).collect();
    let given = case.given(block);
    let (batched, batch) = (has_batch(&given), batch_of(&given));
    let upstream = outputs.iter().map(|out| {
        let mut axes = out.axes.clone();
        if batched {
            axes.insert(0, ("batch".into(), batch));
        }
        Given { name: format!("gout_{}", out.name), axes, weight: None, first: false, gaps: None }
    });
    let upstream: Vec<Given> = upstream.collect();
    let parts: Vec<&Given> = given.iter().filter(|g| g.weight.is_none()).chain(&upstream).collect();
    let (data, schema) = data(&parts, batched);
    let mut fields: Vec<(String, String)> = vec![];
    let mut terms: Vec<String> = vec![];
    for o in &outputs {
        fields.push((format!("out_{}: f32[{}]", o.name, typed(&o.axes)), format!("one * ({})", o.value)));
        terms.push(format!("sum(out_{0} * gout_{0})", o.name));
    }
    if let Some(value) = &block.minimize {
        fields.push(("aim: f32[]".into(), case.filled(value)));
        terms.push("sum(aim)".into());
    }
    let name = |field: &str| field.split(':').next().unwrap_or_default().to_string();
    let types: Vec<&str> = fields.iter().map(|f| &f.0[..]).collect();
    let values: Vec<String> = fields.iter().map(|f| format!("{}: {}", name(&f.0), f.1)).collect();
    // An output needs a weight that it depends on. What is minimised has its own.
    let one = if outputs.is_empty() { "" } else { "    param one: [] ~ 1\n" };
    let lines: String = block.model.iter().map(|l| format!("    {}\n", case.filled(l))).collect();
    let text = format!(
        "{}{data}model Net({}) -> {{ {} }} {{\n{one}{lines}    {{ {} }}\n}}\n{}",
        head(case, block),
        inputs(&parts),
        types.join(", "),
        values.join(", "),
        train(case, block, &terms.join(" + "))
    );
    let results = outputs.into_iter().map(|o| (format!("out.out_{}", o.name), o)).collect();
    Program { text, batch: format!("train.batch={batch}"), schema, given, batched, results }
}

/// The first of what is given is the model's output, all is the loss's.
fn of_loss(case: &Case, block: &Block, line: &str) -> Program {
    let given = case.given(block);
    let (batched, batch) = (has_batch(&given), batch_of(&given));
    let parts: Vec<&Given> = given.iter().filter(|g| g.weight.is_none()).collect();
    let p = parts[0];
    let (data, schema) = data(&parts, batched);
    let data = data.replacen(&format!("        {}: ", p.name), "        given_p: ", 1);
    let model = format!(
        "model Net(given_p: f32[{0}]) -> {{ p: f32[{0}] }} {{\n    param one: [] ~ 1\n    {{ p: one * given_p }}\n}}\n",
        typed(&p.axes)
    );
    let (name, loss) = line.split_once('=').expect("a loss has a name");
    let loss = format!("{} + 0 * mean(p)", case.filled(loss.trim()));
    let text = format!("{}{data}{model}{}", head(case, block), train(case, block, &loss));
    let out = Output { name: name.trim().into(), axes: vec![], value: String::new(), order: None };
    let results = vec![("loss".into(), out)];
    Program { text, batch: format!("train.batch={batch}"), schema, given, batched, results }
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
    pub fn tensor(&self, file: &Named, kind: &str) -> Option<Tensor> {
        let name = format!("{kind}.{}", self.name);
        let tensor = &file.iter().find(|t| t.0 == name)?.1;
        Some(self.order.as_ref().map_or_else(|| tensor.clone(), |order| tensor.permute(order)))
    }
}
