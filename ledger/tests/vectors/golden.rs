//! The golden chain: a short history with one of everything.

use bytes::Bytes;
use counterfoil_ledger::{
    account::AccountId, agreement::AgreementId, apply::Decision, id::InstructionId,
    instruction::Draft, reason::Reason,
};
use counterfoil_proto::v1::{self, instruction::Body, work_break::Action};
use prost::Message;

use crate::support::{
    Chain, Consortium, NOON_MS,
    build::{
        self, HOUR_MS, book_entry, bytes_of, id_of, open, sign_with, statement, transfer, uetr_of,
    },
    consortium::{bic_of, ed25519},
};

const DAY: u32 = 20_261_123;

pub fn consortium() -> Consortium {
    Consortium::new(&["Central", "Alpha", "Beta", "Gamma"], &[("CHF", 2), ("JPY", 0)])
}

pub fn account(owner: &str, name: &str) -> AccountId {
    AccountId::of(&bic_of("Central"), &bic_of(owner), "CHF", name)
}

fn id(label: &str) -> InstructionId {
    id_of(label, NOON_MS)
}

/// One instruction of each body but agreements, with every field set that may be.
pub fn drafts() -> Vec<(&'static str, Draft)> {
    let alpha = bic_of("Alpha");
    let until = NOON_MS + HOUR_MS;
    let (main, beta) = (account("Alpha", "main"), account("Beta", "main"));
    let mut full = transfer("full", &main, &beta, 123_456);
    full.end_to_end_id = "INV-2026/11-23".to_owned();
    full.settlement_date = DAY;
    full.commitment = Bytes::copy_from_slice(&[bytes_of("a"), bytes_of("b")].concat());
    let least = transfer("least", &main, &beta, 1);
    let mut entry = book_entry("full", &main, v1::Side::Debit, 123_456, DAY);
    entry.value_date = DAY + 1;
    entry.entry_reference = "ENTRY-1".to_owned();
    entry.uetr = Bytes::copy_from_slice(uetr_of("full").as_bytes());
    entry.end_to_end_id = "INV-2026/11-23".to_owned();
    entry.commitment = full.commitment.clone();
    let mut day = statement("STMT-1", &main, DAY, DAY + 1);
    (day.opening_balance, day.closing_balance) = (500_000, -1);
    let plain = |label: &str, body| Draft::new(id(label), &alpha, until, body);
    let mut anchored = plain("transfer", Body::Transfer(full.clone()));
    let mut message = v1::Instruction::decode(anchored.instruction.clone()).unwrap();
    message.anchor_height = 7;
    message.anchor = Bytes::copy_from_slice(&[bytes_of("c"), bytes_of("d")].concat());
    anchored.instruction = message.encode_to_vec().into();
    let mut drafts = vec![
        ("open account", plain("open", open(&alpha, &bic_of("Beta"), "CHF", "nostro"))),
        ("transfer", anchored),
        (
            "transfers",
            Draft::transfers(id("batch"), &alpha, until, &[full.clone(), least, full], true),
        ),
        ("book entries", Draft::book_entries(id("book"), &alpha, until, &[entry])),
        ("statement", plain("statement", Body::Statement(day))),
    ];
    let steps = ["propose", "agree", "assign", "say", "decline", "reopen"];
    let steps = steps.into_iter().zip(work_breaks());
    drafts
        .extend(decisions().into_iter().chain(steps).map(|(name, body)| (name, plain(name, body))));
    drafts
}

/// Writes the golden chain, block by block.
struct Writer {
    chain: Chain,
    now_ms: u64,
}

impl Writer {
    fn plain(&self, label: &str, signer: &str, body: Body) -> Bytes {
        let bic = bic_of(signer);
        let draft = Draft::new(id(label), &bic, NOON_MS + HOUR_MS, body);
        self.chain.consortium.sign(&bic, draft)
    }

    fn pay(&self, label: &str, from: &str, to: &str, amount: u64) -> Bytes {
        self.plain(label, from, Body::Transfer(payment(label, from, to, amount)))
    }

    fn batch(&self, label: &str, signer: &str, items: &[v1::Transfer], together: bool) -> Bytes {
        let bic = bic_of(signer);
        let draft = Draft::transfers(id(label), &bic, NOON_MS + HOUR_MS, items, together);
        self.chain.consortium.sign(&bic, draft)
    }

    fn book(&self, label: &str, signer: &str, items: &[v1::BookEntry]) -> Bytes {
        let bic = bic_of(signer);
        let draft = Draft::book_entries(id(label), &bic, NOON_MS + HOUR_MS, items);
        self.chain.consortium.sign(&bic, draft)
    }

    fn block(&mut self, instructions: Vec<Bytes>) -> Vec<Decision> {
        self.now_ms += 1_000;
        self.chain.execute(self.now_ms, instructions).1
    }
}

fn payment(label: &str, from: &str, to: &str, amount: u64) -> v1::Transfer {
    let mut transfer = transfer(label, &account(from, "main"), &account(to, "main"), amount);
    transfer.end_to_end_id = format!("E2E-{label}");
    transfer
}

