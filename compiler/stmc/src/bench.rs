//! What one training step costs: time, memory, and what the machine allows at most.
use crate::front::Compiled;
use crate::quantity::{bytes, plural, rate, time};
use crate::{Error, Options, compile_file};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;
use stmc_ir::Device;
use stmc_ir::kernel::Work;
use stmc_ir::program::{BufferKind, Program};
use stmc_runtime::{Rehearsal, memory};

/// How a step is timed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BenchOptions {
    /// Steps that are not timed.
    pub warm_up: u32,
    /// Steps that are.
    pub samples: u32,
}

impl Default for BenchOptions {
    fn default() -> BenchOptions {
        BenchOptions { warm_up: 3, samples: 15 }
    }
}

/// What a step costs. Times are in seconds, memory in bytes.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StepCost {
    /// Of these fields.
    pub version: u32,
    /// The model's name.
    pub model: String,
    /// Where it ran.
    pub device: String,
    /// Samples of a step.
    pub batch: usize,
    /// Elements of the weights.
    pub parameters: usize,
    /// Each timed step, in order.
    pub seconds: Vec<f64>,
    /// The fastest.
    pub min: f64,
    /// The one in the middle.
    pub median: f64,
    /// Standard deviation over mean.
    pub cv: f64,
    /// Samples per second, by the median.
    pub samples_per_second: f64,
    /// From the source to the end of the first step.
    pub compile: Compiling,
    /// The same again in this process.
    pub compile_again: Compiling,
    /// Of the contractions, and bytes of the state and the batch, each moved once.
    pub flops: u64,
    /// See `flops`.
    pub bytes: u64,
    /// The machine's, measured beside. `None`: the device cannot tell.
    pub roof: Option<Roof>,
    /// Memory.
    pub memory: MemoryUse,
    /// The loss of the first step and of the last.
    pub loss: [f64; 2],
}

/// What the machine does at most.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Roof {
    /// Operations per second.
    pub flops: f64,
    /// Bytes per second to and from memory.
    pub bytes: f64,
    /// What a step takes at least.
    pub seconds: f64,
}

/// Where the time before the second step goes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Compiling {
    /// Parsing, checking, opening data, and making the program.
    pub compile: f64,
    /// Making machine code, memory and first weights.
    pub load: f64,
    /// Fitting data, reading a batch, and the first step itself.
    pub first_step: f64,
}

impl Compiling {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.compile + self.load + self.first_step
    }
}

/// Memory of a run. `None`: the system does not say.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct MemoryUse {
    /// All that the program uses, planned before it runs.
    pub planned: u64,
    /// Weights, gradients that are kept, the optimizer's state.
    pub state: u64,
    /// Of the process before the file was read.
    pub before: Option<u64>,
    /// The most that the process had at any time.
    pub peak: Option<u64>,
}

/// Times the step of a file on the first batch of its train part.
pub fn bench(
    file: &Path,
    options: &Options,
    device: &mut dyn Device,
    how: &BenchOptions,
) -> Result<StepCost, Error> {
    let mut told = None;
    bench_in_turns(file, options, device, how, &mut |cost| {
        told = Some(cost);
        None
    })?;
    Ok(told.expect("there is a first turn"))
}

