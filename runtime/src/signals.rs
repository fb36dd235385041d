//! Interrupts: the first one asks training to finish its step and save; the second one ends the process. Sole user of signal-hook.
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A flag that becomes true at the first SIGINT or SIGTERM. Call it once.
pub fn interrupted() -> std::io::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the shutdown looks at the flag before this signal sets it. 128 + number is the shell's custom.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
        flag::register(signal, Arc::clone(&asked))?;
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn the_first_interrupt_only_asks() {
        let asked = interrupted().unwrap();
        assert!(!asked.load(Ordering::Relaxed));
        signal_hook::low_level::raise(SIGINT).unwrap();
        assert!(asked.load(Ordering::Relaxed));
    }
}
