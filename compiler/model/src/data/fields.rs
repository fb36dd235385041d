//! The `field` lines, bound to what the sources hold.
use crate::elab::{Elab, Eval};
use crate::names;
use std::sync::Arc;
use stmc_base::schema::{SchemaAxis, Variable};
use stmc_base::{Code, Diagnostic, Schema, Span};
use stmc_ir::DType;
use stmc_ir::data::{Field, FieldOrigin};
use stmc_syntax::ast::{self, ExprKind};

/// A field and the variable that it is read from.
pub(super) fn bind<'a>(
    elab: &mut Elab<'a>,
    field: &'a ast::Field,
    current: Option<usize>,
    schema: &Schema,
) -> Eval<Field> {
    let Some(source) = current else {
        return Err(elab.fail(Code::E0905, field.name.span, "a field belongs to the `from` before it"));
    };
    if let Some(missing) = &field.missing {
        return Err(elab.unbuilt(missing.span, "a number that stands for missing values"));
    }
    let variable = field_variable(elab, field)?;
    let source_schema = schema.sources.get(source).cloned().unwrap_or_default();
    let variables = &source_schema.variables;
    let found = match variables.as_slice() {
        // Formats without names have one variable.
        [only] if only.name.is_empty() => Some(only),
        _ => variables.iter().find(|v| v.name == *variable),
    };
    let Some(found) = found else {
        let names: Vec<&str> = variables.iter().map(|v| v.name.as_str()).collect();
        let message = format!("{} has no variable `{variable}`", source_schema.origin);
        let diagnostic = Diagnostic::new(Code::E0901, field.name.span, message);
        return Err(elab.error(diagnostic.help(names::near_or_all(&variable, "it has", names))));
    };
    let (dtype, axes) = field_type(elab, field, found)?;
    Ok(Field {
        name: field.name.text.to_string(),
        origin: FieldOrigin::Source { source, variable: found.name.clone() },
        dtype,
        axes,
        unit: field.unit.as_ref().map(|u| u.value.to_string()).or_else(|| found.unit.clone()),
        span: field.name.span,
    })
}

/// The variable that a field is read from: its own name, or the one in quotes.
fn field_variable<'a>(elab: &mut Elab<'a>, field: &'a ast::Field) -> Eval<Arc<str>> {
    match field.source.as_ref().map(|s| (&s.kind, s.span)) {
        None => Ok(field.name.text.clone()),
        Some((ExprKind::Str(name), _)) => Ok(name.clone()),
        Some((_, span)) => Err(elab.unbuilt(span, "a field that is not a variable by its name")),
    }
}

/// An axis as a field's type names it: its name, its extent where one is declared.
type DeclaredAxis = (String, Option<usize>, Span);

/// The dtype of a field, and its axes in the order on disk.
fn field_type<'a>(
    elab: &mut Elab<'a>,
    field: &'a ast::Field,
    variable: &Variable,
) -> Eval<(DType, Vec<(String, usize)>)> {
    let ast::TypeKind::Tensor { dtype, missing, shape } = &field.ty.kind else {
        return Err(elab.fail(
            Code::E0902,
            field.ty.span,
            "a field has a tensor's type: `f32[time, row, col]`",
        ));
    };
    if *missing {
        return Err(elab.unbuilt(field.ty.span, "a field with missing values"));
    }
    let dtype = match dtype {
        None | Some(ast::DType::F32) => DType::F32,
        Some(ast::DType::I32) => DType::I32,
        Some(other) => {
            return Err(elab.unbuilt(field.ty.span, &format!("a field of the type `{}`", other.text())));
        }
    };
    let declared = declared_axes(elab, shape.as_deref().unwrap_or_default())?;
    Ok((dtype, axes_on_disk(elab, field, &declared, &variable.axes)?))
}

fn declared_axes<'a>(elab: &mut Elab<'a>, shape: &'a [ast::Dim]) -> Eval<Vec<DeclaredAxis>> {
    let mut declared = vec![];
    for dim in shape {
        let Some(word) = dim.axis.word() else {
            return Err(elab.fail(Code::E0902, dim.span, "a field's axes are plain names"));
        };
        let extent = match &dim.extent {
            ast::Extent::Expr(e) => {
                let axis = elab.program_axis(&word.text);
                let top = elab.tops[0].clone();
                Some(elab.axis_extent(e, axis, &top)?)
            }
            _ => None,
        };
        declared.push((word.text.to_string(), extent, dim.span));
    }
    Ok(declared)
}

/// The axes on disk under their declared names: by name, or by order where the format has no names.
fn axes_on_disk(
    elab: &mut Elab<'_>,
    field: &ast::Field,
    declared: &[DeclaredAxis],
    on_disk: &[SchemaAxis],
) -> Eval<Vec<(String, usize)>> {
    let listed: Vec<String> = on_disk.iter().map(|a| format!("{}: {}", a.name, a.extent)).collect();
    let misfit = |message: String| {
        Diagnostic::new(Code::E0902, field.ty.span, message)
            .help(format!("the data have [{}]", listed.join(", ")))
    };
    if declared.len() != on_disk.len() {
        let (has, says) = (on_disk.len(), declared.len());
        let message = format!("`{}` has {has} axes in the data, but {says} are declared", field.name.text);
        return Err(elab.error(misfit(message)));
    }
    let by_order = on_disk.iter().all(|a| a.name.is_empty());
    let mut axes = vec![];
    for (i, found) in on_disk.iter().enumerate() {
        let named = || declared.iter().find(|(name, _, _)| *name == found.name);
        let Some((name, extent, span)) = (if by_order { declared.get(i) } else { named() }) else {
            let message = format!("the data have the axis `{}`, which is not declared", found.name);
            return Err(elab.error(misfit(message)));
        };
        if let Some(extent) = extent.filter(|e| *e != found.extent) {
            let message = format!("`{name}` is {} in the data, but {extent} is declared", found.extent);
            return Err(elab.fail(Code::E0902, *span, message));
        }
        axes.push((name.clone(), found.extent));
    }
    Ok(axes)
}
