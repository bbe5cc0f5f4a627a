//! The bytes that are signed, hashed or stored for ever: another implementation must give the same.
//! Changing one of these files is a fork of the ledger, and needs a new rule version.
//! `UPDATE_EXPECT=1` writes them.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "vectors/agreements.rs"]
mod agreements;
#[path = "vectors/golden.rs"]
mod golden;
#[path = "vectors/proofs.rs"]
mod proofs;
mod support;

use std::{collections::BTreeSet, fs};

use bytes::Bytes;
use counterfoil_ledger::{
    account::{Account, AccountId},
    asset::AssetCode,
    block::{
        HeadRecord, LeafRecord, Movement, NO_INSTRUCTION, Position, Side, encode_leaves,
        posting_bytes,
    },
    checkpoint::{Checkpoint, Cosigners, Note},
    date::Date,
    genesis::Genesis,
    hash::Hash,
    header::Header,
    instruction::Instruction,
    matching::{item::Comparison, pair::Category},
    merkle::{leaf_hash, root_of},
    outcome::{Event, Leaf, Outcome, State as OutcomeState},
    proposal::Proposal,
    reason::Reason,
    reconciliation::{
        effect::{self, Effect, Kind},
        pass::Pass,
    },
    registry::Registry,
    replay::Replay,
    signature::{Label, Signer, preimage, snapshot_payload},
    snapshot,
};
use golden::{consortium, golden_chain};
use prost::Message;
use support::{
    Entry,
    build::sign_with,
    chain::root_by_definition,
    consortium::{bic_of, ed25519},
    expect::{expect_file, hex, in_tests, unhex},
};

/// A file of named runs of bytes.
type Sections = Vec<(String, Vec<u8>)>;

fn render(sections: &Sections) -> String {
    let section = |(name, bytes): &(String, Vec<u8>)| format!("# {name}\n{}\n", hex(bytes));
    sections.iter().map(section).collect()
}

fn parse(text: &str) -> Sections {
    let mut sections = Sections::new();
    for line in text.lines() {
        match line.strip_prefix("# ") {
            Some(name) => sections.push((name.to_owned(), Vec::new())),
            None => sections.last_mut().unwrap().1.extend(unhex(line)),
        }
    }
    sections
}

fn one(name: &str, bytes: impl AsRef<[u8]>) -> Sections {
    vec![(name.to_owned(), bytes.as_ref().to_vec())]
}

fn all() -> Vec<(&'static str, Sections)> {
    let chain = golden_chain();
    let mut files = vec![("instructions", instructions()), ("signatures", signatures())];
    files.push(("genesis", founding()));
    files.push(("agreements", agreements::agreements()));
    files.push(("proposal", proposal(&chain)));
    files.push(("leaves", leaves()));
    files.push(("account", account()));
    files.push(("header", headers(&chain)));
    files.push(("checkpoint", checkpoint(&chain)));
    let records = chain.records.iter().flat_map(|(key, value)| {
        [("key".to_owned(), key.clone()), ("value".to_owned(), value.clone())]
    });
    files.push(("reconciliation", records.collect()));
    files.push(("state-core", one("the golden chain's, after its last block", chain.state.core())));
    let blocks = chain.blocks.iter();
    let mut chunks = Vec::new();
    let records = chain.records.iter().map(|(key, value)| (&key[..], &value[..]));
    let written = snapshot::write(&chain.state, records, |chunk: &[u8]| {
        chunks.push(("chunk".to_owned(), chunk.to_vec()));
        Ok::<(), std::convert::Infallible>(())
    });
    let digest = snapshot::digest(&written.unwrap().chunks);
    chunks.push(("digest".to_owned(), digest.0.to_vec()));
    let payload = snapshot_payload(&chain.state.header_hash(), snapshot::FORMAT, &digest);
    chunks.push(("payload of snapshot/1".to_owned(), payload));
    files.push(("snapshot", chunks));
    let hashes = blocks.map(|it| (format!("block {}", it.header.height), it.hash.0.to_vec()));
    files.push(("chain-1-hashes", hashes.collect()));
    files.push(("chain-1", stored(&chain)));
    files.push(("epochs", proofs::epochs()));
    files.push(("evidence", proofs::evidence(golden_chain())));
    files.push(("proofs", proofs::proofs(chain)));
    files
}

/// What an auditor is handed of the golden chain.
fn stored(chain: &support::Chain) -> Sections {
    let mut sections = one("genesis file", chain.consortium.genesis.bytes());
    for entry in &chain.entries {
        match entry {
            Entry::Void { header } => sections.push(("void".to_owned(), header.clone())),
            Entry::Block { header, proposal, outcomes } => {
                sections.push(("header".to_owned(), header.clone()));
                sections.push(("proposal".to_owned(), proposal.to_vec()));
                sections.push(("outcomes".to_owned(), outcomes.clone()));
            }
        }
    }
    sections
}

