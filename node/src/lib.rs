//! The node: the shell around the ledger. `api → consensus → storage → ledger`; identity,
//! configuration, limits and telemetry stand beside them and import none of them.
//!
//! Read [`limits`] first: every bound of the process stands there. Then [`consensus`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(all(feature = "simulation", not(debug_assertions)))]
compile_error!("the feature `simulation` is for tests; a release build must not have it");

#[cfg(all(feature = "misbehaviour", not(debug_assertions)))]
compile_error!("the feature `misbehaviour` is for tests; a release build must not have it");

pub mod api;
pub mod blocking;
pub mod boot;
pub mod bounded_file;
pub mod budget;
pub mod check;
pub mod clock;
pub mod config;
pub mod connector;
pub mod consensus;
pub mod defect;
pub mod exit;
pub mod identity;
pub mod limits;
pub mod listener;
#[cfg(feature = "misbehaviour")]
pub mod misbehaviour;
pub mod node;
pub mod process;
pub mod repair;
pub mod scrubber;
pub mod shares;
pub mod status;
pub mod storage;
pub mod telemetry;
