//! The `field` lines, bound to what the sources hold.
use super::regrid;
use crate::elab::{Elab, Eval};
use crate::names;
use crate::value::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use stmc_base::schema::{Coordinates, SchemaAxis, SourceSchema, Variable, VariableRef};
use stmc_base::{Code, Diagnostic, Schema, Span};
use stmc_ir::DType;
use stmc_ir::data::{Field, FieldOrigin, Reading};
use stmc_syntax::ast::{self, BinaryOp, ExprKind};

/// What is known of the axes of the fields bound so far.
#[derive(Default)]
pub(crate) struct BoundAxes {
    axes: BTreeMap<String, BoundAxis>,
    /// Axes with two extents, and what is to be said of them where samples move along them.
    differing: Vec<(String, Diagnostic)>,
}

struct BoundAxis {
    extent: usize,
    coordinates: Option<Coordinates>,
    /// The field that brought it.
    field: String,
    span: Span,
}

impl BoundAxes {
    /// The places of an axis's steps. `None`: they have none.
    pub(crate) fn coordinates(&self, axis: &str) -> Option<(&Coordinates, usize)> {
        let bound = self.axes.get(axis)?;
        Some((bound.coordinates.as_ref()?, bound.extent))
    }

    /// What is wrong with an axis along which samples move. `None`: it has one extent in all fields.
    pub(super) fn differs(&self, axis: &str) -> Option<&Diagnostic> {
        self.differing.iter().find(|(name, _)| name == axis).map(|(_, diagnostic)| diagnostic)
    }

    /// The field that brought an axis, and where it stands. `None`: no field has it.
    pub(super) fn brought(&self, axis: &str) -> Option<(&str, Span)> {
        self.axes.get(axis).map(|a| (a.field.as_str(), a.span))
    }

    /// Steps of an axis. `None`: no field has it.
    pub(crate) fn extent(&self, axis: &str) -> Option<usize> {
        self.axes.get(axis).map(|a| a.extent)
    }
}

/// What a field is read from, as its line says it.
struct Origin<'a> {
    place: Place<'a>,
    /// `"name"(latitude -> lat)`: the source's name of an axis, and ours.
    renamed: Vec<(Arc<str>, Arc<str>)>,
    scale: f64,
    offset: f64,
}

enum Place<'a> {
    Variable(Arc<str>, Span),
    /// `columns(0 .. 187)`
    Columns(i64, Option<i64>, &'a ast::Expr),
    /// `column(187)`
    Column(i64, &'a ast::Expr),
}

/// The sources' variables of the fields that are categories: which source, which variable. Only syntax is looked at.
pub(crate) fn categories(decl: &ast::DataDecl) -> Vec<(usize, VariableRef)> {
    let mut found = vec![];
    let mut source = 0;
    for statement in &decl.statements {
        match &statement.kind {
            ast::DataKind::From(_) => source += 1,
            ast::DataKind::Field(f) if source > 0 && is_category(f) => {
                found.push((source - 1, category_variable(f)));
            }
            _ => {}
        }
    }
    found
}

fn is_category(field: &ast::Field) -> bool {
    matches!(&field.ty.kind, ast::TypeKind::Tensor { dtype: Some(ast::DType::Category), .. })
}

fn category_variable(field: &ast::Field) -> VariableRef {
    let own = || VariableRef::Named(field.name.text.to_string());
    match field.source.as_ref().map(|s| &s.kind) {
        Some(ExprKind::Str(name)) => VariableRef::Named(name.to_string()),
        Some(ExprKind::Call { callee, args }) => match (&callee.kind, args.first().map(|a| &a.value.kind)) {
            (ExprKind::Str(name), _) => VariableRef::Named(name.to_string()),
            (_, Some(ExprKind::Int(n))) => VariableRef::Column(*n as usize),
            _ => own(),
        },
        _ => own(),
    }
}

/// A field and the variable that it is read from.
pub(super) fn bind<'a>(
    elab: &mut Elab<'a>,
    field: &'a ast::Field,
    current: Option<usize>,
    schema: &Schema,
    bound: &mut BoundAxes,
) -> Eval<Field> {
    let Some(source) = current else {
        return Err(elab.fail(Code::E0905, field.name.span, "a field belongs to the `from` before it"));
    };
    let from = origin(elab, field)?;
    let source_schema = schema.sources.get(source).cloned().unwrap_or_default();
    let (found, place) = variable(elab, field, &from, source, &source_schema)?;
    let placed = |(name, on_disk): (String, SchemaAxis)| {
        let listed = || listed_coordinates(&source_schema, &name, &on_disk);
        let coordinates = on_disk.coordinates.clone().or_else(listed);
        (name, on_disk, coordinates)
    };
    let mut axes: Vec<_> = axes(elab, field, &from, &found)?.into_iter().map(placed).collect();
    let (dtype, reading) = values(elab, field, &from, &found)?;
    let origin = regrid::at_places_before(elab, field, dtype, place, &mut axes, bound)?;
    for (name, on_disk, coordinates) in &axes {
        remember(bound, field, name, on_disk.extent, coordinates.clone());
    }
    Ok(Field {
        name: field.name.text.to_string(),
        origin,
        dtype,
        axes: axes.into_iter().map(|(name, axis, _)| (name, axis.extent)).collect(),
        unit: field.unit.as_ref().map(|u| u.value.to_string()).or_else(|| found.unit.clone()),
        reading,
        span: field.name.span,
    })
}

