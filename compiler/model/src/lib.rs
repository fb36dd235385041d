//! stmc-model.
