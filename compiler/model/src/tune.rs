//! The `tune` block: what a search over the hypers would vary, and what it would look at. Here it is checked; searching is the
//! business of whoever runs trials.
use crate::elab::{Elab, Eval, Failed};
use crate::names;
use crate::watch;
use stmc_base::{Code, Diagnostic, Span};
use stmc_syntax::ast::{self, ExprKind, ItemKind};

/// The keys.
pub(crate) const KEYS: &[&str] = &["search", "minimize", "maximize", "prune", "seed"];
/// How trials are chosen.
const SEARCHES: &[&str] = &["tpe", "random", "grid"];
/// Domains of hypers besides lists.
const DOMAINS: &[&str] = &["log", "uniform", "ints"];

/// Checks all `tune` blocks, and the domains of the hypers.
pub(crate) fn check<'a>(elab: &mut Elab<'a>) -> Eval<()> {
    let before = elab.diagnostics.len();
    let resolved: &'a crate::Resolved = elab.resolved;
    for item in resolved.main_items() {
        if let ItemKind::Hyper(ast::Hyper { domain: Some(domain), .. }) = &item.kind {
            // A mistake is reported where it is noticed; the next hyper has its own.
            let _ = check_domain(elab, domain);
        }
    }
    for item in resolved.main_items() {
        if let ItemKind::Tune(tune) = &item.kind {
            let _ = check_block(elab, tune, item.span);
        }
    }
    if elab.diagnostics.len() > before { Err(Failed) } else { Ok(()) }
}

fn check_block<'a>(elab: &mut Elab<'a>, tune: &'a ast::TuneDecl, span: Span) -> Eval<()> {
    for key in &tune.keys {
        let name = &*key.name.text;
        if !KEYS.contains(&name) {
            let message = format!("`tune` has no setting `{name}`");
            let help = names::near_or_all(name, "settings are", KEYS.iter().copied());
            elab.report(Diagnostic::new(Code::E0802, key.name.span, message).help_at(key.name.span, help));
        }
        let first = tune.keys.iter().find(|k| k.name.text == key.name.text).expect("the key itself is one");
        if first.name.span != key.name.span {
            elab.report(crate::resolve::twice(&key.name, first.name.span).help("a key is given once"));
        }
    }
    let value = |name: &str| tune.keys.iter().find(|k| &*k.name.text == name);
    let search = value("search").map(|k| search(elab, &k.value)).transpose()?;
    targets(elab, [value("minimize"), value("maximize")], span)?;
    domains(elab, search.as_deref(), span)
}

/// Exactly one of `minimize` and `maximize`, and it is there.
fn targets<'a>(elab: &mut Elab<'a>, given: [Option<&'a ast::Key>; 2], span: Span) -> Eval<()> {
    let key = match given {
        [Some(minimize), Some(maximize)] => {
            let message = "`tune` looks at one value: it has `minimize` and `maximize`";
            let diagnostic = Diagnostic::new(Code::E0804, maximize.name.span, message);
            return Err(elab.error(diagnostic.label(minimize.name.span, "here first")));
        }
        [None, None] => {
            let diagnostic =
                Diagnostic::new(Code::E0802, span, "`tune` says neither `minimize` nor `maximize`");
            return Err(elab.error(diagnostic.help("`minimize = valid.loss`")));
        }
        [Some(key), None] | [None, Some(key)] => key,
    };
    match elab.resolved.train() {
        Some(train) => watch::target(elab, train, &key.value).map(|_| ()),
        None => Ok(()),
    }
}

