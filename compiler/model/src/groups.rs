//! The update rules: one for all weights, or groups of weights by patterns over their paths, the first that matches.
use crate::elab::{Context, Elab, Eval, Failed};
use crate::names;
use crate::value::{Rule, Value};
use std::rc::Rc;
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, Span};
use stmc_ir::module::{EntryGraph, InputRole, Optimizer, OutputRole, Param, ScalarId};
use stmc_ir::ops::Scalar;
use stmc_ir::{NodeId, Op};
use stmc_syntax::ast::{self, ExprKind};

/// The rules, and the learning rate of the last one.
pub(crate) struct Rules {
    pub optimizers: Vec<Optimizer>,
    pub rate: Option<ScalarId>,
}

/// `"*.bias": AdamW(lr: 1e-3)`
struct Group<'a> {
    pattern: Arc<str>,
    span: Span,
    /// `None`: its weights are frozen.
    rule: Option<Rc<Rule<'a>>>,
}

/// The rules, given to the weights. Without any Adam would be a guess at the rate.
pub(crate) fn rules<'a>(elab: &mut Elab<'a>, train: &'a ast::TrainDecl) -> Eval<Rules> {
    let Some(expr) = crate::train::key(elab, train, "optimizer") else {
        let diagnostic = Diagnostic::new(Code::E0802, train.model.span, "`train` has no `optimizer`");
        return Err(elab.error(diagnostic.help("`optimizer = Adam(lr: 1e-3)`, with `use std.optim.Adam`")));
    };
    let top = elab.tops[0].clone();
    let outer = std::mem::replace(&mut elab.place, Context::Plain);
    let value = elab.eval(expr, &top);
    elab.place = outer;
    let groups = match value? {
        Value::Optimizer(rule) => vec![Group { pattern: "*".into(), span: expr.span, rule: Some(rule) }],
        Value::Record(entries) => groups(elab, expr, &entries)?,
        other => return Err(not_a_rule(elab, &other, expr.span)),
    };
    assign(elab, &groups, expr.span)?;
    let (mut optimizers, mut rate) = (vec![], None);
    for group in &groups {
        if let Some(rule) = &group.rule {
            let (optimizer, own) = elab.optimizer(rule, group.span)?;
            optimizers.push(optimizer);
            rate = own;
        }
    }
    Ok(Rules { optimizers, rate })
}

fn not_a_rule(elab: &mut Elab<'_>, value: &Value<'_>, span: Span) -> Failed {
    let message = format!("`optimizer` is an update rule such as `Adam(lr: 1e-3)`, this is {}", value.kind());
    let diagnostic = Diagnostic::new(Code::E0804, span, message);
    elab.error(diagnostic.help("or groups, the first match: `{ \"*.bias\": AdamW(lr: 1e-3, decay: 0), \"encoder.*\": frozen, \"*\": AdamW(lr: 1e-3) }`"))
}

fn groups<'a>(
    elab: &mut Elab<'a>,
    expr: &'a ast::Expr,
    entries: &[(Arc<str>, Value<'a>)],
) -> Eval<Vec<Group<'a>>> {
    let place = |pattern: &Arc<str>| match &expr.kind {
        ExprKind::Record(r) => {
            r.entries.iter().find(|e| e.key.text == *pattern).map_or(expr.span, |e| e.key.span)
        }
        _ => expr.span,
    };
    let (mut groups, mut failed) = (vec![], false);
    for (pattern, value) in entries {
        let span = place(pattern);
        let rule = match value {
            Value::Optimizer(rule) => Some(rule.clone()),
            Value::Frozen => None,
            other => {
                let message = format!("a group has an update rule or is `frozen`, this is {}", other.kind());
                elab.report(Diagnostic::new(Code::E0804, span, message));
                failed = true;
                continue;
            }
        };
        groups.push(Group { pattern: pattern.clone(), span, rule });
    }
    if failed { Err(Failed) } else { Ok(groups) }
}

/// Gives every weight the rule of the first group that its path matches.
fn assign(elab: &mut Elab<'_>, groups: &[Group<'_>], span: Span) -> Eval<()> {
    // Buffers are not trained.
    let paths: Vec<String> =
        elab.weights.params.iter().filter(|p| !p.buffer).map(|p| p.path.clone()).collect();
    let first = |path: &String| groups.iter().position(|g| matches(&g.pattern, path));
    let chosen: Vec<Option<usize>> = paths.iter().map(first).collect();
    let before = elab.diagnostics.len();
    for (n, group) in groups.iter().enumerate() {
        // A model without weights is told so by its dead loss.
        if !paths.is_empty() && !chosen.contains(&Some(n)) {
            let diagnostic = idle(&groups[..n], group, &paths);
            elab.report(diagnostic);
        }
    }
    let left: Vec<&str> =
        paths.iter().zip(&chosen).filter(|(_, c)| c.is_none()).map(|(p, _)| p.as_str()).collect();
    if !left.is_empty() {
        let verb = if left.len() == 1 { "is" } else { "are" };
        let message = format!("{} {verb} in no group of the optimizer", some(&left));
        let help = "a last group `\"*\": …` takes all others; `frozen` leaves them as they are";
        elab.report(Diagnostic::new(Code::E0807, span, message).help(help));
    }
    if elab.diagnostics.len() > before {
        return Err(Failed);
    }
    // Rules are numbered without the frozen groups.
    let number = |n: usize| groups[..n].iter().filter(|g| g.rule.is_some()).count();
    for (param, group) in elab.weights.params.iter_mut().filter(|p| !p.buffer).zip(chosen) {
        param.optimizer = group.filter(|n| groups[*n].rule.is_some()).map(number);
    }
    if !paths.is_empty() && elab.weights.params.iter().all(|p| p.optimizer.is_none()) {
        return Err(elab.fail(Code::E0807, span, "every weight is frozen: there is nothing to train"));
    }
    Ok(())
}

