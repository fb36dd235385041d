//! The device: owns memory, code and threads, and walks the prepared steps.

use crate::code::Compiler;
use crate::contraction::Prepared;
use crate::memory::Memory;
use crate::prepare::{self, Ready};
use std::time::Instant;
use stmc_ir::device::{Device, DeviceError, Measuring, Peaks, Scalars, Time, Times};
use stmc_ir::program::{Binding, BufferId, Launch, Program, Step};
use stmc_kernels::{Buffers, Isa, Pool, peak};

/// The processor.
pub struct CpuDevice {
    isa: Isa,
    loaded: Loaded,
    entries: Vec<Vec<Step>>,
    /// Owns the code of the kernels. `None` before the first `load`.
    compiler: Option<Compiler>,
}

/// What running a step needs.
struct Loaded {
    pool: Pool,
    kernels: Vec<Ready>,
    arena: Memory,
    /// First element and length of each buffer.
    buffers: Vec<(usize, usize)>,
    work: Work,
    /// Iterations of the loops around the current step.
    iterations: Vec<usize>,
    /// Arguments of the current launch.
    pointers: Vec<*mut u32>,
    scalars: Vec<u32>,
    times: Times,
    measuring: Measuring,
}

/// Memory that contractions use while they run.
struct Work {
    /// Packed operands, then partial sums from `partial` on, then each thread's scratch from `scratch` on.
    memory: Memory,
    partial: usize,
    scratch: usize,
}

// SAFETY: the pointers are arguments of the current launch only, into memory that the device owns.
unsafe impl Send for Loaded {}

impl CpuDevice {
    /// A device of this many threads, on a path that this processor has.
    pub fn new(threads: usize, isa: Isa) -> Result<CpuDevice, DeviceError> {
        if !isa.is_available() {
            let reason = "this processor lacks the path's instructions".to_owned();
            return Err(DeviceError { device: name(isa), reason });
        }
        let loaded = Loaded {
            pool: Pool::new(threads),
            kernels: vec![],
            arena: Memory::new(0),
            buffers: vec![],
            work: Work::new(&[], threads),
            iterations: vec![],
            pointers: vec![],
            scalars: vec![],
            times: Times::default(),
            measuring: Measuring::Off,
        };
        Ok(CpuDevice { isa, loaded, entries: vec![], compiler: None })
    }

    fn error(&self, reason: String) -> DeviceError {
        DeviceError { device: name(self.isa), reason }
    }

    fn unload(&mut self) {
        // Its memory first: the next program wants as much.
        self.loaded.arena = Memory::new(0);
        self.loaded.work = Work::new(&[], 1);
        self.loaded.kernels.clear();
        if let Some(compiler) = self.compiler.take() {
            // SAFETY: the kernels that held its code are gone.
            unsafe { compiler.free() };
        }
    }
}

impl Drop for CpuDevice {
    fn drop(&mut self) {
        self.unload();
    }
}

fn name(isa: Isa) -> String {
    format!("cpu {}", isa.name())
}

impl Device for CpuDevice {
    fn name(&self) -> String {
        name(self.isa)
    }

    fn load(&mut self, program: &Program) -> Result<(), DeviceError> {
        self.unload();
        let mut compiler = Compiler::new(self.isa).map_err(|reason| self.error(reason))?;
        for kernel in &program.kernels {
            let ready = prepare::kernel(kernel, self.isa, &mut compiler);
            let ready = ready.map_err(|reason| self.error(format!("kernel `{}`: {reason}", kernel.name)))?;
            self.loaded.kernels.push(ready);
        }
        self.compiler = Some(compiler);
        self.entries = program.entries.iter().map(|entry| entry.steps.clone()).collect();
        self.loaded.make_room(program);
        Ok(())
    }

    fn write(&mut self, buffer: BufferId, values: &[u32]) -> Result<(), DeviceError> {
        self.loaded.values(buffer, values.len()).copy_from_slice(values);
        Ok(())
    }

    fn read(&mut self, buffer: BufferId, values: &mut [u32]) -> Result<(), DeviceError> {
        values.copy_from_slice(self.loaded.values(buffer, values.len()));
        Ok(())
    }

    fn run(&mut self, entry: usize, scalars: &Scalars) -> Result<(), DeviceError> {
        self.loaded.steps(&self.entries[entry], scalars);
        self.loaded.times.busy = self.loaded.pool.busy();
        Ok(())
    }

    fn measure(&mut self, measuring: Measuring) -> Result<(), DeviceError> {
        let Loaded { pool, kernels, times, measuring: now, .. } = &mut self.loaded;
        *now = measuring;
        match measuring {
            Measuring::On => {
                let threads = pool.threads();
                *times = Times { kernels: vec![Time::default(); kernels.len()], threads, ..Times::default() };
                pool.measure();
            }
            Measuring::Off => pool.rest(),
        }
        Ok(())
    }

    fn times(&self) -> Option<&Times> {
        Some(&self.loaded.times)
    }

    fn peaks(&mut self) -> Option<Peaks> {
        let pool = &mut self.loaded.pool;
        Some(Peaks { flops: peak::multiply_add(self.isa, pool), bytes: peak::bandwidth(pool) })
    }
}

