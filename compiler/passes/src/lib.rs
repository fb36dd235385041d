//! From a graph to a better graph, and from graphs to a program.

pub mod autodiff;
pub mod prune;
pub mod rebuild;
pub mod scan;
