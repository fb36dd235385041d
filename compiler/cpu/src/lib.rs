//! stmc-cpu.
