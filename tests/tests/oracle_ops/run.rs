//! A case's programs are run, and what they give is compared.
use crate::case::{Case, Given};
use crate::program::{Program, programs};
use crate::table::Block;
use std::path::Path;
use stmc::{Options, StepFiles, Tensor};
use stmc_ir::Device;
use stmc_runtime::tensor::{Named, read, write};
use stmc_tests::rates;

/// What is compared: the result's name, the case's name for it, the values.
type Wanted = (String, String, Tensor);

/// How many tensors agree, or what does not.
pub fn run(case: &Case, block: &Block, folder: &Path, device: &mut dyn Device) -> Result<usize, String> {
    let file = read(&folder.join(format!("{}.safetensors", case.name))).map_err(|e| e.to_string())?;
    if let Some(rate) = &block.rate {
        return compare_rates(&case.filled(rate), block.first, &file);
    }
    let misnamed =
        |g: &Given| g.weight.is_none() && g.axes.len() != case.tensors[&format!("in.{}", g.name)].len();
    if let Some(g) = case.given(block).iter().find(|g| misnamed(g)) {
        return Err(format!("the table names {} axes of {}", g.axes.len(), g.name));
    }
    let mut compared = 0;
    for program in programs(case, block) {
        let mut wanted = wanted(&program, &file);
        let (later, updates) = over_updates(block, &file);
        wanted.extend(later);
        let found = results(&program, &file, device, updates)?;
        let scale = if program.is_loss() { program.results[0].1.tensor(&file, "gout") } else { None };
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

fn compare_rates(schedule: &str, first: Option<usize>, file: &Named) -> Result<usize, String> {
    let metric = rates::numbers(file, "in.metric").unwrap_or_default();
    let expected = rates::numbers(file, "out.lr").expect("the case has rates");
    let found = rates::rates(&rates::module(schedule), &metric);
    rates::compare(schedule, &found[..first.unwrap_or(expected.len())], &expected).map(|()| 1)
}

/// Outputs and gradients.
fn wanted(program: &Program, file: &Named) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = vec![];
    for (of, out) in &program.results {
        let value = out.tensor(file, "out").expect("a case has its results");
        wanted.push((of.clone(), format!("out.{}", out.name), value));
    }
    for (n, g) in program.given.iter().enumerate() {
        let name = format!("grad.{}", g.name);
        let Some((_, tensor)) = file.iter().find(|t| t.0 == name) else { continue };
        let of = match &g.weight {
            Some(path) => format!("grad.{path}"),
            None if program.is_loss() && n == 0 => "grad.input.given_p".into(),
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

/// Weights and buffers after updates, and averages of weights: `p = w`. With how many updates there are.
fn over_updates(block: &Block, file: &Named) -> (Vec<Wanted>, u64) {
    let mut wanted = vec![];
    let mut updates = 0;
    let lines = block.after.iter().map(|l| (l, "after")).chain(block.average.iter().map(|l| (l, "average")));
    for (line, kind) in lines {
        let (name, path) = line.split_once('=').expect("it says which weight it is");
        let name = format!("out.{}", name.trim());
        let tensor = &file.iter().find(|t| t.0 == name).expect("a case has its results").1;
        // A single update leaves the weight as it is; several are a dimension before the weight's. The first average is the
        // first value itself.
        let steps = if block.first == Some(1) { vec![tensor.clone()] } else { slices(tensor) };
        let before = usize::from(kind == "average");
        for (n, value) in steps.into_iter().enumerate().skip(before) {
            let update = n + 1 - before;
            updates = updates.max(update as u64);
            wanted.push((format!("{kind}_{update}.{}", path.trim()), name.clone(), value));
        }
    }
    (wanted, updates)
}

fn slices(tensor: &Tensor) -> Vec<Tensor> {
    (0..tensor.shape[0]).map(|n| slice(tensor, n)).collect()
}

fn slice(tensor: &Tensor, n: usize) -> Tensor {
    let mut part = tensor.slice(0, n, n + 1);
    part.shape.remove(0);
    part
}

/// Runs a program.
fn results(program: &Program, file: &Named, device: &mut dyn Device, updates: u64) -> Result<Named, String> {
    let mut inputs: Named = vec![];
    let mut params: Named = vec![];
    for (n, g) in program.given.iter().enumerate() {
        let name = format!("in.{}", g.name);
        let tensor = &file.iter().find(|t| t.0 == name).expect("it is in the file").1;
        match &g.weight {
            Some(weight) if g.first => params.push((format!("param.{weight}"), slice(tensor, 0))),
            Some(weight) => params.push((format!("param.{weight}"), tensor.clone())),
            None if program.is_loss() && n == 0 => {
                inputs.push(("input.given_p".into(), part(tensor, g, program.batched)));
            }
            None => inputs.push((format!("input.{}", g.name), part(tensor, g, program.batched))),
        }
    }
    for (_, out) in program.results.iter().filter(|_| !program.is_loss()) {
        let shape = out.tensor(file, "out").expect("a case has its results").shape;
        let zeros = || Tensor::floats(shape.clone(), vec![0.0; shape.iter().product()]);
        let mut gout = out.tensor(file, "gout").unwrap_or_else(zeros);
        if !program.batched {
            gout.shape.insert(0, 1);
        }
        inputs.push((format!("input.gout_{}", out.name), gout));
    }
    if !params.is_empty() && !program.results.is_empty() {
        params.push(("param.one".into(), Tensor::floats(vec![], [1.0])));
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
    // Without weights that are given, all have their first values: `one` is 1.
    let weights = (!params.is_empty()).then_some(weights);
    let files = StepFiles { weights, batch, masks: None, map: None };
    stmc::step(&path, &options, &files, device, updates).map_err(|e| e.to_string())
}

/// A given tensor as the sample has it: the batch first, no axes of extent 1 that are left out, NaN where it is missing.
fn part(tensor: &Tensor, given: &Given, batched: bool) -> Tensor {
    let mut order: Vec<usize> = (0..given.axes.len()).collect();
    order.sort_by_key(|d| given.axes[*d].0 != "batch");
    let mut tensor = tensor.permute(&order);
    tensor.shape = order.iter().map(|d| &given.axes[*d]).filter(|(a, _)| a != "_").map(|(_, n)| *n).collect();
    if let Some(Some(gap)) = given.gaps {
        let known = tensor.numbers().map(|x| if x == gap { f32::NAN } else { x });
        tensor = Tensor::floats(tensor.shape.clone(), known.collect::<Vec<_>>());
    }
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
