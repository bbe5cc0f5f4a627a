use std::convert::Infallible;

use bytes::Bytes;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::signature::Label;
use counterfoil_ledger::signature::Signer;
use counterfoil_ledger::signature::SoftwareSigner;
use counterfoil_ledger::signature::preimage;
use counterfoil_ledger::signature::snapshot_payload;
use counterfoil_ledger::snapshot::CHUNK_BYTES;
use counterfoil_ledger::snapshot::FORMAT;
use counterfoil_ledger::snapshot::Writer;
use counterfoil_ledger::snapshot::Written;
use counterfoil_proto::v1;

use super::*;

const CHAIN: Hash = Hash([7; 32]);

fn key(node: u64) -> SoftwareSigner {
    SoftwareSigner::from_ed25519_seed(&[u8::try_from(node).unwrap(); 32])
}

/// Two of three must sign.
fn signers() -> Signers {
    let bic = |node| counterfoil_ledger::bic::Bic::parse(&format!("BNK{node}CHZZXXX")).unwrap();
    let public =
        |node| counterfoil_ledger::signature::PublicKey::from_spki(key(node).spki()).unwrap();
    Signers::new(CHAIN, 2, (1..=3).map(|node| (node, bic(node), public(node))))
}

fn header(height: u64) -> Header {
    Header {
        chain_id: CHAIN,
        incarnation: 0,
        epoch: 0,
        rule_version: 1,
        height,
        previous: Hash::ZERO,
        raft_term: 1,
        raft_index: height + 3,
        proposer: 1,
        proposal_hash: Hash::ZERO,
        block_time_ms: height,
        leaf_count: 0,
        account_count: 0,
        registry_count: 0,
        tx_root: Hash::ZERO,
        history_root: Hash::ZERO,
        accounts_root: None,
        registry_root: Hash::ZERO,
    }
}

/// Two and a half chunks that depend on a height.
fn chunks(height: u64) -> (Vec<Vec<u8>>, Written) {
    let mut chunks = Vec::new();
    let mut writer = Writer::new(&CHAIN, &height.to_be_bytes(), |chunk: &[u8]| {
        chunks.push(chunk.to_vec());
        Ok::<(), Infallible>(())
    })
    .unwrap();
    (0..650u32)
        .for_each(|it| writer.account(&[&it.to_be_bytes()[..], &[3; 4_000]].concat()).unwrap());
    let written = writer.finish().unwrap();
    assert_eq!(chunks.len(), 3);
    (chunks, written)
}

fn manifest(height: u64) -> Manifest {
    Manifest::new(header(height), chunks(height).1).unwrap()
}

fn certified(height: u64) -> Manifest {
    let manifest = manifest(height);
    let payload = snapshot_payload(&manifest.header().hash(), FORMAT, &manifest.digest());
    let sign = |node| v1::NodeSignature {
        node,
        value: key(node)
            .sign(&preimage(Label::Snapshot, &CHAIN, &payload))
            .unwrap()
            .to_vec()
            .into(),
    };
    manifest.signed(vec![sign(1), sign(3)])
}

/// A data directory, and what is opened in it.
struct Disk {
    directory: DataDirectory,
    _parent: tempfile::TempDir,
}

impl Disk {
    fn new() -> Disk {
        let parent = tempfile::tempdir().unwrap();
        let directory = DataDirectory::init(&parent.path().join("data"), 1, &CHAIN).unwrap();
        Disk { directory, _parent: parent }
    }

