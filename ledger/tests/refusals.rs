//! Every reason of class 1xx and 2xx: instructions that are malformed in one way each, and signed by
//! the wrong hand. None of them leaves anything behind.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "refusals/reconciliation.rs"]
mod reconciliation;
mod support;

use std::collections::BTreeMap;

use bytes::Bytes;
use counterfoil_ledger::{
    account::AccountId,
    apply::Decision,
    hash::Hash,
    instruction::{AMOUNT_MAX, BATCH_ITEMS_MAX, Draft, INSTRUCTION_SIZE_MAX},
    reason::Reason,
    signature::SoftwareSigner,
};
use counterfoil_proto::v1::{self, instruction::Body};
use prost::Message;
use support::{
    Chain, Consortium, NOON_MS,
    build::{
        HOUR_MS, book_entry, bytes_of, id_of, offer, open, sign_with, statement, terms, transfer,
    },
    consortium::{bic_of, ed25519},
};

/// Judged by the node's API, which knows who is connected; the ledger does not.
const NOT_THE_LEDGERS: Reason = Reason::SignerNotCaller;

struct Fixture {
    chain: Chain,
    cases: Vec<(Reason, &'static str, Bytes)>,
}

fn account(name: &str) -> AccountId {
    AccountId::of(&bic_of("Central"), &bic_of("Alpha"), "CHF", name)
}

fn good_transfer() -> v1::Transfer {
    transfer("t", &account("one"), &account("two"), 100)
}

fn good_entry() -> v1::BookEntry {
    book_entry("e", &account("one"), v1::Side::Credit, 100, 20_261_123)
}

fn good_statement() -> v1::Statement {
    statement("S1", &account("one"), 20_261_123, 20_261_123)
}

impl Fixture {
    fn new() -> Fixture {
        let consortium = Consortium::new(&["Central", "Alpha", "Beta"], &[("CHF", 2)]);
        Fixture { chain: Chain::new(consortium), cases: Vec::new() }
    }

    fn signer(&self) -> &SoftwareSigner {
        &self.chain.consortium.signers[&bic_of("Alpha")]
    }

    fn sign(&self, draft: Draft) -> Bytes {
        sign_with(self.signer(), &self.chain.consortium.chain_id(), draft)
    }

    fn plain(&self, body: Body) -> Draft {
        Draft::new(id_of("plain", NOON_MS), &bic_of("Alpha"), NOON_MS + HOUR_MS, body)
    }

    fn case(&mut self, reason: Reason, what: &'static str, bytes: Bytes) {
        self.cases.push((reason, what, bytes));
    }

    /// Changes a good instruction and signs what came of it.
    fn instruction(
        &mut self,
        reason: Reason,
        what: &'static str,
        change: impl FnOnce(&mut v1::Instruction),
    ) {
        let draft = self.plain(Body::Transfer(good_transfer()));
        let mut message = v1::Instruction::decode(draft.instruction).unwrap();
        change(&mut message);
        let draft = Draft { instruction: message.encode_to_vec().into(), items: Vec::new() };
        self.case(reason, what, self.sign(draft));
    }

    /// Changes a good SignedInstruction after it was signed.
    fn signed(
        &mut self,
        reason: Reason,
        what: &'static str,
        change: impl FnOnce(&mut v1::SignedInstruction),
    ) {
        let bytes = self.sign(self.plain(Body::Transfer(good_transfer())));
        let mut message = v1::SignedInstruction::decode(bytes).unwrap();
        change(&mut message);
        self.case(reason, what, message.encode_to_vec().into());
    }

    fn transfer(&mut self, reason: Reason, what: &'static str, change: impl Fn(&mut v1::Transfer)) {
        let mut message = good_transfer();
        change(&mut message);
        let alone = self.plain(Body::Transfer(message.clone()));
        self.case(reason, what, self.sign(alone));
        self.batch(reason, what, &[good_transfer(), message]);
    }

    fn batch(&mut self, reason: Reason, what: &'static str, items: &[v1::Transfer]) {
        let (bic, until) = (bic_of("Alpha"), NOON_MS + HOUR_MS);
        let draft = Draft::transfers(id_of("batch", NOON_MS), &bic, until, items, true);
        self.case(reason, what, self.sign(draft));
    }

    fn entry(&mut self, reason: Reason, what: &'static str, change: impl Fn(&mut v1::BookEntry)) {
        let mut message = good_entry();
        change(&mut message);
        let (bic, until) = (bic_of("Alpha"), NOON_MS + HOUR_MS);
        let draft = Draft::book_entries(id_of("book", NOON_MS), &bic, until, &[message]);
        self.case(reason, what, self.sign(draft));
    }

