//! Support code of the whole-system tests.
