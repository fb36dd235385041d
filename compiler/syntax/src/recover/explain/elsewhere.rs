//! Forms of Python and its libraries that stumble at a sign: what is written here instead.
use super::Site;
use crate::grammar::Rule;
use crate::tokens::{Kind, Token};
use crate::words;
use stmc_base::{Code, Diagnostic, Span};

/// In order, as in `EXPLANATIONS`.
pub(super) fn explain(s: &Site) -> Option<Diagnostic> {
    let all = [
        member_of_self,
        use_of_several,
        unit_without_quotes,
        extent_without_axis,
        tensor_of_a_static,
        colon_for_range,
        range_of_values,
        equals_for_comparison,
        part_without_colon,
        loop_after_value,
        colon_in_loop,
        scan_without_axis,
        parameter_without_values,
        grouped_digits,
        bare_value,
    ];
    all.iter().find_map(|explain| explain(s))
}

/// `self.conv = Conv(8)`
fn member_of_self(s: &Site) -> Option<Diagnostic> {
    let (start, _) = super::region::statement(s.tokens, s.found.start);
    let first = s.before.iter().find(|t| t.start >= start && t.kind != Kind::Newline)?;
    let diagnostic = words::foreign_value("self")?.diagnostic(s.span(first));
    (first.text == "self" && s.found.is_sign("=")).then_some(diagnostic)
}

/// `use std.nn.{Conv Linear}`, `use std.nn.Conv, Linear`, `use std.nn.*`
fn use_of_several(s: &Site) -> Option<Diagnostic> {
    if s.statement_head(s.found.start) != "use" && s.block() != "use" {
        return None;
    }
    let listed = "write `use std.nn.{Conv, Linear}`";
    match s.found.text {
        "," if s.bracket().is_empty() => Some(s.here("several names of a file stand in braces").help(listed)),
        "*" => Some(s.here("`use` says what it takes, name by name").help(listed)),
        _ if s.found.kind == Kind::Word && s.bracket() == "{" => {
            let before = s.follows_word()?;
            let end = Span::new(s.source, before.end(), before.end());
            let message = format!("a `,` is missing before `{}`", s.found.text);
            Some(s.here(message).help(listed).fix(end, ","))
        }
        _ => None,
    }
}

/// `unit m/s`
fn unit_without_quotes(s: &Site) -> Option<Diagnostic> {
    if !s.follows("unit") || s.block() != "data" || s.found.kind == Kind::Text {
        return None;
    }
    let rest = s.after.iter().take_while(|t| t.kind != Kind::Newline && t.text != "missing");
    let end = rest.last().map_or(s.found.end(), Token::end);
    let quoted = format!("\"{}\"", &s.text[s.found.start..end]);
    let place = Span::new(s.source, s.found.start, end);
    let diagnostic = super::misplaced(place, "a unit stands in quotes");
    (s.found.kind == Kind::Word).then(|| diagnostic.help(format!("write `unit {quoted}`")).fix(place, quoted))
}

/// `f32[64, 64]`
fn extent_without_axis(s: &Site) -> Option<Diagnostic> {
    let is_shape = s.bracket() == "[" && super::names(s.expected).contains(&"a name") && !s.wants(Rule::expr);
    let opens = s.previous().is_some_and(|t| t.is_sign("[") || t.is_sign(","));
    (is_shape && opens && s.found.kind == Kind::Number).then(|| {
        let help = format!("its name comes first: `[channel: {}]`", s.found.text);
        s.here("axes go by their names, not by their places").help(help)
    })
}

/// `field kind: string[row]`
fn tensor_of_a_static(s: &Site) -> Option<Diagnostic> {
    let word = s.follows_word().filter(|_| s.found.is_sign("["))?;
    let (here, more) = match word.text {
        "float" => ("f32", ""),
        "int" => ("i32", ""),
        "string" => ("category", ": its names are counted"),
        _ => return None,
    };
    let is_type = s.before.len() >= 2 && matches!(s.before[s.before.len() - 2].text, ":" | "->");
    is_type.then(|| {
        let message = format!("`{}` is a single value that is known while compiling", word.text);
        s.at(&word, message).help(format!("a tensor is `{here}[…]`{more}")).fix(s.span(&word), here)
    })
}

/// `x[time: 0 : 10]`
fn colon_for_range(s: &Site) -> Option<Diagnostic> {
    let begins = |t: &&Token| !(t.is_sign(",") || t.is_sign("["));
    let has_label = s.before.iter().rev().take_while(begins).any(|t| t.is_sign(":"));
    let is_range = s.found.is_sign(":") && s.bracket() == "[" && has_label;
    is_range.then(|| {
        s.here("a range is written with two dots")
            .help("write `x[time: 0 .. 10]`")
            .fix(s.span(&s.found), "..")
    })
}

/// `time in 2001-01 .. 2005-12`
fn range_of_values(s: &Site) -> Option<Diagnostic> {
    let at = s.before.iter().rposition(|t| t.text == "in").filter(|_| s.found.is_sign(".."))?;
    let loops = s.before[..at].iter().rev().take_while(|t| t.kind != Kind::Newline).any(|t| t.text == "for");
    let (what, first, last) = (s.before.get(at.checked_sub(1)?)?, s.before.get(at + 1)?, s.after.first()?);
    (!loops && what.kind == Kind::Word && at + 2 == s.before.len()).then(|| {
        let (what, first, last) = (what.text, first.text, last.text);
        s.here("`in` takes a list; a range of values is two comparisons")
            .help(format!("write `{what} >= {first} and {what} < {last}`"))
    })
}

