//! Pages of findings. A page has those that were found up to the first page's height, as they stand when
//! this page is read.

use std::sync::Arc;

use counterfoil_ledger::account::Account;
use counterfoil_ledger::matching::item::Comparison;
use counterfoil_ledger::reconciliation::finding::Class;
use counterfoil_ledger::reconciliation::finding::Finding;
use counterfoil_proto::v1;
use tonic::Status;

use super::as_of;
use super::closed::Closed;
use super::findings::Found;
use super::findings::Telling;
use crate::api::page::Page;
use crate::consensus::replica::Replica;
use crate::limits;

/// Which findings.
pub(super) struct Wanted {
    /// Between these sources; none = any.
    pub(super) comparison: Option<Comparison>,
    /// Those that have ended, too.
    pub(super) include_closed: bool,
}

impl Wanted {
    fn takes(&self, finding: &Finding) -> bool {
        self.comparison.is_none_or(|it| it == finding.comparison)
            && (self.include_closed || finding.closed_at.is_none())
    }
}

/// A page of matches.
pub(super) fn matches(
    replica: &Arc<Replica>,
    account: &Account,
    wanted: &Wanted,
    page: &Page,
) -> Result<v1::ListMatchesResponse, Status> {
    let listed = Listed::of(replica, account, (Class::Match, wanted), page)?;
    let matches = listed.told(replica, account, |telling, found| telling.matched(found))?;
    let (next_page_token, as_of) = listed.end();
    Ok(v1::ListMatchesResponse { matches, next_page_token, as_of })
}

/// A page of proposals.
pub(super) fn proposals(
    replica: &Arc<Replica>,
    account: &Account,
    wanted: &Wanted,
    page: &Page,
) -> Result<v1::ListProposalsResponse, Status> {
    let listed = Listed::of(replica, account, (Class::Proposal, wanted), page)?;
    let proposals = listed.told(replica, account, |telling, found| telling.proposal(found))?;
    let (next_page_token, as_of) = listed.end();
    Ok(v1::ListProposalsResponse { proposals, next_page_token, as_of })
}

/// A page of breaks.
pub(super) fn breaks(
    replica: &Arc<Replica>,
    account: &Account,
    wanted: &Wanted,
    page: &Page,
) -> Result<v1::ListBreaksResponse, Status> {
    let listed = Listed::of(replica, account, (Class::Break, wanted), page)?;
    let breaks = listed.told(replica, account, |telling, found| telling.broken(found))?;
    let (next_page_token, as_of) = listed.end();
    Ok(v1::ListBreaksResponse { breaks, next_page_token, as_of })
}

/// A page, taken out of the state.
struct Listed {
    as_of: v1::AsOf,
    found: Vec<Found>,
    next_page_token: String,
}

/// A number of a list: a finding, or that it has closed.
type Slot = (u64, Option<Found>);

impl Listed {
    fn of(
        replica: &Arc<Replica>,
        account: &Account,
        (class, wanted): (Class, &Wanted),
        page: &Page,
    ) -> Result<Listed, Status> {
        let (as_of, slots, mut more_after) = slots(replica, account, (class, wanted), page);
        let closed = Closed::of(replica, account);
        let (mut found, mut last, mut scans) = (Vec::new(), 0, 0);
        for (number, slot) in slots {
            if scans >= limits::LOCKED_SCAN_MAX {
                more_after = Some(last);
                break;
            }
            last = number;
            let it = match slot {
                Some(found) => found.whole(&closed)?,
                None => closed.found(class, number)?,
            };
            if it.finding.opened_at.height > page.height {
                more_after = None;
                break;
            }
            scans += Found::size(&it.finding);
            if wanted.takes(&it.finding) {
                found.push(it);
            }
        }
        let next_page_token = more_after.map(|number| page.token((number, 0))).unwrap_or_default();
        Ok(Listed { as_of, found, next_page_token })
    }

    fn told<T>(
        &self,
        replica: &Replica,
        account: &Account,
        tell: impl Fn(&Telling<'_>, &Found) -> Result<T, Status>,
    ) -> Result<Vec<T>, Status> {
        let telling = Telling { replica, account, now_ms: self.as_of.block_time_ms };
        self.found.iter().map(|found| tell(&telling, found)).collect()
    }

    fn end(self) -> (String, Option<v1::AsOf>) {
        (self.next_page_token, Some(self.as_of))
    }
}

/// The next numbers of a page, and, if there are more, the last that was looked at.
fn slots(
    replica: &Arc<Replica>,
    account: &Account,
    (class, wanted): (Class, &Wanted),
    page: &Page,
) -> (v1::AsOf, Vec<Slot>, Option<u64>) {
    let after = page.after.map_or(0, |(number, _)| number);
    let state = replica.state();
    let as_of = as_of(&state);
    let Some(sheet) = state.reconciliation().sheet(account.ordinal) else {
        return (as_of, Vec::new(), None);
    };
    let next = after.saturating_add(1);
    // Open proposals and breaks do not close.
    let all: Box<dyn Iterator<Item = (u64, Option<&Finding>)>> =
        if wanted.include_closed || class == Class::Match {
            let numbers = next..=sheet.finding_count(class);
            Box::new(numbers.map(|number| (number, sheet.finding(class, number))))
        } else {
            let open = sheet.open_findings_from(class, next);
            Box::new(open.map(|finding| (finding.number, Some(finding))))
        };
    let (mut slots, mut last, mut scans) = (Vec::new(), after, 0);
    for (number, finding) in all {
        // What was found later than the page is of has a higher number than all that it shows.
        if finding.is_some_and(|it| it.opened_at.height > page.height) {
            break;
        }
        if scans >= limits::LOCKED_SCAN_MAX {
            return (as_of, slots, Some(last));
        }
        scans += 1;
        if finding.is_none_or(|it| wanted.takes(it)) {
            if slots.len() == page.size {
                return (as_of, slots, Some(last));
            }
            scans += finding.map_or(0, Found::size);
            slots.push((number, finding.map(|it| Found::of(&state, account, sheet, it))));
        }
        last = number;
    }
    (as_of, slots, None)
}
