//! How many blanks stand between two tokens of a line: none or one.
use super::pieces::{Before, Piece};
use crate::tokens::{Kind, Token};
use crate::words::RESERVED;

/// Words, not reserved, that a value may follow: what looks like a call or a difference may be none.
const VALUE_FOLLOWS: &[&str] = &["missing", "step", "by", "from", "assert", "balance", "augment", "unit"];

/// The blanks before `piece`. `line`: what stands before it on its line, at least one piece.
pub(super) fn gap(line: &[Piece], piece: &Piece, in_list_of_names: bool) -> usize {
    let last = line.len() - 1;
    let previous = &line[last].token;
    let token = &piece.token;
    let asked = usize::from(piece.before > Before::Joined);
    match (previous.text, token.text) {
        ("{", "}") => 0,
        // `use std.nn.{Conv, Linear}` has no blanks inside, records and blocks have.
        ("{", _) | (_, "}") => usize::from(!in_list_of_names),
        (_, "," | ";" | ":" | ")" | "]" | "?" | ".") | ("(" | "[" | ".", _) => 0,
        ("-", _) => after_minus(&line[..last], asked),
        (_, "(" | "[") if VALUE_FOLLOWS.contains(&previous.text) => asked,
        (_, "(" | "[") if ends_value(previous) || previous.is_sign("?") => 0,
        _ => 1,
    }
}

/// Blanks between a `-` and what follows it, by what stands before it on the line.
fn after_minus(before: &[Piece], asked: usize) -> usize {
    match before.last() {
        // `- b` goes on with the line before, `-b` begins a statement.
        None => asked,
        // `missing -999`, `step - 1`: a word or a name.
        Some(p) if VALUE_FOLLOWS.contains(&p.token.text) => asked,
        Some(p) => usize::from(ends_value(&p.token)),
    }
}

/// Can a value end here?
pub(super) fn ends_value(token: &Token) -> bool {
    let is_word = token.kind == Kind::Word;
    token.ends_operand()
        && (!is_word || !RESERVED.contains(&token.text) || matches!(token.text, "true" | "false"))
}
