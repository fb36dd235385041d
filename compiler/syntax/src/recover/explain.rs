//! One sentence for the place where the grammar stumbled.
//!
//! `EXPLANATIONS` is tried from top to bottom: what is certain first, what is a guess later; the last one always
//! has something to say. Each looks at the tokens around the place and at what the grammar would have taken.
mod elsewhere;

use super::{misplaced, region};
use crate::ast::{DType, StaticType};
use crate::grammar::Rule;
use crate::tokens::{Kind, Token};
use crate::words::{self, DATA_LINES, ITEMS, STATEMENTS};
use stmc_base::{Code, Diagnostic, Help, SourceId, Span};

/// In order: the first that knows something speaks.
const EXPLANATIONS: &[fn(&Site) -> Option<Diagnostic>] = &[
    stray_documentation,
    foreign_word,
    elsewhere::explain,
    double_equals,
    colon_for_block,
    equals_in_brackets,
    colon_in_keys,
    equals_in_record,
    bare_statement_name,
    operator_without_value,
    place_in_brackets,
    value_between,
    range_elsewhere,
    statement_after_comma,
    misspelled_type,
    missing_fat_arrow,
    missing_open_brace,
    missing_result,
    missing_second_list,
    condition_first,
    names_without_parentheses,
    reserved_as_name,
    half_choice,
    misspelled_declaration,
    comma_after_statement,
    missing_comma,
    missing_comma_at_line_end,
    one_thing_missing,
    missing_equals,
    two_words,
    line_goes_on,
    anything,
];

/// Why the grammar stumbled at byte `at`; `expected` is what it would have taken there.
pub(super) fn explain(
    source: SourceId,
    text: &str,
    tokens: &[Token],
    at: usize,
    expected: &[Rule],
) -> Diagnostic {
    let site = Site::new(source, text, tokens, at, expected);
    EXPLANATIONS.iter().find_map(|explain| explain(&site)).expect("the last explanation always speaks")
}

/// The place and what surrounds it.
struct Site<'t> {
    source: SourceId,
    text: &'t str,
    tokens: &'t [Token<'t>],
    /// The tokens that the grammar sees, before the place.
    before: Vec<Token<'t>>,
    /// The token at the place; the end of the text is a line break.
    found: Token<'t>,
    /// What follows it.
    after: Vec<Token<'t>>,
    expected: &'t [Rule],
    /// The brackets that are open at the place, as indices into `before`.
    open: Vec<usize>,
}

