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
    /// The fastest launch; 0 before the first.
    pub fastest: u64,
}

impl KernelTime {
    pub(crate) fn add(&mut self, time: std::time::Duration) {
        let nanoseconds = time.as_nanos() as u64;
        self.fastest = if self.launches == 0 { nanoseconds } else { self.fastest.min(nanoseconds) };
        self.launches += 1;
        self.nanoseconds += nanoseconds;
    }
}
