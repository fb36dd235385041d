//! What can go wrong, ready to be shown.
use serde_json::{Value, json};
use stmc_base::diagnostic::Style;
use stmc_base::{Diagnostic, Edit, Fix, Severity, Sources};
use stmc_ir::DeviceError;
use stmc_runtime::RunError;

/// Why nothing came of it.
#[derive(Debug)]
pub enum Error {
    /// The program: messages with places in its texts.
    Program {
        /// The texts.
        sources: Box<Sources>,
        /// At least one.
        diagnostics: Vec<Diagnostic>,
    },
    /// The world: a file, a device, a disk. One sentence that names it.
    World(String),
    /// The command line asks for something that there is not.
    Usage(String),
}

impl Error {
    /// Messages about a program.
    pub(crate) fn program(sources: &Sources, diagnostics: Vec<Diagnostic>) -> Error {
        Error::Program { sources: Box::new(sources.clone()), diagnostics }
    }

    /// What the world did that no place in a program tells of: a file, a device.
    #[allow(clippy::needless_pass_by_value)] // `map_err` hands it over
    pub(crate) fn world(what: impl std::fmt::Display) -> Error {
        Error::World(what.to_string())
    }

    /// What the runtime reports; its places lie in `sources`.
    pub(crate) fn run(sources: &Sources, error: RunError) -> Error {
        match error {
            RunError::User(diagnostic) => Error::program(sources, vec![*diagnostic]),
            other => Error::world(other),
        }
    }

    /// For people.
    pub fn render(&self, style: Style) -> String {
        match self {
            Error::Program { sources, diagnostics } => render(sources, diagnostics, style),
            Error::World(what) | Error::Usage(what) => format!("error: {what}\n"),
        }
    }

    /// For editors: one JSON object per message.
    pub fn json(&self) -> Vec<Value> {
        match self {
            Error::Program { sources, diagnostics } => {
                diagnostics.iter().map(|d| diagnostic_json(sources, d)).collect()
            }
            Error::World(what) | Error::Usage(what) => vec![json!({ "severity": "error", "message": what })],
        }
    }
}

/// Messages, one after the other.
pub(crate) fn render(sources: &Sources, diagnostics: &[Diagnostic], style: Style) -> String {
    diagnostics.iter().map(|d| d.render(sources, style) + "\n").collect()
}

/// A message as JSON: byte offsets and places of all labels, and the edits that apply its help.
pub(crate) fn diagnostic_json(sources: &Sources, d: &Diagnostic) -> Value {
    let labels: Vec<Value> = d
        .labels
        .iter()
        .map(|l| {
            json!({
                "file": sources.source(l.span.source).name,
                "place": sources.place(l.span),
                "start": l.span.start,
                "end": l.span.end,
                "text": l.text,
            })
        })
        .collect();
    let severity = if d.severity() == Severity::Error { "error" } else { "warning" };
    json!({
        "severity": severity,
        "code": d.code.name(),
        "message": d.message,
        "labels": labels,
        "help": d.help,
        "fix": d.fix.as_ref().map(|fix| fix_json(sources, fix)),
    })
}

fn fix_json(sources: &Sources, fix: &Fix) -> Value {
    let edit = |e: &Edit| {
        let file = &sources.source(e.span.source).name;
        json!({ "file": file, "start": e.span.start, "end": e.span.end, "text": e.text })
    };
    json!({ "title": fix.title, "edits": fix.edits.iter().map(edit).collect::<Vec<_>>() })
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.render(Style::Plain).trim_end())
    }
}

impl std::error::Error for Error {}

impl From<DeviceError> for Error {
    fn from(error: DeviceError) -> Error {
        Error::world(error)
    }
}