impl<'t> Site<'t> {
    fn new(
        source: SourceId,
        text: &'t str,
        tokens: &'t [Token<'t>],
        at: usize,
        expected: &'t [Rule],
    ) -> Site<'t> {
        let mut before: Vec<Token> = tokens.iter().filter(|t| !t.is_trivia()).copied().collect();
        let place = before.iter().position(|t| t.end() > at).unwrap_or(before.len());
        let mut after = before.split_off(place);
        let end = Token { kind: Kind::Newline, start: text.len(), text: "" };
        let found = if after.is_empty() { end } else { after.remove(0) };
        let mut open = vec![];
        for (i, token) in before.iter().enumerate() {
            if token.opens() {
                open.push(i);
            } else if token.closes() {
                open.pop();
            }
        }
        Site { source, text, tokens, before, found, after, expected, open }
    }

    /// Would the grammar have taken this?
    fn wants(&self, rule: Rule) -> bool {
        self.expected.contains(&rule)
    }

    /// The token before the place, line breaks included. `None`: the place is the beginning.
    fn previous(&self) -> Option<Token<'t>> {
        self.before.last().copied()
    }

    /// The last token before the place that is no line break.
    fn solid(&self) -> Option<Token<'t>> {
        self.before.iter().rev().find(|t| t.kind != Kind::Newline).copied()
    }

    fn follows(&self, text: &str) -> bool {
        self.previous().is_some_and(|t| t.text == text)
    }

    fn follows_word(&self) -> Option<Token<'t>> {
        self.previous().filter(|t| t.kind == Kind::Word)
    }

    /// The innermost open bracket: `(`, `[`, `{`, or nothing.
    fn bracket(&self) -> &'t str {
        self.open.last().map_or("", |i| self.before[*i].text)
    }

    /// The first word of the statement that opened the innermost brace: `train`, `layer`, `let`.
    fn block(&self) -> &'t str {
        let brace = self.open.iter().rev().find(|i| self.before[**i].text == "{");
        brace.map_or("", |i| self.statement_head(self.before[*i].start))
    }

    /// The first word of the statement around a byte.
    fn statement_head(&self, at: usize) -> &'t str {
        let (start, _) = region::statement(self.tokens, at);
        self.before.iter().find(|t| t.start >= start && t.kind != Kind::Newline).map_or("", |t| t.text)
    }

    /// Does a statement, an entry or a declaration begin `back` tokens before the place?
    fn begins_statement(&self, back: usize) -> bool {
        let before = self.before.len().checked_sub(back + 1).map(|i| self.before[i]);
        !matches!(self.bracket(), "(" | "[")
            && before.is_none_or(|t| t.kind == Kind::Newline || t.is_sign("{") || t.is_sign(";"))
    }

    /// What may begin a statement here.
    fn starters(&self) -> &'static [&'static str] {
        match self.block() {
            "" => ITEMS,
            "data" => DATA_LINES,
            _ => STATEMENTS,
        }
    }

    fn span(&self, token: &Token) -> Span {
        token.span(self.source)
    }

    /// What was found, in a sentence.
    fn shown(&self) -> String {
        match self.found.kind {
            Kind::Newline if self.found.start >= self.text.trim_end().len() => "the end of the file".into(),
            Kind::Newline => "the end of the line".into(),
            _ => format!("`{}`", self.found.text),
        }
    }

    /// A name, the sign after it and the blanks around that.
    fn label(&self, name: &Token) -> Span {
        let end = self.found.end();
        let blanks = self.text[end..].len() - self.text[end..].trim_start_matches(' ').len();
        Span::new(self.source, name.start, end + blanks)
    }

    /// A message about what was found. An empty place is shown at the token before it.
    fn here(&self, message: impl Into<String>) -> Diagnostic {
        let span = match self.solid() {
            Some(solid) if self.found.kind == Kind::Newline => self.span(&solid),
            _ => self.span(&self.found),
        };
        misplaced(span, message)
    }

    fn at(&self, token: &Token, message: impl Into<String>) -> Diagnostic {
        misplaced(self.span(token), message)
    }
}

/// No value begins with these.
const AFTER_VALUES: &[&str] = &[
    "}", ")", "]", ",", ";", ":", ".", "=", "=>", "->", "~", "*", "/", "^", "+", "<", ">", "<=", ">=", "==",
    "!=", "|>", "and", "or", "then", "else",
];

/// Does a value follow this?
fn awaits_value(text: &str) -> bool {
    words::awaits_more(text) && text != "->" || matches!(text, "if" | "yield")
}

fn stray_documentation(s: &Site) -> Option<Diagnostic> {
    let word = s.found.text;
    if words::foreign_keyword(word).is_some() || words::nearest(word, s.starters()).is_some() {
        // It documents a declaration that is only misspelt.
        return None;
    }
    let doc = [Some(s.found), s.solid()].into_iter().flatten().find(|t| t.kind == Kind::Doc)?;
    Some(s.at(&doc, "this comment documents nothing").help(
        "`///` stands on the lines before a declaration, `//!` at the top of the file; elsewhere write `//`",
    ))
}

