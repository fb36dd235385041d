//! Losses and metrics: a loss over one batch; a metric over a part of several, with padding at its end.
use crate::common::{Numbers, assert_close, module, run};
use std::collections::BTreeMap;
use stmc_ir::interpret::{self, Context, Value};
use stmc_ir::module::{Combine, Metric, Module, OutputRole};
use stmc_model::Request;

fn program(settings: &str) -> String {
    format!(
        "use std.loss.{{mse, l1, huber, log_cosh, bce, entropy, bce_with_logits, dice, ssim, ssim_mse, gabor, hessian, cross_entropy, focal, boundary_weight, seasonal_weight, smooth_l1, polar, quantile_loss, quantile_weight, quantile_weighted_mse, extreme_weight, asymmetric_weight}}
use std.metric.{{rmse, bias, csi, pod, far, fss, psnr, snr, crps, ets, hss, event_bias, r2, accuracy, confusion, macro_recall, macro_f1, top_k}}
use std.optim.Adam
axes space = (row, col)
data radar {{
    from storms(size: 2, length: 2, count: 10, seed: 1)
    field rain: f32[sequence, time, row, col]
    sample at s in sequence {{ p: rain[sequence: s, time: 0], y: rain[sequence: s, time: 1] }}
    split {{ train: shuffled(sequence) < 80%, test: rest }}
}}
model Same(p: f32[row, col]) -> {{ q: f32[row, col] }} {{
    param scale: [] ~ 1
    {{ q: scale * p }}
}}
train Same on radar {{
    optimizer = Adam(lr: 1e-3)
    batch = 2
{settings}
}}
"
    )
}

const P: [f64; 8] = [0.1, 0.7, 0.3, 0.9, 0.5, 0.2, 0.8, 0.4];
const Y: [f64; 8] = [0.0, 1.0, 0.6, 0.2, 0.5, 0.3, 1.0, 0.0];

fn mean(f: impl Fn(f64, f64) -> f64) -> f64 {
    P.iter().zip(&Y).map(|(p, y)| f(*p, *y)).sum::<f64>() / 8.0
}

/// Weights 2, 1.5, 1, 1, 1.5, 2 between the quantiles 0.1, 0.25, 0.5, 0.75, 0.9 of y.
fn weighted_by_quantile(p: &[f64], y: &[f64]) -> f64 {
    let mut sorted = y.to_vec();
    sorted.sort_by(f64::total_cmp);
    let edge = |q: f64| {
        let place = q * (y.len() - 1) as f64;
        let (low, part) = (place.floor() as usize, place.fract());
        sorted[low] + part * (sorted[(low + 1).min(y.len() - 1)] - sorted[low])
    };
    let edges = [0.1, 0.25, 0.5, 0.75, 0.9].map(edge);
    let weight = |y: f64| [2.0, 1.5, 1.0, 1.0, 1.5, 2.0][edges.iter().filter(|e| y > **e).count()];
    let top: f64 = p.iter().zip(y).map(|(p, y)| weight(*y) * (p - y).powi(2)).sum();
    top / y.iter().map(|y| weight(*y)).sum::<f64>()
}

