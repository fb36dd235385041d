//! The intermediate representations, from high to low: tensor **graph** with its op table, loop **kernels**, and the
//! **program** that a device runs. Every arrow between them is a pass in `stmc-passes`; nothing here transforms.

// Graphs.
pub mod graph;
pub mod ops;
pub mod types;

pub mod interpret;

// What `model` hands to the passes.
pub mod data;
pub mod host;
pub mod module;
pub mod precision;

// Kernels, and how an op says what it computes.
pub mod kernel;
pub mod lower;

// What a device runs.
pub mod device;
pub mod program;

pub mod kernel_interpret;

// For all of them.
pub mod philox;
pub mod verify;

pub use device::{Device, DeviceError};
pub use graph::{Builder, Graph, Node, NodeId};
pub use host::HostExpr;
pub use kernel::Kernel;
pub use module::Module;
pub use ops::{Misfit, Op};
pub use precision::Precision;
pub use program::Program;
pub use types::{Axes, AxisId, DType, Dim, Type};