/// Words of other languages, where the grammar stumbles at them or just after.
fn foreign_word(s: &Site) -> Option<Diagnostic> {
    if s.found.text == "from" && s.block().is_empty() && s.begins_statement(0) {
        let diagnostic = Diagnostic::new(Code::E0104, s.span(&s.found), "files are imported with `use`");
        return Some(diagnostic.help("write `use std.nn.{Conv, Linear}` or `use \"blocks.stm\".Block`"));
    }
    let found = words::foreign_keyword(s.found.text).map(|f| (f, s.found));
    let before = || {
        let word = s.follows_word().filter(|_| s.begins_statement(1) || s.found.begins_operand())?;
        Some((words::foreign_keyword(word.text)?, word))
    };
    let (foreign, token) = found.or_else(before)?;
    Some(foreign.diagnostic(s.span(&token)))
}

fn double_equals(s: &Site) -> Option<Diagnostic> {
    let for_equals = s.wants(Rule::equals) || s.begins_statement(1) && s.follows_word().is_some();
    (s.found.is_sign("==") && for_equals)
        .then(|| s.here("`==` compares; a declaration has `=`").help("write `=`").fix(s.span(&s.found), "="))
}

/// `model M(x: f32[lat]) -> f32[lat]:`
fn colon_for_block(s: &Site) -> Option<Diagnostic> {
    let ends_line = s.after.first().is_none_or(|t| t.kind == Kind::Newline);
    let line = s.before.iter().rev().take_while(|t| t.kind != Kind::Newline);
    let loops = line.clone().any(|t| t.kind == Kind::Word && matches!(t.text, "for" | "while"));
    if s.found.is_sign(":") && loops && s.bracket().is_empty() {
        let help = "write `for x in list { … }`, or `[for x in list => …]`; indentation has no meaning";
        return Some(s.here("a loop stands in braces").help(help));
    }
    let head = s.statement_head(s.found.start);
    let declares =
        ["fn", "layer", "model", "train", "tune", "data", "schedule", "optimizer", "scan", "for", "if"];
    (s.found.is_sign(":") && ends_line && declares.contains(&head) && !matches!(s.bracket(), "(" | "["))
        .then(|| s.here("a block stands in braces").help("write `{ … }`; indentation has no meaning"))
}

fn equals_in_brackets(s: &Site) -> Option<Diagnostic> {
    let name = s.follows_word()?;
    let what = match s.bracket() {
        "(" => "an argument is written `name: value`",
        "[" => "an axis is followed by `:`",
        _ => return None,
    };
    let help = match name.text {
        "dim" | "axis" | "keepdim" => "an axis goes by its name: `over: time`".to_string(),
        word => format!("write `{word}: …`"),
    };
    let label = if matches!(name.text, "dim" | "axis") { "over" } else { name.text };
    (s.found.is_sign("=") && !s.wants(Rule::equals)).then(|| {
        let diagnostic = s.here(what).help(help);
        if name.text == "keepdim" { diagnostic } else { diagnostic.fix(s.label(&name), format!("{label}: ")) }
    })
}

fn colon_in_keys(s: &Site) -> Option<Diagnostic> {
    let key = s.follows_word()?;
    let block = s.block();
    (s.found.is_sign(":") && matches!(block, "train" | "tune") && s.bracket() == "{" && s.wants(Rule::equals))
        .then(|| {
            s.here(format!("the keys of `{block}` are set with `=`"))
                .help(format!("write `{} = …`", key.text))
                .fix(s.label(&key), format!("{} = ", key.text))
        })
}

/// `{ a: 1, b = 2 }`
fn equals_in_record(s: &Site) -> Option<Diagnostic> {
    let name = s.follows_word()?;
    (s.found.is_sign("=") && s.bracket() == "{" && s.wants(Rule::colon)).then(|| {
        s.here("an entry of a record is written `name: value`")
            .help(format!("write `{}: …`", name.text))
            .fix(s.label(&name), format!("{}: ", name.text))
    })
}

