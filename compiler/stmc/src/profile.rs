//! Where the time of a training step goes, kernel by kernel.
use crate::bench::median;
use crate::quantity::{rate, time};
use crate::{Error, Options, compile_file};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;
use stmc_base::{Sources, Span};
use stmc_ir::Device;
use stmc_ir::device::{Measuring, Peaks, Time, Times};
use stmc_ir::kernel::Work;
use stmc_ir::program::{Program, Step};
use stmc_runtime::Rehearsal;

/// Where the time goes. Times are in seconds per step.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Profile {
    /// Of these fields.
    pub version: u32,
    /// The model's name.
    pub model: String,
    /// Where it ran.
    pub device: String,
    /// Threads that took part.
    pub threads: usize,
    /// A step while launches are measured: all of them together, over their number.
    pub step: f64,
    /// What measuring adds, as a share of a step: the median of measured steps over that of the steps between them, less 1.
    pub overhead: f64,
    /// The share of a step in kernels, copies and fills.
    pub explained: f64,
    /// The share of the threads' time in which they had no work.
    pub idle: f64,
    /// Copies and fills.
    pub moves: f64,
    /// Dearest first.
    pub kernels: Vec<KernelCost>,
}

/// What a kernel costs in a step.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct KernelCost {
    /// Its name, after the operations that it fuses.
    pub name: String,
    /// Its instructions, each with how often it stands in the text; a contraction has none.
    pub instructions: Vec<(String, usize)>,
    /// Where in the program it comes from.
    pub places: Vec<String>,
    /// Launches in a step.
    pub launches: f64,
    /// All its launches.
    pub seconds: f64,
    /// Of the step.
    pub share: f64,
    /// Operations on f32 per second.
    pub flops: f64,
    /// Bytes per second, each element of a launch counted once. Above the machine's where caches hold what is read.
    pub bytes: f64,
    /// The time that the machine's peaks allow over the time it took. `None`: the device does not know its peaks.
    pub of_peak: Option<f64>,
}

/// Measures `steps` steps of a file, each beside one that is not measured.
pub fn profile(
    file: &Path,
    options: &Options,
    device: &mut dyn Device,
    steps: u32,
) -> Result<Profile, Error> {
    let compiled = compile_file(file, options)?;
    let sources = &compiled.checked.sources;
    let fail = |e| Error::run(sources, e);
    let (name, peaks) = (device.name(), device.peaks());
    let mut session = compiled.session(device)?;
    let mut rehearsal = Rehearsal::new(&mut session, compiled.data()?).map_err(fail)?;
    let mut step = |measuring: Measuring| -> Result<(f64, Times), Error> {
        rehearsal.session().device.measure(measuring)?;
        let began = Instant::now();
        rehearsal.step().map_err(fail)?;
        let seconds = began.elapsed().as_secs_f64();
        Ok((seconds, rehearsal.session().device.times().cloned().unwrap_or_default()))
    };
    for _ in 0..3 {
        step(Measuring::Off)?;
    }
    let (mut plain, mut measured, mut sums) = (vec![], vec![], Times::default());
    for _ in 0..steps.max(1) {
        plain.push(step(Measuring::Off)?.0);
        let (seconds, times) = step(Measuring::On)?;
        measured.push(seconds);
        sums.add(&times);
    }
    let wall: f64 = measured.iter().sum();
    let count = measured.len() as f64;
    let seconds = |time: &Time| time.nanoseconds as f64 * 1e-9 / count;
    let kernels = kernels(&compiled.program, sources, &sums, peaks, count, wall / count);
    let moves = seconds(&sums.moves);
    Ok(Profile {
        version: 1,
        model: compiled.checked.module.name.clone(),
        device: name,
        threads: sums.threads,
        step: wall / count,
        overhead: median(&measured) / median(&plain) - 1.0,
        explained: (kernels.iter().map(|k| k.seconds).sum::<f64>() + moves) * count / wall,
        idle: 1.0 - (sums.busy as f64 * 1e-9 + moves * count) / (wall * sums.threads as f64),
        moves,
        kernels,
    })
}

