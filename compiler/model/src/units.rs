//! What the numbers of a metric are in.
//!
//! A unit is a product of powers of the fields' units, each of which stands for itself: `mm/h` is no quotient. The unit of a result
//! follows from how it would change if the fields were told in other units: if twice as large values make a root mean
//! square twice as large, it is in their unit. So no function is listed here; an op's defining value says it all. A factor
//! that is a written number may be a conversion: what it makes has no unit that we know. Data in units that we do not know are in nameless
//! ones: weights without a unit cancel out of a weighted mean. No unit is ever a guess.
use crate::elab::{Elab, FrameKind};
use crate::value::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;
use stmc_ir::data::FieldOrigin;
use stmc_ir::module::InputRole;
use stmc_ir::ops::{Reduction, Scalar};
use stmc_ir::{DType, Graph, NodeId, Op};

/// The unit of a value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Unit {
    /// Nothing can be said.
    Unknown,
    /// What a model gives is in the unit of what it is held against.
    Open,
    /// Powers of units. Empty: a plain number.
    Known(Powers),
}

/// Exponents, multiples of 1/12.
pub(crate) type Powers = BTreeMap<Measure, f64>;

/// A unit that is no product.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Measure {
    /// As a field says it.
    Named(Arc<str>),
    /// That of an input, which nobody said.
    Input(usize),
    /// That of a value, whatever it may be: in the entry's graph (level 0), or in what follows a metric's sums (1).
    Value { level: usize, node: usize },
    /// Tried out.
    Guess(usize),
}

/// What is known of the values that metrics are made of.
#[derive(Default)]
pub(crate) struct Quantities {
    /// The parts of the sample.
    pub parts: BTreeMap<Arc<str>, Unit>,
    /// A value is the same quantity as another of its graph: `physical(out.x)` as x was before it was transformed, and what a
    /// number stands in for where it is missing.
    pub same: Vec<(Tensor, Tensor)>,
    /// Outputs of the model.
    pub outputs: Vec<(NodeId, Unit)>,
}

impl Unit {
    fn number() -> Unit {
        Unit::Known(Powers::new())
    }

    fn one(measure: Measure) -> Unit {
        Unit::Known(Powers::from([(measure, 1.0)]))
    }

    /// Whether it is known down to its names.
    fn is_named(&self) -> bool {
        match self {
            Unit::Unknown => false,
            Unit::Open => true,
            Unit::Known(powers) => powers.keys().all(|unit| matches!(unit, Measure::Named(_))),
        }
    }

    /// `mm/h`, `(mm/h)^2`, `K s^-1`. `None`: it is a plain number, or not known.
    pub(crate) fn text(&self) -> Option<String> {
        let Unit::Known(powers) = self else { return None };
        let factor = |(unit, power): (&Measure, &f64)| {
            let Measure::Named(unit) = unit else { return None };
            Some(match *power {
                1.0 => unit.to_string(),
                power if unit.chars().all(char::is_alphanumeric) => format!("{unit}^{power}"),
                power => format!("({unit})^{power}"),
            })
        };
        let factors: Vec<String> = powers.iter().map(factor).collect::<Option<_>>()?;
        (!factors.is_empty()).then(|| factors.join(" "))
    }
}

impl Elab<'_> {
    /// The units of values of the entry's graph, or of what follows a metric's sums.
    pub(crate) fn units(&self, values: &[Tensor]) -> Vec<Unit> {
        let entry = self.frames[0].builder.graph();
        let inputs = self.inputs.iter().enumerate();
        let inputs: Vec<Unit> = inputs.map(|(i, (role, _))| self.unit_of_input(i, role)).collect();
        let quantities = &self.quantities;
        let same = |level: usize| -> Vec<(NodeId, NodeId)> {
            let here = quantities.same.iter().filter(|(a, b)| (a.level, b.level) == (level, level));
            here.map(|(a, b)| (a.node, b.node)).collect()
        };
        let entry = units_of((&entry, 0), &inputs, &same(0), &quantities.outputs);
        let finish = match self.frames.get(1) {
            Some(frame) => match &frame.kind {
                FrameKind::Finish(partials) => {
                    let partial = |output: &usize| entry[self.outputs[*output].0.index()].clone();
                    let inputs: Vec<Unit> = partials.iter().map(partial).collect();
                    units_of((&frame.builder.graph(), 1), &inputs, &same(1), &[])
                }
                FrameKind::Entry | FrameKind::Scan(_) => vec![],
            },
            None => vec![],
        };
        let of = |value: &Tensor| match value.level {
            0 => entry[value.node.index()].clone(),
            _ => finish.get(value.node.index()).cloned().unwrap_or(Unit::Unknown),
        };
        let named = |unit: Unit| if unit.is_named() { unit } else { Unit::Unknown };
        values.iter().map(of).map(named).collect()
    }

    fn unit_of_input(&self, input: usize, role: &InputRole) -> Unit {
        match role {
            InputRole::Valid | InputRole::Mask { .. } => Unit::number(),
            InputRole::Slab { slab, .. } => match self.unit_of_slab(*slab) {
                Unit::Unknown => Unit::one(Measure::Input(input)),
                unit => unit,
            },
            InputRole::Param(_) | InputRole::Named { .. } => Unit::Unknown,
        }
    }

    fn unit_of_slab(&self, slab: usize) -> Unit {
        let Some(data) = &self.data else { return Unit::Unknown };
        let slabs = if data.stream.is_empty() { &data.plan.slabs } else { &data.fit_slabs };
        let Some(field) = slabs.get(slab).map(|s| &data.plan.fields[s.field]) else { return Unit::Unknown };
        match (&field.origin, field.unit.as_deref().map(str::trim)) {
            (FieldOrigin::Fit { fit }, _) => data.fits.get(*fit).map_or(Unit::Unknown, |f| f.unit.clone()),
            (_, None) => Unit::Unknown,
            (_, Some("" | "1")) => Unit::number(),
            (_, Some(text)) => Unit::one(Measure::Named(text.into())),
        }
    }
}

