//! A field that stands still (height, land use) on a grid of its own is taken at the places of the fields before it.
use super::fields::BoundAxes;
use crate::elab::{Elab, Eval};
use stmc_base::schema::{Coordinates, SchemaAxis};
use stmc_base::{Code, Diagnostic};
use stmc_ir::DType;
use stmc_ir::data::FieldOrigin;
use stmc_syntax::ast;

/// An axis of a field: our name, what the source says, and where its steps are.
pub(super) type Placed = (String, SchemaAxis, Option<Coordinates>);

/// Of places that lie closer together than this share of a step nobody tells apart.
const SAME: f64 = 1e-3;

/// Where a field is read: whether a variable at its own places, or between them. `axes` are then those of the fields before.
pub(super) fn at_places_before<'a>(
    elab: &mut Elab<'a>,
    field: &'a ast::Field,
    dtype: DType,
    origin: FieldOrigin,
    axes: &mut [Placed],
    bound: &BoundAxes,
) -> Eval<FieldOrigin> {
    let FieldOrigin::Source { source, variable } = &origin else { return Ok(origin) };
    if axes.iter().any(|(_, _, c)| c.as_ref().is_some_and(Coordinates::is_time)) {
        return Ok(origin);
    }
    let (mut at, mut moved) = (vec![], vec![]);
    for (name, on_disk, coordinates) in axes.iter() {
        let own: Vec<f64> = (0..on_disk.extent).map(|i| i as f64).collect();
        let Some((theirs, ours)) = both(bound, name, coordinates.as_ref(), on_disk.extent) else {
            at.push(own);
            continue;
        };
        let steps = match between(&ours, &theirs) {
            Ok(steps) => steps,
            Err(problem) => {
                let message = format!("`{name}` of `{}` {problem}", field.name.text);
                let mut diagnostic = Diagnostic::new(Code::E0902, field.name.span, message);
                if let Some((first, span)) = bound.brought(name) {
                    diagnostic = diagnostic.label(span, format!("`{first}` has places further out"));
                }
                let help = "a field without a time axis is taken at the places of the fields before it";
                return Err(elab.error(diagnostic.help(help)));
            }
        };
        let is_own = steps.len() == own.len() && steps.iter().zip(&own).all(|(a, b)| (a - b).abs() < SAME);
        if is_own {
            at.push(own);
        } else {
            // A name, a number of things, a truth value is taken where it is nearest.
            at.push(steps.into_iter().map(|x| if dtype == DType::F32 { x } else { x.round() }).collect());
            moved.push(name.clone());
        }
    }
    if moved.is_empty() {
        return Ok(origin);
    }
    let extents = axes.iter().map(|(_, on_disk, _)| on_disk.extent).collect();
    let origin =
        FieldOrigin::Between { source: *source, variable: variable.clone(), extents, at: at.clone() };
    for ((name, on_disk, coordinates), at) in axes.iter_mut().zip(&at) {
        if moved.contains(name) {
            on_disk.extent = at.len();
            *coordinates = None;
        }
    }
    Ok(origin)
}

/// The places of an axis in the fields before, and those of this field. `None`: one of them has none, or they are no numbers.
fn both(
    bound: &BoundAxes,
    name: &str,
    own: Option<&Coordinates>,
    extent: usize,
) -> Option<(Vec<f64>, Vec<f64>)> {
    let is_number = |c: &&Coordinates| matches!(c, Coordinates::Numbers(_) | Coordinates::Even { .. });
    let (before, steps) = bound.coordinates(name)?;
    let before = Some(before).filter(is_number)?;
    Some((before.values(steps)?, own.filter(is_number)?.values(extent)?))
}

/// Where places lie among others, in steps of these: 1.5 is in the middle between the second and the third. Up to half a step
/// beyond the ends belongs to the outermost.
fn between(from: &[f64], at: &[f64]) -> Result<Vec<f64>, String> {
    if from == at {
        return Ok((0..at.len()).map(|i| i as f64).collect());
    }
    let [first, .., last] = from else { return Err("has a single place, and others are asked for".into()) };
    let sign = if first < last { 1.0 } else { -1.0 };
    if from.windows(2).any(|w| (w[1] - w[0]) * sign <= 0.0) {
        return Err("neither rises nor falls".into());
    }
    let end = from.len() - 1;
    let step = |x: &f64| {
        let above = from.iter().position(|y| (y - x) * sign >= 0.0).unwrap_or(end).clamp(1, end);
        let place = (above - 1) as f64 + (x - from[above - 1]) / (from[above] - from[above - 1]);
        if place < -0.5 - SAME || place > end as f64 + 0.5 + SAME {
            return Err(format!("goes from {first} to {last}, but {x} is asked for"));
        }
        Ok(place.clamp(0.0, end as f64))
    };
    at.iter().map(step).collect()
}
