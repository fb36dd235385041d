//! Brackets without a partner. A declaration's key word at the beginning of a line closes everything before it, and
//! a reserved word that begins a statement closes `(` and `[`: so the blame falls near the mistake.
use super::{Repair, misplaced, region};
use crate::tokens::{Kind, Token, closing, tokens};
use stmc_base::{Code, Diagnostic};

/// Reports them and gives up the declarations that they are in.
pub(super) fn repair(repair: &mut Repair) {
    let text = repair.text.clone();
    let tokens = tokens(&text);
    let mut search = Search { repair, text: &text, tokens: &tokens, open: vec![], damaged: vec![] };
    search.run();
    let damaged = search.damaged;
    for at in damaged {
        let (start, end) = region::item(&text, &tokens, at);
        repair.blank(start, end);
    }
}

struct Search<'a> {
    repair: &'a mut Repair,
    text: &'a str,
    tokens: &'a [Token<'a>],
    /// The brackets that are open.
    open: Vec<Token<'a>>,
    /// Places whose declarations cannot be read.
    damaged: Vec<usize>,
}

impl<'a> Search<'a> {
    fn run(&mut self) {
        for token in self.tokens {
            if self.begins_declaration(token) {
                self.close_all(token);
            } else if self.begins_statement(token) {
                self.close_round(token);
            }
            if token.opens() {
                self.open.push(*token);
            } else if token.closes() {
                self.close(token);
            }
        }
        if let Some(open) = self.open.last().copied() {
            self.unclosed(open, |d| d.help(format!("add `{}` at the end", closing(open.text))));
        }
    }

    /// `let`, `axis` and `assert` begin statements too.
    fn begins_declaration(&self, token: &Token) -> bool {
        region::begins_item(self.text, token) && !matches!(token.text, "let" | "axis" | "assert")
    }

    fn begins_statement(&self, token: &Token) -> bool {
        let line = self.text[..token.start].rsplit('\n').next().unwrap_or_default();
        matches!(token.text, "let" | "carry" | "yield")
            && token.kind == Kind::Word
            && line.trim().is_empty()
            && self.text[token.end()..].starts_with(' ')
    }

    fn close_all(&mut self, by: &Token) {
        if let Some(open) = self.open.last().copied() {
            let here = by.span(self.repair.source);
            let note = format!("`{}` begins a new declaration", by.text);
            self.unclosed(open, |d| {
                d.label(here, note).help(format!("add `{}` before it", closing(open.text)))
            });
            self.open.clear();
        }
    }

    fn close_round(&mut self, by: &Token) {
        let mut outermost = None;
        while let Some(open) = self.open.pop_if(|o| o.text != "{") {
            outermost = Some(open);
        }
        if let Some(open) = outermost {
            let here = by.span(self.repair.source);
            let note = format!("`{}` begins a new statement", by.text);
            self.unclosed(open, |d| {
                d.label(here, note).help(format!("add `{}` before it", closing(open.text)))
            });
        }
    }

    fn close(&mut self, token: &Token<'a>) {
        match self.open.last().copied() {
            Some(open) if closing(open.text) == token.text => {
                self.open.pop();
            }
            Some(open) => {
                let here = token.span(self.repair.source);
                let note = format!("`{}` closes something else", token.text);
                self.unclosed(open, |d| d.label(here, note).help(format!("add `{}`", closing(open.text))));
                while self.open.pop().is_some_and(|o| closing(o.text) != token.text) {}
            }
            None => self.unopened(token),
        }
    }

    fn unclosed(&mut self, open: Token, more: impl FnOnce(Diagnostic) -> Diagnostic) {
        self.damaged.push(open.start);
        let span = open.span(self.repair.source);
        let diagnostic = Diagnostic::new(Code::E0103, span, format!("this `{}` is not closed", open.text));
        self.repair.report(more(diagnostic));
    }

    fn unopened(&mut self, close: &Token) {
        self.damaged.push(close.start);
        let span = close.span(self.repair.source);
        let (item, _) = region::item(self.text, self.tokens, close.start);
        let head = &self.text[item..close.start];
        if close.text == "}" && !head.contains('{') && !head.trim().is_empty() {
            let head_end = item + head.find('\n').unwrap_or(head.len());
            let head_end = self.text[..head_end].trim_end().len();
            let span_of_head = self.repair.span(head_end - 1, head_end);
            self.repair.report(
                misplaced(span_of_head, "the `{` of this block is missing")
                    .label(span, "this `}` closes it")
                    .help("add `{` at the end of the line"),
            );
            return;
        }
        let message = format!("this `{}` closes nothing", close.text);
        self.repair
            .report(Diagnostic::new(Code::E0103, span, message).help("take it out, or open it before"));
    }
}
