//! The sheet of one account: its sources, what is compared, and what was found.
//!
//! The desks of [`crate::matching`] say what belongs together; here that becomes findings with numbers,
//! effects that a leaf proves, and marks of what storage has to write.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Records,
    book::{Book, Counted},
    closed::Closed,
    closing::Closing,
    due::next_run_ms,
    effect::{Effect, Kind},
    finding::{About, Class, Finding, Says},
    pass::Pass,
    position::{DayPosition, unsettle},
    unclear::Unclear,
    work::Work,
};
use crate::{
    account::AccountId,
    agreement::{Party, Terms},
    block::Position,
    date::Date,
    hash::Hash,
    matching::{
        self,
        desk::{Change, Desk, Standing},
        item::{Comparison, Id, Item, Place, Source},
        pair::Category,
        runs::Cursor,
    },
    purpose::Purpose,
    reason::Reason,
};

/// When and where something happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The leaf.
    pub at: Position,
    /// Its block's time, Unix milliseconds.
    pub time_ms: u64,
}

/// An item, and where and when it was recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// As it is compared.
    pub item: Arc<Item>,
    /// When it was booked.
    pub booked: Date,
    /// What it is for, where the book says so.
    pub purpose: Option<Purpose>,
    /// The leaf.
    pub position: Position,
    /// Its block's time, Unix milliseconds.
    pub time_ms: u64,
    /// When it is missing if it has no counterpart, Unix milliseconds.
    pub deadline_ms: u64,
    /// It came after the deadline of its value date: a statement decides at once.
    pub is_late: bool,
}

/// What of a sheet has changed since it was last written.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched {
    pub sheet: bool,
    pub items: BTreeSet<(Source, u64)>,
    pub findings: BTreeSet<(Class, u64)>,
    pub days: BTreeSet<(Source, Date)>,
    pub statements: BTreeSet<(Source, u64)>,
    pub refusals: BTreeSet<(Comparison, u64)>,
    pub positions: BTreeSet<Date>,
    pub closing: bool,
    pub closed_days: BTreeSet<(Comparison, Date)>,
    /// Records of what has closed, written when it did.
    pub archived: Records,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Sheet {
    pub(super) ordinal: u32,
    pub(super) id: AccountId,
    pub(super) books: BTreeMap<Source, Book>,
    pub(super) items: BTreeMap<(Source, u64), Recorded>,
    pub(super) desks: BTreeMap<Comparison, Desk>,
    /// The match or the break that an item stands in.
    pub(super) stands: BTreeMap<(Comparison, Id), (Class, u64)>,
    /// The open proposals that name an item.
    pub(super) proposed: BTreeSet<(Comparison, Id, u64)>,
    pub(super) findings: BTreeMap<(Class, u64), Finding>,
    /// Proposals and breaks that have not ended.
    pub(super) open: BTreeSet<(Class, u64)>,
    pub(super) works: BTreeMap<u64, Work>,
    /// Findings that have ended, by the items that they name and that stand in them no more.
    pub(super) past: BTreeSet<(Comparison, Id, Class, u64)>,
    /// Findings so far, by class, those that have closed included.
    pub(super) counts: BTreeMap<Class, u64>,
    pub(super) unclear: Unclear,
    /// Items that may have come to be missing, or be so no more; see [`super::astray`].
    pub(super) noted: BTreeMap<(Comparison, Id), bool>,
    /// When open items become missing.
    pub(super) deadlines: BTreeSet<(u64, Comparison, Id)>,
    pub(super) positions: BTreeMap<Date, DayPosition>,
    /// Days of which a party has signed its view.
    pub(super) signed: BTreeSet<(Party, Date)>,
    /// Days that both have signed and that are not agreed.
    pub(super) undecided: BTreeSet<Date>,
    /// From which day on it has to be seen which of them are agreed now.
    pub(super) unsettled: Option<Date>,
    /// By how much the servicer's balance is more than the owner's, as both have accepted it by ending
    /// the break about a day; it holds until a later day's.
    pub(super) accepted: BTreeMap<Date, i128>,
    /// When the passes over all open items run next, Unix milliseconds.
    pub(super) next_run_ms: Option<u64>,
    /// Where runs that were too long for a block go on.
    pub(super) runs: BTreeMap<Comparison, Cursor>,
    /// How far closing has come.
    pub(super) closing: Closing,
    /// What a report says of what has closed.
    pub(super) closed: Closed,
    /// See [`super::effect`].
    pub(super) salt: Hash,
    pub(super) touched: Touched,
    pub(super) effects: Vec<Effect>,
}

