//! Slips that a token shows by itself: signs of other languages, numbers and strings that are none.
use super::{Repair, misplaced, region};
use crate::grammar::{Grammar, Rule};
use crate::tokens::{Kind, Token, tokens};
use pest::Parser;
use stmc_base::{Code, Diagnostic};

/// What a slip is replaced by, so that the rest of the file can be read.
#[derive(Clone, Copy)]
enum Fix {
    /// Something that parses in its place.
    With(&'static str),
    /// A number of the same length.
    Number,
    /// A string of the same length.
    Text,
    /// Nothing: the statement is given up.
    Statement,
}

/// A sign that is none here: its text, what to say, what to write, how to go on, what goes in its place.
struct Sign(&'static str, &'static str, &'static str, Fix, Option<&'static str>);

const SIGNS: &[Sign] = &[
    Sign("**", "a power is written `^`", "write `x ^ 2`", Fix::With("^"), Some("^")),
    Sign("===", "`===` is written `==`", "write `==`", Fix::With("=="), Some("==")),
    Sign("&&", "`&&` is written `and`", "write `a and b`", Fix::With("*"), Some("and")),
    Sign("||", "`||` is written `or`", "write `a or b`", Fix::With("*"), Some("or")),
    Sign("&", "`&` is written `and`", "write `a and b`", Fix::With("*"), Some("and")),
    Sign("|", "`|` is written `or`, and a pipe is `|>`", "write `a or b`, or `x |> f`", Fix::With("*"), None),
    Sign("!", "`!` is written `not`", "write `not a`", Fix::With(""), Some("not ")),
    Sign(
        "@",
        "there is no `@`",
        "a matrix product names its axis: `dot(a, b, over: depth)`",
        Fix::With("*"),
        None,
    ),
    Sign("+=", "a value does not change", "a carry's next value is `m' = m + …`", Fix::With("="), None),
    Sign("-=", "a value does not change", "a carry's next value is `m' = m - …`", Fix::With("="), None),
    Sign("*=", "a value does not change", "a carry's next value is `m' = m * …`", Fix::With("="), None),
    Sign("/=", "a value does not change", "a carry's next value is `m' = m / …`", Fix::With("="), None),
    Sign(":=", "`:=` is written `=`", "write `=`", Fix::With("="), Some("=")),
    Sign("::", "`::` is written `.`", "write `std.nn.Conv`", Fix::With("."), Some(".")),
    Sign("...", "a range has two dots", "write `a .. b`", Fix::With(".."), Some("..")),
    Sign("−", "this is not the minus sign of the keyboard", "write `-`", Fix::With("-"), Some("-")),
    Sign("–", "this is not the minus sign of the keyboard", "write `-`", Fix::With("-"), Some("-")),
    Sign("×", "a product is written `*`", "write `*`", Fix::With("*"), Some("*")),
    Sign("·", "a product is written `*`", "write `*`", Fix::With("*"), Some("*")),
    Sign("≤", "`≤` is written `<=`", "write `<=`", Fix::With("<="), Some("<=")),
    Sign("≥", "`≥` is written `>=`", "write `>=`", Fix::With(">="), Some(">=")),
    Sign("≠", "`≠` is written `!=`", "write `!=`", Fix::With("!="), Some("!=")),
    Sign("→", "`→` is written `->`", "write `->`", Fix::With("->"), Some("->")),
    Sign("“", "this is not the quote of the keyboard", "write `\"`", Fix::Statement, Some("\"")),
    Sign("”", "this is not the quote of the keyboard", "write `\"`", Fix::Statement, Some("\"")),
    Sign("‘", "this is not the quote of the keyboard", "write `\"`", Fix::Statement, Some("\"")),
    Sign("’", "this is not the quote of the keyboard", "write `\"`", Fix::Statement, Some("\"")),
];

/// A slip: what to say, and how to go on.
struct Slip {
    diagnostic: Diagnostic,
    fix: Fix,
}

/// Reports the slips and repairs them.
pub(super) fn repair(repair: &mut Repair) {
    let text = repair.text.clone();
    let tokens = tokens(&text);
    let mut done = 0;
    for i in 0..tokens.len() {
        if tokens[i].start < done {
            continue;
        }
        let Some(slip) = slip(repair, &text, &tokens, i) else { continue };
        let span = slip.diagnostic.labels[0].span;
        repair.report(slip.diagnostic);
        done = mend(repair, &tokens, span.start as usize, span.end as usize, slip.fix);
    }
}

/// Repairs `start .. end`; what ends before the result needs no further look.
fn mend(repair: &mut Repair, tokens: &[Token], start: usize, end: usize, fix: Fix) -> usize {
    let length = end - start;
    match fix {
        Fix::With(text) => repair.patch(start, end, text),
        Fix::Number => repair.patch(start, end, &"1".repeat(length)),
        Fix::Text => repair.patch(start, end, &format!("\"{}\"", " ".repeat(length.saturating_sub(2)))),
        Fix::Statement => {
            let (start, mut end) = region::statement(tokens, start);
            // A statement with a block in it is given up with all of it.
            if repair.text[start..end].contains('{') {
                end = region::item(&repair.text, tokens, start).1.max(end);
            }
            repair.blank(start, end);
            return end;
        }
    }
    end
}

fn slip(repair: &Repair, text: &str, tokens: &[Token], i: usize) -> Option<Slip> {
    let token = tokens[i];
    match token.kind {
        Kind::OpenText => Some(open_text(repair, text, &token)),
        Kind::Number => bad_number(repair, &token, tokens.get(i + 1)),
        Kind::Word => prefix(repair, &token, tokens.get(i + 1)),
        Kind::Sign if token.text == "." => half_number(repair, tokens, i),
        Kind::Stray if token.text == "#" => Some(hash(repair, text, &token)),
        Kind::Stray if token.text == "'" => Some(single_quote(repair, text, &token)),
        Kind::Stray if token.text == "%" => Some(percent(repair, tokens, i)),
        Kind::Sign | Kind::Stray => sign(repair, &token).or_else(|| stray(repair, tokens, i)),
        _ => None,
    }
}

fn sign(repair: &Repair, token: &Token) -> Option<Slip> {
    let Sign(_, say, help, fix, instead) = SIGNS.iter().find(|s| s.0 == token.text)?;
    let span = token.span(repair.source);
    let mut diagnostic = Diagnostic::new(Code::E0104, span, *say).help(*help);
    if let Some(instead) = instead {
        diagnostic = diagnostic.fix(span, *instead);
    }
    Some(Slip { diagnostic, fix: *fix })
}

/// A character that is no sign at all; between two operands it was perhaps meant to be one.
fn stray(repair: &Repair, tokens: &[Token], i: usize) -> Option<Slip> {
    let token = tokens[i];
    let solid = |t: &&Token| t.kind != Kind::Space;
    let between = tokens[..i].iter().rev().find(solid).is_some_and(Token::ends_operand)
        && tokens[i + 1..].iter().find(solid).is_some_and(Token::begins_operand);
    (token.kind == Kind::Stray).then(|| Slip {
        diagnostic: misplaced(
            token.span(repair.source),
            format!("the character `{}` means nothing here", token.text.escape_debug()),
        ),
        fix: Fix::With(if between { "*" } else { "" }),
    })
}

/// The end of the line that `at` stands on.
fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |n| at + n)
}

