//! Data: readers, generators, samples, batches. Reads hyperslabs only; every expression over them is part of a graph.
//!
//! The way of a batch: a `Source` reads slabs of its variables, a `Dataset` binds them to the fields of a `DataPlan`,
//! `Samples` says which sample belongs to which part, a `Loader` puts batches of them into buffers, and a `Prefetch`
//! does so ahead of time on a thread. All of it is a pure function of plan, data and seed.
#![allow(unsafe_code)] // Memory maps: `map.rs` and nowhere else.

mod balance;
mod between;
mod category;
mod climate;
mod csv;
pub mod dataset;
mod draw;
mod element;
pub mod error;
mod generate;
mod heartbeats;
mod joined;
mod land;
pub mod loader;
mod map;
mod maths;
mod npy;
mod npz;
mod observations;
mod pattern;
pub mod prefetch;
mod quantity;
pub mod samples;
pub mod source;
mod split;
mod storms;

pub use category::list_categories;
pub use dataset::Dataset;
pub use element::half;
pub use error::DataError;
pub use loader::{Batch, Loader, Position};
pub use npy::{read_npy, write_npy};
pub use prefetch::{Loaded, Prefetch, Target};
pub use samples::{SampleId, Samples};
pub use source::{Source, open};
