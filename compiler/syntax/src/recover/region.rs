//! How much of a text is to be given up for one mistake: a statement, or a declaration.
use crate::tokens::{Kind, Token};
use crate::words::ITEMS;

/// The declaration around `at`: from one of its key words at the beginning of a line to the next.
pub(super) fn item(text: &str, tokens: &[Token], at: usize) -> (usize, usize) {
    let starts = tokens.iter().filter(|t| begins_item(text, t)).map(|t| t.start);
    let start = starts.clone().take_while(|s| *s <= at).last().unwrap_or(0);
    let end = starts.into_iter().find(|s| *s > at).unwrap_or(text.len());
    (start, end)
}

/// A key word of declarations in the first column.
pub(super) fn begins_item(text: &str, token: &Token) -> bool {
    token.kind == Kind::Word && ITEMS.contains(&token.text) && column_0(text, token.start)
}

/// Is this the first byte of a line?
pub(super) fn column_0(text: &str, at: usize) -> bool {
    at == 0 || text.as_bytes()[at - 1] == b'\n'
}

/// The statement around `at`: between the line breaks and `;` that stand directly in a block or at the top.
pub(super) fn statement(tokens: &[Token], at: usize) -> (usize, usize) {
    let here = tokens.iter().position(|t| t.end() > at).unwrap_or(tokens.len().saturating_sub(1));
    let mut open: Vec<&str> = vec![];
    let (mut start, mut block_depth) = (0, 0);
    for (i, token) in tokens.iter().enumerate() {
        let in_block = open.last().is_none_or(|o| *o == "{");
        let breaks = token.kind == Kind::Newline || token.is_sign(";");
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