/// The dtype of a field's values where it differs from that in which they are read: `i32?` is read with NaN for gaps.
pub(crate) fn cast(decl: &ast::DataDecl, name: &str) -> Option<DType> {
    let field = decl.statements.iter().find_map(|s| match &s.kind {
        ast::DataKind::Field(field) if &*field.name.text == name => Some(field),
        _ => None,
    })?;
    match &field.ty.kind {
        ast::TypeKind::Tensor { dtype, missing: true, .. } => match dtype {
            Some(ast::DType::I32 | ast::DType::U8) => Some(DType::I32),
            Some(ast::DType::Bool) => Some(DType::Bool),
            _ => None,
        },
        _ => None,
    }
}

// ---------------------------------------------------------------- where it is read from

/// `"name in file"`, `0.01 * "raw"`, `"name"(latitude -> lat)`, `columns(0 .. 187)`. Without any: the field's own name.
fn origin<'a>(elab: &mut Elab<'a>, field: &'a ast::Field) -> Eval<Origin<'a>> {
    let own = || Place::Variable(field.name.text.clone(), field.name.span);
    match &field.source {
        None => Ok(Origin { place: own(), renamed: vec![], scale: 1.0, offset: 0.0 }),
        Some(expr) => match read_origin(elab, expr)? {
            (Some(origin), ..) => Ok(origin),
            (None, _) => Err(not_affine(elab, expr)),
        },
    }
}

/// What is read, scaled and moved; or a number.
fn read_origin<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr) -> Eval<(Option<Origin<'a>>, f64)> {
    let plain = |place| (Some(Origin { place, renamed: vec![], scale: 1.0, offset: 0.0 }), 0.0);
    match &expr.kind {
        ExprKind::Str(name) => Ok(plain(Place::Variable(name.clone(), expr.span))),
        ExprKind::Call { callee, args } => match (&callee.kind, callee.name().as_ref().map(|n| &*n.text)) {
            (ExprKind::Str(name), _) => {
                let (Some(mut origin), _) = plain(Place::Variable(name.clone(), callee.span)) else {
                    unreachable!("it is one")
                };
                origin.renamed = renames(elab, args)?;
                Ok((Some(origin), 0.0))
            }
            (_, Some("columns")) => columns(elab, expr, args).map(plain),
            (_, Some("column")) => {
                let n = args.first().map(|a| elab.int(&a.value, &elab.top_of(a.span))).transpose()?;
                Ok(plain(Place::Column(n.unwrap_or(0), expr)))
            }
            _ => number(elab, expr),
        },
        ExprKind::Unary { op: ast::UnaryOp::Neg, operand } => {
            let (origin, x) = read_origin(elab, operand)?;
            Ok((origin.map(|o| Origin { scale: -o.scale, offset: -o.offset, ..o }), -x))
        }
        ExprKind::Binary { op, left, right, .. } => {
            let (left, right) = (read_origin(elab, left)?, read_origin(elab, right)?);
            affine(*op, left, right).ok_or(()).map_err(|()| not_affine(elab, expr))
        }
        _ => number(elab, expr),
    }
}

