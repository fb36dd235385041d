//! What the metrics of a report are in.
use crate::common::module;
use stmc_model::Request;

fn program(metrics: &str) -> String {
    format!(
        "// data: rain sample=10 time=4 row=2 col=2
// data: warmth sample=10 time=4 row=2 col=2
// data: level sample=10 time=4 row=2 col=2
use std.loss.{{mse, l1, huber}}
use std.metric.{{rmse, bias, csi, r2}}
use std.data.{{zscore, minmax}}
use std.optim.Adam
axes space = (row, col)
data maps {{
    from \"maps.npz\"
    field rain: f32[sample, time, row, col] unit \"mm/h\"
    field warmth: f32?[sample, time, row, col] unit \"K\"
    field level: f32[sample, time, row, col]
    let calm = zscore(rain)
    let spread = fit(mean((rain - fit(mean(rain))) ^ 2))
    sample at s in sample {{
        past:   rain[sample: s, time: 0 .. 2]
        rain:   rain[sample: s, time: 2 .. 4]
        calm:   calm[sample: s, time: 2 .. 4]
        warmth: warmth[sample: s, time: 2 .. 4]
        level:  level[sample: s, time: 2 .. 4]
        tenth:  rain[sample: s, time: 2 .. 4] / 10
        spread: spread
    }}
    split {{ train: shuffled(sample) < 80%, test: rest }}
}}
model Net(past: f32[time, row, col]) -> {{ out: f32[time, row, col], calm: f32[time, row, col], rain: f32[time, row, col] }} {{
    param scale: [] ~ 1
    {{ out: scale * past, calm: scale * past, rain: past }}
}}
train Net on maps {{
    loss = {{ far: mse(out.out, sample.rain), near: huber(out.calm, sample.calm) }}
    metrics = {{ {metrics} }}
    optimizer = Adam(lr: 1e-3)
    batch = 2
}}
"
    )
}

#[test]
fn a_metric_has_the_unit_of_what_it_is_computed_of() {
    let rain = Some("mm/h");
    let square = Some("(mm/h)^2");
    let cases: &[(&str, Option<&str>)] = &[
        // An output is in the unit of what it is held against.
        ("rmse(out.out, sample.rain)", rain),
        ("l1(out.out, sample.rain)", rain),
        ("bias(out.out, sample.rain)", rain),
        ("mse(out.out, sample.rain)", square),
        ("rmse(sample.warmth, out.out)", Some("K")),
        ("mse(out.out, sample.warmth)", Some("K^2")),
        ("rmse(out.out, past)", rain),
        ("max(abs(out.out - sample.rain))", rain),
        ("mean(out.out - sample.rain, over: axes(sample.rain) - row)", rain),
        ("mean(sample.rain, weight: sample.warmth)", rain),
        ("mean(sample.warmth, weight: past)", Some("K")),
        // Whatever the weights are in, it cancels out.
        ("rmse(out.out, sample.rain, weight: sample.level)", rain),
        ("rmse(out.out, sample.rain, weight: cos(radians(sample.level)))", rain),
        ("mean(sample.warmth, weight: exp(sample.rain))", Some("K")),
        ("sum(sample.level * sample.warmth) / sum(sample.level)", Some("K")),
        ("sum(sample.level * sample.warmth)", None),
        ("mean(sample.level)", None),
        // With the units of two it makes no sense.
        ("rmse(sample.rain, sample.warmth)", None),
        ("mean(out.out)", None),
        ("mean(out.out * sample.rain)", None),
        ("rmse(out.out, sample.level)", None),
        // Products, quotients, roots, choices.
        ("mean(sample.rain * sample.warmth)", Some("K mm/h")),
        ("mean(sample.rain / sample.warmth)", Some("K^-1 mm/h")),
        ("mean(sample.rain ^ 3)", Some("(mm/h)^3")),
        ("mean(sqrt(sample.rain))", Some("(mm/h)^0.5")),
        ("mean(1 / sample.rain)", Some("(mm/h)^-1")),
        ("mean(max(sample.rain, 0))", rain),
        ("mean(where(sample.rain > 0.5, sample.rain, past))", rain),
        ("mean(where(sample.rain > 0.5, 0, sample.rain))", rain),
        ("mean(-sample.rain)", rain),
        ("sqrt(sample.spread)", rain),
        ("sample.spread + 0 * mean(out.out)", None),
        // Order and place.
        ("mean(quantile(sample.rain, 0.9, over: space))", rain),
        ("mean(sort(sample.rain, over: row)[row: 0])", rain),
        ("mean(cumsum(sample.rain, over: time))", rain),
        ("mean(max(sample.rain, over: space))", rain),
        ("mean(concat(sample.rain, past, along: row))", rain),
        ("mean(concat(sample.rain, sample.warmth, along: row))", None),
        ("mean(mean(windows(sample.rain, over: space, size: 2), over: taps(space)))", rain),
        ("mean(fill(sample.warmth, 0))", Some("K")),
        // Plain numbers.
        ("r2(out.out, sample.rain)", None),
        ("csi(out.out, sample.rain, threshold: 0.5)", None),
        ("count(sample.rain)", None),
        ("mean(f32(sample.rain > 1))", None),
        ("rmse(out.calm, sample.calm)", None),
        ("mean(sample.rain / past)", None),
        ("mean((sample.rain / past - 1) * sample.warmth)", Some("K")),
        // A written number may be a conversion, or of a scale.
        ("mean(sample.tenth)", None),
        ("mean(sample.warmth - 273.15)", None),
        ("mean(sample.rain * 24)", None),
        ("mean(exp(sample.rain))", None),
        ("mean(floor(sample.rain))", None),
        // What a transform is undone of.
        ("rmse(physical(out.calm), physical(sample.calm))", rain),
        ("mean(physical(out.calm))", rain),
        ("rmse(physical(out.calm), sample.rain)", rain),
        ("mean(out.rain)", rain),
    ];
    let mut wrong = vec![];
    for (metric, unit) in cases {
        let module = module(&program(&format!("value: {metric}")), Request::Train);
        let metrics = &module.train.as_ref().expect("it trains").metrics;
        let found = metrics.iter().find(|m| m.name == "value").expect("it is reported");
        if found.unit.as_deref() != *unit {
            wrong.push(format!("{metric}: {:?}, not {unit:?}", found.unit));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_loss_and_what_is_computed_of_metrics_have_units_too() {
    let metrics =
        "{ error: rmse(out.out, sample.rain), double: error + error, share: error / mean(sample.rain) }";
    let module = module(&program(metrics.trim_matches(['{', '}'])), Request::Train);
    let metrics = &module.train.as_ref().expect("it trains").metrics;
    let found: Vec<(&str, Option<&str>)> = metrics.iter().map(|m| (&m.name[..], m.unit.as_deref())).collect();
    let expected = [
        ("loss", None),
        ("loss.far", Some("(mm/h)^2")),
        ("loss.near", None),
        ("error", Some("mm/h")),
        ("double", Some("mm/h")),
        ("share", None),
    ];
    assert_eq!(found, expected);
}