fn hash(repair: &Repair, text: &str, token: &Token) -> Slip {
    let span = repair.span(token.start, line_end(text, token.start));
    let diagnostic = Diagnostic::new(Code::E0104, span, "a comment starts with `//`")
        .help("write `// …`")
        .fix(token.span(repair.source), "//");
    Slip { diagnostic, fix: Fix::With("") }
}

fn single_quote(repair: &Repair, text: &str, token: &Token) -> Slip {
    let end = line_end(text, token.start);
    let end = text[token.end()..end].find('\'').map_or(end, |n| token.end() + n + 1);
    let span = repair.span(token.start, end);
    let mut diagnostic = Diagnostic::new(Code::E0104, span, "strings have double quotes")
        .help("write `\"…\"`; a prime belongs to a carry, as in `h'`");
    if let Some(inner) = text[token.end()..end].strip_suffix('\'').filter(|inner| !inner.contains('"')) {
        diagnostic = diagnostic.fix(span, format!("\"{inner}\""));
    }
    Slip { diagnostic, fix: Fix::Text }
}

fn open_text(repair: &Repair, text: &str, token: &Token) -> Slip {
    let span = repair.span(token.start, line_end(text, token.start));
    let diagnostic =
        misplaced(span, "this string is not closed").help("add the closing `\"`; a string ends on its line");
    Slip { diagnostic, fix: Fix::Statement }
}

