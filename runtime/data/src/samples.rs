//! Samples: one position of each sample variable, and the part to which each belongs.
//!
//! A sample belongs to a part only if every position that is read for it does. No two parts share a position along
//! the axes of the split, whatever the windows and patches are.
use crate::Dataset;
use crate::balance::{self, Drawn};
use crate::quantity::{Relaxed, Table, tables};
use crate::split::{Place, Split, join};
use std::ops::Range;
use stmc_base::{Code, Diagnostic, define_id};
use stmc_ir::data::{Binder, DataPlan, FitPlan};

define_id! {
    /// A sample: a number of the positions of all sample variables, the last running fastest.
    pub struct SampleId
}

/// By custom, the axis along which things happen.
const TIME: &str = "time";

/// What to do about samples that lie in several parts.
const SPLIT_ALONG: &str =
    "split along the axis in blocks (`time < …`), or along one of which a sample takes a single position";

/// All samples of a plan.
pub struct Samples {
    /// Per sample variable: the positions at which everything read lies within the data.
    positions: Vec<Vec<usize>>,
    parts: Vec<Vec<SampleId>>,
    names: Vec<String>,
    dropped: Dropped,
    /// For which the condition does not hold.
    excluded: usize,
    split: Split,
    /// What an epoch of training draws. `None`: each sample of the part once.
    balanced: Option<Vec<Drawn>>,
}

/// How many samples belong to no part, and why.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Dropped {
    /// They have positions in several parts.
    pub straddling: usize,
    /// They have positions in the gap between two parts.
    pub in_gap: usize,
    /// At some position of theirs, no predicate holds.
    pub nowhere: usize,
}

impl Samples {
    /// Enumerates the samples of data and splits them. Without a split all are in the part `train`.
    pub fn of(data: &Dataset, seed: u64) -> Result<Samples, Diagnostic> {
        let plan = data.plan();
        let quantities = tables(plan, Some(data), seed)?.expect("there are data");
        let mut samples = Samples::with(plan, quantities, seed)?;
        samples.balanced = balance::balanced(data, &samples, seed)?;
        Ok(samples)
    }

    /// The samples of a plan without data. Where their values tell the parts, nobody knows: all are in `train`.
    pub fn index(plan: &DataPlan, seed: u64) -> Result<Samples, Diagnostic> {
        match tables(plan, None, seed)? {
            Some(quantities) => Samples::with(plan, quantities, seed),
            None => {
                let unsplit =
                    DataPlan { split: vec![], condition: None, gap: 0, near: vec![], ..plan.clone() };
                Samples::with(&unsplit, vec![], seed)
            }
        }
    }

    fn with(plan: &DataPlan, quantities: Vec<Table>, seed: u64) -> Result<Samples, Diagnostic> {
        let split = Split::new(plan, quantities, seed)?;
        let mut names: Vec<String> = plan.split.iter().map(|part| part.name.clone()).collect();
        if names.is_empty() {
            names.push("train".into());
        }
        let positions =
            plan.binders.iter().enumerate().map(|(b, binder)| positions(plan, b, binder)).collect();
        let parts = names.iter().map(|_| vec![]).collect();
        let mut samples = Samples {
            positions,
            parts,
            names,
            dropped: Dropped::default(),
            excluded: 0,
            split,
            balanced: None,
        };
        samples.assign(plan);
        samples.check_parts(plan)?;
        Ok(samples)
    }

    /// The parts' names, in the order of the plan.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The part of that name. `None`: the split has none.
    pub fn part(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }

    /// The samples of a part, in order.
    pub fn samples(&self, part: usize) -> &[SampleId] {
        &self.parts[part]
    }

    /// How many samples an epoch of training has, those included that balance the classes.
    pub fn trained(&self) -> usize {
        let part = || self.part("train").map_or(0, |part| self.samples(part).len());
        self.balanced.as_ref().map_or_else(part, Vec::len)
    }

    /// What an epoch of training draws, if classes are balanced.
    pub(crate) fn balanced(&self) -> Option<&[Drawn]> {
        self.balanced.as_deref()
    }

    /// All samples, those that were dropped included.
    pub fn count(&self) -> usize {
        self.enumerated() - self.excluded
    }

    fn enumerated(&self) -> usize {
        self.positions.iter().map(Vec::len).product()
    }

