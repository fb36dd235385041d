//! Values that are named and never used. It looks at words alone: one that occurs again in its declaration may be meant.
use crate::tokens::{Kind, Token, tokens};
use crate::words::ITEMS;
use stmc_base::{Code, Diagnostic, SourceId};

/// A warning for each `let` in a declaration whose names do not occur again there.
pub fn unused(source: SourceId, text: &str) -> Vec<Diagnostic> {
    let all: Vec<Token> =
        tokens(text).into_iter().filter(|t| !t.is_trivia() && t.kind != Kind::Doc).collect();
    declarations(&all).into_iter().flat_map(|tokens| unused_in(source, tokens)).collect()
}

/// The tokens of each declaration. What stands at the top of a file may be used by another.
fn declarations<'a, 't>(tokens: &'a [Token<'t>]) -> Vec<&'a [Token<'t>]> {
    let begins = |i: &usize| {
        let first = *i == 0 || tokens[i - 1].kind == Kind::Newline;
        first && tokens[*i].kind == Kind::Word && ITEMS.contains(&tokens[*i].text)
    };
    let mut depth = 0;
    let mut heads = vec![];
    for (i, token) in tokens.iter().enumerate() {
        if depth == 0 && begins(&i) {
            heads.push(i);
        }
        depth += i32::from(token.opens()) - i32::from(token.closes());
    }
    let ends = heads.iter().skip(1).copied().chain([tokens.len()]);
    heads.iter().zip(ends).map(|(start, end)| &tokens[*start..end]).collect()
}

fn unused_in(source: SourceId, tokens: &[Token]) -> Vec<Diagnostic> {
    let lets = (1..tokens.len()).filter(|i| tokens[*i].kind == Kind::Word && tokens[*i].text == "let");
    let mut found = vec![];
    for at in lets {
        for names in bound(&tokens[at + 1..]) {
            // Of several values at once one is enough.
            if names.iter().all(|name| !occurs(tokens, name)) {
                found.push(diagnostic(source, &names[0]));
            }
        }
    }
    found
}

fn diagnostic(source: SourceId, name: &Token) -> Diagnostic {
    let message = format!("`{}` is never used", name.text);
    Diagnostic::new(Code::W0401, name.span(source), message).help("use it, or take it out")
}

/// What `let a = 1, (b, c) = f(x)` binds: the names of each value.
fn bound<'t>(tokens: &[Token<'t>]) -> Vec<Vec<Token<'t>>> {
    let mut found = vec![];
    let (mut depth, mut pattern) = (0, Some(vec![]));
    for (i, token) in tokens.iter().enumerate() {
        match &mut pattern {
            Some(names) if token.kind == Kind::Word => names.push(*token),
            Some(_) if matches!(token.text, "(" | ")" | ",") => {}
            Some(_) => found.extend(pattern.take().filter(|names| !names.is_empty())),
            None if token.opens() => depth += 1,
            None if token.closes() && depth == 0 => break,
            None if token.closes() => depth -= 1,
            None if depth == 0 && token.is_sign(",") => {
                // In a record a comma ends the line of the `let`.
                let names_again =
                    tokens[i + 1..].iter().find(|t| t.kind != Kind::Newline && t.kind != Kind::Word);
                if names_again.is_some_and(|t| t.is_sign(":")) {
                    break;
                }
                pattern = Some(vec![]);
            }
            None if depth == 0 && (token.kind == Kind::Newline || token.is_sign(";")) => break,
            None => {}
        }
    }
    found
}

/// Does the name stand anywhere but where it is bound? A label and a member are no use of it.
fn occurs(tokens: &[Token], name: &Token) -> bool {
    let word = |t: &Token| t.text.strip_suffix('\'').unwrap_or(t.text) == name.text;
    (0..tokens.len()).any(|i| {
        let member = i > 0 && tokens[i - 1].is_sign(".");
        let label = tokens.get(i + 1).is_some_and(|t| t.is_sign(":"));
        tokens[i].kind == Kind::Word && tokens[i].start != name.start && word(&tokens[i]) && !member && !label
    })
}
