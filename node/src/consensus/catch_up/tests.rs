use bytes::Bytes;
use counterfoil_ledger::apply::LogPosition;
use counterfoil_ledger::apply::proposal_signed;
use counterfoil_ledger::header::Header;
use counterfoil_proto::peer::v1;
use openraft::CommittedLeaderId;
use openraft::EntryPayload;
use openraft::LogId;
use openraft::Membership;

use super::follower::Follower;
use super::follower::NotFollowed;
use super::reading::BlockReader;
use crate::consensus::ProposalBytes;
use crate::consensus::Types;
use crate::consensus::executor::Executor;
use crate::consensus::executor::Unflushed;
use crate::consensus::preparer::PreparedProposal;
use crate::consensus::suite;
use crate::consensus::wire;
use crate::exit::ExitCode;
use crate::storage::directory::DataDirectory;
use crate::storage::log::LogStore;
use crate::storage::state::StateStore;

/// A node that has executed what its log holds.
struct Node {
    _path: tempfile::TempDir,
    directory: DataDirectory,
    log: LogStore,
    executor: Executor,
    unflushed: Unflushed,
}

impl Node {
    fn new() -> Node {
        let path = tempfile::tempdir().unwrap();
        let chain_id = suite::genesis().chain_id();
        let directory = DataDirectory::init(&path.path().join("data"), 1, &chain_id).unwrap();
        let log = LogStore::open(&directory).unwrap();
        let store = StateStore::open(&directory, log.clone()).unwrap();
        let (executor, _) = Executor::open(store, suite::genesis()).unwrap();
        Node { _path: path, directory, log, executor, unflushed: Unflushed::none() }
    }

    /// With the founding, and so many blocks of two leaders; among them a proposal that is void.
    fn with_blocks(count: u64) -> Node {
        let mut node = Node::new();
        node.append(0, 0, EntryPayload::Membership(Membership::new(vec![[1].into()], ())));
        node.append(1, 1, EntryPayload::Blank);
        for number in 0..count {
            if number == count / 2 {
                node.append(2, 1, EntryPayload::Blank);
            }
            if number == 3 {
                node.propose(number, 99);
            }
            node.propose(number, 0);
        }
        node
    }

    fn next(&self) -> u64 {
        self.log.last().map_or(0, |last| last.index + 1)
    }

    fn append(&mut self, term: u64, node: u64, payload: EntryPayload<Types>) {
        let log_id = LogId::new(CommittedLeaderId::new(term, node), self.next());
        let entry = openraft::Entry::<Types> { log_id, payload };
        self.log.append(&[wire::entry_to_log(&entry)]).unwrap();
    }

    /// A proposal, and its block unless the sequence is a wrong one.
    fn propose(&mut self, stamp_ms: u64, skipped: u64) {
        let term = self.log.last().unwrap().term;
        let (previous, sequence) = self.executor.state().last_proposal();
        let proposal = suite::empty_proposal((previous, sequence + skipped), term, stamp_ms);
        let index = self.next();
        self.append(term, 1, EntryPayload::Normal(ProposalBytes(proposal.encode())));
        let holds = {
            let state = self.executor.state();
            proposal_signed(&proposal, state.registry(), &state.chain_id())
        };
        assert!(holds);
        let prepared = PreparedProposal { proposal, holds, instructions: Vec::new() };
        let position = LogPosition { term, node: 1, index };
        let executed = self.executor.execute(&prepared, position, &mut self.unflushed).unwrap();
        assert_eq!(executed.0.is_some(), skipped == 0);
    }

    fn height(&self) -> u64 {
        self.executor.state().height()
    }

    fn header(&self, height: u64) -> Header {
        self.executor.store().header(height).unwrap().unwrap()
    }

    /// What it tells of its blocks, up to its last.
    fn tells(&self, from: u64, bytes: usize) -> v1::ReadBlocksResponse {
        let reader = BlockReader::new(self.log.clone(), self.executor.store().clone());
        reader.run(from, self.height(), bytes).unwrap()
    }

    fn follower(&self) -> Follower {
        let own = self.executor.store();
        Follower::open(&self.directory, &self.log, own, suite::genesis()).unwrap()
    }
}

fn place(follower: &Follower) -> u64 {
    follower.place().unwrap().header.height
}

#[test]
fn who_follows_ends_where_the_others_are() {
    let (others, node) = (Node::with_blocks(12), Node::new());
    let target = others.header(12);
    let mut follower = node.follower();
    // In runs of a block each, and then all the rest at once.
    for height in 1..=7 {
        follower.follow(others.tells(height, 1), &target).unwrap();
        assert_eq!(place(&follower), height);
    }
    follower.settle().unwrap();
    drop(follower);
    let mut follower = node.follower();
    assert_eq!(place(&follower), 7, "it goes on where it was left");
    follower.follow(others.tells(8, usize::MAX), &target).unwrap();
    follower.settle().unwrap();
    assert_eq!(follower.executor().state().core(), others.executor.state().core());
    for height in 0..=12 {
        let header = follower.executor().store().header(height).unwrap();
        assert_eq!(header, Some(others.header(height)));
    }
    assert_eq!(node.log.last(), others.log.last());
    for index in 0..others.next() {
        assert_eq!(node.log.get(index).unwrap(), others.log.get(index).unwrap(), "{index}");
    }
    let vote = wire::vote_of_message(Some(
        &prost::Message::decode(&*node.log.vote().unwrap().unwrap()).unwrap(),
    ));
    assert_eq!(vote, Ok(openraft::Vote::new(2, 1)), "it votes for nobody else in that term");
}

