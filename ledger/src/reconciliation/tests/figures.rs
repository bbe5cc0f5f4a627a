//! Whatever happens to an account, its report adds up.

use super::{
    super::{book::Book, day::viewed, figures::Report, finding::Finding},
    *,
};
use crate::purpose::Purpose;

/// Numbers that look random; the same each time.
pub(super) struct Draw(pub(super) u64);

impl Draw {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn date(&mut self) -> Date {
        date(20 + u32::try_from(self.below(6)).unwrap())
    }

    fn source(&mut self, sources: [bool; 3]) -> Source {
        let all = [Source::Ledger, Source::OwnerBook, Source::ServicerBook];
        loop {
            let place = usize::try_from(self.below(3)).unwrap();
            if sources[place] {
                return all[place];
            }
        }
    }
}

fn happen(scene: &mut Scene, draw: &mut Draw, sources: [bool; 3]) {
    let uetr = u8::try_from(1 + draw.below(12)).unwrap();
    let amount = 100 + draw.below(3) * 4;
    match draw.below(10) {
        0..5 => match draw.source(sources) {
            Source::Ledger => drop(scene.post_on(uetr, amount, draw.date())),
            source => {
                let mut entry = scene.entry(uetr, amount, [draw.date(), draw.date()]);
                if draw.below(4) == 0 {
                    entry.uetr = None;
                    entry.side = Side::Credit;
                }
                if draw.below(5) == 0 {
                    entry.entry_reference = "TWICE".to_owned();
                }
                if draw.below(6) == 0 {
                    entry.asset = Some(AssetCode::parse("EUR").unwrap());
                }
                let purposes = [None, Some(Purpose::Lending), Some(Purpose::Repayment)];
                entry.purpose = purposes[usize::try_from(draw.below(3)).unwrap()];
                scene.record(source, &entry);
            }
        },
        5 => {
            let source = draw.source([false, sources[1], sources[2]]);
            let from = draw.date();
            let to = draw.date().max(from);
            scene.state_between(source, [from, to], [500, 100]);
        }
        6 => {
            scene.time_ms += draw.below(30) * 3_600_000;
            if scene.all.due_account(scene.time_ms).is_some() {
                scene.due(scene.time_ms);
            }
        }
        7 => decide(scene, draw),
        8 => sign(scene, draw),
        _ => work(scene, draw),
    }
}

#[test]
fn an_entry_in_another_asset_is_counted_and_in_no_sum() {
    let mut scene = Scene::of(LEDGER_OWNER);
    scene.post(1, 500);
    let entry = scene.entry(1, 500, [date(23); 2]);
    let euros = BookEntry { asset: Some(AssetCode::parse("EUR").unwrap()), ..entry.clone() };
    scene.record(Source::OwnerBook, &euros);
    // The book's balance has not moved, and its statement says so.
    scene.state(Source::OwnerBook, 700, 700);
    assert_eq!(scene.open_breaks(), [(1, Category::Currency)]);
    let sheet = scene.sheet();
    let found = sheet.finding(Class::Break, 1).unwrap();
    assert_eq!(sheet.effect_of(found), -500, "the book lacks all of the payment");
    let figures = sheet.figures(&scene.account, Source::OwnerBook, date(23));
    assert_eq!((figures.opening, figures.closing()), (Some(700), 700));
    assert_eq!((figures.day.debit_count, figures.day.debits), (1, 0));
    let empty = sheet.figures(&scene.account, Source::OwnerBook, date(24)).digest;
    assert_ne!(figures.digest, empty, "the digest covers it");
    let report = sheet.report(&scene.account, Comparison::LedgerOwner, (date(23), date(23)));
    assert!(report.adds_up());
    let broken = report.breaks[&Category::Currency];
    assert_eq!((broken.open_count, broken.effect), (1, -500));
    // Whoever signs says so: the day is not agreed as long as the entry stands.
    for (party, source) in [(Party::Owner, Source::OwnerBook), (Party::Servicer, Source::Ledger)] {
        let opening = if party == Party::Owner { 700 } else { 0 };
        scene.sign(party, scene.view(source, opening)).unwrap();
    }
    assert!(scene.sheet().position(date(23)).unwrap().agreed_at.is_none());
    // The same number of francs and of euros is no match.
    scene.post(2, 40);
    let euros = BookEntry { amount: 40, uetr: None, ..euros };
    scene.record(Source::OwnerBook, &euros);
    let confirmed = scene.decide(Party::Owner, Decision::Confirm, [vec![2], vec![2]]);
    assert_eq!(confirmed, Err(Reason::MatchUnbalanced));
    // It is taken back and written anew.
    let reversal = BookEntry { side: Side::Credit, reversal: true, ..euros.clone() };
    let none = BookEntry { asset: None, ..reversal };
    scene.record(Source::OwnerBook, &none);
    assert!(scene.sheet().figures(&scene.account, Source::OwnerBook, date(23)).closing() == 740);
}

