//! stmc-tests.
