//! What a bank links to use the ledger.

pub mod formats;