/// The checkpoint of the golden chain's last block, signed by one node and cosigned by a quorum.
fn checkpoint(chain: &support::Chain) -> Sections {
    let consortium = &chain.consortium;
    let registry = Registry::of(&consortium.genesis);
    let name = &consortium.genesis.message().consortium;
    let cosigners = Cosigners::of(name, &consortium.chain_id(), &registry);
    let header = &chain.blocks.last().unwrap().header;
    let origin = cosigners.origin().to_owned();
    let checkpoint = Checkpoint { origin, size: header.height, root: header.history_root };
    let time_s = support::NOON_MS / 1_000;
    let signer = |node: &u64| &consortium.nodes[node];
    let mut signatures = vec![cosigners.sign(1, signer(&1), &checkpoint).unwrap().unwrap()];
    for (node, time_s) in consortium.nodes.keys().take(cosigners.quorum()).zip(time_s..) {
        signatures.extend(cosigners.cosign(*node, signer(node), &checkpoint, time_s).unwrap());
    }
    let note = Note { text: checkpoint.text(), signatures };
    assert!(cosigners.verify(&note).unwrap().quorum);
    let mut sections = one("what the first cosignature signs", checkpoint.cosigned(time_s));
    sections.extend(one("note", note.to_string()));
    sections
}

fn instructions() -> Sections {
    let mut sections = Sections::new();
    for (name, draft) in golden::drafts() {
        sections.push((name.to_owned(), draft.instruction.to_vec()));
        for item in &draft.items {
            sections.push((format!("{name}: item"), item.to_vec()));
        }
        if !draft.items.is_empty() {
            let root = root_of(draft.items.iter().map(|item| leaf_hash(item)));
            sections.push((format!("{name}: root of its items"), root.0.to_vec()));
        }
        let hash = Hash::of(&draft.instruction);
        sections.push((format!("{name}: hash"), hash.0.to_vec()));
    }
    sections
}

fn signatures() -> Sections {
    let consortium = consortium();
    let chain_id = consortium.chain_id();
    let mut sections = Sections::new();
    for label in [Label::Instruction, Label::Proposal].into_iter().chain(proofs::LABELS) {
        let bytes = preimage(label, &chain_id, b"payload");
        sections.push((format!("preimage of {}", label.as_str()), bytes));
    }
    let (_, draft) = golden::drafts().swap_remove(1);
    for (name, bank) in [("Ed25519", "Alpha"), ("P-256", "Beta")] {
        let signer = &consortium.signers[&bic_of(bank)];
        sections.push((format!("{name}: SubjectPublicKeyInfo"), signer.spki().to_vec()));
        sections.push((format!("{name}: key id"), signer.key_id().0.to_vec()));
        let signature = signer.sign(&preimage(Label::Instruction, &chain_id, b"payload")).unwrap();
        sections.push((format!("{name}: signature of the first preimage"), signature.to_vec()));
        let signed = sign_with(signer, &chain_id, draft.clone());
        sections.push((format!("{name}: SignedInstruction"), signed.to_vec()));
    }
    sections
}

fn founding() -> Sections {
    let consortium = consortium();
    let registry = Registry::of(&consortium.genesis);
    vec![
        ("genesis file".to_owned(), consortium.genesis.bytes().to_vec()),
        ("chain id".to_owned(), consortium.chain_id().0.to_vec()),
        ("registry root".to_owned(), registry.root().0.to_vec()),
    ]
}

fn proposal(chain: &support::Chain) -> Sections {
    let entry = chain.entries.iter().rev().find_map(|entry| match entry {
        Entry::Block { proposal, .. } => Some(proposal),
        Entry::Void { .. } => None,
    });
    let proposal = Proposal::decode(entry.unwrap()).unwrap();
    vec![
        ("header".to_owned(), proposal.header.encode().to_vec()),
        ("hash".to_owned(), proposal.header.hash().0.to_vec()),
        ("entry".to_owned(), proposal.encode().to_vec()),
    ]
}

