//! Watches: what each gave is what the ledger's order gives, from the first posting on without a gap.

use super::history::{Answer, Asked, History};
use super::model::Ledger;
use super::receipts::place;
use super::{Findings, Rule};

/// Compares what watches gave with the ledger's order.
pub(super) fn check(history: &History, ledger: &Ledger, findings: &mut Findings) {
    for call in &history.calls {
        let (Asked::Watch { account, to_end }, Answer::Movements(movements)) =
            (&call.asked, &call.answer)
        else {
            continue;
        };
        let postings = ledger.accounts.get(account).map_or(&[][..], Vec::as_slice);
        let all = !to_end || movements.len() >= postings.len();
        findings.require(all, Rule::WatchComplete, || {
            format!("{}: {} of {} postings", place(call), movements.len(), postings.len())
        });
        for (number, movement) in movements.iter().enumerate() {
            let posting = postings.get(number);
            let told = ((movement.height, movement.leaf), movement.change, movement.balance);
            let known = posting.map(|it| (it.at, it.change, it.balance));
            let in_turn = usize::try_from(movement.sequence).ok() == Some(number + 1);
            if known != Some(told) || !in_turn {
                findings.add(
                    Rule::WatchComplete,
                    format!(
                        "{}: {movement:?} as number {}, not {posting:?}",
                        place(call),
                        number + 1
                    ),
                );
                break;
            }
        }
    }
}