#[test]
fn of_what_is_not_certified_nothing_is_kept() {
    type Lie = fn(&mut v1::ReadBlocksResponse);
    fn flip(bytes: &mut Bytes, at: usize) {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        *bytes = changed.into();
    }
    fn proposal(entry: &mut v1::Entry) -> &mut Bytes {
        match &mut entry.payload {
            Some(v1::entry::Payload::Proposal(bytes)) => bytes,
            _ => panic!("another entry"),
        }
    }
    let lies: [(&str, Lie); 14] = [
        ("nothing", |run| *run = v1::ReadBlocksResponse::default()),
        ("no blocks", |run| run.blocks.clear()),
        ("a header", |run| flip(&mut run.blocks[2].header, 100)),
        ("the last header", |run| flip(&mut run.blocks.last_mut().unwrap().header, 200)),
        ("a header less", |run| drop(run.blocks.remove(3))),
        ("the path", |run| run.history_path.clear()),
        ("an entry less", |run| drop(run.entries.remove(4))),
        ("an entry more", |run| {
            let last = run.entries.last().unwrap().clone();
            run.entries.push(last);
        }),
        ("another proposer's term", |run| {
            run.entries[5].log_id.as_mut().unwrap().leader.as_mut().unwrap().node_id = 3;
        }),
        ("a proposal's header", |run| flip(proposal(&mut run.entries[3]), 30)),
        ("a proposal's signature", |run| flip(proposal(&mut run.entries[3]), 200)),
        ("the void proposal", |run| flip(proposal(&mut run.entries[5]), 30)),
        ("the membership", |run| {
            let membership = v1::Membership { configs: Vec::new(), nodes: vec![1] };
            run.entries[0].payload = Some(v1::entry::Payload::Membership(membership));
        }),
        ("an instruction in a block", |run| {
            let bytes = proposal(&mut run.entries[2]);
            *bytes = [&bytes[..], &[0, 0, 0, 1, 7]].concat().into();
        }),
    ];
    let others = Node::with_blocks(12);
    let target = others.header(12);
    for (what, lie) in lies {
        let node = Node::new();
        let mut follower = node.follower();
        let mut told = others.tells(1, 2_000);
        let honest = told.clone();
        assert!(told.blocks.len() > 4 && told.blocks.len() < 12, "{}", told.blocks.len());
        lie(&mut told);
        let refused = follower.follow(told, &target).unwrap_err();
        assert!(matches!(refused, NotFollowed::Lie(_)), "{what}: {refused:?}");
        assert_eq!((place(&follower), node.log.last()), (0, None), "{what}");
        follower.follow(honest, &target).unwrap();
    }
}

#[test]
fn outcomes_that_do_not_give_the_header_are_refused() {
    let (others, node) = (Node::with_blocks(5), Node::new());
    let target = others.header(5);
    let mut told = others.tells(1, usize::MAX);
    told.blocks[1].leaves = Bytes::from(vec![0; 27]);
    let refused = node.follower().follow(told.clone(), &target).unwrap_err();
    assert!(matches!(refused, NotFollowed::Lie("the leaves of a block do not decode")));
    told.blocks[1].leaves =
        [0, 0, 0, 0, 0, 0, 0, 0, 2, 1].into_iter().chain([0; 18]).collect::<Vec<u8>>().into();
    let refused = node.follower().follow(told, &target).unwrap_err();
    assert!(matches!(refused, NotFollowed::Lie(_)), "{refused:?}");
    let mut follower = node.follower();
    follower.follow(others.tells(1, usize::MAX), &target).unwrap();
    assert_eq!(place(&follower), 5);
}

#[test]
fn who_has_executed_something_else_is_told_so() {
    let (others, mut node) = (Node::with_blocks(6), Node::new());
    node.append(0, 0, EntryPayload::Membership(Membership::new(vec![[1].into()], ())));
    node.append(1, 1, EntryPayload::Blank);
    node.propose(77, 0);
    let state = node.executor.state().core();
    let flush = node.executor.begin_flush(&mut node.unflushed, b"").unwrap();
    flush.write().unwrap();
    assert_eq!(node.executor.state().core(), state);
    let mut follower = node.follower();
    let refused = follower.follow(others.tells(2, usize::MAX), &others.header(6)).unwrap_err();
    let NotFollowed::Stop(stop) = refused else { panic!("{refused:?}") };
    assert_eq!(stop.code, ExitCode::Diverged);
}

#[test]
fn entries_that_never_became_blocks_give_way() {
    let (others, mut node) = (Node::with_blocks(6), Node::new());
    node.append(0, 0, EntryPayload::Membership(Membership::new(vec![[1].into()], ())));
    for _ in 0..20 {
        node.append(7, 3, EntryPayload::Blank);
    }
    let mut follower = node.follower();
    follower.follow(others.tells(1, usize::MAX), &others.header(6)).unwrap();
    assert_eq!(node.log.last(), others.log.last());
    assert_eq!(
        follower.executor().state().last_proposal(),
        others.executor.state().last_proposal()
    );
}
