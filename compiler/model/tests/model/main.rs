//! What elaboration promises, from text to graphs.
mod buffers;
mod common;
mod damage;
mod errors;
mod layers;
mod losses;
mod missing;
mod nowcast;
mod periodic;
mod phases;
mod primitives;
mod training;
mod units;
