//! Damaged programs: whatever a slip of the keyboard makes of a text, it is refused with a message or it is a program.
//! Nothing panics.
use crate::common::elaborated;
use stmc_model::Request;

const NOWCAST: &str = include_str!("nowcast.stm");

/// Where the words, numbers and signs of a text stand.
fn tokens(text: &str) -> Vec<(usize, usize)> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = vec![];
    let mut rest = text.char_indices().peekable();
    while let Some((start, c)) = rest.next() {
        let mut end = start + c.len_utf8();
        while word(c)
            && let Some((at, next)) = rest.next_if(|(_, next)| word(*next))
        {
            end = at + next.len_utf8();
        }
        if !c.is_whitespace() {
            out.push((start, end));
        }
    }
    out
}

/// The text with token `i` replaced by another text.
fn with(text: &str, token: (usize, usize), by: &str) -> String {
    format!("{}{by}{}", &text[..token.0], &text[token.1..])
}

fn check(text: &str) {
    if let Err(errors) = elaborated(text, &["hidden=[3, 2]"], Request::Train).1 {
        assert!(!errors.is_empty(), "refused without a word:\n{text}");
    }
}

#[test]
fn damaged_programs_do_not_panic() {
    // Comments are no part of the program.
    let lines: Vec<&str> = NOWCAST.lines().map(|l| l.split("//").next().unwrap_or_default()).collect();
    let text = lines.join("\n").replace("size: 32", "size: 4").replace("batch     = 16", "batch = 2");
    let all = tokens(&text);
    let every: usize = std::env::var("STMC_DAMAGE").ok().and_then(|n| n.parse().ok()).unwrap_or(41);
    for (i, token) in all.iter().enumerate().filter(|(i, _)| i % every == 0) {
        let other = all[(i * 31 + 7) % all.len()];
        let other = text[other.0..other.1].to_string();
        for by in ["", "1", "x", "time", "past", "hidden", other.as_str()] {
            check(&with(&text, *token, by));
        }
    }
}
