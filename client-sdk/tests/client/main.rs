//! The client against nodes that fail in every way that a client must survive: fakes, but over real
//! TLS with real certificates.

#![allow(clippy::unwrap_used, missing_docs)]

mod consortium;
#[allow(dead_code)]
#[path = "../../examples/first_transfer.rs"]
mod first_transfer;
mod node;
mod streams;
mod submission;
mod trust;
mod world;
