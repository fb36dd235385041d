//! stmc-syntax.
