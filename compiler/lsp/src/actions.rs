//! Edits that apply what the messages advise.
use crate::Analysis;
use stmc_base::{Diagnostic, Fix, Span};

impl Analysis {
    /// The messages that touch a place and can be remedied by an edit, with it.
    pub fn actions(&self, place: Span) -> impl Iterator<Item = (&Diagnostic, &Fix)> {
        let touches = move |s: Span| s.source == place.source && s.start <= place.end && place.start <= s.end;
        let here = self.diagnostics.iter().filter(move |d| touches(d.labels[0].span));
        here.filter_map(|d| Some((d, d.fix.as_deref()?)))
    }
}
