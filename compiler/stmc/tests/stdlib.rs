//! The library keeps its word: every entry has an example in its documentation, which is compiled and run, and what the example
//! says of its result is so.
//!
//! An example stands at the end: `` Example: `conv = Conv(8)`, then `x |> conv` is [channel: 8, row: 8, col: 8]. `` Its last piece of
//! code is the example, what stands before it are lines of a model. It is of a type, or `= 2`, or merely something that runs.
mod common;

use common::{folder, succeeds, text};
use std::collections::BTreeSet;
use std::path::Path;
use stmc::{Again, DeviceKind, Options, Tensor, TrainOptions};
use stmc_doc::{Entry, Library, Module};

/// What an example says.
struct Example {
    lines: Vec<String>,
    code: String,
    claim: Claim,
}

/// What it says of its result.
enum Claim {
    /// The axes of a tensor.
    Axes(String),
    Number(f64),
    Nothing,
}

/// The example of a documentation. `None`: it has none, or none that can be read.
fn example(doc: &str) -> Option<Example> {
    let text = doc.split_once("Example: ")?.1.replace('\n', " ");
    let pieces: Vec<&str> = text.split('`').collect();
    let (claim, rest) = pieces.split_last()?;
    let mut lines: Vec<String> = rest.iter().skip(1).step_by(2).map(ToString::to_string).collect();
    let code = lines.pop()?;
    let claim = claim.strip_suffix('.')?;
    let claim = match (claim.strip_prefix(" = "), claim.split_once('[')) {
        (Some(number), _) => Claim::Number(number.parse().ok()?),
        (None, Some((_, axes))) => Claim::Axes(axes.strip_suffix(']')?.into()),
        (None, None) => Claim::Nothing,
    };
    Some(Example { lines, code, claim })
}

/// What the names in examples stand for: parts of a sample.
const PARTS: &[(&str, &str, &str)] = &[
    ("x", "channel: 4, row: SIZE, col: SIZE", "rain[sequence: n, time: 0 .. 4] |> rename(time -> channel)"),
    ("film", "time: 6, channel: 4, row: SIZE, col: SIZE", "expand(rain[sequence: n], channel: 4)"),
    ("s", "time: 6, channel: 4", "mean(rain[sequence: n, row: 0 .. 4], over: col) |> rename(row -> channel)"),
    ("v", "channel: 4", "mean(rain[sequence: n, time: 0 .. 4], over: space) |> rename(time -> channel)"),
    ("t", "", "mean(rain[sequence: n, time: 0])"),
    ("p", "row: SIZE, col: SIZE", "rain[sequence: n, time: 0]"),
    ("image", "row: SIZE, col: SIZE", "rain[sequence: n, time: 0]"),
    ("truth", "row: SIZE, col: SIZE", "rain[sequence: n, time: 1]"),
];
/// The numbers of losses and metrics.
const NUMBERS: &str = "let p = tensor([1, 2], along: row), y = tensor([1, 4], along: row),
              logits = tensor([1, 2], along: channel), label = i32(tensor([1], along: place))[place: 0]";
/// The axes of `image`.
const IMAGE: &str = "row, col";
/// Modules whose images are not 8 by 8.
const SIZES: &[(&str, &str)] = &[("std.loss", "16"), ("std.metric", "16"), ("std.perceptual", "64")];

/// A program in which the example stands where such an entry belongs.
fn program(library: &Library, module: &Module, entry: &Entry, example: &Example) -> String {
    let uses = uses(library, module, example);
    let code = &example.code;
    let body = match (entry.kind, &example.claim, module.name.as_str()) {
        ("schedule", ..) => trained("", IMAGE, "image", "", &format!("Sgd(lr: {code})")),
        ("optimizer", ..) => trained("", IMAGE, "image", "", code),
        (_, _, "std.data") => return format!("{uses}{}", of_data(code)),
        (_, Claim::Axes(axes), _) => {
            let lines: String = example.lines.iter().map(|line| format!("    {line}\n")).collect();
            trained(&lines, axes, &format!("f32({code})"), "", "Sgd(lr: 1e-3)")
        }
        (_, Claim::Number(_) | Claim::Nothing, _) => {
            trained("", IMAGE, "image", &format!("{NUMBERS}, example: {code}"), "Sgd(lr: 1e-3)")
        }
    };
    // `p` is another one among the numbers of a metric.
    let parts = PARTS.iter().filter(|part| part.0 != "p" || !body.contains("let p ="));
    let parts: String = parts.map(|(name, _, value)| format!("        {name}: {value}\n")).collect();
    let size = SIZES.iter().find(|(name, _)| *name == module.name).map_or("8", |(_, size)| size);
    format!(
        "{uses}axes space = (row, col)
data storms {{
    from storms(size: SIZE, length: 6, count: 12, seed: 1)
    field rain: f32[sequence, time, row, col]
    sample at n in sequence {{
{parts}    }}
    split {{ train: sequence < 8, valid: sequence < 10, test: rest }}
}}
{body}"
    )
    .replace("SIZE", size)
}

