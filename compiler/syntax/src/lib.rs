//! Text to syntax tree, and text to well-formatted text. The only crate that knows pest.

pub mod ast;
mod grammar;
mod parse;
mod recover;
mod tokens;
mod tree;
mod words;

pub use parse::{Parsed, parse};
