//! Passes over loops along an axis: what their derivative must remember (`tape`), what need not stand inside
//! (`hoist` before the loop, `sink` after it), and how to take a scan apart (`parts`).

pub mod hoist;
pub(crate) mod parts;
pub mod sink;
pub mod tape;
