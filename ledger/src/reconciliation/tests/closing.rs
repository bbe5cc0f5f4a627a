//! What closes, what stays, and that closing changes nothing of what stays.

use super::{
    super::{
        archive::{Archive, ClosedFinding, ClosedItem, Unread},
        day::viewed,
        figures::Report,
    },
    figures::Draw,
    *,
};

/// What storage says of a key.
type Read = Result<Option<Vec<u8>>, ()>;

impl Scene {
    fn archive(&self) -> Archive<impl Fn(&[u8]) -> Read + '_> {
        Archive::new(self.account.ordinal, |key: &[u8]| Ok(self.stored.get(key).cloned()))
    }

    fn closed_item(&self, source: Source, number: u64) -> Option<ClosedItem> {
        self.archive().item(source, number).unwrap()
    }

    fn closed_finding(&self, class: Class, number: u64) -> Option<ClosedFinding> {
        self.archive().finding(class, number).unwrap()
    }

    /// Both sign a day as the ledger has it. The opening is what the ledger tells, or nothing.
    fn agree_on(&mut self, day: Date) -> Vec<Effect> {
        let mut effects = Vec::new();
        for party in [Party::Servicer, Party::Owner] {
            let source = viewed(party, &self.terms);
            let figures = self.sheet().figures(&self.account, source, day);
            let before = self.sheet().book(source).map_or(0, |book| book.movement_before(day));
            let opening = i64::try_from(before).unwrap();
            effects.extend(self.sign_on(party, figures.view(opening).unwrap(), day).unwrap());
        }
        effects
    }

    fn pair(&mut self, uetr: u8, amount: u64, day: Date) {
        self.post_on(uetr, amount, day);
        let entry = self.entry(uetr, amount, [day; 2]);
        self.record(Source::OwnerBook, &entry);
    }

    fn is_agreed_on(&self, day: Date) -> bool {
        self.sheet().position(day).is_some_and(|it| it.agreed_at.is_some())
    }

    /// Agrees on the day that lies so many business days later, and does what is due then.
    fn agree_later(&mut self, day: Date, business_days: u32) -> Vec<Effect> {
        let newest = self.terms.calendar.add(day, business_days);
        self.time_ms = self.time_ms.max(self.terms.calendar.instant(newest, 12 * 60));
        self.agree_on(newest);
        self.close_all()
    }

    fn close_all(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        while self.all.due_account(self.time_ms).is_some() {
            effects.extend(self.due(self.time_ms));
        }
        effects
    }

    fn restart(&mut self) {
        let accounts = vec![self.account.clone(); 4];
        self.all = Reconciliation::restore(self.stored.clone(), &accounts).unwrap();
    }

    /// A scene whose opening balance the ledger does not tell otherwise than its postings.
    fn opened(sources: [bool; 3]) -> Scene {
        let mut scene = Scene::of(sources);
        scene.terms.missing_after_days = 1;
        scene
    }
}

const MINUTE_MS: u64 = 60_000;

#[test]
fn a_day_that_is_agreed_and_old_leaves_memory_and_is_still_told() {
    let mut scene = Scene::opened(LEDGER_OWNER);
    let day = date(23);
    scene.pair(1, 500, day);
    scene.pair(2, 700, day);
    scene.agree_on(day);
    assert!(scene.is_agreed_on(day));
    let report =
        |scene: &Scene| scene.sheet().report(&scene.account, Comparison::LedgerOwner, (day, day));
    let before = report(&scene);
    scene.agree_later(day, 9);
    assert_eq!(scene.sheet().items.len(), 4, "a day too early");
    let done = scene.agree_later(day, 10);
    assert_eq!(kinds(&done), [Kind::DaysClosed]);
    assert_eq!(done[0].number, u64::from(day.yyyymmdd()));
    let sheet = scene.sheet();
    assert!(sheet.items.is_empty() && sheet.findings.is_empty() && sheet.stands.is_empty());
    assert!(sheet.desks.values().all(|desk| desk.standings().next().is_none()));
    assert_eq!(sheet.book(Source::Ledger).unwrap().count(), 2);
    assert_eq!(sheet.first_position().unwrap().height, 1);
    assert_eq!(report(&scene), before);
    assert!(sheet.is_closed_item(Source::OwnerBook, 2) && !sheet.is_closed_item(Source::Ledger, 3));
    let item = scene.closed_item(Source::OwnerBook, 2).unwrap();
    assert_eq!((item.recorded.item.amount, item.recorded.item.date), (700, day));
    assert_eq!(item.stood[0].finding, Some((Class::Match, 2)));
    let matched = scene.closed_finding(Class::Match, 2).unwrap().finding;
    assert_eq!(matched.items, [vec![2], vec![2]]);
    assert!(scene.closed_item(Source::OwnerBook, 3).is_none());
    assert!(scene.closed_finding(Class::Break, 1).is_none());
    // Nothing of it is changed any more.
    let party = Party::Owner;
    for (decision, items) in [
        (Decision::Undo, [vec![1], vec![1]]),
        (Decision::Refuse, [vec![1], vec![2]]),
        (Decision::Confirm, [vec![2], vec![2]]),
    ] {
        let comparison = Comparison::LedgerOwner;
        let account = scene.account.id;
        let order = DecideMatch { account, comparison, items, decision, salt: [4; 16] };
        let refused = scene.act(|all, governed, now| all.decide(governed, &order, party, now));
        assert_eq!(refused, Err(Reason::DayClosed));
    }
}

