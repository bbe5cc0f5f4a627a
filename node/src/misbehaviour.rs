//! Everything that a lying node does otherwise than an honest one, for tests alone. The honest code
//! asks here at a few places, and only in a build with the feature; the program
//! `counterfoil-node-misbehaving` alone makes anything of it.
//!
//! `COUNTERFOIL_MISBEHAVIOUR=<behaviour>[:<parameter>]` says what it does.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;
use counterfoil_ledger::outcome::Event;
use counterfoil_ledger::outcome::Outcome;
use counterfoil_ledger::outcome::State;
use counterfoil_ledger::proposal::Proposal;
use counterfoil_ledger::signature;
use counterfoil_ledger::signature::Label;
use counterfoil_ledger::signature::Signer;
use counterfoil_ledger::snapshot::Written;
use counterfoil_proto::peer::v1;
use counterfoil_proto::v1::Account;
use counterfoil_proto::v1::AccountProof;
use counterfoil_proto::v1::Attestation;
use counterfoil_proto::v1::NodeSignature;
use counterfoil_proto::v1::Receipt;
use tracing::warn;

use crate::consensus::builder::Submission;
use crate::consensus::replica::Replica;
use crate::limits;

/// What a node does.
#[derive(Clone, Debug)]
enum Behaviour {
    /// `equivocate:NODE`: as a leader, sends this node another proposal, once.
    Equivocate { victim: u64 },
    /// `forge-membership`: sends entries that make it the only voter.
    ForgeMembership,
    /// `take-back`: as a follower, takes back what it has acknowledged.
    TakeBack,
    /// `leap-terms`: asks for votes, and sends entries, in a term far ahead.
    LeapTerms,
    /// `shade-time:MILLISECONDS`: stamps so far ahead of its clock, or behind it where negative.
    ShadeTime { by_ms: i64 },
    /// `sign-twice`: attests another header beside each of its own.
    SignTwice,
    /// `lie-about-state`: attests another root of the accounts than it has computed.
    LieAboutState,
    /// `lie-to-clients`: shows every balance larger than it is, and every refusal as settled.
    LieToClients,
    /// `withhold`: sends no attestation.
    Withhold,
    /// `scatter`: as a leader, sends each node its attestations of other heights.
    Scatter,
    /// `false-snapshot`: signs another digest of its state than it has computed.
    FalseSnapshot,
    /// `clock:FILE`: none; its clock is off by the number of milliseconds in the file.
    Clock,
    /// `die-at:STEP`: ends at once when it gets to a step of catching up.
    DieAt { step: String },
    /// `false-blocks`: tells whoever catches up of other outcomes than those that were certified.
    FalseBlocks,
    /// `false-content`: sends another content of a snapshot than the one that was signed.
    FalseContent,
    /// `censor:BIC`: as a leader, brings nothing of this institution into a block.
    Censor { institution: Bic },
}

static BEHAVIOUR: OnceLock<Behaviour> = OnceLock::new();

fn behaviour() -> Option<&'static Behaviour> {
    BEHAVIOUR.get()
}

/// Reads what the environment asks for. Whether it asks for anything.
pub fn begin() -> Result<bool, String> {
    let Ok(words) = std::env::var("COUNTERFOIL_MISBEHAVIOUR") else { return Ok(false) };
    let (name, parameter) = words.split_once(':').unwrap_or((&words, ""));
    let number = || parameter.parse::<i64>().map_err(|error| format!("{words}: {error}"));
    let node = || parameter.parse::<u64>().map_err(|error| format!("{words}: {error}"));
    let behaviour = match name {
        "equivocate" => Behaviour::Equivocate { victim: node()? },
        "forge-membership" => Behaviour::ForgeMembership,
        "sign-twice" => Behaviour::SignTwice,
        "lie-about-state" => Behaviour::LieAboutState,
        "lie-to-clients" => Behaviour::LieToClients,
        "withhold" => Behaviour::Withhold,
        "scatter" => Behaviour::Scatter,
        "false-snapshot" => Behaviour::FalseSnapshot,
        "clock" => {
            crate::clock::displace_by(parameter);
            Behaviour::Clock
        }
        "die-at" => Behaviour::DieAt { step: parameter.to_owned() },
        "false-blocks" => Behaviour::FalseBlocks,
        "false-content" => Behaviour::FalseContent,
        "take-back" => Behaviour::TakeBack,
        "leap-terms" => Behaviour::LeapTerms,
        "shade-time" => Behaviour::ShadeTime { by_ms: number()? },
        "censor" => {
            let institution = Bic::parse(parameter).map_err(|error| format!("{words}: {error}"))?;
            Behaviour::Censor { institution }
        }
        _ => return Err(format!("no such behaviour: {words}")),
    };
    BEHAVIOUR.set(behaviour).map_err(|_| "begun twice".to_owned())?;
    Ok(true)
}

/// The stamp of a proposal.
pub fn stamp(now_ms: u64) -> u64 {
    match behaviour() {
        Some(Behaviour::ShadeTime { by_ms }) => now_ms.saturating_add_signed(*by_ms),
        _ => now_ms,
    }
}

