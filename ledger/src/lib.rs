//! The pure core of Counterfoil: what decides, and nothing else. It is synchronous and
//! deterministic: no I/O, no clock, no randomness, no floats, no map whose order could differ.
//! Everything that a committed block can cause is a function of the blocks before it.
//!
//! Read it in this order: [`reason`], [`outcome`], [`header`], [`proposal`], [`account`],
//! [`block`].

#![deny(clippy::float_arithmetic, clippy::unwrap_used)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod account;
pub mod agreement;
pub mod apply;
pub mod asset;
pub mod bic;
pub mod block;
pub mod canonical;
pub mod checkpoint;
pub mod date;
pub mod genesis;
pub mod hash;
pub mod header;
pub mod history;
pub mod id;
pub mod instruction;
pub mod matching;
pub mod merkle;
pub mod outcome;
pub mod proof;
pub mod proposal;
pub mod prove;
pub mod purpose;
pub mod reason;
pub mod reconciliation;
pub mod registry;
pub mod replay;
pub mod signature;
pub mod snapshot;
pub mod state;
pub mod summary;
pub mod text;
pub mod uetr;
pub mod verify;
