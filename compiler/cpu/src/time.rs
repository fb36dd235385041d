//! Where the time goes, kernel by kernel.

/// What the launches of one kernel took.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KernelTime {
    /// The kernel's name.
    pub kernel: String,
    /// How often it ran.
    pub launches: u64,
    /// In all launches together.
    pub nanoseconds: u64,
}

impl KernelTime {
    pub(crate) fn add(&mut self, time: std::time::Duration) {
        self.launches += 1;
        self.nanoseconds += time.as_nanos() as u64;
    }
}