fn leaves() -> Sections {
    let settled = Outcome {
        state: OutcomeState::Settled,
        reason: None,
        event: Event::TransferPosted,
        posting_count: 2,
        first_posting: 7,
    };
    let rejected = Outcome::rejected(Reason::InsufficientFunds);
    let due = Outcome::of_event(OutcomeState::Recorded, Event::DueWorkDone);
    let account = golden::account("Alpha", "main");
    let posting = Position { height: 3, leaf: 1 };
    let one = Some(Comparison::LedgerOwner);
    let of =
        |kind, code: u8, number, items| Effect { items, ..Effect::new(kind, one, code, number) };
    let found = [
        Effect::new(Kind::Recorded, None, 1, 4),
        of(Kind::Matched, Pass::Uetr as u8, 1, [vec![3], vec![4]]),
        of(Kind::Proposed, Pass::Sum as u8, 1, [vec![5, 6], vec![7]]),
        of(Kind::BreakOpened, Category::Amount as u8, 2, [vec![8], vec![9]]),
        of(Kind::BreakHealed, 0, 1, [vec![], vec![]]),
        Effect::new(Kind::PositionAgreed, None, 0, 20_261_123),
    ];
    let salt = effect::next_salt(&Hash::of(account.as_bytes()), &[7; 16]);
    let effects = effect::encode(&account, &salt, &found);
    let leaf = Leaf {
        instruction_hash: Hash::of(b"instruction"),
        item_number: 2,
        item_hash: leaf_hash(b"item"),
        outcome: settled,
        effects_hash: Hash::of(&effects),
    };
    let movement = Movement {
        account: 1,
        position: posting,
        sequence: 9,
        side: Side::Credit,
        amount: 12_345,
        date: Date::from_yyyymmdd(20_261_123).unwrap(),
        balance: 99_999,
    };
    let leaf_hash = leaf_hash(&leaf.encode());
    let packed = vec![
        LeafRecord { instruction: 0, item: 0, outcome: rejected, effects: Vec::new() },
        LeafRecord { instruction: 1, item: 2, outcome: settled, effects: effects.clone() },
        LeafRecord { instruction: NO_INSTRUCTION, item: 0, outcome: due, effects: effects.clone() },
    ];
    let mut sections = vec![
        ("outcome: settled".to_owned(), settled.encode().to_vec()),
        ("outcome: rejected".to_owned(), rejected.encode().to_vec()),
        ("outcome: due work".to_owned(), due.encode().to_vec()),
        ("an account's next salt".to_owned(), salt.0.to_vec()),
        ("effects of one account".to_owned(), effects),
    ];
    sections.push(("leaf".to_owned(), leaf.encode().to_vec()));
    sections.push(("leaf: hash".to_owned(), leaf_hash.0.to_vec()));
    sections.push(("posting".to_owned(), posting_bytes(8, &movement, &leaf_hash).to_vec()));
    sections.push(("outcomes of a block".to_owned(), encode_leaves(&packed)));
    sections
}

fn account() -> Sections {
    let (central, alpha) = (bic_of("Central"), bic_of("Alpha"));
    let mut account = Account {
        ordinal: 3,
        id: AccountId::of(&central, &alpha, "CHF", "main"),
        servicer: central,
        owner: alpha,
        asset: AssetCode::parse("CHF").unwrap(),
        name: "main".to_owned(),
        balance: -1,
        posting_count: 2,
        head: Hash::ZERO,
    };
    let root = Hash::of(b"root of the block's postings");
    let before = account.head;
    account.advance_head(5, root);
    let head = HeadRecord { account: 3, height: 5, posting_count: 2, before, root };
    assert_eq!(head.head(), account.head);
    vec![
        ("id".to_owned(), account.id.as_bytes().to_vec()),
        ("head".to_owned(), account.head.0.to_vec()),
        ("leaf".to_owned(), account.leaf().to_vec()),
        ("record".to_owned(), account.encode()),
        ("head record: key".to_owned(), HeadRecord::key(3, 5).to_vec()),
        ("head record: value".to_owned(), head.encode().to_vec()),
    ]
}

fn headers(chain: &support::Chain) -> Sections {
    let with = |flagged: bool| {
        let mut blocks = chain.blocks.iter().skip(1);
        let found = blocks.find(|it| it.header.accounts_root.is_some() == flagged);
        found.unwrap().header.encode().to_vec()
    };
    vec![
        ("genesis block".to_owned(), chain.blocks[0].header.encode().to_vec()),
        ("with accounts root".to_owned(), with(true)),
        ("without accounts root".to_owned(), with(false)),
    ]
}

#[test]
fn golden_bytes_have_not_moved() {
    let files = all();
    for (name, sections) in &files {
        expect_file(&in_tests(&format!("vectors/{name}.hex")), &render(sections));
    }
    let known: BTreeSet<String> = files.iter().map(|(name, _)| format!("{name}.hex")).collect();
    let there = fs::read_dir(in_tests("vectors")).unwrap();
    let there = there.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let there: BTreeSet<String> = there.filter(|name| name.ends_with(".hex")).collect();
    assert_eq!(there, known, "a vector without a test");
}