impl Sheet {
    pub(super) fn new(ordinal: u32, id: AccountId) -> Sheet {
        Sheet {
            ordinal,
            id,
            books: BTreeMap::new(),
            items: BTreeMap::new(),
            desks: BTreeMap::new(),
            stands: BTreeMap::new(),
            proposed: BTreeSet::new(),
            findings: BTreeMap::new(),
            open: BTreeSet::new(),
            works: BTreeMap::new(),
            past: BTreeSet::new(),
            counts: BTreeMap::new(),
            unclear: Unclear::default(),
            noted: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            positions: BTreeMap::new(),
            signed: BTreeSet::new(),
            undecided: BTreeSet::new(),
            unsettled: None,
            accepted: BTreeMap::new(),
            next_run_ms: None,
            runs: BTreeMap::new(),
            closing: Closing::default(),
            closed: Closed::default(),
            salt: Hash::of(id.as_bytes()),
            touched: Touched::default(),
            effects: Vec::new(),
        }
    }

    /// The next item of a source comes. `hash` is what its day's digest covers, `corrects` the break that
    /// it ends.
    pub(super) fn arrive(
        &mut self,
        (source, counted, hash): (Source, Counted, Hash),
        item: Item,
        corrects: Option<u64>,
        (terms, rules): (&Terms, &matching::terms::Terms<'_>),
        now: Moment,
    ) {
        let number = item.number;
        self.books.entry(source).or_default().add(number, &counted, hash);
        self.touched.days.insert((source, counted.valued));
        self.touched.days.insert((source, counted.booked));
        let item = Arc::new(item);
        let Counted { booked, valued, purpose, .. } = counted;
        let deadline_ms = deadline_ms(valued, now.time_ms, terms);
        let recorded = Recorded {
            item: item.clone(),
            booked,
            purpose,
            position: now.at,
            time_ms: now.time_ms,
            deadline_ms,
            is_late: now.time_ms >= terms.missing_from_ms(valued),
        };
        self.items.insert((source, number), recorded);
        self.touched.items.insert((source, number));
        if source != Source::Ledger {
            self.effects.push(Effect::new(Kind::Recorded, None, source as u8, number));
        }
        if self.next_run_ms.is_none() {
            self.next_run_ms = next_run_ms(terms, now.time_ms);
        }
        self.outdate_positions(source, valued, terms);
        for comparison in comparisons(terms) {
            let Some(place) = comparison.place(source) else { continue };
            let desk = self.desks.entry(comparison).or_insert_with(|| Desk::new(comparison));
            let changes = desk.arrive(place, item.clone(), rules);
            self.take(comparison, changes, now);
            let id = Id { place, number };
            if !self.is_clear(comparison, id) {
                self.unclear.insert(comparison, id, &item);
            }
            if let Some(corrected) = corrects {
                self.correct((comparison, corrected), id, rules, now);
            }
            if self.other_is_complete(comparison, place, valued) {
                self.judge_absence(comparison, id, now);
            }
        }
        self.check_statements(source, now);
    }

    /// Turns what a desk says into findings.
    pub(super) fn take(&mut self, comparison: Comparison, changes: Vec<Change>, now: Moment) {
        for Change { id, after, .. } in &changes {
            self.touched.items.insert((comparison.source(id.place), id.number));
            if *after != Some(Standing::Free) {
                let recorded = &self.items[&(comparison.source(id.place), id.number)];
                self.deadlines.remove(&(recorded.deadline_ms, comparison, *id));
            }
            // Whoever pins an item has said what it stands in.
            if *after == Some(Standing::Pinned) {
                continue;
            }
            self.leave_finding(comparison, *id, *after == Some(Standing::Free), now);
            // Of the second source's items proposals are told with those of the first.
            let stays =
                id.place == Place::Second && matches!(after, Some(Standing::Proposed { .. }));
            if !stays {
                self.close_proposals(comparison, *id, now);
            }
        }
        for Change { id, after, .. } in changes {
            match after {
                None | Some(Standing::Pinned) => {}
                Some(Standing::Free) => self.wait(comparison, id),
                Some(Standing::Duplicate) => {
                    let says = Says::Break { category: Category::Duplicate };
                    self.open(comparison, &[id], says, now);
                }
                Some(Standing::Paired { with, judgement }) => {
                    let other = Id { place: id.place.opposite(), number: with };
                    if self.stands.contains_key(&(comparison, id)) {
                        continue;
                    }
                    let says = match judgement.category {
                        None => Says::Match { pass: judgement.strength.into(), confirmed: false },
                        Some(category) => Says::Break { category },
                    };
                    let number = self.open(comparison, &[id, other], says.clone(), now);
                    let opened = self.findings.get_mut(&(says.class(), number));
                    opened.expect("it was just opened").judgement = Some(judgement);
                }
                // A proposal is told once, with its item of the first source.
                Some(Standing::Proposed { .. }) if id.place == Place::Second => {}
                Some(Standing::Proposed { strength, with }) => {
                    let others = with.into_iter();
                    let place = id.place.opposite();
                    let mut ids: Vec<Id> = others.map(|number| Id { place, number }).collect();
                    ids.insert(0, id);
                    let says = Says::Proposal { pass: strength.into(), confirmed_by: 0 };
                    self.open(comparison, &ids, says, now);
                }
            }
        }
    }

    /// An item without a counterpart waits for its deadline.
    pub(super) fn wait(&mut self, comparison: Comparison, id: Id) {
        if !self.stands.contains_key(&(comparison, id)) {
            let recorded = &self.items[&(comparison.source(id.place), id.number)];
            self.deadlines.insert((recorded.deadline_ms, comparison, id));
        }
    }

    /// An item is no longer what its finding says; `free` says whether it is without a counterpart,
    /// so that what says only this stays.
    fn leave_finding(&mut self, comparison: Comparison, id: Id, free: bool, now: Moment) {
        let Some(key) = self.stands.get(&(comparison, id)).copied() else { return };
        if !(free && self.findings[&key].is_of_free_items()) {
            self.close(key, now);
        }
    }

    /// Ends the proposals that name an item.
    pub(super) fn close_proposals(&mut self, comparison: Comparison, id: Id, now: Moment) {
        let named = self.proposed.range((comparison, id, 0)..=(comparison, id, u64::MAX));
        let named: Vec<u64> = named.map(|(.., number)| *number).collect();
        named.into_iter().for_each(|number| self.close((Class::Proposal, number), now));
    }

    /// Opens a finding in which items stand.
    pub(super) fn open(
        &mut self,
        comparison: Comparison,
        ids: &[Id],
        says: Says,
        now: Moment,
    ) -> u64 {
        let key = (says.class(), self.open_about(comparison, ids, says, now));
        let finding = self.findings[&key].clone();
        self.stand(&finding);
        key.1
    }

    /// Opens a finding that only names items.
    pub(super) fn open_about(
        &mut self,
        comparison: Comparison,
        ids: &[Id],
        says: Says,
        now: Moment,
    ) -> u64 {
        let class = says.class();
        let count = self.counts.entry(class).or_default();
        *count += 1;
        let number = *count;
        let items = items_of(ids);
        let (kind, code) = match &says {
            Says::Match { pass, .. } => (Kind::Matched, *pass as u8),
            Says::Proposal { pass, .. } => (Kind::Proposed, *pass as u8),
            Says::Break { category } => (Kind::BreakOpened, *category as u8),
        };
        let effect = Effect::new(kind, Some(comparison), code, number);
        self.effects.push(Effect { items: items.clone(), ..effect });
        if class == Class::Break {
            self.works.insert(number, Work::default());
        }
        let (opened_at, judgement, closed_at) = (now.at, None, None);
        let (about, elsewhere) = (None, None);
        let finding = Finding {
            number,
            comparison,
            items,
            says,
            about,
            elsewhere,
            judgement,
            opened_at,
            closed_at,
        };
        self.findings.insert((class, number), finding);
        if class != Class::Match {
            self.open.insert((class, number));
        }
        self.touched.findings.insert((class, number));
        self.touched.sheet = true;
        number
    }

    /// Does a step of the work on a break. What has ended by the parties' word nothing changes any
    /// more but they themselves.
    pub(super) fn work_on(
        &mut self,
        (number, by): (u64, Party),
        rules: &matching::terms::Terms<'_>,
        now: Moment,
        step: impl FnOnce(&mut Work) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        self.refuse_closed_break(number)?;
        let work = self.works.get_mut(&number).ok_or(Reason::BreakUnknown)?;
        let was_ended = work.state.is_ended();
        // What is refused changes nothing.
        let mut done = work.clone();
        step(&mut done)?;
        done.count_step(by, now.at)?;
        *work = done;
        let (state, ended) = (work.state, work.state.is_ended());
        let key = (Class::Break, number);
        let finding = self.findings.get_mut(&key).ok_or(Reason::BreakUnknown)?;
        let (comparison, ids) = (finding.comparison, ids_of(&finding.items));
        finding.closed_at = ended.then_some(now.at);
        match ended {
            true => self.open.remove(&key),
            false => self.open.insert(key),
        };
        self.touched.findings.insert(key);
        let effect = Effect::new(Kind::BreakWorked, Some(comparison), state as u8, number);
        self.effects.push(effect);
        if ended == was_ended {
            return Ok(());
        }
        let standing = |id: &&Id| self.stands.get(&(comparison, **id)) == Some(&key);
        let ids: Vec<Id> = ids.iter().filter(standing).copied().collect();
        for id in &ids {
            let recorded = self.items.get(&(comparison.source(id.place), id.number));
            let Some(item) = recorded.map(|recorded| &recorded.item) else { continue };
            if ended {
                self.unclear.remove(comparison, *id, item);
            } else {
                self.unclear.insert(comparison, *id, item);
            }
            unsettle(&mut self.unsettled, item.date);
            self.note_missing(comparison, *id, false);
        }
        if let Some(About::Day(date)) = self.findings[&key].about {
            self.accept_difference(number, date);
        }
        if ended && let Some(desk) = self.desks.get_mut(&comparison) {
            let changes = desk.pin_all(&ids, rules);
            self.take(comparison, changes, now);
        }
        Ok(())
    }

    /// Has the items of a finding stand in it.
    pub(super) fn stand(&mut self, finding: &Finding) {
        let Finding { comparison, number, says, .. } = finding;
        for id in ids_of(&finding.items) {
            if says.class() == Class::Proposal {
                self.proposed.insert((*comparison, id, *number));
                continue;
            }
            self.stands.insert((*comparison, id), (says.class(), *number));
            self.touched.items.insert((comparison.source(id.place), id.number));
            if let Some(recorded) = self.items.get(&(comparison.source(id.place), id.number)) {
                self.deadlines.remove(&(recorded.deadline_ms, *comparison, id));
                let (item, class) = (&recorded.item, says.class());
                if class == Class::Match && self.unclear.remove(*comparison, id, item) {
                    unsettle(&mut self.unsettled, item.date);
                }
            }
        }
    }

    /// Ends a finding; its items stand in none.
    pub(super) fn close(&mut self, key: (Class, u64), now: Moment) {
        let finding = self.findings.get_mut(&key).expect("a finding that something names");
        finding.closed_at = Some(now.at);
        self.open.remove(&key);
        let (comparison, items) = (finding.comparison, finding.items.clone());
        for id in ids_of(&items) {
            self.proposed.remove(&(comparison, id, key.1));
            if self.stands.get(&(comparison, id)) == Some(&key) {
                self.stands.remove(&(comparison, id));
                self.touched.items.insert((comparison.source(id.place), id.number));
                self.becomes_unclear(comparison, id);
                if key.0 == Class::Break {
                    self.note_missing(comparison, id, true);
                }
            }
        }
        self.becomes_past(key);
        let kind = match key.0 {
            Class::Match => Kind::Unmatched,
            Class::Proposal => Kind::ProposalClosed,
            Class::Break => Kind::BreakHealed,
        };
        if let Some(work) = self.works.get_mut(&key.1).filter(|_| key.0 == Class::Break) {
            work.heal();
        }
        self.effects.push(Effect::new(kind, Some(comparison), 0, key.1));
        self.touched.findings.insert(key);
    }

    /// Ends a break because what was wrong is so no more; one that the parties have ended stays as they
    /// have signed it.
    pub(super) fn heal(&mut self, number: u64, now: Moment) {
        if self.open.contains(&(Class::Break, number)) {
            self.close((Class::Break, number), now);
        }
    }

    /// Whether the sources agree about an item: it is matched, or how its break ended is signed.
    pub(super) fn is_clear(&self, comparison: Comparison, id: Id) -> bool {
        self.stands.get(&(comparison, id)).is_some_and(|(class, number)| match class {
            Class::Match => true,
            Class::Proposal => false,
            Class::Break => self.works.get(number).is_some_and(|work| work.state.is_ended()),
        })
    }

    pub(super) fn becomes_unclear(&mut self, comparison: Comparison, id: Id) {
        if let Some(recorded) = self.items.get(&(comparison.source(id.place), id.number)) {
            self.unclear.insert(comparison, id, &recorded.item);
        }
    }

    /// As if everything had changed.
    #[cfg(test)]
    pub(super) fn touch_all(&mut self) {
        self.touched.sheet = true;
        self.touched.items = self.items.keys().copied().collect();
        self.touched.findings = self.findings.keys().copied().collect();
        for (source, book) in &self.books {
            self.touched.days.extend(book.dates().map(|date| (*source, date)));
            let count = u64::try_from(book.statements().len()).unwrap_or(0);
            self.touched.statements.extend((1..=count).map(|number| (*source, number)));
        }
        self.touched.positions = self.positions.keys().copied().collect();
        self.touched.closing = self.closing != Closing::default();
        self.touched.closed_days = self.closed.days.keys().copied().collect();
        for (comparison, desk) in &self.desks {
            let firsts = desk.refused().firsts();
            self.touched.refusals.extend(firsts.map(|first| (*comparison, first)));
        }
    }

    /// What happened since it was last asked, under the next salt.
    pub(super) fn effects(&mut self, drawn: &[u8; 16], now: Moment) -> Vec<u8> {
        self.settle_positions(now);
        self.salt = super::effect::next_salt(&self.salt, drawn);
        self.touched.sheet = true;
        let effects = std::mem::take(&mut self.effects);
        super::effect::encode(&self.id, &self.salt, &effects)
    }
}

/// The items of a finding or an order.
pub(super) fn ids_of(items: &[Vec<u64>; 2]) -> Vec<Id> {
    let of = |(place, numbers): (Place, &Vec<u64>)| -> Vec<Id> {
        numbers.iter().map(|number| Id { place, number: *number }).collect()
    };
    Place::BOTH.into_iter().zip(items).flat_map(of).collect()
}

/// Numbers of items by source, ascending.
pub(super) fn items_of(ids: &[Id]) -> [Vec<u64>; 2] {
    let mut items = [Vec::new(), Vec::new()];
    ids.iter().for_each(|id| items[usize::from(id.place as u8) - 1].push(id.number));
    items.iter_mut().for_each(|numbers: &mut Vec<u64>| numbers.sort_unstable());
    items
}

/// What an agreement compares: with all three sources each book against the ledger.
pub fn comparisons(terms: &Terms) -> impl Iterator<Item = Comparison> + use<> {
    let sources = terms.sources;
    Comparison::ALL.into_iter().filter(move |comparison| match comparison {
        Comparison::LedgerOwner => sources.ledger && sources.owner_book,
        Comparison::LedgerServicer => sources.ledger && sources.servicer_book,
        Comparison::OwnerServicer => !sources.ledger,
    })
}

/// When an item without a counterpart is missing: at the deadline of its value date, or, if it was
/// recorded later than that, at the end of the next business day's.
fn deadline_ms(valued: Date, recorded_ms: u64, terms: &Terms) -> u64 {
    let of_date = terms.missing_from_ms(valued);
    if recorded_ms < of_date {
        return of_date;
    }
    let calendar = &terms.calendar;
    let (today, _) = calendar.local(recorded_ms);
    let this = calendar.is_business_day(today).then_some(today);
    let day = this.unwrap_or_else(|| calendar.next_business_day(today));
    match calendar.instant(day, terms.missing_at_minute) {
        later if later > recorded_ms => later,
        _ => calendar.instant(calendar.next_business_day(day), terms.missing_at_minute),
    }
}

impl Finding {
    /// Whether an item stands in it.
    pub fn has(&self, id: Id) -> bool {
        self.items[usize::from(id.place as u8) - 1].binary_search(&id.number).is_ok()
    }

    /// Whether it says only that an item has no counterpart, or that a run has seen a likely one.
    fn is_of_free_items(&self) -> bool {
        match self.says {
            Says::Match { .. } => false,
            Says::Proposal { pass, .. } => {
                matches!(pass, Pass::Unreferenced | Pass::Sum | Pass::Contra | Pass::Confirmed)
            }
            Says::Break { category } => {
                category != Category::Duplicate && self.items.iter().any(Vec::is_empty)
            }
        }
    }
}
