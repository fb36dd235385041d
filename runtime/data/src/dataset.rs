//! The fields of a data plan, bound to the variables of open sources.
use crate::element::Kind;
use crate::{DataError, Source, between, category};
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use stmc_base::schema::Variable;
use stmc_base::{Code, Diagnostic};
use stmc_ir::DType;
use stmc_ir::data::{DataPlan, Field, FieldOrigin, Reading};

/// A plan with its sources. Every field's variable is there, with the extents and a type that the field declares.
pub struct Dataset {
    plan: DataPlan,
    sources: Vec<Arc<dyn Source>>,
    /// Per field; empty until `set_fit`.
    fitted: Vec<OnceLock<Vec<u32>>>,
}

impl Dataset {
    /// Binds `sources` (in the order of the plan's) and holds each field against its variable.
    pub fn new(plan: DataPlan, sources: Vec<Arc<dyn Source>>) -> Result<Dataset, Vec<Diagnostic>> {
        assert_eq!(plan.sources.len(), sources.len(), "every source of the plan is open");
        let problems: Vec<_> = plan.fields.iter().filter_map(|field| problem(field, &sources)).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let fitted = plan.fields.iter().map(|_| OnceLock::new()).collect();
        Ok(Dataset { plan, sources, fitted })
    }

    /// What is read.
    pub fn plan(&self) -> &DataPlan {
        &self.plan
    }

    /// Whether an axis has coordinates, numbers that grow from step to step.
    pub fn grows(&self, axis: &str) -> bool {
        let coordinates = |field: &Field| {
            let FieldOrigin::Source { source, variable } = &field.origin else { return None };
            let at = field.axes.iter().position(|(name, _)| name == axis)?;
            let axis = &self.sources[*source].variable(variable)?.axes[at];
            axis.coordinates.as_ref()?.values(axis.extent)
        };
        let values = self.plan.fields.iter().find_map(coordinates);
        values.is_some_and(|values| values.windows(2).all(|w| w[0] < w[1]))
    }

    /// Gives a fitted field its values, row-major in the order of its axes. Once, before the field is read.
    pub fn set_fit(&self, field: usize, values: &[f32]) {
        let Field { name, origin, axes, .. } = &self.plan.fields[field];
        assert!(matches!(origin, FieldOrigin::Fit { .. }), "`{name}` is fitted");
        assert_eq!(
            values.len(),
            axes.iter().map(|a| a.1).product::<usize>(),
            "`{name}` has a value everywhere"
        );
        let set = self.fitted[field].set(values.iter().map(|x| x.to_bits()).collect());
        set.expect("a field is fitted once");
    }

    /// The values of a fitted field. `None`: it has none yet, or is not fitted.
    pub fn fitted(&self, field: usize) -> Option<&[u32]> {
        self.fitted[field].get().map(Vec::as_slice)
    }

    /// Reads the steps `ranges[i]` of axis `i` of a field, row-major, as the bits of its type.
    pub fn read(&self, number: usize, ranges: &[Range<usize>], out: &mut [u32]) -> Result<(), DataError> {
        let field = &self.plan.fields[number];
        match &field.origin {
            FieldOrigin::Source { source, variable } => {
                self.read_variable(field, *source, variable, ranges, out)
            }
            FieldOrigin::Columns { source, variables } => {
                let (columns, rows) = ranges.split_last().expect("columns are the last axis");
                let mut column = vec![0; out.len() / columns.len().max(1)];
                for (i, variable) in variables[columns.clone()].iter().enumerate() {
                    self.read_variable(field, *source, variable, rows, &mut column)?;
                    out.iter_mut().skip(i).step_by(columns.len()).zip(&column).for_each(|(out, x)| *out = *x);
                }
                Ok(())
            }
            FieldOrigin::Between { source, variable, at, .. } => {
                let at: Vec<&[f64]> = at.iter().zip(ranges).map(|(at, range)| &at[range.clone()]).collect();
                between::read(&at, field.dtype, out, |ranges, out| {
                    self.read_variable(field, *source, variable, ranges, out)
                })
            }
            FieldOrigin::Fit { .. } => {
                let values = self.fitted[number].get();
                let values = values.unwrap_or_else(|| panic!("`{}` is fitted before it is read", field.name));
                let extents: Vec<usize> = field.axes.iter().map(|(_, extent)| *extent).collect();
                copy(values, &extents, ranges, out);
                Ok(())
            }
            FieldOrigin::Values(values) => {
                let values = &values[ranges[0].clone()];
                out.iter_mut().zip(values).for_each(|(out, x)| *out = (*x as f32).to_bits());
                Ok(())
            }
            FieldOrigin::Around { field, at, cuts } => {
                let patch = Patch { data: self, field: *field, at, cuts };
                patch.read(&self.plan.fields[number], ranges, out)
            }
        }
    }

