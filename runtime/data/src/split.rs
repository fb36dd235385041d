//! Which part of a split a position belongs to: the first whose predicate holds there. Parts therefore share no
//! position. A gap belongs to no part: positions that follow too closely on another part's.
use crate::draw::Stream;
use crate::quantity::Table;
use stmc_base::{Code, Diagnostic};
use stmc_ir::HostExpr;
use stmc_ir::data::DataPlan;

/// Where a position belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// To this part of the plan's split.
    Part(usize),
    /// To none: it keeps two parts apart.
    Gap,
    /// To none: no predicate holds there.
    Nowhere,
}

/// The split of a plan, over the axes that its predicates mention.
pub(crate) struct Split {
    axes: Vec<SplitAxis>,
    quantities: Vec<Table>,
    /// Row-major over `axes`. Empty where that would be too large: then `place` evaluates the predicates.
    table: Vec<Place>,
}

pub(crate) struct SplitAxis {
    pub(crate) name: String,
    pub(crate) extent: usize,
    /// What `shuffled(name)` is at each position.
    shuffled: Vec<f64>,
}

/// A split over more positions has no table.
const LARGEST_TABLE: usize = 1 << 22;

impl Split {
    /// Evaluates the predicates.
    pub(crate) fn new(plan: &DataPlan, quantities: Vec<Table>, seed: u64) -> Result<Split, Diagnostic> {
        let mut split = Split { axes: axes(plan, &quantities, seed)?, quantities, table: vec![] };
        if plan.split.is_empty() {
            return Ok(split);
        }
        let positions = split.axes.iter().try_fold(1usize, |n, a| n.checked_mul(a.extent));
        if let Some(positions) = positions.filter(|&n| n <= LARGEST_TABLE) {
            split.table = (0..positions).map(|i| split.evaluate(plan, &split.position(i))).collect();
        }
        if plan.gap > 0 || !plan.near.is_empty() {
            split.open_gaps(plan)?;
        }
        Ok(split)
    }

    /// The axes that the predicates mention, in the order in which they do.
    pub(crate) fn axes(&self) -> &[SplitAxis] {
        &self.axes
    }

    /// What the predicates and the condition compare besides positions.
    pub(crate) fn quantities(&self) -> &[Table] {
        &self.quantities
    }

    /// Where a position (one number per axis of the split) belongs. Without a split, all is one part.
    pub(crate) fn place(&self, plan: &DataPlan, position: &[usize]) -> Place {
        if plan.split.is_empty() {
            return Place::Part(0);
        }
        if self.table.is_empty() {
            return self.evaluate(plan, position);
        }
        self.table[self.axes.iter().zip(position).fold(0, |at, (axis, i)| at * axis.extent + i)]
    }

    /// Whether a part's condition holds anywhere, whatever the parts before it take.
    pub(crate) fn holds(&self, plan: &DataPlan, part: usize) -> bool {
        let all = 0..self.axes.iter().map(|a| a.extent).product::<usize>().min(LARGEST_TABLE);
        let predicate = &plan.split[part].predicate;
        all.into_iter().any(|i| self.value(predicate, &self.position(i)) != 0.0)
    }

    fn evaluate(&self, plan: &DataPlan, position: &[usize]) -> Place {
        let part = plan.split.iter().position(|part| self.value(&part.predicate, position) != 0.0);
        part.map_or(Place::Nowhere, Place::Part)
    }

    fn value(&self, predicate: &HostExpr, position: &[usize]) -> f64 {
        let at = |axis: &str| self.axes.iter().position(|a| a.name == axis).map(|i| position[i]);
        let lookup = |name: &str| {
            if let Some(quantity) = self.quantities.iter().find(|q| q.name == name) {
                return quantity.value(&at);
            }
            self.axes.iter().zip(position).find_map(|(axis, &i)| match axis_of(name) {
                (of, Meaning::Position) if of == axis.name => Some(i as f64),
                (of, Meaning::Shuffled) if of == axis.name => Some(axis.shuffled[i]),
                _ => None,
            })
        };
        predicate.eval(&lookup)
    }

