//! Batches read ahead on a thread: while one is computed, the next is ready and the one after is being read. What comes
//! out is what the loader gives without a thread, bit for bit.
use crate::DataError;
use crate::loader::{Batch, Loader, Position};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use stmc_ir::program::Buffer;

/// A slab and the buffer for which it is read.
#[derive(Clone, Debug)]
pub struct Target {
    /// As `Loader::fill` numbers it; a sample variable moves it.
    pub slab: usize,
    /// Where it goes.
    pub buffer: Buffer,
}

/// A batch that was read.
#[derive(Debug)]
pub struct Loaded {
    /// Which.
    pub batch: Batch,
    /// Per target: the memory of its buffer, 0 where the tensor is not.
    pub images: Vec<Vec<u32>>,
}

/// A thread that reads batches, in order.
pub struct Prefetch {
    ready: Option<Receiver<Result<Loaded, DataError>>>,
    used: Sender<Vec<Vec<u32>>>,
    thread: Option<JoinHandle<()>>,
}

impl Prefetch {
    /// Begins to read `count` batches from a place on.
    pub fn start(loader: Arc<Loader>, targets: Vec<Target>, from: Position, count: usize) -> Prefetch {
        // One batch may wait; with that being read and that being computed there are three in memory.
        let (ready, receiver) = sync_channel(1);
        let (used, free) = channel();
        let thread = std::thread::Builder::new().name("reader".into());
        let thread = thread.spawn(move || read(&loader, &targets, from, count, &ready, &free));
        let thread = thread.expect("the system gives us a thread");
        Prefetch { ready: Some(receiver), used, thread: Some(thread) }
    }

    /// The next batch. `None`: all were given, or the last one was an error.
    #[expect(
        clippy::should_implement_trait,
        reason = "batches go back by `recycle`, which an iterator would forbid"
    )]
    pub fn next(&mut self) -> Option<Result<Loaded, DataError>> {
        let next = self.ready.as_ref()?.recv().ok();
        if next.is_none() {
            self.join();
        }
        next
    }

    /// Gives a batch's memory back, to be filled again.
    pub fn recycle(&mut self, batch: Loaded) {
        // The thread may have ended: then nobody needs it.
        let _ = self.used.send(batch.images);
    }

    /// Waits for the thread; its panic goes on in ours.
    fn join(&mut self) {
        self.ready = None;
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        // Without a receiver the thread stops at its next batch.
        self.ready = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(
    loader: &Loader,
    targets: &[Target],
    from: Position,
    count: usize,
    ready: &SyncSender<Result<Loaded, DataError>>,
    free: &Receiver<Vec<Vec<u32>>>,
) {
    let mut position = from;
    for _ in 0..count {
        let images =
            free.try_recv().unwrap_or_else(|_| targets.iter().map(|t| vec![0; t.buffer.len]).collect());
        let loaded = load(loader, targets, position, images);
        let failed = loaded.is_err();
        if ready.send(loaded).is_err() || failed {
            return;
        }
        position = loader.after(position);
    }
}

fn load(
    loader: &Loader,
    targets: &[Target],
    position: Position,
    mut images: Vec<Vec<u32>>,
) -> Result<Loaded, DataError> {
    let batch = loader.batch(position);
    for (target, image) in targets.iter().zip(&mut images) {
        loader.fill(target.slab, &batch, &target.buffer, image)?;
    }
    Ok(Loaded { batch, images })
}
