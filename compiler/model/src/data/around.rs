//! `around(image, at: (lat, lon), row: 64, col: 64)`: patches of a grid around the points of a table.
//!
//! While its first argument is evaluated, every field over the grid stands for patches of it: a field over the points.
use crate::builtins::Bound;
use crate::elab::{Context, Elab, Eval};
use crate::value::Value;
use stmc_base::{Code, Diagnostic};
use stmc_ir::DType;
use stmc_ir::data::{Field, FieldOrigin, Reading};
use stmc_syntax::ast::ExprKind;

/// Where patches lie.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    /// The axis of the points, and how many there are.
    points: (String, usize),
    /// Fields over the points: one for each cut.
    at: Vec<usize>,
    /// Axes of the grid, their coordinates, and the patches' extents.
    cuts: Vec<(String, Vec<f64>, usize)>,
}

/// `around(x, at: (latitude, longitude), row: 64, col: 64)`
pub(crate) fn around<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Value<'a>> {
    if elab.place != Context::Data {
        return Err(elab.fail(Code::E0403, bound.span, "`around` stands in a `data` block"));
    }
    let around = described(elab, bound)?;
    let outer = elab.open_data_mut().around.replace(around);
    let value = elab.eval(bound.raw(0), &bound.env);
    elab.open_data_mut().around = outer;
    value
}

fn described<'a>(elab: &mut Elab<'a>, bound: &Bound<'a>) -> Eval<Around> {
    let help = "`around(image, at: (latitude, longitude), row: 64, col: 64)`";
    let places = bound.raw(1);
    let ExprKind::Tuple(args) = &places.kind else {
        let diagnostic =
            Diagnostic::new(Code::E0404, places.span, "the points' places are fields, one for each axis");
        return Err(elab.error(diagnostic.help(help)));
    };
    if args.len() != bound.by_axis.len() {
        let message = format!("{} places for {} axes", args.len(), bound.by_axis.len());
        return Err(elab.error(Diagnostic::new(Code::E0404, places.span, message).help(help)));
    }
    let (mut at, mut cuts, mut points) = (vec![], vec![], None);
    for (arg, (axis, extent, span)) in args.iter().zip(&bound.by_axis) {
        let field = arg.value.name().and_then(|n| bound.env.find(&n.text));
        let Some(Value::Field(field)) = field else {
            return Err(elab.fail(Code::E0404, arg.span, "the places of points are fields over them"));
        };
        let known = &elab.open_data().plan.fields[field];
        match (&known.axes[..], &points) {
            ([axis], None) if known.dtype == DType::F32 => points = Some(axis.clone()),
            ([axis], Some(points)) if known.dtype == DType::F32 && axis == points => {}
            _ => {
                return Err(elab.fail(
                    Code::E0404,
                    arg.span,
                    "the places of points are `f32` fields over one axis",
                ));
            }
        }
        let extent = elab.extent_of(&extent.value, *axis, *span)?;
        let coordinates = match known_coordinates(elab, &elab.axis_name(*axis)) {
            Some(known) => known,
            None => super::along::values_along(elab, "coord", *axis, *span)?,
        };
        at.push(field);
        cuts.push((elab.axis_name(*axis), coordinates, extent));
    }
    let Some(points) = points else {
        return Err(elab.error(Diagnostic::new(Code::E0404, bound.span, "along which axes?").help(help)));
    };
    Ok(Around { points, at, cuts })
}

/// The coordinates that a plan's patches have along an axis.
fn known_coordinates(elab: &Elab<'_>, axis: &str) -> Option<Vec<f64>> {
    elab.open_data().plan.fields.iter().find_map(|field| match &field.origin {
        FieldOrigin::Around { cuts, .. } => {
            cuts.iter().find(|(name, _)| name == axis).map(|(_, c)| c.clone())
        }
        _ => None,
    })
}

impl<'a> Elab<'a> {
    /// The field that is read for another here: patches of it, if we are in `around` and it has all the axes.
    pub(super) fn patched(&mut self, number: usize) -> usize {
        let data = self.open_data_mut();
        let Some(around) = &data.around else { return number };
        let grid = &data.plan.fields[number];
        let cut = |axis: &str| around.cuts.iter().find(|(name, ..)| name == axis);
        let all = around.cuts.iter().all(|(axis, ..)| grid.axes.iter().any(|(name, _)| name == axis));
        if !all || grid.dtype != DType::F32 || matches!(grid.origin, FieldOrigin::Around { .. }) {
            return number;
        }
        let name = format!("around({}, {})", grid.name, around.points.0);
        let origin = FieldOrigin::Around {
            field: number,
            at: around.at.clone(),
            cuts: around
                .cuts
                .iter()
                .map(|(axis, coordinates, _)| (axis.clone(), coordinates.clone()))
                .collect(),
        };
        let patches =
            grid.axes.iter().map(|(axis, extent)| (axis.clone(), cut(axis).map_or(*extent, |c| c.2)));
        let field = Field {
            name,
            origin,
            dtype: DType::F32,
            axes: std::iter::once(around.points.clone()).chain(patches).collect(),
            unit: grid.unit.clone(),
            reading: Reading { optional: true, ..Reading::default() },
            span: grid.span,
        };
        let same = |f: &Field| f.origin == field.origin && f.axes == field.axes;
        data.plan.fields.iter().position(same).unwrap_or_else(|| {
            data.plan.fields.push(field);
            data.plan.fields.len() - 1
        })
    }
}
