//! Any text at all.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(fault) = stmc_fuzz::read(text) {
        panic!("{fault}");
    }
});