    fn statement(
        &mut self,
        reason: Reason,
        what: &'static str,
        change: impl Fn(&mut v1::Statement),
    ) {
        let mut message = good_statement();
        change(&mut message);
        let draft = self.plain(Body::Statement(message));
        self.case(reason, what, self.sign(draft));
    }

    fn terms(
        &mut self,
        reason: Reason,
        what: &'static str,
        change: impl Fn(&mut v1::AgreementTerms),
    ) {
        let (central, alpha) = (bic_of("Central"), bic_of("Alpha"));
        let mut message = terms("terms", (&central, &alpha), &[account("one")], 20_261_123);
        change(&mut message);
        let draft = self.plain(offer(message, NOON_MS + HOUR_MS));
        self.case(reason, what, self.sign(draft));
    }

    fn answer(
        &mut self,
        reason: Reason,
        what: &'static str,
        change: impl Fn(&mut v1::AnswerAgreement),
    ) {
        let mut message = v1::AnswerAgreement {
            agreement: bytes(16),
            answer: v1::AgreementAnswer::Accept.into(),
            salt: bytes(16),
        };
        change(&mut message);
        let draft = self.plain(Body::AnswerAgreement(message));
        self.case(reason, what, self.sign(draft));
    }

    fn open(&mut self, reason: Reason, what: &'static str, change: impl Fn(&mut v1::OpenAccount)) {
        let alpha = bic_of("Alpha");
        let Body::OpenAccount(mut message) = open(&alpha, &alpha, "CHF", "own") else {
            unreachable!("open() makes an OpenAccount")
        };
        change(&mut message);
        let draft = self.plain(Body::OpenAccount(message));
        self.case(reason, what, self.sign(draft));
    }
}

fn bytes(count: usize) -> Bytes {
    Bytes::from(vec![7; count])
}

fn containers(fixture: &mut Fixture) {
    let good = fixture.sign(fixture.plain(Body::Transfer(good_transfer())));
    fixture.case(Reason::TooLarge, "too large", bytes(INSTRUCTION_SIZE_MAX + 1));
    fixture.case(Reason::Malformed, "garbage", bytes(100));
    fixture.case(Reason::Malformed, "truncated", good.slice(..good.len() - 1));
    let more = |tail: &[u8]| Bytes::from([&good[..], tail].concat());
    // Field 4 does not exist; field 1 again, empty.
    fixture.case(Reason::NotCanonical, "an unknown field", more(&[0x20, 1]));
    fixture.case(Reason::NotCanonical, "a field once more", more(&[0x0a, 0]));
    fixture.signed(Reason::Malformed, "an instruction of garbage", |it| it.instruction = bytes(9));
    fixture.signed(Reason::NotCanonical, "an unknown field that is signed", |it| {
        it.instruction = Bytes::from([&it.instruction[..], &[0x38, 1]].concat());
    });
    fixture
        .signed(Reason::ItemsUnexpected, "items beside a transfer", |it| it.items = vec![bytes(3)]);
    fixture.case(Reason::BodyMissing, "nothing at all", Bytes::new());
    fixture.instruction(Reason::BodyMissing, "no body", |it| it.body = None);
    fixture.instruction(Reason::IdMalformed, "no id", |it| it.id = Bytes::new());
    fixture.instruction(Reason::IdMalformed, "a UUIDv4", |it| it.id = good_transfer().uetr);
    fixture.instruction(Reason::BicMalformed, "lower case", |it| {
        it.institution.make_ascii_lowercase()
    });
    fixture.instruction(Reason::BicMalformed, "eight", |it| it.institution.truncate(8));
    fixture.instruction(Reason::ValidUntilMissing, "for ever", |it| it.valid_until_ms = 0);
    fixture.instruction(Reason::AnchorMalformed, "short", |it| it.anchor = bytes(31));
    fixture.instruction(Reason::AnchorMalformed, "height alone", |it| it.anchor_height = 1);
}

fn batches(fixture: &mut Fixture) {
    fixture.batch(Reason::BatchCountWrong, "no items", &[]);
    fixture.batch(
        Reason::BatchCountWrong,
        "too many items",
        &vec![good_transfer(); BATCH_ITEMS_MAX + 1],
    );
    let (bic, until) = (bic_of("Alpha"), NOON_MS + HOUR_MS);
    let items = [good_transfer(), good_transfer()];
    let draft = || Draft::transfers(id_of("batch", NOON_MS), &bic, until, &items, false);
    let mut fewer = draft();
    fewer.items.pop();
    fixture.case(Reason::BatchCountWrong, "an item is missing", fixture.sign(fewer));
    let mut other = draft();
    let mut changed = good_transfer();
    changed.amount += 1;
    other.items[1] = changed.encode_to_vec().into();
    fixture.case(Reason::BatchRootWrong, "another item", fixture.sign(other));
    let mut message = v1::Instruction::decode(draft().instruction).unwrap();
    let Some(Body::Transfers(batch)) = &mut message.body else { panic!("a batch of transfers") };
    batch.items_root = Bytes::new();
    let rootless = Draft { instruction: message.encode_to_vec().into(), ..draft() };
    fixture.case(Reason::BatchRootWrong, "no root", fixture.sign(rootless));

    let mut elsewhere = good_entry();
    elsewhere.account = Bytes::copy_from_slice(account("two").as_bytes());
    let mixed =
        Draft::book_entries(id_of("mixed", NOON_MS), &bic, until, &[good_entry(), elsewhere]);
    fixture.case(Reason::ItemsMixed, "entries of two accounts", fixture.sign(mixed));
    let entries = Draft::book_entries(id_of("aon", NOON_MS), &bic, until, &[good_entry()]);
    let mut message = v1::Instruction::decode(entries.instruction.clone()).unwrap();
    let Some(Body::BookEntries(batch)) = &mut message.body else { panic!("a batch of entries") };
    batch.all_or_nothing = true;
    let entries = Draft { instruction: message.encode_to_vec().into(), ..entries };
    fixture.case(Reason::AllOrNothingUnsupported, "entries all or nothing", fixture.sign(entries));
}

fn transfers(fixture: &mut Fixture) {
    fixture.transfer(Reason::AccountIdMalformed, "debit", |it| it.debit_account = bytes(15));
    fixture.transfer(Reason::AccountIdMalformed, "credit", |it| it.credit_account = bytes(17));
    fixture.transfer(Reason::SameAccount, "to itself", |it| {
        it.credit_account = it.debit_account.clone();
    });
    fixture.transfer(Reason::AmountZero, "nothing", |it| it.amount = 0);
    fixture.transfer(Reason::AmountTooLarge, "2^63", |it| it.amount = AMOUNT_MAX + 1);
    fixture.transfer(Reason::UetrMalformed, "none", |it| it.uetr = Bytes::new());
    fixture.transfer(Reason::UetrMalformed, "a UUIDv7", |it| {
        it.uetr = Bytes::copy_from_slice(id_of("x", NOON_MS).as_bytes());
    });
    fixture.transfer(Reason::DateMalformed, "30 February", |it| it.settlement_date = 20_260_230);
    fixture.transfer(Reason::ReferenceMalformed, "36", |it| it.end_to_end_id = "x".repeat(36));
    fixture.transfer(Reason::ReferenceMalformed, "umlaut", |it| it.end_to_end_id = "Ä".to_owned());
    fixture.transfer(Reason::CommitmentMalformed, "31", |it| it.commitment = bytes(31));
    fixture.transfer(Reason::SaltMissing, "none", |it| it.salt = Bytes::new());
    // Where several apply, the lowest number is the answer.
    fixture.transfer(Reason::AmountZero, "much is wrong", |it| {
        (it.amount, it.settlement_date, it.salt) = (0, 1, Bytes::new());
    });
}

fn others(fixture: &mut Fixture) {
    fixture.entry(Reason::AccountIdMalformed, "account", |it| it.account = Bytes::new());
    fixture.entry(Reason::AmountZero, "nothing", |it| it.amount = 0);
    fixture.entry(Reason::UetrMalformed, "short", |it| it.uetr = bytes(3));
    fixture.entry(Reason::DateMalformed, "no date", |it| it.booking_date = 0);
    fixture.entry(Reason::DateMalformed, "value date", |it| it.value_date = 20_261_301);
    fixture
        .entry(Reason::ReferenceMalformed, "reference", |it| it.entry_reference = " x".to_owned());
    fixture.entry(Reason::CommitmentMalformed, "33", |it| it.commitment = bytes(33));
    fixture.entry(Reason::SaltMissing, "15", |it| it.salt = bytes(15));
    fixture.entry(Reason::SideMissing, "no side", |it| it.side = 0);
    fixture.entry(Reason::SideMissing, "a third side", |it| it.side = 3);
    fixture.entry(Reason::PurposeUnknown, "a third purpose", |it| it.purpose = 3);
    fixture.entry(Reason::PurposeUnknown, "a negative one", |it| it.purpose = -1);
    fixture.entry(Reason::SaltMissing, "salt before side", |it| {
        (it.salt, it.side) = (Bytes::new(), 0);
    });
    fixture.statement(Reason::DateMalformed, "no date", |it| it.from_date = 0);
    fixture.statement(Reason::DatesReversed, "backwards", |it| it.to_date = 20_261_122);
    fixture.statement(Reason::DatesReversed, "367 days", |it| it.to_date = 20_271_124);
    fixture.statement(Reason::StatementIdMissing, "no id", |it| it.statement_id.clear());
    fixture.statement(Reason::SaltMissing, "no salt", |it| it.salt = Bytes::new());
    fixture.open(Reason::BicMalformed, "owner", |it| it.owner = "ALPHA".to_owned());
    fixture.open(Reason::NameMalformed, "no name", |it| it.name.clear());
    fixture.open(Reason::NameMalformed, "a space at the end", |it| it.name = "a ".to_owned());
    fixture.open(Reason::AssetMalformed, "chf", |it| it.asset = "chf".to_owned());
}

fn agreements(fixture: &mut Fixture) {
    let nothing = v1::ProposeAgreement { terms: None, accept_until_ms: NOON_MS };
    let nothing = fixture.sign(fixture.plain(Body::ProposeAgreement(Box::new(nothing))));
    fixture.case(Reason::TermsMissing, "no terms", nothing);
    fixture.terms(Reason::BicMalformed, "servicer", |it| it.servicer.clear());
    fixture.terms(Reason::BicMalformed, "owner", |it| it.owner.truncate(8));
    fixture.terms(Reason::PartiesEqual, "alone", |it| it.servicer.clone_from(&it.owner));
    fixture.terms(Reason::AgreementAccountsWrong, "no account", |it| it.accounts.clear());
    fixture.terms(Reason::AgreementAccountsWrong, "twice", |it| {
        it.accounts.push(it.accounts[0].clone());
    });
    fixture.terms(Reason::AgreementAccountsWrong, "65", |it| {
        it.accounts = vec![it.accounts[0].clone(); 65];
    });
    fixture.terms(Reason::AccountIdMalformed, "short", |it| it.accounts[0].account = bytes(15));
    fixture.terms(Reason::SourcesTooFew, "one source", |it| {
        (it.ledger, it.owner_book) = (false, false);
    });
    fixture.terms(Reason::DateMalformed, "never", |it| it.effective_from = 0);
    fixture.terms(Reason::SaltMissing, "no salt", |it| it.salt = Bytes::new());
    fixture.terms(Reason::AgreementIdMalformed, "supersedes", |it| it.supersedes = bytes(17));
    tolerances(fixture);
    terms_and_duties(fixture);
    calendars(fixture);
    sealing_keys(fixture);
    fixture.answer(Reason::AgreementIdMalformed, "no agreement", |it| it.agreement.clear());
    fixture.answer(Reason::AnswerMissing, "no answer", |it| it.answer = 0);
    fixture.answer(Reason::AnswerMissing, "a fourth answer", |it| it.answer = 4);
    fixture.answer(Reason::SaltMissing, "salt before all", |it| {
        *it = v1::AnswerAgreement { salt: bytes(15), ..v1::AnswerAgreement::default() };
    });
}

fn tolerances(fixture: &mut Fixture) {
    let chf = || v1::Tolerance { asset: "CHF".to_owned(), ..v1::Tolerance::default() };
    let tolerance = |it: &mut v1::AgreementTerms| {
        it.tolerances = vec![chf()];
    };
    fixture.terms(Reason::AssetMalformed, "asset", |it| {
        tolerance(it);
        it.tolerances[0].asset.clear();
    });
    fixture.terms(Reason::AmountTooLarge, "absolute", |it| {
        tolerance(it);
        it.tolerances[0].absolute = AMOUNT_MAX + 1;
    });
    fixture.terms(Reason::AmountTooLarge, "rounding", |it| {
        tolerance(it);
        it.tolerances[0].exchange_rounding = u64::MAX;
    });
    fixture.terms(Reason::ToleranceMalformed, "more than all", |it| {
        tolerance(it);
        it.tolerances[0].basis_points = 10_001;
    });
    fixture.terms(Reason::ToleranceMalformed, "CHF twice", |it| it.tolerances = vec![chf(); 2]);
    fixture.terms(Reason::ToleranceMalformed, "33", |it| it.tolerances = vec![chf(); 33]);
}

fn terms_and_duties(fixture: &mut Fixture) {
    let out_of_range = Reason::DeadlineOutOfRange;
    fixture.terms(out_of_range, "window", |it| it.value_date_window = 31);
    fixture.terms(out_of_range, "a year and a day", |it| it.missing_after_days = 251);
    fixture.terms(out_of_range, "minute 0", |it| it.missing_at_minute = 0);
    fixture.terms(out_of_range, "minute 1441", |it| it.missing_at_minute = 1_441);
    let good = v1::Duty {
        category: v1::BreakCategory::Amount.into(),
        answers: v1::Party::Servicer.into(),
        answer_days: 1,
        escalate_days: 0,
    };
    let malformed = Reason::DutyMalformed;
    fixture.terms(malformed, "category", |it| it.duties = vec![v1::Duty { category: 17, ..good }]);
    fixture.terms(malformed, "nobody", |it| it.duties = vec![v1::Duty { answers: 0, ..good }]);
    fixture.terms(malformed, "at once", |it| it.duties = vec![v1::Duty { answer_days: 0, ..good }]);
    fixture.terms(malformed, "late", |it| {
        it.duties = vec![v1::Duty { escalate_days: 251, ..good }];
    });
    fixture.terms(malformed, "one category twice", |it| it.duties = vec![good; 2]);
    fixture.terms(malformed, "18", |it| it.duties = vec![good; 18]);
}

fn calendars(fixture: &mut Fixture) {
    fn calendar(it: &mut v1::AgreementTerms) -> &mut v1::Calendar {
        it.calendar.get_or_insert_default()
    }
    let holiday = |date| v1::Holiday { date };
    let malformed = Reason::CalendarMalformed;
    fixture.terms(malformed, "no calendar", |it| it.calendar = None);
    fixture.terms(malformed, "too far west", |it| calendar(it).utc_offset_minutes = -721);
    fixture.terms(malformed, "too far east", |it| calendar(it).utc_offset_minutes = 841);
    fixture.terms(malformed, "never open", |it| calendar(it).weekend = 0x7f);
    fixture.terms(malformed, "an eighth day", |it| calendar(it).weekend = 0x80);
    fixture.terms(malformed, "a day twice", |it| {
        calendar(it).holidays = vec![holiday(20_261_225); 2];
    });
    fixture.terms(malformed, "401", |it| calendar(it).holidays = vec![holiday(20_261_225); 401]);
    fixture.terms(Reason::DateMalformed, "no day", |it| {
        calendar(it).holidays = vec![holiday(20_261_131)];
    });
    let run_time = |minute| v1::RunTime { minute };
    let malformed = Reason::RunTimesMalformed;
    fixture.terms(malformed, "midnight", |it| it.run_times = vec![run_time(1_440)]);
    fixture.terms(malformed, "twice", |it| it.run_times = vec![run_time(60); 2]);
    fixture.terms(malformed, "25", |it| it.run_times = (0..25).map(run_time).collect());
}

fn sealing_keys(fixture: &mut Fixture) {
    fn keys(it: &mut v1::AgreementTerms, servicer: Bytes, owner: Bytes) {
        (it.servicer_sealing_key, it.owner_sealing_key) = (servicer, owner);
    }
    let malformed = Reason::SealingKeysMalformed;
    fixture.terms(malformed, "originals without keys", |it| it.keep_originals = true);
    fixture.terms(malformed, "keys without originals", |it| keys(it, bytes(32), bytes(32)));
    fixture.terms(malformed, "33 bytes", |it| {
        it.keep_originals = true;
        keys(it, bytes(32), bytes(33));
    });
    fixture.terms(malformed, "zeros", |it| {
        it.keep_originals = true;
        keys(it, Bytes::from_static(&[0; 32]), bytes(32));
    });
}

fn hands(fixture: &mut Fixture) {
    fixture.signed(Reason::SignatureMissing, "unsigned", |it| it.signatures.clear());
    fixture.signed(Reason::SignatureMissing, "signed twice", |it| {
        it.signatures.push(it.signatures[0].clone());
    });
    fixture.signed(Reason::SignatureMissing, "63 bytes", |it| it.signatures[0].value = bytes(63));
    fixture.signed(Reason::SignatureMissing, "no key", |it| it.signatures[0].key_id = Bytes::new());
    fixture.signed(Reason::SignatureInvalid, "garbage", |it| it.signatures[0].value = bytes(64));
    fixture.signed(Reason::SignatureInvalid, "other bytes", |it| {
        let mut message = v1::Instruction::decode(it.instruction.clone()).unwrap();
        message.valid_until_ms += 1;
        it.instruction = message.encode_to_vec().into();
    });
    let chain_id = fixture.chain.consortium.chain_id();
    let draft = || {
        Draft::new(
            id_of("hand", NOON_MS),
            &bic_of("Alpha"),
            NOON_MS + HOUR_MS,
            Body::Transfer(good_transfer()),
        )
    };
    let foreign = sign_with(fixture.signer(), &Hash::of(b"another chain"), draft());
    fixture.case(Reason::SignatureInvalid, "for another chain", foreign);
    let stranger = sign_with(&ed25519("stranger"), &chain_id, draft());
    fixture.case(Reason::KeyUnknown, "by a stranger", stranger);
    let beta = sign_with(&fixture.chain.consortium.signers[&bic_of("Beta")], &chain_id, draft());
    fixture.case(Reason::KeyUnknown, "with another member's key", beta);
    // Nodes are numbered in the order of the BICs: Alpha's is the first.
    let node = sign_with(&fixture.chain.consortium.nodes[&1], &chain_id, draft());
    fixture.case(Reason::KeyPurposeWrong, "with the node's key", node);
    fixture.instruction(Reason::InstitutionUnknown, "no member", |it| {
        it.institution = bic_of("Delta").to_string();
    });
    let central = bic_of("Central").to_string();
    fixture.open(Reason::SignerNotServicer, "another's account", |it| {
        it.servicer.clone_from(&central);
    });
}

fn all_cases() -> Fixture {
    let mut fixture = Fixture::new();
    containers(&mut fixture);
    batches(&mut fixture);
    transfers(&mut fixture);
    others(&mut fixture);
    agreements(&mut fixture);
    reconciliation::cases(&mut fixture);
    hands(&mut fixture);
    fixture
}

#[test]
fn each_is_refused_for_its_reason_and_leaves_nothing() {
    let Fixture { mut chain, cases } = all_cases();
    let instructions: Vec<Bytes> = cases.iter().map(|(_, _, bytes)| bytes.clone()).collect();
    let (block, decisions) = chain.execute(NOON_MS + 1_000, instructions);
    for ((reason, what, _), decision) in cases.iter().zip(&decisions) {
        assert_eq!(*decision, Decision::Refused(*reason), "{what}");
        assert!(!reason.burns_id());
    }
    assert!(block.leaves.is_empty() && block.ids.is_empty() && block.movements.is_empty());
    assert_eq!(block.header.leaf_count, 0);
    chain.replay().unwrap();
}

#[test]
fn every_reason_below_300_has_a_case() {
    let mut counts: BTreeMap<Reason, usize> = BTreeMap::new();
    for (reason, ..) in all_cases().cases {
        *counts.entry(reason).or_default() += 1;
    }
    for reason in Reason::ALL.iter().filter(|reason| reason.code() < 300) {
        let covered = counts.contains_key(reason);
        assert_eq!(covered, *reason != NOT_THE_LEDGERS, "{}", reason.name());
    }
}

/// Whoever knows an id cannot make a verdict of it with a bad signature, nor spoil it.
#[test]
fn a_bad_signature_burns_nothing() {
    let mut fixture = Fixture::new();
    fixture.open(Reason::SignatureInvalid, "good", |_| {});
    let good = fixture.cases.pop().unwrap().2;
    let mut bad = v1::SignedInstruction::decode(good.clone()).unwrap();
    bad.signatures[0].value = Bytes::copy_from_slice(
        &[bytes_of("a"), bytes_of("b"), bytes_of("c"), bytes_of("d")].concat(),
    );
    let bad: Bytes = bad.encode_to_vec().into();
    let instructions = vec![bad.clone(), good.clone(), good, bad];
    let (block, decisions) = fixture.chain.execute(NOON_MS + 1_000, instructions);
    let position = block.ids[0].position;
    assert_eq!(
        decisions,
        [
            Decision::Refused(Reason::SignatureInvalid),
            Decision::Decided(position),
            Decision::Replayed(position),
            Decision::Replayed(position),
        ]
    );
    assert_eq!(block.leaves.len(), 1);
}