#[test]
fn what_comes_for_a_closed_day_is_an_item_like_any_other() {
    let mut scene = Scene::opened(LEDGER_OWNER);
    let day = date(23);
    scene.pair(1, 500, day);
    scene.agree_on(day);
    scene.agree_later(day, 10);
    let entry = scene.entry(1, 500, [day; 2]);
    let told = kinds(&scene.record(Source::OwnerBook, &entry));
    assert!(told.contains(&Kind::PositionOutdated), "{told:?}");
    assert!(!scene.is_agreed_on(day));
    assert_eq!(scene.sheet().book(Source::OwnerBook).unwrap().day(day).0.debit_count, 2);
    let sheet = scene.sheet();
    assert!(sheet.recorded(Source::OwnerBook, 2).is_some());
    assert_eq!(sheet.open_item_count(day), 1);
    // The same posting comes, too: the two meet, the day is agreed again, and both leave.
    scene.post_on(1, 500, day);
    scene.agree_on(day);
    assert!(scene.is_agreed_on(day));
    assert_eq!(kinds(&scene.agree_later(day, 11)), [Kind::DaysClosed]);
    assert!(scene.sheet().items.is_empty());
    let sheet = scene.sheet();
    let report = sheet.report(&scene.account, Comparison::LedgerOwner, (day, day));
    assert_eq!((report.match_count, report.first.matched.count), (2, 2));
}

#[test]
fn what_is_tied_together_leaves_together() {
    let mut scene = Scene::opened(LEDGER_OWNER);
    let (first, second) = (date(23), date(24));
    // Booked a day apart, and matched.
    scene.post_on(1, 500, first);
    let entry = scene.entry(1, 500, [second; 2]);
    scene.record(Source::OwnerBook, &entry);
    scene.pair(2, 700, first);
    for day in [first, second] {
        scene.agree_on(day);
        assert!(scene.is_agreed_on(day));
    }
    scene.agree_later(first, 10);
    let open: Vec<_> = scene.sheet().items.keys().copied().collect();
    assert_eq!(open, [(Source::Ledger, 1), (Source::OwnerBook, 1)]);
    scene.agree_later(second, 10);
    assert!(scene.sheet().items.is_empty());
    let report = |from, to| {
        let report = scene.sheet().report(&scene.account, Comparison::LedgerOwner, (from, to));
        (report.match_count, report.first.matched.count, report.second.matched.count)
    };
    assert_eq!(report(first, second), (2, 2, 2), "over two days it counts once");
    assert_eq!((report(first, first), report(second, second)), ((2, 2, 1), (1, 0, 1)));
}

