//! Compiles the .proto files, in Rust alone: no protoc is needed.

use std::{env, fs, io, path::PathBuf};

use prost::Message;

const PROTOS: &[&str] = &[
    "counterfoil/v1/instruction.proto",
    "counterfoil/v1/genesis.proto",
    "counterfoil/v1/ledger.proto",
    "counterfoil/v1/proof.proto",
    "counterfoil/v1/evidence.proto",
    "counterfoil/v1/settlement_service.proto",
    "counterfoil/v1/account_service.proto",
    "counterfoil/v1/reconciliation.proto",
    "counterfoil/v1/reconciliation_service.proto",
    "counterfoil/v1/audit_service.proto",
    "counterfoil/v1/node_service.proto",
    "counterfoil/peer/v1/peer_service.proto",
];

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    println!("cargo:rerun-if-changed=counterfoil");

    let descriptors = protox::compile(PROTOS, [&root]).map_err(io::Error::other)?;
    fs::write(out.join("descriptors.binpb"), descriptors.encode_to_vec())?;

    let services = env::var_os("CARGO_FEATURE_SERVICES").is_some();
    // `bytes` fields share the received buffer: an instruction is not copied to be looked at.
    tonic_prost_build::configure()
        .bytes(".")
        // Large and rare: every other instruction stays as small as it is.
        .boxed(".counterfoil.v1.Instruction.body.propose_agreement")
        .boxed(".counterfoil.v1.Instruction.body.work_break")
        .build_client(services)
        .build_server(services)
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)
}
