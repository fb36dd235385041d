//! Threads that share the units of a step.
//!
//! Units are handed out one by one, so that a slow core takes fewer. A waiting thread spins for a moment, since the
//! next step mostly comes at once, and then parks. A step never waits for a thread that did not come in time to
//! take part: on shared cores a parked or descheduled thread costs its help, not a stall.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long a thread spins before it parks.
const SPIN: Duration = Duration::from_micros(30);
/// Looks at the gate between two looks at the clock.
const LOOKS: u32 = 64;

/// A gate's bits: the step's number, whether it is open, and how many threads went in.
const OPEN: u64 = 1 << 31;
const ENTERED: u64 = OPEN - 1;
const STEP: u64 = 1 << 32;

/// A step's work: `(unit, thread)`.
type Work<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// A fixed set of threads; the caller's is thread 0.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    /// Threads enter a step only while its gate is open, and only then look at `job`.
    gate: AtomicU64,
    /// The current step. Written while the gate is closed and every thread that entered has left.
    job: std::cell::UnsafeCell<Option<Job>>,
    /// The next unit to hand out.
    next: AtomicUsize,
    /// Threads that entered and have left again.
    left: AtomicUsize,
    parked: Vec<AtomicBool>,
    stop: AtomicBool,
    /// Nanoseconds that threads worked, all together, since measuring began. Nothing is added while `measured` is false.
    busy: AtomicU64,
    measured: AtomicBool,
    panic: Mutex<Option<Box<dyn std::any::Any + Send>>>,
}

#[derive(Clone, Copy)]
struct Job {
    work: *const Work<'static>,
    units: usize,
}

// SAFETY: `job` is guarded by the gate, as said at the field; the rest is made for sharing.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `job` is only followed inside a step, while `Pool::run` keeps its target alive.
unsafe impl Send for Shared {}

