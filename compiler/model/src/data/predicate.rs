//! Predicates of `split` and `sample … if`: over positions, coordinates, dates, names and fields.
use super::along::values_along;
use crate::axis::Naming;
use crate::elab::{Elab, Eval};
use crate::names;
use crate::scope::Env;
use crate::value::Value;
use stmc_base::schema::Coordinates;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::HostExpr;
use stmc_ir::data::{Quantity, QuantityKind};
use stmc_ir::host::{HostBinary, HostUnary};
use stmc_syntax::ast::{self, BinaryOp, ExprKind};

/// Functions of an axis with dates.
const CALENDAR: &[&str] = &["month", "year", "day_of_year", "years"];

/// A side of a comparison.
struct Side {
    host: HostExpr,
    kind: Kind,
    span: Span,
}

/// What a side's numbers are.
enum Kind {
    Number,
    /// Days, of the axis or field of this name.
    Time(String),
    /// Numbers of names, of the axis or field of this name.
    Names(String, Vec<String>),
    /// A written date: its first moment and the first after it.
    Date(f64, f64),
    Text(std::sync::Arc<str>),
}

/// A predicate.
pub(super) fn predicate<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<HostExpr> {
    let side = side(elab, expr, env)?;
    let is_share = matches!(expr.kind, ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Percent(_));
    match side.kind {
        Kind::Number if !is_share => Ok(side.host),
        _ => {
            let message = "a comparison is needed here: it holds, or it does not";
            let axis = elab.open_data().plan.binders.first().map_or("time".into(), |b| b.axis.clone());
            let help = format!("`shuffled({axis}) < 80%` draws a share, and `rest` is what is left");
            Err(elab.error(Diagnostic::new(Code::E0905, expr.span, message).help(help)))
        }
    }
}

fn number(host: HostExpr, span: Span) -> Eval<Side> {
    Ok(Side { host, kind: Kind::Number, span })
}

fn side<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<Side> {
    let span = expr.span;
    match &expr.kind {
        ExprKind::Name(name) if &**name == "rest" => number(HostExpr::Const(1.0), span),
        ExprKind::Name(name) => match env.find(name) {
            Some(Value::Field(field)) => field_side(elab, field, span),
            Some(Value::Position(binder, k)) => {
                let name = elab.open_data().plan.binders[binder].name.clone();
                let moved =
                    HostExpr::binary(HostBinary::Add, HostExpr::var(&name), HostExpr::Const(k as f64));
                number(if k == 0 { HostExpr::var(&name) } else { moved }, span)
            }
            Some(Value::Lazy(inner, scope)) => side(elab, inner, &scope),
            None if elab.resolved.axes.contains_key(name) => axis_side(elab, name, span),
            // `year < 2005`
            None if CALENDAR.contains(&&**name) => {
                let diagnostic = Diagnostic::new(Code::E0905, span, format!("the `{name}` of what?"));
                Err(elab.error(diagnostic.help(format!("`{name}(time)` takes it of an axis's dates"))))
            }
            _ => static_side(elab, expr, env),
        },
        ExprKind::Call { callee, args } => match callee.name().as_ref().map(|n| &*n.text) {
            Some("shuffled") => shuffled(elab, expr, args, env),
            Some("squares") => squares(elab, expr, args, env),
            Some(function) if function == "coord" || CALENDAR.contains(&function) => {
                along(elab, function, expr, args, env)
            }
            _ => static_side(elab, expr, env),
        },
        // `rain[sequence: s]`: a field at the sample's own position.
        ExprKind::Index { base, args } if args.iter().all(|a| at_sample(elab, a, env)) => {
            side(elab, base, env)
        }
        ExprKind::Unary { op: ast::UnaryOp::Not, operand } => {
            number(HostExpr::unary(HostUnary::Not, predicate(elab, operand, env)?), span)
        }
        ExprKind::Unary { op: ast::UnaryOp::Neg, operand } if !is_static(operand) => {
            number(HostExpr::unary(HostUnary::Neg, predicate(elab, operand, env)?), span)
        }
        ExprKind::Binary { op: BinaryOp::In, left, right, .. } => one_of(elab, left, right, env, span),
        ExprKind::Binary { op: op @ (BinaryOp::And | BinaryOp::Or), left, right, .. } => {
            let (left, right) = (predicate(elab, left, env)?, predicate(elab, right, env)?);
            let op = crate::host::operator(*op).expect("the host has both");
            number(HostExpr::binary(op, left, right), span)
        }
        ExprKind::Binary { op, left, right, .. } => {
            let this = side(elab, left, env)?;
            is_quoted(elab, &this, right, env)?;
            let that = side(elab, right, env)?;
            is_share(elab, left, &that)?;
            number(combined(elab, *op, this, that, span)?, span)
        }
        _ => static_side(elab, expr, env),
    }
}