/// The kernels of a step that ran, dearest first.
fn kernels(
    program: &Program,
    sources: &Sources,
    times: &Times,
    peaks: Option<Peaks>,
    count: f64,
    step: f64,
) -> Vec<KernelCost> {
    let mut spans = vec![BTreeSet::new(); program.kernels.len()];
    program.entries.iter().for_each(|entry| places(&entry.steps, &mut spans));
    let ran = times.kernels.iter().enumerate().filter(|(_, time)| time.launches > 0);
    let mut costs: Vec<KernelCost> = ran
        .map(|(i, time)| {
            let kernel = &program.kernels[i];
            let Work { flops, bytes } = kernel.work();
            let seconds = time.nanoseconds as f64 * 1e-9;
            let per_second = |amount: u64| amount as f64 * time.launches as f64 / seconds;
            let least = peaks.map(|peaks| peaks.least(Work { flops, bytes }) * time.launches as f64);
            let mut places: Vec<String> = spans[i].iter().map(|span| sources.place(*span)).collect();
            places.dedup();
            places.sort_by_key(|place| place.starts_with("std/")); // what the user wrote comes first
            let named = |(core, n): (stmc_ir::kernel::Core, usize)| (core.name().to_string(), n);
            KernelCost {
                name: kernel.name.clone(),
                instructions: kernel.instructions().into_iter().map(named).collect(),
                places,
                launches: time.launches as f64 / count,
                seconds: seconds / count,
                share: seconds / count / step,
                flops: per_second(flops),
                bytes: per_second(bytes),
                of_peak: least.map(|least| least / seconds),
            }
        })
        .collect();
    costs.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    costs
}

/// Where in the source each kernel comes from.
fn places(steps: &[Step], spans: &mut [BTreeSet<Span>]) {
    for step in steps {
        match step {
            Step::Launch(launch) => spans[launch.kernel.index()].extend(&launch.spans),
            Step::Loop { body, .. } => places(body, spans),
            Step::Copy { .. } | Step::Fill { .. } => {}
        }
    }
}

/// Kernels that are told one by one: the others together are a small part.
const TOLD: f64 = 0.98;
/// Places and instructions of a kernel that are told.
const NAMED: usize = 3;

impl Profile {
    /// For people.
    pub fn text(&self) -> String {
        let mut out = format!(
            "{} on {}, {} threads: {} per step, {:.1} % of it in kernels; measuring adds {:.1} %, threads are idle for {:.1} %\n\n",
            self.model,
            self.device,
            self.threads,
            time(self.step),
            100.0 * self.explained,
            100.0 * self.overhead,
            100.0 * self.idle,
        );
        out += "   share       time  launches        speed     memory  of peak  kernel\n";
        let (mut told, mut others) = (0.0, (0, 0.0));
        for kernel in &self.kernels {
            if told > TOLD * self.explained {
                others = (others.0 + 1, others.1 + kernel.seconds);
                continue;
            }
            told += kernel.share;
            let of_peak = kernel.of_peak.map_or(String::new(), |x| format!("{:.0} %", 100.0 * x));
            out += &format!(
                "{:>6.1} % {:>10} {:>9.0} {:>12} {:>5.1} GB/s {:>8}  {}{}\n",
                100.0 * kernel.share,
                time(kernel.seconds),
                kernel.launches,
                rate(kernel.flops),
                kernel.bytes * 1e-9,
                of_peak,
                kernel.name,
                kernel.origin(),
            );
        }
        if others.0 > 0 {
            out += &format!(
                "{:>6.1} % {:>10}  {} other kernels\n",
                100.0 * others.1 / self.step,
                time(others.1),
                others.0
            );
        }
        if self.moves > 0.0 {
            out += &format!(
                "{:>6.1} % {:>10}  copies and fills\n",
                100.0 * self.moves / self.step,
                time(self.moves)
            );
        }
        out
    }
}

impl KernelCost {
    /// `  (add 5, mul 3, tanh) nowcast.stm:31`.
    fn origin(&self) -> String {
        let few = |all: Vec<String>| match all.len() {
            n if n > NAMED => all[..NAMED].join(", ") + ", …",
            _ => all.join(", "),
        };
        let counted =
            |(name, n): &(String, usize)| if *n == 1 { name.clone() } else { format!("{name} {n}") };
        let instructions = few(self.instructions.iter().map(counted).collect());
        let instructions = if instructions.is_empty() { instructions } else { format!(" ({instructions})") };
        format!("{instructions}  {}", few(self.places.clone()))
    }
}
