//! The tree of one `.stm` file, as its author wrote it: nothing is resolved, no name has a meaning yet.
//!
//! Every node carries the span of its whole text. Parentheses around one expression leave no node, but the
//! expression's span then includes them. Comments are gone; doc comments stay on what they document.
//! The parser bounds the depth of the tree, so a recursive walk over it never runs out of stack.
/// An enum of words or signs, each with the text that it is written as.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// As it is written.
            pub fn text(self) -> &'static str {
                match self { $($name::$variant => $text),* }
            }

            /// The one that is written so. `None`: there is none.
            pub fn find(text: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|w| w.text() == text)
            }
        }
    };
}

mod data;
mod expr;
mod items;
mod statements;
mod types;

use std::sync::Arc;
use stmc_base::Span;

pub use data::*;
pub use expr::*;
pub use items::*;
pub use statements::*;
pub use types::*;

/// A whole file.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The `//!` lines, joined by newlines. `None`: there are none.
    pub doc: Option<String>,
    /// In the order written.
    pub items: Vec<Item>,
    /// The whole text.
    pub span: Span,
}

/// A word and where it stands. As an argument label it may be any word, reserved ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Without the prime, where it had one.
    pub text: Arc<str>,
    /// The word, and the prime where it had one.
    pub span: Span,
}

/// A string literal, its escapes resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What stands between the quotes.
    pub value: Arc<str>,
    /// With the quotes.
    pub span: Span,
}

/// An axis where the grammar expects one: a label in brackets or arguments, a dimension of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisRef {
    /// Which form.
    pub kind: AxisRefKind,
    /// All of it.
    pub span: Span,
}

/// The forms of an axis reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AxisRefKind {
    /// `lat`, an axis or an alias; as an argument label also any parameter's name.
    Word(Name),
    /// `tap(row)`, `taps(over)`, `taps(row, col)`: the word `tap` or `taps`, and what stands in the parentheses.
    Taps(Name, Vec<Name>),
    /// `over.0`: one axis of an alias.
    Position(Name, u32),
}

impl AxisRef {
    /// The plain word. `None`: it is another form.
    pub fn word(&self) -> Option<&Name> {
        match &self.kind {
            AxisRefKind::Word(name) => Some(name),
            _ => None,
        }
    }
}