/// The unit of each node of a graph at its level; operands precede their node. Unknown is only what follows from weights.
fn units_of(
    (graph, level): (&Graph, usize),
    inputs: &[Unit],
    same: &[(NodeId, NodeId)],
    outputs: &[(NodeId, Unit)],
) -> Vec<Unit> {
    let mut units: Vec<Unit> = vec![];
    for (i, node) in graph.nodes.iter().enumerate() {
        let operand = |id: &NodeId| Operand::of(graph, *id, &units);
        let mut unit = match &node.op {
            // A truth is a plain number.
            _ if node.ty.dtype == DType::Bool => Unit::number(),
            Op::Input { index, .. } => inputs[*index as usize].clone(),
            Op::Fill { .. } | Op::Constant { .. } | Op::Index { .. } | Op::Host(_) | Op::Random(_) => {
                Unit::number()
            }
            Op::Scalar(Scalar::Div) if is_mean(graph, &node.args) => units[node.args[0].index()].clone(),
            Op::Scalar(op) => elementwise(*op, &node.args.iter().map(operand).collect::<Vec<_>>()),
            Op::Dot(_) => elementwise(Scalar::Mul, &node.args.iter().map(operand).collect::<Vec<_>>()),
            Op::Reduce(_) | Op::Fold(_) | Op::Gather(_) => units[node.args[0].index()].clone(),
            Op::Cast(_) => match &units[node.args[0].index()] {
                // What drops fractions tells of its unit.
                Unit::Known(powers) if node.ty.dtype == DType::I32 && !powers.is_empty() => Unit::Unknown,
                unit => unit.clone(),
            },
            Op::Pad(pad) if pad.fill != 0 => Unit::Unknown,
            // Each element is one of some operand's.
            op if op.rule().moves() => {
                let either = |a: Operand, b: Operand| {
                    let unit = elementwise(Scalar::Max, &[a, b]);
                    Operand { unit, constant: None, is_truth: false }
                };
                node.args.iter().map(operand).reduce(either).map_or(Unit::Unknown, |o| o.unit)
            }
            _ => Unit::Unknown,
        };
        if !unit.is_named() {
            let known = same.iter().find(|(value, of)| value.index() == i && of.index() < i);
            let output = || outputs.iter().find(|(value, _)| value.index() == i);
            let told = known.map(|(_, of)| &units[of.index()]).or_else(|| output().map(|(_, unit)| unit));
            unit = told.cloned().unwrap_or(unit);
        }
        let is_input = matches!(node.op, Op::Input { .. });
        if unit == Unit::Unknown && !is_input && node.args.iter().all(|a| units[a.index()] != Unit::Unknown) {
            unit = Unit::one(Measure::Value { level, node: i });
        }
        units.push(unit);
    }
    units
}

/// A sum divided by the number of what was summed up.
fn is_mean(graph: &Graph, args: &[NodeId]) -> bool {
    let (sum, count) = (graph.node(args[0]), &graph.node(args[1]).op);
    let (Op::Reduce(reduce), Op::Fill { bits, .. }) = (&sum.op, count) else { return false };
    let extents = reduce.axes.iter().filter_map(|a| graph.ty(sum.args[0]).extent(*a));
    reduce.kind == Reduction::Sum && f64::from_bits(*bits) == extents.product::<usize>() as f64
}

/// What an elementwise op is given.
struct Operand {
    unit: Unit,
    /// `None`: it is no written number.
    constant: Option<f64>,
    is_truth: bool,
}

impl Operand {
    fn of(graph: &Graph, id: NodeId, units: &[Unit]) -> Operand {
        let node = graph.node(id);
        let constant = match node.op {
            Op::Fill { bits, .. } => Some(f64::from_bits(bits)),
            _ => None,
        };
        Operand { unit: units[id.index()].clone(), constant, is_truth: node.ty.dtype == DType::Bool }
    }

    /// Whether it has a unit that another operand may have to share.
    fn counts(&self) -> bool {
        self.constant.is_none() && !self.is_truth
    }
}

