//! The GPU backend: kernels become CubeCL's IR, which wgpu (Vulkan, Metal, DX12) and CUDA run.
//!
//! Empty without a feature, so that nobody pays for CubeCL who does not ask for it: `gpu` builds the wgpu
//! device and the emission of WGSL and CUDA C++ with no device at hand, `cuda` the CUDA device beside it.
//!
//! A program's memory is one device buffer of 32-bit words. Every load and store of every kernel goes to it,
//! at an offset that the launch passes as a scalar, so two params of a launch may overlap and a kernel never
//! needs a new binding.
//!
//! The tests run on any adapter, Mesa's llvmpipe included, and skip loudly where there is none. CUDA is
//! checked as far as that goes without a GPU: `STMC_EMIT_CUDA=$PWD/target/cuda cargo test -p stmc-gpu
//! --features gpu` writes kernels, and `compiler/gpu/nvrtc.py target/cuda/*.cu` compiles them and reports
//! registers and spills.
#![cfg(feature = "gpu")]
#![allow(unsafe_code)] // A launch promises CubeCL the length of the buffer it binds.

mod device;

mod grid;

mod contract;
mod folds;

mod lower;

mod code;
mod instruction;

mod emit;

pub use device::GpuDevice;
pub use emit::{emit_cuda, emit_wgsl};
