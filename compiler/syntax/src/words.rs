//! Words that the messages need: those that begin a declaration or a statement, and those of other languages.
use crate::ast::BinaryOp;
use stmc_base::{Code, Diagnostic, Span, distance};

/// What begins a declaration of a file.
pub const ITEMS: &[&str] = &[
    "use",
    "axis",
    "axes",
    "hyper",
    "let",
    "fn",
    "layer",
    "model",
    "schedule",
    "optimizer",
    "data",
    "train",
    "tune",
    "assert",
];

/// What begins a statement of a block, besides names.
pub const STATEMENTS: &[&str] =
    &["let", "param", "buffer", "carry", "yield", "axis", "axes", "assert", "fn", "scan"];

/// What begins a line of a `data` block.
pub const DATA_LINES: &[&str] =
    &["from", "field", "let", "sample", "split", "balance", "augment", "assert", "axis"];

/// Reserved words: never names.
pub const RESERVED: &[&str] = &[
    "let", "if", "then", "else", "for", "in", "scan", "carry", "yield", "true", "false", "and", "or", "not",
];

/// Does this stand between two values? `in` has other uses besides.
fn is_infix(text: &str) -> bool {
    text == "|>" || BinaryOp::find(text).is_some_and(|op| op != BinaryOp::In)
}

/// Does a line that begins with this always go on with the line before? `+` and `-` do so only before a blank.
pub(crate) fn goes_on(text: &str) -> bool {
    is_infix(text) && !matches!(text, "+" | "-") || matches!(text, "then" | "else" | "->" | "=>")
}

/// Does a line that ends with this go on in the next?
pub(crate) fn awaits_more(text: &str) -> bool {
    is_infix(text) || matches!(text, "=" | "=>" | "->" | "~" | "not" | "then" | "else" | "in")
}

/// A word or sign of another language.
pub(crate) struct Foreign {
    /// The word or sign.
    pub(crate) text: &'static str,
    /// What is wrong with it.
    pub(crate) say: &'static str,
    /// What to write.
    pub(crate) help: &'static str,
    /// What goes in its place. `None`: that takes more than another word.
    pub(crate) instead: Option<&'static str>,
}

impl Foreign {
    /// The refusal of the word at a place.
    pub(crate) fn diagnostic(&self, span: Span) -> Diagnostic {
        let diagnostic = Diagnostic::new(Code::E0104, span, self.say).help(self.help);
        match self.instead {
            Some(word) => diagnostic.fix(span, word),
            None => diagnostic,
        }
    }
}

const fn foreign(text: &'static str, say: &'static str, help: &'static str) -> Foreign {
    Foreign { text, say, help, instead: None }
}

/// A word that is another one here.
const fn other(text: &'static str, instead: &'static str, say: &'static str, help: &'static str) -> Foreign {
    Foreign { text, say, help, instead: Some(instead) }
}

/// Words that stand for a value elsewhere: refused wherever a value is named.
const FOREIGN_VALUES: &[Foreign] = &[
    other("True", "true", "`True` is written `true`", "write `true`"),
    other("False", "false", "`False` is written `false`", "write `false`"),
    foreign("None", "there is no `None`", "leave the argument out; missing data have the type `f32?`"),
    foreign("null", "there is no `null`", "leave the argument out; missing data have the type `f32?`"),
    foreign(
        "self",
        "there is no `self`",
        "a layer's parameters and sub-layers are named as they are: `weight`, `conv`",
    ),
];

/// Words that begin something elsewhere. They are fine names here (`axis class`), so they are judged only where the
/// grammar stumbles.
const FOREIGN_KEYWORDS: &[Foreign] = &[
    other(
        "def",
        "fn",
        "functions are declared with `fn`",
        "write `fn name(a, b) = expression` or `fn name(a, b) { … }`",
    ),
    other("function", "fn", "functions are declared with `fn`", "write `fn name(a, b) = expression`"),
    foreign(
        "class",
        "there are no classes",
        "what has weights is a `layer NAME(settings) (tensors) -> type { … }`",
    ),
    foreign("lambda", "there are no lambdas", "declare a function: `fn name(x) = …`"),
    other("return", "", "there is no `return`", "the last expression of a block is its result"),
    other(
        "import",
        "use",
        "files are imported with `use`",
        "write `use std.nn.Conv` or `use \"blocks.stm\".Block`",
    ),
    other("elif", "else if", "there is no `elif`", "write `else if … then …`"),
    foreign("while", "there is no `while`", "use `scan x in xs along time { … }`, or `[for x in list => …]`"),
    other("var", "let", "values are named with `let`", "write `let`"),
    other("const", "let", "values are named with `let`", "write `let`"),
    foreign("struct", "there is no `struct`", "a record is written where it is used: `{ a: 1, b: 2 }`"),
    other("is", "==", "there is no `is`", "write `==`; for missing values `is_missing(x)`"),
];

/// The value of another language. `None`: the word is nothing special.
pub(crate) fn foreign_value(word: &str) -> Option<&'static Foreign> {
    FOREIGN_VALUES.iter().find(|f| f.text == word)
}

/// The keyword of another language. `None`: the word is nothing special.
pub(crate) fn foreign_keyword(word: &str) -> Option<&'static Foreign> {
    FOREIGN_KEYWORDS.iter().find(|f| f.text == word)
}

/// The candidate that a word was probably meant to be. `None`: none is near.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let allowed = |c: &str| 1 + usize::from(c.len() > 4);
    let near = candidates.iter().map(|c| (distance(word, c), *c));
    near.filter(|(d, c)| *d <= allowed(c) && *d + 1 < c.len()).min().map(|(_, c)| c)
}
