//! Missing values: what each operation makes of them, in losses and in metrics over a part.
use crate::common::{Numbers, assert_close, module, rendered, run};
use crate::losses::over_a_part;
use stmc_model::Request;

const N: f64 = f64::NAN;

/// Two samples of 2 x 2 cells, and a map for all.
const P: [f64; 8] = [0.1, 0.7, 0.3, 0.9, 0.5, 0.2, 0.8, 0.4];
const Y: [f64; 8] = [N, 1.0, 0.6, N, 0.5, N, N, 0.25];

fn program(settings: &str) -> String {
    format!(
        "// data: p sample=10 row=2 col=2
// data: y sample=10 row=2 col=2
// data: area row=2 col=2
use std.loss.{{mse, l1, huber, bce_with_logits, cross_entropy}}
use std.metric.{{rmse, bias, csi, r2}}
use std.optim.Adam
axes space = (row, col)
data maps {{
    from \"maps.npz\"
    field p: f32[sample, row, col]
    field y: f32?[sample, row, col]
    field area: f32?[row, col]
    sample at s in sample {{ p: p[sample: s], y: y[sample: s], area: area }}
    split {{ train: shuffled(sample) < 80%, test: rest }}
}}
model Same(p: f32[row, col]) -> {{ q: f32[row, col] }} {{
    param scale: [] ~ 1
    {{ q: scale * p }}
}}
train Same on maps {{
    optimizer = Adam(lr: 1e-3)
    batch = 2
{settings}
}}
"
    )
}

fn given() -> Numbers {
    Numbers::from([
        ("p".to_string(), P.to_vec()),
        ("y".to_string(), Y.to_vec()),
        ("area".to_string(), vec![1.0, N, 3.0, 0.5]),
        ("scale".to_string(), vec![1.0]),
    ])
}

/// The mean of f(p, y), weighted, over the cells where y is there.
fn mean(weight: [f64; 4], f: impl Fn(f64, f64) -> f64) -> f64 {
    let cells = || P.iter().zip(&Y).enumerate().filter(|(_, (_, y))| !y.is_nan());
    let sum: f64 = cells().map(|(i, (p, y))| weight[i % 4] * f(*p, *y)).sum();
    sum / cells().map(|(i, _)| weight[i % 4]).sum::<f64>()
}

