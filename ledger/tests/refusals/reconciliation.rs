//! Decisions on items, steps of the work on breaks and signed positions that are malformed.

use bytes::Bytes;
use counterfoil_ledger::reason::Reason;
use counterfoil_proto::v1::{self, instruction::Body, work_break::Action};

use super::{Fixture, account, bytes, good_transfer};

fn good_resolution() -> v1::ProposeResolution {
    v1::ProposeResolution {
        kind: v1::ResolutionKind::Return.into(),
        amount: 100,
        debit_account: Bytes::copy_from_slice(account("one").as_bytes()),
        credit_account: Bytes::copy_from_slice(account("two").as_bytes()),
        commitment: Bytes::new(),
    }
}

impl Fixture {
    /// Changes a good decision on items.
    fn decision(
        &mut self,
        reason: Reason,
        what: &'static str,
        change: impl Fn(&mut v1::DecideMatch),
    ) {
        let item = |number| v1::ItemNumber { number };
        let mut message = v1::DecideMatch {
            account: Bytes::copy_from_slice(account("one").as_bytes()),
            comparison: v1::Comparison::LedgerOwner.into(),
            first: vec![item(1), item(3)],
            second: vec![item(2)],
            decision: v1::MatchDecision::Confirm.into(),
            commitment: Bytes::new(),
            salt: bytes(16),
        };
        change(&mut message);
        let draft = self.plain(Body::DecideMatch(message));
        self.case(reason, what, self.sign(draft));
    }

    /// A step of the work on a break, changed.
    fn step(
        &mut self,
        reason: Reason,
        what: &'static str,
        action: Action,
        change: impl Fn(&mut v1::WorkBreak),
    ) {
        let mut message = v1::WorkBreak {
            account: Bytes::copy_from_slice(account("one").as_bytes()),
            number: 1,
            salt: bytes(16),
            action: Some(action),
        };
        change(&mut message);
        let draft = self.plain(Body::WorkBreak(Box::new(message)));
        self.case(reason, what, self.sign(draft));
    }

    fn resolution(
        &mut self,
        reason: Reason,
        what: &'static str,
        change: impl Fn(&mut v1::ProposeResolution),
    ) {
        let mut offer = good_resolution();
        change(&mut offer);
        self.step(reason, what, Action::Propose(offer.clone()), |_| {});
        let agree = v1::AgreeResolution { offer: Some(offer), transfer: None };
        self.step(reason, what, Action::Agree(agree), |_| {});
    }

    fn position(
        &mut self,
        reason: Reason,
        what: &'static str,
        change: impl Fn(&mut v1::SignPosition),
    ) {
        let mut message = v1::SignPosition {
            account: Bytes::copy_from_slice(account("one").as_bytes()),
            date: 20_261_123,
            digest: bytes(32),
            salt: bytes(16),
            ..v1::SignPosition::default()
        };
        change(&mut message);
        let draft = self.plain(Body::SignPosition(message));
        self.case(reason, what, self.sign(draft));
    }
}

/// Each malformed decision, step and position.
pub fn cases(fixture: &mut Fixture) {
    let item = |number| v1::ItemNumber { number };
    let run = v1::RunMatching { account: bytes(15), salt: bytes(16) };
    let run = fixture.sign(fixture.plain(Body::RunMatching(run)));
    fixture.case(Reason::AccountIdMalformed, "a run of no account", run);
    fixture.decision(Reason::ComparisonMissing, "of nothing", |it| it.comparison = 0);
    fixture.decision(Reason::ComparisonMissing, "a fourth", |it| it.comparison = 4);
    fixture.decision(Reason::DecisionMissing, "none", |it| it.decision = 0);
    fixture.decision(Reason::SaltMissing, "no salt", |it| it.salt.clear());
    fixture.decision(Reason::CommitmentMalformed, "short", |it| it.commitment = bytes(31));
    let malformed = Reason::ItemNumbersMalformed;
    fixture.decision(malformed, "zero", |it| it.second[0].number = 0);
    fixture.decision(malformed, "descending", |it| it.first.reverse());
    fixture.decision(malformed, "twice", |it| it.first[1].number = 1);
    fixture.decision(malformed, "65", |it| it.first = (1..=65).map(item).collect());
    fixture.decision(malformed, "one alone", |it| {
        (it.first, it.second) = (vec![item(1)], Vec::new());
    });
    position_and_work(fixture);
}

fn position_and_work(fixture: &mut Fixture) {
    fixture.position(Reason::DateMalformed, "no date", |it| it.date = 0);
    fixture.position(Reason::CommitmentMalformed, "no digest", |it| it.digest.clear());
    fixture.position(Reason::SaltMissing, "no salt", |it| it.salt.clear());
    let reopen = || Action::Reopen(v1::ReopenBreak::default());
    let numbers = Reason::ItemNumbersMalformed;
    fixture.step(numbers, "break 0", reopen(), |it| it.number = 0);
    fixture.step(Reason::BodyMissing, "no step", reopen(), |it| it.action = None);
    let nobody = Action::Assign(v1::AssignBreak { owner: 0 });
    fixture.step(Reason::PartyMissing, "to nobody", nobody, |_| {});
    let say = |code: &str| {
        Action::Say(v1::SayOfBreak { code: code.to_owned(), ..v1::SayOfBreak::default() })
    };
    for code in ["", "ipay", "IPAYS"] {
        fixture.step(Reason::AnswerCodeMalformed, "no code", say(code), |_| {});
    }
    let unspoken = Action::Decline(v1::DeclineResolution { commitment: bytes(1) });
    fixture.step(Reason::CommitmentMalformed, "short", unspoken, |_| {});
    let malformed = Reason::ResolutionMalformed;
    fixture.resolution(malformed, "no kind", |it| it.kind = 0);
    fixture.resolution(malformed, "an eighth kind", |it| it.kind = 8);
    fixture.resolution(malformed, "no action that pays", |it| {
        it.kind = v1::ResolutionKind::NoAction.into();
    });
    fixture.resolution(Reason::AmountZero, "nothing", |it| it.amount = 0);
    fixture.resolution(Reason::SameAccount, "to itself", |it| {
        it.credit_account = it.debit_account.clone();
    });
    let other = v1::Transfer { amount: 101, ..good_transfer() };
    let agree = v1::AgreeResolution { offer: Some(good_resolution()), transfer: Some(other) };
    fixture.step(malformed, "another transfer", Action::Agree(agree), |_| {});
    let nothing = Action::Agree(v1::AgreeResolution::default());
    fixture.step(malformed, "no offer", nothing, |_| {});
}