    /// All values of a field, as numbers.
    pub(crate) fn all(&self, number: usize) -> Result<Vec<f64>, DataError> {
        let field = &self.plan.fields[number];
        let ranges: Vec<Range<usize>> = field.axes.iter().map(|(_, extent)| 0..*extent).collect();
        let mut values = vec![0; ranges.iter().map(Range::len).product()];
        self.read(number, &ranges, &mut values)?;
        Ok(values.into_iter().map(|bits| category::number(bits, field.dtype)).collect())
    }

    fn read_variable(
        &self,
        field: &Field,
        source: usize,
        variable: &str,
        ranges: &[Range<usize>],
        out: &mut [u32],
    ) -> Result<(), DataError> {
        let source = &self.sources[source];
        if let Some(names) = &field.reading.categories {
            return source.read_categories(variable, ranges, names, out);
        }
        source.read(variable, ranges, field.dtype, out)?;
        if field.dtype == DType::F32 {
            finish(&field.reading, out);
            if !field.reading.optional
                && let Some(i) = out.iter().position(|bits| f32::from_bits(*bits).is_nan())
            {
                let at: Vec<String> = category::position(i, ranges)
                    .iter()
                    .zip(&field.axes)
                    .map(|(at, (axis, _))| format!("{axis}: {at}"))
                    .collect();
                let problem = format!(
                    "`{}` has no value at [{}]; where values may be missing, its type is `f32?`",
                    field.name,
                    at.join(", ")
                );
                return Err(DataError::unfit(&source.schema().origin, problem));
            }
        }
        Ok(())
    }
}

/// Numbers as they lie in the source become those of the field.
fn finish(reading: &Reading, values: &mut [u32]) {
    let Reading { scale, offset, missing, .. } = reading;
    if (*scale, *offset, *missing) == (1.0, 0.0, None) {
        return;
    }
    let missing = missing.map(|x| x as f32);
    for bits in values {
        let raw = f32::from_bits(*bits);
        let value = if Some(raw) == missing { f32::NAN } else { (f64::from(raw) * scale + offset) as f32 };
        *bits = value.to_bits();
    }
}

/// Patches of a field around points.
struct Patch<'a> {
    data: &'a Dataset,
    field: usize,
    at: &'a [usize],
    cuts: &'a [(String, Vec<f64>)],
}

impl Patch<'_> {
    /// The first axis is that of the points; the others are those of the field, shorter where it is cut.
    fn read(&self, patch: &Field, ranges: &[Range<usize>], out: &mut [u32]) -> Result<(), DataError> {
        let (points, inner) = ranges.split_first().expect("the points are the first axis");
        let size = inner.iter().map(Range::len).product::<usize>();
        let mut centres = vec![];
        for at in self.at {
            let mut bits = vec![0; points.len()];
            self.data.read(*at, std::slice::from_ref(points), &mut bits)?;
            centres.push(bits.into_iter().map(|b| f64::from(f32::from_bits(b))).collect::<Vec<_>>());
        }
        for (p, out) in out.chunks_exact_mut(size.max(1)).enumerate() {
            let starts: Vec<isize> = patch.axes[1..]
                .iter()
                .map(|(name, extent)| match self.cuts.iter().position(|(axis, _)| axis == name) {
                    Some(cut) => {
                        nearest(&self.cuts[cut].1, centres[cut][p]) as isize - (*extent / 2) as isize
                    }
                    None => 0,
                })
                .collect();
            self.read_one(&starts, inner, out)?;
        }
        Ok(())
    }

    /// The patch that begins at `starts`; what lies outside of the field is missing.
    fn read_one(&self, starts: &[isize], inner: &[Range<usize>], out: &mut [u32]) -> Result<(), DataError> {
        let axes = &self.data.plan.fields[self.field].axes;
        let (mut inside, mut offsets) = (vec![], vec![]);
        for ((start, range), (_, extent)) in starts.iter().zip(inner).zip(axes) {
            let (first, end) = (start + range.start as isize, start + range.end as isize);
            let (low, high) = (first.clamp(0, *extent as isize), end.clamp(0, *extent as isize));
            inside.push(low as usize..high as usize);
            offsets.push((low - first) as usize);
        }
        out.fill(f32::NAN.to_bits());
        let lens: Vec<usize> = inside.iter().map(Range::len).collect();
        let mut values = vec![0; lens.iter().product()];
        if values.is_empty() {
            return Ok(());
        }
        self.data.read(self.field, &inside, &mut values)?;
        let shape: Vec<usize> = inner.iter().map(Range::len).collect();
        for (i, value) in values.into_iter().enumerate() {
            let at = category::position(i, &inside);
            let place = at
                .iter()
                .enumerate()
                .fold(0, |place, (d, at)| place * shape[d] + at - inside[d].start + offsets[d]);
            out[place] = value;
        }
        Ok(())
    }
}