    /// Those that were dropped.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// The position of each sample variable.
    pub fn positions(&self, sample: SampleId) -> Vec<usize> {
        let mut i = sample.index();
        let mut positions: Vec<usize> = vec![0; self.positions.len()];
        for (position, of) in positions.iter_mut().zip(&self.positions).rev() {
            *position = of[i % of.len()];
            i /= of.len();
        }
        positions
    }

    /// The joint positions along the axes of a fit that belong to the part `train`, each once: what the fit streams.
    pub fn fit_positions(&self, plan: &DataPlan, fit: usize) -> Result<Vec<Vec<usize>>, Diagnostic> {
        let streamed = &plan.fits[fit].axes;
        let Some(first) = plan.split.first() else { return Ok(every_position(plan, fit)) };
        let train = self.part("train").ok_or_else(|| {
            Diagnostic::new(Code::E0904, first.span, "a `fit` needs a part `train`, and the split has none")
        })?;
        let axes = self.split.axes();
        let places: Vec<usize> = streamed
            .iter()
            .map(|name| axes.iter().position(|a| a.name == *name).expect("a fit streams axes of the split"))
            .collect();
        if places.is_empty() {
            // What lies along other axes alone is the same for all parts, and is read once.
            return Ok(vec![vec![]]);
        }
        let all: Vec<Vec<usize>> = axes.iter().map(|a| (0..a.extent).collect()).collect();
        let mut found = std::collections::BTreeSet::new();
        let mut at = vec![0; axes.len()];
        for _ in 0..all.iter().map(Vec::len).product() {
            if self.split.place(plan, &at) == Place::Part(train) {
                found.insert(places.iter().map(|&p| at[p]).collect::<Vec<_>>());
            }
            advance(&mut at, &all);
        }
        Ok(found.into_iter().collect())
    }

    /// What the author of the split should know: most samples straddle, or a good part of them.
    pub fn warnings(&self, plan: &DataPlan) -> Vec<Diagnostic> {
        let mut warnings = self.relaxed(plan);
        warnings.extend(self.shared_inputs(plan));
        let (count, straddling) = (self.count(), self.dropped.straddling);
        // A few samples straddle wherever an axis is cut once; more than a tenth is a split that does not suit the windows.
        if straddling * 10 <= count {
            return warnings;
        }
        let message = format!("{straddling} of {count} samples straddle the parts and are dropped");
        let warning = Diagnostic::new(Code::W0902, plan.split[0].span, message);
        let along: Vec<_> = self.split.axes().iter().map(|a| format!("`{}`", a.name)).collect();
        let here =
            format!("a sample is dropped if its positions along {} lie in several parts", join(&along));
        warnings.push(warning.here(here).help(SPLIT_ALONG));
        warnings
    }

    /// Squares that are not as far apart, or not as many, as they were to be.
    fn relaxed(&self, plan: &DataPlan) -> Vec<Diagnostic> {
        let told = |table: &Table| {
            let (message, help) = match table.relaxed? {
                Relaxed::Points(points) => {
                    let message = format!("there are only {points} squares: the data have no more points");
                    (message, "take fewer: `count`".to_string())
                }
                Relaxed::Apart(held) => {
                    let held = (10.0 * held).floor() / 10.0;
                    let message = format!("the squares do not find room: they are {held} km apart");
                    (message, format!("write `apart: {held} km`, or take fewer: `count`"))
                }
            };
            let part = plan.split.iter().find(|p| p.predicate.variables().contains(&table.name.as_str()));
            let span = part.or(plan.split.first())?.span;
            Some(Diagnostic::new(Code::W0904, span, message).help(help))
        };
        self.split.quantities().iter().filter_map(told).collect()
    }

