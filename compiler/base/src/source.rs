//! The texts of one compilation: the main file, its imports, the standard library.
use crate::Span;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
pub struct SourceId(pub u32);

/// A named text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Source {
    /// As the user would write it: a path relative to where they stand, or `std/nn.stm`.
    pub name: String,
    /// The whole text.
    pub text: Arc<str>,
}

/// All texts, in the order in which they were read.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Adds a text and gives its id.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> SourceId {
        self.0.push(Source { name: name.into(), text: text.into() });
        SourceId(self.0.len() as u32 - 1)
    }

    /// The text of an id that `add` gave.
    pub fn source(&self, id: SourceId) -> &Source {
        &self.0[id.0 as usize]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        self.0.iter().enumerate().map(|(i, s)| (SourceId(i as u32), s))
    }

    /// The text under a span.
    pub fn snippet(&self, span: Span) -> &str {
        &self.source(span.source).text[span.start as usize..span.end as usize]
    }

    /// `file:line:column` of a span's start, both counted from 1, the column in characters.
    pub fn place(&self, span: Span) -> String {
        let source = self.source(span.source);
        let before = &source.text[..span.start as usize];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        format!("{}:{line}:{column}", source.name)
    }
}
