//! What a backend offers. A device is a value (`&mut dyn Device`), never a type parameter.
use crate::program::{BufferId, Program, ScalarArg};

/// Runs programs.
pub trait Device {
    /// For people and checkpoints: `cpu avx512`, `wgpu llvmpipe`. Results are bit for bit the same only for equal names.
    fn name(&self) -> String;

    /// Compiles the kernels and makes the memory. Replaces a program loaded before. State is zero, halos and constants are set.
    fn load(&mut self, program: &Program) -> Result<(), DeviceError>;

    /// Writes a buffer's memory from its first element on (`Buffer::scatter` puts a tensor in place).
    fn write(&mut self, buffer: BufferId, values: &[u32]) -> Result<(), DeviceError>;

    /// Reads a buffer's memory from its first element on.
    fn read(&mut self, buffer: BufferId, values: &mut [u32]) -> Result<(), DeviceError>;

    /// Runs `program.entries[entry]` with the values of `Program::scalars`. After return the results can be read.
    fn run(&mut self, entry: usize, scalars: &Scalars) -> Result<(), DeviceError>;
}

/// Run-time scalars of one run.
#[derive(Clone, Debug, Default)]
pub struct Scalars {
    /// `Program::scalars`, evaluated.
    pub host: Vec<f32>,
    /// The run's seed.
    pub seed: u64,
    /// Number of the update; 0 in evaluation.
    pub update: u32,
}

impl ScalarArg {
    /// The value's bits, in these iterations of the loops around.
    pub fn bits(&self, iterations: &[usize], scalars: &Scalars) -> u32 {
        match *self {
            ScalarArg::Host(i) => scalars.host[i].to_bits(),
            ScalarArg::Iteration { depth, reversed: None } => iterations[depth] as u32,
            ScalarArg::Iteration { depth, reversed: Some(count) } => (count - 1 - iterations[depth]) as u32,
            ScalarArg::SeedLow => scalars.seed as u32,
            ScalarArg::SeedHigh => (scalars.seed >> 32) as u32,
            ScalarArg::Update => scalars.update,
        }
    }
}

/// What a device cannot do, or what went wrong on it. Says which device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceError {
    /// The device's name.
    pub device: String,
    /// One sentence.
    pub reason: String,
}

impl std::fmt::Display for DeviceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.device, self.reason)
    }
}

impl std::error::Error for DeviceError {}
