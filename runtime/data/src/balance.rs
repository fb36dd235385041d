//! Classes as frequent as the largest: samples are repeated, or new ones lie between neighbours of a class.
use crate::draw::Stream;
use crate::samples::steps;
use crate::{DataError, Dataset, SampleId, Samples};
use std::collections::BTreeMap;
use stmc_base::Diagnostic;
use stmc_ir::data::{Balance, Slab, Smote};
use stmc_ir::philox;

/// A sample that an epoch draws.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Drawn {
    pub(crate) sample: SampleId,
    /// The neighbour towards which it lies, and how far: 0 is the sample, 1 the neighbour. `None`: it is the sample.
    pub(crate) towards: Option<(SampleId, f32)>,
}

/// What an epoch of training draws. `None`: classes are as they are.
pub(crate) fn balanced(
    data: &Dataset,
    samples: &Samples,
    seed: u64,
) -> Result<Option<Vec<Drawn>>, Diagnostic> {
    let plan = data.plan();
    let (Some(balance), Some(train)) = (&plan.balance, samples.part("train")) else { return Ok(None) };
    let all = samples.samples(train);
    let drawn = classes(data, samples, balance, all)
        .and_then(|classes| draw(data, samples, balance, all, &classes, seed))
        .map_err(|e| e.diagnostic(balance.span))?;
    Ok(Some(drawn))
}

/// The samples of each class, in order.
fn classes(
    data: &Dataset,
    samples: &Samples,
    balance: &Balance,
    all: &[SampleId],
) -> Result<BTreeMap<i32, Vec<SampleId>>, DataError> {
    let slab = &data.plan().slabs[balance.label];
    let mut classes: BTreeMap<i32, Vec<SampleId>> = BTreeMap::new();
    for &sample in all {
        let label = read(data, samples, slab, sample)?;
        classes.entry(label[0] as i32).or_default().push(sample);
    }
    Ok(classes)
}

fn draw(
    data: &Dataset,
    samples: &Samples,
    balance: &Balance,
    all: &[SampleId],
    classes: &BTreeMap<i32, Vec<SampleId>>,
    seed: u64,
) -> Result<Vec<Drawn>, DataError> {
    let mut drawn: Vec<Drawn> = all.iter().map(|&sample| Drawn { sample, towards: None }).collect();
    let largest = classes.values().map(Vec::len).max().unwrap_or(0);
    for (class, members) in classes {
        let missing = largest - members.len();
        // Every member once, then every one again: none is drawn twice before another once.
        let order = Stream::new(seed, "oversample", *class as u32).permutation(members.len());
        let bases = (0..missing).map(|i| order[i % members.len()] as usize);
        match &balance.smote {
            Some(smote) if members.len() > 1 => {
                let near = neighbours(data, samples, smote, members)?;
                let stream = Stream::new(seed, "smote", *class as u32);
                for (i, base) in bases.enumerate() {
                    let neighbour = near[base][stream.below(2 * i as u32, near[base].len())];
                    let share = philox::uniform(stream.words(2 * i as u32 + 1)[0]);
                    drawn.push(Drawn { sample: members[base], towards: Some((members[neighbour], share)) });
                }
            }
            _ => drawn.extend(bases.map(|base| Drawn { sample: members[base], towards: None })),
        }
    }
    Ok(drawn)
}

/// The nearest other members of each, by the Euclidean distance of what is mixed. A missing value is far from nothing.
fn neighbours(
    data: &Dataset,
    samples: &Samples,
    smote: &Smote,
    members: &[SampleId],
) -> Result<Vec<Vec<usize>>, DataError> {
    let mut points: Vec<Vec<f32>> = vec![];
    for &sample in members {
        let mut point = vec![];
        for &slab in &smote.slabs {
            let values = read(data, samples, &data.plan().slabs[slab], sample)?;
            point.extend(values.into_iter().map(f32::from_bits).map(|x| if x.is_nan() { 0.0 } else { x }));
        }
        points.push(point);
    }
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let nearest = |i: usize| {
        let mut others: Vec<(f32, usize)> =
            (0..points.len()).filter(|j| *j != i).map(|j| (distance(&points[i], &points[j]), j)).collect();
        let k = smote.neighbours.min(others.len());
        let by_distance = |a: &(f32, usize), b: &(f32, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        if k < others.len() {
            others.select_nth_unstable_by(k, by_distance);
        }
        others.truncate(k);
        others.sort_by(by_distance);
        others.into_iter().map(|(_, j)| j).collect()
    };
    Ok((0..points.len()).map(nearest).collect())
}

fn read(data: &Dataset, samples: &Samples, slab: &Slab, sample: SampleId) -> Result<Vec<u32>, DataError> {
    let positions = samples.positions(sample);
    let ranges: Vec<_> = slab.range.iter().map(|range| steps(range, &positions)).collect();
    let mut values = vec![0; slab.shape().iter().product()];
    data.read(slab.field, &ranges, &mut values)?;
    Ok(values)
}
