//! The model on given inputs: any number of samples, in batches of the program's size.
use crate::error::{Result, RunError};
use crate::session::{Moment, Session};
use crate::tensor::{Named, Tensor};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use stmc_ir::module::{InputRole, Module, OutputRole};
use stmc_ir::program::{BufferId, InputPort};

/// An input: of the model, or of the way back to physical units.
struct Input {
    name: String,
    buffer: BufferId,
    /// Extents of one sample; of the whole tensor if it has no batch axis.
    sample: Vec<usize>,
    batched: bool,
}

/// Gives the entry what a run has fitted, by name: outputs are in physical units.
pub fn write_fits(session: &mut Session<'_>, fits: &Named) -> Result<()> {
    let number = session.required("predict")?;
    for port in &session.at(number).inputs {
        let InputRole::Slab { slab, .. } = &port.role else { continue };
        let plan = session.module.data.as_ref().expect("slabs are read from data");
        if plan.slabs[*slab].is_moved() {
            continue;
        }
        let values = fitted(session.module, *slab, fits)?;
        session.write(port.buffer, &values.bits)?;
    }
    Ok(())
}

/// What `InputRole::Slab` number `slab` of `predict` reads of what a run has fitted; the axes that it keeps, in their order.
pub fn fitted(module: &Module, slab: usize, fits: &Named) -> Result<Tensor> {
    let plan = module.data.as_ref().expect("slabs are read from data");
    let slab = &plan.slabs[slab];
    let name = &plan.fields[slab.field].name;
    let missing = || RunError::Tensor(format!("the run has no fitted `{name}`"));
    let mut values = tensor(fits, name).ok_or_else(missing)?.clone();
    let mut dim = 0;
    for range in &slab.range {
        let first = range.offset.unsigned_abs();
        values = values.slice(dim, first, first + range.len);
        match range.keep {
            true => dim += 1,
            false => {
                values.shape.remove(dim);
            }
        }
    }
    Ok(values)
}

/// The outputs for these inputs. Inputs with a batch axis have one more dimension, first: the samples.
pub fn predict(session: &mut Session<'_>, given: &Named, step: u64) -> Result<Named> {
    let number = session.required("predict")?;
    let entry = session.at(number);
    let inputs: Vec<Input> = entry.inputs.iter().filter_map(|port| Input::of(session, port)).collect();
    let samples = samples(&inputs, given)?;
    let mut rows: Vec<(String, Vec<usize>, Tensor)> = vec![];
    for start in (0..samples).step_by(entry.batch) {
        let count = entry.batch.min(samples - start);
        for input in &inputs {
            let tensor = tensor(given, &input.name).expect("inputs were counted");
            let bits = tensor.bits_as(session.program.buffer(input.buffer).dtype);
            session.write(input.buffer, &input.batch(&bits, start, count, entry.batch))?;
        }
        session.run(number, Moment::evaluation(step))?;
        for port in &entry.outputs {
            let OutputRole::Named { name, .. } = &port.role else { continue };
            let whole = session.tensor(port.buffer)?;
            let batched = session.program.buffer(port.buffer).dims.first().is_some_and(|d| d.axis == "batch");
            let part = if batched { whole.slice(0, 0, count) } else { whole };
            match rows.iter_mut().find(|r| r.0 == *name) {
                None => rows.push((name.clone(), part.shape[usize::from(batched)..].to_vec(), part)),
                Some(row) if batched => row.2.bits.extend(part.bits),
                Some(_) => {}
            }
        }
    }
    let finished = rows.into_iter().map(|(name, sample, rows)| {
        let per: usize = sample.iter().product();
        let batched = rows.shape.len() > sample.len();
        let shape = if batched { [vec![rows.bits.len() / per], sample].concat() } else { sample };
        (name, Tensor { shape, ..rows })
    });
    Ok(finished.collect())
}

/// Reads an NPY file.
pub fn read_array(path: &Path) -> Result<Tensor> {
    let (shape, values) = stmc_data::read_npy(path)?;
    Ok(Tensor::floats(shape, values))
}

/// Writes an NPY file.
pub fn write_array(path: &Path, tensor: &Tensor) -> Result<()> {
    let values: Vec<f32> = tensor.numbers().collect();
    let file = File::create(path).map_err(|e| RunError::file(path, e))?;
    stmc_data::write_npy(BufWriter::new(file), &tensor.shape, &values).map_err(|e| RunError::file(path, e))
}

impl Input {
    fn of(session: &Session<'_>, port: &InputPort) -> Option<Input> {
        let plan = session.module.data.as_ref();
        let name = match &port.role {
            InputRole::Named { name, .. } => name.clone(),
            // What the way back to physical units needs of each sample.
            InputRole::Slab { slab, .. } => {
                plan.filter(|plan| plan.slabs[*slab].is_moved()).map(|plan| plan.slab_name(*slab))?
            }
            _ => return None,
        };
        let dims = &session.program.buffer(port.buffer).dims;
        let batched = dims.first().is_some_and(|d| d.axis == "batch");
        let sample = dims[usize::from(batched)..].iter().map(|d| d.extent).collect();
        Some(Input { name, buffer: port.buffer, sample, batched })
    }

    /// A batch of `size` samples, the last one repeated.
    fn batch(&self, bits: &[u32], start: usize, count: usize, size: usize) -> Vec<u32> {
        if !self.batched {
            return bits.to_vec();
        }
        let per: usize = self.sample.iter().product();
        let sample = |i: usize| &bits[(start + i.min(count - 1)) * per..][..per];
        (0..size).flat_map(sample).copied().collect()
    }
}

/// How many samples are given. Checks every input.
fn samples(inputs: &[Input], given: &Named) -> Result<usize> {
    let mut samples: Option<(usize, &str)> = None;
    for input in inputs {
        let Some(tensor) = tensor(given, &input.name) else {
            let names: Vec<String> = inputs.iter().map(|i| format!("`{}`", i.name)).collect();
            let reason =
                format!("the input `{}` is missing; the model takes {}", input.name, names.join(", "));
            return Err(RunError::Tensor(reason));
        };
        let skipped = usize::from(input.batched);
        if tensor.shape.len() != input.sample.len() + skipped || tensor.shape[skipped..] != input.sample {
            let first = if input.batched { "samples, " } else { "" };
            let wanted: Vec<String> = input.sample.iter().map(usize::to_string).collect();
            let reason = format!(
                "`{}` is {:?}, and the model takes [{first}{}]",
                input.name,
                tensor.shape,
                wanted.join(", ")
            );
            return Err(RunError::Tensor(reason));
        }
        if !input.batched {
            continue;
        }
        match samples {
            None => samples = Some((tensor.shape[0], &input.name)),
            Some((count, _)) if count == tensor.shape[0] => {}
            Some((count, name)) => {
                let other = tensor.shape[0];
                let reason = format!("`{name}` has {count} samples, `{}` has {other}", input.name);
                return Err(RunError::Tensor(reason));
            }
        }
    }
    Ok(samples.map_or(1, |s| s.0))
}

fn tensor<'a>(given: &'a Named, name: &str) -> Option<&'a Tensor> {
    given.iter().find(|t| t.0 == name).map(|t| &t.1)
}