    /// As after a crash: what is in memory is gone.
    fn open(&self) -> Snapshots {
        Snapshots::open(&self.directory, &CHAIN, &signers()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.snapshots()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn draft(snapshots: &Snapshots, height: u64) -> Draft {
    let mut draft = snapshots.begin(height).unwrap();
    chunks(height).0.iter().for_each(|chunk| draft.put_chunk(chunk).unwrap());
    draft
}

fn make(snapshots: &Snapshots, height: u64) {
    draft(snapshots, height).finish(manifest(height)).unwrap();
}

#[test]
fn what_was_made_is_read_chunk_by_chunk_also_after_a_restart() {
    let disk = Disk::new();
    make(&disk.open(), 8);
    for snapshots in [disk.open(), disk.open()] {
        let kept = snapshots.newest().unwrap();
        assert_eq!(*kept, manifest(8));
        assert!(snapshots.newest_certified().is_none());
        for (number, chunk) in (0..).zip(chunks(8).0) {
            assert_eq!(snapshots.read_chunk(8, number).unwrap(), Some(chunk));
        }
        assert_eq!(snapshots.read_chunk(8, 3).unwrap(), None);
        assert_eq!(snapshots.read_chunk(9, 0).unwrap(), None);
    }
    assert_eq!(disk.names(), ["8"]);
}

#[test]
fn a_certificate_makes_older_ones_go() {
    let disk = Disk::new();
    let snapshots = disk.open();
    make(&snapshots, 8);
    snapshots.certify(certified(8)).unwrap();
    make(&snapshots, 16);
    make(&snapshots, 24);
    // The certified one stays until there is a newer one; what nobody signed goes at once.
    assert_eq!(disk.names(), ["24", "8"]);
    let snapshots = disk.open();
    assert_eq!(snapshots.newest_certified().unwrap().height(), 8);
    assert_eq!(snapshots.newest().unwrap().height(), 24);
    snapshots.certify(certified(24)).unwrap();
    assert_eq!(disk.names(), ["24"]);
    assert_eq!(*disk.open().newest_certified().unwrap(), certified(24));
}

#[test]
fn a_crash_at_any_step_of_making_leaves_all_or_nothing() {
    let disk = Disk::new();
    let snapshots = disk.open();
    make(&snapshots, 8);
    let interrupted = |step: &dyn Fn(Draft)| {
        step(draft(&disk.open(), 16));
        assert_eq!(disk.names(), ["8", "making-16"]);
        assert_eq!(disk.open().newest().unwrap().height(), 8);
        assert_eq!(disk.names(), ["8"]);
    };
    // Before the last chunk is there, before the manifest is, and before it has its name.
    interrupted(&|draft| {
        fs::write(disk.directory.snapshots().join("making-16").join(CONTENT), b"half").unwrap();
        std::mem::forget(draft);
    });
    interrupted(&std::mem::forget);
    interrupted(&|draft| {
        draft.seal(&manifest(16)).unwrap();
        std::mem::forget(draft);
    });
    // After that it is there, and the older one may be too.
    let snapshots = disk.open();
    let sealed = draft(&snapshots, 16);
    sealed.seal(&manifest(16)).unwrap();
    snapshots.publish(&disk.directory.snapshots().join("making-16"), 16).unwrap();
    std::mem::forget(sealed);
    assert_eq!(disk.names(), ["16", "8"]);
    assert_eq!(*disk.open().newest().unwrap(), manifest(16));
    // One that is given up in order leaves nothing.
    drop(draft(&disk.open(), 24));
    assert_eq!(disk.names(), ["16", "8"]);
}

#[test]
fn a_crash_while_a_certificate_is_written_or_one_is_deleted_leaves_the_old_or_the_new() {
    let disk = Disk::new();
    make(&disk.open(), 8);
    let place = disk.directory.snapshots();
    // The manifest's draft is half written.
    fs::write(place.join("8/manifest.draft"), &certified(8).encode()[..100]).unwrap();
    assert_eq!(*disk.open().newest().unwrap(), manifest(8));
    disk.open().certify(certified(8)).unwrap();
    assert_eq!(*disk.open().newest_certified().unwrap(), certified(8));
    // A deletion that got no further than its name, or half of the files.
    make(&disk.open(), 16);
    fs::rename(place.join("16"), place.join("deleted-16")).unwrap();
    fs::remove_file(place.join("deleted-16").join(MANIFEST)).unwrap();
    let snapshots = disk.open();
    assert_eq!(snapshots.newest().unwrap().height(), 8);
    assert_eq!(disk.names(), ["8"]);
    snapshots.delete(8).unwrap();
    assert!(disk.names().is_empty() && snapshots.newest().is_none());
    snapshots.delete(8).unwrap();
}

#[test]
fn receiving_goes_on_where_it_was_interrupted() {
    let disk = Disk::new();
    let chunks = chunks(16).0;
    let snapshots = disk.open();
    make(&snapshots, 8);
    let mut other = snapshots.begin_receive(certified(24)).unwrap();
    assert!(!other.put_chunk(&chunks[0]).unwrap(), "a chunk of another snapshot");
    drop(other);
    let mut receiving = snapshots.begin_receive(certified(16)).unwrap();
    assert_eq!(receiving.next_chunk(), Some(0));
    assert!(receiving.put_chunk(&chunks[0]).unwrap());
    assert!(!receiving.put_chunk(&chunks[0]).unwrap(), "not the next one");
    let mut changed = chunks[1].clone();
    changed[77] ^= 1;
    assert!(!receiving.put_chunk(&changed).unwrap());
    assert!(receiving.put_chunk(&chunks[1]).unwrap());
    assert_eq!(receiving.next_chunk(), Some(2));
    drop(receiving);
    // A crash: the second chunk is damaged, and goes on behind its end.
    let name = format!("received-16-{}", certified(16).digest());
    assert_eq!(disk.names(), [String::from("8"), name.clone()], "the other one is given up");
    let content = disk.directory.snapshots().join(name).join(CONTENT);
    let mut bytes = fs::read(&content).unwrap();
    bytes[CHUNK_BYTES + 5] ^= 1;
    bytes.extend([9; 10]);
    fs::write(&content, bytes).unwrap();
    let snapshots = disk.open();
    let mut receiving = snapshots.begin_receive(certified(16)).unwrap();
    assert_eq!(receiving.next_chunk(), Some(1));
    for chunk in &chunks[1..] {
        assert!(!disk.open().has(16));
        assert!(receiving.put_chunk(chunk).unwrap());
    }
    assert_eq!(receiving.next_chunk(), None);
    assert!(receiving.finish().unwrap());
    for snapshots in [snapshots, disk.open()] {
        assert_eq!(*snapshots.newest_certified().unwrap(), certified(16));
        assert_eq!(snapshots.read_chunk(16, 2).unwrap().as_ref(), Some(&chunks[2]));
    }
    assert_eq!(disk.names(), ["16"]);
    let unfinished = disk.open().begin_receive(certified(24)).unwrap();
    assert!(!unfinished.finish().unwrap());
}

#[test]
fn what_is_damaged_is_not_believed() {
    let disk = Disk::new();
    let snapshots = disk.open();
    make(&snapshots, 8);
    snapshots.certify(certified(8)).unwrap();
    let place = disk.directory.snapshots().join("8");
    let content = fs::read(place.join(CONTENT)).unwrap();
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 0x10;
        bytes
    };
    fs::write(place.join(CONTENT), flipped(&content, CHUNK_BYTES + 1)).unwrap();
    assert!(snapshots.read_chunk(8, 0).unwrap().is_some());
    let error = snapshots.read_chunk(8, 1).unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
    fs::write(place.join(CONTENT), &content[..content.len() - 1]).unwrap();
    assert!(snapshots.read_chunk(8, 2).is_err());
    assert!(disk.open().newest().is_none(), "a content of another length");
    // A manifest whose signatures no longer hold.
    for at in [20, 320, 330] {
        make(&disk.open(), 8);
        disk.open().certify(certified(8)).unwrap();
        let bytes = fs::read(place.join(MANIFEST)).unwrap();
        fs::write(place.join(MANIFEST), flipped(&bytes, at)).unwrap();
        assert!(disk.open().newest().is_none(), "byte {at}");
        assert!(disk.names().is_empty());
    }
}

#[test]
fn a_manifest_of_another_node_is_bounded() {
    let message = certified(8).to_message();
    let decoded = Manifest::decode(message.clone(), &CHAIN).unwrap();
    assert_eq!(decoded, certified(8));
    assert_eq!(decoded.certified(&signers()).unwrap(), [1, 3]);
    assert!(manifest(8).certified(&signers()).is_err());
    let position = decoded.log_position();
    assert_eq!((position.term, position.node, position.index), (1, 1, 11));
    let bytes = |length| Bytes::from(vec![1; length]);
    let refused = [
        counterfoil_proto::peer::v1::SnapshotManifest { format: 2, ..message.clone() },
        counterfoil_proto::peer::v1::SnapshotManifest { chunks: bytes(33), ..message.clone() },
        counterfoil_proto::peer::v1::SnapshotManifest { chunks: Bytes::new(), ..message.clone() },
        counterfoil_proto::peer::v1::SnapshotManifest { content_bytes: 5, ..message.clone() },
        counterfoil_proto::peer::v1::SnapshotManifest {
            content_bytes: u64::MAX,
            ..message.clone()
        },
        counterfoil_proto::peer::v1::SnapshotManifest { header: bytes(296), ..message.clone() },
        counterfoil_proto::peer::v1::SnapshotManifest {
            signatures: vec![v1::NodeSignature::default(); 1_001],
            ..message.clone()
        },
    ];
    for (place, other) in refused.into_iter().enumerate() {
        assert!(Manifest::decode(other, &CHAIN).is_err(), "case {place}");
    }
    assert!(Manifest::decode(message, &Hash([8; 32])).is_err());
}
