//! Buffers: their values in training and in evaluation, applied once, twice and in scans.
use crate::common::{Numbers, assert_close, module, pattern, run};
use stmc_ir::Module;
use stmc_ir::module::InputRole;
use stmc_model::Request;

/// A model on two frames of 2 x 2 cells, trained in batches of three.
fn network(uses: &str, layers: &str, body: &str, request: Request) -> Module {
    let program = format!(
        "use std.loss.mse
use std.optim.Sgd
{uses}
axes space = (row, col)
data radar {{
    from storms(size: 2, length: 3, count: 30, seed: 1)
    field rain: f32[sequence, time, row, col]
    sample at s in sequence {{ x: rain[sequence: s, time: 0 .. 2], z: rain[sequence: s, time: 2] }}
    split {{ train: shuffled(sequence) < 80%, test: rest }}
}}
{layers}
model Net(x: f32[time, row, col]) -> {{ y: f32[row, col] }} {{
    param scale: [] ~ 1
    {body}
}}
train Net on radar {{
    loss = mse(y, z)
    optimizer = Sgd(lr: 0.1)
    batch = 3
}}
"
    );
    module(&program, request)
}

fn given() -> Numbers {
    let z = ("z".to_string(), pattern(12));
    [("x".to_string(), pattern(24)), z, ("scale".to_string(), vec![1.0])].into()
}

/// Elements of `x` at a frame, by sample.
fn frame(t: usize) -> Vec<f64> {
    let x = pattern(24);
    (0..3).flat_map(|b| x[(b * 2 + t) * 4..][..4].to_vec()).collect()
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// The sum of squared differences from the mean, over `by`.
fn variance(x: &[f64], by: usize) -> f64 {
    x.iter().map(|e| (e - mean(x)).powi(2)).sum::<f64>() / by as f64
}

const NORM: &str = "norm = BatchNorm()";

#[test]
fn batch_norm_keeps_running_statistics() {
    let body =
        format!("{NORM}\n{{ y: scale * (x[time: 0] |> unsqueeze(channel) |> norm |> squeeze(channel)) }}");
    let net = network("use std.nn.BatchNorm", "", &body, Request::Step);
    let paths: Vec<(&str, bool)> = net.params.iter().map(|p| (&p.path[..], p.buffer)).collect();
    let expected = [("scale", false), ("norm.weight", false), ("norm.bias", false)];
    assert_eq!(paths[..3], expected);
    assert_eq!(paths[3..], [("norm.running_mean", true), ("norm.running_var", true)]);
    let mut inputs = given();
    for (name, x) in
        [("norm.weight", 2.0), ("norm.bias", 0.5), ("norm.running_mean", 3.0), ("norm.running_var", 4.0)]
    {
        inputs.insert(name.into(), vec![x]);
    }
    let out = run(&net, "train", &inputs);
    let x = frame(0);
    let normal = |e: &f64| 2.0 * (e - mean(&x)) / (variance(&x, 12) + 1e-5).sqrt() + 0.5;
    assert_close("y", &out["y"], &x.iter().map(normal).collect::<Vec<_>>());
    assert_close("mean", &out["norm.running_mean"], &[0.9 * 3.0 + 0.1 * mean(&x)]);
    assert_close("var", &out["norm.running_var"], &[0.9 * 4.0 + 0.1 * variance(&x, 11)]);
}

#[test]
fn evaluation_reads_what_training_kept() {
    let program = "use std.nn.BatchNorm
model Net(x: f32[channel: 2]) -> { y: f32[channel] } {
    norm = BatchNorm(affine: false)
    { y: x |> norm }
}";
    let net = module(program, Request::Train);
    let inputs: Numbers = [
        ("x".to_string(), vec![1.0, 2.0]),
        ("norm.running_mean".to_string(), vec![0.5, -1.0]),
        ("norm.running_var".to_string(), vec![4.0, 9.0]),
    ]
    .into();
    let out = run(&net, "predict", &inputs);
    assert_close("y", &out["y"], &[0.5 / 4.00001f64.sqrt(), 3.0 / 9.00001f64.sqrt()]);
    assert_eq!(out.len(), 1, "nothing is updated: {out:?}");
}

const COUNTER: &str = "layer Counter() (x: [time, row, col]) -> [time, row, col] {
    buffer seen: [] = 0
    seen' = 2 * seen + mean(x, over: axes(x))
    x * (1 + 0 * seen)
}
layer Step() (x: [row, col]) -> [row, col] {
    buffer seen: [] = 0
    seen' = 2 * seen + mean(x, over: axes(x))
    x + seen
}";

#[test]
fn a_layer_applied_twice_updates_its_buffer_twice() {
    let body = "counter = Counter()\nlet twice = (x |> counter) + ((3 * x) |> counter)\n{ y: scale * twice[time: 0] }";
    let net = network("", COUNTER, body, Request::Step);
    let mut inputs = given();
    inputs.insert("counter.seen".into(), vec![5.0]);
    let m = mean(&pattern(24));
    let once = 2.0 * 5.0 + m;
    assert_close("seen", &run(&net, "train", &inputs)["counter.seen"], &[2.0 * once + 3.0 * m]);
}

#[test]
fn in_scans_updates_follow_the_steps() {
    let body = "step = Step()
    let inner = scan along round: 2 {
        carry sum = 0 * x[time: 0]
        let more = scan frame in x along time { yield frame |> step }
        sum' = sum + more[time: -1]
        yield sum'
    }
    { y: scale * inner[round: -1] }";
    let net = network("axis round", COUNTER, body, Request::Step);
    let mut inputs = given();
    inputs.insert("step.seen".into(), vec![5.0]);
    let out = run(&net, "train", &inputs);
    let (mut seen, mut sums) = (5.0, vec![0.0; 12]);
    for _ in 0..2 {
        for t in 0..2 {
            if t == 1 {
                sums.iter_mut().zip(frame(1)).for_each(|(s, x)| *s += x + seen);
            }
            seen = 2.0 * seen + mean(&frame(t));
        }
    }
    assert_close("seen", &out["step.seen"], &[seen]);
    assert_close("y", &out["y"], &sums);
    // In evaluation the stored value is read at every step, and nothing is carried.
    let out = run(&network("axis round", COUNTER, body, Request::Train), "predict", &inputs);
    assert_close("y", &out["y"], &frame(1).iter().map(|x| 2.0 * (x + 5.0)).collect::<Vec<_>>());
}

#[test]
fn a_buffer_may_be_random_or_switched_off() {
    let layers = "layer Fourier(on: bool) (x: [time, row, col]) -> [time, row, col] {
    axis wave
    buffer table: [wave: 3] = normal(2)
    buffer off: [wave: 3] = 1 if on else 7
    x * sum(table + off, over: wave)
}";
    let body = "a = Fourier(false)\n{ y: scale * (x |> a)[time: 0] }";
    let net = network("use std.init.normal", layers, body, Request::Step);
    let names: Vec<&str> = net.params.iter().map(|p| &p.path[..]).collect();
    assert_eq!(names, ["scale", "a.table"]);
    let entry = net.entry("train").unwrap();
    assert!(entry.inputs.iter().any(|i| matches!(i, InputRole::Param(_))));
    let out = run(&net, "train", &given());
    let sum = pattern(3).iter().map(|x| x + 7.0).sum::<f64>();
    assert_close("y", &out["y"], &frame(0).iter().map(|x| x * sum).collect::<Vec<_>>());
    assert!(!out.contains_key("a.table"), "what is never updated is not written");
}
