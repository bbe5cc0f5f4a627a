//! A member's node that lies. Raft would believe it; each message here would end an openraft that
//! hears it, or bend what it has agreed on.

use std::time::Duration;

use bytes::Bytes;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::proposal::{Proposal, ProposalHeader};
use counterfoil_ledger::reason::Reason;
use counterfoil_proto::peer::v1;
use counterfoil_proto::peer::v1::entry::Payload;
use counterfoil_proto::v1::{Attestation, NodeSignature};
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use counterfoil_tests::wire::{self, Told};
use prost::Message;
use tonic::Code;
use tonic::transport::Channel;

use crate::forger::now_ms;

const APPEND: &str = "/counterfoil.peer.v1.PeerService/AppendEntries";
const VOTE: &str = "/counterfoil.peer.v1.PeerService/RequestVote";
const ATTEST: &str = "/counterfoil.peer.v1.PeerService/Attest";
const LAST: &str = "/counterfoil.peer.v1.PeerService/GetLastAttestation";
const PROPOSAL: &str = "/counterfoil.peer.v1.PeerService/GetSignedProposal";
const FORWARD: &str = "/counterfoil.peer.v1.PeerService/ForwardInstructions";
const SHARE: &str = "/counterfoil.peer.v1.PeerService/ShareInstruction";
const REPORT: &str = "/counterfoil.peer.v1.PeerService/ReportLeader";
const COSIGN: &str = "/counterfoil.peer.v1.PeerService/SignCheckpoint";
const ABSENCE: &str = "/counterfoil.peer.v1.PeerService/StateAbsence";
const BLOCK: &str = "/counterfoil.peer.v1.PeerService/RequestBlock";

/// The liar's node id: the first bank's node.
const LIAR: u64 = 2;

/// An index that the log will not reach.
const FAR: u64 = 1 << 40;

/// A term that no election leads to, and the last index that a message may name.
const LEAP: u64 = 1 << 48;

/// A log id: term, node, index.
type Id = (u64, u64, u64);

fn id((term, node_id, index): Id) -> v1::LogId {
    v1::LogId { leader: Some(v1::LeaderId { term, node_id }), index }
}

fn vote(term: u64, node_id: u64) -> Option<v1::Vote> {
    Some(v1::Vote { leader: Some(v1::LeaderId { term, node_id }), committed: true })
}

fn entry(place: Id, payload: impl Into<Option<Payload>>) -> v1::Entry {
    v1::Entry { log_id: Some(id(place)), payload: payload.into() }
}

