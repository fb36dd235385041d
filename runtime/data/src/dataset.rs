//! The fields of a data plan, bound to the variables of open sources.
use crate::element::Kind;
use crate::{DataError, Source};
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use stmc_base::schema::Variable;
use stmc_base::{Code, Diagnostic};
use stmc_ir::data::{DataPlan, Field, FieldOrigin};

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
    pub fn read(&self, field: usize, ranges: &[Range<usize>], out: &mut [u32]) -> Result<(), DataError> {
        let Field { name, origin, dtype, axes, .. } = &self.plan.fields[field];
        match origin {
            FieldOrigin::Source { source, variable } => {
                self.sources[*source].read(variable, ranges, *dtype, out)
            }
            FieldOrigin::Fit { .. } => {
                let values = self.fitted[field].get();
                let values = values.unwrap_or_else(|| panic!("`{name}` is fitted before it is read"));
                copy(values, axes, ranges, out);
                Ok(())
            }
        }
    }
}

/// Copies a slab out of a row-major array.
fn copy(values: &[u32], axes: &[(String, usize)], ranges: &[Range<usize>], out: &mut [u32]) {
    let (Some(((_, _), axes)), Some((range, ranges))) = (axes.split_first(), ranges.split_first()) else {
        out[0] = values[0];
        return;
    };
    let (step, part) = (axes.iter().map(|a| a.1).product::<usize>(), ranges.iter().map(Range::len).product());
    for (i, out) in range.clone().zip(out.chunks_exact_mut(part)) {
        copy(&values[i * step..][..step], axes, ranges, out);
    }
}

/// What is wrong between a field and its variable. `None`: nothing.
fn problem(field: &Field, sources: &[Arc<dyn Source>]) -> Option<Diagnostic> {
    let FieldOrigin::Source { source, variable: name } = &field.origin else { return None };
    let source = &sources[*source];
    let origin = &source.schema().origin;
    let Some(variable) = source.variable(name) else {
        let message = format!("`{origin}` has no variable `{name}`");
        let names: Vec<_> = source.schema().variables.iter().map(|v| format!("`{}`", v.name)).collect();
        let found = Diagnostic::new(Code::E0901, field.span, message);
        return Some(found.help(format!("it has {}", names.join(", "))));
    };
    if !Kind::find(&variable.dtype).is_some_and(|kind| kind.fits(field.dtype)) {
        let (declared, there) = (field.dtype.name(), &variable.dtype);
        let message =
            format!("`{}` is declared {declared}, but the values in `{origin}` are {there}", field.name);
        return Some(Diagnostic::new(Code::E0902, field.span, message));
    }
    let extents: Vec<usize> = variable.axes.iter().map(|a| a.extent).collect();
    if !extents.iter().eq(field.axes.iter().map(|(_, extent)| extent)) {
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
