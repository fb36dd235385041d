//! Pest's pairs to the tree. What the grammar alone cannot refuse is refused here: a block without a result,
//! chained comparisons, a pipe beside an operator, a date in month 13, text nested too deeply.
mod data;
mod expr;
mod items;
mod statements;
mod types;

use crate::ast;
use crate::grammar::{self, Pair, Parts, Rule};
use std::sync::Arc;
use stmc_base::{Code, Diagnostic, SourceId, Span};

/// How deep expressions and blocks may be nested; an operator counts as a level of its operands.
pub(crate) const MAX_DEPTH: usize = 256;

/// Whose text the pairs are of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The user's own.
    Written,
    /// With blanks where mistakes were: what is missing now was perhaps there.
    Repaired,
}

/// The tree of a `file` pair, and what is wrong with it all the same.
pub(crate) fn build(
    source: SourceId,
    text: &str,
    origin: Origin,
    file: Pair,
) -> (ast::File, Vec<Diagnostic>) {
    let mut builder = Builder { source, text, origin, depth: 0, diagnostics: vec![] };
    let file = builder.file(file);
    (file, builder.diagnostics)
}

struct Builder<'a> {
    source: SourceId,
    text: &'a str,
    origin: Origin,
    depth: usize,
    diagnostics: Vec<Diagnostic>,
}

impl Builder<'_> {
    fn file(&mut self, pair: Pair) -> ast::File {
        let span = Span::new(self.source, 0, self.text.len());
        let mut parts = Parts::of(pair);
        let doc = doc_lines(&mut parts, Rule::module_doc);
        let mut items = vec![];
        loop {
            let doc = doc_lines(&mut parts, Rule::doc);
            let Some(pair) = parts.next() else { break };
            let first = items.len();
            self.item(pair, &mut items);
            items[first].doc = doc;
        }
        ast::File { doc, items, span }
    }

    fn span(&self, pair: &Pair) -> Span {
        grammar::span(self.source, pair)
    }

    fn name(&self, pair: &Pair) -> ast::Name {
        ast::Name { text: Arc::from(pair.as_str().trim_end_matches('\'')), span: self.span(pair) }
    }

    fn take_name(&self, parts: &mut Parts) -> ast::Name {
        self.name(&parts.need(Rule::name))
    }

    fn snippet(&self, span: Span) -> &str {
        &self.text[span.start as usize..span.end as usize]
    }

    fn refuse(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Builds one level deeper, or `levels` where operators nest. `None`: too deep, which is reported once.
    fn nested<T>(&mut self, levels: usize, span: Span, build: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.depth + levels > MAX_DEPTH {
            self.too_deep(span);
            return None;
        }
        self.depth += levels;
        let built = build(self);
        self.depth -= levels;
        Some(built)
    }

    fn too_deep(&mut self, span: Span) {
        if !self.diagnostics.iter().any(|d| d.code == Code::E0106) {
            self.refuse(too_deep(span));
        }
    }
}

/// The refusal of what begins at a place.
pub(crate) fn too_deep(span: Span) -> Diagnostic {
    let here = Span { end: span.end.min(span.start + 1), ..span };
    Diagnostic::new(Code::E0106, here, format!("this is nested more than {MAX_DEPTH} deep"))
        .help("name the inner parts with `let`; every bracket, operator and `else` is a level")
}

/// The documentation before the next part, without its slashes. `None`: there is none.
fn doc_lines(parts: &mut Parts, rule: Rule) -> Option<String> {
    let mut lines = vec![];
    while let Some(pair) = parts.maybe(rule) {
        let line = pair.as_str()[3..].trim_end();
        lines.push(line.strip_prefix(' ').unwrap_or(line).to_string());
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}
