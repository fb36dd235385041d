//! Tests that span crates, and what they share: small graphs, every device of this machine, and the comparison of the two.

#[allow(clippy::new_without_default, clippy::should_implement_trait)] // written for the tests of one crate
#[path = "../../compiler/passes/tests/common/mod.rs"]
pub mod lab;

pub mod agree;
pub mod devices;
pub mod fault;
pub mod mutate;
pub mod onnx;
pub mod rates;
