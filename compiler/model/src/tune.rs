//! The `tune` block: what a search over the hypers varies, and what it looks at. Searching is the business of whoever runs trials.
use crate::elab::{Elab, Eval, Failed};
use crate::elaborate::run;
use crate::value::{Value, literal};
use crate::{Resolved, Settings, names, vocabulary, watch};
use stmc_base::{Code, Diagnostic, Span};
use stmc_syntax::ast::{self, ExprKind, ItemKind};

/// What a `tune` block asks for.
#[derive(Clone, PartialEq, Debug)]
pub struct Tuning {
    /// How trials are chosen.
    pub search: Search,
    /// The part of the split whose value is looked at.
    pub part: String,
    /// The value: `loss`, or a metric.
    pub metric: String,
    /// Large values are better.
    pub maximize: bool,
    /// What the trials follow from.
    pub seed: u64,
    /// The hypers that are varied, as declared, but for those that `--set` fixes.
    pub domains: Vec<(String, Domain)>,
}

/// How trials are chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Search {
    /// All combinations.
    Grid,
    /// So many, drawn from the domains.
    Random(usize),
    /// So many, drawn where earlier ones were good.
    Tpe(usize),
}

/// The values that a hyper may take.
#[derive(Clone, PartialEq, Debug)]
pub enum Domain {
    /// One of these, as texts that `--set` takes; at least one.
    List(Vec<String>),
    /// From the first to the second, by their logarithms.
    Log(f64, f64),
    /// From the first to the second.
    Uniform(f64, f64),
    /// Whole numbers from the first to the second, both included.
    Ints(i64, i64),
}

/// What the file's `tune` block asks for. `None`: it has none.
pub fn tuning(resolved: &Resolved, settings: &Settings) -> Result<Option<Tuning>, Vec<Diagnostic>> {
    let work = |elab: &mut Elab<'_>| {
        let resolved: &Resolved = elab.resolved;
        let found = resolved.main_items().find_map(|i| match &i.kind {
            ItemKind::Tune(tune) => Some((tune, i.span)),
            _ => None,
        });
        found.map(|(tune, span)| block(elab, tune, span)).transpose()
    };
    run(resolved, settings, work).map(|(tuning, _)| tuning)
}

/// Checks all `tune` blocks, and the domains of the hypers.
pub(crate) fn check<'a>(elab: &mut Elab<'a>) -> Eval<()> {
    let before = elab.diagnostics.len();
    let resolved: &'a Resolved = elab.resolved;
    for item in resolved.main_items() {
        if let ItemKind::Hyper(hyper @ ast::Hyper { domain: Some(expr), .. }) = &item.kind {
            // A mistake is reported where it is noticed; the next hyper has its own.
            let _ = domain(elab, expr).and_then(|_| values_fit(elab, hyper, expr));
        }
    }
    // Of several `train` blocks the first is searched where nothing else is said.
    let tuned = resolved.main_items().filter(|_| resolved.is_first_choice());
    for item in tuned {
        if let ItemKind::Tune(tune) = &item.kind {
            let _ = block(elab, tune, item.span);
        }
    }
    if elab.diagnostics.len() > before { Err(Failed) } else { Ok(()) }
}

/// The values of a list are of the hyper's type.
fn values_fit<'a>(elab: &mut Elab<'a>, hyper: &'a ast::Hyper, domain: &'a ast::Expr) -> Eval<()> {
    let (Some(ty), ExprKind::List(values)) = (&hyper.ty, &domain.kind) else { return Ok(()) };
    let top = elab.tops[0].clone();
    for value in values {
        let value = elab.spanned(&value.value, &top)?;
        elab.coerce(value, ty, &hyper.name.text, &top)?;
    }
    Ok(())
}

fn block<'a>(elab: &mut Elab<'a>, tune: &'a ast::TuneDecl, span: Span) -> Eval<Tuning> {
    for key in &tune.keys {
        let name = &*key.name.text;
        if !vocabulary::tune().any(|k| k.0 == name) {
            let message = format!("`tune` has no setting `{name}`");
            let help = names::near_or_all(name, "settings are", vocabulary::tune().map(|k| k.0));
            elab.report(Diagnostic::new(Code::E0802, key.name.span, message).help_at(key.name.span, help));
        }
        let first = tune.keys.iter().find(|k| k.name.text == key.name.text).expect("the key itself is one");
        if first.name.span != key.name.span {
            elab.report(crate::resolve::twice(&key.name, first.name.span).help("a key is given once"));
        }
    }
    let value = |name: &str| tune.keys.iter().find(|k| &*k.name.text == name);
    let search = value("search").map(|k| search(elab, &k.value)).transpose()?.unwrap_or(Search::Tpe(TRIALS));
    let seed = value("seed").map(|k| seed(elab, &k.value)).transpose()?.unwrap_or(0);
    let (part, metric) = target(elab, [value("minimize"), value("maximize")], span)?;
    let domains = domains(elab, search, span)?;
    Ok(Tuning { search, part, metric, maximize: value("maximize").is_some(), seed, domains })
}

