//! Update rules, schedules, first values, random numbers.
use crate::common::{assert_close, module, run};
use stmc_ir::host::HostBinary;
use stmc_ir::interpret::{self, Context, Value};
use stmc_ir::module::{Init, InputRole, Module};
use stmc_ir::ops::Op;
use stmc_ir::{Graph, HostExpr};
use stmc_model::Request;

fn program(uses: &str, optimizer: &str, body: &str) -> String {
    format!(
        "{uses}
use std.loss.mse
data radar {{
    from storms(size: 2, length: 2, count: 10, seed: 1)
    field rain: f32[sequence, time, row, col]
    sample at s in sequence {{ p: rain[sequence: s, time: 0], y: rain[sequence: s, time: 1] }}
    split {{ train: shuffled(sequence) < 80%, test: rest }}
}}
model Same(p: f32[row, col]) -> {{ q: f32[row, col] }} {{
{body}
}}
train Same on radar {{
    loss = mse(q, y)
    optimizer = {optimizer}
    batch = 8
    epochs = 5
}}
"
    )
}

const PLAIN: &str = "    param scale: [] ~ 1\n    { q: scale * p }";

/// The weight after each of a few updates with these gradients.
fn updates(module: &Module, gradients: &[f64]) -> Vec<f64> {
    let rule = &module.train.as_ref().expect("it trains").optimizers[0];
    let mut values = vec![0.5; 1];
    values.resize(1 + rule.states.len(), 0.0);
    let mut out = vec![];
    for (step, g) in gradients.iter().enumerate() {
        let host = module.scalars.iter().map(|e| e.eval(&|_| Some(step as f64))).collect();
        let mut inputs = vec![Value::scalar(values[0]), Value::scalar(*g)];
        inputs.extend(values[1..].iter().map(|v| Value::scalar(*v)));
        let context = Context { host, ..Context::default() };
        values = interpret::run(&rule.graph, &inputs, &context).into_iter().map(|v| v.data[0]).collect();
        out.push(values[0]);
    }
    out
}

const GRADIENTS: [f64; 3] = [0.3, -0.2, 0.7];

#[test]
fn sgd() {
    let module = module(
        &program("use std.optim.Sgd", "Sgd(lr: 0.1, momentum: 0.9, nesterov: true, decay: 0.01)", PLAIN),
        Request::Train,
    );
    let (mut w, mut v, mut out) = (0.5, 0.0, vec![]);
    for (n, g) in GRADIENTS.iter().enumerate() {
        let d = g + 0.01 * w;
        v = if n == 0 { d } else { 0.9 * v + d };
        w -= 0.1 * (d + 0.9 * v);
        out.push(w);
    }
    assert_close("sgd", &updates(&module, &GRADIENTS), &out);
}

#[test]
fn adam() {
    for (name, decoupled, decay) in [("Adam", false, 0.0), ("Adam", false, 0.1), ("AdamW", true, 0.1)] {
        let rule = format!("{name}(lr: 0.1, decay: {decay})");
        let module = module(&program(&format!("use std.optim.{name}"), &rule, PLAIN), Request::Train);
        let (mut w, mut m, mut v, mut out) = (0.5, 0.0, 0.0, vec![]);
        for (n, g) in GRADIENTS.iter().enumerate() {
            let t = n as i32 + 1;
            let d = if decoupled { *g } else { g + decay * w };
            m = 0.9 * m + (1.0 - 0.9) * d;
            v = 0.999 * v + (1.0 - 0.999) * d * d;
            if decoupled {
                w *= 1.0 - 0.1 * decay;
            }
            let (mh, vh) = (m / (1.0 - 0.9f64.powi(t)), v / (1.0 - 0.999f64.powi(t)));
            w -= 0.1 * mh / (vh.sqrt() + 1e-8);
            out.push(w);
        }
        assert_close(&rule, &updates(&module, &GRADIENTS), &out);
    }
}

/// More of them than the six after which AdaBelief and RAdam divide by the deviation.
const MANY: [f64; 9] = [0.3, -0.2, 0.7, 0.1, -0.4, 0.2, 0.6, -0.5, 0.3];

