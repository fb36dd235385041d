//! Tensors that an axis's coordinates give: `coord(lat)`, `month(time)`, `years(time)`.
use crate::builtins::Bound;
use crate::elab::{Context, Elab, Eval};
use crate::value::Value;
use stmc_base::schema::Coordinates;
use stmc_base::{Code, Diagnostic, Span, date};
use stmc_ir::data::{Field, FieldOrigin, Reading};
use stmc_ir::{AxisId, DType};

/// `coord(axis)` and the parts of a date.
pub(crate) fn along<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    let (axes, place) = bound.axes(0).expect("required arguments are there");
    let axis = elab.single(axes, place)?;
    if elab.place != Context::Data {
        let message = format!("`{}` stands in a `data` block: coordinates belong to the data", bound.name);
        let help = "make it a part of the sample";
        return Err(elab.error(Diagnostic::new(Code::E0403, bound.span, message).help(help)));
    }
    let name = format!("{}({})", bound.name, elab.axis_name(axis));
    let known = elab.open_data().plan.fields.iter().position(|f| f.name == name);
    let number = match known {
        Some(number) => number,
        None => {
            let values = values_along(elab, bound.name, axis, bound.span)?;
            let axes = vec![(elab.axis_name(axis), values.len())];
            let plan = &mut elab.open_data_mut().plan;
            plan.fields.push(Field {
                name,
                origin: FieldOrigin::Values(values),
                dtype: DType::F32,
                axes,
                unit: None,
                reading: Reading::default(),
                span: bound.span,
            });
            plan.fields.len() - 1
        }
    };
    elab.field(number, bound.span).map(Value::Tensor)
}

/// A function of an axis at each of its steps.
pub(super) fn values_along(elab: &mut Elab<'_>, function: &str, axis: AxisId, span: Span) -> Eval<Vec<f64>> {
    let name = elab.axis_name(axis);
    let bound = &elab.open_data().bound;
    let Some(extent) = bound.extent(&name) else {
        let message = format!("no field has the axis `{name}`");
        return Err(elab.fail(Code::E0203, span, message));
    };
    let coordinates = bound.coordinates(&name).map(|(c, _)| c.clone());
    if function == "coord" {
        // An axis without coordinates has its index.
        let Some(coordinates) = coordinates else { return Ok((0..extent).map(|i| i as f64).collect()) };
        return checked(elab, &coordinates, &name, extent, span);
    }
    let of: fn(f64) -> f64 = match function {
        "month" => |t| date::month(t) as f64,
        "year" => |t| date::year(t) as f64,
        "day_of_year" => |t| date::day_of_year(t) as f64,
        "years" => date::years,
        _ => unreachable!("the table has no other function of an axis"),
    };
    match coordinates.filter(Coordinates::is_time) {
        Some(coordinates) => {
            Ok(checked(elab, &coordinates, &name, extent, span)?.into_iter().map(of).collect())
        }
        None => {
            let message = format!("`{name}` has no dates in the data");
            let diagnostic = Diagnostic::new(Code::E0905, span, message);
            Err(elab.error(
                diagnostic.help(format!("beside the array, the file holds its dates in an array `{name}`")),
            ))
        }
    }
}

/// As many numbers as the axis has steps.
fn checked(
    elab: &mut Elab<'_>,
    coordinates: &Coordinates,
    name: &str,
    extent: usize,
    span: Span,
) -> Eval<Vec<f64>> {
    match coordinates.values(extent) {
        Some(values) => Ok(values),
        None => Err(elab.fail(
            Code::E0902,
            span,
            format!("`{name}` has {extent} steps, but not as many coordinates"),
        )),
    }
}
