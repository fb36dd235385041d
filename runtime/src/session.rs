//! A program on a device with its state: weights, moments, gradients. Writes inputs, runs entries, reads outputs.
use crate::error::{Result, RunError};
use crate::init;
use crate::schedules::Schedules;
use crate::tensor::{Named, Tensor};
use stmc_ir::device::Scalars;
use stmc_ir::program::{Buffer, BufferId, Entry};
use stmc_ir::{Device, Module, Program};

/// When a run happens: what schedules and random numbers depend on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moment {
    /// Updates that schedules have seen.
    pub step: u64,
    /// Updates that the rule has made.
    pub updates: u64,
    /// Number of the forward and backward pass: random numbers are drawn from it. 0 in evaluation.
    pub pass: u32,
}

impl Moment {
    /// An evaluation after so many updates.
    pub fn evaluation(step: u64) -> Moment {
        Moment { step, updates: step, pass: 0 }
    }
}

/// A loaded program.
pub struct Session<'a> {
    /// What the program was made from.
    pub module: &'a Module,
    /// What the device runs.
    pub program: &'a Program,
    /// Where it runs.
    pub device: &'a mut dyn Device,
    /// Random numbers are drawn from it.
    pub seed: u64,
    /// Variables of run-time scalars.
    pub schedules: Schedules,
    /// Where the host puts together what it writes.
    scratch: Vec<u32>,
}

