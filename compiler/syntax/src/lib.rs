//! Text to syntax tree, and text to well-formatted text. The only crate that knows pest.

pub mod ast;