/// `split { test: scenario = "ssp245" }`, `assert a = b`
fn equals_for_comparison(s: &Site) -> Option<Diagnostic> {
    let begins = |t: &&Token| !(t.kind == Kind::Newline || matches!(t.text, "," | ";" | "{"));
    let mut entry = s.before.iter().rev().take_while(begins);
    let is_condition = entry.any(|t| t.is_sign(":") || matches!(t.text, "assert" | "if" | "where"));
    let compares =
        s.found.is_sign("=") && super::names(s.expected).contains(&"an operator") && s.bracket() != "[";
    (is_condition && compares).then(|| {
        Diagnostic::new(Code::E0101, s.span(&s.found), "`=` gives a value, it does not compare")
            .help("write `==`")
            .fix(s.span(&s.found), "==")
    })
}

/// `sample at t in time { past rain[time: t] }`
fn part_without_colon(s: &Site) -> Option<Diagnostic> {
    if !matches!(s.block(), "sample" | "split") {
        return None;
    }
    let name =
        if s.begins_statement(0) { s.found } else { s.follows_word().filter(|_| s.begins_statement(1))? };
    let next = if name == s.found { *s.after.first()? } else { s.found };
    let is_entry = name.kind == Kind::Word && name.text != "let" && next.begins_operand();
    is_entry.then(|| {
        let end = Span::new(s.source, name.end(), name.end());
        s.at(&name, format!("`:` is missing after `{}`", name.text))
            .help(format!("write `{}: …`", name.text))
            .fix(end, ":")
    })
}

/// `[f(x) for x in list]`
fn loop_after_value(s: &Site) -> Option<Diagnostic> {
    let after = s.previous().is_some_and(|t| t.ends_operand());
    (s.found.text == "for" && s.bracket() == "[" && after)
        .then(|| s.here("the loop of a list comes first").help("write `[for x in list => …]`"))
}

/// `[for x in list: f(x)]`
fn colon_in_loop(s: &Site) -> Option<Diagnostic> {
    let first = s.open.last().and_then(|i| s.before.get(i + 1))?;
    let is_loop = s.found.is_sign(":") && s.bracket() == "[" && first.text == "for";
    is_loop.then(|| {
        s.here("`=>` stands between a loop and what it gives")
            .help("write `[for x in list => …]`")
            .fix(s.span(&s.found), " =>")
    })
}

/// `scan frame in past { … }`
fn scan_without_axis(s: &Site) -> Option<Diagnostic> {
    let line = s.before.iter().rev().take_while(|t| t.kind != Kind::Newline);
    let words: Vec<&str> = line.filter(|t| t.kind == Kind::Word).map(|t| t.text).collect();
    let lacks = words.contains(&"scan") && !words.contains(&"along") && s.found.is_sign("{");
    lacks.then(|| {
        let at = s.previous().map_or(s.found.start, |t| t.end());
        super::misplaced(Span::new(s.source, at - 1, s.found.end()), "along which axis?")
            .help("write `scan x in xs along time { … }`")
    })
}

/// `param scale = zeros(8)`, `param scale: [channel: 8]`
fn parameter_without_values(s: &Site) -> Option<Diagnostic> {
    let (start, _) = super::region::statement(s.tokens, s.found.start);
    let head = s.before.iter().find(|t| t.start >= start && t.kind != Kind::Newline)?;
    if head.text != "param" || s.bracket() != "{" {
        return None;
    }
    let typed = s.before.iter().any(|t| t.start > head.start && t.is_sign(":"));
    let help = "write `param scale: [channel: 8] ~ zeros`: its axes, then its first values";
    match typed {
        false if s.found.is_sign("=") => Some(s.here("the type of a parameter is missing").help(help)),
        true if s.wants(Rule::tilde) => {
            let message = format!("`~` and the first values are missing before {}", s.shown());
            Some(s.here(message).help(help))
        }
        _ => None,
    }
}

/// `100,000`
fn grouped_digits(s: &Site) -> Option<Diagnostic> {
    let [.., number, comma] = &s.before[..] else { return None };
    let is_group = s.found.kind == Kind::Number && s.found.text.len() == 3 && number.kind == Kind::Number;
    (is_group && comma.is_sign(",") && comma.end() == s.found.start && s.bracket() != "[").then(|| {
        let written = format!("{}_{}", number.text, s.found.text);
        let place = Span::new(s.source, number.start, s.found.end());
        super::misplaced(place, "a number has no commas")
            .help(format!("write `{written}`"))
            .fix(place, written)
    })
}

/// `hidden = [8, 8]` at the top of a file.
fn bare_value(s: &Site) -> Option<Diagnostic> {
    let name =
        if s.begins_statement(0) { s.found } else { s.follows_word().filter(|_| s.begins_statement(1))? };
    let next = if name == s.found { *s.after.first()? } else { s.found };
    let is_value = s.block().is_empty() && name.kind == Kind::Word && next.is_sign("=");
    let word = name.text;
    is_value.then(|| {
        s.at(&name, format!("what is `{word}`?"))
            .help(format!("a setting is `hyper {word}: type = …`, a constant `let {word} = …`"))
    })
}