/// The chain as the file has it.
fn chain_of_the_file() -> (Genesis, Vec<Entry>, Vec<Vec<u8>>) {
    let read = |name: &str| parse(&fs::read_to_string(in_tests(name)).unwrap());
    let hashes = read("vectors/chain-1-hashes.hex").into_iter().map(|(_, bytes)| bytes).collect();
    let mut sections = read("vectors/chain-1.hex").into_iter();
    let genesis = Genesis::decode(&sections.next().unwrap().1).unwrap();
    let mut entries = Vec::new();
    while let Some((name, header)) = sections.next() {
        entries.push(match name.as_str() {
            "void" => Entry::Void { header },
            _ => Entry::Block {
                header,
                proposal: Bytes::from(sections.next().unwrap().1),
                outcomes: sections.next().unwrap().1,
            },
        });
    }
    (genesis, entries, hashes)
}

/// The chain is worth its bytes only if it has every kind of effect that is common, and a due leaf.
#[test]
fn the_golden_chain_has_reconciliation() {
    let chain = golden_chain();
    let mut kinds = BTreeSet::new();
    let mut due = 0;
    for leaf in chain.blocks.iter().flat_map(|block| &block.leaves) {
        due += usize::from(leaf.instruction == NO_INSTRUCTION);
        let effects = effect::decode(&leaf.effects).unwrap();
        kinds.extend(effects.into_iter().flat_map(|(_, effects)| effects).map(|it| it.kind));
    }
    let expected = [
        Kind::Recorded,
        Kind::Matched,
        Kind::BreakOpened,
        Kind::BreakChanged,
        Kind::BreakHealed,
        Kind::BreakWorked,
    ];
    let missing: Vec<_> = expected.into_iter().filter(|kind| !kinds.contains(kind)).collect();
    assert!(missing.is_empty() && due == 1, "{missing:?} {due}");
}

#[test]
fn the_golden_chain_replays() {
    let (genesis, entries, hashes) = chain_of_the_file();
    assert!(entries.len() >= 12);
    let mut replay = Replay::new(genesis);
    assert_eq!(replay.state().header_hash().0[..], hashes[0][..]);
    for entry in &entries {
        entry.replay(&mut replay).unwrap();
        let height = usize::try_from(replay.state().height()).unwrap();
        assert_eq!(replay.state().header_hash().0[..], hashes[height][..]);
        if let Entry::Block { header, .. } = entry {
            assert_eq!(Hash::of(header).0[..], hashes[height][..]);
        }
    }
    assert_eq!(replay.state().height() + 1, hashes.len() as u64);
}

/// Whether a chain that goes on with these entries ends elsewhere than it should, or nowhere.
fn is_refused(mut replay: Replay, rest: &[Entry], tip: &[u8]) -> bool {
    let result = rest.iter().try_for_each(|entry| entry.replay(&mut replay));
    result.is_err() || replay.state().header_hash().0[..] != *tip
}

/// Where the Raft index stands in a header: nothing but the header's own hash says what it is, so
/// that a change of it comes out in the next block, or in the tip's hash.
const RAFT_INDEX: std::ops::Range<usize> = 100..108;

#[test]
fn a_flipped_byte_is_refused() {
    let (genesis, entries, hashes) = chain_of_the_file();
    let tip = hashes.last().unwrap();
    let mut replay = Replay::new(genesis);
    for (place, entry) in entries.iter().enumerate() {
        for (part, bytes) in parts(entry).into_iter().enumerate() {
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << (at % 8);
                let changed = with_part(entry, part, changed);
                let mut alone = replay.clone();
                if changed.replay(&mut alone).is_err() {
                    continue;
                }
                let void = matches!(entry, Entry::Void { .. });
                assert!(
                    void || part == 0 && RAFT_INDEX.contains(&at),
                    "entry {place} part {part} byte {at}"
                );
                assert!(is_refused(alone, &entries[place + 1..], tip), "entry {place} byte {at}");
            }
        }
        entry.replay(&mut replay).unwrap();
    }
}

fn parts(entry: &Entry) -> Vec<Vec<u8>> {
    match entry {
        Entry::Void { header } => vec![header.clone()],
        Entry::Block { header, proposal, outcomes } => {
            vec![header.clone(), proposal.to_vec(), outcomes.clone()]
        }
    }
}

