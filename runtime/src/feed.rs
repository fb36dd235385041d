//! From samples to the inputs of an entry: which slab goes to which buffer, batch after batch.
use crate::error::{Result, RunError};
use crate::score::{Partials, Score};
use crate::session::{Moment, Session};
use crate::tensor::{Named, Tensor};
use std::sync::Arc;
use stmc_data::{Batch, Dataset, Loader, Position, Prefetch, Samples, Target};
use stmc_ir::DType;
use stmc_ir::data::{Field, FieldOrigin};
use stmc_ir::module::{InputRole, Metric, Train};
use stmc_ir::program::{BufferId, Entry};

/// The data of a run, and who gets which of them.
#[derive(Clone)]
pub struct Data {
    /// The fields.
    pub set: Arc<Dataset>,
    /// The samples of each part.
    pub samples: Arc<Samples>,
}

/// The inputs of one entry, fed from one part.
pub struct Feed {
    /// The number of the entry.
    pub entry: usize,
    loader: Arc<Loader>,
    /// What every batch brings, and the buffers for it.
    targets: Vec<Target>,
    buffers: Vec<BufferId>,
    /// 1 for a sample, 0 for a repetition.
    valid: Vec<BufferId>,
}

/// Batches of a feed, in order.
pub struct Stream {
    prefetch: Prefetch,
    buffers: Vec<BufferId>,
    valid: Vec<BufferId>,
}

impl Feed {
    /// Sorts the inputs of an entry, and writes those that are the same for all batches.
    pub fn new(session: &mut Session<'_>, entry: usize, loader: Loader) -> Result<Feed> {
        let mut feed =
            Feed { entry, loader: Arc::new(loader), targets: vec![], buffers: vec![], valid: vec![] };
        for port in &session.at(entry).inputs {
            let buffer = session.program.buffer(port.buffer);
            match &port.role {
                InputRole::Slab { slab, .. } if feed.loader.slabs()[*slab].is_moved() => {
                    feed.targets.push(Target { slab: *slab, buffer: buffer.clone() });
                    feed.buffers.push(port.buffer);
                }
                InputRole::Slab { slab, .. } => {
                    let loader = &feed.loader;
                    session.fill(port.buffer, |to, memory| Ok(loader.fill_fixed(*slab, to, memory)?))?;
                }
                InputRole::Valid => feed.valid.push(port.buffer),
                InputRole::Param(_) => {}
                InputRole::Named { name, .. } | InputRole::Mask { site: name, .. } => {
                    let reason = format!("`{name}` is to be given by name, and cannot be read from the data");
                    return Err(RunError::Tensor(reason));
                }
            }
        }
        Ok(feed)
    }

    /// Samples in the part, or positions of a fit.
    pub fn samples(&self) -> usize {
        self.loader.len()
    }

    /// Batches of a pass over the part.
    pub fn batches(&self) -> usize {
        self.loader.batches()
    }

    /// `count` batches from a place on; they are read ahead.
    pub fn stream(&self, from: Position, count: usize) -> Stream {
        let prefetch = Prefetch::start(self.loader.clone(), self.targets.clone(), from, count);
        Stream { prefetch, buffers: self.buffers.clone(), valid: self.valid.clone() }
    }
}

impl Stream {
    /// Gives the next batch to the device. `None`: there is no more.
    pub fn next(&mut self, session: &mut Session<'_>) -> Result<Option<Batch>> {
        let Some(loaded) = self.prefetch.next().transpose()? else { return Ok(None) };
        for (buffer, image) in self.buffers.iter().zip(&loaded.images) {
            session.device.write(*buffer, image)?;
        }
        let valid: Vec<u32> = loaded.batch.valid.iter().map(|v| v.to_bits()).collect();
        for buffer in &self.valid {
            session.write(*buffer, &valid)?;
        }
        let batch = loaded.batch.clone();
        self.prefetch.recycle(loaded);
        Ok(Some(batch))
    }
}

/// The feed of training: the train part, in a new order in every epoch.
pub fn training(session: &mut Session<'_>, data: &Data, train: &Train) -> Result<Feed> {
    let entry = session.required("train")?;
    let (batch, part) = (session.at(entry).batch, data.samples.part("train"));
    let part = part.ok_or_else(|| RunError::Tensor("the split has no part `train`".into()))?;
    let loader = Loader::train(data.set.clone(), data.samples.clone(), part, batch, session.seed);
    let needed = train.steps_per_epoch * train.accumulate.max(1);
    if loader.batches() < needed.max(1) {
        let (has, of) = (loader.len(), needed.max(1) * batch);
        let reason = format!("the part `train` has {has} samples, and an epoch needs {of}");
        return Err(RunError::Tensor(reason));
    }
    Feed::new(session, entry, loader)
}