fn debit(label: &str, amount: u64) -> v1::BookEntry {
    book_entry(label, &account("Alpha", "main"), v1::Side::Debit, amount, DAY)
}

fn by_uetr(label: &str, of: &str, amount: u64) -> v1::BookEntry {
    let uetr = Bytes::copy_from_slice(uetr_of(of).as_bytes());
    v1::BookEntry { uetr, ..debit(label, amount) }
}

pub fn golden_chain() -> Chain {
    let mut writer = Writer { chain: Chain::new(consortium()), now_ms: NOON_MS };
    open_and_fund(&mut writer);
    pay(&mut writer);
    writer.chain.execute_void(writer.now_ms, Vec::new());
    agree(&mut writer);
    reconcile(&mut writer);
    work(&mut writer);
    load_and_repeat(&mut writer);
    writer.chain
}

fn open_and_fund(writer: &mut Writer) {
    let central = bic_of("Central");
    let mut opening = Vec::new();
    for bank in ["Central", "Alpha", "Beta", "Gamma"] {
        let body = open(&central, &bic_of(bank), "CHF", "main");
        opening.push(writer.plain(&format!("open {bank}"), "Central", body));
    }
    let body = open(&central, &bic_of("Alpha"), "USD", "main");
    opening.push(writer.plain("open dollars", "Central", body));
    writer.block(opening);
    let funding = vec![
        writer.pay("fund Alpha", "Central", "Alpha", 100_000),
        writer.pay("fund Beta", "Central", "Beta", 50_000),
    ];
    writer.block(funding);
}

fn pay(writer: &mut Writer) {
    let mut dated = payment("dated", "Alpha", "Beta", 1_000);
    dated.settlement_date = DAY + 1;
    dated.commitment = Bytes::copy_from_slice(&[bytes_of("a"), bytes_of("b")].concat());
    let payments = vec![
        writer.plain("dated", "Alpha", Body::Transfer(dated)),
        writer.pay("by P-256", "Beta", "Gamma", 2_000),
        writer.pay("too much", "Gamma", "Beta", 2_001),
        writer.pay("redeem", "Gamma", "Central", 500),
    ];
    writer.block(payments);
    let items = [
        payment("one", "Alpha", "Beta", 10),
        payment("two", "Alpha", "Gamma", 20),
        payment("one", "Alpha", "Gamma", 30),
    ];
    let batch = writer.batch("batch", "Alpha", &items, false);
    let aborted = [payment("three", "Alpha", "Beta", 10), payment("one", "Alpha", "Beta", 10)];
    let aborted = writer.batch("aborted", "Alpha", &aborted, true);
    writer.block(vec![batch, aborted]);
    writer.block(Vec::new());
}

/// Terms over Alpha's main account: the ledger against its owner's book, a minute after noon.
fn agree(writer: &mut Writer) {
    let parties = (&bic_of("Central"), &bic_of("Alpha"));
    let terms = build::terms("golden", parties, &[account("Alpha", "main")], DAY);
    let tolerance =
        v1::Tolerance { asset: "CHF".to_owned(), absolute: 1, ..v1::Tolerance::default() };
    let terms = v1::AgreementTerms {
        servicer_book: false,
        tolerances: vec![tolerance],
        missing_at_minute: 12 * 60 + 1,
        ..terms
    };
    let agreement = AgreementId::of(&terms);
    let accept = build::answer("accept", &agreement, v1::AgreementAnswer::Accept);
    let mut later = payment("later", "Alpha", "Beta", 1_000);
    later.settlement_date = DAY + 1;
    let instructions = vec![
        writer.plain("offer", "Alpha", build::offer(terms, NOON_MS + HOUR_MS)),
        writer.plain("accept", "Central", accept),
        writer.pay("agreed", "Alpha", "Beta", 10),
        writer.pay("referred", "Alpha", "Gamma", 20),
        writer.plain("later", "Alpha", Body::Transfer(later)),
    ];
    writer.block(instructions);
}

fn reconcile(writer: &mut Writer) {
    let mut by_reference = debit("by reference", 21);
    by_reference.end_to_end_id = "E2E-referred".to_owned();
    let entries = [
        by_uetr("agrees", "agreed", 10),
        by_reference,
        by_uetr("differs in date", "later", 1_000),
        by_uetr("once more", "agreed", 10),
        by_uetr("comes late", "late", 700),
        debit("nameless", 5),
    ];
    let book = writer.book("book", "Alpha", &entries);
    writer.block(vec![book]);
    let mut day = statement("STMT-1", &account("Alpha", "main"), DAY, DAY);
    (day.opening_balance, day.closing_balance) = (100_000, 98_254);
    let day = writer.plain("statement", "Alpha", Body::Statement(day));
    writer.block(vec![day]);
    let late = writer.pay("late", "Alpha", "Beta", 700);
    let unknown = writer.book("unknown", "Alpha", &[by_uetr("unknown", "nothing", 3)]);
    writer.block(vec![late, unknown]);
}