#[test]
fn losses_have_their_values() {
    let cross = |p: f64, y: f64| -(y * p.ln().max(-100.0) + (1.0 - y) * (1.0 - p).ln().max(-100.0));
    let e = |f: fn(f64) -> f64| mean(|p, y| f(p - y));
    let dots = |f: fn(f64, f64) -> f64| mean(f) * 8.0;
    let cases: &[(&str, f64)] = &[
        ("mse(q, y)", e(|e| e * e)),
        ("mse(q, y, weight: y)", dots(|p, y| y * (p - y).powi(2)) / dots(|_, y| y)),
        ("l1(q, y)", e(f64::abs)),
        ("huber(q, y, delta: 0.3)", e(|e| if e.abs() <= 0.3 { 0.5 * e * e } else { 0.3 * (e.abs() - 0.15) })),
        (
            "huber(q, y, delta: 9, weight: y) * smooth_l1(q, y, beta: 9, weight: 2)",
            dots(|p, y| y * (p - y).powi(2)) / dots(|_, y| y) * e(|e| e * e) / 36.0,
        ),
        ("log_cosh(q, y)", e(|e| e.cosh().ln())),
        ("bce(q, y)", mean(cross)),
        (
            "entropy(y) + mean(q)",
            mean(|_, y| if y == 0.0 || y == 1.0 { 0.0 } else { -(y * y.ln() + (1.0 - y) * (1.0 - y).ln()) })
                + mean(|p, _| p),
        ),
        ("bce_with_logits(q, y)", mean(|p, y| (1.0 - y) * p + (1.0 + (-p).exp()).ln())),
        ("dice(q, y)", 1.0 - 2.0 * dots(|p, y| p * y) / (dots(|p, _| p * p) + dots(|_, y| y * y) + 1e-6)),
        (
            "cross_entropy(stack(q, 1 - q, along: channel), i32(y > 0.5))",
            mean(|p, y| (p.exp() + (1.0 - p).exp()).ln() - if y > 0.5 { 1.0 - p } else { p }),
        ),
        (
            "focal(stack(q, 1 - q, along: channel), i32(y > 0.5))",
            mean(|p, y| {
                let l = if y > 0.5 { 1.0 - p } else { p } - (p.exp() + (1.0 - p).exp()).ln();
                -(1.0 - l.exp()).powi(2) * l
            }),
        ),
        (
            "focal(stack(q, 1 - q, along: channel), i32(y > 0.5), gamma: 0, factor: tensor([3, 5], along: channel))",
            mean(|p, y| {
                let (l, w) = if y > 0.5 { (1.0 - p, 5.0) } else { (p, 3.0) };
                w * ((p.exp() + (1.0 - p).exp()).ln() - l)
            }),
        ),
        (
            "mean(asymmetric_weight(q, y) * extreme_weight(y, 2, 3, 2) * (q - y) ^ 2)",
            mean(|p, y| {
                let lean = if p < y { 0.41 } else { 0.59 };
                lean * 2.0 * (3.0 * y * y).exp() * (p - y).powi(2)
            }),
        ),
        (
            "smooth_l1(q, y, beta: 0.3)",
            e(|e| if e.abs() <= 0.3 { 0.5 * e * e / 0.3 } else { e.abs() - 0.15 }),
        ),
        ("quantile_loss(q, y, tau: 0.9)", mean(|p, y| if y > p { 0.9 * (y - p) } else { 0.1 * (p - y) })),
        ("quantile_loss(q, y, 0.5, weight: y)", dots(|p, y| y * (y - p).abs()) / dots(|_, y| y) / 2.0),
        ("quantile_weighted_mse(q, y)", weighted_by_quantile(&P, &Y)),
        ("quantile(abs(q - y), 0.75)", 0.325),
        ("mse(q, y) * seasonal_weight(0.54)", 1.5 * e(|e| e * e)),
        ("{ a: 2 * mse(q, y), b: l1(q, y) }", 2.0 * e(|e| e * e) + e(f64::abs)),
    ];
    for (loss, expected) in cases {
        let module = module(&program(&format!("loss = {loss}")), Request::Step);
        let given = Numbers::from([
            ("p".to_string(), P.to_vec()),
            ("y".to_string(), Y.to_vec()),
            ("scale".to_string(), vec![1.0]),
        ]);
        let outputs = run(&module, "train", &given);
        let terms: f64 = outputs.iter().filter(|(name, _)| *name != "q").map(|(_, v)| v[0]).sum();
        assert_close(loss, &[terms], &[*expected]);
    }
}

