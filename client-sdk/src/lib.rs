//! What a bank links: it submits instructions and learns their fate for certain, follows its
//! accounts, works its reconciliation, and exports what an auditor verifies.
//!
//! ```no_run
#![doc = include_str!("../examples/first_transfer.rs")]
//! ```
//!
//! # What is true after a call
//!
//! | [`Client::submit`] returns | what is true | what to do |
//! |---|---|---|
//! | an [`Outcome`], rejected or not | decided for ever | nothing |
//! | an [`Error`] whose [`outcome`](Error::outcome) is [`Fate::NotTaken`] | not on the ledger, and never will be | correct it, make a new order |
//! | … [`Fate::Unknown`] | not known | [`Client::resume`], which sends the same bytes |
//! | … [`Fate::Final`] | the id was decided before, with other content | look it up: [`Client::instruction`] |
//!
//! Nothing has to be done in between: the client itself tries its endpoints one after the other with
//! the same bytes, until its deadline. The bytes are on disk before they are sent, so that the same
//! holds for a program that dies and is started again.
//!
//! # Whom it trusts
//!
//! The genesis file alone. A server is spoken to when its certificate names a node of an institution
//! and ends at that institution's own trust anchor.

mod accounts;
pub mod audit;
pub mod builder;
mod certificate;
pub mod client;
mod clock;
mod endpoints;
pub mod error;
pub mod export;
mod feed;
pub mod formats;
pub mod instructions;
mod journal;
pub mod outcome;
pub mod pages;
mod private_file;
mod random;
pub mod reconciliation;
pub mod signer;
mod tls;
pub mod watch;

pub use counterfoil_ledger::account::AccountId;
pub use counterfoil_ledger::bic::Bic;
pub use counterfoil_proto::v1;

pub use crate::client::Client;
pub use crate::error::{Error, Fate};
pub use crate::instructions::Order;
pub use crate::outcome::Outcome;
