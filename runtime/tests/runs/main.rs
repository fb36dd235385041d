//! The runtime as a whole, on a toy program.
#![allow(clippy::unwrap_used, reason = "tests")]

mod step;
mod toy;
mod train;
