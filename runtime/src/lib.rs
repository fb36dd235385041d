//! stmc-runtime.