/// `weight: [unit] ~ zeros`
fn bare_statement_name(s: &Site) -> Option<Diagnostic> {
    let noticed_after = s.follows_word().filter(|_| s.found.is_sign(":") && s.begins_statement(1));
    let noticed_at = || {
        let colon = s.after.first().is_some_and(|t| t.is_sign(":"));
        (s.found.kind == Kind::Word && colon && s.begins_statement(0)).then_some(s.found)
    };
    let name = noticed_after.or_else(noticed_at)?;
    let block = s.block();
    if matches!(block, "train" | "tune") {
        return None;
    }
    let word = name.text;
    let help = match block {
        "" => format!("a setting is `hyper {word}: type = …`, a constant `let {word} = …`"),
        "data" => format!("a field is `field {word}: type`, a value `let {word} = …`"),
        "fn" | "schedule" => {
            format!(
                "a value is `let {word} = …`; a record as the result has its own braces, `{{ {word}: … }}`"
            )
        }
        _ => format!(
            "a parameter is `param {word}: type ~ initializer`, a sub-layer `{word} = Layer(…)`, a value `let {word} = …`"
        ),
    };
    Some(s.at(&name, format!("what is `{word}`?")).help(help))
}

/// `let a = x +` and then another declaration, or the end.
fn operator_without_value(s: &Site) -> Option<Diagnostic> {
    let operator = s.solid().filter(|t| awaits_value(t.text))?;
    let begins =
        s.found.kind == Kind::Word && (ITEMS.contains(&s.found.text) || s.starters().contains(&s.found.text));
    let nothing = s.found.start >= s.text.trim_end().len()
        || matches!(s.found.kind, Kind::Newline)
        || s.found.is_sign(";");
    (begins || nothing).then(|| s.at(&operator, format!("a value is missing after `{}`", operator.text)))
}

/// The words of types.
fn types() -> Vec<&'static str> {
    let dtypes = DType::ALL.iter().map(|d| d.text());
    dtypes.chain(StaticType::ALL.iter().map(|s| s.text())).chain(["each"]).collect()
}

fn misspelled_type(s: &Site) -> Option<Diagnostic> {
    const ELSEWHERE: &[(&str, &str)] = &[
        ("f64", "`f32`; metrics are accumulated in 64 bits by themselves"),
        ("float32", "`f32`"),
        ("float16", "`f16`"),
        ("int32", "`i32`"),
        ("i64", "`i32`"),
        ("uint8", "`u8`"),
        ("str", "`string`"),
        ("boolean", "`bool`"),
        ("list", "`[int]`, `[float]`, `[string]`"),
        ("Tensor", "the axes: `f32[time, channel]`"),
        ("tensor", "the axes: `f32[time, channel]`"),
    ];
    let wanted = s.wants(Rule::type_) || s.wants(Rule::dtype) || s.wants(Rule::static_type);
    if !wanted || s.found.kind != Kind::Word || s.wants(Rule::expr) {
        return None;
    }
    let word = s.found.text;
    let help: Help = match ELSEWHERE.iter().find(|(name, _)| *name == word) {
        Some((_, here)) => format!("write {here}").into(),
        None => match words::nearest(word, &types()) {
            Some(near) => Help::did_you_mean(near),
            None => {
                "a type is `int`, `float`, `bool`, `string`, …, or a tensor: `[lat, lon]`, `f32[time]`".into()
            }
        },
    };
    Some(s.here(format!("there is no type `{word}`")).help_at(s.span(&s.found), help))
}

fn missing_fat_arrow(s: &Site) -> Option<Diagnostic> {
    (s.wants(Rule::fat_arrow) && s.found.begins_operand())
        .then(|| s.here(format!("`=>` is missing before {}", s.shown())).help("write `[for x in list => …]`"))
}

fn missing_open_brace(s: &Site) -> Option<Diagnostic> {
    let wants_brace =
        s.wants(Rule::open_brace) || s.wants(Rule::block) || s.wants(Rule::keys) || s.wants(Rule::braces);
    let solid = s.solid()?;
    (wants_brace && s.follows("\n") && !s.wants(Rule::name) && !s.wants(Rule::expr)).then(|| {
        let end = Span { start: solid.end() as u32, ..s.span(&solid) };
        s.at(&solid, "the `{` of this block is missing").help("add `{` at the end of the line").fix(end, " {")
    })
}

