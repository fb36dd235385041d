//! Trains a model on the processor and prints where the time went, kernel by kernel:
//! `cargo run -r -p stmc-tests --example launches examples/nowcast/nowcast.stm train.epochs=1`.
//!
//! The last lines tell least; `stmc emit --stage kernels` shows what a kernel does. Of a run in phases it is the last one.

use stmc::{Error, Options, TrainOptions};
use stmc_cpu::{CpuDevice, Isa};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let file = args.next().expect("a model's file, and then settings as for `--set`");
    let compiled = stmc::compile_file(&file, &Options { set: args.collect(), ..Options::default() })?;
    let folder = tempfile::tempdir().expect("a folder can be made");
    let options = TrainOptions { out: Some(folder.path().join("run")), ..TrainOptions::default() };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut device = CpuDevice::new(threads, Isa::from_env().map_err(Error::Usage)?)?;
    device.time_launches();
    compiled.train(&mut device, &options)?;
    let mut times: Vec<_> = device.times().iter().filter(|time| time.launches > 0).collect();
    times.sort_by_key(|time| std::cmp::Reverse(time.nanoseconds));
    let all: u64 = times.iter().map(|time| time.nanoseconds).sum();
    println!("      of all    launches   fastest   kernel");
    for time in times {
        println!(
            "{:8.1} ms {:3.0} % {:7} {:8.1} us   {}",
            time.nanoseconds as f64 * 1e-6,
            100.0 * time.nanoseconds as f64 / all as f64,
            time.launches,
            time.fastest as f64 * 1e-3,
            time.kernel
        );
    }
    Ok(())
}