#[test]
fn values() {
    let ones = [1.0; 4];
    let area = [1.0, 0.0, 3.0, 0.5];
    // Each is added to a loss of 0, so that it reaches a weight.
    let cases: &[(&str, f64)] = &[
        ("mse(q, y)", mean(ones, |p, y| (p - y).powi(2))),
        ("mse(q, y, weight: area)", mean(area, |p, y| (p - y).powi(2))),
        ("l1(q, y)", mean(ones, |p, y| (p - y).abs())),
        (
            "huber(q, y, delta: 0.3)",
            mean(ones, |p, y| {
                let e = (p - y).abs();
                if e <= 0.3 { 0.5 * e * e } else { 0.3 * (e - 0.15) }
            }),
        ),
        ("bce_with_logits(q, y)", mean(ones, |p, y| (1.0 - y) * p + (1.0 + (-p).exp()).ln())),
        ("sum(y)", 2.35),
        ("mean(y)", 2.35 / 4.0),
        ("f32(count(y)) + f32(count(q))", 12.0),
        ("count(area)", 3.0),
        ("f32(sum(is_missing(y)))", 4.0),
        ("f32(sum(is_missing(q)))", 0.0),
        ("sum(fill(y, -1))", 2.35 - 4.0),
        ("sum(fill(y, q))", 2.35 + 0.1 + 0.9 + 0.2 + 0.8),
        ("sum(fill(q, 100))", 3.9),
        // Pointwise: missing where any operand is.
        ("sum(y * q)", 0.7 + 0.18 + 0.25 + 0.1),
        ("sum(q / y)", 0.7 + 0.5 + 1.0 + 1.6),
        ("sum(log(y))", 0.6f64.ln() + 0.5f64.ln() + 0.25f64.ln()),
        ("sum(sqrt(y))", 1.0 + 0.6f64.sqrt() + 0.5f64.sqrt() + 0.5),
        ("sum(y ^ -2)", 1.0 + 1.0 / 0.36 + 4.0 + 16.0),
        ("sum(exp(y) + cos(y))", [1.0f64, 0.6, 0.5, 0.25].iter().map(|y| y.exp() + y.cos()).sum()),
        ("sum(y + area)", 0.6 + 3.0 + 0.5 + 1.0 + 0.25 + 0.5),
        ("f32(sum(y > 0.5))", 2.0),
        ("f32(sum(y >= 0 or q > 0))", 4.0),
        // A choice is missing where the chosen one is.
        ("sum(where(q > 0.45, y, q))", 1.0 + 0.5 + 0.1 + 0.3 + 0.2 + 0.4),
        ("sum(where(y > 0.5, 1, 0.5))", 1.0 + 1.0 + 0.5 + 0.5),
        ("sum(where(is_missing(y), q, y))", 2.35 + 0.1 + 0.9 + 0.2 + 0.8),
        // Reductions: missing where nothing is left. Row 0 of sample 1 has 0.5, column 1 of it 0.25.
        ("max(y)", 1.0),
        ("min(y)", 0.25),
        ("sum(max(y, over: col))", 1.0 + 0.6 + 0.5 + 0.25),
        ("sum(min(y, over: row) * 0 + 1)", 4.0),
        ("f32(count(mean(where(q < 0.6, y, y), over: col)))", 4.0),
        ("f32(count(sum(y - 0 * area, over: col)))", 3.0),
        ("f32(any(y > 0.9)) + 10 * f32(all(y > 0.2))", 11.0),
        ("mean(mean(y, over: (row, col)))", (0.8 + 0.375) / 2.0),
        ("sum(mean(y, over: batch))", 0.5 + 1.0 + 0.6 + 0.25),
        // Axes and places.
        ("sum(y[row: 0])", 1.5),
        ("sum(y[col: index(time: 1)])", 0.6 + 0.5),
        ("sum(flip(y, along: row)[row: 0])", 0.85),
        ("sum(concat(y, q, along: row))", 2.35 + 3.9),
        ("f32(count(pad(y, row: 1)))", 12.0),
        ("f32(count(pad(y, row: 1, mode: \"replicate\")))", 4.0 + 2.0 + 2.0),
        ("sum(shift(y, row: 1))", 1.5),
        ("sum(flatten(y, (row, col) -> channel)[channel: 2])", 0.6),
        ("sum(stack(y, q, along: channel)[channel: 0])", 2.35),
        ("sum(mean(windows(y, over: space, size: 2), over: taps(space)))", 0.8 + 0.375),
        ("sum(expand(area, time: 2))", 9.0),
        ("quantile(y, 0.5)", 0.55),
        ("sum(quantile(y, 0.25, over: (row, col)))", 0.7 + 0.3125),
        ("sum(cumsum(fill(y, 0), over: col))", 1.0 + 1.2 + 1.0 + 0.25),
        // Sums so far are missing as long as nothing was there.
        ("sum(cumsum(y, over: col))", 1.0 + 1.2 + 1.0 + 0.25),
        ("f32(count(cumsum(y, over: col)))", 6.0),
        ("f32(count(cumsum(concat(y, y, y, y, y, y, y, y, y, along: row)[col: 1], over: row)))", 18.0 + 17.0),
        ("f32(count(cumsum(y[row: 1, col: 1], over: batch)))", 1.0),
        ("f32(sum(argmax(y, over: col)))", 1.0 + 0.0 + 0.0 + 1.0),
        ("f32(count(argmax(y[col: 0], over: batch)))", 2.0),
        ("f32(count(argmax(y + 0 * area, over: col)))", 3.0),
        ("f32(count(argmax(y[row: 0], over: col)))", 2.0),
        // In order, what is missing comes last.
        ("sum(sort(y, over: col)[col: 0])", 1.0 + 0.6 + 0.5 + 0.25),
        ("f32(count(sort(y, over: col)[col: 1]))", 0.0),
        ("sum(sort(flatten(y, (row, col) -> channel), over: channel)[channel: 1])", 1.0 + 0.5),
        ("f32(sum(sort(i32(10 * y), over: row)[row: 0]))", 6.0 + 10.0 + 5.0 + 2.0),
        // Scans: of what may be missing, with carries and yields that may be.
        ("sum(scan v in y along col { yield v * 2 })", 4.7),
        ("f32(count(scan v in y along col { yield v * 2 }))", 4.0),
        ("sum(scan v in y along col { yield where(is_missing(v), 10, v) })", 2.35 + 40.0),
        ("sum(scan v in (y * 0 + area) along col { yield v })", 3.0 + 1.0 + 0.5),
        (
            "{ let run = scan v in y along col { carry total = 0; total' = total + fill(v, 0) }; sum(run.total) }",
            2.35,
        ),
        // A sum is missing from the first gap on.
        (
            "{ let run = scan v in y along col { carry total = 0; total' = total + v; yield total' }; sum(run) }",
            0.6 + 0.5,
        ),
        (
            "{ let run = scan v in y along col { carry total = 0; total' = total + v; yield total' }; f32(count(run.total)) }",
            0.0,
        ),
        // The last one that was there.
        (
            "{ let run = scan v in y along col { carry last = y[col: 0]; last' = where(is_missing(v), last, v); yield last' }; sum(run) }",
            1.0 + 1.2 + 1.0 + 0.25,
        ),
        (
            "{ let run = scan v in y along row { carry last = area[row: 0]; last' = where(is_missing(v), last, v) }; sum(run.last) }",
            0.6 + 1.0 + 0.5 + 0.25,
        ),
    ];
    for (value, expected) in cases {
        let module = module(&program(&format!("loss = mse(q, stop_gradient(q)) + {value}")), Request::Step);
        let outputs = run(&module, "train", &given());
        assert_close(value, &outputs["loss"], &[*expected]);
    }
}