pub async fn are_refused(consortium: &Consortium) {
    let chain = consortium.client(BANKS[0]).chain_id();
    let chain_id = Bytes::copy_from_slice(chain.as_bytes());
    let credential = consortium.credential(BANKS[0], "node");
    for victim in [0, 2, 3] {
        let term = consortium.metric(victim, "counterfoil_raft_term").unwrap();
        // Terms are small whole numbers.
        let term: u64 = format!("{term:.0}").parse().unwrap();
        let address = consortium.peer_address(victim);
        let channel = wire::connect(address, Some(&credential)).await.unwrap();
        let refused = async |what: &str, path: &str, message: Vec<u8>, code: Code, words: &str| {
            let answer = wire::call(&channel, path, message).await;
            let told = Told::of(&answer.expect_err(what));
            assert_eq!(told.code, code as i32, "{what}: {told:?}");
            assert!(told.message.contains(words), "{what}: {told:?}");
        };
        for (what, append, words) in appends(term, &chain_id) {
            refused(what, APPEND, append.encode_to_vec(), Code::PermissionDenied, words).await;
        }
        let ask = |term, node, chain_id: &Bytes| {
            let last_log_id = Some(id((term, node, FAR)));
            let vote = Some(v1::Vote { committed: false, ..vote(term, node).unwrap() });
            v1::RequestVoteRequest { vote, last_log_id, chain_id: chain_id.clone() }
        };
        let other = Bytes::from(vec![1; 32]);
        for (what, request, words) in [
            ("a vote in another's name", ask(term + 1, 4, &chain_id), "for itself alone"),
            ("a vote of a far term", ask(LEAP, LIAR, &chain_id), "term leaps"),
            ("a vote on another chain", ask(term + 1, LIAR, &other), "another chain"),
        ] {
            refused(what, VOTE, request.encode_to_vec(), Code::PermissionDenied, words).await;
        }
        // A node that was alone for an hour says the same, and is heard.
        let alone = v1::RequestVoteRequest {
            last_log_id: Some(id((0, 0, 0))),
            ..ask(term + 5_000, LIAR, &chain_id)
        };
        let heard = wire::call(&channel, VOTE, alone.encode_to_vec()).await;
        let heard = heard.expect("it is heard").expect("it is answered");
        let heard = v1::RequestVoteResponse::decode(heard).expect("an answer");
        assert!(!heard.vote_granted, "its log is too old to lead");
        for (what, attestation, words) in attestations(consortium).await {
            let request = v1::AttestRequest { attestation }.encode_to_vec();
            let told = refusal_of_stream(&channel, request).await.expect(what);
            assert_eq!(told.code, Code::PermissionDenied as i32, "{what}: {told:?}");
            assert!(told.message.contains(words), "{what}: {told:?}");
        }
        let leader = Some(v1::LeaderId { term, node_id: 1 });
        let report = |leader, ground, chain_id: &Bytes| v1::ReportLeaderRequest {
            leader,
            ground,
            chain_id: chain_id.clone(),
        };
        for (what, request, words) in [
            ("a complaint about nobody", report(None, 1, &chain_id), "names a leader"),
            ("a complaint without a ground", report(leader, 9, &chain_id), "names a leader"),
            ("a complaint on another chain", report(leader, 1, &other), "another chain"),
        ] {
            refused(what, REPORT, request.encode_to_vec(), Code::PermissionDenied, words).await;
        }
        // One node's word, however often, is no majority's.
        for node_id in [1, 2, 3, 4] {
            let leader = Some(v1::LeaderId { term, node_id });
            let lone = report(leader, 1, &chain_id).encode_to_vec();
            assert!(wire::call(&channel, REPORT, lone).await.is_ok());
        }
        assert_eq!(consortium.metrics(victim, "counterfoil_leaders_deposed_total", ""), 0.0);
        let share = v1::ShareInstructionRequest { signed_instruction: vec![9; 99].into() };
        let words = "no signed instruction";
        let code = Code::PermissionDenied;
        refused("garbage that is shared", SHARE, share.encode_to_vec(), code, words).await;
        let raft_and_finality = [APPEND, VOTE, FORWARD, ATTEST, LAST, PROPOSAL];
        for path in raft_and_finality.into_iter().chain([SHARE, REPORT, COSIGN, ABSENCE, BLOCK]) {
            for garbage in [vec![0; 64], vec![0xff; 64], vec![0x0b; 4_096]] {
                assert!(wire::call(&channel, path, garbage).await.is_err(), "{path}");
            }
        }
        // What it wants to have signed is signed only if it is so.
        let history_root = Bytes::from(vec![7; 32]);
        let rewritten = v1::SignCheckpointRequest { height: 1, history_root: history_root.clone() };
        let words = "not of this node's history";
        refused(
            "a rewritten history",
            COSIGN,
            rewritten.encode_to_vec(),
            Code::PermissionDenied,
            words,
        )
        .await;
        let far = v1::SignCheckpointRequest { height: FAR, history_root };
        let words = "not final";
        refused("a height to come", COSIGN, far.encode_to_vec(), Code::Unavailable, words).await;
        let absent = v1::StateAbsenceRequest {
            institution: BANKS[1].to_owned(),
            id: Bytes::from(vec![9; 15]),
            height: 1,
        };
        let words = "UUIDv7";
        refused("no id", ABSENCE, absent.encode_to_vec(), Code::InvalidArgument, words).await;
        if victim == consortium.leader() {
            let tomorrow = v1::RequestBlockRequest { block_time_ms: now_ms() + 86_400_000 };
            let words = "ahead of this node's clock";
            refused(
                "tomorrow's block",
                BLOCK,
                tomorrow.encode_to_vec(),
                Code::PermissionDenied,
                words,
            )
            .await;
        }
        let forward = |count| {
            let signed_instructions = vec![Bytes::from(vec![9; 99]); count];
            v1::ForwardInstructionsRequest { signed_instructions }.encode_to_vec()
        };
        let words = "more instructions than";
        refused("a flood", FORWARD, forward(40_000), Code::PermissionDenied, words).await;
        let answer = wire::call(&channel, FORWARD, forward(3)).await.unwrap().unwrap();
        let results = v1::ForwardInstructionsResponse::decode(answer).unwrap().results;
        assert_eq!(results.len(), 3);
        for forwarded in results {
            use v1::forwarded::Result::{Refused, Unavailable};
            // The leader judges them as it judges those of clients.
            let malformed = u32::from(Reason::Malformed.code());
            match forwarded.result.unwrap() {
                Refused(code) => assert_eq!((code, victim), (malformed, consortium.leader())),
                Unavailable(_) => assert_ne!(victim, consortium.leader()),
                decided => panic!("{decided:?}"),
            }
        }
    }
}

