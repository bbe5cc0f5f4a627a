//! The client against nodes that fail and lie in every way that a client must survive: fakes, but over
//! real TLS with real certificates, and with a real ledger behind them.

#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code)]
mod chain;
mod consortium;
mod days;
#[allow(dead_code)]
#[path = "../../examples/first_transfer.rs"]
mod first_transfer;
mod found;
mod ledger;
mod lies;
mod node;
mod proofs;
mod reconciliation;
mod streams;
mod submission;
mod trust;
mod world;
