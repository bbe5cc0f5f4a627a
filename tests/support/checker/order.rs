//! Real time: what began after something was reported stands behind it and has seen it, and writes
//! become final again soon after the faults have ended.

use std::collections::BTreeMap;

use super::history::{Answer, Asked, Call, History, Mode, Verdict};
use super::receipts::{Facts, place};
use super::{Findings, Id, Rule};

/// What a node says of an id that it does not know.
const NOT_FOUND: &str = "NOT_FOUND";

/// Heights that were reported, by when: the greatest so far at each moment.
#[derive(Default)]
struct Reported(Vec<(u64, u64)>);

impl Reported {
    fn of(mut reports: Vec<(u64, u64)>) -> Reported {
        reports.sort_unstable();
        let mut greatest = 0;
        for (_, height) in &mut reports {
            greatest = greatest.max(*height);
            *height = greatest;
        }
        Reported(reports)
    }

    /// The greatest height that had been reported before a moment.
    fn before(&self, moment_us: u64) -> Option<u64> {
        let count = self.0.partition_point(|(at, _)| *at < moment_us);
        Some(self.0.get(count.checked_sub(1)?)?.1)
    }
}

/// Judges what depends on when calls began and ended.
pub(super) fn check(history: &History, facts: &Facts, findings: &mut Findings) {
    let of = |only_final: bool| {
        let reports = history.calls.iter().filter_map(|call| {
            let (height, is_final) = reported(&call.answer)?;
            (is_final || !only_final).then_some((call.ended_us, height))
        });
        Reported::of(reports.collect())
    };
    let (reported, reported_final) = (of(false), of(true));
    for call in &history.calls {
        let Asked::Accounts { mode, .. } = &call.asked else { continue };
        let Answer::Accounts(view) = &call.answer else { continue };
        let seen = match mode {
            Mode::Final => reported_final.before(call.begun_us),
            Mode::Ordered => reported.before(call.begun_us),
            Mode::Stale => None,
        };
        findings.require(seen.is_none_or(|seen| view.height >= seen), Rule::ReadsFresh, || {
            format!("{}: height {}, and {seen:?} had been reported", place(call), view.height)
        });
        let certain = view.is_final || *mode != Mode::Final;
        findings.require(certain, Rule::ReadsFresh, || {
            format!("{}: a FINAL read of height {}, which is not", place(call), view.height)
        });
    }
    ids_are_remembered(history, findings);
    order_is_real(history, facts, &reported, findings);
    recovers(history, findings);
}

/// The height that an answer shows to have been reached, and whether that is final.
fn reported(answer: &Answer) -> Option<(u64, bool)> {
    match answer {
        Answer::Decided { is_final, verdicts, .. } => {
            Some((verdicts.iter().map(|it: &Verdict| it.height).max()?, *is_final))
        }
        Answer::Accounts(view) => Some((view.height, view.is_final)),
        Answer::Refused { .. }
        | Answer::Unknown { .. }
        | Answer::Wrong { .. }
        | Answer::Movements(_) => None,
    }
}

fn id_of(call: &Call) -> Option<Id> {
    match &call.asked {
        Asked::Submit { institution, id, .. } | Asked::Instruction { institution, id, .. } => {
            Some((institution.clone(), id.clone()))
        }
        Asked::Accounts { .. } | Asked::Watch { .. } => None,
    }
}

/// Who asks for an id that was reported is told of it.
fn ids_are_remembered(history: &History, findings: &mut Findings) {
    let mut first: BTreeMap<(Id, bool), u64> = BTreeMap::new();
    for call in &history.calls {
        if let (Some(id), Answer::Decided { is_final, .. }) = (id_of(call), &call.answer) {
            for certainty in [false, *is_final] {
                let told = first.entry((id.clone(), certainty)).or_insert(call.ended_us);
                *told = call.ended_us.min(*told);
            }
        }
    }
    for call in &history.calls {
        let Asked::Instruction { mode, .. } = &call.asked else { continue };
        let Answer::Refused { reason, .. } = &call.answer else { continue };
        if reason != NOT_FOUND {
            continue;
        }
        let Some(id) = id_of(call).filter(|_| *mode != Mode::Stale) else { continue };
        let told = first.get(&(id.clone(), *mode == Mode::Final));
        findings.require(told.is_none_or(|told| *told >= call.begun_us), Rule::ReadsFresh, || {
            format!("{}: {reason} of {} of {}, which was reported", place(call), id.1, id.0)
        });
    }
}

/// An instruction stands behind everything that was reported before it was first sent.
fn order_is_real(history: &History, facts: &Facts, reported: &Reported, findings: &mut Findings) {
    let mut sent: BTreeMap<Id, u64> = BTreeMap::new();
    for call in history.calls.iter().filter(|call| matches!(call.asked, Asked::Submit { .. })) {
        if let Some(id) = id_of(call) {
            let first = sent.entry(id).or_insert(call.begun_us);
            *first = call.begun_us.min(*first);
        }
    }
    for ((id, _), fact) in facts.iter().filter(|((_, item), _)| *item == 0) {
        let Some(sent) = sent.get(id) else {
            findings.add(Rule::OnlyOrdered, format!("{} of {} was never submitted", id.1, id.0));
            continue;
        };
        let before = reported.before(*sent);
        let height = fact.verdict.height;
        findings.require(before.is_none_or(|before| height > before), Rule::OrderIsReal, || {
            format!(
                "{} of {}, sent at {sent} µs, is at height {height}; {before:?} was known",
                id.1, id.0
            )
        });
    }
}

/// A write that begins after the faults have ended is final in time.
fn recovers(history: &History, findings: &mut Findings) {
    for healed in &history.healed_us {
        findings.require(
            recovery_us(history, *healed)
                .is_some_and(|took| took <= history.founding.recover_within_us),
            Rule::Recovers,
            || {
                format!(
                    "the faults ended at {healed} µs; the first new write was final {:?} µs later, and {} \
                     are allowed",
                    recovery_us(history, *healed),
                    history.founding.recover_within_us
                )
            },
        );
    }
}

/// How long after a moment the first write that began after it was final.
pub fn recovery_us(history: &History, healed_us: u64) -> Option<u64> {
    let writes = history.calls.iter().filter(|call| {
        let is_write = matches!(call.asked, Asked::Submit { .. });
        is_write && call.begun_us >= healed_us && call.answer.is_final()
    });
    writes.map(|call| call.ended_us - healed_us).min()
}
