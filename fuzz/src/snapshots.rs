//! What a node that catches up reads from others: blocks that it follows instead of deciding them, and
//! snapshots with their manifests.

#![allow(clippy::unwrap_used, reason = "a broken rule has to end the run")]

use std::collections::BTreeMap;
use std::convert::Infallible;

use bytes::Bytes;
use counterfoil_ledger::block::decode_leaves;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::proposal::Proposal;
use counterfoil_ledger::proposal::ProposalHeader;
use counterfoil_ledger::registry::Registry;
use counterfoil_ledger::signature::Label;
use counterfoil_ledger::signature::snapshot_payload;
use counterfoil_ledger::snapshot;
use counterfoil_ledger::snapshot::Item;
use counterfoil_ledger::state::State;
use counterfoil_ledger::verify::Signers;
use counterfoil_node::storage::snapshots::Manifest;
use counterfoil_proto::peer::v1 as peer;
use prost::Message;

use crate::decoders::replaced;
use crate::scene::scene;
use crate::support::Entry;
use crate::support::archive::sign_all;

/// Reconciliation records by key.
type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Takes an entry of a log as one that is told; false if it is refused.
pub fn follows(state: &mut State, entry: &Entry) -> bool {
    match entry {
        Entry::Void { header } => {
            let header = ProposalHeader::decode(header);
            header.inspect(|header| state.follow(header)).is_some()
        }
        Entry::Block { header, proposal, outcomes } => {
            let parts =
                (Header::decode(header), Proposal::decode(proposal), decode_leaves(outcomes));
            let (Some(header), Some(proposal), Some(leaves)) = parts else { return false };
            state.follow_block(&header, &proposal, &leaves).is_ok()
        }
    }
}

/// One entry of a stored chain, replaced as for `replay`, and followed: what leads to a header that a
/// quorum has signed is what was decided.
pub fn follow(bytes: &[u8]) {
    let Some((place, entry)) = replaced(bytes) else { return };
    let scene = scene();
    let mut state = scene.replays[place].state().clone();
    let stored = scene.replays[place + 1].state();
    if !follows(&mut state, &entry) || matches!(entry, Entry::Void { .. }) {
        return;
    }
    if state.header_hash() == stored.header_hash() {
        assert_eq!(state.core(), stored.core());
        assert_eq!(state.accounts(), stored.accounts());
    }
}

/// The snapshot of a state with its reconciliation records, and the hashes of its chunks.
pub fn written(state: &State, records: &Records) -> (Vec<u8>, snapshot::Written) {
    let records = records.iter().map(|(key, value)| (&key[..], &value[..]));
    let mut bytes = Vec::<u8>::new();
    let sink = |chunk: &[u8]| {
        bytes.extend(chunk);
        Ok::<(), Infallible>(())
    };
    let Ok(written) = snapshot::write(state, records, sink);
    (bytes, written)
}

/// A snapshot that comes in pieces: the first byte says how large they are. What is read to its end is
/// written again as the same bytes.
pub fn content(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let chain_id = scene().archive.chain.state.chain_id();
    let mut reader = snapshot::Reader::new(chain_id);
    let mut items = Vec::new();
    for piece in bytes.chunks(usize::from(*piece) * 16 + 1) {
        reader.push(piece);
        loop {
            match reader.take() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    if reader.finish().is_err() {
        return;
    }
    let mut again = Vec::<u8>::new();
    let sink = |chunk: &[u8]| {
        again.extend(chunk);
        Ok::<(), Infallible>(())
    };
    let Some((Item::Core(core), rest)) = items.split_first() else { panic!("it begins so") };
    let Ok(mut writer) = snapshot::Writer::new(&chain_id, core, sink);
    for item in rest {
        let Ok(()) = match item {
            Item::Core(_) => panic!("a second core"),
            Item::Account(account) => writer.account(account),
            Item::Record(key, value) => writer.record(key, value),
        };
    }
    let Ok(_) = writer.finish();
    assert_eq!(again, bytes);
}

/// The scene's, in small pieces and in one.
pub fn content_seeds() -> Vec<Vec<u8>> {
    let chain = &scene().archive.chain;
    let (bytes, _) = written(&chain.state, &chain.records);
    [0, 3, 255].map(|piece| [&[piece], &bytes[..]].concat()).to_vec()
}

fn scenes_own() -> Manifest {
    let archive = &scene().archive;
    let header = archive.header(archive.height()).clone();
    let (_, written) = written(&archive.chain.state, &archive.chain.records);
    let manifest = Manifest::new(header, written).unwrap();
    let hash = manifest.header().hash();
    let payload = snapshot_payload(&hash, snapshot::FORMAT, &manifest.digest());
    let chain_id = archive.chain.state.chain_id();
    manifest.signed(sign_all(archive.quorum(), Label::Snapshot, &chain_id, &payload))
}

/// What a peer says that its snapshot consists of: certified is only what a quorum has signed.
pub fn manifest(bytes: &[u8]) {
    let Ok(message) = peer::SnapshotManifest::decode(Bytes::copy_from_slice(bytes)) else { return };
    let chain = &scene().archive.chain;
    let chain_id: Hash = chain.state.chain_id();
    let Ok(manifest) = Manifest::decode(message, &chain_id) else { return };
    let mut read = 0;
    for number in 0..manifest.chunk_count() {
        let (_, at, length) = manifest.chunk(number).unwrap();
        assert_eq!(at, read);
        read += u64::try_from(length).unwrap();
    }
    assert_eq!(read, manifest.content_bytes());
    let signers = Signers::of(chain_id, &Registry::of(&chain.consortium.genesis));
    if manifest.certified(&signers).is_ok() {
        let own = scenes_own();
        assert_eq!((manifest.header(), manifest.digest()), (own.header(), own.digest()));
    }
}

/// With signatures and without.
pub fn manifest_seeds() -> Vec<Vec<u8>> {
    let own = scenes_own();
    [own.signed(Vec::new()), own].map(|it| it.to_message().encode_to_vec()).to_vec()
}