/// What a stream of attestations is refused with. The node whose name it uses makes its own again
/// meanwhile, which ends ours in silence before it was read: then it is sent again.
async fn refusal_of_stream(channel: &Channel, request: Vec<u8>) -> Option<Told> {
    for _ in 0..100 {
        if let Err(refusal) = wire::call(channel, ATTEST, request.clone()).await {
            return Some(Told::of(&refusal));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

/// What is wrong with it, the attestation, and what it is refused with.
async fn attestations(
    consortium: &Consortium,
) -> Vec<(&'static str, Option<Attestation>, &'static str)> {
    let headers = consortium.client(AGENT).blocks(0).all().await.expect("headers are told").value;
    let header = headers.last().expect("there is a block").encode();
    let by = |node, value: Vec<u8>| Some(NodeSignature { node, value: value.into() });
    let attestation = |header: &[u8], signature| {
        Some(Attestation { header: Bytes::copy_from_slice(header), signature })
    };
    // A header that the liar's node has signed is not looked at again.
    let (mut foreign, mut unsigned) = (header, header);
    foreign[4] ^= 1;
    unsigned[295] ^= 1;
    vec![
        ("none", None, "is required"),
        ("a short header", attestation(&header[1..], by(LIAR, vec![1; 64])), "296 bytes"),
        ("no header", attestation(&[7; 296], by(LIAR, vec![1; 64])), "does not decode"),
        ("no signature", attestation(&header, None), "has a signature"),
        ("a long signature", attestation(&header, by(LIAR, vec![1; 9_999])), "64 bytes"),
        ("another's signature", attestation(&header, by(4, vec![1; 64])), "itself alone"),
        ("a forged signature", attestation(&unsigned, by(LIAR, vec![1; 64])), "attestation key"),
        ("another chain", attestation(&foreign, by(LIAR, vec![1; 64])), "another chain"),
    ]
}

/// What is wrong with it, the message, and what it is refused with.
fn appends(
    term: u64,
    chain_id: &Bytes,
) -> Vec<(&'static str, v1::AppendEntriesRequest, &'static str)> {
    let append = |previous: Option<Id>, entries: Vec<v1::Entry>| v1::AppendEntriesRequest {
        vote: vote(term + 1, LIAR),
        previous: previous.map(id),
        committed: Some(id((term + 1, LIAR, LEAP))),
        entries,
        chain_id: chain_id.clone(),
    };
    let blank = |place: Id| entry(place, None);
    let far = |payload: Payload| {
        append(Some((term, LIAR, FAR)), vec![entry((term + 1, LIAR, FAR + 1), payload)])
    };
    let next = |payload: Option<Payload>| {
        let before = (term + 1, LIAR, FAR);
        append(Some(before), vec![entry((term + 1, LIAR, FAR + 1), payload)])
    };
    let proposal = |bytes: Vec<u8>| Payload::Proposal(bytes.into());
    let unsigned = |proposer, term| {
        let header = ProposalHeader { proposer, term, stamp_ms: now_ms(), ..of_tomorrow() };
        let (key_id, signature, instructions) = (Hash::ZERO, [0; 64], Vec::new());
        proposal(Proposal { header, key_id, signature, instructions }.encode().to_vec())
    };
    let membership = |configs: &[&[u64]]| {
        let configs: Vec<v1::VoterSet> =
            configs.iter().map(|voters| v1::VoterSet { voters: voters.to_vec() }).collect();
        far(Payload::Membership(v1::Membership { configs, nodes: vec![1, 2, 3, 4] }))
    };
    let honest = append(None, Vec::new());
    let (unordered, differs) = ("do not follow each other", "differs from one that is executed");
    let not_registered = "not the registry's";
    vec![
        (
            "in another's name",
            v1::AppendEntriesRequest { vote: vote(term + 1, 4), ..honest.clone() },
            "for itself alone",
        ),
        (
            "of a far term",
            v1::AppendEntriesRequest { vote: vote(LEAP, LIAR), ..honest.clone() },
            "term leaps",
        ),
        (
            "of another chain",
            v1::AppendEntriesRequest { chain_id: vec![1; 32].into(), ..honest },
            "another chain",
        ),
        ("a gap", append(None, vec![blank((term + 1, LIAR, 100))]), unordered),
        ("a place twice", append(None, vec![blank((0, 0, 0)), blank((0, 0, 0))]), unordered),
        (
            "terms that fall",
            append(Some((term + 1, LIAR, FAR)), vec![blank((term, LIAR, FAR + 1))]),
            unordered,
        ),
        (
            "behind the last place",
            append(Some((term, LIAR, LEAP)), vec![blank((term + 1, LIAR, 0))]),
            unordered,
        ),
        (
            "another history",
            append(None, (0..4).map(|index| blank((term + 1, LIAR, index))).collect()),
            differs,
        ),
        ("behind another history", append(Some((term + 1, LIAR, 3)), Vec::new()), differs),
        ("behind an older history", append(Some((0, 9, 3)), Vec::new()), differs),
        (
            "from a term to come",
            append(Some((term + 7, LIAR, FAR)), Vec::new()),
            "a later term than its sender",
        ),
        (
            "more than a block",
            far(Payload::Proposal(vec![0; (4 << 20) + 1].into())),
            "larger than a block",
        ),
        ("nothing in the place of a block", next(None), "an empty entry is within a term"),
        ("garbage", next(Some(proposal(vec![7; 999]))), "not of its place's term and leader"),
        (
            "another's block",
            next(Some(unsigned(4, term + 1))),
            "not of its place's term and leader",
        ),
        ("an old block", next(Some(unsigned(LIAR, term))), "not of its place's term and leader"),
        ("an unsigned block", next(Some(unsigned(LIAR, term + 1))), "what its proposer signed"),
        ("a term without a beginning", far(unsigned(LIAR, term + 1)), "begin with an empty entry"),
        ("a consortium of one", membership(&[&[LIAR]]), not_registered),
        ("a consortium of none", membership(&[]), not_registered),
        ("two consortia", membership(&[&[1, 2, 3, 4], &[LIAR]]), not_registered),
        (
            "from tomorrow",
            far(proposal(of_tomorrow().encode().to_vec())),
            "ahead of this node's clock",
        ),
        ("a heartbeat of the one from tomorrow", append(None, Vec::new()), "this node's clock"),
    ]
}

fn of_tomorrow() -> ProposalHeader {
    ProposalHeader {
        incarnation: 0,
        epoch: 0,
        proposer: LIAR,
        term: 1,
        sequence: 1,
        previous: Hash::ZERO,
        stamp_ms: now_ms() + 24 * 3_600 * 1_000,
        count: 0,
        instructions_root: Proposal::instructions_root(&[]),
    }
}
