//! What the loop around phases binds, in each of their settings.
use crate::common::modules;
use stmc_ir::module::{Clip, Train};

const PROGRAM: &str = "
use std.loss.mse
use std.optim.Adam
use std.schedule.linear
hyper width: int = 1
data radar {
    from storms(size: 2, length: 2, count: 1000, seed: 1)
    field rain: f32[sequence, time, row, col]
    sample at s in sequence { past: rain[sequence: s, time: 0], future: rain[sequence: s, time: 1] }
    split { train: shuffled(sequence) < 80%, valid: rest }
}
model Shift(past: f32[row, col]) -> { forecast: f32[row, col] } {
    axis unit
    param shift: [unit: 3] ~ width
    { forecast: past + mean(shift, over: unit) }
}
train Shift on radar {
    loss      = mse(forecast, future)
    optimizer = Adam(lr: 1e-3)
    phases    = [for n, (much, digits) in [(1.0, \"tf32\"), (2.0, \"f32\")] => phase(
        width: n + 1,
        loss: { let twice = 2 * much, near: much * mse(forecast, future), far: twice * mean(forecast ^ 2) },
        metrics: { let twice = 2 * much, error: twice * mse(forecast, future) },
        optimizer: { \"*\": Adam(lr: linear(from: 0.1 * much, to: 0, over: much * 1 epochs)) },
        batch: 2 * (n + 1),
        epochs: n + 3,
        accumulate: n + 1,
        clip: norm(0.5 * much),
        stop: stalled(valid.error, for: (n + 2) * 1 epochs, prefer: low),
        precision: digits,
        math: if n == 0 then \"exact\" else \"fast\",
        reset: [optimizer],
    )]
}
";

#[test]
fn every_setting_sees_what_the_loop_binds() {
    let modules = modules(PROGRAM);
    let trains: Vec<&Train> = modules.iter().filter_map(|m| m.train.as_ref()).collect();
    assert_eq!(trains.len(), 2);
    for (n, train) in trains.into_iter().enumerate() {
        assert_eq!((train.batch, train.epochs, train.accumulate), (2 * (n + 1), n + 3, n + 1));
        assert_eq!(train.clip, Some(Clip::Norm(0.5 * (n + 1) as f64)));
        assert_eq!(train.stop.as_ref().map(|s| s.epochs), Some(n + 2));
        let names: Vec<&str> = train.metrics.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["loss", "loss.near", "loss.far", "error"]);
    }
}
