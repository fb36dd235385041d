//! The tokens of a text with what stands before each, and the line breaks that do not depend on the width.
use crate::tokens::{Kind, Token, tokens};
use std::ops::Range;

/// What stands before a token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Before {
    /// Nothing.
    Joined,
    /// Blanks.
    Blanks,
    /// A line break.
    Line,
    /// Empty lines.
    EmptyLine,
}

/// A token that is no blank.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'t> {
    pub(super) token: Token<'t>,
    pub(super) before: Before,
}

impl<'t> Piece<'t> {
    /// As it is written.
    pub(super) fn text(&self) -> &'t str {
        self.token.text.trim_end()
    }

    /// In characters.
    pub(super) fn width(&self) -> usize {
        self.text().chars().count()
    }

    pub(super) fn begins_line(&self) -> bool {
        self.before >= Before::Line
    }

    pub(super) fn is_comment(&self) -> bool {
        self.token.kind == Kind::Comment
    }

    /// Neither a comment nor documentation.
    pub(super) fn is_code(&self) -> bool {
        !matches!(self.token.kind, Kind::Comment | Kind::Doc)
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.token.text == text && matches!(self.token.kind, Kind::Sign | Kind::Word)
    }

    /// 1 if it opens a bracket, -1 if it closes one.
    pub(super) fn nesting(&self) -> i32 {
        i32::from(self.token.opens()) - i32::from(self.token.closes())
    }

    fn break_before(&mut self) {
        self.before = self.before.max(Before::Line);
    }
}

/// The pieces of a text.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = vec![];
    let (mut blanks, mut lines) = (false, 0);
    for token in tokens(text) {
        match token.kind {
            Kind::Space => blanks = true,
            Kind::Newline => lines += 1,
            // The byte order mark; nothing else in a text that parses is stray.
            Kind::Stray => {}
            _ => {
                let before = match lines {
                    0 if pieces.is_empty() => Before::Line,
                    0 if blanks => Before::Blanks,
                    0 => Before::Joined,
                    1 => Before::Line,
                    _ => Before::EmptyLine,
                };
                pieces.push(Piece { token, before });
                (blanks, lines) = (false, 0);
            }
        }
    }
    pieces
}