/// Imports of all that the example names.
fn uses(library: &Library, module: &Module, example: &Example) -> String {
    let text = format!("{} {} mse Sgd", example.lines.join(" "), example.code);
    let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let home = |word: &str| {
        let of_library = library.modules.iter().filter(|m| m.name.starts_with("std."));
        std::iter::once(module).chain(of_library).find(|m| m.entry(word).is_some())
    };
    let line = |word: &&str| home(word).map(|m| format!("use {}.{word}\n", m.name));
    words.iter().filter_map(line).collect()
}

/// A model, and its training. Something of it can be learnt, whatever the example is.
fn trained(lines: &str, axes: &str, result: &str, metrics: &str, rule: &str) -> String {
    let text = format!("{lines} {result}");
    let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let inputs = PARTS.iter().filter(|part| words.contains(part.0));
    let inputs: Vec<String> = inputs.map(|(name, axes, _)| format!("{name}: f32[{axes}]")).collect();
    format!(
        "axis cell, filter, member, move, place, unit
model Example({}) -> {{ result: f32[{axes}] }} {{
    param scale: [] ~ 1
{lines}    {{ result: scale * {result} }}
}}
train Example on storms {{
    loss      = mean(result ^ 2)
    metrics   = {{ {metrics} }}
    optimizer = {rule}
    batch     = 2
    epochs    = 1
}}
",
        inputs.join(", ")
    )
}

fn of_data(code: &str) -> String {
    format!(
        "data land {{
    from land(size: 8, years: 3, classes: 3, seed: 1)
    field lst: f32?[time, row, col]
    let heat = fill(lst, 280)
    let example = {code}
    sample at t in time {{ image: example[time: t] }}
    split {{ train: shuffled(time) < 80%, test: rest }}
}}
model Example(image: f32[row, col]) -> {{ result: f32[row, col] }} {{
    param scale: [] ~ 1
    {{ result: scale * image }}
}}
train Example on land {{
    loss      = mse(result, image + 1)
    optimizer = Sgd(lr: 1e-3)
    batch     = 4
    steps     = 2
}}
"
    )
}

/// Trains for a little; the value of the metric `example`, if there is one.
fn run(file: &Path, text: &str) -> Result<Option<f64>, stmc::Error> {
    std::fs::write(file, text).expect("the folder is writable");
    let compiled = stmc::compile_file(file, &Options::default())?;
    let mut device = stmc::device(DeviceKind::Cpu, 1)?;
    let options = TrainOptions { out: Some(file.with_extension("run")), ..TrainOptions::default() };
    let outcome = compiled.train(&mut *device, &options)?;
    let scores = outcome.scores.iter().flat_map(|part| &part.1);
    Ok(scores.filter(|score| score.name == "example").find_map(|score| score.number()))
}

/// What is wrong with an entry's example.
fn fault(library: &Library, module: &Module, entry: &Entry, file: &Path) -> Option<String> {
    let Some(example) = example(&entry.doc) else { return Some("it has no example".into()) };
    if !example.code.contains(&entry.name) && !example.lines.iter().any(|l| l.contains(&entry.name)) {
        return Some("its example shows something else".into());
    }
    let text = program(library, module, entry, &example);
    match (run(file, &text), example.claim) {
        (Err(error), _) => Some(format!("{error}\nin\n{text}")),
        (Ok(Some(got)), Claim::Number(want)) if (got - want).abs() <= 1e-6 * want.abs().max(1.0) => None,
        (Ok(got), Claim::Number(want)) => Some(format!("its example gives {got:?} and not {want}")),
        (Ok(_), _) => None,
    }
}

#[test]
fn every_entry_has_an_example_that_runs() {
    let library = Library::standard();
    let place = folder("stdlib");
    let mut faults = vec![];
    for module in library.modules.iter().filter(|m| m.name.starts_with("std.")) {
        // A list says which functions are something: there is nothing to run.
        for entry in module.entries.iter().filter(|entry| entry.kind != "let") {
            let file = place.join(format!("{}.{}.stm", module.name, entry.name));
            let fault = fault(&library, module, entry, &file);
            faults.extend(fault.map(|fault| format!("{}.{}: {fault}", module.name, entry.name)));
        }
    }
    assert!(faults.is_empty(), "{} entries:\n{}", faults.len(), faults.join("\n"));
}

