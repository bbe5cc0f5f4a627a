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

/// A page of matches.
pub(super) fn matches(
    replica: &Arc<Replica>,
    account: &Account,
    wanted: &Wanted,
    page: &Page,
) -> Result<v1::ListMatchesResponse, Status> {
    let listed = Listed::of(replica, account, (Class::Match, wanted), page);
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
    let listed = Listed::of(replica, account, (Class::Proposal, wanted), page);
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
    let listed = Listed::of(replica, account, (Class::Break, wanted), page);
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

impl Listed {
    fn of(
        replica: &Arc<Replica>,
        account: &Account,
        (class, wanted): (Class, &Wanted),
        page: &Page,
    ) -> Listed {
        let after = page.after.map_or(0, |(number, _)| number);
        let state = replica.state();
        let as_of = as_of(&state);
        let (mut found, mut last, mut scans) = (Vec::new(), None, 0);
        let sheet = state.reconciliation().sheet(account.ordinal);
        let next = after.saturating_add(1);
        let all = sheet.into_iter().flat_map(|sheet| {
            let findings: Box<dyn Iterator<Item = &Finding>> = if wanted.include_closed {
                Box::new(sheet.findings_from(class, next))
            } else {
                Box::new(sheet.open_findings_from(class, next))
            };
            findings.map(move |finding| (sheet, finding))
        });
        // What was found later than the page is of has a higher number than all that it shows.
        let mut all = all.take_while(|(_, it)| it.opened_at.height <= page.height);
        let has_more = loop {
            let Some((sheet, finding)) = all.next() else { break false };
            if scans >= limits::LOCKED_SCAN_MAX {
                break true;
            }
            scans += 1;
            if wanted.comparison.is_none_or(|it| it == finding.comparison) {
                if found.len() == page.size {
                    break true;
                }
                scans += Found::size(finding);
                found.push(Found::of(&state, account, sheet, finding));
            }
            last = Some(finding.number);
        };
        let next = last.filter(|_| has_more).map(|number| page.token((number, 0)));
        Listed { as_of, found, next_page_token: next.unwrap_or_default() }
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