/// Trials where the block does not say.
const TRIALS: usize = 30;

fn seed<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr) -> Eval<u64> {
    let top = elab.tops[0].clone();
    match elab.eval(expr, &top)? {
        Value::Int(i) => Ok(i as u64),
        other => Err(elab.wrong_kind(&other, "a whole number", expr.span)),
    }
}

/// Exactly one of `minimize` and `maximize`, and it is there.
fn target<'a>(elab: &mut Elab<'a>, given: [Option<&'a ast::Key>; 2], span: Span) -> Eval<(String, String)> {
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
        Some(train) => watch::target(elab, train, &key.value),
        None => Err(elab.fail(Code::E0804, key.value.span, "there is no `train` block to tune")),
    }
}

/// `tpe(trials: 30)`, `random(trials: 30)`, `grid()`
fn search<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr) -> Eval<Search> {
    let form = "`search` is `tpe(trials: 30)`, `random(trials: 30)` or `grid()`";
    let ExprKind::Call { callee, args } = &expr.kind else {
        return Err(elab.fail(Code::E0804, expr.span, form));
    };
    let trials =
        |arg: &ast::Arg| arg.label.as_ref().and_then(|l| l.word()).is_some_and(|w| &*w.text == "trials");
    let random: fn(usize) -> Search = match (callee.name().as_ref().map(|n| &*n.text), &args[..]) {
        (Some("grid"), []) => return Ok(Search::Grid),
        (Some("tpe"), [arg]) if trials(arg) => Search::Tpe,
        (Some("random"), [arg]) if trials(arg) => Search::Random,
        _ => return Err(elab.fail(Code::E0804, expr.span, form)),
    };
    let top = elab.tops[0].clone();
    match elab.eval(&args[0].value, &top)?.number() {
        Some(n) if n >= 1.0 && n.fract() == 0.0 => Ok(random(n as usize)),
        _ => Err(elab.fail(Code::E0804, args[0].value.span, "`trials` is a whole number, at least 1")),
    }
}

/// What is searched: there is something, and a grid has ends. What is wrong with a domain itself is told where it stands.
fn domains<'a>(elab: &mut Elab<'a>, search: Search, span: Span) -> Eval<Vec<(String, Domain)>> {
    let resolved: &'a Resolved = elab.resolved;
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
    let mut domains = vec![];
    for (name, expr) in searched {
        let domain = domain(elab, expr)?;
        if search == Search::Grid && matches!(domain, Domain::Log(..) | Domain::Uniform(..)) {
            let message = format!("a grid tries all values, and `{}` has endlessly many", name.text);
            let diagnostic = Diagnostic::new(Code::E0804, expr.span, message);
            return Err(elab.error(diagnostic.help("a list: `in [1e-4, 1e-3]`")));
        }
        if !elab.settings.set.contains_key(&*name.text) {
            domains.push((name.text.to_string(), domain));
        }
    }
    Ok(domains)
}

/// A list, `log(a, b)`, `uniform(a, b)` or `ints(a, b)`.
fn domain<'a>(elab: &mut Elab<'a>, expr: &'a ast::Expr) -> Eval<Domain> {
    let form = "a domain is a list, `log(a, b)`, `uniform(a, b)` or `ints(a, b)`";
    let top = elab.tops[0].clone();
    let ExprKind::Call { callee, args } = &expr.kind else {
        let texts = match elab.eval(expr, &top)? {
            Value::List(all) => all.iter().map(literal).collect::<Option<Vec<String>>>(),
            _ => None,
        };
        return match texts.filter(|all| !all.is_empty()) {
            Some(all) => Ok(Domain::List(all)),
            None => Err(elab.fail(Code::E0804, expr.span, form)),
        };
    };
    let mut ends = vec![];
    for arg in args {
        ends.extend(elab.eval(&arg.value, &top)?.number());
    }
    let name = callee.name();
    let message = match (name.as_ref().map(|n| &*n.text), &ends[..]) {
        (Some("log"), [a, b]) if *a > 0.0 && a < b => return Ok(Domain::Log(*a, *b)),
        (Some("uniform"), [a, b]) if a < b => return Ok(Domain::Uniform(*a, *b)),
        (Some("ints"), [a, b]) if a < b && a.fract() == 0.0 && b.fract() == 0.0 => {
            return Ok(Domain::Ints(*a as i64, *b as i64));
        }
        (Some("log"), [_, _]) => "`log` runs from a positive number to a larger one",
        (Some("ints"), [_, _]) => "`ints` runs from a whole number to a larger one",
        (Some("uniform"), [_, _]) => "`uniform` runs from a number to a larger one",
        _ => form,
    };
    Err(elab.fail(Code::E0804, expr.span, message))
}