/// `layer A() (x: [c]) [c] {`, `model M(x: [c]) {`
fn missing_result(s: &Site) -> Option<Diagnostic> {
    if matches!(s.bracket(), "(" | "[") || !(s.wants(Rule::arrow) || s.wants(Rule::result)) {
        return None;
    }
    let follows = |help: &str| s.here("the type of the result follows `->`").help(help);
    match s.found.text {
        "{" | "=" => Some(s.here("the type of the result is missing").help("write `-> type` before it")),
        "[" | "(" | "-" | ">" | "=>" | ":" => Some(follows("write `-> type`")),
        word if s.found.kind == Kind::Word => Some(follows(&format!("write `-> {word} …`"))),
        _ => None,
    }
}

/// `layer A(x: [c]) -> [c]`
fn missing_second_list(s: &Site) -> Option<Diagnostic> {
    let head = s.statement_head(s.found.start);
    let (lists, example) = match head {
        "layer" => ("its settings, then its tensors", "layer NAME(settings) (x: [channel]) -> …"),
        "schedule" => ("its settings, then the time", "schedule NAME(settings) (t) = …"),
        "optimizer" => ("its settings, then weight and gradient", "optimizer NAME(settings) (w, g) { … }"),
        _ => return None,
    };
    (s.wants(Rule::open_paren) && s.solid().is_some_and(|t| t.is_sign(")"))).then(|| {
        s.here(format!("`{head}` has two lists in parentheses: {lists}"))
            .help(format!("write `{example}`; the first may be empty, `()`"))
    })
}

/// `1 if c else 2`
fn condition_first(s: &Site) -> Option<Diagnostic> {
    match s.found.text {
        "if" => Some(s.here("the condition comes first").help(
            "write `if c then a else b`; after a declaration of weights or layers, `if c` alone makes it optional",
        )),
        "else" => Some(s.here("this `else` has no `if`").help("write `if c then a else b`")),
        _ => None,
    }
}

/// `let a, b = split(…)`
fn names_without_parentheses(s: &Site) -> Option<Diagnostic> {
    let name = s.follows_word()?;
    (s.found.is_sign(",") && s.wants(Rule::equals))
        .then(|| s.at(&name, "several names at once stand in parentheses").help("write `let (a, b) = …`"))
}

fn reserved_as_name(s: &Site) -> Option<Diagnostic> {
    const NAMES: &[Rule] =
        &[Rule::name, Rule::pattern, Rule::parameter, Rule::binding, Rule::axis_name, Rule::loop_binder];
    const VALUES: &[Rule] = &[Rule::expr, Rule::default, Rule::slot, Rule::arg, Rule::paren];
    let only_names = NAMES.iter().any(|r| s.wants(*r)) && !VALUES.iter().any(|r| s.wants(*r));
    (only_names && s.found.kind == Kind::Word && words::RESERVED.contains(&s.found.text)).then(|| {
        s.here(format!("`{}` is a word of the language, not a name", s.found.text))
            .help("choose another name")
    })
}

/// `modle M(…)`, `wieght k: …`, or a declaration where it cannot stand.
fn misspelled_declaration(s: &Site) -> Option<Diagnostic> {
    let starters = s.starters();
    let word =
        if s.begins_statement(0) { s.found } else { s.follows_word().filter(|_| s.begins_statement(1))? };
    let is_found = word == s.found;
    if word.kind != Kind::Word || !is_found && s.found.kind != Kind::Word {
        return None;
    }
    let block = s.block();
    if !block.is_empty() && ITEMS.contains(&word.text) && !starters.contains(&word.text) {
        return Some(
            s.at(&word, format!("`{}` stands at the top of a file", word.text))
                .help(format!("not inside `{block}`")),
        );
    }
    if starters.contains(&word.text) {
        return is_found.then(|| {
            let help = possible(s);
            s.at(&word, format!("`{}` cannot stand here", word.text)).help(help)
        });
    }
    let help: Help = match words::nearest(word.text, starters) {
        Some(near) => Help::did_you_mean(near),
        None if block.is_empty() => format!("a declaration begins with {}", listed(starters)).into(),
        None if block == "data" => format!("a line of `data` begins with {}", listed(starters)).into(),
        None => format!("a line of `{block}` begins with {}, or it is a value", listed(starters)).into(),
    };
    let begins_nothing = s.at(&word, format!("`{}` begins nothing here", word.text));
    Some(begins_nothing.help_at(s.span(&word), help))
}

