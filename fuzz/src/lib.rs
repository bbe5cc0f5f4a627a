//! Everything that reads bytes of others or of the disk, as functions of bytes alone, each with what
//! must hold of what it takes; and the ledger under any sequence of commands.
//!
//! The same functions run in two ways: `fuzz/tests/short.rs` changes good inputs a little, with the
//! stable toolchain, as part of all tests; `make fuzz` lets libFuzzer search, with the nightly one.

mod books;
mod commands;
mod decoders;
mod epochs;
mod files;
mod frames;
pub mod mutator;
mod peers;
mod proofs;
mod protobuf;
pub mod random;
mod scene;
mod snapshots;

#[allow(dead_code, reason = "the program uses all of it")]
#[path = "../../admin-cli/src/ledger_file.rs"]
#[cfg_attr(test, allow(clippy::unwrap_used))]
mod ledger_file;
#[path = "../../ledger/tests/support/mod.rs"]
mod support;

/// Something that eats bytes.
pub struct Target {
    /// By which it is asked for.
    pub name: &'static str,
    /// Eats them, and panics if something does not hold that must.
    pub run: fn(&[u8]),
    /// Inputs to begin with: good ones.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// A target.
const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("instruction", decoders::instruction, decoders::instruction_seeds),
    target("proposal", decoders::proposal, decoders::proposal_seeds),
    target("record", decoders::record, decoders::record_seeds),
    target("genesis", decoders::genesis, decoders::genesis_seeds),
    target("replay", decoders::replay, decoders::replay_seeds),
    target("follow", snapshots::follow, decoders::replay_seeds),
    target("snapshot", snapshots::content, snapshots::content_seeds),
    target("manifest", snapshots::manifest, snapshots::manifest_seeds),
    target("restore", decoders::restore, decoders::restore_seeds),
    target("commands", commands::sequence, commands::seeds),
    target("receipt", proofs::receipt, proofs::receipt_seeds),
    target("batch", proofs::batch, proofs::batch_seeds),
    target("account", proofs::account_proof, proofs::account_seeds),
    target("history", proofs::history, proofs::history_seeds),
    target("statement", proofs::statement, proofs::statement_seeds),
    target("evidence", proofs::evidence, proofs::evidence_seeds),
    target("trusted_state", proofs::trusted_state, proofs::trusted_state_seeds),
    target("epoch_chain", epochs::epoch_chain, epochs::epoch_chain_seeds),
    target("note", proofs::note, proofs::note_seeds),
    target("raft_message", peers::raft_message, peers::raft_message_seeds),
    target("attestation", peers::attestation, peers::attestation_seeds),
    target("log_entry", peers::log_entry, peers::log_entry_seeds),
    target("index", peers::index, peers::index_seeds),
    target("bank_file", files::bank_file, files::bank_file_seeds),
    target("camt", books::camt, books::camt_seeds),
    target("mt", books::mt, books::mt_seeds),
    target("mapped_table", books::mapped_table, books::mapped_table_seeds),
    target("integrity", books::integrity, books::mt_seeds),
    target("identity", files::identity, files::identity_seeds),
    target("configuration", files::configuration, files::configuration_seeds),
    target("ledger_file", files::ledger_file, files::ledger_file_seeds),
];

/// A target by its name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
