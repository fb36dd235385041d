//! stmc.