/// Losses that need more cells than a table shows: they elaborate, and a forecast without error costs nothing.
#[test]
fn losses_of_maps_are_zero_without_error() {
    let ring = "mse(q, y, weight: boundary_weight(y, ring: 2, weight: 3))";
    for loss in
        ["ssim(q, y, range: 1) - 1", "polar(q, y)", "gabor(q, y)", "hessian(q, y)", "ssim_mse(q, y)", ring]
    {
        let text = program(&format!("loss = {loss}")).replace("size: 2", "size: 12");
        let module = module(&text, Request::Step);
        let map: Vec<f64> = (0..288).map(|i| ((i * 5) % 13) as f64 / 13.0).collect();
        let given = Numbers::from([
            ("p".to_string(), map.clone()),
            ("y".to_string(), map),
            ("scale".to_string(), vec![1.0]),
        ]);
        assert_close(loss, &run(&module, "train", &given)["loss"], &[0.0]);
    }
}

/// The three samples of a part in two batches: the second is padded with nonsense.
pub fn over_a_part(module: &Module, metric: &Metric, p: &[f64], y: &[f64]) -> Vec<f64> {
    over_batches(module, metric, p, y, |_| vec![77.0; 4])
}

/// The same with other padding, made of all there is.
fn over_batches(
    module: &Module,
    metric: &Metric,
    p: &[f64],
    y: &[f64],
    padding: fn(&[f64]) -> Vec<f64>,
) -> Vec<f64> {
    let eval = module.entry("eval").expect("there is an eval");
    let slab = |all: &[f64], batch: usize| match batch {
        0 => all[..8].to_vec(),
        _ => [&all[8..12], &padding(all)].concat(),
    };
    let mut combined: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (batch, valid) in [(0, vec![1.0, 1.0]), (1, vec![1.0, 0.0])] {
        let given = Numbers::from([
            ("slab0".to_string(), slab(p, batch)),
            ("slab1".to_string(), slab(y, batch)),
            ("valid".to_string(), valid),
            ("scale".to_string(), vec![1.0]),
        ]);
        let outputs = run(module, "eval", &given);
        for i in &metric.partials {
            let OutputRole::Partial(combine) = eval.outputs[*i] else {
                panic!("outputs of eval are partial")
            };
            let new = &outputs[&format!("partial{i}")];
            let sum = combined.entry(*i).or_insert_with(|| new.clone());
            if batch > 0 {
                for (s, n) in sum.iter_mut().zip(new) {
                    *s = match combine {
                        Combine::Sum => *s + n,
                        Combine::Min => s.min(*n),
                        Combine::Max => s.max(*n),
                    };
                }
            }
        }
    }
    let types: BTreeMap<usize, stmc_ir::Type> = metric.finish.inputs().into_iter().collect();
    let inputs: Vec<Value> = metric
        .partials
        .iter()
        .enumerate()
        .map(|(n, i)| Value { ty: types[&n].clone(), data: combined[i].clone() })
        .collect();
    interpret::run(&metric.finish, &inputs, &Context::default())[0].data.clone()
}

