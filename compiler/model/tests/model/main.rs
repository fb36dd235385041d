//! What elaboration promises, from text to graphs.
mod buffers;
mod common;
mod damage;
mod errors;
mod layers;
mod losses;
mod nowcast;
mod primitives;
mod training;