/// `let a = 1, carry b = 2`
fn statement_after_comma(s: &Site) -> Option<Diagnostic> {
    let comma = s.previous().filter(|t| t.is_sign(","))?;
    let begins = s.found.kind == Kind::Word
        && words::RESERVED.contains(&s.found.text)
        && s.starters().contains(&s.found.text);
    (begins && matches!(s.bracket(), "" | "{")).then(|| separated(s, &comma))
}

/// `carry a = 1, b = 2`
fn comma_after_statement(s: &Site) -> Option<Diagnostic> {
    (s.found.is_sign(",") && matches!(s.bracket(), "" | "{") && !s.wants(Rule::comma))
        .then(|| separated(s, &s.found))
}

fn separated(s: &Site, comma: &Token) -> Diagnostic {
    s.at(comma, "a statement ends with its line").help("start a new line, or put `;` between the two")
}

/// `let a = 1 .. 3`
fn range_elsewhere(s: &Site) -> Option<Diagnostic> {
    s.found.is_sign("..").then(|| {
        s.here("a range is no value by itself")
            .help("it stands in brackets, as an argument, and after `in`: `x[time: 0 .. 10]`")
    })
}

/// `x[:, 0]`, `x[1:3]`
fn place_in_brackets(s: &Site) -> Option<Diagnostic> {
    let before = s.previous()?;
    let after_place = before.is_sign("[") || before.is_sign(",") || before.kind == Kind::Number;
    (s.found.is_sign(":") && s.bracket() == "[" && after_place).then(|| {
        Diagnostic::new(Code::E0104, s.span(&s.found), "axes go by their names, not by their places").help(
            "`x[time: 0]` takes one step, `x[time: 0 .. 10]` a range, and what is not named stays whole",
        )
    })
}

/// `a + * b`, `f(a, )` and the like.
fn value_between(s: &Site) -> Option<Diagnostic> {
    let before = s.previous().filter(|t| awaits_value(t.text) || matches!(t.text, ":" | "," | "(" | "["))?;
    AFTER_VALUES
        .contains(&s.found.text)
        .then(|| s.here(format!("a value is missing between `{}` and {}", before.text, s.shown())))
}

/// `f(8 kernel: 3)`
fn missing_comma(s: &Site) -> Option<Diagnostic> {
    let before = s.previous().filter(Token::ends_operand)?;
    let in_list = matches!(s.bracket(), "(" | "[") || s.wants(Rule::comma);
    (s.found.begins_operand() && in_list).then(|| {
        let gap = Span::new(s.source, before.end() - 1, s.found.start + 1);
        misplaced(gap, format!("a `,` or an operator is missing before {}", s.shown()))
    })
}

fn missing_comma_at_line_end(s: &Site) -> Option<Diagnostic> {
    let before = s.solid()?;
    let line_ends = s.found.kind == Kind::Newline || s.follows("\n");
    (line_ends && matches!(s.bracket(), "(" | "[") && before.ends_operand())
        .then(|| s.at(&before, format!("a `,` is missing after `{}`", before.text)))
}

/// `let a 1`, `hyper a int = 1`
fn missing_equals(s: &Site) -> Option<Diagnostic> {
    if !s.wants(Rule::equals) || s.wants(Rule::arrow) || !s.found.begins_operand() {
        return None;
    }
    let sign = if s.wants(Rule::colon) && types().contains(&s.found.text) { ":" } else { "=" };
    Some(s.here(format!("`{sign}` is missing before {}", s.shown())))
}

