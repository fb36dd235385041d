//! How long compiling takes: a program of its own, for other tests beside it would be measured as well.
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use stmc::Options;

fn options(set: &str) -> Options {
    Options { set: vec![set.into()], ..Options::default() }
}

/// The time that this thread was on a processor, where the system tells: a loaded machine disturbs it less than that of a clock.
fn on_processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = stat.as_deref().and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds
        .map_or_else(|| Instant::now().duration_since(*BEGAN.get_or_init(Instant::now)), Duration::from_nanos)
}

static BEGAN: OnceLock<Instant> = OnceLock::new();

#[test]
fn compile_time_does_not_grow_with_the_number_of_steps() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/long.stm");
    let time = |steps: &str| {
        let began = on_processor();
        let compiled = stmc::compile_file(&file, &options(steps)).unwrap_or_else(|e| panic!("{e}"));
        assert!(compiled.program.kernels.len() > 3);
        on_processor() - began
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
