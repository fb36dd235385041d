//! The entry: text to tree, or to messages.
use crate::ast;
use crate::grammar::{Grammar, Rule};
use crate::recover;
use crate::tree::{self, Origin};
use pest::Parser;
use stmc_base::{Diagnostic, SourceId};

/// What a text turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// `None`: the text has errors.
    pub file: Option<ast::File>,
    /// What is left of a text with errors once the broken statements are taken out, for editors. `None`: there are no
    /// errors, or nothing is left.
    pub remains: Option<ast::File>,
    /// In the order of the text. Errors only where `file` is `None`.
    pub diagnostics: Vec<Diagnostic>,
}

/// Stack for the deepest text that is not refused, in a build without optimisation.
const STACK: usize = 32 << 20;

/// Parses a file. Several independent mistakes are reported at once.
pub fn parse(source: SourceId, text: &str) -> Parsed {
    // Pest and the tree builder recurse with the text; a thread of our own makes their stack independent of the caller's.
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().stack_size(STACK);
        let parser =
            parser.spawn_scoped(scope, || parse_here(source, text)).expect("a thread can be started");
        parser.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn parse_here(source: SourceId, text: &str) -> Parsed {
    let Ok(mut pairs) = Grammar::parse(Rule::file, text) else {
        let (remains, diagnostics) = recover::diagnose(source, text);
        return Parsed { file: None, remains, diagnostics };
    };
    let file = pairs.next().expect("a parse gives its rule");
    let (file, mut diagnostics) = tree::build(source, text, Origin::Written, file);
    diagnostics.extend(recover::divisions(source, text));
    diagnostics.sort_by_key(|d| d.labels[0].span);
    match diagnostics.is_empty() {
        true => Parsed { file: Some(file), remains: None, diagnostics },
        false => Parsed { file: None, remains: Some(file), diagnostics },
    }
}
