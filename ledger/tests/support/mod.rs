//! What the tests of the ledger share: a consortium with keys that are the same on every machine,
//! and a chain that keeps what a node's storage would keep.

// Each test binary uses its own part of this module.
#![allow(dead_code, unused_imports, clippy::unwrap_used, missing_docs)]

pub mod archive;
pub mod build;
pub mod chain;
pub mod changes;
pub mod consortium;
pub mod epochs;
pub mod expect;
pub mod misdeeds;

pub use archive::Archive;
pub use chain::{Chain, Entry};
pub use consortium::{Consortium, NOON_MS};
