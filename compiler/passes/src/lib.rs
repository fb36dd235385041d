//! From a graph to a better graph, and from graphs to a program.

pub mod precision;

pub mod autodiff;
pub mod prune;
pub mod rebuild;
pub mod scan;
pub mod simplify;

pub mod pipeline;

mod coalesce;
pub mod compile;
mod emit;
mod fuse;
mod layout;
mod lower;
mod plan;
mod split;
mod stored;
mod update;