/// What of this a leader brings into its next block; none if there is to be no block.
pub fn brought_in(submissions: Vec<Submission>) -> Option<Vec<Submission>> {
    let Some(Behaviour::Censor { institution }) = behaviour() else { return Some(submissions) };
    let before = submissions.len();
    let is_left_out = |it: &Submission| it.prepared.instruction.institution == *institution;
    let brought: Vec<_> = submissions.into_iter().filter(|it| !is_left_out(it)).collect();
    (!brought.is_empty() || before == 0).then_some(brought)
}

/// What a leader is answered: now and then the truth, or it would be asked no more.
pub fn answer(honest: v1::AppendEntriesResponse) -> v1::AppendEntriesResponse {
    use v1::append_entries_response::{Conflict, PartialSuccess, Result};
    static ANSWERS: AtomicU64 = AtomicU64::new(0);
    let Some(Behaviour::TakeBack) = behaviour() else { return honest };
    let result = match ANSWERS.fetch_add(1, Ordering::SeqCst) % 3 {
        0 => return honest,
        1 => Result::Conflict(Conflict {}),
        _ => Result::PartialSuccess(PartialSuccess { matching: None }),
    };
    v1::AppendEntriesResponse { result: Some(result) }
}

/// The others of a consortium of four.
const OTHERS: u64 = 3;

/// What it says that its snapshot consists of.
pub fn snapshot(mut honest: Written) -> Written {
    if let Some(chunk) = honest.chunks.last_mut()
        && matches!(behaviour(), Some(Behaviour::FalseSnapshot))
    {
        warn!("misbehaves: a digest of its own making");
        *chunk = Hash::of(b"another state");
    }
    honest
}

/// Ends the process, as a kill would, at a step of catching up.
pub fn die_at(step: &str) {
    if matches!(behaviour(), Some(Behaviour::DieAt { step: it }) if it == step) {
        warn!(step, "misbehaves: ends here");
        std::process::abort();
    }
}

/// What a node that catches up is told of blocks.
pub fn told_blocks(mut honest: v1::ReadBlocksResponse) -> v1::ReadBlocksResponse {
    if matches!(behaviour(), Some(Behaviour::FalseBlocks)) {
        warn!("misbehaves: other outcomes in the place of those that were certified");
        for block in &mut honest.blocks {
            let mut leaves = block.leaves.to_vec();
            leaves.iter_mut().skip(10).take(1).for_each(|byte| *byte ^= 1);
            block.leaves = leaves.into();
        }
    }
    honest
}

/// What a node that catches up is sent of a snapshot.
pub fn snapshot_chunk(mut honest: Vec<u8>) -> Vec<u8> {
    if matches!(behaviour(), Some(Behaviour::FalseContent)) {
        warn!("misbehaves: another content of a snapshot");
        honest.iter_mut().rev().take(1).for_each(|byte| *byte ^= 1);
    }
    honest
}

/// What is sent to a node in the place of an attestation.
pub fn attestations(to: u64, honest: v1::AttestRequest) -> Vec<v1::AttestRequest> {
    let other = |what: &str| {
        let other = honest.attestation.as_ref().and_then(other_attestation);
        warn!(found = other.is_some(), "misbehaves: {what}");
        other.map(|attestation| v1::AttestRequest { attestation: Some(attestation) })
    };
    match behaviour() {
        Some(Behaviour::SignTwice) => {
            let second = other("two headers of one height");
            std::iter::once(honest).chain(second).collect()
        }
        Some(Behaviour::LieAboutState) => other("a header of its own making").into_iter().collect(),
        Some(Behaviour::Withhold) => Vec::new(),
        Some(Behaviour::Scatter) => {
            let header = honest.attestation.as_ref().and_then(|it| Header::decode(&it.header));
            let is_for = header.is_some_and(|header| header.height % OTHERS == to % OTHERS);
            if is_for { vec![honest] } else { Vec::new() }
        }
        _ => vec![honest],
    }
}

/// The same height with other accounts, signed.
fn other_attestation(honest: &Attestation) -> Option<Attestation> {
    let (signer, chain_id) = SIGNER.get()?;
    let mut header = Header::decode(&honest.header)?;
    header.accounts_root = Some(Hash::of(b"other accounts"));
    let preimage = signature::preimage(Label::Header, chain_id, header.hash().as_bytes());
    let value = Bytes::copy_from_slice(&signer.sign(&preimage).ok()?);
    let node = honest.signature.as_ref()?.node;
    let header = Bytes::copy_from_slice(&header.encode());
    Some(Attestation { header, signature: Some(NodeSignature { node, value }) })
}

/// By how many minor units balances are shown too large.
const FANCY: i64 = 1_000_000;

fn lies_to_clients() -> bool {
    matches!(behaviour(), Some(Behaviour::LieToClients))
}

