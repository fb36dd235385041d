//! What every phase shares: places in the source, diagnostics, typed ids, dates, and the data schema.

pub mod codes;
pub mod date;
pub mod diagnostic;
pub mod id;
mod letters;
pub mod schema;
pub mod source;
pub mod span;

pub use codes::Code;
pub use diagnostic::{Diagnostic, Edit, Fix, Help, Label, Severity};
pub use letters::distance;
pub use schema::Schema;
pub use source::{SourceId, Sources};
pub use span::Span;
