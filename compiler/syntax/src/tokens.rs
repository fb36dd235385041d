//! A text as tokens, blanks and comments included: what the messages look at and what the formatter moves.
//! It never fails, and the tokens joined are the text.
use crate::grammar::{Grammar, Rule};
use pest::Parser;
use stmc_base::{SourceId, Span};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Blanks on one line.
    Space,
    /// One line break.
    Newline,
    /// `/// …` or `//! …`
    Doc,
    /// `// …`
    Comment,
    /// `"…"`
    Text,
    /// A string without its closing quote.
    OpenText,
    /// `2001-01`
    Date,
    /// What begins with a digit, well formed or not; a percentage too.
    Number,
    /// A word, with its prime if it has one.
    Word,
    /// A sign of this language or of another.
    Sign,
    /// Any other character.
    Stray,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'t> {
    /// What it is.
    pub kind: Kind,
    /// First byte.
    pub start: usize,
    /// Its text.
    pub text: &'t str,
}

impl Token<'_> {
    /// One past the last byte.
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Where it stands.
    pub fn span(&self, source: SourceId) -> Span {
        Span::new(source, self.start, self.end())
    }

    /// Is it this sign?
    pub fn is_sign(&self, text: &str) -> bool {
        self.kind == Kind::Sign && self.text == text
    }

    /// `(`, `[` or `{`.
    pub fn opens(&self) -> bool {
        self.kind == Kind::Sign && matches!(self.text, "(" | "[" | "{")
    }

    /// `)`, `]` or `}`.
    pub fn closes(&self) -> bool {
        self.kind == Kind::Sign && matches!(self.text, ")" | "]" | "}")
    }

    /// Blanks and comments: what the grammar skips.
    pub fn is_trivia(&self) -> bool {
        matches!(self.kind, Kind::Space | Kind::Comment)
    }

    /// Can it begin an operand?
    pub(crate) fn begins_operand(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Number | Kind::Text | Kind::Date) || self.opens()
    }

    /// Can it end an operand?
    pub(crate) fn ends_operand(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Number | Kind::Text | Kind::Date) || self.closes()
    }
}

/// The partner of an opening bracket.
pub(crate) fn closing(open: &str) -> &'static str {
    match open {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

/// The tokens of a text.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut pairs = Grammar::parse(Rule::tokens, text).expect("every character is some token");
    let all = pairs.next().expect("a parse gives its rule").into_inner();
    all.filter_map(|p| Some(Token { kind: kind(p.as_rule())?, start: p.as_span().start(), text: p.as_str() }))
        .collect()
}

fn kind(rule: Rule) -> Option<Kind> {
    Some(match rule {
        Rule::t_space => Kind::Space,
        Rule::t_newline => Kind::Newline,
        Rule::t_doc => Kind::Doc,
        Rule::t_comment => Kind::Comment,
        Rule::t_string => Kind::Text,
        Rule::t_open_string => Kind::OpenText,
        Rule::t_date => Kind::Date,
        Rule::t_number => Kind::Number,
        Rule::t_word => Kind::Word,
        Rule::t_op => Kind::Sign,
        Rule::t_stray => Kind::Stray,
        _ => return None,
    })
}
