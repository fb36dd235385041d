//! The rates that a schedule gives to a run's updates.
use stmc_ir::Module;
use stmc_runtime::schedules::Schedules;
use stmc_runtime::{Moment, Named};

/// A program that trains for 200 epochs of one update each.
pub fn module(schedule: &str) -> Module {
    let text = format!(
        "use std.schedule.{{linear, exponential, step_decay, cosine, polynomial, cosine_hard_restarts, cosine_cycles, one_cycle, plateau, warmup_decay, noam, approach}}
use std.optim.Sgd
use std.loss.mse
use std.metric.r2
data radar {{
    from storms(size: 2, length: 2, count: 10, seed: 1)
    field rain: f32[sequence, time, row, col]
    sample at s in sequence {{ p: rain[sequence: s, time: 0], y: rain[sequence: s, time: 1] }}
    split {{ train: shuffled(sequence) < 80%, valid: rest }}
}}
model Same(p: f32[row, col]) -> {{ q: f32[row, col] }} {{
    param scale: [] ~ 1
    {{ q: scale * p }}
}}
train Same on radar {{
    loss = mse(q, y)
    metrics = {{ fit: r2(q, y), own: 1 - mse(q, y) }}
    optimizer = Sgd(lr: {schedule})
    batch = 8
    epochs = 200
}}
"
    );
    // Tests run side by side, each with a file of its own.
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("schedule.stm");
    std::fs::write(&file, text).expect("the folder is writable");
    match stmc::check_file(&file, &stmc::Options::default()) {
        Ok(checked) => checked.module,
        Err(error) => panic!("{schedule}: {error}"),
    }
}

/// The rate of each update. After each a metric has the next of these values, if there are any.
pub fn rates(module: &Module, metric: &[f64]) -> Vec<f64> {
    let train = module.train.as_ref().expect("it trains");
    let rate = &module.scalars[train.rate.expect("the rule has a rate").index()];
    let mut schedules = Schedules::new(module);
    let update = |step: u64| {
        let now = schedules.eval(rate, Moment::evaluation(step));
        schedules.advance(&module.states, Moment::evaluation(step));
        if let (Some(watch), Some(value)) = (train.watched.first(), metric.get(step as usize)) {
            schedules.observe(watch, *value);
        }
        now
    };
    (0..200).map(update).collect()
}

/// The first update whose rate is another than is expected; files are read as f32.
pub fn compare(schedule: &str, found: &[f64], expected: &[f64]) -> Result<(), String> {
    let far = |(found, expected): (&f64, &f64)| (found - expected).abs() > 1e-12 + 1e-7 * expected.abs();
    match found.iter().zip(expected).position(far) {
        None => Ok(()),
        Some(n) => Err(format!("{schedule}, update {n}: {}, expected {}", found[n], expected[n])),
    }
}

/// A tensor of a file as numbers.
pub fn numbers(file: &Named, name: &str) -> Option<Vec<f64>> {
    let tensor = &file.iter().find(|t| t.0 == name)?.1;
    Some(tensor.numbers().map(f64::from).collect())
}