/// A feed of an evaluation: every sample of a part once. `None`: the split has no such part, or it is empty.
pub fn evaluation(session: &mut Session<'_>, data: &Data, entry: &str, part: &str) -> Result<Option<Feed>> {
    let (Some(entry), Some(part)) = (session.entry(entry), data.samples.part(part)) else { return Ok(None) };
    let batch = session.at(entry).batch;
    let loader = Loader::evaluate(data.set.clone(), data.samples.clone(), part, batch);
    if loader.is_empty() { Ok(None) } else { Feed::new(session, entry, loader).map(Some) }
}

/// All metrics of the part of a feed, after `step` updates.
pub fn scores(session: &mut Session<'_>, feed: &Feed, metrics: &[Metric], step: u64) -> Result<Vec<Score>> {
    let partials = partials(session, feed, step)?;
    let now = Moment::evaluation(step);
    let host: Vec<f64> = session.module.scalars.iter().map(|e| session.schedules.eval(e, now)).collect();
    Ok(metrics.iter().map(|m| partials.finish(m, &session.module.axes, &host)).collect())
}

fn partials(session: &mut Session<'_>, feed: &Feed, step: u64) -> Result<Partials> {
    let entry: &Entry = session.at(feed.entry);
    let module = session.module;
    let graph = module.entry(&entry.name).expect("an entry of the program was one of the module");
    let mut partials = Partials::new(entry);
    let mut stream = feed.stream(Position::default(), feed.batches());
    while stream.next(session)?.is_some() {
        session.run(feed.entry, Moment::evaluation(step))?;
        partials.add(session, entry, graph)?;
    }
    Ok(partials)
}

/// What `fit` says of the train part: computed in order and given to the data, unless they have it already. The result
/// belongs into the checkpoint.
pub fn fit(session: &mut Session<'_>, data: &Data) -> Result<Named> {
    let module = session.module;
    for (i, metric) in module.fits.iter().enumerate() {
        let of_fit = |field: &&(usize, &Field)| field.1.origin == FieldOrigin::Fit { fit: i };
        let fields = fitted_fields(data);
        let fields: Vec<_> =
            fields.iter().filter(of_fit).filter(|f| data.set.fitted(f.0).is_none()).collect();
        if fields.is_empty() {
            continue;
        }
        let tensor = compute_fit(session, data, i, metric)?;
        for (field, declared) in fields {
            // Behind the name of an axis that a function declares stands its owner.
            let plain = |name: &str| name.split('@').next().unwrap_or_default().to_string();
            let order = declared.axes.iter().map(|(name, _)| tensor.0.iter().position(|a| *a == plain(name)));
            let order: Option<Vec<usize>> = order.collect();
            let tensor = tensor.1.permute(&order.expect("a fitted field has the axes of its fit"));
            data.set.set_fit(*field, &tensor.numbers().collect::<Vec<_>>());
        }
    }
    let fitted = fitted_fields(data).into_iter().filter_map(|(field, declared)| {
        let shape = declared.axes.iter().map(|a| a.1).collect();
        let bits = data.set.fitted(field)?.to_vec();
        Some((declared.name.clone(), Tensor { dtype: DType::F32, shape, bits }))
    });
    Ok(fitted.collect())
}

/// The value of a fit, with the names of its axes.
fn compute_fit(
    session: &mut Session<'_>,
    data: &Data,
    i: usize,
    metric: &Metric,
) -> Result<(Vec<String>, Tensor)> {
    let entry = session.required(&format!("fit{i}"))?;
    let batch = session.at(entry).batch;
    let loader = Loader::fit(data.set.clone(), data.samples.clone(), i, batch)?;
    let feed = Feed::new(session, entry, loader)?;
    let score = scores(session, &feed, std::slice::from_ref(metric), 0)?.remove(0);
    let (names, shape): (Vec<String>, Vec<usize>) = score.axes.into_iter().unzip();
    Ok((names, Tensor::floats(shape, score.values.iter().map(|x| *x as f32))))
}

/// Gives fitted values of an earlier run to the data.
pub fn restore_fits(data: &Data, fitted: &Named) -> Result<()> {
    for (field, declared) in fitted_fields(data) {
        let extents: Vec<usize> = declared.axes.iter().map(|a| a.1).collect();
        let found = fitted.iter().find(|t| t.0 == declared.name && t.1.shape == extents).map(|t| &t.1);
        let missing = || RunError::Tensor(format!("the run has no fitted `{}` {extents:?}", declared.name));
        let tensor = found.ok_or_else(missing)?;
        match data.set.fitted(field) {
            None => data.set.set_fit(field, &tensor.numbers().collect::<Vec<_>>()),
            Some(bits) if bits == tensor.bits => {}
            Some(_) => {
                let reason = format!("`{}` was fitted to other data than those of the run", declared.name);
                return Err(RunError::Tensor(reason));
            }
        }
    }
    Ok(())
}

fn fitted_fields(data: &Data) -> Vec<(usize, &Field)> {
    let fields = data.set.plan().fields.iter().enumerate();
    fields.filter(|f| matches!(f.1.origin, FieldOrigin::Fit { .. })).collect()
}
