//! What generators have in common. A generator makes its data piece by piece: a piece is one step of a variable's first
//! axis, a pure function of (seed, number), and is made when it is first read. Nothing lies on a disk.
use crate::climate::Climate;
use crate::dataset::copy;
use crate::element::Kind;
use crate::heartbeats::Heartbeats;
use crate::land::Land;
use crate::observations::Observations;
use crate::storms::Storms;
use crate::{DataError, Source};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use stmc_base::schema::{Coordinates, SchemaAxis, SourceSchema, Variable};
use stmc_ir::DType;

/// Opens a generator with the arguments of its call.
type Open = fn(&BTreeMap<String, f64>) -> Result<Arc<dyn Source>, DataError>;

/// All generators.
const GENERATORS: &[(&str, Open)] = &[
    ("climate", Climate::open),
    ("heartbeats", Heartbeats::open),
    ("land", Land::open),
    ("observations", Observations::open),
    ("storms", Storms::open),
];

/// The generator of that name.
pub(crate) fn open(name: &str, args: &BTreeMap<String, f64>) -> Result<Arc<dyn Source>, DataError> {
    match GENERATORS.iter().find(|(known, _)| *known == name) {
        Some((_, open)) => open(args),
        None => {
            let names = listed(GENERATORS.iter().map(|(name, _)| *name));
            let problem = format!("there is no generator of this name; there are {names}");
            Err(DataError::unreadable(name, problem))
        }
    }
}

/// Pieces of a variable are kept in memory up to this many bytes in all; later ones are made anew at each reading.
const KEPT: usize = 1 << 30;

/// A variable of a generator `G`.
pub(crate) struct Made<G> {
    /// If its values are names, `categories` has them.
    pub(crate) variable: Variable,
    /// A step of the first axis, row-major over the others. Whole numbers, and the numbers of names, are exact in f32.
    pub(crate) piece: fn(&G, usize) -> Vec<f32>,
}

impl<G> Made<G> {
    /// A variable of that type over axes without names.
    pub(crate) fn new(name: &str, dtype: &str, extents: &[usize], piece: fn(&G, usize) -> Vec<f32>) -> Self {
        let axes = extents.iter().map(|&extent| SchemaAxis::new("", extent)).collect();
        let variable = Variable { name: name.into(), dtype: dtype.into(), axes, ..Variable::default() };
        Made { variable, piece }
    }

    /// With the places of an axis's steps.
    pub(crate) fn at(mut self, axis: usize, coordinates: Coordinates) -> Self {
        self.variable.axes[axis].coordinates = Some(coordinates);
        self
    }

    /// With its unit.
    pub(crate) fn unit(mut self, unit: &str) -> Self {
        self.variable.unit = Some(unit.into());
        self
    }

    /// With the names that its numbers stand for.
    pub(crate) fn names(mut self, names: impl Iterator<Item = String>) -> Self {
        self.variable.categories = Some(names.collect());
        self
    }
}

/// A generator as a source.
pub(crate) struct Generated<G> {
    generator: G,
    schema: SourceSchema,
    variables: Vec<Pieces<G>>,
}

struct Pieces<G> {
    piece: fn(&G, usize) -> Vec<f32>,
    /// As many as are kept, as the bits of f32.
    made: Vec<OnceLock<Arc<[u32]>>>,
}

impl<G> Generated<G> {
    /// `origin` is the call with all arguments.
    pub(crate) fn new(generator: G, origin: String, made: Vec<Made<G>>) -> Generated<G> {
        let pieces = |made: &Made<G>| {
            let extents: Vec<usize> = made.variable.axes.iter().map(|a| a.extent).collect();
            let bytes = extents[1..].iter().product::<usize>() * size_of::<f32>();
            let kept = extents[0].min(KEPT / bytes.max(1));
            Pieces { piece: made.piece, made: (0..kept).map(|_| OnceLock::new()).collect() }
        };
        let variables = made.iter().map(pieces).collect();
        let schema = SourceSchema { origin, variables: made.into_iter().map(|m| m.variable).collect() };
        Generated { generator, schema, variables }
    }

