//! Passes over loops along an axis: what their derivative must remember (`tape`), what need not stand inside
//! (`hoist` before the loop, `sink` after it), how to take a scan apart (`parts`), and how to compute for all its steps at
//! once (`steps`).

pub mod hoist;
pub(crate) mod parts;
pub mod sink;
mod steps;
pub mod tape;