/// The message about a group without weights.
fn idle(before: &[Group<'_>], group: &Group<'_>, paths: &[String]) -> Diagnostic {
    let pattern = &group.pattern;
    let taken = |g: &&Group<'_>| paths.iter().any(|p| matches(pattern, p) && matches(&g.pattern, p));
    if let Some(earlier) = before.iter().find(taken) {
        let message = format!("every weight that `{pattern}` matches is in a group before it");
        let help =
            format!("the first pattern that matches decides: put `{pattern}` before `{}`", earlier.pattern);
        return Diagnostic::new(Code::E0807, group.span, message)
            .label(earlier.span, "in this one")
            .help(help);
    }
    let message = format!("no weight has a path like `{pattern}`");
    let known = candidates(paths);
    let all: Vec<&str> = paths.iter().map(String::as_str).collect();
    let help = match names::nearest(pattern, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `\"{near}\"`?"),
        None => format!("`*` stands for any text; the paths are {}", some(&all)),
    };
    Diagnostic::new(Code::E0807, group.span, message).help(help)
}

/// Patterns that would match: whole paths, their beginnings and their last words.
fn candidates(paths: &[String]) -> Vec<String> {
    let mut all = vec![];
    for path in paths {
        all.push(path.clone());
        all.extend(path.match_indices('.').map(|(at, _)| format!("{}.*", &path[..at])));
        all.extend(path.rsplit('.').next().map(|last| format!("*.{last}")));
    }
    all.sort();
    all.dedup();
    all
}

/// The first few names.
pub(crate) fn some(all: &[&str]) -> String {
    match all.len() {
        0..=4 => names::listed(all.iter().copied()),
        n => {
            let shown: Vec<String> = all[..3].iter().map(|p| format!("`{p}`")).collect();
            format!("{} and {} more", shown.join(", "), n - 3)
        }
    }
}

/// Whether a path is like a pattern, in which `*` stands for any text, dots included.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == path };
    let Some(mut left) = path.strip_prefix(start) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let end = pieces.pop().expect("a split has a piece");
    for piece in pieces {
        let Some(at) = left.find(piece) else { return false };
        left = &left[at + piece.len()..];
    }
    left.ends_with(end)
}

/// Terms of the loss that could train a weight only if it were not frozen.
pub(crate) fn check_terms(elab: &mut Elab<'_>, entry: &EntryGraph) -> Eval<()> {
    let before = elab.diagnostics.len();
    for (role, node) in entry.outputs.iter().zip(&entry.graph.outputs) {
        if let OutputRole::Loss { name, span } = role
            && !reaches_a_weight(entry, *node, &elab.weights.params)
        {
            let message = format!("the term `{name}` has no path to any weight that is trained");
            let diagnostic = Diagnostic::new(Code::E0801, *span, message);
            elab.report(diagnostic.help("every weight that it depends on is `frozen`"));
        }
    }
    if elab.diagnostics.len() > before { Err(Failed) } else { Ok(()) }
}

/// Whether a gradient could flow from a node to a weight that is trained.
fn reaches_a_weight(entry: &EntryGraph, node: NodeId, params: &[Param]) -> bool {
    let mut reached = vec![false; entry.graph.nodes.len()];
    reached[node.index()] = true;
    for i in (0..=node.index()).rev() {
        if !reached[i] {
            continue;
        }
        let node = &entry.graph.nodes[i];
        match &node.op {
            Op::Input { index, .. } => {
                if let InputRole::Param(p) = &entry.inputs[*index as usize]
                    && params[p.index()].optimizer.is_some()
                {
                    return true;
                }
            }
            op if stops(op) => {}
            _ => node.args.iter().for_each(|a| reached[a.index()] = true),
        }
    }
    false
}

/// Whether no gradient flows through an op.
pub(crate) fn stops(op: &Op) -> bool {
    matches!(op, Op::Scalar(Scalar::Stop | Scalar::Less | Scalar::LessEqual | Scalar::Equal) | Op::Cast(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        let cases = [
            ("*", "head.weight", true),
            ("*.bias", "cells.0.bias", true),
            ("*.bias", "bias", false),
            ("encoder.*", "encoder.0.weight", true),
            ("encoder.*", "decoder.0.weight", false),
            ("cells.*.gates.*", "cells.1.gates.weight", true),
            ("*a*a", "aba", true),
            ("*a*a", "a", false),
            ("head.weight", "head.weight", true),
            ("head.weight", "head.weights", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