#[test]
fn breaks_that_have_ended_leave_and_open_ones_keep_what_they_name() {
    let mut scene = Scene::opened(LEDGER_OWNER);
    let day = date(23);
    // Missing, and healed by a late entry.
    scene.post_on(1, 500, day);
    let later = scene.terms.missing_from_ms(day) + MINUTE_MS;
    assert!(kinds(&scene.due(later)).contains(&Kind::BreakOpened));
    let entry = scene.entry(1, 500, [day; 2]);
    let healed = kinds(&scene.record(Source::OwnerBook, &entry));
    assert!(healed.contains(&Kind::BreakHealed));
    // Twice in the book: the parties end it.
    scene.post_on(2, 700, day);
    for _ in 0..2 {
        let entry = scene.entry(2, 700, [day; 2]);
        scene.record(Source::OwnerBook, &entry);
    }
    let (number, category) = scene.open_breaks()[0];
    assert_eq!(category, Category::Duplicate);
    scene.agree_on(day);
    assert!(!scene.is_agreed_on(day));
    scene.end_break(number).unwrap();
    assert!(scene.is_agreed_on(day));
    scene.agree_later(day, 10);
    let sheet = scene.sheet();
    assert!(sheet.items.is_empty() && sheet.works.keys().all(|number| *number > 2), "{sheet:?}");
    assert!(sheet.past.is_empty());
    let healed = scene.closed_finding(Class::Break, 1).unwrap();
    assert_eq!(healed.work.unwrap().state, WorkState::Healed);
    let ended = scene.closed_finding(Class::Break, number).unwrap();
    assert_eq!(ended.work.unwrap().steps.len(), 1);
    let copy = ended.finding.items[1][0];
    let item = scene.closed_item(Source::OwnerBook, copy).unwrap();
    assert_eq!(item.stood[0].original, Some(5 - copy));
    let order = (number, Party::Owner, &[6; 16]);
    let refused = scene
        .act(|all, governed, now| all.work(governed, order, now, |work| work.reopen(Party::Owner)));
    assert_eq!(refused, Err(Reason::DayClosed));
}

#[test]
fn a_large_group_leaves_with_all_its_items_named() {
    let mut scene = Scene::opened(LEDGER_OWNER);
    let day = date(23);
    let count = 450;
    let group = |number| BookEntry {
        group_id: "SALARIES".into(),
        entry_reference: format!("E{number}"),
        uetr: None,
        ..scene.entry(0, 2, [day; 2])
    };
    let entries: Vec<BookEntry> = (1..=count).map(group).collect();
    scene.act(|all, governed, now| {
        for (leaf, entry) in (1..).zip(&entries) {
            let hash = Hash::of(entry.entry_reference.as_bytes());
            let now = Moment { at: Position { leaf, ..now.at }, ..now };
            all.entry(governed, Source::OwnerBook, (entry, hash), now);
        }
    });
    let posting = Posting {
        number: 1,
        side: Side::Debit,
        amount: 2 * count,
        date: day,
        uetr: Uetr::from_random([9; 16]),
        end_to_end_id: "SALARIES",
        counterparty: bic("BRNECHZZXXX"),
        corrects: None,
    };
    scene.postings = 1;
    scene.account.balance -= i128::from(posting.amount);
    scene.act(|all, governed, now| all.posting(governed, &posting, &[1; 16], now));
    scene.act(|all, governed, now| all.begin_run(governed, &[1; 16], now)).unwrap();
    assert_eq!(scene.sheet().findings(Class::Match).count(), 1);
    scene.agree_on(day);
    assert!(scene.is_agreed_on(day));
    scene.agree_later(day, 10);
    assert!(scene.sheet().items.is_empty());
    let matched = scene.closed_finding(Class::Match, 1).unwrap().finding;
    assert_eq!(matched.items, [vec![1], (1..=count).collect()]);
}

#[test]
fn damaged_records_of_the_archive_are_refused() {
    let mut scene = Scene::opened(LEDGER_OWNER);
    scene.pair(1, 500, date(23));
    scene.agree_on(date(23));
    scene.agree_later(date(23), 10);
    let archived = scene.archived();
    assert_eq!(archived.len(), 3);
    for (key, value) in &archived {
        for end in 0..value.len() {
            scene.stored.insert(key.clone(), value[..end].to_vec());
            let archive = scene.archive();
            let read = [
                archive.item(Source::Ledger, 1).map(drop),
                archive.item(Source::OwnerBook, 1).map(drop),
                archive.finding(Class::Match, 1).map(drop),
            ];
            let damaged = read.iter().filter(|it| matches!(it, Err(Unread::Damaged))).count();
            assert_eq!(damaged, 1, "{end} bytes of {key:?}");
        }
        scene.stored.insert(key.clone(), value.clone());
    }
}

