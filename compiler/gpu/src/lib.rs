//! stmc-gpu.
