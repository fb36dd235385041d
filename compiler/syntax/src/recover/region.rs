//! How much of a text is to be given up for one mistake: a statement, or a declaration.
use crate::tokens::{Kind, Token};
use crate::words::{self, ITEMS};

/// The declaration around `at`: from its documentation, or its key word at the beginning of a line, to the next.
pub(super) fn item(text: &str, tokens: &[Token], at: usize) -> (usize, usize) {
    let heads: Vec<usize> = (0..tokens.len()).filter(|i| begins_item(text, &tokens[*i])).collect();
    let next = heads.partition_point(|i| tokens[*i].start <= at);
    let start = next.checked_sub(1).map_or(0, |own| documentation(tokens, heads[own]));
    let end = heads.get(next).map_or(text.len(), |i| documentation(tokens, *i));
    (start, end.max(at))
}

/// Where the documentation before a key word begins; the key word itself where there is none.
fn documentation(tokens: &[Token], head: usize) -> usize {
    let before = tokens[..head].iter().rev();
    let docs = before.take_while(|t| matches!(t.kind, Kind::Doc | Kind::Newline | Kind::Space));
    docs.filter(|t| t.kind == Kind::Doc && t.text.starts_with("///"))
        .last()
        .map_or(tokens[head].start, |t| t.start)
}

/// A key word of declarations in the first column.
pub(super) fn begins_item(text: &str, token: &Token) -> bool {
    let column_0 = token.start == 0 || text.as_bytes()[token.start - 1] == b'\n';
    column_0 && token.kind == Kind::Word && ITEMS.contains(&token.text)
}

/// The statement around `at`: between the line breaks and `;` that stand directly in a block or at the top.
pub(super) fn statement(tokens: &[Token], at: usize) -> (usize, usize) {
    let here = tokens.iter().position(|t| t.end() > at).unwrap_or(tokens.len().saturating_sub(1));
    let mut open: Vec<&str> = vec![];
    let (mut start, mut block_depth) = (0, 0);
    for (i, token) in tokens.iter().enumerate() {
        let in_block = open.last().is_none_or(|o| *o == "{");
        let breaks = token.kind == Kind::Newline && !goes_on(tokens, i) || token.is_sign(";");
        let edge = in_block && (breaks || token.is_sign("}") && !open.is_empty());
        if i == here {
            block_depth = open.iter().rposition(|o| *o == "{").map_or(0, |p| p + 1);
        }
        if i < here && (edge || token.is_sign("{")) {
            start = token.end();
        }
        let ends = i > here || i == here && token.kind != Kind::Newline;
        if ends && edge && open.len() <= block_depth {
            return (start.min(token.start), token.start);
        }
        if token.opens() {
            open.push(token.text);
        } else if token.closes() {
            open.pop();
        }
    }
    let end = tokens.last().map_or(0, Token::end);
    (start.min(end), end)
}

/// Does the statement before this line break go on after it?
fn goes_on(tokens: &[Token], line_break: usize) -> bool {
    let next = tokens[line_break + 1..].iter().find(|t| !t.is_trivia() && t.kind != Kind::Newline);
    let previous = tokens[..line_break].iter().rev().find(|t| !t.is_trivia());
    next.is_some_and(|t| words::goes_on(t.text)) || previous.is_some_and(|t| words::awaits_more(t.text))
}

/// What to blank for a mistake at `blamed` that the grammar noticed at `noticed`, which is not before it: the
/// statements of both; the declaration where there is no block around, or nothing left to blank.
pub(super) fn broken(text: &str, tokens: &[Token], blamed: usize, noticed: usize) -> (usize, usize) {
    let start = statement(tokens, blamed).0;
    let end = statement(tokens, noticed).1.max(start);
    let (item_start, item_end) = item(text, tokens, noticed);
    let inside = text[item_start..start.max(item_start)].contains('{')
        && tokens.iter().any(|t| t.is_sign("}") && t.start >= end);
    if inside && !text[start..end].trim().is_empty() {
        (start, end)
    } else {
        (item_start.min(start), item_end)
    }
}
