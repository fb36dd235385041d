//! Text to syntax tree, and text to well-formatted text. The only crate that knows pest.

// Text to tree.
pub mod ast;
mod grammar;
mod parse;
mod tree;

// Text that does not parse to messages.
mod recover;
pub mod tokens;
pub mod words;

// What parses and is odd.
mod unused;

// Tree and text to text.
mod dump;
mod fmt;

pub use dump::dump;
pub use fmt::format;
pub use parse::{Parsed, parse};
pub use unused::unused;