impl Pool {
    /// A pool of this many threads, the caller's among them; at least one.
    pub fn new(threads: usize) -> Pool {
        let helpers = threads.max(1) - 1;
        let shared = Arc::new(Shared {
            gate: AtomicU64::new(0),
            job: std::cell::UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            parked: (0..helpers).map(|_| AtomicBool::new(false)).collect(),
            stop: AtomicBool::new(false),
            busy: AtomicU64::new(0),
            measured: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let spawn = |helper: usize| {
            let shared = Arc::clone(&shared);
            let builder = std::thread::Builder::new().name(format!("stmc-{}", helper + 1));
            builder.spawn(move || shared.help(helper)).ok()
        };
        // A system that gives fewer threads gives the same bits, later.
        let workers = (0..helpers).map_while(spawn).collect();
        Pool { shared, workers }
    }

    /// Threads that take part, the caller's among them.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// From now on it is measured how long threads work.
    pub fn measure(&mut self) {
        self.shared.busy.store(0, Ordering::Relaxed);
        self.shared.measured.store(true, Ordering::Relaxed);
    }

    /// It is no longer measured.
    pub fn rest(&mut self) {
        self.shared.measured.store(false, Ordering::Relaxed);
    }

    /// Nanoseconds that threads worked, all together, while it was measured.
    pub fn busy(&self) -> u64 {
        self.shared.busy.load(Ordering::Relaxed)
    }

    /// Runs `work(unit, thread)` once for each unit, and returns when all are done. A panic of a unit is passed on.
    pub fn run(&mut self, units: usize, work: &Work<'_>) {
        if units <= 1 || self.workers.is_empty() {
            return self.shared.measured(|| (0..units).for_each(|unit| work(unit, 0)));
        }
        // SAFETY: only the lifetime changes, and no thread follows the pointer after `close` returned below.
        let work = unsafe { std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) };
        self.shared.open(Job { work, units });
        self.wake(units - 1);
        self.shared.measured(|| self.shared.take_units(Job { work, units }, 0));
        self.shared.close();
        let panic = self.shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    fn wake(&self, helpers: usize) {
        for (worker, parked) in self.workers.iter().zip(&self.shared.parked).take(helpers) {
            if parked.swap(false, Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.workers.iter().map(JoinHandle::thread).for_each(Thread::unpark);
        for worker in self.workers.drain(..) {
            // A helper's panics were caught and passed on; there is nothing left to report.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn open(&self, job: Job) {
        // SAFETY: the gate is closed and all threads have left: `close` made sure.
        unsafe { *self.job.get() = Some(job) };
        self.next.store(0, Ordering::Relaxed);
        self.left.store(0, Ordering::Relaxed);
        let step = self.gate.load(Ordering::Relaxed) & !ENTERED;
        self.gate.store((step + STEP) | OPEN, Ordering::SeqCst);
    }

    /// Lets no more threads in and waits for those inside.
    fn close(&self) {
        let entered = (self.gate.fetch_and(!OPEN, Ordering::AcqRel) & ENTERED) as usize;
        let mut looks = 0;
        while self.left.load(Ordering::Acquire) < entered {
            looks += 1;
            // A helper may have lost its core in the middle of a unit: then let it have ours.
            if looks % (16 * LOOKS) == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    }

    /// Does some work, and counts how long it took if that is wanted.
    fn measured(&self, work: impl FnOnce()) {
        let since = self.measured.load(Ordering::Relaxed).then(Instant::now);
        work();
        if let Some(since) = since {
            self.busy.fetch_add(since.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
    }

    fn take_units(&self, job: Job, thread: usize) {
        let result = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let unit = self.next.fetch_add(1, Ordering::Relaxed);
                if unit >= job.units {
                    return;
                }
                // SAFETY: `Pool::run` keeps the work alive until every thread that entered has left.
                unsafe { (*job.work)(unit, thread) };
            }
        }));
        if let Err(panic) = result {
            self.next.store(job.units, Ordering::Relaxed);
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
        }
    }

    /// The life of a helper.
    fn help(&self, helper: usize) {
        let mut seen = 0;
        while let Some(gate) = self.next_step(helper, seen) {
            seen = gate / STEP;
            if self.enter(gate) {
                // SAFETY: the gate was open when this thread entered, so the job stays until it has left.
                let job = unsafe { *self.job.get() }.expect("an open gate has a job");
                self.measured(|| self.take_units(job, helper + 1));
                self.left.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// Enters the step that `gate` shows, unless it is closed by now.
    fn enter(&self, mut gate: u64) -> bool {
        let step = gate / STEP;
        while gate / STEP == step && gate & OPEN != 0 {
            match self.gate.compare_exchange_weak(gate, gate + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => gate = now,
            }
        }
        false
    }

    /// Waits for an open step after `seen`. `None`: the pool is being dropped.
    fn next_step(&self, helper: usize, seen: u64) -> Option<u64> {
        let mut since = Instant::now();
        let mut looks = 0;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            let gate = self.gate.load(Ordering::Acquire);
            if is_open_after(seen, gate) {
                return Some(gate);
            }
            looks += 1;
            if looks % LOOKS == 0 && since.elapsed() > SPIN {
                self.park(helper, seen);
                since = Instant::now();
            }
            std::hint::spin_loop();
        }
    }

    fn park(&self, helper: usize, seen: u64) {
        // The flag goes up before the last look: either this thread sees the step, or the caller sees the flag.
        self.parked[helper].store(true, Ordering::SeqCst);
        let gate = self.gate.load(Ordering::SeqCst);
        if !is_open_after(seen, gate) && !self.stop.load(Ordering::SeqCst) {
            std::thread::park();
        }
        self.parked[helper].store(false, Ordering::SeqCst);
    }
}

/// Whether the gate is that of a step other than `seen`, and open.
fn is_open_after(seen: u64, gate: u64) -> bool {
    gate / STEP != seen && gate & OPEN != 0
}
