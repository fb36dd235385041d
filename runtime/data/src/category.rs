//! Numbers that are names: the values of a raster or an array of labels, numbered in their order.
use crate::element::Kind;
use crate::{DataError, Source};
use std::ops::Range;
use std::sync::Arc;
use stmc_base::Schema;
use stmc_base::schema::VariableRef;
use stmc_ir::DType;

/// More names are no table, but a mistake.
const MOST: usize = 1 << 20;

/// Completes a schema with the names of what fields read as categories: the numbers of sources, and which variables.
pub fn list_categories(
    schema: &mut Schema,
    wanted: &[(usize, VariableRef)],
    sources: &[Arc<dyn Source>],
) -> Result<(), Vec<(usize, DataError)>> {
    let mut wrong = vec![];
    for (number, variable) in wanted {
        // What is not there is told when fields are bound.
        let Some(variable) = schema.sources[*number].variable_mut(variable) else { continue };
        match sources[*number].categories(&variable.name) {
            Ok(names) => variable.categories = Some(names),
            Err(error) => wrong.push((*number, error)),
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// The distinct values of a variable of numbers, in order, as text.
pub(crate) fn distinct<S: Source + ?Sized>(source: &S, variable: &str) -> Result<Vec<String>, DataError> {
    let extents: Vec<usize> = variable_of(source, variable).axes.iter().map(|a| a.extent).collect();
    let dtype = number_type(source, variable);
    let first = extents.first().copied().unwrap_or(1);
    let mut values = vec![0; extents.iter().skip(1).product()];
    let mut found: Vec<f64> = vec![];
    for i in 0..first {
        let whole = extents.iter().skip(1).map(|&e| 0..e);
        let ranges: Vec<Range<usize>> = extents.first().map(|_| i..i + 1).into_iter().chain(whole).collect();
        source.read(variable, &ranges, dtype, &mut values)?;
        let mut slice: Vec<f64> = values.iter().map(|b| number(*b, dtype)).filter(|x| !x.is_nan()).collect();
        slice.sort_by(f64::total_cmp);
        slice.dedup();
        found.extend(slice);
        // Merged now and then: it stays as small as the table.
        if i % 64 == 63 || i + 1 == first {
            found.sort_by(f64::total_cmp);
            found.dedup();
        }
        if found.len() > MOST {
            let problem = format!("`{variable}` has more than {MOST} different values: that is no category");
            return Err(DataError::unfit(&source.schema().origin, problem));
        }
    }
    Ok(found.iter().map(f64::to_string).collect())
}

/// The numbers of the names of a hyperslab.
pub(crate) fn read<S: Source + ?Sized>(
    source: &S,
    variable: &str,
    ranges: &[Range<usize>],
    names: &[String],
    out: &mut [u32],
) -> Result<(), DataError> {
    let dtype = number_type(source, variable);
    source.read(variable, ranges, dtype, out)?;
    let known: Vec<Option<f64>> = names.iter().map(|n| n.parse().ok()).collect();
    for (i, out) in out.iter_mut().enumerate() {
        let x = number(*out, dtype);
        *out = match known.iter().position(|k| *k == Some(x)) {
            Some(place) => place as u32,
            None => {
                let at = position(i, ranges);
                let problem =
                    format!("`{variable}` is {x} at {at:?}, which is none of its {} names", names.len());
                return Err(DataError::unfit(&source.schema().origin, problem));
            }
        };
    }
    Ok(())
}

/// The place of the `i`-th value of a slab.
pub(crate) fn position(mut i: usize, ranges: &[Range<usize>]) -> Vec<usize> {
    let mut at: Vec<usize> = ranges
        .iter()
        .rev()
        .map(|range| {
            let here = range.start + i % range.len().max(1);
            i /= range.len().max(1);
            here
        })
        .collect();
    at.reverse();
    at
}

fn variable_of<'a, S: Source + ?Sized>(source: &'a S, name: &str) -> &'a stmc_base::schema::Variable {
    let found = source.schema().variables.iter().find(|v| v.name == name);
    found.expect("the variable is in the schema")
}

fn number_type<S: Source + ?Sized>(source: &S, variable: &str) -> DType {
    let whole = Kind::find(&variable_of(source, variable).dtype).is_some_and(|k| k.fits(DType::I32));
    if whole { DType::I32 } else { DType::F32 }
}

pub(crate) fn number(bits: u32, dtype: DType) -> f64 {
    match dtype {
        DType::F32 => f64::from(f32::from_bits(bits)),
        DType::I32 => f64::from(bits as i32),
        DType::Bool => f64::from(bits),
    }
}
