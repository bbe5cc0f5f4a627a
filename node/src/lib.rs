//! The node: who may connect, what the operator sees, and how the process starts and ends.
//!
//! Read [`limits`] first: every bound of the process stands there.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod clock;
pub mod connector;
pub mod exit;
pub mod identity;
pub mod limits;
pub mod listener;
pub mod telemetry;
