//! What a backend offers. A device is a value (`&mut dyn Device`), never a type parameter.
use crate::kernel::Work;
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

    /// Begins or ends the measuring of launches. What was measured before is forgotten when it begins.
    fn measure(&mut self, _: Measuring) -> Result<(), DeviceError> {
        let reason = "this device does not measure launches yet".to_owned();
        Err(DeviceError { device: self.name(), reason })
    }

    /// What was measured. `None`: this device does not measure.
    fn times(&self) -> Option<&Times> {
        None
    }

    /// What the device can do at most, measured now. `None`: it cannot tell.
    fn peaks(&mut self) -> Option<Peaks> {
        None
    }
}

/// Whether launches are measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measuring {
    /// They are: costs some tens of nanoseconds each.
    On,
    /// They are not.
    Off,
}

/// Where the time of runs went.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Times {
    /// By kernel of the program.
    pub kernels: Vec<Time>,
    /// Copies and fills.
    pub moves: Time,
    /// Nanoseconds in which threads had work, over all threads.
    pub busy: u64,
    /// Threads that take part.
    pub threads: usize,
}

impl Times {
    /// Both together.
    pub fn add(&mut self, other: &Times) {
        self.kernels.resize(self.kernels.len().max(other.kernels.len()), Time::default());
        self.kernels.iter_mut().zip(&other.kernels).for_each(|(time, more)| time.merge(more));
        self.moves.merge(&other.moves);
        self.busy += other.busy;
        self.threads = other.threads;
    }
}

/// What the launches of one kernel took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Time {
    /// How often it ran.
    pub launches: u64,
    /// In all launches together.
    pub nanoseconds: u64,
    /// The fastest launch; 0 before the first.
    pub fastest: u64,
}

impl Time {
    /// One more launch.
    pub fn add(&mut self, time: std::time::Duration) {
        let nanoseconds = time.as_nanos() as u64;
        self.fastest = if self.launches == 0 { nanoseconds } else { self.fastest.min(nanoseconds) };
        self.launches += 1;
        self.nanoseconds += nanoseconds;
    }

    fn merge(&mut self, other: &Time) {
        self.fastest = if self.launches == 0 { other.fastest } else { self.fastest.min(other.fastest) };
        self.launches += other.launches;
        self.nanoseconds += other.nanoseconds;
    }
}

/// The roof over every kernel of a device.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Peaks {
    /// Operations on f32 per second, with products and sums alone.
    pub flops: f64,
    /// Bytes per second to and from memory.
    pub bytes: f64,
}

impl Peaks {
    /// Seconds that some work takes at least.
    pub fn least(&self, work: Work) -> f64 {
        (work.flops as f64 / self.flops).max(work.bytes as f64 / self.bytes)
    }
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
