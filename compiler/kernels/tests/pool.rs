//! The pool runs each unit once, whatever happens.

use std::sync::atomic::{AtomicUsize, Ordering};
use stmc_kernels::Pool;

#[test]
fn each_unit_runs_once() {
    for threads in [1, 2, 5] {
        let mut pool = Pool::new(threads);
        for units in [0, 1, 2, 7, 100] {
            for _ in 0..200 {
                let runs: Vec<AtomicUsize> = (0..units).map(|_| AtomicUsize::new(0)).collect();
                pool.run(units, &|unit, thread| {
                    assert!(thread < threads);
                    runs[unit].fetch_add(1, Ordering::Relaxed);
                });
                assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
            }
        }
    }
}

#[test]
fn parked_threads_wake() {
    let mut pool = Pool::new(2);
    for _ in 0..5 {
        std::thread::sleep(std::time::Duration::from_millis(2));
        let helped = AtomicUsize::new(0);
        pool.run(200, &|_, thread| {
            helped.fetch_add(thread, Ordering::Relaxed);
            std::thread::sleep(std::time::Duration::from_micros(50));
        });
        assert!(helped.load(Ordering::Relaxed) > 0, "the second thread took part");
    }
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
    let mut pool = Pool::new(2);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool.run(50, &|unit, _| assert_ne!(unit, 20, "unit 20 fails"));
    }));
    assert!(caught.is_err());
    let runs = AtomicUsize::new(0);
    pool.run(10, &|_, _| {
        runs.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(runs.into_inner(), 10);
}
