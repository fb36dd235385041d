//! Precompiled numeric kernels for processors: contractions, vector mathematics and the threads that run them.
//!
//! Everything here is `f32`, works on memory its caller owns, and allocates only when it is prepared
//! ([`Contraction::new`], [`Pool::new`]), never when it runs. Each kernel exists once, written over the trait in
//! `vector`, and is compiled for every instruction-set path; [`Isa`] says which one runs.
//!
//! Invariant: results depend on shapes and on the path alone, never on the number of threads. The functions of
//! [`math`] give the same bits on every path.
#![allow(unsafe_code)] // The purpose of this crate: vector instructions and raw memory shared by threads.

mod isa;
mod vector;

pub mod math;
pub mod peak;

mod contract;
mod pack;
mod pool;
mod tile;

pub use contract::{Buffers, Contraction, ContractionSpec, Start, View};
pub use isa::Isa;
pub use pool::Pool;