fn number<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr) -> Eval<(Option<Origin<'a>>, f64)> {
    let top = elab.top_of(expr.span);
    match elab.eval(expr, &top)?.number() {
        Some(x) => Ok((None, x)),
        None => Err(not_affine(elab, expr)),
    }
}

fn not_affine(elab: &mut Elab<'_>, expr: &ast::Expr) -> crate::elab::Failed {
    let message = "a field is read from a variable, perhaps scaled and moved by numbers";
    let diagnostic = Diagnostic::new(Code::E0905, expr.span, message);
    elab.error(diagnostic.help("`\"raw\"`, `0.01 * \"raw\" + 273.15`, `\"raw\"(latitude -> lat)`, `columns(0 .. 187)`; more in a `let`"))
}

/// A sum or product of two sides of which at most one is read. `None`: it is no such thing.
fn affine<'a>(
    op: BinaryOp,
    left: (Option<Origin<'a>>, f64),
    right: (Option<Origin<'a>>, f64),
) -> Option<(Option<Origin<'a>>, f64)> {
    let scaled = |o: Origin<'a>, by: f64, plus: f64| {
        (Some(Origin { scale: o.scale * by, offset: o.offset * by + plus, ..o }), 0.0)
    };
    Some(match (op, left, right) {
        (_, (None, a), (None, b)) => (None, crate::host::operator(op)?.eval(a, b)),
        (BinaryOp::Add, (Some(o), _), (None, x)) | (BinaryOp::Add, (None, x), (Some(o), _)) => {
            scaled(o, 1.0, x)
        }
        (BinaryOp::Sub, (Some(o), _), (None, x)) => scaled(o, 1.0, -x),
        (BinaryOp::Sub, (None, x), (Some(o), _)) => scaled(o, -1.0, x),
        (BinaryOp::Mul, (Some(o), _), (None, x)) | (BinaryOp::Mul, (None, x), (Some(o), _)) => {
            scaled(o, x, 0.0)
        }
        (BinaryOp::Div, (Some(o), _), (None, x)) if x != 0.0 => scaled(o, 1.0 / x, 0.0),
        _ => return None,
    })
}

fn renames<'a>(elab: &mut Elab<'a>, args: &'a [ast::Arg]) -> Eval<Vec<(Arc<str>, Arc<str>)>> {
    let mut pairs = vec![];
    for arg in args {
        let to = arg.arrow.as_ref().and_then(|a| a.name());
        match (arg.value.name(), to) {
            (Some(from), Some(to)) => pairs.push((from.text, to.text)),
            _ => return Err(elab.fail(Code::E0905, arg.span, "an axis is renamed with `theirs -> ours`")),
        }
    }
    Ok(pairs)
}

fn columns<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr, args: &'a [ast::Arg]) -> Eval<Place<'a>> {
    let top = elab.top_of(expr.span);
    if let [ast::Arg { value, label: None, .. }] = args
        && let Value::Range(a, b) = elab.eval(value, &top)?
    {
        return Ok(Place::Columns(a.unwrap_or(0), b, expr));
    }
    Err(elab.fail(
        Code::E0905,
        expr.span,
        "`columns` takes a range of columns, counted from 0: `columns(0 .. 187)`",
    ))
}