#[test]
fn what_is_lent_and_repaid_and_everything_else_comes_to_the_sums() {
    let mut scene = Scene::of(BOOKS);
    let mut amount = 1;
    for purpose in [None, Some(Purpose::Lending), Some(Purpose::Repayment)] {
        for side in [Side::Credit, Side::Debit, Side::Debit] {
            amount *= 10;
            let entry = BookEntry { purpose, side, ..scene.entry(0, amount, [date(23); 2]) };
            scene.record(Source::OwnerBook, &BookEntry { uetr: None, ..entry });
        }
    }
    let day = scene.sheet().figures(&scene.account, Source::OwnerBook, date(23)).day;
    let sides = |credits, debits| book::Sides { credits, debits };
    assert_eq!(day.other(), sides(10, 1_100));
    assert_eq!(day.lent, sides(10_000, 1_100_000));
    assert_eq!(day.repaid, sides(10_000_000, 1_100_000_000));
    assert_eq!((day.lent.total(), day.credit_count, day.debit_count), (1_110_000, 3, 6));
    let sum = |of: fn(&book::Sides) -> u128| of(&day.other()) + of(&day.lent) + of(&day.repaid);
    assert_eq!((sum(|it| it.credits), sum(|it| it.debits)), (day.credits, day.debits));
}

/// Both parties sign a day, with openings that may differ.
fn sign(scene: &mut Scene, draw: &mut Draw) {
    let day = draw.date();
    for party in [Party::Owner, Party::Servicer] {
        let Some(sheet) = scene.all.sheet(scene.account.ordinal) else { return };
        let figures = sheet.figures(&scene.account, viewed(party, &scene.terms), day);
        let own = i64::try_from(draw.below(2)).unwrap();
        scene.sign_on(party, figures.view(own).unwrap(), day).unwrap();
    }
}

fn decide(scene: &mut Scene, draw: &mut Draw) {
    let Some(sheet) = scene.all.sheet(scene.account.ordinal) else { return };
    let class = if draw.below(2) == 0 { Class::Match } else { Class::Break };
    let open: Vec<&Finding> = sheet.open_findings_from(class, 0).collect();
    let Some(place) = usize::try_from(draw.below(99)).unwrap().checked_rem(open.len()) else {
        return;
    };
    let (comparison, items) = (open[place].comparison, open[place].items.clone());
    if items.iter().map(Vec::len).sum::<usize>() < 2 {
        // An order of this shape does not come so far.
        return;
    }
    let decision = if class == Class::Match { Decision::Undo } else { Decision::Confirm };
    let account = scene.account.id;
    let order = DecideMatch { account, comparison, items, decision, salt: [4; 16] };
    for party in [Party::Owner, Party::Servicer] {
        let order = order.clone();
        // Some of these are refused: then nothing has changed.
        let _ = scene.act(|all, governed, now| all.decide(governed, &order, party, now));
    }
}

fn work(scene: &mut Scene, draw: &mut Draw) {
    let Some(sheet) = scene.all.sheet(scene.account.ordinal) else { return };
    let count = sheet.findings(Class::Break).count();
    let number = 1 + draw.below(1 + u64::try_from(count).unwrap());
    let resolution =
        Resolution { kind: ResolutionKind::NoAction, transfer: None, commitment: Hash::ZERO };
    let by = Hand { party: Party::Owner, key_id: Hash::ZERO };
    let end = |work: &mut Work| {
        if work.state.is_ended() {
            return work.reopen(Party::Owner);
        }
        work.propose(by, resolution.clone())?;
        work.agree(Agreed::Ended);
        Ok(())
    };
    let order = (number, Party::Owner, &[6; 16]);
    let _ = scene.act(|all, governed, now| all.work(governed, order, now, end));
}