    fn piece(&self, variable: usize, number: usize) -> Arc<[u32]> {
        let pieces = &self.variables[variable];
        let make = || (pieces.piece)(&self.generator, number).into_iter().map(f32::to_bits).collect();
        match pieces.made.get(number) {
            Some(kept) => kept.get_or_init(make).clone(),
            None => make(),
        }
    }

    fn find(&self, variable: &str) -> usize {
        self.schema.position(variable).expect("the variable is in the schema")
    }

    /// Reads numbers of any kind, as the bits of f32.
    fn fill(&self, variable: usize, ranges: &[Range<usize>], out: &mut [u32]) {
        let (numbers, inner) = ranges.split_first().expect("a generator's variables have an axis");
        let extents: Vec<usize> =
            self.schema.variables[variable].axes[1..].iter().map(|a| a.extent).collect();
        let size = inner.iter().map(Range::len).product::<usize>();
        for (number, out) in numbers.clone().zip(out.chunks_exact_mut(size.max(1))) {
            copy(&self.piece(variable, number), &extents, inner, out);
        }
    }
}

impl<G: Send + Sync> Source for Generated<G> {
    fn schema(&self) -> &SourceSchema {
        &self.schema
    }

    fn read(
        &self,
        variable: &str,
        ranges: &[Range<usize>],
        dtype: DType,
        out: &mut [u32],
    ) -> Result<(), DataError> {
        let number = self.find(variable);
        let there = &self.schema.variables[number].dtype;
        if !Kind::find(there).is_some_and(|kind| kind.fits(dtype)) {
            let problem = format!("its values are {there}, not {}", dtype.name());
            return Err(DataError::unfit(&self.schema.origin, problem));
        }
        self.fill(number, ranges, out);
        if dtype == DType::I32 {
            out.iter_mut().for_each(|bits| *bits = f32::from_bits(*bits) as i32 as u32);
        }
        Ok(())
    }

    fn categories(&self, variable: &str) -> Result<Vec<String>, DataError> {
        match &self.schema.variables[self.find(variable)].categories {
            Some(names) => Ok(names.clone()),
            None => crate::category::distinct(self, variable),
        }
    }

    fn read_categories(
        &self,
        variable: &str,
        ranges: &[Range<usize>],
        names: &[String],
        out: &mut [u32],
    ) -> Result<(), DataError> {
        let number = self.find(variable);
        let Some(own) = &self.schema.variables[number].categories else {
            return crate::category::read(self, variable, ranges, names, out);
        };
        self.fill(number, ranges, out);
        for bits in out {
            let name = &own[f32::from_bits(*bits) as usize];
            let place = names.iter().position(|n| n == name).ok_or_else(|| {
                let problem = format!("`{variable}` is `{name}`, which is none of its {} names", names.len());
                DataError::unfit(&self.schema.origin, problem)
            })?;
            *bits = place as u32;
        }
        Ok(())
    }
}

/// The values of a generator's arguments, all of them whole numbers: their names, defaults and ranges are in `known`. Besides, the
/// call with all of them.
pub(crate) fn arguments<const N: usize>(
    generator: &str,
    known: &[(&str, u64, Range<u64>); N],
    given: &BTreeMap<String, f64>,
) -> Result<([u64; N], String), DataError> {
    if let Some(name) = given.keys().find(|name| known.iter().all(|(k, ..)| k != name)) {
        let names = listed(known.iter().map(|(name, ..)| *name));
        let problem = format!("there is no argument `{name}`; there are {names}");
        return Err(DataError::unreadable(generator, problem));
    }
    let mut values = [0; N];
    for (value, (name, default, range)) in values.iter_mut().zip(known) {
        *value = match given.get(*name) {
            None => *default,
            Some(x) if x.fract() == 0.0 && *x >= range.start as f64 && *x < range.end as f64 => *x as u64,
            Some(x) => {
                let (least, most) = (range.start, range.end - 1);
                let problem = format!("`{name}` is {x}; it must be a whole number from {least} to {most}");
                return Err(DataError::unreadable(generator, problem));
            }
        };
    }
    let call: Vec<String> = known.iter().zip(values).map(|((name, ..), x)| format!("{name}: {x}")).collect();
    Ok((values, format!("{generator}({})", call.join(", "))))
}

/// `a`, `b` and `c`.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    crate::split::join(&names.map(|name| format!("`{name}`")).collect::<Vec<_>>())
}