/// The variable in the source; columns together are one with another axis.
fn variable<'a>(
    elab: &mut Elab<'a>,
    field: &'a ast::Field,
    from: &Origin<'a>,
    source: usize,
    schema: &SourceSchema,
) -> Eval<(Variable, FieldOrigin)> {
    let (first, end, expr) = match &from.place {
        Place::Variable(name, span) => {
            let found = named_variable(elab, name, *span, schema)?;
            let origin = FieldOrigin::Source { source, variable: found.name.clone() };
            return Ok((found, origin));
        }
        Place::Columns(first, end, expr) => (*first, *end, *expr),
        Place::Column(n, expr) => (*n, n.checked_add(1), *expr),
    };
    let table: Vec<&Variable> = schema.variables.iter().filter(|v| v.axes.len() == 1).collect();
    let end = end.unwrap_or(table.len() as i64);
    if first < 0 || end > table.len() as i64 || first >= end {
        let message = format!("{} has {} columns, counted from 0", schema.origin, table.len());
        return Err(elab.fail(Code::E0901, expr.span, message));
    }
    let found = &table[first as usize..end as usize];
    if matches!(from.place, Place::Column(..)) {
        let origin = FieldOrigin::Source { source, variable: found[0].name.clone() };
        return Ok((found[0].clone(), origin));
    }
    if let Some(text) = found.iter().find(|v| v.dtype == "text") {
        let message = format!("the column `{}` in {} is text", text.name, schema.origin);
        return Err(elab.error(Diagnostic::new(Code::E0902, expr.span, message).help(format!(
            "columns that stand side by side are numbers; `field {} = \"{}\": category[…]` reads names",
            field.name.text, text.name
        ))));
    }
    let mut joined = found[0].clone();
    joined.axes.push(SchemaAxis::new("", found.len()));
    let variables = found.iter().map(|v| v.name.clone()).collect();
    Ok((joined, FieldOrigin::Columns { source, variables }))
}

fn named_variable(elab: &mut Elab<'_>, name: &str, span: Span, schema: &SourceSchema) -> Eval<Variable> {
    let variables = &schema.variables;
    let found = match variables.as_slice() {
        // Formats without names have one variable.
        [only] if only.name.is_empty() => Some(only),
        _ => variables.iter().find(|v| v.name == name),
    };
    if let Some(found) = found {
        return Ok(found.clone());
    }
    let names: Vec<&str> = variables.iter().map(|v| v.name.as_str()).collect();
    let message = format!("{} has no variable `{name}`", schema.origin);
    let diagnostic = Diagnostic::new(Code::E0901, span, message);
    Err(elab.error(diagnostic.help(names::near_or_all(name, "it has", names))))
}

// ---------------------------------------------------------------- axes

