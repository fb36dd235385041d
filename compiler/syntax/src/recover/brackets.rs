//! Brackets without a partner. A declaration's key word at the beginning of a line closes everything before it, and
//! a reserved word that begins a statement closes `(` and `[`: so the blame falls near the mistake.
use super::{Repair, misplaced, region};
use crate::tokens::{Kind, Token, closing, tokens};
use stmc_base::{Code, Diagnostic};

/// Reports them and gives up the declarations that they are in.
pub(super) fn repair(repair: &mut Repair) {
    let text = repair.text.clone();
    let tokens = tokens(&text);
    let mut search =
        Search { repair, text: &text, tokens: &tokens, open: vec![], damaged: vec![], spoilt: false };
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
    /// The declaration has a mistake already; what else is odd in it is probably its echo.
    spoilt: bool,
}

impl<'a> Search<'a> {
    fn run(&mut self) {
        for token in self.tokens {
            if self.begins_declaration(token) {
                self.close_all(token);
                self.spoilt = false;
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
        matches!(token.text, "let" | "carry" | "yield")
            && token.kind == Kind::Word
            && self.text[token.end()..].starts_with(' ')
            && self.text[..token.start].trim_end_matches(' ').ends_with('\n')
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
            Some(open) if self.open.iter().any(|o| closing(o.text) == token.text) => {
                let here = token.span(self.repair.source);
                let note = format!("`{}` closes something else", token.text);
                self.unclosed(open, |d| d.label(here, note).help(format!("add `{}`", closing(open.text))));
                while self.open.pop().is_some_and(|o| closing(o.text) != token.text) {}
            }
            Some(_) => self.closes_nothing(token),
            None => self.unopened(token),
        }
    }

    fn unclosed(&mut self, open: Token, more: impl FnOnce(Diagnostic) -> Diagnostic) {
        let span = open.span(self.repair.source);
        let diagnostic = Diagnostic::new(Code::E0103, span, format!("this `{}` is not closed", open.text));
        self.report(open.start, more(diagnostic));
    }

    fn unopened(&mut self, close: &Token) {
        let (mut item, _) = region::item(self.text, self.tokens, close.start);
        while self.text[item..close.start].starts_with("///") {
            item += self.text[item..].find('\n').map_or(0, |n| n + 1);
        }
        let head = &self.text[item..close.start];
        // At the start of a file blank lines may stand before it.
        let (item, head) = (close.start - head.trim_start().len(), head.trim_start());
        if close.text != "}" || head.contains('{') || head.is_empty() {
            return self.closes_nothing(close);
        }
        let head_end = item + head.find('\n').unwrap_or(head.len());
        let head_end = self.text[..head_end].trim_end().len();
        let last = self.text[..head_end].chars().next_back().map_or(0, char::len_utf8);
        let span = self.repair.span(head_end - last, head_end);
        let diagnostic = misplaced(span, "the `{` of this block is missing")
            .label(close.span(self.repair.source), "this `}` closes it")
            .help("add `{` at the end of the line");
        self.report(close.start, diagnostic);
    }

    fn closes_nothing(&mut self, close: &Token) {
        let message = format!("this `{}` closes nothing", close.text);
        let diagnostic = Diagnostic::new(Code::E0103, close.span(self.repair.source), message);
        self.report(close.start, diagnostic.help("take it out, or open it before"));
    }

    fn report(&mut self, at: usize, diagnostic: Diagnostic) {
        if !self.spoilt {
            self.repair.report(diagnostic);
        }
        self.spoilt = true;
        self.damaged.push(at);
    }
}
