//! From a graph to a better graph, and from graphs to a program.

// Over graphs, in an order that `pipeline` says.
pub mod precision;

pub mod autodiff;
pub mod prune;
pub mod scan;
pub mod simplify;

pub mod pipeline;
pub mod rebuild;

// From graphs to a program: `compile` calls the others.
pub mod compile;

mod fuse;
mod layout;
mod split;
mod stored;

mod coalesce;
mod emit;
mod lower;

mod plan;
mod update;
