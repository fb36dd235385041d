//! stmc-ir.
