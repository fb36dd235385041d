//! stmc-kernels.
