//! `precision`: every device rounds to the formats as their definition says, and training with them learns.
use std::path::{Path, PathBuf};
use stmc::{Compiled, Options, TrainOptions};
use stmc_ir::interpret::Value;
use stmc_ir::kernel_interpret::Interpreter;
use stmc_ir::{Device, Module, Precision};
use stmc_passes::compile::{Gradients, compile};
use stmc_runtime::Tensor;
use stmc_runtime::folder::{self, Checkpoint, Mark};
use stmc_tests::agree::{Case, EXACT, FLUSHED, check};
use stmc_tests::devices;
use stmc_tests::lab::{Draws, Lab};

/// All numbers of a format that are not negative, in order, then infinity: so the place of a number is its bits.
fn numbers(precision: Precision) -> Vec<f64> {
    match precision {
        Precision::F32 => unreachable!("nothing is rounded to it"),
        Precision::Tf32 => {
            (0..=(0xff << 10)).map(|bits: u32| f64::from(f32::from_bits(bits << 13))).collect()
        }
        Precision::Bf16 => (0..=(0xff << 7)).map(|bits: u32| f64::from(f32::from_bits(bits << 16))).collect(),
        Precision::F16 => (0..=(31u32 << 10)).map(half).collect(),
    }
}

/// An f16 of these bits.
fn half(bits: u32) -> f64 {
    let (exponent, rest) = (bits >> 10, f64::from(bits & 1023));
    match exponent {
        0 => rest * 2f64.powi(-24),
        31 => f64::INFINITY,
        e => (1.0 + rest / 1024.0) * 2f64.powi(e as i32 - 15),
    }
}

/// The nearest of these, of two the one whose bits are even; what is nearer to where the next number would be than to the
/// largest is infinite.
fn nearest(numbers: &[f64], x: f64) -> f64 {
    let size = x.abs();
    let above = numbers.partition_point(|n| *n < size);
    if above == 0 || numbers[above] == size {
        return x;
    }
    let (low, high) = (numbers[above - 1], numbers[above]);
    let beyond = if high.is_finite() { high } else { low + (low - numbers[above - 2]) };
    let up = match (size - low).total_cmp(&(beyond - size)) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => above % 2 == 0,
    };
    if up { high.copysign(x) } else { low.copysign(x) }
}

/// Numbers at which something may go wrong: of every exponent those around the middle between two neighbours, even and odd;
/// the ends; and others at random.
fn inputs() -> Vec<f32> {
    let mut bits: Vec<u32> = vec![0, 1, 2, 0x7f80_0000, 0x7fc0_0000, 0x7f80_0001, 0x7fff_ffff, 0x7f7f_ffff];
    for exponent in 0..255 {
        for drop in 1..24 {
            let half = 1 << (drop - 1);
            for odd in [0, 1, 3] {
                let middle = ((odd << drop) & 0x7f_ffff) | half;
                bits.extend(
                    [middle - 1, middle, middle + 1, 0x7f_ffff - half]
                        .map(|m| (exponent << 23) | (m & 0x7f_ffff)),
                );
            }
        }
    }
    let mut draws = Draws(3);
    bits.extend((0..20_000).map(|_| draws.next() as u32 & 0x7fff_ffff));
    bits.iter().flat_map(|b| [*b, b | (1 << 31)]).map(f32::from_bits).collect()
}

#[test]
fn formats_round_to_the_nearest_and_to_even() {
    for &precision in &Precision::ALL[1..] {
        let numbers = numbers(precision);
        for x in inputs() {
            let (got, x) = (precision.round(f64::from(x)), f64::from(x));
            if x.is_nan() {
                assert!(got.is_nan());
                continue;
            }
            let want = if x.is_infinite() { x } else { nearest(&numbers, x) };
            assert_eq!(
                got.to_bits(),
                want.to_bits(),
                "{x:e} in {} is {got:e}, expected {want:e}",
                precision.name()
            );
        }
    }
}