    /// Parts whose samples differ only along an axis that some field lacks: what is read of it is the same in both. What stands
    /// still, such as relief, may be the same: it tells nothing of what happened when.
    fn shared_inputs(&self, plan: &DataPlan) -> Vec<Diagnostic> {
        let Some(train) = self.part("train") else { return vec![] };
        let mut warnings = vec![];
        for (b, binder) in plan.binders.iter().enumerate().filter(|(_, b)| self.is_split(&b.axis)) {
            let lacks = |slab: &&stmc_ir::data::Slab| {
                let field = &plan.fields[slab.field];
                let has = |axis: &str| field.axes.iter().any(|(name, _)| name == axis);
                slab.is_moved() && field.origin.is_read() && has(TIME) && !has(&binder.axis)
            };
            let Some(shared) = plan.slabs.iter().find(lacks) else { continue };
            let others = |s: &SampleId| {
                let mut positions = self.positions(*s);
                positions.remove(b);
                positions
            };
            let known: std::collections::BTreeSet<Vec<usize>> =
                self.parts[train].iter().map(others).collect();
            let leaks =
                |part: &usize| *part != train && self.parts[*part].iter().any(|s| known.contains(&others(s)));
            let Some(part) = (0..self.parts.len()).find(leaks) else { continue };
            let (name, axis, field) = (&self.names[part], &binder.axis, &plan.fields[shared.field].name);
            let message = format!(
                "samples of `{name}` and `train` differ only in `{axis}`: both read the same `{field}`"
            );
            let help = format!("tell the parts by another axis than `{axis}`");
            warnings.push(Diagnostic::new(Code::W0903, plan.split[part].span, message).help(help));
        }
        warnings
    }

    /// Puts every sample where its footprint belongs.
    fn assign(&mut self, plan: &DataPlan) {
        assert!(u32::try_from(self.enumerated()).is_ok(), "there are fewer than 2^32 samples");
        let moving = self.moving(plan);
        // Samples that differ only in variables that the split does not see belong to the same place.
        let mut known: std::collections::BTreeMap<Vec<usize>, Result<usize, Reason>> = Default::default();
        for sample in (0..self.enumerated()).map(SampleId::from_index) {
            let positions = self.positions(sample);
            if !self.is_wanted(plan, &positions) {
                self.excluded += 1;
                continue;
            }
            let seen: Vec<usize> = moving.iter().map(|&b| positions[b]).collect();
            let place = *known.entry(seen).or_insert_with(|| self.place(plan, &positions));
            match place {
                Ok(part) => self.parts[part].push(sample),
                Err(Reason::Straddles) => self.dropped.straddling += 1,
                Err(Reason::Gap) => self.dropped.in_gap += 1,
                Err(Reason::Nowhere) => self.dropped.nowhere += 1,
            }
        }
    }

    /// Whether the condition holds.
    fn is_wanted(&self, plan: &DataPlan, positions: &[usize]) -> bool {
        let Some(condition) = &plan.condition else { return true };
        let along = |axis: &str| plan.binders.iter().position(|b| b.axis == axis).map(|b| positions[b]);
        let lookup = |name: &str| {
            if let Some(quantity) = self.split.quantities().iter().find(|q| q.name == name) {
                return quantity.value(&along);
            }
            let variable = plan.binders.iter().position(|b| b.name == name).map(|b| positions[b]);
            variable.or_else(|| along(name)).map(|at| at as f64)
        };
        condition.eval(&lookup) != 0.0
    }

    /// The sample variables that move something along an axis of the split.
    fn moving(&self, plan: &DataPlan) -> Vec<usize> {
        let along = |b: usize| {
            let ranges =
                plan.slabs.iter().flat_map(|slab| plan.fields[slab.field].axes.iter().zip(&slab.range));
            ranges.filter(|(_, range)| range.binder == Some(b)).any(|((name, _), _)| self.is_split(name))
        };
        (0..plan.binders.len()).filter(|&b| along(b)).collect()
    }

    fn is_split(&self, axis: &str) -> bool {
        self.split.axes().iter().any(|a| a.name == axis)
    }

    /// The part of a sample, or why it has none.
    fn place(&self, plan: &DataPlan, positions: &[usize]) -> Result<usize, Reason> {
        let axes = self.split.axes();
        let footprint: Vec<Vec<usize>> =
            axes.iter().map(|axis| footprint(plan, &axis.name, positions)).collect();
        let (mut part, mut gap, mut nowhere) = (None, false, false);
        let mut at = vec![0; axes.len()];
        for _ in 0..footprint.iter().map(Vec::len).product() {
            let position: Vec<usize> = at.iter().zip(&footprint).map(|(&i, along)| along[i]).collect();
            match self.split.place(plan, &position) {
                Place::Part(other) if *part.get_or_insert(other) != other => return Err(Reason::Straddles),
                Place::Part(_) => {}
                Place::Gap => gap = true,
                Place::Nowhere => nowhere = true,
            }
            advance(&mut at, &footprint);
        }
        match part {
            Some(part) if !gap && !nowhere => Ok(part),
            _ if gap => Err(Reason::Gap),
            _ => Err(Reason::Nowhere),
        }
    }