/// As the adabelief-pytorch package computes it; the length of its average counts (Liu et al. 2020).
#[test]
fn adabelief() {
    for rectify in [true, false] {
        let rule = format!("AdaBelief(lr: 0.1, decay: 0.1, rectify: {rectify})");
        let module = module(&program("use std.optim.AdaBelief", &rule, PLAIN), Request::Train);
        let (mut w, mut m, mut s, mut out) = (0.5, 0.0, 0.0, vec![]);
        let mut divided = 0;
        for (n, g) in MANY.iter().enumerate() {
            let t = n as i32 + 1;
            w *= 1.0 - 0.1 * 0.1;
            m = 0.9 * m + (1.0 - 0.9) * g;
            s = 0.999 * s + (1.0 - 0.999) * (g - m) * (g - m) + 1e-16;
            let (first, second) = (1.0 - 0.9f64.powi(t), 1.0 - 0.999f64.powi(t));
            let longest = 2.0 / (1.0 - 0.999) - 1.0;
            let length = longest - 2.0 * f64::from(t) * 0.999f64.powi(t) / second;
            w -= if !rectify {
                0.1 / first * m / ((s / second).sqrt() + 1e-16)
            } else if length >= 5.0 {
                divided += 1;
                let ratio =
                    (length - 4.0) / (longest - 4.0) * (length - 2.0) / length * longest / (longest - 2.0);
                0.1 * (second * ratio).sqrt() / first * m / (s.sqrt() + 1e-16)
            } else {
                0.1 / first * m
            };
            out.push(w);
        }
        assert!(!rectify || divided == 4, "both forms are used");
        assert_close(&rule, &updates(&module, &MANY), &out);
    }
}

/// Chen et al. 2023, program 1.
#[test]
fn lion() {
    let rule = "Lion(lr: 0.1, decay: 0.1)";
    let module = module(&program("use std.optim.Lion", rule, PLAIN), Request::Train);
    let (mut w, mut m, mut out) = (0.5, 0.0, vec![]);
    for g in MANY {
        w -= 0.1 * ((0.9 * m + (1.0 - 0.9) * g).signum() + 0.1 * w);
        m = 0.99 * m + (1.0 - 0.99) * g;
        out.push(w);
    }
    assert_close(rule, &updates(&module, &MANY), &out);
}

#[test]
fn schedules_are_computed_before_each_update() {
    use std::f64::consts::PI;
    // 800 samples in batches of 8, 5 epochs: 100 updates an epoch, 500 in all.
    type Formula = fn(f64) -> f64;
    let cases: [(&str, Formula); 7] = [
        ("linear(from: 1, to: 0, over: 2 epochs)", |t| 1.0 - (t / 200.0).min(1.0)),
        ("linear(from: 1, to: 0, over: 50%)", |t| 1.0 - (t / 250.0).min(1.0)),
        ("exponential(from: 0.1, gamma: 0.5)", |t| 0.1 * 0.5f64.powf((t / 100.0).floor())),
        ("step_decay(from: 1, gamma: 0.1, at: [1 epochs, 300 steps])", |t| {
            0.1f64.powi(i32::from(t >= 100.0) + i32::from(t >= 300.0))
        }),
        ("cosine(from: 0.2)", |t| 0.1 * (1.0 + (PI * (t / 500.0).min(1.0)).cos())),
        ("cosine(from: 0.2, every: 1 epochs)", |t| {
            0.1 * (1.0 + (PI * ((t / 100.0).floor() / 5.0).min(1.0)).cos())
        }),
        ("one_cycle(peak: 1)", |t| {
            let blend = |a: f64, b: f64, p: f64| b + (a - b) / 2.0 * (1.0 + (PI * p).cos());
            let up = 149.0;
            if t <= up { blend(0.04, 1.0, t / up) } else { blend(1.0, 0.04 / 1e4, (t - up) / (499.0 - up)) }
        }),
    ];
    for (schedule, formula) in cases {
        let uses = "use std.optim.Sgd\nuse std.schedule.{linear, exponential, step_decay, cosine, one_cycle}";
        let module = module(&program(uses, &format!("Sgd(lr: {schedule})"), PLAIN), Request::Train);
        let rate = module.train.as_ref().expect("it trains").rate.expect("it has a rate");
        for t in [0.0, 1.0, 99.0, 100.0, 149.0, 150.0, 320.0, 499.0] {
            let found = module.scalars[rate.index()].eval(&|name| (name == "step").then_some(t));
            assert_close(&format!("{schedule} at {t}"), &[found], &[formula(t)]);
        }
    }
}

