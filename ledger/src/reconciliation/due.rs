//! Work whose time has come: deadlines of items without a counterpart, and runs by schedule.

use super::{
    Governed, Reconciliation,
    sheet::{Moment, Sheet},
};
use crate::{agreement::Terms, date::Date};

/// Deadlines that one block judges; the rest waits for the next.
pub(crate) const DEADLINES_MAX: usize = 4_096;

/// Days that are looked through for the next business day with a run.
const DAYS_AHEAD_MAX: usize = 400;

/// When runs are next due after a time, Unix milliseconds; none if the terms schedule none.
pub(super) fn next_run_ms(terms: &Terms, after_ms: u64) -> Option<u64> {
    let calendar = &terms.calendar;
    let (mut day, _): (Date, u32) = calendar.local(after_ms);
    for _ in 0..DAYS_AHEAD_MAX {
        if calendar.is_business_day(day) {
            let times = terms.run_times.iter().map(|minute| calendar.instant(day, *minute));
            if let Some(next) = times.filter(|time| *time > after_ms).min() {
                return Some(next);
            }
        }
        day = day.next();
    }
    None
}

impl Sheet {
    /// When it next wants a block, Unix milliseconds: at once while a run is under way.
    pub(super) fn due_ms(&self) -> Option<u64> {
        if self.is_running() {
            return Some(0);
        }
        [self.other_due_ms(), self.closing.due_ms()].into_iter().flatten().min()
    }

    /// When it next wants a block for anything but closing and a run that is under way.
    fn other_due_ms(&self) -> Option<u64> {
        let deadline = self.deadlines.first().map(|(deadline, ..)| *deadline);
        [deadline, self.next_run_ms].into_iter().flatten().min()
    }

    /// Does what is due, as far as the budget goes.
    fn do_due(&mut self, governed: Option<Governed<'_>>, budget: &mut usize, now: Moment) {
        while let Some(first) = self.deadlines.first().copied()
            && first.0 <= now.time_ms
            && *budget > 0
        {
            let (_, comparison, id) = first;
            self.deadlines.remove(&first);
            *budget -= 1;
            self.judge_absence(comparison, id, now);
        }
        let Some(governed) = governed else {
            self.next_run_ms = None;
            self.runs.clear();
            self.give_up_closing();
            return;
        };
        if self.next_run_ms.is_some_and(|due| due <= now.time_ms) {
            self.next_run_ms = next_run_ms(governed.terms, now.time_ms);
            self.begin_run();
        }
        if self.is_running() {
            *budget /= 2;
            self.run(&governed.rules(), now);
        }
        self.close_some(governed.terms, budget, now);
    }
}

impl Reconciliation {
    /// The account whose work is due first, if any is.
    pub(crate) fn due_account(&self, now_ms: u64) -> Option<u32> {
        let (due_ms, account) = self.due.first()?;
        (*due_ms <= now_ms).then_some(*account)
    }

    /// Does what is due for an account.
    pub(crate) fn do_due(
        &mut self,
        account: u32,
        governed: Option<Governed<'_>>,
        budget: &mut usize,
        now: Moment,
    ) -> Vec<u8> {
        let Some(sheet) = self.sheets.get_mut(&account) else { return Vec::new() };
        let before = sheet.due_ms();
        let only_closes =
            !sheet.is_running() && sheet.other_due_ms().is_none_or(|due| due > now.time_ms);
        sheet.do_due(governed, budget, now);
        if only_closes && sheet.effects.is_empty() {
            // Closing tells only that it is done.
            let after = sheet.due_ms();
            self.reschedule(account, before, after);
            self.touched.insert(account);
            return Vec::new();
        }
        self.changed(account, governed, before, &[0; 16], now)
    }
}