/// Two scenes to which the same happens; of one nothing closes.
struct Twins {
    closes: Scene,
    stays: Scene,
    draw: Draw,
    sources: [bool; 3],
}

impl Twins {
    fn both(&mut self, mut act: impl FnMut(&mut Scene) -> Vec<Effect>) {
        (self.stays.height, self.stays.time_ms) = (self.closes.height, self.closes.time_ms);
        let (one, other) = (act(&mut self.closes), act(&mut self.stays));
        assert_eq!(one, other);
        let mut due = BTreeSet::new();
        for (ordinal, sheet) in &mut self.stays.all.sheets {
            sheet.give_up_closing();
            sheet.touched.closing = false;
            due.extend(sheet.due_ms().map(|due_ms| (due_ms, *ordinal)));
        }
        self.stays.all.due = due;
        self.stays.stored.retain(|key, _| key[0] != record::CLOSING);
    }

    /// Everything that is due by now.
    fn due(&mut self) {
        while self.closes.all.due_account(self.closes.time_ms).is_some() {
            (self.stays.height, self.stays.time_ms) = (self.closes.height, self.closes.time_ms);
            let is_due = self.stays.all.due_account(self.stays.time_ms).is_some();
            let mut one = self.closes.due(self.closes.time_ms);
            one.retain(|effect| effect.kind != Kind::DaysClosed);
            let time_ms = self.stays.time_ms;
            let other = if is_due { self.stays.due(time_ms) } else { Vec::new() };
            assert_eq!(one, other);
            if self.draw.below(4) == 0 {
                self.closes.restart();
            }
        }
    }

    /// Items of a day: each source has most of them, some on the day after, some with another amount.
    fn day_of_items(&mut self, day: Date, place: u8) {
        let next = self.closes.terms.calendar.next_business_day(day);
        for number in 0..3 {
            let uetr = place * 3 + number + 1;
            let amount = 1_000 + u64::from(uetr) * 10;
            let all = [Source::Ledger, Source::OwnerBook, Source::ServicerBook];
            for (source, _) in all.into_iter().zip(self.sources).filter(|(_, is)| *is) {
                let valued = if self.draw.below(5) == 0 { next } else { day };
                let times = [0, 1, 1, 1, 1, 1, 1, 2][usize::try_from(self.draw.below(8)).unwrap()];
                let amount = amount + [0, 0, 0, 3, 7][usize::try_from(self.draw.below(5)).unwrap()];
                let by_rent = number == 2;
                // What settles on the ledger settles once.
                let times = if source == Source::Ledger { times.min(1) } else { times };
                for _ in 0..times {
                    self.both(|scene| scene.one(source, uetr, amount, valued, by_rent));
                }
            }
        }
    }

    /// People end an open break, refuse what is proposed, or undo a match.
    fn decide(&mut self) {
        let sheet = self.closes.sheet();
        let open: Vec<u64> = sheet.open.range((Class::Break, 0)..).map(|it| it.1).collect();
        let place = self.draw.below(u64::try_from(open.len()).unwrap().max(1));
        if let Some(number) = open.get(usize::try_from(place).unwrap()).copied() {
            self.both(|scene| scene.end_break(number).unwrap_or_default());
            return;
        }
        let proposal = sheet.open_findings_from(Class::Proposal, 0).next();
        let (decision, found) = match (proposal, self.draw.below(8)) {
            (Some(proposal), _) => (Decision::Refuse, proposal),
            (None, 0) => {
                let Some(last) = sheet.open_findings_from(Class::Match, 0).last() else { return };
                (Decision::Undo, last)
            }
            (None, _) => return,
        };
        let (comparison, items) = (found.comparison, found.items.clone());
        let servicers = comparison != Comparison::LedgerOwner;
        let party = if servicers { Party::Servicer } else { Party::Owner };
        self.both(|scene| {
            let (account, items) = (scene.account.id, items.clone());
            let order = DecideMatch { account, comparison, items, decision, salt: [4; 16] };
            let done = scene.act(|all, governed, now| all.decide(governed, &order, party, now));
            read(&done.unwrap())
        });
    }