/// `kind == coast`, where `coast` is one of the names that `kind` has.
fn is_quoted<'a>(elab: &mut Elab<'a>, side: &Side, other: &ast::Expr, env: &Env<'a>) -> Eval<()> {
    let (Kind::Names(what, all), Some(name)) = (&side.kind, other.name()) else { return Ok(()) };
    if env.find(&name.text).is_some() || !all.iter().any(|n| **n == *name.text) {
        return Ok(());
    }
    let diagnostic =
        Diagnostic::new(Code::E0905, other.span, format!("the names of `{what}` stand in quotes"));
    let quoted = format!("\"{}\"", name.text);
    Err(elab.error(diagnostic.help(format!("write `{quoted}`")).fix(other.span, quoted)))
}

/// `shuffled(row) < 20`: a share is meant.
fn is_share(elab: &mut Elab<'_>, drawn: &ast::Expr, bound: &Side) -> Eval<()> {
    let is_drawn = matches!(&drawn.kind, ExprKind::Call { callee, .. } if callee.name().is_some_and(|n| &*n.text == "shuffled"));
    let HostExpr::Const(x) = bound.host else { return Ok(()) };
    if !is_drawn || x <= 1.0 {
        return Ok(());
    }
    let diagnostic = Diagnostic::new(Code::E0905, bound.span, "`shuffled` runs from 0% to 100%");
    let share = format!("{x}%");
    Err(elab.error(match x <= 100.0 {
        true => diagnostic.help(format!("write `{share}`")).fix(bound.span, share),
        false => diagnostic.help("compare it with a share: `80%`"),
    }))
}

fn is_static(expr: &ast::Expr) -> bool {
    matches!(expr.kind, ExprKind::Int(_) | ExprKind::Float(_))
}

/// A number, a date, a name.
fn static_side<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr, env: &Env<'a>) -> Eval<Side> {
    let value = elab.eval(expr, env)?;
    literal(elab, &value, expr.span)
}

fn literal<'a>(elab: &mut Elab<'a>, value: &Value<'a>, span: Span) -> Eval<Side> {
    let kind = match value {
        Value::Str(text) => Kind::Text(text.clone()),
        Value::Date(first, end) => Kind::Date(*first, *end),
        Value::Tensor(_) => {
            let message =
                "a split is told by positions, coordinates, dates and fields, not by computed tensors";
            return Err(elab.fail(Code::E0905, span, message));
        }
        value => match value.host() {
            Some(host) => return number(host, span),
            None => return Err(elab.wrong_kind(value, "a number, a date or a name", span)),
        },
    };
    Ok(Side { host: HostExpr::Const(0.0), kind, span })
}

/// Whether an index takes an axis at its sample variable.
fn at_sample<'a>(elab: &Elab<'a>, arg: &ast::Arg, env: &Env<'a>) -> bool {
    let variable = arg.value.name().and_then(|n| env.find(&n.text));
    let axis = arg.label.as_ref().and_then(|l| l.word());
    match (variable, axis) {
        (Some(Value::Position(binder, 0)), Some(axis)) => {
            elab.open_data().plan.binders[binder].axis == *axis.text
        }
        _ => false,
    }
}

// ---------------------------------------------------------------- what there is to compare

/// The variable of a quantity, made if new.
fn quantity(elab: &mut Elab<'_>, name: String, kind: QuantityKind) -> HostExpr {
    let plan = &mut elab.open_data_mut().plan;
    let variable = HostExpr::var(&name);
    if !plan.quantities.iter().any(|q| q.name == name) {
        plan.quantities.push(Quantity { name, kind });
    }
    variable
}

