//! stmc-passes.
