//! Planted faults of statements: one is not sent, one is sent twice, and one does not add up.

use std::collections::BTreeSet;

use counterfoil_ledger::{
    agreement::Party, bic::Bic, date::Date, matching::pair::Category,
    reconciliation::orders::ResolutionKind,
};

use super::{
    faults::{Case, Planter},
    names,
    plan::{Misstated, Step, after},
};

impl Planter {
    /// Three statements of each account are not as they should be.
    pub(super) fn misstate(&mut self, seed: u64) {
        for partner in self.plan.partners() {
            let quiet = self.quiet_days(partner);
            // Five days apart, so that no two are under way at once.
            let day = |kind: &str, offset: u32| {
                let draw =
                    names::derived(&["misstated", &seed.to_string(), partner.as_str(), kind]);
                let new_year = Date::from_yyyymmdd(19_930_103).expect("a day");
                let week = u32::from(draw.as_bytes()[0]) % 20;
                let days = (0..18).map(move |turn| (week + turn) % 20 * 15 + offset);
                days.map(move |days| after(new_year, days)).find(|day| quiet.contains(day))
            };
            let day = |kind, offset| day(kind, offset).expect("a bank has quiet days");
            let party = |kind: &str| {
                let draw = names::derived(&["states", &seed.to_string(), partner.as_str(), kind]);
                [Party::Servicer, Party::Owner][usize::from(draw.as_bytes()[0] % 2)]
            };
            let of = |kind, date| Case { party: party(kind), partner, date };
            let (absent, again) = (of("absent", day("absent", 0)), of("again", day("again", 5)));
            let closing = of("closing", day("closing", 10));
            self.absent(absent);
            self.again(again);
            self.wrong_closing(closing);
        }
    }

    /// Days on which an account does not move, and of which nothing is wrong.
    fn quiet_days(&self, partner: Bic) -> BTreeSet<Date> {
        let busy = self.plan.days.iter().filter(|(_, days)| days.contains_key(&partner));
        let busy = busy.map(|(date, _)| *date);
        let valued = self.plan.stories.iter().flat_map(|story| story.items.iter());
        let busy: BTreeSet<Date> = busy.chain(valued.map(|item| item.date)).collect();
        let year = (0..360).map(|day| after(Date::from_yyyymmdd(19_930_102).expect("a day"), day));
        year.filter(|date| !busy.contains(date)).collect()
    }

    /// A statement is not sent, and the next one has a number too far.
    fn absent(&mut self, case: Case) {
        self.planted += 1;
        let (next, until) = (after(case.date, 1), after(case.date, 3));
        let absent = (case.party, Misstated::Absent);
        self.plan.day(case.date, case.partner).misstated.push(absent);
        self.story(case, Vec::new(), vec![(next, Category::StatementGap)], until);
        let late = Step::StateLate(case.party, case.date);
        self.plan.day(until, case.partner).morning.push(late);
    }

    /// A statement is sent twice: the second has a number that another one has.
    fn again(&mut self, case: Case) {
        self.planted += 1;
        let (next, until) = (after(case.date, 1), after(case.date, 2));
        let again = Step::StateAgain(case.party, case.date);
        self.plan.day(next, case.partner).morning.push(again);
        let which = self.story(case, Vec::new(), vec![(next, Category::StatementGap)], until);
        let end = Step::Resolve(which, ResolutionKind::NoAction, case.party);
        self.plan.day(until, case.partner).morning.push(end);
    }

    /// A statement does not add up; the right one follows.
    fn wrong_closing(&mut self, case: Case) {
        self.planted += 1;
        let until = after(case.date, 1);
        let wrong = (case.party, Misstated::Closing);
        self.plan.day(case.date, case.partner).misstated.push(wrong);
        let stages = vec![(case.date, Category::StatementUnbalanced)];
        let which = self.story(case, Vec::new(), stages, until);
        let end = Step::Resolve(which, ResolutionKind::BookCorrected, case.party);
        let rightly = Step::StateRightly(case.party, case.date);
        self.plan.day(until, case.partner).morning.extend([rightly, end]);
        // Somebody slips when signing, too, and is told so.
        self.plan.day(case.date, case.partner).slips.push(case.party);
    }
}
