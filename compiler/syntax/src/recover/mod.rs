//! Messages for a text that does not parse: several of them, in the words of the person who wrote it.
//!
//! Three rounds, each on the text as the round before left it. *Slips* are wrong by themselves (`**`, `'…'`);
//! *brackets* are counted; what is left is found by the *grammar*: parse, explain where it stumbles, blank that
//! statement, parse again. Whatever is repaired keeps its length, so that every span stays true.
mod brackets;
mod division;
mod explain;
mod region;
mod slips;

use crate::ast;
use crate::grammar::{Grammar, Rule};
use crate::tokens::tokens;
use crate::tree::{self, Origin};
use pest::Parser;
use pest::error::{Error, ErrorVariant, InputLocation};
use stmc_base::{Code, Diagnostic, SourceId, Span};

pub(crate) use division::divisions;

/// So many statements are blanked before the rest of the file is given up.
const ROUNDS: usize = 20;

/// The text in repair and what was found.
struct Repair {
    source: SourceId,
    text: String,
    diagnostics: Vec<Diagnostic>,
    /// What stands in the place of something that was reported: what is said of it later is an echo.
    patched: Vec<Span>,
}

/// What parses once every mistake is repaired or blanked, and every mistake that could be told apart; at least one.
/// `text` does not parse.
pub(crate) fn diagnose(source: SourceId, text: &str) -> (Option<ast::File>, Vec<Diagnostic>) {
    let mut repair = Repair { source, text: text.to_string(), diagnostics: vec![], patched: vec![] };
    division::repair(&mut repair);
    slips::repair(&mut repair);
    brackets::repair(&mut repair);
    let remains = repair.by_grammar();
    let mut diagnostics = repair.diagnostics;
    diagnostics.sort_by_key(|d| d.labels[0].span);
    (remains, diagnostics)
}

impl Repair {
    /// Replaces bytes `start .. end` by blanks; line breaks stay. `false`: they were blank already.
    fn blank(&mut self, start: usize, end: usize) -> bool {
        let blanks: String =
            self.text[start..end].bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }).collect();
        let changed = self.text[start..end] != blanks;
        self.text.replace_range(start..end, &blanks);
        changed
    }

    /// Replaces bytes `start .. end` by something of the same length that parses.
    fn patch(&mut self, start: usize, end: usize, with: &str) {
        let length = end - start;
        let patch = format!("{with:<length$}");
        self.text.replace_range(start..end, &patch[..length]);
        self.patched.push(self.span(start, end));
    }

    fn is_echo(&self, diagnostic: &Diagnostic) -> bool {
        let touches = |a: Span, b: Span| a.start < b.end && b.start < a.end;
        diagnostic.labels.iter().any(|l| self.patched.iter().any(|p| touches(l.span, *p)))
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.source, start, end)
    }

    fn by_grammar(&mut self) -> Option<ast::File> {
        for _ in 0..ROUNDS {
            let text = self.text.clone();
            match Grammar::parse(Rule::file, &text) {
                Ok(mut pairs) => {
                    let file = pairs.next().expect("a parse gives its rule");
                    let (file, diagnostics) = tree::build(self.source, &text, Origin::Repaired, file);
                    let told: Vec<_> = diagnostics.into_iter().filter(|d| !self.is_echo(d)).collect();
                    self.diagnostics.extend(told);
                    return Some(file);
                }
                Err(error) => {
                    if !self.stumble(&text, &error) {
                        return None;
                    }
                }
            }
        }
        None
    }

    /// Reports where the grammar stumbled and blanks it. `false`: there is nothing more to try.
    fn stumble(&mut self, text: &str, error: &Error<Rule>) -> bool {
        let (InputLocation::Pos(at) | InputLocation::Span((at, _))) = error.location;
        let ErrorVariant::ParsingError { positives: expected, .. } = &error.variant else {
            // Pest says in its own words that the stack is used up; nothing else is a custom error.
            self.report(tree::too_deep(deepest(self.source, text)));
            return false;
        };
        let tokens = tokens(text);
        let diagnostic = explain::explain(self.source, text, &tokens, at, expected);
        // What is to blame and where the grammar stumbled may be two statements.
        let blamed = (diagnostic.labels[0].span.start as usize).min(at);
        if !self.is_echo(&diagnostic) {
            self.report(diagnostic);
        }
        let (start, end) = region::broken(text, &tokens, blamed, at);
        self.blank(start, end)
    }
}

/// The bracket that is nested deepest.
fn deepest(source: SourceId, text: &str) -> Span {
    let (mut depth, mut deepest, mut place) = (0usize, 0, 0);
    for token in tokens(text) {
        if token.opens() {
            depth += 1;
        } else if token.closes() {
            depth = depth.saturating_sub(1);
        }
        if depth > deepest && deepest <= tree::MAX_DEPTH {
            (deepest, place) = (depth, token.start);
        }
    }
    Span::new(source, place, (place + 1).min(text.len()))
}

/// A diagnostic that says what cannot stand where it stands.
fn misplaced(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Code::E0101, span, message)
}