/// `7 % 2`, and `80 %` for `80%`.
fn percent(repair: &Repair, tokens: &[Token], i: usize) -> Slip {
    let span = tokens[i].span(repair.source);
    let after_number = i > 1 && tokens[i - 1].kind == Kind::Space && tokens[i - 2].kind == Kind::Number;
    let next = tokens[i + 1..].iter().find(|t| t.kind != Kind::Space);
    if after_number && !next.is_some_and(Token::begins_operand) {
        let diagnostic = misplaced(span, "a percentage has no blank before its `%`")
            .help(format!("write `{}%`", tokens[i - 2].text))
            .fix(repair.span(tokens[i - 1].start, tokens[i].end()), "%");
        return Slip { diagnostic, fix: Fix::With("") };
    }
    let diagnostic = Diagnostic::new(Code::E0104, span, "there is no operator `%`")
        .help("the remainder is `mod(a, b)`; a share of the run is `80%`");
    Slip { diagnostic, fix: Fix::With("*") }
}

/// `1.` and `.5`.
fn half_number(repair: &Repair, tokens: &[Token], i: usize) -> Option<Slip> {
    const SAY: &str = "a number has digits on both sides of its point";
    let point = tokens[i];
    let before = i.checked_sub(1).map(|j| tokens[j]);
    let after = tokens.get(i + 1);
    if let Some(number) = before.filter(|t| t.kind == Kind::Number) {
        let diagnostic = misplaced(repair.span(number.start, point.end()), SAY)
            .help(format!("write `{0}.0`; a range is `{0} ..`", number.text))
            .fix(repair.span(number.start, point.end()), format!("{}.0", number.text));
        return Some(Slip { diagnostic, fix: Fix::Number });
    }
    let number = after.filter(|t| t.kind == Kind::Number)?;
    if before.is_some_and(|t| t.ends_operand()) {
        return None;
    }
    let diagnostic = misplaced(repair.span(point.start, number.end()), SAY)
        .help(format!("write `0.{}`", number.text))
        .fix(repair.span(point.start, number.end()), format!("0.{}", number.text));
    Some(Slip { diagnostic, fix: Fix::Number })
}

/// `f"…"`
fn prefix(repair: &Repair, token: &Token, next: Option<&Token>) -> Option<Slip> {
    let is_prefix = matches!(token.text, "f" | "r" | "b" | "u") && next.is_some_and(|n| n.kind == Kind::Text);
    is_prefix.then(|| {
        let span = token.span(repair.source);
        let diagnostic = Diagnostic::new(Code::E0104, span, "a string has no letter before it")
            .help("write `\"…\"`: what stands in it is taken as it is")
            .fix(span, "");
        Slip { diagnostic, fix: Fix::With("") }
    })
}

/// `2x`, `1e`, `1.2.3`.
fn bad_number(repair: &Repair, token: &Token, next: Option<&Token>) -> Option<Slip> {
    let is = |rule| {
        Grammar::parse(rule, token.text).is_ok_and(|mut p| p.next().is_some_and(|p| p.as_str() == token.text))
    };
    let halved = next.is_some_and(|n| n.is_sign("."));
    if halved || is(Rule::float) || is(Rule::int) || is(Rule::percent) {
        return None;
    }
    let diagnostic = misplaced(token.span(repair.source), format!("`{}` is not a number", token.text));
    let is_number = |n: &usize| token.text.get(..*n).is_some_and(|head| head.parse::<f64>().is_ok());
    let digits = (1..token.text.len()).rev().find(is_number).unwrap_or(token.text.len());
    let (number, word) = token.text.split_at(digits);
    let diagnostic = if matches!(word, "f" | "F" | "d" | "L" | "j") {
        diagnostic.help(format!("write `{number}`")).fix(token.span(repair.source), number)
    } else if token.text.split('.').count() == 3
        && token.text.bytes().all(|b| b == b'.' || b.is_ascii_digit())
    {
        diagnostic.help("a date is `YYYY-MM-DD`: `2020-01-31`")
    } else if word.starts_with(|c: char| c.is_ascii_alphabetic()) {
        diagnostic.help(format!("a product is `{number} * {word}`, a quantity `{number} {word}`"))
    } else {
        diagnostic
    };
    Some(Slip { diagnostic, fix: Fix::Number })
}
