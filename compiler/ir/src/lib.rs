//! The intermediate representations, from high to low: tensor **graph** with its op table, loop **kernels**, and the
//! **program** that a device runs. Every arrow between them is a pass in `stmc-passes`; nothing here transforms.

pub mod data;
pub mod device;
pub mod graph;
pub mod host;
pub mod interpret;
pub mod kernel;
pub mod kernel_interpret;
pub mod lower;
pub mod module;
pub mod ops;
pub mod philox;
pub mod precision;
pub mod program;
pub mod types;
pub mod verify;

pub use device::{Device, DeviceError};
pub use graph::{Builder, Graph, Node, NodeId};
pub use host::HostExpr;
pub use kernel::Kernel;
pub use module::Module;
pub use ops::{Misfit, Op, OpRule};
pub use precision::Precision;
pub use program::Program;
pub use types::{Axes, AxisId, DType, Dim, Type};
