//! The ledger that everything is tried against: four banks, a few blocks of every kind of
//! instruction, and all that their nodes would prove of it. The same bytes at every start.

#![allow(clippy::unwrap_used, reason = "what the scene is made of is known")]

use std::collections::BTreeSet;
use std::sync::OnceLock;

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::AgreementId;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::instruction::Draft;
use counterfoil_ledger::replay::Replay;
use counterfoil_ledger::verify::Trust;
use counterfoil_proto::v1;
use counterfoil_proto::v1::instruction::Body;
use prost::Message;

use crate::support::Archive;
use crate::support::Chain;
use crate::support::Consortium;
use crate::support::NOON_MS;
use crate::support::build;
use crate::support::build::HOUR_MS;
use crate::support::build::id_of;
use crate::support::build::uetr_of;
use crate::support::consortium::bic_of;

/// The members.
pub const BANKS: [&str; 4] = ["Central", "Alpha", "Beta", "Gamma"];

/// The day on which all of it happens, yyyymmdd.
pub const DAY: u32 = 20_261_123;

/// The ledger, and what is known of it.
pub struct Scene {
    /// Its blocks and proofs.
    pub archive: Archive,
    /// What a verifier begins with.
    pub trust: Trust,
    /// SHA-256 of every instruction that somebody has signed.
    pub signed: BTreeSet<Hash>,
    /// Replays that stand before each entry of the log, and one behind the last.
    pub replays: Vec<Replay>,
}

/// The one scene of this process.
pub fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(Scene::new)
}

/// The account in CHF of a bank at the central one.
pub fn account(name: &str) -> AccountId {
    AccountId::of(&bic_of("Central"), &bic_of(name), "CHF", "main")
}

impl Scene {
    fn new() -> Scene {
        let chain = chain();
        let trust = Trust::new(chain.consortium.genesis.clone());
        let signed = chain.entries.iter().flat_map(instructions).map(|it| Hash::of(&it)).collect();
        let mut replays = vec![Replay::new(chain.consortium.genesis.clone())];
        for entry in &chain.entries {
            let mut replay = replays.last().unwrap().clone();
            entry.replay(&mut replay).unwrap();
            replays.push(replay);
        }
        Scene { archive: Archive::of(chain), trust, signed, replays }
    }
}

fn instructions(entry: &crate::support::Entry) -> Vec<Bytes> {
    let crate::support::Entry::Block { proposal, .. } = entry else { return Vec::new() };
    let proposal = counterfoil_ledger::proposal::Proposal::decode(proposal).unwrap();
    let signed = proposal.instructions.into_iter().map(v1::SignedInstruction::decode);
    signed.map(|signed| signed.unwrap().instruction).collect()
}

/// A bank's instruction without items.
pub fn plain(consortium: &Consortium, label: &str, signer: &str, body: Body) -> Bytes {
    let bic = bic_of(signer);
    consortium.sign(&bic, Draft::new(id_of(label, NOON_MS), &bic, NOON_MS + HOUR_MS, body))
}

fn transfer(label: &str, from: &str, to: &str, amount: u64) -> v1::Transfer {
    let transfer = build::transfer(label, &account(from), &account(to), amount);
    v1::Transfer { end_to_end_id: format!("E2E {label}"), ..transfer }
}

fn chain() -> Chain {
    let mut chain = Chain::new(Consortium::new(&BANKS, &[("CHF", 2), ("JPY", 0)]));
    let until = NOON_MS + HOUR_MS;
    let central = bic_of("Central");
    let opened = BANKS.map(|bank| {
        let body = build::open(&central, &bic_of(bank), "CHF", "main");
        plain(&chain.consortium, &format!("open {bank}"), "Central", body)
    });
    chain.execute(NOON_MS + 1_000, opened.to_vec());
    let payments = [
        ("fund", "Central", "Central", "Alpha", 1_000_000),
        ("pay", "Alpha", "Alpha", "Beta", 250),
        ("too much", "Beta", "Beta", "Gamma", 1 << 40),
    ];
    let payments = payments.map(|(label, signer, from, to, amount)| {
        let body = Body::Transfer(transfer(label, from, to, amount));
        plain(&chain.consortium, label, signer, body)
    });
    chain.execute(NOON_MS + 2_000, payments.to_vec());
    let alpha = bic_of("Alpha");
    let batches = [("loose", false), ("strict", true)].map(|(label, all_or_nothing)| {
        let item =
            |number: u64| transfer(&format!("{label} {number}"), "Alpha", "Beta", 10 + number);
        let items: Vec<_> = (0..5u64).map(item).collect();
        let id = id_of(label, NOON_MS);
        let draft = Draft::transfers(id, &alpha, until, &items, all_or_nothing);
        chain.consortium.sign(&alpha, draft)
    });
    chain.execute(NOON_MS + 3_000, batches.to_vec());
    chain.execute_void(NOON_MS + 3_500, Vec::new());
    let beta = bic_of("Beta");
    let terms = build::terms("terms", (&central, &beta), &[account("Beta")], DAY);
    let id = AgreementId::of(&terms);
    let accept = v1::AgreementAnswer::Accept;
    let offer = plain(&chain.consortium, "offer", "Central", build::offer(terms, until));
    let accept = plain(&chain.consortium, "accept", "Beta", build::answer("accept", &id, accept));
    chain.execute(NOON_MS + 3_800, vec![offer, accept]);
    let entry = |label: &str, uetr: &str, amount| v1::BookEntry {
        uetr: Bytes::copy_from_slice(uetr_of(uetr).as_bytes()),
        end_to_end_id: format!("E2E {uetr}"),
        ..build::book_entry(label, &account("Beta"), v1::Side::Credit, amount, DAY)
    };
    let entries = [entry("a", "pay", 250), entry("b", "loose 1", 99), entry("c", "unknown", 7)];
    let entries = Draft::book_entries(id_of("book", NOON_MS), &beta, until, &entries);
    let entries = chain.consortium.sign(&beta, entries);
    let statement = build::statement("S1", &account("Beta"), DAY, DAY);
    let statement = plain(&chain.consortium, "day", "Beta", Body::Statement(statement));
    chain.execute(NOON_MS + 4_000, vec![entries, statement]);
    let back = Body::Transfer(transfer("back", "Beta", "Central", 40));
    let back = plain(&chain.consortium, "back", "Beta", back);
    chain.execute(NOON_MS + 5_000, vec![back]);
    chain.execute(NOON_MS + 6_000, Vec::new());
    chain
}
