use counterfoil_proto::v1;

use super::{
    effect::{Effect, Kind},
    finding::{Class, Says},
    orders::{DecideMatch, Decision, Resolution, ResolutionKind, SignPosition, View},
    work::{Agreed, Hand, STEPS_MAX, WorkState},
    *,
};
use crate::{
    account::AccountId,
    agreement::Party,
    block::Position,
    matching::{
        item::{Comparison, Id, Place},
        pair::Category,
    },
};

mod astray;
mod closing;
mod correct;
mod figures;
mod look;
mod positions;
mod statements;

const DAY_MS: u64 = 86_400_000;

fn bic(name: &str) -> Bic {
    Bic::parse(name).unwrap()
}

fn date(day: u32) -> Date {
    Date::from_yyyymmdd(20_261_100 + day).unwrap()
}

/// 23 November 2026, a Monday, so many hours after midnight.
fn hour(hours: u64) -> u64 {
    20_780 * DAY_MS + hours * 3_600_000
}

impl Sheet {
    /// What follows from the records, and is not written.
    fn assert_same(&self, again: &Sheet) {
        assert_eq!(self.stands, again.stands);
        assert_eq!(self.proposed, again.proposed);
        assert_eq!(self.open, again.open);
        assert_eq!(self.unclear, again.unclear);
        assert_eq!(self.deadlines, again.deadlines);
        assert_eq!((&self.signed, &self.undecided), (&again.signed, &again.undecided));
        assert_eq!(self.accepted, again.accepted);
        assert_eq!(self.past, again.past);
        assert_eq!((&self.closing, &self.closed), (&again.closing, &again.closed));
        assert_eq!((self.unsettled, again.unsettled), (None, None));
        for (source, book) in &self.books {
            let ever = |number| Date::from_day_number(number);
            let numbers = |book: &book::Book| -> Vec<u64> {
                book.numbers_between(ever(0), ever(Date::LAST_DAY)).collect()
            };
            assert_eq!(book.count(), again.books[source].count());
            assert_eq!(numbers(book), numbers(&again.books[source]));
        }
    }
}

/// A ledger with an account and another one beside it, their agreement, and what storage would have.
struct Scene {
    /// On which everything happens.
    account: Account,
    other: Account,
    terms: Terms,
    all: Reconciliation,
    stored: BTreeMap<Vec<u8>, Vec<u8>>,
    time_ms: u64,
    height: u64,
    postings: u64,
}

impl Scene {
    fn of(sources: [bool; 3]) -> Scene {
        let (servicer, owner) = (bic("SETLCHZZXXX"), bic("ALPSCHZZXXX"));
        let account = |ordinal, name: &str| Account {
            ordinal,
            id: AccountId::of(&servicer, &owner, "CHF", name),
            servicer,
            owner,
            asset: AssetCode::parse("CHF").unwrap(),
            name: name.to_owned(),
            balance: 0,
            posting_count: 0,
            head: Hash::ZERO,
        };
        let (account, other) = (account(3, "S"), account(4, "T"));
        let accounts = [&account, &other]
            .map(|account| v1::AgreementAccount { account: account.id.as_bytes().to_vec().into() });
        let tolerance = v1::Tolerance { asset: "CHF".into(), absolute: 5, ..Default::default() };
        let terms = v1::AgreementTerms {
            servicer: servicer.as_str().into(),
            owner: owner.as_str().into(),
            accounts: accounts.into(),
            ledger: sources[0],
            owner_book: sources[1],
            servicer_book: sources[2],
            rule_set: 1,
            effective_from: 20_261_101,
            tolerances: vec![tolerance],
            value_date_window: 1,
            missing_after_days: 1,
            missing_at_minute: 18 * 60,
            calendar: Some(v1::Calendar { weekend: 0b110_0000, ..Default::default() }),
            salt: vec![7; 16].into(),
            ..Default::default()
        };
        let terms = Terms::of(&terms).unwrap();
        Scene {
            account,
            other,
            terms,
            all: Reconciliation::default(),
            stored: BTreeMap::new(),
            time_ms: hour(9),
            height: 1,
            postings: 0,
        }
    }

