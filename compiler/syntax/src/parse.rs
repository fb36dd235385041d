//! The entry: text to tree, or to messages.
use crate::ast;
use crate::grammar::{Grammar, Rule};
use crate::tree::{self, Origin};
use pest::Parser;
use stmc_base::{Diagnostic, SourceId};

/// What a text turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// `None`: the text has errors.
    pub file: Option<ast::File>,
    /// In the order of the text. Errors only where `file` is `None`.
    pub diagnostics: Vec<Diagnostic>,
}

/// Enough for the deepest text that is not refused, in a debug build.
const STACK: usize = 256 << 20;

/// Parses a file. Several independent mistakes are reported at once.
pub fn parse(source: SourceId, text: &str) -> Parsed {
    match Grammar::parse(Rule::file, text) {
        Ok(mut pairs) => {
            let file = pairs.next().expect("a parse gives its rule");
            let (file, diagnostics) = tree::build(source, text, Origin::Written, file);
            Parsed { file: diagnostics.is_empty().then_some(file), diagnostics }
        }
        Err(e) => {
            let at = match e.location {
                pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
            };
            let here = stmc_base::Span::new(source, at, at);
            let diagnostic = Diagnostic::new(stmc_base::Code::E0101, here, "this cannot stand here");
            Parsed { file: None, diagnostics: vec![diagnostic] }
        }
    }
}
