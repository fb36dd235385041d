//! Runs programs on a GPU: one buffer for the arena, one dispatch per launch, loops unrolled by the host.
//!
//! Nothing is allocated from step to step but CubeCL's own pooled launch arguments. Everything goes through
//! one stream of the device, so commands take effect in the order they are given, from whichever thread.
use crate::grid::{self, Grid};
use crate::lower::GridKernel;
use cubecl::bytes::Bytes;
use cubecl::device::{DeviceUnavailable, WgpuDeviceKind};
use cubecl::prelude::*;
use cubecl::server::{Handle, ServerError};
use cubecl_environment::stream::StreamId;
use std::collections::BTreeMap;
use std::sync::Arc;
use stmc_ir::device::{Device, DeviceError, Scalars};
use stmc_ir::program::{Binding, BufferId, Launch, Program, ScalarArg, Step};
use stmc_ir::types::DType;

/// Bytes of an element of the arena.
const WORD: usize = size_of::<u32>();

/// A GPU (or a software adapter), with the program it holds.
pub struct GpuDevice {
    client: Client,
    name: String,
    /// `None` before the first `load`.
    loaded: Option<Loaded>,
}

struct Loaded {
    arena: Handle,
    /// Where each buffer begins in the arena, in elements.
    places: Vec<usize>,
    entries: Vec<Vec<Action>>,
}

/// A step, ready to be launched.
enum Action {
    Launch(Dispatch),
    Loop { count: usize, body: Vec<Action> },
}

struct Dispatch {
    grid: Arc<Grid>,
    bindings: Vec<Binding>,
    scalars: Vec<ScalarArg>,
}

impl GpuDevice {
    /// The best adapter that wgpu finds. Mesa's drivers write to stderr while it looks if `XDG_RUNTIME_DIR`
    /// is not set.
    pub fn wgpu() -> Result<GpuDevice, DeviceError> {
        open(
            "wgpu",
            cubecl::Device::wgpu(WgpuDeviceKind::DefaultDevice),
            "no Vulkan, Metal or DX12 adapter was found",
        )
    }

    /// The first GPU that CUDA finds.
    #[cfg(feature = "cuda")]
    pub fn cuda() -> Result<GpuDevice, DeviceError> {
        open("cuda", cubecl::Device::cuda(0), "no CUDA driver with a GPU was found")
    }

    fn error(&self, reason: impl Into<String>) -> DeviceError {
        DeviceError { device: self.name.clone(), reason: reason.into() }
    }

