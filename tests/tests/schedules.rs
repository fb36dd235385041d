//! Schedules against rates computed elsewhere, update by update; some carry a state, and some watch a metric.
use std::path::Path;
use stmc_ir::Module;
use stmc_runtime::Moment;
use stmc_runtime::schedules::Schedules;
use stmc_tests::devices;

/// A program that trains for 200 epochs of one update each.
fn module(schedule: &str) -> Module {
    let text = format!(
        "use std.schedule.{{linear, exponential, step_decay, cosine, polynomial, cosine_hard_restarts, cosine_cycles, one_cycle, plateau}}
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
fn rates(module: &Module, metric: &[f64]) -> Vec<f64> {
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

fn assert_same(schedule: &str, found: &[f64], expected: &[f64]) {
    for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
        let apart = (found - expected).abs();
        // Files are read as f32.
        assert!(
            apart <= 1e-12 + 1e-7 * expected.abs(),
            "{schedule}, update {step}: {found}, expected {expected}"
        );
    }
}

fn numbers(file: &stmc_runtime::Named, name: &str) -> Option<Vec<f64>> {
    let tensor = &file.iter().find(|t| t.0 == name)?.1;
    Some(tensor.numbers().map(f64::from).collect())
}

#[test]
fn rates_are_those_of_the_oracle() {
    let Some(folder) = std::env::var_os("STMC_REFERENCE") else {
        devices::skipped("rates against an independent oracle: STMC_REFERENCE is not set");
        return;
    };
    // How many updates agree: a cosine ends where it has come down; elsewhere it rises again.
    let cases = [
        ("sched_step", "exponential(from: 0.1, gamma: 0.5, every: 30 steps)", 200),
        ("sched_step_gamma095", "exponential(from: 0.01, gamma: 0.95)", 200),
        ("sched_multistep", "step_decay(from: 0.1, gamma: 0.1, at: [50 epochs, 120 steps])", 200),
        ("sched_exponential", "exponential(from: 0.1, gamma: 0.98)", 200),
        ("sched_cosine", "cosine(from: 1e-4, to: 1e-6, over: 100 epochs)", 100),
        ("sched_cosine_restarts_mult1", "cosine_cycles(peak: 1e-3, min: 5e-5, span: 40 steps)", 200),
        (
            "sched_cosine_restarts_mult2",
            "cosine_cycles(peak: 1e-3, min: 5e-5, span: 20 steps, stretch: 2)",
            200,
        ),
        ("sched_linear_warmup", "linear(from: 0.01, to: 0.1, over: 20 steps)", 200),
        ("sched_polynomial", "polynomial(from: 0.1, power: 2, over: 150 steps)", 200),
        ("sched_onecycle_cos", "one_cycle(peak: 0.1, over: 201 steps)", 200),
        ("sched_onecycle_linear", "one_cycle(peak: 0.1, over: 201 steps, rise: 0.2, shape: \"linear\")", 200),
        ("sched_plateau_0.2", "plateau(from: 0.1, factor: 0.2, patience: 5, cooldown: 2, min: 1e-5)", 200),
        ("sched_plateau_0.5", "plateau(from: 0.1, factor: 0.5, patience: 5, cooldown: 2, min: 1e-5)", 200),
        (
            "sched_cycles_warmup_decay",
            "cosine_cycles(peak: 1e-3, min: 5e-5, span: 50 steps, warmup: 5 steps, decay: 0.8)",
            200,
        ),
        (
            "sched_cycles_warmup_mult2",
            "cosine_cycles(peak: 1e-3, min: 5e-5, span: 30 steps, warmup: 6 steps, stretch: 2, decay: 0.5)",
            200,
        ),
        ("sched_cycles_nowarmup", "cosine_cycles(peak: 1e-3, min: 5e-5, span: 40 steps)", 200),
        (
            "sched_hard_restarts_global_warmup",
            "cosine_hard_restarts(peak: 1e-3, cycles: 3, warmup: 20 steps)",
            200,
        ),
    ];
    for (name, schedule, updates) in cases {
        let path = Path::new(&folder).join(format!("oracle/ops/{name}.safetensors"));
        let file = stmc_runtime::tensor::read(&path).expect("the oracle has the case");
        let metric = numbers(&file, "in.metric").unwrap_or_default();
        let expected = numbers(&file, "out.lr").expect("the case has rates");
        assert_same(schedule, &rates(&module(schedule), &metric)[..updates], &expected);
    }
}

#[test]
fn a_plateau_cuts_the_rate_when_the_metric_stalls() {
    let module = module("plateau(from: 1, watch: valid.loss, factor: 0.5, patience: 1, cooldown: 1)");
    // Better, worse, worse: cut; one epoch of rest, then two more: cut.
    let rates = rates(&module, &[1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 0.5]);
    assert_eq!(rates[..8], [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]);
}

#[test]
fn a_plateau_knows_which_way_is_better() {
    let rises = [1.0, 2.0, 3.0, 4.0, 5.0];
    let falls = rises.map(|x| -x);
    // (what is watched, values that get better, values that get worse)
    let cases = [
        ("valid.loss", falls, rises),
        ("valid.fit", rises, falls),
        ("valid.own, prefer: \"high\"", rises, falls),
        ("valid.own, prefer: \"low\"", falls, rises),
        ("valid.fit, prefer: \"low\"", falls, rises),
    ];
    for (watch, better, worse) in cases {
        let module = module(&format!("plateau(from: 1, watch: {watch}, factor: 0.5, patience: 0)"));
        assert_eq!(rates(&module, &better)[..6], [1.0; 6], "{watch}");
        assert_eq!(rates(&module, &worse)[..6], [1.0, 1.0, 0.5, 0.25, 0.125, 0.0625], "{watch}");
    }
}

#[test]
fn schedules_that_go_on_alike_share_their_state() {
    let alike = module("cosine_cycles(peak: 1, span: 4 steps) + cosine_cycles(peak: 1, span: 4 steps)");
    assert_eq!(alike.states.len(), 3);
    let apart = module("cosine_cycles(peak: 1, span: 4 steps) + cosine_cycles(peak: 1, span: 5 steps)");
    assert_eq!(apart.states.len(), 6);
    let cosine = |t: f64, n: f64| (1.0 + (std::f64::consts::PI * (t % n) / n).cos()) / 2.0;
    let expected = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].map(|t| cosine(t, 4.0) + cosine(t, 5.0));
    assert_same("two cycles", &rates(&apart, &[])[..6], &expected);
}
