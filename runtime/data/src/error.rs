//! What the world does to data: files that are missing, damaged, of another form than declared.
use stmc_base::{Code, Diagnostic, Span};

/// One problem of one source. Becomes a diagnostic where the caller knows the place in the program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataError {
    /// E0902 if the data are sound but not as declared, else E0903.
    pub code: Code,
    /// The path, or the generator.
    pub place: String,
    /// One sentence, lower case, no full stop.
    pub problem: String,
}

impl DataError {
    /// The source cannot be read.
    pub fn unreadable(place: impl Into<String>, problem: impl Into<String>) -> DataError {
        DataError { code: Code::E0903, place: place.into(), problem: problem.into() }
    }

    /// The source can be read, but does not hold what is asked of it.
    pub fn unfit(place: impl Into<String>, problem: impl Into<String>) -> DataError {
        DataError { code: Code::E0902, place: place.into(), problem: problem.into() }
    }

    /// The message about the line of the program that names the source.
    pub fn diagnostic(&self, span: Span) -> Diagnostic {
        Diagnostic::new(self.code, span, self.to_string())
    }
}

impl std::fmt::Display for DataError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`: {}", self.place, self.problem)
    }
}

impl std::error::Error for DataError {}