#[test]
fn every_device_rounds_alike() {
    let (small, normal): (Vec<f32>, Vec<f32>) =
        inputs().into_iter().partition(|x| x.abs() < f32::MIN_POSITIVE);
    let mut cases = vec![];
    for &precision in &Precision::ALL[1..] {
        let (rounding, _) = precision.rounding().expect("it rounds");
        for (what, list, tolerance) in [("normal", &normal, EXACT), ("subnormal", &small, FLUSHED)] {
            let lab = Lab::new();
            let ty = lab.ty(&format!("row {}", list.len()));
            let out = lab.b.scalar(rounding, &[lab.b.input(0, ty.clone())]);
            cases.push(Case {
                name: format!("{what} numbers in {}", precision.name()),
                lab,
                outputs: vec![out],
                inputs: vec![Value { ty, data: list.iter().map(|x| f64::from(*x)).collect() }],
                tolerance,
                gradients: None,
            });
        }
    }
    check(&cases);
}

fn place(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("precision").join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).expect("what an earlier test left can be removed");
    }
    path
}

fn compiled(program: &str, set: &[&str]) -> Compiled {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(program);
    let set = set.iter().map(ToString::to_string).collect();
    stmc::compile_file(file, &Options { set, ..Options::default() }).unwrap_or_else(|error| panic!("{error}"))
}

fn train(compiled: &Compiled, device: &mut dyn Device, out: &Path) -> Result<(), stmc::Error> {
    let options = TrainOptions { out: Some(out.into()), ..TrainOptions::default() };
    compiled.train(device, &options).map(|_| ())
}

fn log(run: &Path, key: &str) -> Vec<f64> {
    let lines = folder::read_log(run).expect("the run has a log");
    lines.iter().filter(|l| l.get("epoch").is_some()).filter_map(|l| l[key].as_f64()).collect()
}

fn last(run: &Path) -> Checkpoint {
    folder::load(run, Mark::Last).expect("it can be read").expect("the run was saved")
}

/// The losses of a small version of the nowcaster.
fn nowcast(precision: &str, device: &mut dyn Device, epochs: usize) -> Vec<f64> {
    let data = "radar.from=storms(size: 16, length: 8, count: 50, seed: 7)";
    let (precision_set, epochs) =
        (format!("train.precision=\"{precision}\""), format!("train.epochs={epochs}"));
    let compiled = compiled(
        "../examples/nowcast/nowcast.stm",
        &["hidden=[4]", "train.batch=4", &epochs, &precision_set, data],
    );
    let out = place(&format!("nowcast-{precision}-{}", device.name().replace([' ', '/', '(', ')'], "-")));
    train(&compiled, device, &out).unwrap_or_else(|error| panic!("{error}"));
    let losses = log(&out, "loss");
    if precision == "f16" {
        assert_eq!(log(&out, "scale").len(), losses.len());
        // The first scale may be too large; a few updates tell.
        assert!(log(&out, "skipped").iter().all(|n| *n < 8.0));
    }
    losses
}

#[test]
fn losses_follow_those_of_f32() {
    let processor = || stmc::device(stmc::DeviceKind::Cpu, 1).expect("the processor is there");
    let exact = nowcast("f32", &mut *processor(), 5);
    for (precision, noise) in [("tf32", 0.02), ("f16", 0.05), ("bf16", 0.05)] {
        let found = nowcast(precision, &mut *processor(), 5);
        let far = found.iter().zip(&exact).map(|(a, b)| (a - b).abs() / b).sum::<f64>() / 40.0;
        assert!(0.0 < far && far < noise, "{precision} is {far} away: {found:?}, {exact:?}");
        // A factor near the middle between two numbers is rounded to either, as the sums before it were added up: that is up
        // to 2^-8 of it. So devices are compared over a few updates: each is another's rounding away, and Adam, which divides
        // by the size of gradients, makes as much of a small one as of a large one.
        let near = |others: &[f64], name: &str| {
            for (step, (a, b)) in found.iter().zip(others).enumerate() {
                assert!(
                    (a - b).abs() <= a / 256.0,
                    "{precision} on {name}, update {step}: {b}, expected {a}"
                );
            }
        };
        if precision == "bf16" {
            near(&nowcast(precision, &mut Interpreter::default(), 1)[..4], "the interpreter");
        }
        if let Some(mut subject) = devices::gpu() {
            near(&nowcast(precision, &mut *subject.device, 1)[..4], &subject.name);
        }
    }
}

