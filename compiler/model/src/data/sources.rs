//! The `from` lines.
use crate::elab::{Elab, Eval, Failed};
use crate::settings::Settings;
use crate::value::Value;
use std::collections::BTreeMap;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::data::{Setting, SourceSpec, is_pattern};
use stmc_syntax::ast::{self, Arg, DataKind, ExprKind};

/// The `from` lines, their settings evaluated.
pub(crate) fn sources<'a>(elab: &mut Elab<'a>, decl: &'a ast::DataDecl) -> Eval<Vec<SourceSpec>> {
    let mut specs = vec![];
    let mut failed = false;
    let settings: &'a Settings = elab.settings;
    let set = |name: String| settings.set.get(&name);
    let written = decl.statements.iter().filter_map(|s| match &s.kind {
        DataKind::From(expr) => Some(expr),
        _ => None,
    });
    for (n, written) in written.enumerate() {
        // `DATA.from` is the first source.
        let first = || set(format!("{}.from", decl.name.text)).filter(|_| n == 0);
        let expr = set(format!("{}.from.{n}", decl.name.text)).or_else(first).unwrap_or(written);
        match source(elab, expr, &|| axes_behind(decl, n)) {
            Ok(spec) => specs.push(spec),
            Err(Failed) => failed = true,
        }
    }
    if specs.is_empty() && !failed {
        let message = format!("`{}` has no `from`", decl.name.text);
        let diagnostic = Diagnostic::new(Code::E0905, decl.name.span, message);
        return Err(
            elab.error(diagnostic.help("`from \"folder/*.npy\"`, or a generator: `from storms(size: 32)`"))
        );
    }
    if failed { Err(Failed) } else { Ok(specs) }
}

/// The names of the axes of the fields behind a `from`.
fn axes_behind(decl: &ast::DataDecl, number: usize) -> Vec<String> {
    let mut froms = 0;
    let mut axes = vec![];
    for statement in &decl.statements {
        match &statement.kind {
            DataKind::From(_) => froms += 1,
            DataKind::Field(ast::Field { ty, .. }) if froms == number + 1 => {
                let ast::TypeKind::Tensor { shape: Some(shape), .. } = &ty.kind else { continue };
                axes.extend(shape.iter().filter_map(|dim| Some(dim.axis.word()?.text.to_string())));
            }
            _ => {}
        }
    }
    axes.sort();
    axes.dedup();
    axes
}

fn source<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr, axes: &dyn Fn() -> Vec<String>) -> Eval<SourceSpec> {
    match &expr.kind {
        ExprKind::Str(path) if is_pattern(path) => {
            let pattern = elab.seen_from_main(path, expr.span);
            Ok(SourceSpec::Files { pattern, axes: axes(), span: expr.span })
        }
        ExprKind::Str(path) => {
            Ok(SourceSpec::File { path: elab.seen_from_main(path, expr.span), span: expr.span })
        }
        ExprKind::Call { callee, args } => {
            let Some(name) = callee.name() else {
                return Err(elab.fail(Code::E0905, expr.span, "a source is a path, a reader or a generator"));
            };
            match args.split_first() {
                Some((Arg { label: None, value: path, .. }, settings)) => {
                    reader(elab, &name.text, path, settings, expr.span)
                }
                _ => generator(elab, &name.text, args, expr.span),
            }
        }
        _ => Err(elab.fail(
            Code::E0905,
            expr.span,
            "a source is a path in quotes or a generator: `storms(size: 32)`",
        )),
    }
}

/// `csv("ecg.csv", header: false)`
fn reader<'a>(
    elab: &mut Elab<'a>,
    format: &str,
    path: &'a ast::Expr,
    settings: &'a [Arg],
    span: Span,
) -> Eval<SourceSpec> {
    let top = elab.top_of(span);
    let Value::Str(file) = elab.eval(path, &top)? else {
        let diagnostic = Diagnostic::new(Code::E0905, path.span, "a reader is given a path in quotes");
        return Err(elab.error(diagnostic.help("a generator's arguments have names: `storms(size: 32)`")));
    };
    let mut options = BTreeMap::new();
    for arg in settings {
        let label = label(elab, arg)?;
        let setting = match (elab.eval(&arg.value, &top)?, arg.value.name()) {
            (Value::Bool(b), _) => Setting::Bool(b),
            (Value::Str(text), _) => Setting::Text(text.to_string()),
            // `bands: time`
            (_, Some(word)) => Setting::Text(word.text.to_string()),
            (value, None) => match value.number() {
                Some(x) => Setting::Number(x),
                None => {
                    return Err(elab.wrong_kind(&value, "a number, a truth value or a text", arg.value.span));
                }
            },
        };
        options.insert(label, setting);
    }
    let path = elab.seen_from_main(&file, span);
    Ok(SourceSpec::Reader { format: format.into(), path, options, span })
}

/// `storms(size: 32)`
fn generator<'a>(elab: &mut Elab<'a>, name: &str, args: &'a [Arg], span: Span) -> Eval<SourceSpec> {
    let top = elab.top_of(span);
    let mut numbers = BTreeMap::new();
    for arg in args {
        let label = label(elab, arg)?;
        match elab.eval(&arg.value, &top)?.scalar() {
            Some(x) => numbers.insert(label, x),
            None => return Err(elab.fail(Code::E0905, arg.value.span, "a number is needed here")),
        };
    }
    Ok(SourceSpec::Generator { name: name.into(), args: numbers, span })
}

fn label(elab: &mut Elab<'_>, arg: &Arg) -> Eval<String> {
    match arg.label.as_ref().and_then(|l| l.word()) {
        Some(label) => Ok(label.text.to_string()),
        None => Err(elab.fail(Code::E0905, arg.span, "a source's settings have names: `size: 32`")),
    }
}