/// The unit of an elementwise op's result.
fn elementwise(op: Scalar, args: &[Operand]) -> Unit {
    if args.iter().any(|a| a.unit == Unit::Unknown) {
        return Unit::Unknown;
    }
    let open: Vec<usize> = (0..args.len()).filter(|i| args[*i].unit == Unit::Open).collect();
    // The result if the open units were these.
    let with = |guesses: &[Powers]| {
        let power = |(i, arg): (usize, &Operand)| match &arg.unit {
            Unit::Known(powers) => powers.clone(),
            _ => guesses[open.iter().position(|o| *o == i).expect("it is open") % guesses.len()].clone(),
        };
        measured(op, args, &args.iter().enumerate().map(power).collect::<Vec<_>>())
    };
    let any = |guess: usize| Powers::from([(Measure::Guess(guess), 1.0)]);
    if open.is_empty() {
        return with(&[]);
    }
    let mut others = args.iter().filter(|a| a.counts()).filter_map(|a| match &a.unit {
        Unit::Known(powers) => Some(powers),
        _ => None,
    });
    match others.next() {
        // It must be the other's, for with any of its own the op would make no sense.
        Some(other) if with(&[any(0)]) == Unit::Unknown => with(std::slice::from_ref(other)),
        Some(_) => Unit::Unknown,
        None if open.len() > 1 && with(&[any(0), any(1)]) != Unit::Unknown => Unit::Unknown,
        None => match with(&[any(0)]) {
            Unit::Known(powers) if powers == any(0) => Unit::Open,
            Unit::Known(powers) if powers.is_empty() => Unit::number(),
            _ => Unit::Unknown,
        },
    }
}

/// By how much values are made larger to see what follows.
const SCALE: f64 = 1.7;
/// Places at which an op is looked at.
const PLACES: usize = 8;
/// Rounding of a few operations in f64.
const ROUNDING: f64 = 1e-9;

/// The powers of the result's unit, from those of the operands: it changes by a fixed factor when they are told in other units.
fn measured(op: Scalar, args: &[Operand], powers: &[Powers]) -> Unit {
    let mut result = Powers::new();
    let mut units: Vec<&Measure> = powers.iter().flat_map(BTreeMap::keys).collect();
    units.sort();
    units.dedup();
    if !units.is_empty() && is_conversion(op, args) {
        return Unit::Unknown;
    }
    for unit in units {
        let factors: Vec<f64> =
            powers.iter().map(|p| SCALE.powf(p.get(unit).copied().unwrap_or(0.0))).collect();
        let Some(factor) = response(op, args, &factors) else { return Unit::Unknown };
        let power = (factor.ln() / SCALE.ln() * 12.0).round() / 12.0;
        if (SCALE.powf(power) / factor - 1.0).abs() > ROUNDING {
            return Unit::Unknown;
        }
        if power != 0.0 {
            result.insert(unit.clone(), power);
        }
    }
    Unit::Known(result)
}

/// By which factor the result grows, wherever it is looked at, when the operands grow by theirs. `None`: it depends.
fn response(op: Scalar, args: &[Operand], factors: &[f64]) -> Option<f64> {
    let eval = op.rule().eval;
    let mut found: Option<f64> = None;
    for place in 0..PLACES {
        let here = sample(op, args, place);
        let there: Vec<f64> = here.iter().zip(factors).map(|(x, f)| x * f).collect();
        let (before, after) = (eval(&here), eval(&there));
        if !before.is_finite() || before == 0.0 {
            // A number that stands for nothing, such as the least of all, is in any unit.
            if before == after || before.is_nan() && after.is_nan() {
                continue;
            }
            return None;
        }
        let factor = after / before;
        if factor.is_nan() || factor <= 0.0 || found.is_some_and(|f| (factor / f - 1.0).abs() > ROUNDING) {
            return None;
        }
        found = Some(factor);
    }
    found
}

/// Whether the op multiplies its only operand by a number other than 1 and -1.
fn is_conversion(op: Scalar, args: &[Operand]) -> bool {
    let mut free = (0..args.len()).filter(|i| args[*i].constant.is_none());
    let (Some(only), None) = (free.next(), free.next()) else { return false };
    let ratio = |place: usize| {
        let x = sample(op, args, place);
        (op.rule().eval)(&x) / x[only]
    };
    let first = ratio(0);
    (first.abs() - 1.0).abs() > ROUNDING && (1..PLACES).all(|n| (ratio(n) / first - 1.0).abs() < ROUNDING)
}

/// Operands within the op's domain; written numbers are as they are.
fn sample(op: Scalar, args: &[Operand], place: usize) -> Vec<f64> {
    let (low, high) = op.rule().domain;
    let value = |(i, arg): (usize, &Operand)| match arg.constant {
        Some(x) => x,
        None if arg.is_truth => ((place + i) % 2) as f64,
        // Places without a pattern that an op could share.
        None => low + (high - low) * (0.137 + 0.618_034 * place as f64 + 0.324_718 * i as f64).fract(),
    };
    args.iter().enumerate().map(value).collect()
}