/// The pieces of each line.
pub(super) fn lines(pieces: &[Piece]) -> Vec<Range<usize>> {
    let starts: Vec<usize> = (0..pieces.len()).filter(|i| pieces[*i].begins_line()).collect();
    let ends = starts.iter().skip(1).copied().chain([pieces.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// For each bracket its partner. `None`: the piece is no bracket.
pub(super) fn partners(pieces: &[Piece]) -> Vec<Option<usize>> {
    let mut partners = vec![None; pieces.len()];
    let mut open = vec![];
    for (i, piece) in pieces.iter().enumerate() {
        if piece.token.opens() {
            open.push(i);
        } else if piece.token.closes() {
            let begin: usize = open.pop().expect("the brackets of a text that parses are in pairs");
            partners[begin] = Some(i);
            partners[i] = Some(begin);
        }
    }
    partners
}

/// The line breaks that have to be, whatever the width. A `;` at the end of a line goes.
pub(super) fn tidy(pieces: &mut Vec<Piece>) {
    join_bodies(pieces);
    let partners = partners(pieces);
    let spans_lines =
        |pieces: &[Piece], open: usize, close: usize| pieces[open + 1..=close].iter().any(Piece::begins_line);
    for open in 0..pieces.len() {
        let Some(close) = partners[open].filter(|close| *close > open) else { continue };
        if !spans_lines(pieces, open, close) {
            continue;
        }
        if is_block(pieces, open, close) || is_body(pieces, open) {
            open_block(pieces, open, close, &partners);
        }
        // The inputs of a layer whose settings take several lines have a line of their own.
        let is_settings = open >= 2 && pieces[open - 2].is("layer") && pieces[open - 2].begins_line();
        if is_settings && !pieces[close].begins_line() && pieces[close + 1].is("(") {
            pieces[close + 1].break_before();
        }
    }
    drop_semicolons(pieces);
}

fn drop_semicolons(pieces: &mut Vec<Piece>) {
    let mut i = 0;
    while i < pieces.len() {
        let next = pieces.get(i + 1);
        let ends_line = next.is_none_or(|n| n.begins_line() || n.is_comment() || n.token.closes());
        let begins_line = pieces[i].begins_line();
        if pieces[i].is(";") && (ends_line || begins_line) {
            let before = pieces.remove(i).before;
            if begins_line && let Some(next) = pieces.get_mut(i) {
                next.before = next.before.max(before);
            }
        } else {
            i += 1;
        }
    }
}

/// A declaration's `{` stands on the line of its head.
fn join_bodies(pieces: &mut [Piece]) {
    let mut depth = 0;
    for i in 1..pieces.len() {
        depth += pieces[i - 1].nesting();
        if depth == 0 && pieces[i].is("{") && !pieces[i - 1].is_comment() {
            pieces[i].before = Before::Blanks;
        }
    }
}

/// Every statement of the block on a line of its own.
pub(super) fn open_block(pieces: &mut [Piece], open: usize, close: usize, partners: &[Option<usize>]) {
    // A comment may stand between.
    if !pieces[open + 1].is_comment() {
        pieces[open + 1].break_before();
    }
    pieces[close].break_before();
    let mut i = open + 1;
    while i < close {
        if pieces[i].is(";") && !pieces[i + 1].is_comment() {
            pieces[i + 1].break_before();
        }
        i = partners[i].filter(|p| *p > i).unwrap_or(i) + 1;
    }
}

/// The braces of `data d`, `sample at t in time`, `train m on d` and the like, whose head is one line.
pub(super) fn is_body(pieces: &[Piece], open: usize) -> bool {
    let begin = (0..open).rev().find(|i| pieces[*i].begins_line());
    let has_head =
        begin.is_some_and(|i| ["data", "sample", "split", "train", "tune"].iter().any(|w| pieces[i].is(w)));
    let is_value = |p: &Piece| p.token.opens() || matches!(p.text(), "=" | ":" | ",");
    pieces[open].is("{") && has_head && !is_value(&pieces[open - 1])
}

/// Do statements stand in these braces? Otherwise they hold entries, names or nothing.
pub(super) fn is_block(pieces: &[Piece], open: usize, close: usize) -> bool {
    let inside = &pieces[open + 1..close];
    let code: Vec<&Piece> = inside.iter().filter(|p| !p.is_comment()).take(2).collect();
    let is_list = open > 0 && pieces[open - 1].is(".");
    if !pieces[open].is("{") || code.is_empty() || is_list {
        return false;
    }
    let is_entry = code.len() == 2
        && matches!(code[0].token.kind, Kind::Word | Kind::Text)
        && (matches!(code[1].text(), ":" | "," | "~") || code[1].is("=") && !code[0].text().ends_with('\''));
    // `{ let a = x, b: a }` is a record.
    let is_record =
        is_entry || code[0].token.kind == Kind::Doc || code[0].is("let") && has_at_top(inside, ":");
    !is_record || is_entry && has_at_top(inside, ";")
}

/// Is there this sign, outside inner brackets?
fn has_at_top(pieces: &[Piece], sign: &str) -> bool {
    outer(pieces).any(|(_, p)| p.is(sign))
}

/// The pieces outside the brackets of these, with their numbers.
pub(super) fn outer<'p, 't>(pieces: &'p [Piece<'t>]) -> impl Iterator<Item = (usize, &'p Piece<'t>)> {
    let mut depth = 0;
    pieces.iter().enumerate().filter(move |(_, p)| {
        depth += p.nesting();
        depth == 0
    })
}
