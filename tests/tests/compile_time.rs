//! How long compiling takes: a program of its own, for other tests beside it would be measured as well.
use std::path::Path;
use std::time::{Duration, Instant};
use stmc::Options;

fn options(set: &str) -> Options {
    Options { set: vec![set.into()], ..Options::default() }
}

#[test]
fn compile_time_does_not_grow_with_the_number_of_steps() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/long.stm");
    let time = |steps: &str| {
        let began = Instant::now();
        let compiled = stmc::compile_file(&file, &options(steps)).unwrap_or_else(|e| panic!("{e}"));
        assert!(compiled.program.kernels.len() > 3);
        began.elapsed()
    };
    time("steps=10");
    // The best of several, taken in turn: the machine may have other work.
    let mut best = [Duration::MAX; 2];
    for _ in 0..15 {
        best = [best[0].min(time("steps=10")), best[1].min(time("steps=1000"))];
    }
    let [short, long] = best.map(|t| t.as_secs_f64());
    assert!((long / short - 1.0).abs() < 0.2, "10 steps: {short:.4} s, 1000 steps: {long:.4} s");
}