#[test]
fn metrics_are_those_of_the_whole_part() {
    let p: Vec<f64> = (0..12).map(|i| ((i * 7) % 11) as f64 / 10.0).collect();
    let y: Vec<f64> = (0..12).map(|i| ((i * 5 + 2) % 11) as f64 / 10.0).collect();
    let pairs = || p.iter().zip(&y);
    let sum = |f: &dyn Fn(f64, f64) -> f64| pairs().map(|(p, y)| f(*p, *y)).sum::<f64>();
    let count = |f: &dyn Fn(f64, f64) -> bool| sum(&|p, y| f64::from(u8::from(f(p, y))));
    let mse = sum(&|p, y| (p - y).powi(2)) / 12.0;
    let (hits, either) = (count(&|p, y| p >= 0.5 && y >= 0.5), count(&|p, y| p >= 0.5 || y >= 0.5));
    let chance = count(&|p, _| p >= 0.5) * count(&|_, y| y >= 0.5) / 12.0;
    // The two columns are the members.
    let of_row = |i: usize| {
        let (a, b, y) = (p[2 * i], p[2 * i + 1], y[2 * i]);
        ((a - y).abs() + (b - y).abs()) / 2.0 - (a - b).abs() / 4.0
    };
    let crps = (0..6).map(of_row).sum::<f64>() / 6.0;
    let mean_y = sum(&|_, y| y) / 12.0;
    let accuracy = "accuracy(stack(q, 1 - q, along: channel), i32(y > 0.5))";
    let accurate = count(&|p, y| (p < 0.5) == (y > 0.5)) / 12.0;
    // Of class 0 is what is not above 0.5, and taken for it is what is not below 0.5: of equals the first counts.
    let pair = |truth: bool, guess: bool| count(&|p, y| (y > 0.5) == truth && (p < 0.5) == guess);
    let confusion = [pair(false, false), pair(false, true), pair(true, false), pair(true, true)];
    let [a, b, c, d] = confusion;
    let (recall, f1) = (
        (a / (a + b) + d / (c + d)) / 2.0,
        (2.0 * a / (2.0 * a + b + c) + 2.0 * d / (2.0 * d + b + c)) / 2.0,
    );
    let worst = |sample: usize, col: usize| {
        let error = |row: usize| (p[sample * 4 + row * 2 + col] - y[sample * 4 + row * 2 + col]).abs();
        error(0).max(error(1))
    };
    let row_mean = |row: usize| (0..6).map(|i| p[i / 2 * 4 + row * 2 + i % 2]).sum::<f64>() / 6.0;
    let cases: &[(&str, Vec<f64>)] = &[
        ("rmse(q, y)", vec![mse.sqrt()]),
        ("rmse(q, y, weight: y)", vec![(sum(&|p, y| y * (p - y).powi(2)) / sum(&|_, y| y)).sqrt()]),
        ("bias(q, y)", vec![sum(&|p, y| p - y) / 12.0]),
        ("mse(q, y)", vec![mse]),
        ("csi(q, y, threshold: 0.5)", vec![hits / either]),
        ("pod(q, y, 0.5)", vec![hits / count(&|_, y| y >= 0.5)]),
        ("far(q, y, 0.5)", vec![count(&|p, y| p >= 0.5 && y < 0.5) / count(&|p, _| p >= 0.5)]),
        ("event_bias(q, y, 0.5)", vec![count(&|p, _| p >= 0.5) / count(&|_, y| y >= 0.5)]),
        ("ets(q, y, 0.5)", vec![(hits - chance) / (either - chance)]),
        ("hss(q, y, 0.5)", vec![2.0 * (hits - chance) / (either + hits - 2.0 * chance)]),
        ("snr(q, y)", vec![10.0 * (sum(&|_, y| y * y) / (12.0 * mse)).log10()]),
        ("crps(q, y[col: 0], over: col)", vec![crps]),
        ("r2(q, y)", vec![1.0 - 12.0 * mse / sum(&|_, y| (y - mean_y).powi(2))]),
        ("max(q) - min(y)", vec![1.0]),
        ("max(abs(q - y))", vec![pairs().map(|(p, y)| (p - y).abs()).fold(0.0, f64::max)]),
        ("f32(any(q > 0.95)) + f32(all(q < 2))", vec![2.0]),
        ("count(y)", vec![12.0]),
        (
            "mean(q, over: axes(q) - col)",
            (0..2).map(|c| (0..6).map(|i| p[i * 2 + c]).sum::<f64>() / 6.0).collect(),
        ),
        ("sqrt(mean(mean((q - y) ^ 2, over: (row, col))))", vec![mse.sqrt()]),
        ("psnr(q, y) - psnr(q, y) + fss(y, y, 0.5, size: 1)", vec![1.0]),
        // A scan of what samples have, one of sums over the part, and one that makes an axis.
        (
            "{ let run = scan e in q - y along row { carry worst = 0 * q[row: 0]; worst' = max(worst, abs(e)); yield worst' }; mean(run[row: -1]) }",
            vec![(0..6).map(|i| worst(i / 2, i % 2)).sum::<f64>() / 6.0],
        ),
        (
            "{ let means = mean(q, over: (batch, col)); (scan m in means along row { carry s = 0; s' = 2 * s + m; yield s' })[row: -1] }",
            vec![2.0 * row_mean(0) + row_mean(1)],
        ),
        (
            "sum((scan along time: 3 { carry s = q; s' = s * y; yield s' })[time: -1])",
            vec![sum(&|p, y| p * y.powi(3))],
        ),
        ("dot(q, y, over: (batch, row, col))", vec![sum(&|p, y| p * y)]),
        (accuracy, vec![accurate]),
        ("confusion(stack(q, 1 - q, along: channel), i32(y > 0.5))", confusion.to_vec()),
        ("macro_recall(stack(q, 1 - q, along: channel), i32(y > 0.5))", vec![recall]),
        ("macro_f1(stack(q, 1 - q, along: channel), i32(y > 0.5))", vec![f1]),
        ("top_k(stack(q, 1 - q, 2 + 0 * q, along: channel), i32(y > 0.5), k: 2)", vec![accurate]),
    ];
    for (metric, expected) in cases {
        let settings = format!("loss = mse(q, y)\nmetrics = {{ value: {metric} }}");
        let module = module(&program(&settings), Request::Train);
        let metric_of = &module.train.as_ref().expect("it trains").metrics[1];
        assert_close(metric, &over_a_part(&module, metric_of, &p, &y), expected);
    }
}

