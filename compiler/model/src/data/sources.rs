//! The `from` lines.
use crate::elab::{Elab, Eval, Failed};
use crate::settings::Settings;
use std::collections::BTreeMap;
use stmc_base::{Code, Diagnostic};
use stmc_ir::data::SourceSpec;
use stmc_syntax::ast::{self, DataKind, ExprKind};

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
        match source(elab, expr) {
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

fn source<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr) -> Eval<SourceSpec> {
    match &expr.kind {
        ExprKind::Str(path) => Ok(SourceSpec::File { path: path.to_string(), span: expr.span }),
        ExprKind::Call { callee, args } => {
            let Some(name) = callee.name() else {
                return Err(elab.fail(Code::E0905, expr.span, "a source is a path or a generator"));
            };
            let top = elab.tops[0].clone();
            let mut numbers = BTreeMap::new();
            for arg in args {
                let Some(label) = arg.label.as_ref().and_then(|l| l.word()) else {
                    return Err(elab.fail(
                        Code::E0905,
                        arg.span,
                        "a generator's arguments have names: `size: 32`",
                    ));
                };
                match elab.eval(&arg.value, &top)?.scalar() {
                    Some(x) => numbers.insert(label.text.to_string(), x),
                    None => return Err(elab.fail(Code::E0905, arg.value.span, "a number is needed here")),
                };
            }
            Ok(SourceSpec::Generator { name: name.text.to_string(), args: numbers, span: expr.span })
        }
        _ => Err(elab.fail(
            Code::E0905,
            expr.span,
            "a source is a path in quotes or a generator: `storms(size: 32)`",
        )),
    }
}