/// The step whose coordinate is nearest; of two, the first.
fn nearest(coordinates: &[f64], x: f64) -> usize {
    let distance = |i: &usize| (coordinates[*i] - x).abs();
    (0..coordinates.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
}

/// Copies a slab out of a row-major array.
pub(crate) fn copy(values: &[u32], extents: &[usize], ranges: &[Range<usize>], out: &mut [u32]) {
    let ([_, extents @ ..], [range, ranges @ ..]) = (extents, ranges) else {
        out[0] = values[0];
        return;
    };
    if ranges.is_empty() {
        out.copy_from_slice(&values[range.clone()]);
        return;
    }
    let (step, part) = (extents.iter().product::<usize>(), ranges.iter().map(Range::len).product());
    for (i, out) in range.clone().zip(out.chunks_exact_mut(part)) {
        copy(&values[i * step..][..step], extents, ranges, out);
    }
}

/// What is wrong between a field and its variable. `None`: nothing.
fn problem(field: &Field, sources: &[Arc<dyn Source>]) -> Option<Diagnostic> {
    let (source, names) = match &field.origin {
        FieldOrigin::Source { source, variable } => (*source, std::slice::from_ref(variable)),
        FieldOrigin::Between { source, variable, .. } => (*source, std::slice::from_ref(variable)),
        FieldOrigin::Columns { source, variables } => (*source, variables.as_slice()),
        _ => return None,
    };
    let source = &sources[source];
    names.iter().find_map(|name| variable_problem(field, source, name))
}

fn variable_problem(field: &Field, source: &Arc<dyn Source>, name: &str) -> Option<Diagnostic> {
    let origin = &source.schema().origin;
    let Some(variable) = source.variable(name) else {
        let message = format!("`{origin}` has no variable `{name}`");
        let names: Vec<_> = source.schema().variables.iter().map(|v| format!("`{}`", v.name)).collect();
        let found = Diagnostic::new(Code::E0901, field.span, message);
        return Some(found.help(format!("it has {}", names.join(", "))));
    };
    let is_name = field.reading.categories.is_some();
    if !is_name && !Kind::find(&variable.dtype).is_some_and(|kind| kind.fits(field.dtype)) {
        let (declared, there) = (field.dtype.name(), &variable.dtype);
        let message =
            format!("`{}` is declared {declared}, but the values in `{origin}` are {there}", field.name);
        return Some(Diagnostic::new(Code::E0902, field.span, message));
    }
    let extents = variable.axes.iter().map(|a| a.extent);
    let columns =
        matches!(field.origin, FieldOrigin::Columns { .. }).then(|| field.axes.last().map_or(1, |a| a.1));
    let expected: Vec<usize> = match &field.origin {
        FieldOrigin::Between { extents, .. } => extents.clone(),
        _ => field.axes.iter().map(|(_, extent)| *extent).collect(),
    };
    if !extents.chain(columns).eq(expected) {
        let message =
            format!("`{}` is {}, but `{origin}` has {}", field.name, declared(field), shape(variable));
        return Some(Diagnostic::new(Code::E0902, field.span, message));
    }
    None
}

fn declared(field: &Field) -> String {
    let axes: Vec<_> = field.axes.iter().map(|(name, extent)| format!("{name}: {extent}")).collect();
    format!("[{}]", axes.join(", "))
}

fn shape(variable: &Variable) -> String {
    let axis =
        |name: &str, extent| if name.is_empty() { format!("{extent}") } else { format!("{name}: {extent}") };
    let axes: Vec<_> = variable.axes.iter().map(|a| axis(&a.name, a.extent)).collect();
    format!("[{}]", axes.join(", "))
}