/// The coordinate of an axis; its position, where it has none.
fn axis_side(elab: &mut Elab<'_>, name: &str, span: Span) -> Eval<Side> {
    let axis = elab.program_axis(name);
    let Some((coordinates, _)) = elab.open_data().bound.coordinates(name).map(|(c, n)| (c.clone(), n)) else {
        if elab.open_data().bound.extent(name).is_none() {
            return Err(elab.fail(Code::E0203, span, format!("no field has the axis `{name}`")));
        }
        return number(HostExpr::var(name), span);
    };
    let values = values_along(elab, "coord", axis, span)?;
    let host = quantity(elab, name.into(), QuantityKind::Along { axis: name.into(), values });
    let kind = match coordinates {
        Coordinates::Names(names) => Kind::Names(name.into(), names),
        other if other.is_time() => Kind::Time(name.into()),
        _ => Kind::Number,
    };
    Ok(Side { host, kind, span })
}

fn field_side(elab: &mut Elab<'_>, field: usize, span: Span) -> Eval<Side> {
    let found = elab.open_data().plan.fields[field].clone();
    let host = quantity(elab, found.name.clone(), QuantityKind::Field(field));
    let kind = match found.reading.categories {
        Some(names) => Kind::Names(found.name, names),
        None => Kind::Number,
    };
    Ok(Side { host, kind, span })
}

/// `month(time)` and the like.
fn along<'a>(
    elab: &mut Elab<'a>,
    function: &str,
    expr: &'a ast::Expr,
    args: &'a [ast::Arg],
    env: &Env<'a>,
) -> Eval<Side> {
    let [arg] = args else {
        return Err(elab.fail(
            Code::E0404,
            expr.span,
            format!("`{function}` takes an axis: `{function}(time)`"),
        ));
    };
    let axis = elab.one_axis(&arg.value, env, Naming::Old)?;
    let name = elab.axis_name(axis);
    if function == "coord" {
        return axis_side(elab, &name, expr.span);
    }
    let values = values_along(elab, function, axis, expr.span)?;
    let kind = QuantityKind::Along { axis: name.clone(), values };
    number(quantity(elab, format!("{function}({name})"), kind), expr.span)
}

/// `shuffled(row, within: class, together: plant) < 80%`
fn shuffled<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr, args: &'a [ast::Arg], env: &Env<'a>) -> Eval<Side> {
    let Some(arg) = args.first().filter(|a| a.label.is_none()) else {
        let message = "`shuffled` draws from an axis: `shuffled(time) < 80%`";
        return Err(elab.fail(Code::E0905, expr.span, message));
    };
    let axis = elab.one_axis(&arg.value, env, Naming::Old)?;
    let axis = elab.axis_name(axis);
    let (mut within, mut together) = (None, None);
    for arg in &args[1..] {
        let label = arg.label.as_ref().and_then(|l| l.word());
        let slot = match label.as_ref().map(|l| &*l.text) {
            Some("within") => &mut within,
            Some("together") => &mut together,
            _ => {
                let diagnostic = Diagnostic::new(Code::E0404, arg.span, "`shuffled` has no such argument");
                return Err(elab.error(
                    diagnostic.help("its arguments are an axis, `within: class` and `together: group`"),
                ));
            }
        };
        *slot = Some(field_along(elab, &arg.value, &axis, env)?);
    }
    if elab.open_data().bound.extent(&axis).is_none() {
        return Err(elab.fail(Code::E0203, expr.span, format!("no field has the axis `{axis}`")));
    }
    let name = |field: Option<usize>| field.map_or("-", |f| elab.open_data().plan.fields[f].name.as_str());
    let name = match (within, together) {
        (None, None) => format!("shuffled({axis})"),
        _ => format!("shuffled({axis}, {}, {})", name(within), name(together)),
    };
    number(quantity(elab, name, QuantityKind::Shuffled { axis, within, together }), expr.span)
}