/// The same in turns, for comparisons with other programs that take theirs in between: after each, `told` gets what it cost, and says
/// how many steps the next one times, or that there is none.
pub fn bench_in_turns(
    file: &Path,
    options: &Options,
    device: &mut dyn Device,
    how: &BenchOptions,
    told: &mut dyn FnMut(StepCost) -> Option<u32>,
) -> Result<(), Error> {
    let before = memory::now();
    let (compile, _) = first_step(file, options, device)?;
    let (compile_again, compiled) = first_step(file, options, device)?;
    let name = device.name();
    let module = &compiled.checked.module;
    let fail = |e| Error::run(&compiled.checked.sources, e);
    let mut session = compiled.session(device)?;
    let mut rehearsal = Rehearsal::new(&mut session, compiled.data()?).map_err(fail)?;
    let first = rehearsal.step().map_err(fail)?;
    for _ in 1..how.warm_up {
        rehearsal.step().map_err(fail)?;
    }
    let work = least_work(&compiled.program);
    // Measuring the peaks takes memory of its own, so that of the steps is asked before.
    let (mut peak, mut peaks) = (None, None);
    let mut next = Some(how.samples);
    while let Some(samples) = next {
        let (mut seconds, mut last) = (vec![], first);
        for _ in 0..samples.max(1) {
            let began = Instant::now();
            last = rehearsal.step().map_err(fail)?;
            seconds.push(began.elapsed().as_secs_f64());
        }
        let median = median(&seconds);
        let peak = *peak.get_or_insert_with(memory::peak);
        let peaks = *peaks.get_or_insert_with(|| rehearsal.session().device.peaks());
        next = told(StepCost {
            version: 1,
            model: module.name.clone(),
            device: name.clone(),
            batch: rehearsal.samples(),
            parameters: module.params.iter().filter(|p| !p.buffer).map(|p| p.ty.len()).sum(),
            min: seconds.iter().copied().fold(f64::INFINITY, f64::min),
            median,
            cv: variation(&seconds),
            samples_per_second: rehearsal.samples() as f64 / median,
            seconds,
            compile,
            compile_again,
            flops: work.flops,
            bytes: work.bytes,
            roof: peaks.map(|p| Roof { flops: p.flops, bytes: p.bytes, seconds: p.least(work) }),
            memory: MemoryUse {
                planned: 4 * compiled.program.arena as u64,
                state: 4 * elements(&compiled.program, |kind| matches!(kind, BufferKind::State)),
                before,
                peak,
            },
            loss: [first, last],
        });
    }
    Ok(())
}

/// From the source to the end of the first step.
fn first_step(
    file: &Path,
    options: &Options,
    device: &mut dyn Device,
) -> Result<(Compiling, Compiled), Error> {
    let began = Instant::now();
    let compiled = compile_file(file, options)?;
    let compile = began.elapsed().as_secs_f64();
    let fail = |e| Error::run(&compiled.checked.sources, e);
    let mut session = compiled.session(device)?;
    let load = began.elapsed().as_secs_f64() - compile;
    Rehearsal::new(&mut session, compiled.data()?).and_then(|mut r| r.step()).map_err(fail)?;
    let first_step = began.elapsed().as_secs_f64() - load - compile;
    Ok((Compiling { compile, load, first_step }, compiled))
}

/// What no program of the same step can do without: its contractions, and the state and the batch, read and the state written.
fn least_work(program: &Program) -> Work {
    let flops = program.entry("train").map_or(0, |entry| entry.flops);
    let state = elements(program, |kind| matches!(kind, BufferKind::State));
    let inputs = elements(program, |kind| matches!(kind, BufferKind::Input));
    Work { flops, bytes: 4 * (2 * state + inputs) }
}

fn elements(program: &Program, kind: fn(&BufferKind) -> bool) -> u64 {
    program.buffers.iter().filter(|b| b.parent.is_none() && kind(&b.kind)).map(|b| b.len as u64).sum()
}

/// The one in the middle; of an even number the upper one.
pub(crate) fn median(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn variation(seconds: &[f64]) -> f64 {
    let n = seconds.len() as f64;
    let mean = seconds.iter().sum::<f64>() / n;
    let squares: f64 = seconds.iter().map(|x| (x - mean).powi(2)).sum();
    (squares / n).sqrt() / mean
}

impl StepCost {
    /// For people.
    pub fn text(&self) -> String {
        let StepCost { model, device, batch, .. } = self;
        let speed = self.flops as f64 / self.median;
        let roof = self.roof.map_or(String::new(), |roof| {
            format!(
                ", the machine allows {}: {:.0} % of what it can",
                rate(roof.flops),
                100.0 * roof.seconds / self.median
            )
        });
        let peak =
            self.memory.peak.map_or(String::new(), |peak| format!(", the process had up to {}", bytes(peak)));
        format!(
            "{model} on {device}, {} of {}\n\
             \x20 step       {}, median of {} ({} at best, spread {:.1} %)\n\
             \x20 speed      {:.4} samples/s, {}{roof}\n\
             \x20 compiling  {} to the end of the first step, {} when done again\n\
             \x20 memory     {} planned, {} of it weights and state{peak}\n",
            plural(*batch, "sample"),
            plural(self.parameters, "parameter"),
            time(self.median),
            self.seconds.len(),
            time(self.min),
            100.0 * self.cv,
            self.samples_per_second,
            rate(speed),
            time(self.compile.total()),
            time(self.compile_again.total()),
            bytes(self.memory.planned),
            bytes(self.memory.state),
        )
    }
}
