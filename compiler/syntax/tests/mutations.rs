//! Damaged and monstrous texts: whatever is taken away, doubled or nested, there is no panic, and what does not parse
//! gives a message with a place in the text.
use std::path::Path;
use stmc_base::{Code, SourceId};

/// Checks what a text leads to, and says whether it parses.
fn check(text: &str) -> bool {
    let parsed = stmc_syntax::parse(SourceId(0), text);
    assert_eq!(parsed.file.is_none(), !parsed.diagnostics.is_empty(), "a tree or messages:\n{text}");
    for diagnostic in &parsed.diagnostics {
        for label in &diagnostic.labels {
            let (start, end) = (label.span.start as usize, label.span.end as usize);
            assert!(
                text.get(start..end).is_some(),
                "{}: {start}..{end} is in the text:\n{text}",
                diagnostic.message
            );
        }
        let span = diagnostic.labels[0].span;
        assert!(
            span.end > span.start || text.is_empty(),
            "`{}` shows something:\n{text}",
            diagnostic.message
        );
    }
    parsed.file.is_some()
}

/// Where words, numbers and signs begin and end; a plain scan, for the mutations only.
fn pieces(text: &str) -> Vec<(usize, usize)> {
    let mut pieces = vec![];
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for line_start in std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)) {
        let line = text[line_start..].lines().next().unwrap_or("");
        let code = line.find("//").map_or(line, |i| &line[..i]);
        let mut last: Option<(usize, usize, bool)> = None;
        for (i, c) in code.char_indices().filter(|(_, c)| !c.is_whitespace()) {
            let (at, end) = (line_start + i, line_start + i + c.len_utf8());
            match &mut last {
                Some((_, until, was_word)) if *until == at && *was_word && word(c) => *until = end,
                _ => {
                    pieces.extend(last.map(|(a, b, _)| (a, b)));
                    last = Some((at, end, word(c)));
                }
            }
        }
        pieces.extend(last.map(|(a, b, _)| (a, b)));
    }
    pieces
}

#[test]
fn one_token_less_or_twice() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let (mut tried, mut parse) = (0, 0);
    for (program, every) in [("nowcast.stm", 9), ("everything.stm", 14)] {
        let text = std::fs::read_to_string(folder.join(program)).unwrap();
        assert!(check(&text), "{program} parses");
        for (i, (start, end)) in pieces(&text).into_iter().enumerate() {
            let damaged = match i % every {
                0 => format!("{}{}", &text[..start], &text[end..]),
                1 => format!("{} {}{}", &text[..end], &text[start..end], &text[end..]),
                _ => continue,
            };
            tried += 1;
            parse += usize::from(check(&damaged));
        }
    }
    assert!(tried > 150 && parse < tried / 2, "{parse} of {tried} damaged programs parse");
}

#[test]
fn cut_anywhere() {
    let text = include_str!("programs/nowcast.stm");
    for end in (0..text.len()).step_by(97).filter(|i| text.is_char_boundary(*i)) {
        check(&text[..end]);
    }
}

/// `depth` times `open`, then `middle`, then as often `close`.
fn nested(depth: usize, open: &str, middle: &str, close: &str) -> String {
    format!("let a = {}{middle}{}\n", open.repeat(depth), close.repeat(depth))
}

#[test]
fn nesting_is_bounded() {
    const KINDS: &[(&str, &str, &str)] = &[
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("f(", "1", ")"),
        ("x[a: ", "1", "]"),
        ("{ a: ", "1", "}"),
        ("{ let a = 1; ", "a", "}"),
        ("-", "1", ""),
        ("not ", "a", ""),
        ("1 + ", "1", ""),
        ("2 ^ ", "1", ""),
        ("x |> ", "f", ""),
        ("if a then b else ", "c", ""),
        ("if a then ", "b", " else c"),
        ("[for x in y => ", "x", "]"),
        ("for x in y { yield ", "x", "}"),
        ("f", "", ".a"),
    ];
    for (open, middle, close) in KINDS {
        let shallow = nested(if *close == ".a" { 1 } else { 60 }, open, middle, close);
        assert!(check(&shallow), "60 deep: {open}");
        for depth in [400, 4_000] {
            let deep = match *close {
                ".a" => format!("let a = f{}\n", close.repeat(depth)),
                _ => nested(depth, open, middle, close),
            };
            let parsed = stmc_syntax::parse(SourceId(0), &deep);
            let codes: Vec<Code> = parsed.diagnostics.iter().map(|d| d.code).collect();
            assert_eq!(codes, [Code::E0106], "{depth} deep: {open}");
        }
    }
}

#[test]
fn nested_types_are_bounded() {
    let deep = |n: usize| format!("fn f(x: {}int{}) = x\n", "[".repeat(n), "]".repeat(n));
    assert!(check(&deep(20)));
    let parsed = stmc_syntax::parse(SourceId(0), &deep(20_000));
    assert!(parsed.diagnostics.iter().any(|d| d.code == Code::E0106));
}

#[test]
fn odd_texts() {
    for text in ["", "\n\n", "\u{feff}let a = 1\n", "// only a comment", "//! only\n", "\r\nlet a = 1\r\n"] {
        assert!(check(text), "{text:?}");
    }
    for text in
        ["\0", "let", "é", "\"", "'", "{", "}", "let a = \"\\", "////", "/// x", "let a = 1 \u{200b}", "𝛼"]
            .into_iter()
            // A block's head is missing its brace: blank lines before it, and a last letter of two bytes.
            .chain(["  \n \n  scan: x }\n}\n", "é }", "\n\n model é\n }"])
    {
        let comment = text == "////";
        assert_eq!(check(text), comment, "{text:?}");
    }
}