impl Loaded {
    /// Makes all memory and fills in what never changes.
    fn make_room(&mut self, program: &Program) {
        self.arena = Memory::new(program.arena);
        program.fill_in(self.arena.slice(0, program.arena));
        self.buffers = (0..program.buffers.len())
            .map(BufferId::from_index)
            .map(|id| (program.start(id), program.buffer(id).len))
            .collect();
        self.work = Work::new(&self.kernels, self.pool.threads());
        let most =
            |count: fn(&stmc_ir::Kernel) -> usize| program.kernels.iter().map(count).max().unwrap_or(0);
        self.pointers = Vec::with_capacity(most(|kernel| kernel.params.len()));
        self.scalars = Vec::with_capacity(most(|kernel| kernel.scalars.len()));
        let depth = program.entries.iter().map(|entry| depth(&entry.steps)).max().unwrap_or(0);
        self.iterations = Vec::with_capacity(depth);
        self.times = Times { kernels: vec![Time::default(); program.kernels.len()], ..Times::default() };
    }

    /// A buffer's elements from the first on.
    fn values(&mut self, buffer: BufferId, count: usize) -> &mut [u32] {
        let (start, len) = self.buffers[buffer.index()];
        assert!(count <= len, "values fit their buffer");
        self.arena.slice(start, count)
    }

    /// Where a binding leads in the current iterations.
    fn place(&self, binding: &Binding) -> usize {
        self.buffers[binding.buffer.index()].0 + binding.offset(&self.iterations)
    }

    fn steps(&mut self, steps: &[Step], scalars: &Scalars) {
        for step in steps {
            let since = (self.measuring == Measuring::On).then(Instant::now);
            match step {
                Step::Launch(launch) => self.launch(launch, scalars),
                Step::Loop { count, body } => {
                    for i in 0..*count {
                        self.iterations.push(i);
                        self.steps(body, scalars);
                        self.iterations.pop();
                    }
                }
                Step::Copy { from, to, len } => {
                    let (from, to) = (self.place(from), self.place(to));
                    self.arena.copy(from, to, *len);
                }
                Step::Fill { to, len, bits } => {
                    let to = self.place(to);
                    self.arena.slice(to, *len).fill(*bits);
                }
            }
            match (since, step) {
                (Some(since), Step::Launch(launch)) => {
                    self.times.kernels[launch.kernel.index()].add(since.elapsed());
                }
                (Some(since), Step::Copy { .. } | Step::Fill { .. }) => self.times.moves.add(since.elapsed()),
                (_, Step::Loop { .. }) | (None, _) => {}
            }
        }
    }

    fn launch(&mut self, launch: &Launch, scalars: &Scalars) {
        self.pointers.clear();
        for binding in &launch.buffers {
            self.pointers.push(self.arena.at(self.place(binding)));
        }
        self.scalars.clear();
        self.scalars.extend(launch.scalars.iter().map(|arg| arg.bits(&self.iterations, scalars)));
        let Loaded { pool, kernels, work, pointers, scalars: values, .. } = self;
        match &kernels[launch.kernel.index()] {
            Ready::Loops { code, iterations, units } => {
                let (pointers, values) = (Pointers(pointers.as_ptr()), values.as_ptr() as usize);
                pool.run(*units, &|unit, _| {
                    let share = |unit: usize| (*iterations * unit / *units) as u64;
                    // SAFETY: the program binds buffers as long as the kernel's indices reach, and iterations that
                    // run at once write different elements.
                    unsafe { code(pointers.get(), values as *const u32, share(unit), share(unit + 1)) };
                });
            }
            Ready::Contraction(prepared) => work.contract(prepared, pointers, pool),
        }
    }
}

/// Loops that are nested, at most, in these steps.
fn depth(steps: &[Step]) -> usize {
    let depth_of = |step: &Step| match step {
        Step::Loop { body, .. } => 1 + depth(body),
        Step::Launch(_) | Step::Copy { .. } | Step::Fill { .. } => 0,
    };
    steps.iter().map(depth_of).max().unwrap_or(0)
}

/// The argument pointers of a launch, for all threads.
struct Pointers(*const *mut u32);

// SAFETY: threads only read the list; what is behind is the program's matter.
unsafe impl Sync for Pointers {}

impl Pointers {
    fn get(&self) -> *const *mut u32 {
        self.0
    }
}

impl Work {
    /// Room for the largest contraction.
    fn new(kernels: &[Ready], threads: usize) -> Work {
        let most = |len: &dyn Fn(&stmc_kernels::Contraction) -> usize| {
            let of = |kernel: &Ready| match kernel {
                Ready::Contraction(prepared) => len(&prepared.contraction),
                Ready::Loops { .. } => 0,
            };
            kernels.iter().map(of).max().unwrap_or(0).next_multiple_of(16)
        };
        let partial = most(&|contraction| contraction.packed_len());
        let scratch = partial + most(&|contraction| contraction.partial_len());
        let memory = Memory::new(scratch + most(&|contraction| threads * contraction.scratch_len()));
        Work { memory, partial, scratch }
    }

    fn contract(&self, prepared: &Prepared, pointers: &[*mut u32], pool: &mut Pool) {
        let operand = |i: usize| {
            let (param, offset) = prepared.places[i];
            pointers[param].wrapping_offset(offset as isize).cast::<f32>()
        };
        let buffers = Buffers {
            a: operand(0).cast_const(),
            b: operand(1).cast_const(),
            c: operand(2),
            packed: self.memory.at(0).cast(),
            partial: self.memory.at(self.partial).cast(),
        };
        let scratch = self.memory.at(self.scratch).cast();
        // SAFETY: the program binds buffers as long as the views reach and keeps the result apart from the operands;
        // `new` made room for every contraction.
        unsafe { prepared.contraction.run(pool, &buffers, scratch) };
    }
}
