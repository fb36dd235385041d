//! The library face of `stmc`: compile a model file, bind its data, train, evaluate, predict, export. Everything that the command line
//! does is here.
//!
//! ```no_run
//! let compiled = stmc::compile_file("nowcast.stm", &stmc::Options::default())?;
//! let mut device = stmc::device(stmc::DeviceKind::Cpu, 2)?;
//! let outcome = compiled.train(&mut *device, &stmc::TrainOptions::default())?;
//! println!("{}", stmc::scores(&outcome));
//! # Ok::<(), stmc::Error>(())
//! ```

mod bench;
pub mod cli;
mod devices;
mod emit;
mod error;
mod export;
mod front;
mod import;
mod profile;
mod quantity;
mod run;
mod summary;
pub mod tune;

pub use bench::{BenchOptions, Compiling, MemoryUse, Roof, StepCost, bench, bench_in_turns};
pub use devices::{DeviceKind, device};
pub use emit::{Stage, Target, emit_after, emit_stage, emit_target, passes};
pub use error::Error;
pub use export::{Format, export};
pub use front::{Checked, Compiled, Options, check_file, check_text, compile_file, schema_of};
pub use import::ImportFiles;
pub use profile::{KernelCost, Profile, profile};
pub use run::{
    Again, StepFiles, StepInput, TrainOptions, evaluate, predict, resume, scores, step, step_inputs,
};
pub use stmc_base::{Code, Diagnostic, Schema, Sources};
pub use stmc_runtime::adopt::Adopted;
pub use stmc_runtime::{Outcome, Tensor};
pub use summary::summary;
pub use tune::tune;
