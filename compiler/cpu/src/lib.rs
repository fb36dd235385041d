//! The processor as a device: loop kernels compiled by Cranelift, contractions on the precompiled kernels.
//!
//! A program is prepared once: kernels are compiled, offset tables built, all memory laid out. A run then only walks
//! the prepared steps; it allocates nothing and starts no thread.
//!
//! Invariant: how work is cut follows from shapes and instruction-set path alone, so any number of threads gives the
//! same bits.
#![allow(unsafe_code)] // Runs generated code on raw memory that threads share.

mod device;

mod code;
mod contraction;
mod memory;
mod prepare;
mod schedule;

pub use code::emit_clif;
pub use device::CpuDevice;
pub use stmc_kernels::Isa;