    fn check_parts(&self, plan: &DataPlan) -> Result<(), Diagnostic> {
        let Some(part) = plan.split.iter().zip(&self.parts).position(|(_, samples)| samples.is_empty())
        else {
            return Ok(());
        };
        let Dropped { straddling, in_gap, nowhere } = self.dropped;
        let message = format!("no sample lies wholly in `{}`", self.names[part]);
        let others = self.count() - straddling - in_gap - nowhere;
        let here = format!(
            "of {} samples {others} lie in other parts, {straddling} straddle, {in_gap} reach into the gap",
            self.count()
        );
        let diagnostic = Diagnostic::new(Code::E0904, plan.split[part].span, message).here(here);
        Err(match straddling + in_gap {
            0 if part > 0 && self.split.holds(plan, part) => {
                diagnostic.help("the parts before it take every sample: the first condition that holds decides (`< 80%`, `< 90%`, `rest`)")
            }
            0 => diagnostic.help("its condition holds nowhere in the data: `stmc schema` shows where each axis begins and ends"),
            _ => diagnostic.help(SPLIT_ALONG),
        })
    }
}

/// All joint positions of the axes that a fit streams.
fn every_position(plan: &DataPlan, fit: usize) -> Vec<Vec<usize>> {
    let FitPlan { axes, slabs } = &plan.fits[fit];
    let fields = slabs.iter().map(|slab| &plan.fields[slab.field].axes);
    let extent = |axis: &String| fields.clone().flatten().find(|(name, _)| name == axis).map_or(0, |a| a.1);
    let all: Vec<Vec<usize>> = axes.iter().map(|axis| (0..extent(axis)).collect()).collect();
    let mut at = vec![0; axes.len()];
    let mut found = vec![];
    for _ in 0..all.iter().map(Vec::len).product() {
        found.push(at.clone());
        advance(&mut at, &all);
    }
    found
}

/// Why a sample is in no part.
#[derive(Clone, Copy)]
enum Reason {
    Straddles,
    Gap,
    Nowhere,
}

/// The positions of a sample variable at which every slab that it moves lies within its field.
fn positions(plan: &DataPlan, number: usize, binder: &Binder) -> Vec<usize> {
    let ranges = plan.slabs.iter().flat_map(|slab| plan.fields[slab.field].axes.iter().zip(&slab.range));
    let moved: Vec<_> = ranges.filter(|(_, range)| range.binder == Some(number)).collect();
    let within = |position: &usize| {
        moved.iter().all(|((_, extent), range)| {
            let start = *position as isize + range.offset;
            start >= 0 && start as usize + range.len <= *extent
        })
    };
    (binder.start..binder.stop).step_by(binder.step.max(1)).filter(within).collect()
}

/// The positions along an axis that are read for a sample, in order. Slabs that no sample variable moves are the
/// same for all samples, and do not count.
fn footprint(plan: &DataPlan, axis: &str, positions: &[usize]) -> Vec<usize> {
    let moved = plan.slabs.iter().filter(|slab| slab.is_moved());
    let ranges = moved.flat_map(|slab| plan.fields[slab.field].axes.iter().zip(&slab.range));
    let along = ranges.filter(|((name, _), _)| name == axis).map(|(_, range)| steps(range, positions));
    let mut footprint: Vec<usize> = along.flatten().collect();
    footprint.sort_unstable();
    footprint.dedup();
    footprint
}

/// The steps that a range takes at these positions of the sample variables.
pub(crate) fn steps(range: &stmc_ir::data::SlabRange, positions: &[usize]) -> Range<usize> {
    let base = range.binder.map_or(0, |b| positions[b]) as isize + range.offset;
    let start = usize::try_from(base).expect("what is read for a sample lies within the data");
    start..start + range.len
}

fn advance(at: &mut [usize], footprint: &[Vec<usize>]) {
    for (i, along) in at.iter_mut().zip(footprint).rev() {
        *i += 1;
        if *i < along.len() {
            return;
        }
        *i = 0;
    }
}
