//! Proofs as bytes that are kept and handed on: which there are, and how large they may be.

use counterfoil_proto::v1;
use prost::Message;

const MIB: usize = 1024 * 1024;

/// A message that is kept and handed on as a file.
pub trait Proof: Message + Default {
    /// Its name, for whoever reads an error.
    const NAME: &'static str;
    /// Most bytes that are looked at.
    const BYTES_MAX: usize;
}

macro_rules! proofs {
    ($($message:ident: $name:literal, $most:expr;)*) => {
        $(impl Proof for v1::$message {
            const NAME: &'static str = $name;
            const BYTES_MAX: usize = $most;
        })*
    };
}

proofs! {
    Receipt: "receipt", 8 * MIB;
    BatchProof: "batch proof", 8 * MIB;
    AccountProof: "account proof", 64 * MIB;
    HistoryProof: "history proof", MIB;
    Certificate: "certificate", MIB;
    Absence: "absence", MIB;
    Promise: "promise", 4 * 1024;
    Evidence: "evidence", MIB;
    EpochChain: "epoch chain", 64 * MIB;
    TrustedState: "trusted state", 64 * MIB;
}
