//! Edits that apply what the messages advise.
use crate::{Analysis, Edit};
use stmc_base::{Diagnostic, Span};

/// An edit that an editor offers.
#[derive(Clone, Debug)]
pub struct Action<'a> {
    /// "write `lat`"
    pub title: String,
    /// What it changes.
    pub edit: Edit,
    /// The message whose help it applies.
    pub diagnostic: &'a Diagnostic,
}

impl Analysis {
    /// The remedies of the messages that touch a place.
    pub fn actions(&self, place: Span) -> Vec<Action<'_>> {
        let touches = |s: Span| s.source == place.source && s.start <= place.end && place.start <= s.end;
        let here = self.diagnostics.iter().filter(|d| touches(d.labels[0].span));
        here.filter_map(|diagnostic| {
            let fix = diagnostic.fix.as_ref()?;
            let edit = Edit { span: fix.span, text: fix.text.clone() };
            Some(Action { title: fix.title(), edit, diagnostic })
        })
        .collect()
    }
}
