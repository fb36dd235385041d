//! The language server: what an editor shows and changes while a model is written.
//!
//! An `Analysis` knows a file and what it imports; everything that an editor asks is a method of it and knows no
//! protocol. The server around it speaks the language server protocol and converts places.

// A file as its editor sees it.
pub mod analysis;
pub mod cache;
mod data;
mod phases;
pub mod symbols;

// What an editor asks.
pub mod actions;
pub mod complete;
pub mod hover;
mod rename;

// The server.
pub mod position;
mod server;
mod workspace;

pub use analysis::{Analysis, Origin};
pub use cache::Cache;
pub use server::{library_folder, serve, serve_stdio};