#[test]
fn a_scalar_of_a_rule_is_computed_in_one_piece() {
    let module = module(&program("use std.optim.Adam", "Adam(lr: 0.1)", PLAIN), Request::Train);
    let step = HostExpr::binary(HostBinary::Add, HostExpr::var("updates"), HostExpr::Const(1.0));
    let power = HostExpr::binary(HostBinary::Pow, HostExpr::Const(0.9), step);
    let rest = HostExpr::binary(HostBinary::Sub, HostExpr::Const(1.0), power);
    let whole = HostExpr::binary(HostBinary::Div, HostExpr::Const(0.1), rest);
    assert!(module.scalars.contains(&whole), "{:?}", module.scalars);
}

#[test]
fn first_values_are_those_of_the_library() {
    let cases: [(&str, Init); 8] = [
        ("zeros", Init::Fill(0.0)),
        ("0.25", Init::Fill(0.25)),
        ("constant(3)", Init::Fill(3.0)),
        ("uniform(0.5)", Init::Uniform { low: -0.5, high: 0.5 }),
        ("normal(0.02)", Init::Normal { mean: 0.0, std: 0.02 }),
        ("normal(2, mean: 1)", Init::Normal { mean: 1.0, std: 2.0 }),
        ("xavier_uniform(fan_in: 4, fan_out: 2)", Init::Uniform { low: -1.0, high: 1.0 }),
        ("kaiming_normal(fan_in: 8)", Init::Normal { mean: 0.0, std: 0.5 }),
    ];
    for (initializer, expected) in cases {
        let uses = "use std.optim.Adam\nuse std.init.{zeros, constant, uniform, normal, xavier_uniform, kaiming_normal}";
        let body = format!("    param scale: [] ~ {initializer}\n    {{ q: scale * p }}");
        let module = module(&program(uses, "Adam(lr: 0.1)", &body), Request::Train);
        let flat = |init: &Init| match *init {
            Init::Fill(x) => vec![x],
            Init::Uniform { low, high } => vec![low, high],
            Init::Normal { mean, std } => vec![mean, std],
            Init::Formula(_) => vec![],
        };
        assert_eq!(
            std::mem::discriminant(&module.params[0].init),
            std::mem::discriminant(&expected),
            "{initializer}"
        );
        assert_close(initializer, &flat(&module.params[0].init), &flat(&expected));
    }
}

#[test]
fn first_values_may_be_any_function_of_random_numbers() {
    let module = |initializer: &str| {
        let uses = "use std.optim.Adam\nuse std.init.{orthogonal, truncated_normal}\nfn square(like) = random(like: like) ^ 2";
        let body = format!("    param scale: [] ~ {initializer}\n    {{ q: scale * p }}");
        module(&program(uses, "Adam(lr: 0.1)", &body), Request::Train)
    };
    let at = |initializer: &str, draws: &[(&str, f64)]| {
        let Init::Formula(formula) = &module(initializer).params[0].init else { panic!("{initializer}") };
        formula.eval(&|name| Some(draws.iter().find(|d| d.0 == name).expect("it is drawn").1))
    };
    assert_eq!(at("square", &[("random.0", 3.0)]), 9.0);
    assert_eq!(at("orthogonal(gain: 2)", &[("orthonormal.0", 0.5)]), 1.0);
    let normal = |draws: [f64; 4]| {
        let names = ["gaussian.0", "gaussian.1", "gaussian.2", "gaussian.3"];
        at("truncated_normal(3, cut: 2)", &names.into_iter().zip(draws).collect::<Vec<_>>())
    };
    assert_eq!(normal([1.5, 9.0, 9.0, 9.0]), 4.5);
    assert_eq!(normal([2.5, -1.0, 9.0, 9.0]), -3.0);
    assert_eq!(normal([2.5, -7.0, 9.0, -9.0]), -6.0);
}

fn draws(graph: &Graph) -> Vec<u32> {
    graph.nodes.iter().filter_map(|n| if let Op::Random(r) = &n.op { Some(r.site) } else { None }).collect()
}