    /// Does something in a block of its own, and sees to it that a restart would change nothing.
    fn act<T>(&mut self, act: impl FnOnce(&mut Reconciliation, Governed<'_>, Moment) -> T) -> T {
        let now = Moment { at: Position { height: self.height, leaf: 0 }, time_ms: self.time_ms };
        let mut all = vec![self.account.clone(); 5];
        for account in [&self.account, &self.other] {
            all[usize::try_from(account.ordinal).unwrap()] = account.clone();
        }
        let ordinals = all.iter().map(|it| (it.id, it.ordinal)).collect();
        let accounts = Accounts { all: &all, ordinals: &ordinals };
        let governed = Governed { account: &self.account, terms: &self.terms, accounts };
        let done = act(&mut self.all, governed, now);
        self.stored.extend(self.all.take_records());
        self.stored.retain(|_, value| !value.is_empty());
        self.height += 1;
        self.time_ms += 1_000;
        let mut restored = Reconciliation::restore(self.stored.clone(), &all).unwrap();
        assert_eq!(restored.due, self.all.due);
        assert_eq!(restored.missing, self.all.missing);
        for (sheet, again) in self.all.sheets.values().zip(restored.sheets.values()) {
            sheet.assert_same(again);
        }
        restored.sheets.values_mut().for_each(|sheet| sheet.touch_all());
        restored.touched.extend(restored.sheets.keys());
        let mut again: BTreeMap<_, _> = restored.take_records().into_iter().collect();
        again.extend(self.archived());
        assert_eq!(again, self.stored);
        done
    }

    /// What storage has that a start does not read.
    fn archived(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let archived = self.stored.iter().filter(|(key, _)| archive::is_archived(key));
        archived.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn post(&mut self, uetr: u8, amount: u64) -> Vec<Effect> {
        self.post_on(uetr, amount, date(23))
    }

    fn post_on(&mut self, uetr: u8, amount: u64, date: Date) -> Vec<Effect> {
        self.post_for(uetr, amount, date, None)
    }

    /// Posts what ends a break.
    fn post_for(
        &mut self,
        uetr: u8,
        amount: u64,
        date: Date,
        corrects: Option<u64>,
    ) -> Vec<Effect> {
        self.postings += 1;
        self.account.balance -= i128::from(amount);
        let posting = Posting {
            number: self.postings,
            side: Side::Debit,
            amount,
            date,
            uetr: Uetr::from_random([uetr; 16]),
            end_to_end_id: "",
            counterparty: bic("BRNECHZZXXX"),
            corrects,
        };
        let effects = self.act(|all, governed, now| all.posting(governed, &posting, &[1; 16], now));
        read(&effects)
    }

    fn book(&mut self, source: Source, uetr: u8, amount: u64) -> Vec<Effect> {
        let entry = self.entry(uetr, amount, [date(23); 2]);
        self.record(source, &entry)
    }

    fn entry(&self, uetr: u8, amount: u64, [booking_date, date]: [Date; 2]) -> BookEntry {
        BookEntry {
            side: Side::Debit,
            amount,
            booking_date,
            date,
            entry_reference: format!("R{uetr}-{}", self.height),
            uetr: Some(Uetr::from_random([uetr; 16])),
            end_to_end_id: String::new(),
            transaction_id: String::new(),
            instruction_id: String::new(),
            group_id: String::new(),
            counterparty: None,
            reversal: false,
            returned: false,
            charges: 0,
            exchanged: false,
            asset: None,
            expected: false,
            purpose: None,
            salt: [2; 16],
        }
    }

    fn record(&mut self, source: Source, entry: &BookEntry) -> Vec<Effect> {
        let hash = Hash::of(entry.entry_reference.as_bytes());
        let effects =
            self.act(|all, governed, now| all.entry(governed, source, (entry, hash), now));
        read(&effects)
    }

    fn state(&mut self, source: Source, opening: i64, closing: i64) -> Vec<Effect> {
        self.state_between(source, [date(23); 2], [opening, closing])
    }

    fn state_between(
        &mut self,
        source: Source,
        [from, to]: [Date; 2],
        [opening, closing]: [i64; 2],
    ) -> Vec<Effect> {
        let statement = Statement {
            account: self.account.id,
            id: format!("ST{}", self.height),
            from,
            to,
            opening,
            closing,
            sequence: 0,
            original: Hash::ZERO,
            salt: [3; 16],
        };
        let effects = self
            .act(|all, governed, now| all.statement(governed, source, &statement, now).unwrap());
        read(&effects)
    }

    fn due(&mut self, time_ms: u64) -> Vec<Effect> {
        self.time_ms = time_ms;
        let ordinal = self.account.ordinal;
        let effects = self.act(|all, governed, now| {
            assert_eq!(all.due_account(now.time_ms), Some(ordinal));
            all.do_due(ordinal, Some(governed), &mut 100, now)
        });
        read(&effects)
    }

    fn sheet(&self) -> &Sheet {
        self.all.sheet(self.account.ordinal).unwrap()
    }

    fn open_breaks(&self) -> Vec<(u64, Category)> {
        let open = self.sheet().findings(Class::Break).filter(|it| it.closed_at.is_none());
        open.map(|it| match it.says {
            Says::Break { category } => (it.number, category),
            _ => unreachable!("it is a break"),
        })
        .collect()
    }

    fn decide(
        &mut self,
        party: Party,
        decision: Decision,
        items: [Vec<u64>; 2],
    ) -> Result<Vec<Effect>, Reason> {
        let comparison = *self.sheet().desks.keys().next().unwrap();
        let account = self.account.id;
        let order = DecideMatch { account, comparison, items, decision, salt: [4; 16] };
        self.act(|all, governed, now| all.decide(governed, &order, party, now))
            .map(|effects| read(&effects))
    }

    fn sign(&mut self, party: Party, view: View) -> Result<Vec<Effect>, Reason> {
        self.sign_on(party, view, date(23))
    }

    fn sign_on(&mut self, party: Party, view: View, date: Date) -> Result<Vec<Effect>, Reason> {
        let order = SignPosition { account: self.account.id, date, view, salt: [5; 16] };
        self.act(|all, governed, now| all.sign_position(governed, &order, party, now))
            .map(|effects| read(&effects))
    }

    /// Ends a break by the word of both parties, in one step.
    fn end_break(&mut self, number: u64) -> Result<Vec<Effect>, Reason> {
        let resolution =
            Resolution { kind: ResolutionKind::NoAction, transfer: None, commitment: Hash::ZERO };
        let by = Hand { party: Party::Owner, key_id: Hash::ZERO };
        let order = (number, Party::Owner, &[6; 16]);
        let ended = self.act(|all, governed, now| {
            all.work(governed, order, now, |work| {
                work.propose(by, resolution)?;
                work.agree(Agreed::Ended);
                Ok(())
            })
        });
        ended.map(|effects| read(&effects))
    }

    fn view(&self, source: Source, opening: i64) -> View {
        let (day, digest) = self.sheet().book(source).unwrap().day(date(23));
        View {
            opening,
            credit_count: day.credit_count,
            credits: u64::try_from(day.credits).unwrap(),
            debit_count: day.debit_count,
            debits: u64::try_from(day.debits).unwrap(),
            closing: opening + i64::try_from(day.movement()).unwrap(),
            digest,
        }
    }
}

fn read(bytes: &[u8]) -> Vec<Effect> {
    effect::decode(bytes).unwrap().into_iter().flat_map(|(_, effects)| effects).collect()
}

fn kinds(effects: &[Effect]) -> Vec<Kind> {
    effects.iter().map(|effect| effect.kind).collect()
}

const LEDGER_OWNER: [bool; 3] = [true, true, false];
const BOOKS: [bool; 3] = [false, true, true];

#[test]
fn a_posting_and_an_entry_meet_whichever_comes_first() {
    let mut scene = Scene::of(LEDGER_OWNER);
    assert!(scene.post(1, 500).is_empty());
    let met = scene.book(Source::OwnerBook, 1, 500);
    assert_eq!(kinds(&met), [Kind::Recorded, Kind::Matched]);
    assert_eq!(met[1].items, [vec![1], vec![1]]);
    assert_eq!(kinds(&scene.book(Source::OwnerBook, 2, 700)), [Kind::Recorded]);
    assert_eq!(kinds(&scene.post(2, 700)), [Kind::Matched]);
    // Within the tolerance, and beyond it.
    scene.book(Source::OwnerBook, 3, 100);
    assert_eq!(kinds(&scene.post(3, 105)), [Kind::Matched]);
    scene.book(Source::OwnerBook, 4, 100);
    assert_eq!(kinds(&scene.post(4, 106)), [Kind::BreakOpened]);
    assert_eq!(scene.open_breaks(), [(1, Category::Amount)]);
    // The right entry comes late: the wrong one has no counterpart any more.
    let healed = scene.book(Source::OwnerBook, 4, 106);
    assert_eq!(kinds(&healed), [Kind::Recorded, Kind::BreakHealed, Kind::Matched]);
    assert_eq!(scene.open_breaks(), []);
    let work = scene.sheet().work(1).unwrap();
    assert_eq!(work.state, WorkState::Healed);
}

#[test]
fn what_is_without_a_counterpart_is_late_then_missing_and_heals() {
    let mut scene = Scene::of(LEDGER_OWNER);
    scene.post(1, 500);
    scene.post(2, 600);
    scene.book(Source::OwnerBook, 1, 500);
    scene.book(Source::OwnerBook, 9, 900);
    assert_eq!(scene.open_breaks(), []);
    // The book adds up to what it says, and to nothing of the ledger.
    scene.state(Source::OwnerBook, 0, -1_400);
    assert_eq!(scene.open_breaks(), [(1, Category::Timing), (2, Category::Timing)]);
    let deadline = hour(24 + 18);
    assert_eq!(scene.all.due_ms(), Some(deadline));
    assert_eq!(scene.all.due_account(deadline - 1), None);
    let due = scene.due(deadline);
    assert_eq!(kinds(&due), [Kind::BreakChanged, Kind::BreakChanged]);
    let found = [(1, Category::MissingSecond), (2, Category::MissingFirst)];
    assert_eq!(scene.open_breaks(), found);
    assert_eq!(scene.all.due_ms(), None);
    assert_eq!(kinds(&scene.post(9, 900)), [Kind::BreakHealed, Kind::Matched]);
    let healed = scene.book(Source::OwnerBook, 2, 600);
    assert_eq!(
        kinds(&healed),
        // The statement said that the book was complete, and now it does not add up.
        [Kind::Recorded, Kind::BreakHealed, Kind::Matched]
    );
    assert_eq!(scene.open_breaks(), []);
}

#[test]
fn without_a_statement_the_deadline_decides() {
    let mut scene = Scene::of(LEDGER_OWNER);
    scene.post(1, 500);
    let due = scene.due(hour(24 + 18));
    assert_eq!(kinds(&due), [Kind::BreakOpened]);
    assert_eq!(scene.open_breaks(), [(1, Category::MissingSecond)]);
    // What is recorded later than its deadline has until the end of a business day.
    scene.book(Source::OwnerBook, 2, 500);
    assert_eq!(scene.open_breaks(), [(1, Category::MissingSecond)]);
    assert_eq!(scene.all.due_ms(), Some(hour(48 + 18)));
}

#[test]
fn a_statement_holds_together_or_is_a_break() {
    let mut scene = Scene::of(LEDGER_OWNER);
    scene.book(Source::OwnerBook, 1, 500);
    scene.state(Source::OwnerBook, 1_000, 400);
    assert!(scene.open_breaks().contains(&(1, Category::StatementUnbalanced)));
    // Another entry makes it whole.
    let healed = scene.book(Source::OwnerBook, 2, 100);
    assert!(kinds(&healed).contains(&Kind::BreakHealed));
    let open = scene.open_breaks();
    assert!(open.iter().all(|(_, category)| *category != Category::StatementUnbalanced));
}

#[test]
fn a_book_has_it_twice() {
    let mut scene = Scene::of(LEDGER_OWNER);
    scene.post(1, 500);
    scene.book(Source::OwnerBook, 1, 500);
    scene.book(Source::OwnerBook, 1, 500);
    assert_eq!(scene.open_breaks(), [(1, Category::Duplicate)]);
}

#[test]
fn two_books_need_both_banks_for_a_match() {
    let mut scene = Scene::of(BOOKS);
    scene.book(Source::OwnerBook, 1, 500);
    scene.book(Source::ServicerBook, 2, 500);
    let items = || [vec![1], vec![1]];
    let wrong = scene.decide(Party::Owner, Decision::Confirm, [vec![1], vec![2]]);
    assert_eq!(wrong, Err(Reason::ItemUnknown));
    let first = scene.decide(Party::Owner, Decision::Confirm, items()).unwrap();
    assert_eq!(kinds(&first), [Kind::Proposed]);
    assert_eq!(scene.decide(Party::Owner, Decision::Confirm, items()).unwrap(), []);
    let both = scene.decide(Party::Servicer, Decision::Confirm, items()).unwrap();
    assert_eq!(kinds(&both), [Kind::ProposalClosed, Kind::Matched]);
    assert_eq!(
        scene.decide(Party::Owner, Decision::Confirm, items()),
        Err(Reason::ItemUnknown),
        "it is a match already"
    );
    // What is confirmed no later item changes.
    assert_eq!(kinds(&scene.book(Source::ServicerBook, 1, 500)), [Kind::Recorded]);
    let undone = scene.decide(Party::Servicer, Decision::Undo, items()).unwrap();
    assert_eq!(kinds(&undone), [Kind::Unmatched, Kind::Matched]);
    assert_eq!(undone[1].items, [vec![1], vec![2]]);
}

#[test]
fn what_was_refused_does_not_meet_again() {
    let mut scene = Scene::of(BOOKS);
    scene.book(Source::OwnerBook, 1, 500);
    scene.book(Source::ServicerBook, 1, 500);
    let items = || [vec![1], vec![1]];
    let undone = scene.decide(Party::Owner, Decision::Undo, items()).unwrap();
    assert_eq!(kinds(&undone), [Kind::Unmatched]);
    let id = Id { place: Place::First, number: 1 };
    assert!(!scene.sheet().stands.contains_key(&(Comparison::OwnerServicer, id)));
}

#[test]
fn a_position_is_agreed_when_both_are_right_and_nothing_is_open() {
    let mut scene = Scene::of(BOOKS);
    scene.book(Source::OwnerBook, 1, 500);
    scene.book(Source::ServicerBook, 1, 500);
    scene.book(Source::OwnerBook, 2, 300);
    let (own, other) = (scene.view(Source::OwnerBook, 0), scene.view(Source::ServicerBook, 0));
    let wrong = View { debits: own.debits + 1, ..own };
    assert_eq!(scene.sign(Party::Owner, wrong), Err(Reason::PositionWrong));
    assert_eq!(scene.sign(Party::Owner, other), Err(Reason::PositionWrong));
    assert_eq!(kinds(&scene.sign(Party::Owner, own).unwrap()), [Kind::PositionSigned]);
    let signed = scene.sign(Party::Servicer, other).unwrap();
    assert_eq!(kinds(&signed), [Kind::PositionSigned, Kind::BreakOpened]);
    assert_eq!(signed[1].items, [vec![2], vec![]], "the differing entry is named");
    // What was missing comes: the servicer's view is of yesterday's book.
    let came = scene.book(Source::ServicerBook, 2, 300);
    let expected = [Kind::Recorded, Kind::PositionOutdated, Kind::Matched];
    assert_eq!(kinds(&came), expected);
    let anew = scene.view(Source::ServicerBook, 0);
    let agreed = scene.sign(Party::Servicer, anew).unwrap();
    let expected = [Kind::PositionSigned, Kind::PositionAgreed, Kind::BreakHealed];
    assert_eq!(kinds(&agreed), expected);
    assert!(scene.sheet().position(date(23)).unwrap().agreed_at.is_some());
}

#[test]
fn what_both_have_signed_ends_a_break() {
    let mut scene = Scene::of(BOOKS);
    scene.book(Source::OwnerBook, 1, 500);
    scene.book(Source::ServicerBook, 1, 900);
    assert_eq!(scene.open_breaks(), [(1, Category::Amount)]);
    let resolution =
        Resolution { kind: ResolutionKind::NoAction, transfer: None, commitment: Hash::ZERO };
    let hand = |party| Hand { party, key_id: Hash::ZERO };
    let step = |scene: &mut Scene, step: &dyn Fn(&mut Work) -> Result<(), Reason>| {
        let by = (1, Party::Owner, &[6; 16]);
        scene.act(|all, governed, now| all.work(governed, by, now, step))
    };
    step(&mut scene, &|work| work.assign(Party::Owner)).unwrap();
    step(&mut scene, &|work| work.say(Party::Owner)).unwrap();
    step(&mut scene, &|work| work.propose(hand(Party::Owner), resolution.clone())).unwrap();
    let work = scene.all.work_of(3, 1).unwrap();
    let judge = |party| work.judge_agreement(hand(party), &resolution, None, false);
    assert_eq!(judge(Party::Owner), Err(Reason::OwnResolution));
    assert_eq!(judge(Party::Servicer), Ok(Agreed::Ended));
    step(&mut scene, &|work| {
        work.agree(Agreed::Ended);
        Ok(())
    })
    .unwrap();
    assert_eq!(scene.open_breaks(), []);
    assert_eq!(scene.sheet().work(1).unwrap().state, WorkState::Resolved);
    // Nothing that comes later changes what both have signed.
    scene.book(Source::ServicerBook, 1, 500);
    assert_eq!(scene.sheet().work(1).unwrap().state, WorkState::Resolved);
    step(&mut scene, &|work| work.reopen(Party::Servicer)).unwrap();
    assert_eq!(scene.open_breaks(), [(1, Category::Amount)]);
}

#[test]
fn a_conversation_has_an_end_and_neither_party_can_use_up_the_others_part() {
    let mut scene = Scene::of(BOOKS);
    scene.book(Source::OwnerBook, 1, 500);
    scene.book(Source::ServicerBook, 1, 900);
    let resolution =
        Resolution { kind: ResolutionKind::NoAction, transfer: None, commitment: Hash::ZERO };
    let hand = |party| Hand { party, key_id: Hash::ZERO };
    let step = |scene: &mut Scene, by, step: &dyn Fn(&mut Work) -> Result<(), Reason>| {
        scene.act(|all, governed, now| all.work(governed, (1, by, &[6; 16]), now, step))
    };
    for _ in 0..STEPS_MAX / 2 {
        step(&mut scene, Party::Owner, &|work| work.say(Party::Owner)).unwrap();
    }
    let before = scene.sheet().work(1).unwrap().clone();
    let refused = step(&mut scene, Party::Owner, &|work| work.assign(Party::Owner));
    assert_eq!(refused, Err(Reason::BreakConversationFull));
    assert_eq!(scene.sheet().work(1), Some(&before), "what is refused changes nothing");
    let offer = |work: &mut Work| work.propose(hand(Party::Servicer), resolution.clone());
    step(&mut scene, Party::Servicer, &offer).unwrap();
    let refused = step(&mut scene, Party::Owner, &|work| work.decline(Party::Owner));
    assert_eq!(refused, Err(Reason::BreakConversationFull));
    step(&mut scene, Party::Owner, &|work| {
        work.agree(Agreed::Ended);
        Ok(())
    })
    .unwrap();
    let work = scene.sheet().work(1).unwrap();
    assert_eq!((work.state, work.step_counts), (WorkState::Resolved, [1, 129]));
    assert_eq!(work.steps.len(), 130);
    assert_eq!(work.steps[0], Position { height: 3, leaf: 0 });
}