/// The mean loss of an epoch of two updates, by number.
fn epoch(losses: &[f64], n: usize) -> f64 {
    (losses[2 * n] + losses[2 * n + 1]) / 2.0
}

fn weight(tensors: &stmc_runtime::Named) -> &Tensor {
    &tensors.iter().find(|t| t.0.ends_with("weight")).expect("there is one").1
}

#[test]
fn a_gradient_below_what_f16_holds_is_saved_by_the_scale() {
    let faint = compiled("programs/faint.stm", &[]);
    let run = place("faint");
    train(&faint, &mut Interpreter::default(), &run).unwrap_or_else(|error| panic!("{error}"));
    let losses = log(&run, "loss");
    assert!(epoch(&losses, 15) < 0.5 * epoch(&losses, 0), "it learns: {losses:?}");
    assert!(log(&run, "scale").iter().all(|s| *s == 65536.0));

    // Without the scale every gradient is 0, and no weight moves.
    let mut module: Module = faint.checked.module.clone();
    let scale = module.train.as_mut().expect("it trains").loss_scale.take().expect("it is scaled");
    module.scalars.truncate(scale.scale.index());
    let program = compile(&module, Gradients::Weights);
    let mut checked = faint.checked.clone();
    checked.module = module;
    let still = place("still");
    train(&Compiled { checked, program }, &mut Interpreter::default(), &still)
        .unwrap_or_else(|e| panic!("{e}"));
    assert!(weight(&last(&still).weights).numbers().all(|w| w == 0.1));
    assert!(weight(&last(&run).weights).numbers().any(|w| w != 0.1));
}

#[test]
fn an_overflow_skips_the_update_and_halves_the_scale() {
    let set = ["gain=1e6", "train.clip=norm(1e9)"];
    for accumulate in ["train.accumulate=1", "train.accumulate=2"] {
        let short = compiled("programs/faint.stm", &[set[0], set[1], accumulate, "train.steps=3"]);
        let run = place("overflow-short");
        train(&short, &mut Interpreter::default(), &run).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(log(&run, "scale"), [32768.0, 16384.0, 8192.0]);
        assert_eq!(log(&run, "skipped"), [1.0, 2.0, 3.0]);
        let saved = last(&run);
        assert!(weight(&saved.weights).numbers().all(|w| w == 0.1), "weights stay");
        assert!(weight(&saved.averages).numbers().all(|w| w == 0.1), "averages stay");
        assert!(saved.moments.iter().all(|m| m.1.numbers().all(|x| x == 0.0)), "the rule's state stays");
        let clock = saved.state.clock;
        assert_eq!((saved.state.step, clock.rules, clock.schedules), (3, 0, 0));

        let long = compiled("programs/faint.stm", &[set[0], set[1], accumulate, "train.steps=32"]);
        let run = place("overflow-long");
        train(&long, &mut Interpreter::default(), &run).unwrap_or_else(|error| panic!("{error}"));
        let (losses, saved) = (log(&run, "loss"), last(&run));
        let skipped = *log(&run, "skipped").last().unwrap();
        assert!(
            (8.0..28.0).contains(&skipped) && saved.state.clock.rules == 32 - skipped as u64,
            "{skipped}"
        );
        assert_eq!(*log(&run, "scale").last().unwrap(), 65536.0 / 2f64.powf(skipped));
        assert!(epoch(&losses, 15) < epoch(&losses, 0), "then it learns: {losses:?}");
    }
}

#[test]
fn a_gradient_that_no_scale_saves_ends_the_run() {
    // The loss is 0, its gradient 0 times infinity.
    let broken = compiled("programs/faint.stm", &["train.loss=mean(sqrt(0 * line))", "train.steps=64"]);
    let run = place("hopeless");
    let error =
        train(&broken, &mut Interpreter::default(), &run).expect_err("no update can be made").to_string();
    assert!(error.contains("E0806") && error.contains("whatever the loss is scaled by"), "{error}");
    assert!(error.contains("at step 31, in epoch"), "{error}");
}
