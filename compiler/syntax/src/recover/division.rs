//! `n // 2` parses: the rest of the line is a comment. Where that comment could only be an operand, it is one.
use super::Repair;
use crate::tokens::{Kind, Token, tokens};
use stmc_base::{Code, Diagnostic, SourceId, Span};

/// A message for every `//` that was meant to divide.
pub(crate) fn divisions(source: SourceId, text: &str) -> Vec<Diagnostic> {
    if !text.lines().any(|line| line.match_indices("//").any(|(at, _)| is_operand(&line[at + 2..]))) {
        return vec![];
    }
    let tokens = tokens(text);
    meant_to_divide(&tokens).map(|i| diagnostic(source, &tokens, i)).collect()
}

/// Reports them and takes them for products.
pub(super) fn repair(repair: &mut Repair) {
    let text = repair.text.clone();
    let tokens = tokens(&text);
    for i in meant_to_divide(&tokens) {
        repair.report(diagnostic(repair.source, &tokens, i));
        repair.patch(tokens[i].start, tokens[i].start + 2, "*");
    }
}

fn diagnostic(source: SourceId, tokens: &[Token], i: usize) -> Diagnostic {
    let comment = tokens[i];
    let left = operand_before(tokens, i);
    let right = operand_text(comment.text);
    let mut span = comment.span(source);
    span.end = span.start + 2;
    let shown: String = left.iter().map(|t| t.text).collect();
    let shown = if left.is_empty() { "…" } else { &shown };
    let call = format!("div({shown}, {right})");
    let diagnostic = Diagnostic::new(Code::E0102, span, "`//` starts a comment, it does not divide")
        .help(format!("write `{call}`, which floors; if it is a comment, say it in words"));
    let Some(first) = left.first().filter(|first| begins_product(tokens, first.start)) else {
        return diagnostic;
    };
    let end = comment.start + comment.text.find(right).unwrap_or(0) + right.len();
    diagnostic.fix(Span::new(source, first.start, end), call)
}

/// Whether no factor stands before the operand that begins at a byte: `a * b // c` divides the product.
fn begins_product(tokens: &[Token], start: usize) -> bool {
    let before = tokens.iter().rev().find(|t| t.start < start && t.kind != Kind::Space);
    before.is_none_or(|t| !matches!(t.text, "*" | "/" | "^" | "-") && !t.closes())
}

/// The comments that divide, by their place among the tokens.
fn meant_to_divide<'a>(tokens: &'a [Token]) -> impl Iterator<Item = usize> + 'a {
    (1..tokens.len()).filter(|i| {
        // `n   // 2`, with a gap, is a comment in a column.
        let before = match tokens[i - 1] {
            Token { kind: Kind::Space, text: " ", .. } if *i > 1 => &tokens[i - 2],
            ref token => token,
        };
        tokens[*i].kind == Kind::Comment && before.ends_operand() && is_operand(&tokens[*i].text[2..])
    })
}

/// Can this comment be read as an operand? `16)`, `2 + 1`, `x.channel`, `width)`; not `size`, which is a word.
fn is_operand(comment: &str) -> bool {
    let comment = comment.trim_start_matches(' ').trim_end();
    let number = |s: &str| {
        s.starts_with(|c: char| c.is_ascii_digit()) && s.chars().all(|c| c.is_ascii_digit() || c == '_')
    };
    let numbers = comment.split_whitespace().all(|piece| {
        matches!(piece, "+" | "-" | "*" | "/" | "^") || number(piece.trim_matches(['(', ')', ']', '}', ',']))
    });
    if numbers {
        return comment.starts_with(|c: char| c.is_ascii_digit());
    }
    let name = comment.trim_end_matches([')', ']', '}', ',', ' ']);
    let words: Vec<&str> = name.split('.').collect();
    let named =
        words.iter().all(|w| !w.is_empty() && w.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    // `x.channel` is an extent; `nn.Conv2d` and `std.nn.Conv` tell where something comes from.
    let extent = words.len() == 2 && !name.contains(|c: char| c.is_ascii_uppercase()) && name == comment;
    let closes = comment.contains(')') && !comment.contains('(');
    named && (extent || closes)
}

fn operand_text(comment: &str) -> &str {
    let inner = comment[2..].trim();
    let end =
        inner.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.')).unwrap_or(inner.len());
    &inner[..end]
}

/// The words and points just before the comment. Empty where that is more.
fn operand_before<'t>(tokens: &[Token<'t>], i: usize) -> Vec<Token<'t>> {
    let before = tokens[..i].iter().rev().skip_while(|t| t.kind == Kind::Space);
    let operand = before.take_while(|t| matches!(t.kind, Kind::Word | Kind::Number) || t.is_sign("."));
    let mut operand: Vec<Token> = operand.copied().collect();
    operand.reverse();
    operand
}
