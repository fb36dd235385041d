//! Writes the graph of an entry as an ONNX model, for other programs to run: what is fixed (weights, fitted statistics) becomes
//! initializers, named inputs and outputs stay. Sole user of prost.
//!
//! Axes have no order in a graph; here each value has one of its own, and is transposed where an operator wants another. What
//! ONNX lacks is composed of what it has. The graph is read after all graph passes and before fusion: contractions of windows
//! are still to be seen, and become convolutions.

mod contract;
mod graph;
mod lookup;
mod moves;
pub mod proto;
mod samples;
mod scalars;
mod windowed;
pub mod write;
mod writer;

pub use write::{Fixed, Frozen, Unwritable, read, write};