fn check(scene: &Scene, draw: &mut Draw) {
    let Some(sheet) = scene.all.sheet(scene.account.ordinal) else { return };
    let from = draw.date();
    let to = draw.date().max(from);
    for comparison in sheet.desks.keys() {
        let report = sheet.report(&scene.account, *comparison, (from, to));
        assert!(report.adds_up(), "{report:?}");
        check_items(sheet, *comparison, &report, (from, to));
        let all = sheet.report(&scene.account, *comparison, (date(1), date(30)));
        let open = |report: &Report| report.breaks.values().map(|it| it.open_count).sum::<u64>();
        let of_it = |finding: &&Finding| finding.comparison == *comparison;
        let expected = sheet.open_findings_from(Class::Break, 0).filter(of_it).count();
        assert_eq!(open(&all), u64::try_from(expected).unwrap());
        let expected = sheet.open_findings_from(Class::Match, 0).filter(of_it).count();
        assert_eq!(all.match_count, u64::try_from(expected).unwrap());
        let expected = sheet.open_findings_from(Class::Proposal, 0).filter(of_it).count();
        assert_eq!(all.proposal_count, u64::try_from(expected).unwrap());
        // What follows a range goes on where it ended.
        let after = sheet.report(&scene.account, *comparison, (to.next(), date(30)));
        for (one, next) in [(&report.first, &after.first), (&report.second, &after.second)] {
            if let (Some(_), Some(next)) = (one.opening, next.opening)
                && sheet.books.values().all(|book| book.statements().len() < 2)
            {
                assert_eq!(one.closing(), next);
            }
        }
    }
}

/// Every item of the range is counted once.
fn check_items(sheet: &Sheet, comparison: Comparison, report: &Report, (from, to): (Date, Date)) {
    for (place, figures) in [(Place::First, &report.first), (Place::Second, &report.second)] {
        let source = comparison.source(place);
        let of_source = sheet.items.range((source, 0)..=(source, u64::MAX));
        let items = of_source.filter(|(_, it)| (from..=to).contains(&it.item.date));
        let broken = |number| {
            let found = sheet.stands_in(comparison, Id { place, number });
            found.is_some_and(|it| it.says.class() == Class::Break)
        };
        let (mut count, mut in_breaks) = (0, 0);
        for ((_, number), _) in items {
            count += 1;
            in_breaks += u64::from(broken(*number));
        }
        let shares = [figures.matched, figures.proposed, figures.waiting];
        let counted: u64 = shares.iter().map(|share| share.count).sum();
        assert_eq!(counted + in_breaks, count);
        assert_eq!(figures.day.credit_count + figures.day.debit_count, count);
        let days = sheet.dates_from(from).take_while(|date| *date <= to);
        let book = sheet.book(source).cloned().unwrap_or_else(Book::default);
        let moved: i128 = days.map(|date| book.day(date).0.movement()).sum();
        assert_eq!(moved, figures.day.movement());
    }
}

#[test]
fn a_report_adds_up_whatever_has_happened() {
    for (place, sources) in (0..).zip([LEDGER_OWNER, BOOKS, [true; 3]]) {
        for seed in 1..=40 {
            let mut draw = Draw(seed << 32 | place << 8 | 1);
            let mut scene = Scene::of(sources);
            for _ in 0..60 {
                happen(&mut scene, &mut draw, sources);
                check(&scene, &mut draw);
            }
        }
    }
}

#[test]
fn a_break_over_the_end_of_a_range_counts_with_what_lies_in_it() {
    let mut scene = Scene::of(LEDGER_OWNER);
    scene.post_on(1, 100, date(23));
    let entry = scene.entry(1, 160, [date(24); 2]);
    scene.record(Source::OwnerBook, &entry);
    let sheet = scene.sheet();
    let report =
        |from, to| sheet.report(&scene.account, Comparison::LedgerOwner, (date(from), date(to)));
    let amount = |report: Report| report.breaks.get(&Category::Amount).map(|it| it.effect);
    assert_eq!(amount(report(23, 24)), Some(60));
    assert_eq!(amount(report(23, 23)), Some(-100));
    assert_eq!(amount(report(24, 24)), Some(160));
    assert_eq!(amount(report(25, 30)), None);
    assert_eq!(report(24, 23).first.day, Default::default(), "no range");
    let whole = report(23, 24);
    assert_eq!((whole.first.opening, whole.first.closing()), (Some(0), -100));
    assert_eq!(whole.second.opening, None);
}
