//! Programs, changed token by token, through the whole of `stmc check`.
#![no_main]
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use std::path::Path;
use stmc_fuzz::mutate::{Random, mutate};

fuzz_target!(|text: &str| {
    if let Err(fault) = stmc_fuzz::check(text, Path::new("."), 0) {
        panic!("{fault}");
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let Ok(text) = std::str::from_utf8(&data[..size]) else {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    };
    let changed = mutate(text, &mut Random(u64::from(seed)));
    let mut size = changed.len().min(max_size);
    while !changed.is_char_boundary(size) {
        size -= 1;
    }
    data[..size].copy_from_slice(&changed.as_bytes()[..size]);
    size
});
