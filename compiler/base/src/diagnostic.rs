//! Messages to the person who writes models. A diagnostic is a value; the driver prints it.
use crate::{Code, Sources, Span};

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// Nothing is compiled.
    Error,
    /// The program compiles; something is probably not what its author meant.
    Warning,
}

/// A place and what is to be said of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// May be empty: the place is underlined without a word.
    pub text: String,
}

/// One message. The first label is the place that is wrong; the others explain it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Its row in the table of codes.
    pub code: Code,
    /// One sentence in the user's own names: lower case, no full stop.
    pub message: String,
    /// At least one.
    pub labels: Vec<Label>,
    /// What to write instead. `None` where that would be a guess.
    pub help: Option<String>,
    /// The help as an edit. `None` where it takes a person to apply it.
    pub fix: Option<Box<Fix>>,
}

/// Edits that apply a message's help.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fix {
    /// What an editor offers: "write `lat`".
    pub title: String,
    /// All in one text, in its order; none overlaps another.
    pub edits: Vec<Edit>,
}

/// A change of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// What is replaced; empty where something is inserted.
    pub span: Span,
    /// By what; empty where something is removed.
    pub text: String,
}

/// What to write instead: a sentence, or a word that stands in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Help {
    text: String,
    word: Option<String>,
}

impl Help {
    /// `did you mean …?`
    pub fn did_you_mean(word: &str) -> Help {
        Help { text: format!("did you mean `{word}`?"), word: Some(word.to_string()) }
    }
}

impl<T: Into<String>> From<T> for Help {
    fn from(text: T) -> Help {
        Help { text: text.into(), word: None }
    }
}

impl Diagnostic {
    /// A message about one place.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            message: message.into(),
            labels: vec![Label { span, text: String::new() }],
            help: None,
            fix: None,
        }
    }

    /// Says something at the first place.
    #[must_use]
    pub fn here(mut self, text: impl Into<String>) -> Diagnostic {
        self.labels[0].text = text.into();
        self
    }

    /// Adds a place that explains the first.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Says what to write.
    #[must_use]
    pub fn help(mut self, help: impl Into<Help>) -> Diagnostic {
        self.help = Some(help.into().text);
        self
    }

    /// Says what to write; where that is a word, it goes in this place.
    #[must_use]
    pub fn help_at(self, span: Span, help: impl Into<Help>) -> Diagnostic {
        let help = help.into();
        let diagnostic = self.help(help.text);
        match help.word {
            Some(word) => diagnostic.fix(span, word),
            None => diagnostic,
        }
    }

    /// The help as an edit: the text goes in this place. An empty place is where it is inserted, an empty text removes.
    #[must_use]
    pub fn fix(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        let text = text.into();
        let shown = text.trim();
        let title = match (span.start == span.end, shown.is_empty()) {
            (_, true) => "remove this".into(),
            (true, false) => format!("insert `{shown}`"),
            (false, false) => format!("write `{shown}`"),
        };
        self.fix = Some(Box::new(Fix { title, edits: vec![Edit { span, text }] }));
        self
    }

    /// The help as an edit: the place becomes an operand, `squeeze(…, channel)`.
    #[must_use]
    pub fn wrap(mut self, span: Span, before: impl Into<String>, after: impl Into<String>) -> Diagnostic {
        let (before, after) = (before.into(), after.into());
        let title = format!("write `{before}…{after}`");
        let start = Edit { span: Span { end: span.start, ..span }, text: before };
        let end = Edit { span: Span { start: span.end, ..span }, text: after };
        self.fix = Some(Box::new(Fix { title, edits: vec![start, end] }));
        self
    }

    /// Error or warning: the code knows.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// For people, through miette: `error[E0207]: …`, the places in their text, and what to write instead.
    pub fn render(&self, sources: &Sources, style: Style) -> String {
        let theme = match style {
            Style::Colour => miette::GraphicalTheme::unicode(),
            Style::Plain => miette::GraphicalTheme::unicode_nocolor(),
        };
        let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(110);
        // Labels in other texts than the first one's follow as notes: miette draws one text.
        let main = self.labels[0].span.source;
        let shown = Shown { diagnostic: self, source: sources, main };
        let mut drawn = String::new();
        let picture = match handler.render_report(&mut drawn, &shown) {
            // Only the picture: the line above it is ours.
            Ok(()) => drawn.find("╭─").map(|at| &drawn[drawn[..at].rfind('\n').map_or(0, |n| n + 1)..]),
            Err(_) => None,
        };
        let place = || format!("  at {}\n", sources.place(self.labels[0].span));
        let mut out = self.headline(style) + &picture.map_or_else(place, str::to_string);
        for label in self.labels.iter().filter(|l| l.span.source != main) {
            out.push_str(&format!("  note: {} {}\n", sources.place(label.span), label.text));
        }
        out
    }

    fn headline(&self, style: Style) -> String {
        let (word, colour) = match self.severity() {
            Severity::Error => ("error", 31),
            Severity::Warning => ("warning", 33),
        };
        match style {
            Style::Plain => format!("{word}[{}]: {}\n", self.code, self.message),
            Style::Colour => {
                format!("\x1b[1;{colour}m{word}[{}]\x1b[0m\x1b[1m: {}\x1b[0m\n", self.code, self.message)
            }
        }
    }
}

/// Colours or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// ANSI colours.
    Colour,
    /// Text alone.
    Plain,
}

struct Shown<'a> {
    diagnostic: &'a Diagnostic,
    source: &'a Sources,
    main: crate::SourceId,
}

impl std::fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.diagnostic.fmt(f)
    }
}
impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}
impl std::error::Error for Shown<'_> {}

impl miette::SourceCode for Shown<'_> {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        let source = self.source.source(self.main);
        let inner = <str as miette::SourceCode>::read_span(&source.text, span, before, after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            source.name.clone(),
            inner.data(),
            *inner.span(),
            inner.line(),
            inner.column(),
            inner.line_count(),
        )))
    }
}

impl miette::Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.code))
    }
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity() {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.diagnostic.help.as_ref().map(|h| Box::new(h) as Box<dyn std::fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(self)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        Some(Box::new(self.diagnostic.labels.iter().filter(|l| l.span.source == self.main).map(|l| {
            let text = (!l.text.is_empty()).then(|| l.text.clone());
            miette::LabeledSpan::new(text, l.span.start as usize, (l.span.end - l.span.start) as usize)
        })))
    }
}

/// Adds the messages that are not among the others: models and phases share their text.
pub fn add_new(all: &mut Vec<Diagnostic>, more: Vec<Diagnostic>) {
    for d in more {
        let is_same = |o: &Diagnostic| {
            o.code == d.code && o.labels[0].span == d.labels[0].span && o.message == d.message
        };
        if !all.iter().any(is_same) {
            all.push(d);
        }
    }
}