/// An account as a client is shown it.
pub fn account(mut account: Account) -> Account {
    if let Some(balance) = account.balance.as_mut().filter(|_| lies_to_clients()) {
        balance.minor_units += FANCY;
    }
    account
}

/// The first part of an account's proof as a client is sent it.
pub fn account_proof(mut proof: AccountProof) -> AccountProof {
    let mut leaf = proof.leaf.to_vec();
    if let Some(balance) = leaf.get_mut(20..36).filter(|_| lies_to_clients()) {
        let honest = i128::from_be_bytes(balance.try_into().unwrap_or_default());
        balance.copy_from_slice(&(honest + i128::from(FANCY)).to_be_bytes());
    }
    proof.leaf = leaf.into();
    proof
}

/// A receipt as a client is sent it.
pub fn receipt(mut receipt: Receipt) -> Receipt {
    if lies_to_clients() {
        let settled = Outcome {
            state: State::Settled,
            reason: None,
            event: Event::TransferPosted,
            posting_count: 2,
            first_posting: 1,
        };
        receipt.outcome = Bytes::copy_from_slice(&settled.encode());
    }
    receipt
}

/// What a node that lies signs with.
static SIGNER: OnceLock<(Arc<dyn Signer>, Hash)> = OnceLock::new();

/// The other proposal for this follower: the same place, another stamp.
pub fn other_proposal(to: u64, proposal: &Bytes) -> Option<Bytes> {
    static DONE: AtomicBool = AtomicBool::new(false);
    let Some(Behaviour::Equivocate { victim }) = behaviour() else { return None };
    let (signer, chain_id) = SIGNER.get()?;
    let mut other = Proposal::decode(proposal)?;
    if to != *victim || other.instructions.is_empty() || DONE.swap(true, Ordering::SeqCst) {
        return None;
    }
    other.header.stamp_ms += 1;
    let hash = other.header.hash();
    let preimage = signature::preimage(Label::Proposal, chain_id, hash.as_bytes());
    other.signature = signer.sign(&preimage).ok()?;
    warn!(to, "misbehaves: another proposal");
    Some(other.encode())
}

/// Starts what it does by itself.
pub fn start(replica: Arc<Replica>, signer: Arc<dyn Signer>) {
    let chain_id = replica.state().chain_id();
    let _ = SIGNER.set((signer, chain_id));
    match behaviour() {
        Some(Behaviour::ForgeMembership) => {
            tokio::spawn(async move { forge(&replica, membership_of_one).await });
        }
        Some(Behaviour::LeapTerms) => {
            tokio::spawn(async move { forge(&replica, leap).await });
        }
        _ => {}
    }
}

/// How often it tries.
const INTERVAL: Duration = Duration::from_millis(200);

/// Sends every other node what it makes up, again and again.
async fn forge(replica: &Replica, make_up: impl Fn(&Replica, u64) -> v1::AppendEntriesRequest) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let (_, term, _, _) = replica.raft_figures();
        let append = make_up(replica, term);
        let ask = v1::RequestVoteRequest {
            vote: append.vote.map(|vote| v1::Vote { committed: false, ..vote }),
            last_log_id: append.previous,
            chain_id: append.chain_id.clone(),
        };
        for (to, mut client) in replica.peers().voters() {
            warn!(to, "misbehaves: forged entries and a forged candidacy");
            let _ = client.append_entries(append.clone()).await;
            if matches!(behaviour(), Some(Behaviour::LeapTerms)) {
                let _ = client.request_vote(ask.clone()).await;
            }
        }
    }
}

fn append_of(replica: &Replica, term: u64) -> v1::AppendEntriesRequest {
    let leader = v1::LeaderId { term, node_id: replica.node() };
    v1::AppendEntriesRequest {
        vote: Some(v1::Vote { leader: Some(leader), committed: true }),
        chain_id: replica.peers().chain_id(),
        ..v1::AppendEntriesRequest::default()
    }
}

/// As far as a message may go: years of elections would not get there.
fn leap(replica: &Replica, _term: u64) -> v1::AppendEntriesRequest {
    append_of(replica, limits::TERM_MAX)
}

/// Behind everything, an entry that leaves it alone in the group.
fn membership_of_one(replica: &Replica, term: u64) -> v1::AppendEntriesRequest {
    let (_, _, last, _) = replica.raft_figures();
    let append = append_of(replica, term + 1);
    let own = v1::LeaderId { term: term + 1, node_id: replica.node() };
    let before = replica.store().log().entry_id(last).ok().flatten();
    let before = before.map(|it| v1::LeaderId { term: it.term, node_id: it.node });
    let voters = v1::VoterSet { voters: vec![replica.node()] };
    let membership = v1::Membership { configs: vec![voters], nodes: vec![replica.node()] };
    let entry = v1::Entry {
        log_id: Some(v1::LogId { leader: Some(own), index: last + 1 }),
        payload: Some(v1::entry::Payload::Membership(membership)),
    };
    let previous = before.map(|leader| v1::LogId { leader: Some(leader), index: last });
    v1::AppendEntriesRequest { previous, entries: vec![entry], ..append }
}