    fn position(&self, mut i: usize) -> Vec<usize> {
        let mut position: Vec<usize> = self
            .axes
            .iter()
            .rev()
            .map(|axis| {
                let here = i % axis.extent;
                i /= axis.extent;
                here
            })
            .collect();
        position.reverse();
        position
    }

    /// Of two positions of different parts with less than `gap` others between them, the later one is given up.
    fn open_gaps(&mut self, plan: &DataPlan) -> Result<(), Diagnostic> {
        if self.axes.len() != 1 || self.table.is_empty() {
            let names: Vec<_> = self.axes.iter().map(|a| format!("`{}`", a.name)).collect();
            let message = format!("`gap` needs a split along one axis; this one is along {}", join(&names));
            return Err(Diagnostic::new(Code::E0905, plan.split[0].span, message));
        }
        let places = self.table.clone();
        for (i, place) in places.iter().enumerate().filter(|(_, place)| **place != Place::Nowhere) {
            let first = plan.near.get(i).copied().unwrap_or(i.saturating_sub(plan.gap));
            let before = &places[first..i];
            if before.iter().any(|other| other != place && *other != Place::Nowhere) {
                self.table[i] = Place::Gap;
            }
        }
        Ok(())
    }
}

fn axes(plan: &DataPlan, quantities: &[Table], seed: u64) -> Result<Vec<SplitAxis>, Diagnostic> {
    let mut axes: Vec<SplitAxis> = vec![];
    for part in &plan.split {
        let variables = part.predicate.variables();
        let meanings = variables.iter().flat_map(|v| match quantities.iter().find(|q| q.name == **v) {
            Some(table) => table.axes.iter().map(|(axis, _)| (axis.as_str(), Meaning::Position)).collect(),
            None => vec![axis_of(v)],
        });
        for (name, meaning) in meanings {
            let at = match axes.iter().position(|axis| axis.name == name) {
                Some(at) => at,
                None => {
                    let extent = extent(plan, name).ok_or_else(|| {
                        let message =
                            format!("no sample moves along `{name}`, so the parts cannot be told by it");
                        Diagnostic::new(Code::E0905, part.span, message)
                    })?;
                    axes.push(SplitAxis { name: name.into(), extent, shuffled: vec![] });
                    axes.len() - 1
                }
            };
            if meaning == Meaning::Shuffled && axes[at].shuffled.is_empty() {
                axes[at].shuffled = shuffled(seed, name, axes[at].extent);
            }
        }
    }
    Ok(axes)
}

/// How a predicate's variable depends on the position along its axis.
#[derive(PartialEq, Eq)]
enum Meaning {
    Position,
    Shuffled,
}

/// `time`, or `shuffled(time)`.
fn axis_of(variable: &str) -> (&str, Meaning) {
    match variable.strip_prefix("shuffled(").and_then(|rest| rest.strip_suffix(')')) {
        Some(axis) => (axis, Meaning::Shuffled),
        None => (variable, Meaning::Position),
    }
}

/// The rank of each position in a random order, divided by their number.
fn shuffled(seed: u64, axis: &str, extent: usize) -> Vec<f64> {
    let mut rank = vec![0.0; extent];
    for (i, position) in
        Stream::new(seed, &format!("shuffled({axis})"), 0).permutation(extent).iter().enumerate()
    {
        rank[*position as usize] = i as f64 / extent as f64;
    }
    rank
}

/// The extent of an axis of what is read for samples.
fn extent(plan: &DataPlan, axis: &str) -> Option<usize> {
    let moved = plan.slabs.iter().filter(|slab| slab.is_moved());
    moved
        .flat_map(|slab| &plan.fields[slab.field].axes)
        .find(|(name, _)| name == axis)
        .map(|&(_, extent)| extent)
}

/// `a, b and c`.
pub(crate) fn join(words: &[String]) -> String {
    match words {
        [] => "none".into(),
        [word] => word.clone(),
        [words @ .., last] => format!("{} and {last}", words.join(", ")),
    }
}