    /// Both sign every day before one that is not agreed yet.
    fn agree(&mut self, before: Date) {
        let days = self.closes.sheet().dates_from(date(1)).take_while(|it| *it < before);
        let days: Vec<Date> = days.filter(|it| !self.closes.is_agreed_on(*it)).collect();
        for day in days {
            self.both(|scene| scene.agree_on(day));
        }
    }

    fn compare(&mut self) {
        let (one, other) = (self.closes.sheet(), self.stays.sheet());
        assert_eq!((&one.unclear, &one.open), (&other.unclear, &other.open));
        assert_eq!((&one.deadlines, &one.proposed), (&other.deadlines, &other.proposed));
        assert_eq!(one.positions, other.positions);
        assert_eq!(
            Class::ALL.map(|it| one.finding_count(it)),
            Class::ALL.map(|it| other.finding_count(it))
        );
        for (key, finding) in &other.findings {
            let work = other.works.get(&key.1).filter(|_| key.0 == Class::Break);
            let told = match one.findings.get(key) {
                Some(finding) => {
                    (finding.clone(), one.works.get(&key.1).filter(|_| work.is_some()).cloned())
                }
                None => {
                    let closed = self.closes.closed_finding(key.0, key.1).unwrap();
                    (closed.finding, closed.work)
                }
            };
            assert_eq!(told, (finding.clone(), work.cloned()));
        }
        for ((source, number), recorded) in &other.items {
            let Some(found) = one.recorded(*source, *number) else {
                let closed = self.closes.closed_item(*source, *number).unwrap();
                assert_eq!(format!("{:?}", closed.recorded), format!("{recorded:?}"));
                continue;
            };
            assert_eq!(found.item, recorded.item);
            for (comparison, desk) in &other.desks {
                let Some(place) = comparison.place(*source) else { continue };
                let id = Id { place, number: *number };
                assert_eq!(one.desks[comparison].standing(id), desk.standing(id));
                assert_eq!(
                    one.stands.get(&(*comparison, id)),
                    other.stands.get(&(*comparison, id))
                );
            }
        }
        self.compare_reports();
    }

    fn compare_reports(&mut self) {
        let days: Vec<Date> = self.stays.sheet().dates_from(date(1)).collect();
        let mut any =
            || days[usize::try_from(self.draw.below(u64::try_from(days.len()).unwrap())).unwrap()];
        let (from, to) = (any(), any());
        for range in [(from.min(to), from.max(to)), (days[0], *days.last().unwrap())] {
            for comparison in Comparison::ALL {
                let of = |scene: &Scene| -> Report {
                    scene.sheet().report(&scene.account, comparison, range)
                };
                assert_eq!(of(&self.closes), of(&self.stays));
            }
        }
    }
}

impl Scene {
    fn one(
        &mut self,
        source: Source,
        uetr: u8,
        amount: u64,
        day: Date,
        by_rent: bool,
    ) -> Vec<Effect> {
        if source == Source::Ledger {
            return self.post_on(uetr, amount, day);
        }
        let mut entry = self.entry(uetr, amount, [day; 2]);
        entry.entry_reference = format!("R{uetr}");
        if by_rent && !self.terms.sources.ledger {
            (entry.uetr, entry.end_to_end_id) = (None, "RENT".to_owned());
        }
        self.record(source, &entry)
    }
}

#[test]
fn closing_changes_nothing_of_what_stays() {
    for (place, sources) in (0..).zip([LEDGER_OWNER, BOOKS, [true; 3]]) {
        for seed in 1..=3 {
            let draw = Draw(seed << 32 | place << 8 | 1);
            let (closes, stays) = (Scene::opened(sources), Scene::opened(sources));
            let mut twins = Twins { closes, stays, draw, sources };
            let calendar = twins.closes.terms.calendar.clone();
            let mut day = date(23);
            for number in 0..26 {
                twins.closes.time_ms = twins.closes.time_ms.max(calendar.instant(day, 9 * 60));
                twins.day_of_items(day, number);
                twins.due();
                for _ in 0..8 {
                    twins.decide();
                }
                twins.agree(day);
                twins.due();
                twins.compare();
                day = calendar.next_business_day(day);
            }
            let sheet = twins.closes.sheet();
            let closed: u64 = sheet.closing.items.iter().sum();
            assert!(closed > 20, "{closed} items closed, {} are open", sheet.items.len());
        }
    }
}