/// Only one thing could follow.
fn one_thing_missing(s: &Site) -> Option<Diagnostic> {
    match &names(s.expected)[..] {
        [only] => Some(s.here(format!("{only} is missing before {}", s.shown()))),
        _ => None,
    }
}

/// `if c a else b`, `if c then a`
fn half_choice(s: &Site) -> Option<Diagnostic> {
    let missing = if s.wants(Rule::kw_then) {
        "then"
    } else if s.wants(Rule::kw_else) && !s.wants(Rule::newline) {
        "else"
    } else {
        return None;
    };
    let diagnostic = s.here(format!("the `{missing}` of this choice is missing before {}", s.shown()));
    Some(diagnostic.help("write `if c then a else b`"))
}

fn two_words(s: &Site) -> Option<Diagnostic> {
    let before = s.follows_word()?;
    (s.found.kind == Kind::Word).then(|| {
        s.here(format!("`{}` cannot follow `{}`", s.found.text, before.text))
            .help("an operator, a `,` or a line break is missing")
    })
}

fn line_goes_on(s: &Site) -> Option<Diagnostic> {
    let ended =
        s.wants(Rule::newline) && s.wants(Rule::semicolon) && s.solid().is_some_and(|t| t.ends_operand());
    (ended && s.found.kind != Kind::Newline).then(|| {
        s.here(format!("{} cannot continue the line", s.shown()))
            .help("a statement ends with its line; two on one line have `;` between them")
    })
}

fn anything(s: &Site) -> Option<Diagnostic> {
    let diagnostic = s.here(format!("{} cannot stand here", s.shown()));
    Some(if names(s.expected).is_empty() { diagnostic } else { diagnostic.help(possible(s)) })
}

/// What could stand at the place.
fn possible(s: &Site) -> String {
    format!("here could stand {}", names(s.expected).join(", "))
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
}

/// What the grammar would have taken, in words, each once.
fn names(rules: &[Rule]) -> Vec<&'static str> {
    let mut names = vec![];
    for name in rules.iter().filter_map(|r| name(*r)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A rule in words. `None`: it would not help to name it.
fn name(rule: Rule) -> Option<&'static str> {
    use Rule::*;
    Some(match rule {
        newline | end | doc | module_doc | semicolon | unit_word => return None,
        operator_start | pipe | or | and | eq | ne | le | ge | lt | gt | plus | minus | times | divide
        | power | member_of | call | index | member => "an operator",
        slot | expr | default | arg | paren | list | scan | neg | kw_not | int | float | percent
        | quantity | string | boolean | date | kw_if | kw_for | kw_scan | if_expr | for_expr | primed
        | element => "a value",
        name | label | pattern | axis_ref | axis_name | loop_binder | source | parameter => "a name",
        type_ | dtype | tensor_type | static_type | shape | list_type | record_type | each_type => "a type",
        equals => "`=`",
        colon => "`:`",
        comma => "`,`",
        open_brace | block | braces | keys | data_block => "`{`",
        close_brace => "`}`",
        open_paren | parameters | time_name | weight_names | names | axes_list => "`(`",
        close_paren => "`)`",
        open_bracket => "`[`",
        close_bracket => "`]`",
        arrow | result => "`->`",
        fat_arrow => "`=>`",
        tilde => "`~`",
        dots => "`..`",
        dot => "`.`",
        EOI => "the end of the file",
        kw_on => "`on`",
        kw_in | domain => "`in`",
        kw_at => "`at`",
        kw_by => "`by`",
        kw_along => "`along`",
        kw_then => "`then`",
        kw_else => "`else`",
        entry | key => "an entry",
        kw_use | kw_axis | kw_axes | kw_hyper | kw_fn | kw_layer | kw_model | kw_schedule | kw_optimizer
        | kw_data | kw_train | kw_tune | kw_let | kw_assert | declares | item | stmt => "a declaration",
        kw_from | kw_field | kw_sample | kw_split | kw_balance | kw_augment => "a line of `data`",
        _ => return None,
    })
}