    /// CubeCL's errors carry a backtrace, which is nothing for users.
    fn failure(&self, error: &ServerError) -> DeviceError {
        let text = error.to_string();
        let reason = text.split("\nBacktrace").next().unwrap_or(&text);
        self.error(reason.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    fn loaded(&self) -> &Loaded {
        self.loaded.as_ref().expect("a program is loaded before it is used")
    }

    /// A part of the arena, from the buffer's first element on.
    fn part(&self, buffer: BufferId, len: usize) -> Handle {
        let Loaded { arena, places, .. } = self.loaded();
        let start = (places[buffer.index()] * WORD) as u64;
        arena.clone().offset_start(start).offset_end(arena.size() - start - (len * WORD) as u64)
    }

    /// Offsets in the arena are i32, and it is a single buffer.
    fn fits(&self, program: &Program) -> Result<(), DeviceError> {
        let (bytes, largest) = ((program.arena * WORD) as u64, self.client.properties().memory.max_page_size);
        let limit = largest.min(i32::MAX as u64 * WORD as u64);
        if bytes <= limit {
            return Ok(());
        }
        let (need, limit) = (bytes >> 20, limit >> 20);
        Err(self.error(format!("the program needs {need} MiB in one buffer, where at most {limit} MiB fit")))
    }

    /// Compiles a grid without running it.
    fn compile(&self, arena: &Handle, grid: &Arc<Grid>) -> Result<(), DeviceError> {
        if grid.iterations > i32::MAX as usize {
            return Err(self.error(format!("`{}` has more than 2^31 independent iterations", grid.name)));
        }
        // Mesa's software adapter leaves a loop silently after so many rounds.
        if self.name.contains("llvmpipe") && grid.rounds() > 65535 {
            let rounds = grid.rounds();
            return Err(
                self.error(format!("`{}` loops {rounds} times, more than this adapter can", grid.name))
            );
        }
        let mut launcher = self.launcher(arena, grid, 0);
        grid.code.params.iter().for_each(|_| launcher.register_scalar(0_i32));
        grid.code.scalars.iter().for_each(|dtype| register(&mut launcher, *dtype, 0));
        launcher.launch(CubeCount::Static(1, 1, 1), self.kernel(grid), &self.client);
        Ok(())
    }

    fn kernel(&self, grid: &Arc<Grid>) -> GridKernel {
        GridKernel {
            grid: grid.clone(),
            device: self.client.properties_shared(),
            target: self.client.target_properties_shared(),
        }
    }

    /// A launch with the arena and the number of iterations; the other scalars follow.
    fn launcher(&self, arena: &Handle, grid: &Arc<Grid>, iterations: usize) -> KernelLauncher {
        let mut launcher = KernelLauncher::new(self.kernel(grid).settings());
        let words = arena.size() as usize / WORD;
        // SAFETY: the arena has that many words, and the verifier keeps every index of a kernel inside its
        // buffers.
        let buffer = unsafe { BufferArg::from_raw_parts(arena.clone(), words) };
        launcher.register_buffer(buffer, WORD);
        launcher.register_scalar(iterations as i32);
        launcher
    }

    fn perform(&self, actions: &[Action], scalars: &Scalars, iterations: &mut Vec<usize>) {
        for action in actions {
            match action {
                Action::Launch(dispatch) => self.dispatch(dispatch, scalars, iterations),
                Action::Loop { count, body } => {
                    for iteration in 0..*count {
                        iterations.push(iteration);
                        self.perform(body, scalars, iterations);
                        iterations.pop();
                    }
                }
            }
        }
    }

    fn dispatch(&self, dispatch: &Dispatch, scalars: &Scalars, iterations: &[usize]) {
        let Loaded { arena, places, .. } = self.loaded();
        let Dispatch { grid, bindings, scalars: args } = dispatch;
        let mut launcher = self.launcher(arena, grid, grid.iterations);
        for binding in bindings {
            let offset = places[binding.buffer.index()] + binding.offset(iterations);
            launcher.register_scalar(i32::try_from(offset).expect("the arena has less than 2^31 elements"));
        }
        for (arg, dtype) in args.iter().zip(&grid.code.scalars) {
            register(&mut launcher, *dtype, arg.bits(iterations, scalars));
        }
        launcher.launch(cubes(grid.cubes()), self.kernel(grid), &self.client);
    }
}

fn register(launcher: &mut KernelLauncher, dtype: DType, bits: u32) {
    match dtype {
        DType::F32 => launcher.register_scalar(f32::from_bits(bits)),
        DType::I32 => launcher.register_scalar(bits as i32),
        DType::Bool => panic!("scalars are f32 or i32"),
    }
}

fn open(
    api: &str,
    device: Result<cubecl::Device, DeviceUnavailable>,
    missing: &str,
) -> Result<GpuDevice, DeviceError> {
    let device = device.map_err(|_| DeviceError { device: api.into(), reason: missing.into() })?;
    let client = device.client();
    let name = format!("{api} {}", client.properties().identity.name);
    Ok(GpuDevice { client, name, loaded: None })
}

/// Everything on one stream: the order of commands is the order of their effects.
fn in_order<T>(commands: impl FnOnce() -> T) -> T {
    StreamId { value: 0 }.executes(commands)
}

/// At least that many cubes, and one. A row of cubes has at most 65535, the least that devices promise.
fn cubes(count: usize) -> CubeCount {
    let rows = count.div_ceil(65535).max(1);
    CubeCount::Static(count.div_ceil(rows).max(1) as u32, rows as u32, 1)
}

impl Device for GpuDevice {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn load(&mut self, program: &Program) -> Result<(), DeviceError> {
        self.loaded = None;
        let mut grids = Grids::new(program);
        self.fits(program)?;
        let entries = program.entries.iter().map(|entry| grids.actions(&entry.steps)).collect();
        let arena = in_order(|| {
            // Not empty, for a device refuses to bind nothing.
            let mut memory = vec![0; program.arena.max(1)];
            program.fill_in(&mut memory);
            let arena = self.client.create(Bytes::from_elems(memory));
            for grid in grids.all() {
                self.compile(&arena, grid)?;
            }
            self.client.check([&arena]).map_err(|error| self.failure(&error))?;
            Ok(arena)
        })?;
        let places = (0..program.buffers.len()).map(|i| program.start(BufferId::from_index(i))).collect();
        self.loaded = Some(Loaded { arena, places, entries });
        Ok(())
    }

    fn write(&mut self, buffer: BufferId, values: &[u32]) -> Result<(), DeviceError> {
        in_order(|| self.client.write(&self.part(buffer, values.len()), Bytes::from_elems(values.to_vec())));
        Ok(())
    }

    fn read(&mut self, buffer: BufferId, values: &mut [u32]) -> Result<(), DeviceError> {
        let part = self.part(buffer, values.len());
        let bytes = in_order(|| self.client.read_one(part)).map_err(|error| self.failure(&error))?;
        values.copy_from_slice(bytemuck::cast_slice(&bytes));
        Ok(())
    }

    fn run(&mut self, entry: usize, scalars: &Scalars) -> Result<(), DeviceError> {
        let Loaded { arena, entries, .. } = self.loaded();
        in_order(|| {
            self.perform(&entries[entry], scalars, &mut vec![]);
            self.client.flush()?;
            self.client.check([arena])
        })
        .map_err(|error| self.failure(&error))
    }
}

/// The grids of a program, each made once.
struct Grids {
    kernels: Vec<Arc<Grid>>,
    copies: BTreeMap<usize, Arc<Grid>>,
    fills: BTreeMap<(usize, u32), Arc<Grid>>,
}

impl Grids {
    fn new(program: &Program) -> Grids {
        let kernels = program.kernels.iter().map(|kernel| Arc::new(grid::spread(kernel))).collect();
        Grids { kernels, copies: BTreeMap::new(), fills: BTreeMap::new() }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Grid>> {
        self.kernels.iter().chain(self.copies.values()).chain(self.fills.values())
    }

    fn actions(&mut self, steps: &[Step]) -> Vec<Action> {
        steps.iter().map(|step| self.action(step)).collect()
    }

    fn action(&mut self, step: &Step) -> Action {
        let (grid, bindings, scalars) = match step {
            Step::Loop { count, body } => return Action::Loop { count: *count, body: self.actions(body) },
            Step::Launch(Launch { kernel, buffers, scalars, spans: _ }) => {
                (self.kernels[kernel.index()].clone(), buffers.clone(), scalars.clone())
            }
            Step::Copy { from, to, len } => {
                let grid = self.copies.entry(*len).or_insert_with(|| Arc::new(grid::copy(*len)));
                (grid.clone(), vec![from.clone(), to.clone()], vec![])
            }
            Step::Fill { to, len, bits } => {
                let grid =
                    self.fills.entry((*len, *bits)).or_insert_with(|| Arc::new(grid::fill(*len, *bits)));
                (grid.clone(), vec![to.clone()], vec![])
            }
        };
        Action::Launch(Dispatch { grid, bindings, scalars })
    }
}
