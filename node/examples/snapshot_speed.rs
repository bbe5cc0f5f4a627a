//! What making a snapshot costs beside the commit path: `cargo run --release -p counterfoil-node
//! --example snapshot_speed [ACCOUNTS]`. Debug builds show the ratios alone.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use counterfoil_ledger::account::{Account, AccountId};
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::signature::{Signer, SoftwareSigner};
use counterfoil_ledger::snapshot::Writer;
use counterfoil_ledger::state::State;
use counterfoil_ledger::verify::Signers;
use counterfoil_node::storage::StorageError;
use counterfoil_node::storage::directory::DataDirectory;
use counterfoil_node::storage::log::LogStore;
use counterfoil_node::storage::snapshots::{Manifest, Snapshots};
use counterfoil_node::storage::state::StateStore;
use counterfoil_proto::v1;

/// Accounts that a run of blocks under load touches, at most.
const TOUCHED: u32 = 16_384;

fn genesis() -> Genesis {
    let signer = SoftwareSigner::from_ed25519_seed(&[2; 32]);
    let key = v1::Key {
        public_key: Bytes::copy_from_slice(signer.spki()),
        purpose: v1::KeyPurpose::Attestation.into(),
        name: String::new(),
    };
    Genesis::create(v1::Genesis {
        format: 1,
        consortium: "test.example".to_owned(),
        created_ms: 1,
        rule_version: 1,
        institutions: vec![v1::Institution {
            bic: "BANKCHZZXXX".to_owned(),
            name: "Bank".to_owned(),
            trust_anchor: Bytes::from_static(b"anchor"),
            keys: vec![key],
            audit_scope: v1::AuditScope::Institution.into(),
        }],
        nodes: vec![v1::Node {
            id: 1,
            institution: "BANKCHZZXXX".to_owned(),
            name: "one".to_owned(),
            attestation_key_id: signer.key_id().to_bytes(),
            peer_address: "localhost:1".to_owned(),
            client_address: "localhost:2".to_owned(),
            role: 0,
        }],
        assets: vec![v1::Asset { code: "CHF".to_owned(), exponent: 2 }],
        policy: None,
    })
    .unwrap()
}

fn account(ordinal: u32, round: u64) -> (u32, Vec<u8>) {
    let bic = Bic::parse("BANKCHZZXXX").unwrap();
    let name = format!("ACCOUNT-{ordinal:08}");
    let account = Account {
        ordinal,
        id: AccountId::of(&bic, &bic, "CHF", &name),
        servicer: bic,
        owner: bic,
        asset: AssetCode::parse("CHF").unwrap(),
        name,
        balance: 1_000_000 + i128::from(round),
        posting_count: round,
        head: Hash::of(&round.to_be_bytes()),
    };
    (ordinal, account.encode())
}

/// Flushes one after the other for a time; the longest that the commit path waited, and the longest
/// write beside it.
fn flushes(store: &StateStore, core: &[u8], until: impl Fn() -> bool) -> (u64, Duration, Duration) {
    let (mut round, mut begun, mut written) = (0, Duration::ZERO, Duration::ZERO);
    while until() {
        round += 1;
        let touched: Vec<_> = (0..TOUCHED).map(|it| account(it * 7, round)).collect();
        let start = Instant::now();
        let flush = store.begin_flush(core, b"consensus", touched.into_iter()).unwrap();
        begun = begun.max(start.elapsed());
        let start = Instant::now();
        flush.write().unwrap();
        written = written.max(start.elapsed());
    }
    (round, begun, written)
}

fn make(store: &StateStore, snapshots: &Snapshots, state: &State) -> (u64, Duration) {
    let start = Instant::now();
    let view = store.view();
    store.sync().unwrap();
    let mut draft = snapshots.begin(8).unwrap();
    let sink = |chunk: &[u8]| draft.put_chunk(chunk);
    let mut writer = Writer::new(&state.chain_id(), &view.core().unwrap(), sink).unwrap();
    view.accounts().try_for_each(|it| writer.account(&it?)).unwrap();
    view.records()
        .try_for_each(|it| {
            let (key, value) = it?;
            writer.record(&key, &value)
        })
        .unwrap();
    let written = writer.finish().unwrap();
    let bytes = written.bytes;
    let (_, block) = State::genesis(state.genesis_file().clone());
    let header = counterfoil_ledger::header::Header { height: 8, ..block.header };
    draft.finish(Manifest::new(header, written).unwrap()).unwrap();
    (bytes, start.elapsed())
}

fn main() -> Result<(), StorageError> {
    let count = std::env::args().nth(1).map_or(1_000_000, |text| text.parse::<u32>().unwrap());
    let genesis = genesis();
    let parent = tempfile::tempdir().unwrap();
    let directory = DataDirectory::init(&parent.path().join("data"), 1, &genesis.chain_id())?;
    let store = StateStore::open(&directory, LogStore::open(&directory)?)?;
    let (state, block) = State::genesis(genesis);
    let signers = Signers::of(state.chain_id(), state.registry());
    let snapshots = Snapshots::open(&directory, &state.chain_id(), &signers)?;
    store.append(Arc::new(block))?;
    let core = state.core();
    for first in (0..count).step_by(50_000) {
        let accounts = (first..count.min(first + 50_000)).map(|it| account(it, 0));
        store.flush(core.clone(), b"consensus".to_vec(), accounts)?;
    }

    let ends = Instant::now() + Duration::from_secs(5);
    let quiet = flushes(&store, &core, || Instant::now() < ends);
    let working = AtomicBool::new(true);
    let (made, beside) = std::thread::scope(|threads| {
        let making = threads.spawn(|| {
            let made = make(&store, &snapshots, &state);
            working.store(false, Ordering::SeqCst);
            made
        });
        let beside = flushes(&store, &core, || working.load(Ordering::SeqCst));
        (making.join().unwrap(), beside)
    });
    println!("{count} accounts: {} bytes in {:?}", made.0, made.1);
    println!("| while | flushes | longest wait of the commit path | longest write beside it |");
    println!("|---|---|---|---|");
    for (what, (rounds, begun, written)) in [("quiet", quiet), ("a snapshot is made", beside)] {
        println!("| {what} | {rounds} | {begun:.1?} | {written:.1?} |");
    }
    Ok(())
}
