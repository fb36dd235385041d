//! What modules declare, for people: on a terminal, and as pages for a browser. Everything is read from the texts: the
//! signature, the documentation, the formula. Nothing is said here that is not said there.

// What there is.
mod library;
mod module;

// How it is found.
mod find;

// How it is shown.
mod code;
mod html;
mod markdown;
mod terminal;

pub use find::{Found, find};
pub use html::pages;
pub use library::Library;
pub use module::{Entry, Module};
pub use terminal::{entry, module, overview};
