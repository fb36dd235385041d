//! Memory of this process.

/// The most memory that this process had in use so far, in bytes. `None`: this system does not say.
pub fn peak() -> Option<u64> {
    line("VmHWM:")
}

/// The memory that this process has in use, in bytes. `None`: this system does not say.
pub fn now() -> Option<u64> {
    line("VmRSS:")
}

/// A line such as `VmHWM:     5120 kB`.
fn line(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let text = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(1024 * text.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?)
}