#[test]
fn entries_use_earlier_ones_and_a_called_name_is_the_function() {
    let settings =
        "loss = mse(q, y)\nmetrics = { let e = q - y, rmse: rmse(q, y), twice: 2 * rmse, mean: mean(e) }";
    let settings = settings.replace("let e = q - y, ", "\nlet e = q - y\n");
    let module = module(&program(&settings), Request::Train);
    let metrics = &module.train.as_ref().expect("it trains").metrics;
    let (p, y) = (
        P.iter().chain(&P[..4]).copied().collect::<Vec<_>>(),
        Y.iter().chain(&Y[..4]).copied().collect::<Vec<_>>(),
    );
    let one = over_a_part(&module, &metrics[1], &p, &y)[0];
    assert_close("twice", &over_a_part(&module, &metrics[2], &p, &y), &[2.0 * one]);
}

/// What is no sum over samples is evaluated batch by batch; the padding of the last one repeats its last sample.
#[test]
fn a_loss_that_needs_a_whole_batch_is_the_mean_of_the_batches() {
    let module = module(&program("loss = { a: quantile_weighted_mse(q, y), b: mse(q, y) }"), Request::Train);
    let metrics = &module.train.as_ref().expect("it trains").metrics;
    let p: Vec<f64> = (0..12).map(|i| ((i * 7) % 11) as f64 / 10.0).collect();
    let y: Vec<f64> = (0..12).map(|i| ((i * 5 + 2) % 11) as f64 / 10.0).collect();
    let last = |all: &[f64]| all[8..12].to_vec();
    let found = over_batches(&module, &metrics[0], &p, &y, last)[0];
    let twice = |x: &[f64]| [&x[8..], &x[8..]].concat();
    let weighted =
        (2.0 * weighted_by_quantile(&p[..8], &y[..8]) + weighted_by_quantile(&twice(&p), &twice(&y))) / 3.0;
    let mse = p.iter().zip(&y).map(|(p, y)| (p - y).powi(2)).sum::<f64>() / 12.0;
    assert_close("loss", &[found], &[weighted + mse]);
}