/// The field's axes in the order on disk: our name of each.
fn axes<'a>(
    elab: &mut Elab<'a>,
    field: &'a ast::Field,
    from: &Origin<'a>,
    variable: &Variable,
) -> Eval<Vec<(String, SchemaAxis)>> {
    let declared = declared_axes(elab, field)?;
    let theirs: Vec<String> = variable.axes.iter().map(|a| a.name.clone()).collect();
    for (from_name, _) in &from.renamed {
        if !theirs.iter().any(|t| **t == **from_name) {
            let message = format!("`{}` has no axis `{from_name}` in the data", field.name.text);
            let span = field.source.as_ref().map_or(field.name.span, |s| s.span);
            let help = match theirs.iter().all(String::is_empty) {
                true => "its axes have no names there: a field takes them in order".to_string(),
                false => format!("it has {}", names::listed(theirs.iter().map(String::as_str))),
            };
            return Err(elab.error(Diagnostic::new(Code::E0902, span, message).help(help)));
        }
    }
    let ours = |theirs: &str| {
        let renamed = from.renamed.iter().find(|(t, _)| **t == *theirs);
        renamed.map_or(theirs.to_string(), |(_, ours)| ours.to_string())
    };
    let listed: Vec<String> = variable.axes.iter().map(shown).collect();
    let have = || format!("the data have [{}]", listed.join(", "));
    if declared.len() != variable.axes.len() {
        let message = format!(
            "`{}` has {} in the data, but {} declared",
            field.name.text,
            match variable.axes.len() {
                1 => "1 axis".to_string(),
                n => format!("{n} axes"),
            },
            match declared.len() {
                0 => "none is".to_string(),
                1 => "1 is".to_string(),
                n => format!("{n} are"),
            }
        );
        return Err(elab.error(Diagnostic::new(Code::E0902, field.ty.span, message).help(have())));
    }
    // Axes without a name bind in the order in which they are declared.
    let named: Vec<String> = theirs.iter().filter(|n| !n.is_empty()).map(|n| ours(n)).collect();
    let mut unnamed = declared.iter().filter(|d| !named.contains(&d.0));
    let mut axes = vec![];
    for on_disk in &variable.axes {
        let name = ours(&on_disk.name);
        let found = match on_disk.name.is_empty() {
            true => unnamed.next(),
            false => declared.iter().find(|(n, _, _)| *n == name),
        };
        let Some((name, extent, span)) = found else {
            let message = format!("the data have the axis `{name}`, which is not declared");
            let mut help = have();
            if let [free] = declared.iter().filter(|d| !theirs.contains(&d.0)).collect::<Vec<_>>()[..] {
                help += &format!("; `\"{}\"({name} -> {})` renames it", variable.name, free.0);
            }
            return Err(elab.error(Diagnostic::new(Code::E0902, field.ty.span, message).help(help)));
        };
        if let Some(extent) = extent.filter(|e| *e != on_disk.extent) {
            let message = format!("`{name}` is {} in the data, but {extent} is declared", on_disk.extent);
            return Err(elab.fail(Code::E0902, *span, message));
        }
        axes.push((name.clone(), on_disk.clone()));
    }
    Ok(axes)
}

fn shown(axis: &SchemaAxis) -> String {
    if axis.name.is_empty() { axis.extent.to_string() } else { format!("{}: {}", axis.name, axis.extent) }
}

type Declared = (String, Option<usize>, Span);

fn declared_axes<'a>(elab: &mut Elab<'a>, field: &'a ast::Field) -> Eval<Vec<Declared>> {
    let ast::TypeKind::Tensor { shape, .. } = &field.ty.kind else {
        let message = "a field has a tensor's type: `f32[time, row, col]`";
        return Err(elab.fail(Code::E0902, field.ty.span, message));
    };
    let mut declared = vec![];
    for dim in shape.as_deref().unwrap_or_default() {
        let Some(word) = dim.axis.word() else {
            return Err(elab.fail(Code::E0902, dim.span, "a field's axes are plain names"));
        };
        let extent = match &dim.extent {
            ast::Extent::Expr(e) => {
                let axis = elab.program_axis(&word.text);
                let top = elab.top_of(e.span);
                Some(elab.axis_extent(e, axis, &top)?)
            }
            _ => None,
        };
        declared.push((word.text.to_string(), extent, dim.span));
    }
    Ok(declared)
}

/// A list in the source that is named like the axis and has its extent tells where its steps are.
fn listed_coordinates(schema: &SourceSchema, axis: &str, on_disk: &SchemaAxis) -> Option<Coordinates> {
    let list = schema.variables.iter().find(|v| v.name == axis && v.axes.len() == 1)?;
    list.coordinates.clone().filter(|_| list.axes[0].extent == on_disk.extent)
}