#[test]
fn evaluation_draws_nothing_and_training_draws_apart() {
    let body = "    param scale: [] ~ 1\n    { q: scale * p |> Dropout(0.5) |> Dropout(0.5) }"
        .replace("scale * p |>", "(scale * p) |>");
    let module =
        module(&program("use std.optim.Adam\nuse std.nn.Dropout", "Adam(lr: 0.1)", &body), Request::Train);
    let train = draws(&module.entry("train").expect("it trains").graph);
    assert_eq!(train.len(), 2);
    assert_ne!(train[0], train[1]);
    for entry in ["eval", "predict", "show"] {
        assert!(draws(&module.entry(entry).expect("it is there").graph).is_empty(), "{entry}");
    }
}

#[test]
fn metrics_and_losses_may_draw() {
    let text = program("use std.optim.Adam", "Adam(lr: 0.1)", PLAIN).replace(
        "mse(q, y)",
        "mean((q + random(like: y) - y) ^ 2)\n    metrics = { noise: mean(random(like: y) * q) }",
    );
    let module = module(&text, Request::Train);
    for entry in ["train", "eval"] {
        assert!(!draws(&module.entry(entry).expect("it is there").graph).is_empty(), "{entry}");
    }
}

/// A mask for a scan in a scan has an axis for the steps of each, from the outermost in.
#[test]
fn given_masks_have_the_steps_of_scans() {
    let body = "    param scale: [] ~ 1
    let run = scan along round: 2 {
        carry h = scale * p
        let rows = scan r in h along row { yield r |> Dropout(0.5) }
        h' = rows
        yield rows
    }
    { q: run[round: -1] }";
    let uses = "use std.optim.Adam\nuse std.nn.Dropout\naxis round";
    let module = module(&program(uses, "Adam(lr: 0.1)", body), Request::Step);
    let train = module.entry("train").expect("it trains");
    let masks: Vec<(&str, Vec<String>)> = train
        .inputs
        .iter()
        .filter_map(|role| match role {
            InputRole::Mask { site, axes } => {
                Some((&site[..], axes.iter().map(|a| module.axes.name(*a).to_string()).collect()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(masks, [("~Dropout#0", ["batch", "round", "row", "col"].map(String::from).to_vec())]);
    let p: Vec<f64> = (0..32).map(|i| f64::from(i + 1)).collect();
    // [batch, round, row, col]: an element is kept in both rounds, in one, or in none.
    let keep = |round: usize, element: usize| f64::from(u8::from(!element.is_multiple_of(3 + round)));
    let mask = (0..64).map(|i| keep(i / 4 % 2, i / 8 * 4 + i % 4)).collect();
    let given = [
        ("p".to_string(), p.clone()),
        ("y".to_string(), p.clone()),
        ("~Dropout#0".to_string(), mask),
        ("scale".to_string(), vec![1.0]),
    ];
    let expected: Vec<f64> = p.iter().enumerate().map(|(e, x)| x * 4.0 * keep(0, e) * keep(1, e)).collect();
    assert_close("q", &run(&module, "train", &given.into())["q"], &expected);
}

#[test]
fn several_names_for_one_expression_of_the_data() {
    let with = |lets: &str, p: &str, y: &str| {
        let text = program("use std.optim.Adam", "Adam(lr: 0.1)", PLAIN);
        let text = text
            .replace("    sample at s in sequence {", &format!("    {lets}\n    sample at s in sequence {{"));
        module(&text.replace("p: rain[", p).replace("y: rain[", y), Request::Train)
    };
    let apart = "let left = split(rain, col, 2).0\n    let right = split(rain, col, 2).1";
    let one = with("let (left, right) = split(rain, col, 2)", "p: left[", "y: right[");
    let two = with(apart, "p: left[", "y: right[");
    let ops = |module: &Module, entry: &str| {
        let graph = &module.entry(entry).expect("it is there").graph;
        graph.nodes.iter().map(|n| (n.op.clone(), n.args.clone())).collect::<Vec<_>>()
    };
    for entry in ["train", "eval", "predict"] {
        assert_eq!(ops(&one, entry), ops(&two, entry));
    }
}