impl<'a> Session<'a> {
    /// Loads a program and gives the weights their first values; all other state is zero.
    pub fn start(
        module: &'a Module,
        program: &'a Program,
        device: &'a mut dyn Device,
        seed: u64,
    ) -> Result<Session<'a>> {
        device.load(program)?;
        let schedules = Schedules::new(module);
        let mut session = Session { module, program, device, seed, schedules, scratch: vec![] };
        for param in &program.params {
            let shape: Vec<usize> = program.buffer(param.buffer).dims.iter().map(|d| d.extent).collect();
            let values = init::values(&param.init, seed, &param.path, &shape);
            let bits: Vec<u32> = values.into_iter().map(f32::to_bits).collect();
            session.write(param.buffer, &bits)?;
            if let Some(average) = param.average {
                session.write(average, &bits)?;
            }
        }
        session.scratch = vec![]; // as large as the largest weight
        Ok(session)
    }

    /// The number of the entry of that name. `None`: the program has none.
    pub fn entry(&self, name: &str) -> Option<usize> {
        self.program.entries.iter().position(|e| e.name == name)
    }

    /// An entry that every program of this kind has.
    pub fn required(&self, name: &str) -> Result<usize> {
        self.entry(name).ok_or_else(|| RunError::Tensor(format!("the program has no entry `{name}`")))
    }

    /// The entry of a number.
    pub fn at(&self, entry: usize) -> &'a Entry {
        &self.program.entries[entry]
    }

    /// Puts a tensor, in the order of the buffer's dims, into a buffer.
    pub fn write(&mut self, buffer: BufferId, bits: &[u32]) -> Result<()> {
        self.fill(buffer, |shape, memory| {
            shape.scatter(bits, memory);
            Ok(())
        })
    }

    /// Lets `f` write the buffer's memory in place, and sends it to the device.
    pub fn fill(
        &mut self,
        buffer: BufferId,
        f: impl FnOnce(&Buffer, &mut [u32]) -> Result<()>,
    ) -> Result<()> {
        let shape = self.program.buffer(buffer);
        self.scratch.resize(shape.len, 0);
        // Between the tensor's elements there may be others: they stay.
        if shape.count() < shape.len {
            self.device.read(buffer, &mut self.scratch)?;
        }
        f(shape, &mut self.scratch)?;
        Ok(self.device.write(buffer, &self.scratch)?)
    }

    /// Runs an entry.
    pub fn run(&mut self, entry: usize, moment: Moment) -> Result<()> {
        let scalars = Scalars { host: self.scalars(moment), seed: self.seed, update: moment.pass };
        Ok(self.device.run(entry, &scalars)?)
    }

    /// The tensor in a buffer, in the order of its dims.
    pub fn read(&mut self, buffer: BufferId) -> Result<Vec<u32>> {
        let shape = self.program.buffer(buffer);
        let mut memory = vec![0; shape.len];
        self.device.read(buffer, &mut memory)?;
        Ok(shape.gather(&memory))
    }

    /// The tensor in a buffer with its shape.
    pub fn tensor(&mut self, buffer: BufferId) -> Result<Tensor> {
        let shape = self.program.buffer(buffer);
        let extents = shape.dims.iter().map(|d| d.extent).collect();
        Ok(Tensor { dtype: shape.dtype, shape: extents, bits: self.read(buffer)? })
    }

    /// The number in a buffer that has one.
    pub fn number(&mut self, buffer: BufferId) -> Result<f64> {
        let bits = self.read(buffer)?;
        Ok(f64::from(f32::from_bits(*bits.first().expect("a scalar has one element"))))
    }

    /// The run-time scalars, as the device sees them.
    fn scalars(&self, moment: Moment) -> Vec<f32> {
        self.program.scalars.iter().map(|e| self.schedules.eval(e, moment) as f32).collect()
    }

    /// The learning rate of the update after `step` updates. `None`: the rule has none.
    pub fn rate(&self, step: u64) -> Option<f64> {
        let scalar = self.module.train.as_ref()?.rate?;
        Some(self.schedules.eval(&self.module.scalars[scalar.index()], Moment::evaluation(step)))
    }

    /// All weights by path, in disk order.
    pub fn weights(&mut self) -> Result<Named> {
        let program = self.program;
        program.params.iter().map(|p| Ok((p.path.clone(), self.tensor(p.buffer)?))).collect()
    }

    /// All gradients by the path of their weight; of weights that none reaches there is none.
    pub fn gradients(&mut self) -> Result<Named> {
        let live = self.program.params.iter().filter(|p| p.live).filter_map(|p| Some((p, p.gradient?)));
        live.map(|(p, gradient)| Ok((p.path.clone(), self.tensor(gradient)?))).collect()
    }

    /// The optimizer's state: `m.cell.weight`, `v.cell.weight` …
    pub fn moments(&mut self) -> Result<Named> {
        self.moment_buffers().into_iter().map(|(name, buffer)| Ok((name, self.tensor(buffer)?))).collect()
    }

    /// Puts weights back; each must be there with its shape.
    pub fn set_weights(&mut self, weights: &[(String, Tensor)]) -> Result<()> {
        let buffers: Vec<_> = self.program.params.iter().map(|p| (p.path.clone(), p.buffer)).collect();
        self.set(&buffers, weights)
    }

    /// Puts some weights in place of first ones; averages begin as the weights do. All of them, after that.
    pub(crate) fn begin_with(&mut self, some: &[(String, Tensor)]) -> Result<Named> {
        let mut weights = self.weights()?;
        for (name, tensor) in some {
            let place = weights.iter_mut().find(|w| w.0 == *name).expect("the weights are the program's");
            place.1 = tensor.clone();
        }
        self.set_weights(&weights)?;
        self.set_averages(&weights)?;
        Ok(weights)
    }

    /// Puts the optimizer's state back.
    pub fn set_moments(&mut self, moments: &[(String, Tensor)]) -> Result<()> {
        self.set(&self.moment_buffers(), moments)
    }

    /// The averages of the weights by path; empty where none are kept.
    pub fn averages(&mut self) -> Result<Named> {
        self.average_buffers().into_iter().map(|(path, buffer)| Ok((path, self.tensor(buffer)?))).collect()
    }

    /// Puts averages back.
    pub fn set_averages(&mut self, averages: &[(String, Tensor)]) -> Result<()> {
        self.set(&self.average_buffers(), averages)
    }

    fn average_buffers(&self) -> Vec<(String, BufferId)> {
        self.program.params.iter().filter_map(|p| Some((p.path.clone(), p.average?))).collect()
    }

    fn moment_buffers(&self) -> Vec<(String, BufferId)> {
        let Some(train) = &self.module.train else { return vec![] };
        let mut all = vec![];
        for (param, placed) in self.module.params.iter().zip(&self.program.params) {
            let Some(rule) = param.optimizer else { continue };
            let states = train.optimizers[rule].states.iter().zip(&placed.states);
            all.extend(states.map(|(state, buffer)| (format!("{state}.{}", param.path), *buffer)));
        }
        all
    }

    fn set(&mut self, buffers: &[(String, BufferId)], tensors: &[(String, Tensor)]) -> Result<()> {
        for (name, buffer) in buffers {
            let found = tensors.iter().find(|t| t.0 == *name).map(|t| &t.1);
            let tensor = found.ok_or_else(|| RunError::Tensor(format!("there is no tensor `{name}`")))?;
            let shape = self.program.buffer(*buffer);
            let extents: Vec<usize> = shape.dims.iter().map(|d| d.extent).collect();
            if extents != tensor.shape {
                let reason = format!("`{name}` is {:?} in the file, {extents:?} in the model", tensor.shape);
                return Err(RunError::Tensor(reason));
            }
            self.write(*buffer, &tensor.bits_as(shape.dtype))?;
        }
        Ok(())
    }
}