/// `tpe(trials: 30)`, `random(trials: 30)`, `grid()`: its name.
fn search<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr) -> Eval<String> {
    let form = "`search` is `tpe(trials: 30)`, `random(trials: 30)` or `grid()`";
    let ExprKind::Call { callee, args } = &expr.kind else {
        return Err(elab.fail(Code::E0804, expr.span, form));
    };
    let Some(name) = callee.name().filter(|n| SEARCHES.contains(&&*n.text)) else {
        return Err(elab.fail(Code::E0804, expr.span, form));
    };
    let trials =
        |arg: &ast::Arg| arg.label.as_ref().and_then(|l| l.word()).is_some_and(|w| &*w.text == "trials");
    match (&*name.text, &args[..]) {
        ("grid", []) => Ok(name.text.to_string()),
        ("tpe" | "random", [arg]) if trials(arg) => {
            let top = elab.tops[0].clone();
            match elab.eval(&arg.value, &top)?.number() {
                Some(n) if n >= 1.0 && n.fract() == 0.0 => Ok(name.text.to_string()),
                _ => Err(elab.fail(Code::E0804, arg.value.span, "`trials` is a whole number, at least 1")),
            }
        }
        _ => Err(elab.fail(Code::E0804, expr.span, form)),
    }
}

/// There is something to search, and a grid has ends.
fn domains<'a>(elab: &mut Elab<'a>, search: Option<&str>, span: Span) -> Eval<()> {
    let resolved: &'a crate::Resolved = elab.resolved;
    let searched = resolved.main_items().filter_map(|i| match &i.kind {
        ItemKind::Hyper(h) => Some((&h.name, h.domain.as_ref()?)),
        _ => None,
    });
    let searched: Vec<_> = searched.collect();
    if searched.is_empty() {
        let diagnostic =
            Diagnostic::new(Code::E0804, span, "no hyper has a domain: there is nothing to search");
        return Err(elab.error(diagnostic.help("`hyper rate: float = 1e-3 in log(1e-4, 1e-2)`")));
    }
    let endless = |domain: &ast::Expr| match &domain.kind {
        ExprKind::Call { callee, .. } => callee.name().is_some_and(|n| &*n.text != "ints"),
        _ => false,
    };
    if search == Some("grid")
        && let Some((name, domain)) = searched.iter().find(|(_, domain)| endless(domain))
    {
        let message = format!("a grid tries all values, and `{}` has endlessly many", name.text);
        return Err(
            elab.error(Diagnostic::new(Code::E0804, domain.span, message).help("a list: `in [1e-4, 1e-3]`"))
        );
    }
    Ok(())
}

/// A list, `log(a, b)`, `uniform(a, b)` or `ints(a, b)`.
fn check_domain<'a>(elab: &mut Elab<'a>, domain: &'a ast::Expr) -> Eval<()> {
    let form = "a domain is a list, `log(a, b)`, `uniform(a, b)` or `ints(a, b)`";
    let top = elab.tops[0].clone();
    let ExprKind::Call { callee, args } = &domain.kind else {
        return match elab.eval(domain, &top)? {
            crate::value::Value::List(all) if !all.is_empty() => Ok(()),
            _ => Err(elab.fail(Code::E0804, domain.span, form)),
        };
    };
    let Some(name) = callee.name().filter(|n| DOMAINS.contains(&&*n.text)) else {
        return Err(elab.fail(Code::E0804, domain.span, form));
    };
    let mut ends = vec![];
    for arg in args {
        ends.extend(elab.eval(&arg.value, &top)?.number());
    }
    match (&*name.text, &ends[..]) {
        ("log", [a, b]) if *a > 0.0 && a < b => Ok(()),
        ("uniform", [a, b]) if a < b => Ok(()),
        ("ints", [a, b]) if a < b && a.fract() == 0.0 && b.fract() == 0.0 => Ok(()),
        (name, [_, _]) => {
            let message = match name {
                "log" => "`log` runs from a positive number to a larger one",
                "ints" => "`ints` runs from a whole number to a larger one",
                _ => "`uniform` runs from a number to a larger one",
            };
            Err(elab.fail(Code::E0804, domain.span, message))
        }
        _ => Err(elab.fail(Code::E0804, domain.span, form)),
    }
}