/// A program with weights of a known form, what goes in, and what PyTorch's operators make of it in f64.
struct Golden {
    program: &'static str,
    weights: Vec<(String, Tensor)>,
    inputs: Vec<(&'static str, Tensor)>,
    expected: &'static [f32],
}

/// How elements follow from their number.
type Form = fn(f64) -> f64;

/// A tensor whose i-th element is `value(i + n)`.
fn of_form(name: String, shape: &[usize], n: usize, value: Form) -> (String, Tensor) {
    let values = (0..shape.iter().product()).map(|i: usize| value((i + n) as f64) as f32);
    (name, Tensor::floats(shape.to_vec(), values))
}

/// A narrow relative of the network, which judges two images.
const JUDGE: &str = "use std.perceptual.Lpips
axes space = (row, col)
model Judge(image: f32[row: 64, col: 64], truth: f32[row: 64, col: 64]) -> { distance: f32[] } {
    lpips = Lpips([2, 3, 4, 3, 2])
    { distance: lpips(image, truth) }
}
";

fn perceptual(image: Form, truth: Form, expected: &'static [f32]) -> Golden {
    let (widths, kernels) = ([3, 2, 3, 4, 3, 2], [11, 5, 3, 3, 3]);
    let of_layer = |n: usize| {
        let (from, to, size) = (widths[n], widths[n + 1], kernels[n]);
        [
            of_form(format!("lpips.net.{n}.weight"), &[to, from, size, size], n, |i| 0.3 * i.sin()),
            of_form(format!("lpips.net.{n}.bias"), &[to], n, |i| 0.1 * i.sin()),
            of_form(format!("lpips.lins.{n}.weight"), &[1, to, 1, 1], n, |i| i.sin().powi(2)),
        ]
    };
    let given = |name, form| (name, of_form(String::new(), &[1, 64, 64], 0, form).1);
    Golden {
        program: JUDGE,
        weights: (0..5).flat_map(of_layer).collect(),
        inputs: vec![given("image", image), given("truth", truth)],
        expected,
    }
}

const NORMALIZED: &str = "use std.recurrent.LayerNormGru
model Gates(x: f32[time: 4, channel: 2]) -> { y: f32[time, channel: 3] } {
    gru = LayerNormGru(3)
    { y: x |> gru }
}
";

fn gru_with_normalized_gates() -> Golden {
    let shapes: [(&str, &[usize], Form); 6] = [
        ("input.weight", &[9, 2], |i| 0.3 * i.sin()),
        ("recur.weight", &[9, 3], |i| 0.3 * i.sin()),
        ("norm_x.weight", &[9], |i| 1.0 + 0.3 * i.sin()),
        ("norm_x.bias", &[9], |i| 0.3 * i.sin()),
        ("norm_h.weight", &[9], |i| 1.0 + 0.3 * i.sin()),
        ("norm_h.bias", &[9], |i| 0.3 * i.sin()),
    ];
    let weight = |(n, (name, shape, value)): (usize, (&str, &[usize], Form))| {
        of_form(format!("gru.{name}"), shape, n, value)
    };
    Golden {
        program: NORMALIZED,
        weights: shapes.into_iter().enumerate().map(weight).collect(),
        inputs: vec![("x", of_form(String::new(), &[1, 4, 2], 0, |i| (0.7 * i).sin()).1)],
        expected: &[
            0.163_123_4,
            0.191_871_1,
            -0.730_026_2,
            -0.130_845,
            0.468_364_8,
            -0.828_000_2,
            -0.649_455_8,
            0.559_451_2,
            -0.758_186_8,
            -0.498_910_3,
            -0.679_859_6,
            -0.714_671,
        ],
    }
}

#[test]
fn with_weights_given_results_are_those_of_pytorch() {
    let place = folder("golden");
    let cases = [
        perceptual(|i| (0.1 * i).sin(), |i| (0.13 * i).sin(), &[1.333_060_4]),
        perceptual(|i| (0.1 * i).sin(), |i| (0.1 * i).sin(), &[0.0]),
        gru_with_normalized_gates(),
    ];
    for (n, case) in cases.into_iter().enumerate() {
        let [file, theirs, run] =
            ["stm", "safetensors", "run"].map(|kind| place.join(format!("case{n}.{kind}")));
        std::fs::write(&file, case.program).expect("the folder is writable");
        stmc_runtime::tensor::write(&theirs, &case.weights).expect("the folder is writable");
        succeeds(&["import", &text(&file), "--torch", &text(&theirs), "--out", &text(&run)]);
        let again = Again::without_data(&run, &[]).unwrap_or_else(|e| panic!("{e}"));
        let mut device = stmc::device(DeviceKind::Cpu, 1).expect("there is a processor");
        let given = case.inputs.into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect();
        let found = stmc::predict(&again, &mut *device, &given).unwrap_or_else(|e| panic!("{e}"));
        let found: Vec<f32> = found[0].1.numbers().collect();
        assert_eq!(found.len(), case.expected.len());
        let near = found.iter().zip(case.expected).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(near, "{found:?}, expected {:?}\n{}", case.expected, case.program);
    }
}