/// Notes an axis of a field. One along which samples move has one extent in all fields.
fn remember(
    bound: &mut BoundAxes,
    field: &ast::Field,
    name: &str,
    extent: usize,
    coordinates: Option<Coordinates>,
) {
    let fresh = || BoundAxis {
        extent,
        coordinates: coordinates.clone(),
        field: field.name.text.to_string(),
        span: field.name.span,
    };
    let known = bound.axes.entry(name.to_string()).or_insert_with(fresh);
    if known.extent == extent {
        known.coordinates = known.coordinates.take().or(coordinates);
        return;
    }
    let message =
        format!("`{name}` is {} in `{}`, but {extent} in `{}`", known.extent, known.field, field.name.text);
    let diagnostic = Diagnostic::new(Code::E0902, field.name.span, message).here(format!("{name}: {extent}"));
    let diagnostic = diagnostic.label(known.span, format!("{name}: {}", known.extent));
    let help = "samples move along it, so it has one extent in all fields: give one of the two another name";
    bound.differing.push((name.to_string(), diagnostic.help(help)));
}

// ---------------------------------------------------------------- values

/// The field's type, and what becomes of the values on the way.
fn values<'a>(
    elab: &mut Elab<'a>,
    field: &'a ast::Field,
    from: &Origin<'a>,
    variable: &Variable,
) -> Eval<(DType, Reading)> {
    let ast::TypeKind::Tensor { dtype, missing: optional, .. } = &field.ty.kind else {
        unreachable!("the axes were read from a tensor's type")
    };
    let mut reading =
        Reading { scale: from.scale, offset: from.offset, optional: *optional, ..Reading::default() };
    let moved = (from.scale, from.offset) != (1.0, 0.0);
    let dtype = match dtype {
        None | Some(ast::DType::F32) => DType::F32,
        Some(ast::DType::I32 | ast::DType::U8) => DType::I32,
        Some(ast::DType::Bool) => DType::Bool,
        Some(ast::DType::Category) => {
            let Some(names) = variable.categories.clone() else {
                let message = format!("the names of `{}` are not known", field.name.text);
                let diagnostic = Diagnostic::new(Code::E0902, field.name.span, message);
                return Err(
                    elab.error(diagnostic.help("a schema lists them: `\"categories\": [\"a\", \"b\"]`"))
                );
            };
            reading.categories = Some(names);
            DType::I32
        }
        Some(other @ (ast::DType::F16 | ast::DType::Bf16)) => {
            let message = format!("values are `f32`: a field of `{}` is declared `f32`", other.text());
            let help = "it is read as it is in the file; how exact products are is what `precision` says";
            return Err(elab.error(Diagnostic::new(Code::E0902, field.ty.span, message).help(help)));
        }
    };
    if dtype != DType::F32 && moved {
        return Err(elab.fail(Code::E0902, field.ty.span, "only an `f32` field is scaled"));
    }
    if *optional && reading.categories.is_some() {
        let message = "a category is there in every row: the name of what is unknown is a name too";
        return Err(elab.fail(Code::E0902, field.ty.span, message));
    }
    // Gaps are NaN on the way in, whatever the type.
    let dtype = if *optional { DType::F32 } else { dtype };
    if variable.dtype == "text" && reading.categories.is_none() {
        let message = format!("`{}` is text in the data", field.name.text);
        let diagnostic = Diagnostic::new(Code::E0902, field.ty.span, message);
        return Err(elab.error(diagnostic.help("`category[…]` makes numbers of the names")));
    }
    if let Some(expr) = &field.missing {
        let top = elab.top_of(expr.span);
        let Some(x) = elab.eval(expr, &top)?.number() else {
            return Err(elab.fail(Code::E0905, expr.span, "`missing` takes a number: `missing -999`"));
        };
        if !optional {
            let message = format!("`{}` has missing values, so its type is `f32?`", field.name.text);
            let diagnostic = Diagnostic::new(Code::E0902, field.ty.span, message);
            return Err(elab.error(diagnostic.help("a `?` stands behind the dtype: `f32?[time]`")));
        }
        reading.missing = Some(x);
    }
    Ok((dtype, reading))
}
