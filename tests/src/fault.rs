//! What a message must be, whatever the program: about a place in the user's text, and in the user's words.
use stmc_base::diagnostic::Style;
use stmc_base::{Diagnostic, SourceId, Sources};

/// What the program is called.
pub const NAME: &str = "mutated.stm";

/// How texts of the library are called.
const LIBRARY: &str = "std/";

/// Words of the compiler that mean nothing to its user.
const OURS: &[&str] =
    &["NodeId", "AxisId", "SourceId", "Rule::", "Some(", "None", "Ok(", "Err(", "_expr", "unwrap"];

/// What is wrong with a message. `None`: it is as it should be.
pub fn fault(sources: &Sources, d: &Diagnostic) -> Option<String> {
    let texts = sources.iter().count();
    let inside = |span: stmc_base::Span| {
        let (start, end) = (span.start as usize, span.end as usize);
        (span.source.0 as usize) < texts && {
            let text = &sources.source(span.source).text;
            start <= end && text.is_char_boundary(start) && text.is_char_boundary(end) && end <= text.len()
        }
    };
    let said = || d.labels.iter().map(|l| &l.text).chain(&d.help).chain([&d.message]);
    if d.labels.is_empty() || !d.labels.iter().all(|l| inside(l.span)) {
        return Some("it has no place, or one outside its text".into());
    }
    if d.fix.iter().flat_map(|f| &f.edits).any(|e| !inside(e.span)) {
        return Some("its remedy has a place outside its text".into());
    }
    if d.labels.iter().all(|l| sources.source(l.span.source).name.starts_with(LIBRARY)) {
        return Some("it points at no text of the user's".into());
    }
    if d.message.trim().is_empty() || d.message.ends_with('.') || d.message.contains('\n') {
        return Some("it is no sentence".into());
    }
    let ours = OURS.iter().find(|w| d.message.contains(**w) && !user_said(sources, w));
    if let Some(word) = ours {
        return Some(format!("`{word}` is no word of the user's"));
    }
    // What stands in backquotes is the user's.
    if said().any(|s| s.split('`').step_by(2).any(|ours| ours.contains("  "))) {
        return Some("it has a gap".into());
    }
    if d.render(sources, Style::Plain).lines().count() < 2 {
        return Some("it cannot be shown".into());
    }
    None
}

fn user_said(sources: &Sources, word: &str) -> bool {
    sources.source(SourceId(0)).text.contains(word)
}
