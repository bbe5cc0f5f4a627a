//! Support of the whole-system tests: real processes on this machine.

pub mod banking;
pub mod consortium;