/// The first break ends with a transfer of its payer, a match and a position are decided, and what has no
/// counterpart is missing at the deadline.
fn work(writer: &mut Writer) {
    let [offer, agree, ..] = work_breaks();
    let offer = writer.plain("resolve", "Central", offer);
    writer.block(vec![offer]);
    let agree = writer.plain("agree", "Alpha", agree);
    writer.block(vec![agree]);
    writer.now_ms = NOON_MS + 60_000;
    writer.block(Vec::new());
}

/// Both parties' steps to how the first break ends, and one of each other kind.
fn work_breaks() -> [Body; 6] {
    let (alpha, central) = (account("Alpha", "main"), account("Central", "main"));
    let offer = || v1::ProposeResolution {
        kind: v1::ResolutionKind::CorrectingTransfer.into(),
        amount: 4,
        debit_account: Bytes::copy_from_slice(alpha.as_bytes()),
        credit_account: Bytes::copy_from_slice(central.as_bytes()),
        commitment: Bytes::copy_from_slice(&[bytes_of("why"), bytes_of("so")].concat()),
    };
    let transfer = Some(payment("correct", "Alpha", "Central", 4));
    let say = v1::SayOfBreak { code: "IPAY".to_owned(), ..v1::SayOfBreak::default() };
    [
        Action::Propose(offer()),
        Action::Agree(v1::AgreeResolution { offer: Some(offer()), transfer }),
        Action::Assign(v1::AssignBreak { owner: v1::Party::Servicer.into() }),
        Action::Say(say),
        Action::Decline(v1::DeclineResolution::default()),
        Action::Reopen(v1::ReopenBreak::default()),
    ]
    .map(|action| {
        let step = v1::WorkBreak {
            account: Bytes::copy_from_slice(alpha.as_bytes()),
            number: 1,
            salt: Bytes::copy_from_slice(&bytes_of("salt of the step")),
            action: Some(action),
        };
        Body::WorkBreak(Box::new(step))
    })
}

/// What else people order in reconciliation.
fn decisions() -> [(&'static str, Body); 3] {
    let account = || Bytes::copy_from_slice(account("Alpha", "main").as_bytes());
    let salt = || Bytes::copy_from_slice(&bytes_of("salt of the decision"));
    let numbers = |numbers: &[u64]| {
        let number = |number: &u64| v1::ItemNumber { number: *number };
        numbers.iter().map(number).collect()
    };
    let run = v1::RunMatching { account: account(), salt: salt() };
    let decision = v1::DecideMatch {
        account: account(),
        comparison: v1::Comparison::LedgerOwner.into(),
        first: numbers(&[3]),
        second: numbers(&[1, 2]),
        decision: v1::MatchDecision::Confirm.into(),
        commitment: Bytes::new(),
        salt: salt(),
    };
    let view = v1::SignPosition {
        account: account(),
        date: DAY,
        opening_balance: 100_000,
        credit_count: 1,
        credits: 2,
        debit_count: 3,
        debits: 4,
        closing_balance: -5,
        digest: Bytes::copy_from_slice(&[bytes_of("e"), bytes_of("f")].concat()),
        salt: salt(),
    };
    [
        ("run matching", Body::RunMatching(run)),
        ("decide match", Body::DecideMatch(decision)),
        ("sign position", Body::SignPosition(view)),
    ]
}

fn load_and_repeat(writer: &mut Writer) {
    let items: Vec<v1::Transfer> =
        (0..64).map(|item| payment(&format!("load {item}"), "Alpha", "Gamma", 1)).collect();
    let load = writer.batch("load", "Alpha", &items, false);
    writer.now_ms -= 700;
    writer.block(vec![load]);
    let height = writer.chain.state.height();
    let hash = writer.chain.state.header_hash();
    let body = Body::Transfer(payment("anchored", "Alpha", "Beta", 3));
    let draft = Draft::new(id("anchored"), &bic_of("Alpha"), NOON_MS + HOUR_MS, body);
    let mut message = v1::Instruction::decode(draft.instruction).unwrap();
    message.anchor_height = height;
    message.anchor = Bytes::copy_from_slice(hash.as_bytes());
    let draft = Draft { instruction: message.encode_to_vec().into(), items: Vec::new() };
    let forged =
        sign_with(&ed25519("stranger"), &writer.chain.consortium.chain_id(), draft.clone());
    let repeated = vec![
        writer.pay("late", "Alpha", "Beta", 700),
        writer.pay("late", "Alpha", "Beta", 701),
        forged,
        Bytes::from_static(b"not an instruction"),
        writer.chain.consortium.sign(&bic_of("Alpha"), draft),
    ];
    let decisions = writer.block(repeated);
    assert!(matches!(
        decisions[..],
        [
            Decision::Replayed(_),
            Decision::Refused(Reason::IdReused),
            Decision::Refused(Reason::KeyUnknown),
            Decision::Refused(Reason::Malformed),
            Decision::Decided(_),
        ]
    ));
    writer.block(Vec::new());
}