#[test]
fn a_loss_of_nothing_is_zero() {
    let module = module(&program("loss = { all: mse(q, y), half: mse(q, y, weight: area) }"), Request::Step);
    let given: Numbers = given().into_iter().chain([("y".to_string(), vec![N; 8])]).collect();
    let outputs = run(&module, "train", &given);
    assert_eq!((outputs["all"][0], outputs["half"][0]), (0.0, 0.0));
}

#[test]
fn metrics_skip_what_is_missing_in_the_whole_part() {
    let p: Vec<f64> = (0..12).map(|i| f64::from((i * 7) % 11) / 10.0).collect();
    let mut y: Vec<f64> = (0..12).map(|i| f64::from((i * 5 + 2) % 11) / 10.0).collect();
    for i in [1, 3, 6, 7, 11] {
        y[i] = N;
    }
    let there = || p.iter().zip(&y).filter(|(_, y)| !y.is_nan());
    let sum = |f: &dyn Fn(f64, f64) -> f64| there().map(|(p, y)| f(*p, *y)).sum::<f64>();
    let mse = sum(&|p, y| (p - y).powi(2)) / 7.0;
    let most = there().map(|(_, y)| *y).fold(0.0, f64::max);
    let hits = sum(&|p, y| f64::from(u8::from(p >= 0.5 && y >= 0.5)));
    let either = sum(&|p, y| f64::from(u8::from(p >= 0.5 || y >= 0.5)));
    let cases: &[(&str, Vec<f64>)] = &[
        ("rmse(q, y)", vec![mse.sqrt()]),
        ("rmse(q, y, weight: q)", vec![(sum(&|p, y| p * (p - y).powi(2)) / sum(&|p, _| p)).sqrt()]),
        ("bias(q, y)", vec![sum(&|p, y| p - y) / 7.0]),
        ("count(y)", vec![7.0]),
        ("max(y)", vec![most]),
        ("csi(q, y, threshold: 0.5)", vec![hits / either]),
        ("f32(any(y > 0.95)) + 10 * f32(all(y < 2))", vec![if most > 0.95 { 11.0 } else { 10.0 }]),
        // The last cell is nowhere there.
        ("max(y, over: batch)[row: 1, col: 1]", vec![N]),
        (
            "mean(y, over: axes(y) - row)",
            vec![(y[0] + y[4] + y[5] + y[8] + y[9]) / 5.0, (y[2] + y[10]) / 2.0],
        ),
        ("mean(where(y > 5, y, 0 * y), over: batch)[row: 0, col: 1] + 0 * sum(y)", vec![0.0]),
        ("mean(expand(y[row: 1, col: 1], time: 1), over: batch)", vec![N]),
    ];
    for (metric, expected) in cases {
        let settings = format!("loss = mse(q, y)\nmetrics = {{ value: {metric} }}");
        let module = module(&program(&settings), Request::Train);
        let metric_of = &module.train.as_ref().expect("it trains").metrics[1];
        let found = over_a_part(&module, metric_of, &p, &y);
        if expected[0].is_nan() {
            assert!(found[0].is_nan(), "{metric}: {found:?}");
        } else {
            assert_close(metric, &found, expected);
        }
    }
}

#[test]
fn a_sum_that_skips_is_not_divided_by_one_that_does_not() {
    let warned = |loss: &str| {
        let (sources, outcome) =
            crate::common::elaborated(&program(&format!("loss = {loss}")), &[], Request::Train);
        let (_, warnings) = outcome.unwrap_or_else(|e| panic!("{}", rendered(&sources, &e)));
        warnings.iter().any(|w| w.code == stmc_base::Code::W0702)
    };
    for wrong in [
        "sum(q * (q - y) ^ 2) / sum(q)",
        "sum((q - y) ^ 2) / count(q)",
        "sum(abs(q - y)) / sum(fill(area, 1)) * 2",
    ] {
        assert!(warned(wrong), "{wrong}");
    }
    for right in [
        "sum(q * (q - y) ^ 2) / sum(y)",
        "sum((q - y) ^ 2) / count(y)",
        "sum(q * q) / sum(q)",
        "mean((q - y) ^ 2, weight: q)",
    ] {
        assert!(!warned(right), "{right}");
    }
}