fn with_part(entry: &Entry, part: usize, bytes: Vec<u8>) -> Entry {
    match (entry.clone(), part) {
        (Entry::Void { .. }, _) => Entry::Void { header: bytes },
        (Entry::Block { proposal, outcomes, .. }, 0) => {
            Entry::Block { header: bytes, proposal, outcomes }
        }
        (Entry::Block { header, outcomes, .. }, 1) => {
            Entry::Block { header, proposal: bytes.into(), outcomes }
        }
        (Entry::Block { header, proposal, .. }, _) => {
            Entry::Block { header, proposal, outcomes: bytes }
        }
    }
}

#[test]
fn entries_that_are_missing_swapped_or_cut_are_refused() {
    let (genesis, entries, hashes) = chain_of_the_file();
    let tip = hashes.last().unwrap();
    for place in 0..entries.len() {
        let mut missing = entries.clone();
        missing.remove(place);
        assert!(is_refused(Replay::new(genesis.clone()), &missing, tip), "without {place}");
        let mut twice = entries.clone();
        twice.insert(place, entries[place].clone());
        assert!(is_refused(Replay::new(genesis.clone()), &twice, tip), "twice {place}");
        if place > 0 {
            let mut swapped = entries.clone();
            swapped.swap(place - 1, place);
            assert!(is_refused(Replay::new(genesis.clone()), &swapped, tip), "swapped {place}");
        }
        for (part, bytes) in parts(&entries[place]).into_iter().enumerate() {
            if let Some((_, shorter)) = bytes.split_last() {
                for cut in [shorter.to_vec(), [&bytes[..], &[0]].concat()] {
                    let mut cut_chain = entries.clone();
                    cut_chain[place] = with_part(&entries[place], part, cut);
                    assert!(is_refused(Replay::new(genesis.clone()), &cut_chain, tip));
                }
            }
        }
    }
}

#[test]
fn another_genesis_file_founds_another_ledger() {
    let (genesis, entries, hashes) = chain_of_the_file();
    let tip = hashes.last().unwrap();
    for at in 0..genesis.bytes().len() {
        let mut changed = genesis.bytes().to_vec();
        changed[at] ^= 1 << (at % 8);
        let Ok(other) = Genesis::decode(&changed) else { continue };
        assert_ne!(other.chain_id(), genesis.chain_id());
        assert!(is_refused(Replay::new(other), &entries, tip), "byte {at}");
    }
}

/// The registry's root from the layout in docs/reference/format.md.
#[test]
fn registry_root_by_hand() {
    let consortium = consortium();
    let genesis = consortium.genesis.message();
    let mut leaves = Vec::new();
    let mut leaf = |kind: u8, id: &[u8], record: &[u8]| {
        let mut bytes = vec![kind];
        bytes.extend(id);
        bytes.resize(33, 0);
        bytes.extend([0; 8]);
        bytes.extend([255; 8]);
        bytes.extend(Hash::of(record).0);
        leaves.push(bytes);
    };
    for institution in &genesis.institutions {
        let mut bare = institution.clone();
        bare.trust_anchor = Bytes::new();
        bare.keys.clear();
        leaf(1, institution.bic.as_bytes(), &bare.encode_to_vec());
        leaf(2, institution.bic.as_bytes(), &institution.trust_anchor);
        for key in &institution.keys {
            let record = [institution.bic.as_bytes(), &key.encode_to_vec()].concat();
            leaf(3, &Hash::of(&key.public_key).0, &record);
        }
    }
    genesis.nodes.iter().for_each(|node| leaf(4, &node.id.to_be_bytes(), &node.encode_to_vec()));
    genesis.assets.iter().for_each(|it| leaf(5, it.code.as_bytes(), &it.encode_to_vec()));
    leaves.sort();
    let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    let registry = Registry::of(&consortium.genesis);
    assert_eq!(registry.root(), root_by_definition(&hashes));
    assert_eq!(registry.count() as usize, hashes.len());
}

/// Reading gives back what writing wrote.
#[test]
fn bytes_round_trip() {
    for (_, bytes) in headers(&golden_chain()) {
        assert_eq!(Header::decode(&bytes).unwrap().encode()[..], bytes[..]);
    }
    let record = account().swap_remove(3).1;
    assert_eq!(Account::decode(&record).unwrap().encode(), record);
    let chain = golden_chain();
    assert_eq!(chain.restored().core(), chain.state.core());
    for (name, bytes) in signatures().into_iter().filter(|(name, _)| name.contains("Signed")) {
        assert!(Instruction::decode(bytes.into()).is_ok(), "{name}");
    }
    assert_ne!(ed25519("a").key_id(), ed25519("b").key_id());
}