/// A field over one axis.
fn field_along<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr, axis: &str, env: &Env<'a>) -> Eval<usize> {
    if let Some(Value::Field(field)) = expr.name().and_then(|n| env.find(&n.text))
        && let [(only, _)] = &elab.open_data().plan.fields[field].axes[..]
        && (only == axis || axis.is_empty())
    {
        return Ok(field);
    }
    let over = if axis.is_empty() { "one axis".into() } else { format!("`{axis}` alone") };
    Err(elab.fail(Code::E0905, expr.span, format!("a field over {over} is needed here")))
}

/// `squares(latitude, longitude, count: 5, size: 10 km, apart: 15 km)`
fn squares<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr, args: &'a [ast::Arg], env: &Env<'a>) -> Eval<Side> {
    let help = "`squares(latitude, longitude, count: 5, size: 10 km, apart: 15 km, seed: 0)`";
    let wrong = |elab: &mut Elab<'a>, span, message: &str| {
        Err(elab.error(Diagnostic::new(Code::E0905, span, message).help(help)))
    };
    let ([latitude, longitude, ..], true) =
        (args, args.len() >= 2 && args[..2].iter().all(|a| a.label.is_none()))
    else {
        return wrong(
            elab,
            expr.span,
            "`squares` lie around points: their latitudes and longitudes come first",
        );
    };
    let latitude = field_along(elab, &latitude.value, "", env)?;
    let axis = elab.open_data().plan.fields[latitude].axes[0].0.clone();
    let longitude = field_along(elab, &longitude.value, &axis, env)?;
    let (mut count, mut size, mut apart, mut seed) = (None, None, 0.0, 0.0);
    for arg in &args[2..] {
        let value = elab.eval(&arg.value, env)?;
        let word = arg.label.as_ref().and_then(|l| l.word());
        match (word.as_ref().map(|w| &*w.text), kilometres(&value), value.number()) {
            (Some("count"), _, Some(x)) if x >= 1.0 => count = Some(x as usize),
            (Some("size"), Some(x), _) if x > 0.0 => size = Some(x),
            (Some("apart"), Some(x), _) => apart = x,
            (Some("seed"), _, Some(x)) if x >= 0.0 => seed = x,
            _ => return wrong(elab, arg.span, "`squares` takes a count, lengths in km or m, and a seed"),
        }
    }
    let (Some(count), Some(size)) = (count, size) else {
        return wrong(elab, expr.span, "how many `squares`, and how large?");
    };
    let kind = QuantityKind::Squares { latitude, longitude, count, size, apart, seed: seed as u64 };
    let number_of = elab.open_data().plan.quantities.iter().filter(|q| q.name.starts_with("squares")).count();
    let known = elab.open_data().plan.quantities.iter().find(|q| q.kind == kind).map(|q| q.name.clone());
    let name = known.unwrap_or_else(|| format!("squares {number_of}"));
    number(quantity(elab, name, kind), expr.span)
}

/// A length in kilometres. `None`: it is none.
fn kilometres(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Quantity(x, unit) if &**unit == "km" => Some(*x),
        Value::Quantity(x, unit) if &**unit == "m" => Some(x / 1000.0),
        _ => None,
    }
}

// ---------------------------------------------------------------- comparisons

/// `left in [a, b]`
fn one_of<'a>(
    elab: &mut Elab<'a>,
    left: &'a ast::Expr,
    right: &'a ast::Expr,
    env: &Env<'a>,
    span: Span,
) -> Eval<Side> {
    let mut any = HostExpr::Const(0.0);
    for value in elab.elements(right, env)? {
        let (this, that) = (side(elab, left, env)?, literal(elab, &value, right.span)?);
        let same = combined(elab, BinaryOp::Eq, this, that, span)?;
        any = HostExpr::binary(HostBinary::Or, any, same);
    }
    number(any, span)
}

