//! stmc-data.
