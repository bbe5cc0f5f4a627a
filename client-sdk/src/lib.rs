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
//! | an [`Outcome`], rejected or not | decided for ever, and proved | keep its [`receipt`](Outcome::receipt) |
//! | an [`Error`] whose [`outcome`](Error::outcome) is [`Fate::NotTaken`] | not on the ledger, by the word of every node that answered | correct it, make a new order |
//! | … [`Fate::Unknown`] | not known, or not proved; once an attempt may have been taken no refusal changes that | [`Client::resume`], which sends the same bytes |
//! | … [`Fate::Final`] | the id was decided before, with other content | look it up: [`Client::instruction`] |
//!
//! Nothing has to be done in between: the client itself tries its endpoints one after the other with
//! the same bytes, until its deadline. The bytes are on disk before they are sent, so that the same
//! holds for a program that dies and is started again.
//!
//! # Whom it trusts
//!
//! The genesis file alone. A server is spoken to when its certificate names a node of an institution
//! and ends at that institution's own trust anchor; what it then says of an instruction is believed
//! when it proves it: with a receipt for exactly the bytes that were sent, which a quorum of
//! institutions has signed ([`Client::with_finality`] says whether that is waited for). A node that
//! proves nothing is left for the next one; if none does, the error says what was wrong.
//!
//! | what | proved |
//! |---|---|
//! | outcomes of [`Client::submit`], [`Client::resume`], [`Client::instruction`] | always, item by item |
//! | that an expired instruction was never taken | always, by a quorum |
//! | [`Client::receipt`], [`Client::account_proof`], [`Client::history_proof`], [`Client::absence`] | always; the proof is returned with what it shows |
//! | the terms of [`Client::agreement`] | always: they have the id that was asked for; what has become of them is not |
//! | what [`Client::get_original`] brings | by [opening](sealed::open) it: it has the hash that the statement names |
//! | lists, balances, reports, watches | not: they are one node's word, as certain as it was asked to be |
//! | a refusal before anything was decided ([`Fate::NotTaken`]) | not: it is the word of every endpoint that answered, of one node where there is one endpoint. Who must be sure asks [`Client::absence`] once the order has expired |
//!
//! [`ClientBuilder::trusted_state`](builder::ClientBuilder::trusted_state) names a file that keeps the
//! newest certificate. [`Client::update_trust`] takes a newer one if it has the old one in its history;
//! two histories that a quorum has signed are [`Error::Fork`], with the evidence.

pub mod account_day;
mod accounts;
pub mod agreements;
pub mod audit;
mod belief;
pub mod builder;
mod certificate;
pub mod checkpoint;
pub mod client;
mod clock;
mod endpoints;
pub mod error;
pub mod export;
mod feed;
pub mod formats;
pub mod instructions;
mod journal;
pub mod orders;
pub mod originals;
pub mod outcome;
pub mod pages;
mod private_file;
pub mod proofs;
mod random;
pub mod reconciliation;
pub mod sealed;
pub mod signer;
mod tls;
pub mod trusted;
pub mod watch;

pub use counterfoil_ledger::account::AccountId;
pub use counterfoil_ledger::bic::Bic;
pub use counterfoil_proto::v1;

pub use crate::client::Client;
pub use crate::error::{Error, Fate};
pub use crate::instructions::Order;
pub use crate::outcome::Outcome;