/// Both sides in numbers, and the operator on them.
fn combined(elab: &mut Elab<'_>, op: BinaryOp, left: Side, right: Side, span: Span) -> Eval<HostExpr> {
    let on_host = crate::host::operator(op).expect("`in` was handled");
    match (&left.kind, &right.kind) {
        (Kind::Number, Kind::Number) | (Kind::Time(_), Kind::Time(_)) => {
            Ok(HostExpr::binary(on_host, left.host, right.host))
        }
        (Kind::Time(_), Kind::Date(first, end)) => Ok(compared_with_date(op, &left.host, *first, *end)),
        (Kind::Date(first, end), Kind::Time(_)) => {
            Ok(compared_with_date(mirrored(op), &right.host, *first, *end))
        }
        (Kind::Names(what, all), Kind::Text(_) | Kind::Number)
            if matches!(op, BinaryOp::Eq | BinaryOp::Ne) =>
        {
            let place = number_of_name(elab, what, all, &right)?;
            Ok(HostExpr::binary(on_host, left.host, HostExpr::Const(place as f64)))
        }
        (Kind::Text(_) | Kind::Number, Kind::Names(..)) => combined(elab, mirrored(op), right, left, span),
        (Kind::Names(what, _), _) | (_, Kind::Names(what, _)) => {
            let message = format!("`{what}` has names: compare with `==` or `in`");
            Err(elab.fail(Code::E0905, span, message))
        }
        (Kind::Time(what), other) | (other, Kind::Time(what)) => {
            let place = if matches!(left.kind, Kind::Time(_)) { right.span } else { left.span };
            let diagnostic = Diagnostic::new(Code::E0905, place, format!("`{what}` has dates"));
            let text = match other {
                Kind::Text(text) => stmc_base::date::parse(text).map(|_| text.to_string()),
                _ => None,
            };
            Err(elab.error(match text {
                Some(date) => diagnostic.help(format!("a date has no quotes: `{date}`")).fix(place, date),
                None => diagnostic.help(format!("compare it with a date: `{what} < 2001-01`")),
            }))
        }
        (Kind::Date(..), _) | (_, Kind::Date(..)) => {
            let other = if matches!(left.kind, Kind::Date(..)) { right.span } else { left.span };
            let message = "this is compared with a date, but has no dates in the data";
            let help = "an axis has dates where the source says so: `stmc schema` shows what each axis has";
            Err(elab.error(Diagnostic::new(Code::E0905, other, message).help(help)))
        }
        (Kind::Text(_), _) | (_, Kind::Text(_)) => {
            let message = "only a category, or an axis with names, is compared with a name";
            Err(elab.fail(Code::E0905, span, message))
        }
    }
}

fn mirrored(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::Le => BinaryOp::Ge,
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::Ge => BinaryOp::Le,
        other => other,
    }
}

/// A date is all of its month, day or hour: `time > 2001-01` begins in February, `time == 2001-01` is January.
fn compared_with_date(op: BinaryOp, time: &HostExpr, first: f64, end: f64) -> HostExpr {
    let compare = |op, bound| HostExpr::binary(op, time.clone(), HostExpr::Const(bound));
    let within =
        || HostExpr::binary(HostBinary::And, compare(HostBinary::Ge, first), compare(HostBinary::Lt, end));
    match op {
        BinaryOp::Lt => compare(HostBinary::Lt, first),
        BinaryOp::Le => compare(HostBinary::Lt, end),
        BinaryOp::Gt => compare(HostBinary::Ge, end),
        BinaryOp::Ge => compare(HostBinary::Ge, first),
        BinaryOp::Ne => HostExpr::unary(HostUnary::Not, within()),
        _ => within(),
    }
}

/// Names are counted; a number stands for the name that is written so.
fn number_of_name(elab: &mut Elab<'_>, what: &str, all: &[String], side: &Side) -> Eval<usize> {
    let (found, shown) = match (&side.kind, &side.host) {
        (Kind::Text(text), _) => (all.iter().position(|n| **n == **text), text.to_string()),
        (_, HostExpr::Const(x)) => (all.iter().position(|n| n.parse() == Ok(*x)), x.to_string()),
        _ => return Err(elab.fail(Code::E0905, side.span, format!("a name of `{what}` is needed here"))),
    };
    let Some(found) = found else {
        let diagnostic =
            Diagnostic::new(Code::E0905, side.span, format!("`{what}` has no `{shown}` in the data"));
        let some: Vec<&str> = all.iter().take(12).map(String::as_str).collect();
        return Err(elab.error(diagnostic.help(names::near_or_all(&shown, "it has", some))));
    };
    Ok(found)
}
