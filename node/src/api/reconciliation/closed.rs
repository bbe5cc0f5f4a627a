//! What has closed, read from storage. The state says that something has; then it is there, and stays
//! as it is, so that nothing is locked while it is read.

use counterfoil_ledger::account::Account;
use counterfoil_ledger::agreement::Terms;
use counterfoil_ledger::matching::item::Comparison;
use counterfoil_ledger::matching::item::Place;
use counterfoil_ledger::matching::item::Source;
use counterfoil_ledger::reconciliation::archive::Archive;
use counterfoil_ledger::reconciliation::archive::ClosedItem;
use counterfoil_ledger::reconciliation::archive::Unread;
use counterfoil_ledger::reconciliation::astray::Elsewhere;
use counterfoil_ledger::reconciliation::finding::Class;
use counterfoil_ledger::reconciliation::finding::Finding;
use counterfoil_ledger::reconciliation::sheet::Recorded;
use tonic::Status;

use super::findings::Found;
use super::findings::Placed;
use crate::api::status;
use crate::consensus::replica::Replica;
use crate::storage::StorageError;

/// Items of a finding with their sources: those of the first source, and those of the second.
pub(super) type Items = [Vec<(Source, Recorded)>; 2];

/// What storage says of a key.
type Read = Result<Option<Vec<u8>>, StorageError>;

/// What has closed of an account.
pub(super) struct Closed<'a> {
    replica: &'a Replica,
    account: &'a Account,
}

impl<'a> Closed<'a> {
    pub(super) fn of(replica: &'a Replica, account: &'a Account) -> Closed<'a> {
        Closed { replica, account }
    }

    /// An item; none if none with this number has closed.
    pub(super) fn item(&self, source: Source, number: u64) -> Result<Option<ClosedItem>, Status> {
        self.archive().item(source, number).map_err(unread)
    }

    /// A finding that has closed, with its items.
    pub(super) fn found(&self, class: Class, number: u64) -> Result<Found, Status> {
        let closed = self.archive().finding(class, number).map_err(unread)?;
        let closed = closed.ok_or_else(|| status::inconsistent("a finding of the archive"))?;
        let items = self.items(&closed.finding, Default::default())?;
        let (elsewhere, terms) = (self.elsewhere(&closed.finding)?, self.terms(&items));
        Ok(Found::closed(closed, items, elsewhere, terms))
    }

    /// Where the counterpart of a finding's item was found, whether that has closed there or not.
    pub(super) fn elsewhere(&self, finding: &Finding) -> Result<Option<Placed>, Status> {
        let Some(Elsewhere { account, source, number }) = finding.elsewhere else {
            return Ok(None);
        };
        let (account, open) = {
            let state = self.replica.state();
            let Some(found) = state.account_at(account) else { return Ok(None) };
            let sheet = state.reconciliation().sheet(account);
            (found.clone(), sheet.and_then(|sheet| sheet.recorded(source, number)).cloned())
        };
        let recorded = match open {
            Some(recorded) => Some(recorded),
            None => Closed::of(self.replica, &account).item(source, number)?.map(|it| it.recorded),
        };
        Ok(recorded.map(|recorded| (account, source, recorded)))
    }

    /// The items of a finding, of which those that have not closed are known.
    pub(super) fn items(&self, finding: &Finding, known: Items) -> Result<Items, Status> {
        let comparison = finding.comparison;
        let mut places = Place::BOTH.into_iter().zip(&finding.items).zip(known);
        let mut next = || -> Result<Vec<(Source, Recorded)>, Status> {
            let Some(((place, numbers), known)) = places.next() else { return Ok(Vec::new()) };
            self.filled(comparison, place, numbers, known)
        };
        Ok([next()?, next()?])
    }

    fn filled(
        &self,
        comparison: Comparison,
        place: Place,
        numbers: &[u64],
        known: Vec<(Source, Recorded)>,
    ) -> Result<Vec<(Source, Recorded)>, Status> {
        if known.len() == numbers.len() {
            return Ok(known);
        }
        let source = comparison.source(place);
        let mut known = known.into_iter().peekable();
        let mut items = Vec::with_capacity(numbers.len());
        for number in numbers {
            let item = match known.next_if(|(_, recorded)| recorded.item.number == *number) {
                Some((_, recorded)) => recorded,
                None => {
                    let closed = self.item(source, *number)?;
                    closed.ok_or_else(|| status::inconsistent("an item of the archive"))?.recorded
                }
            };
            items.push((source, item));
        }
        Ok(items)
    }

    /// The terms that a break of these items is aged by.
    fn terms(&self, items: &Items) -> Option<Terms> {
        let dates = items.iter().flatten().map(|(_, recorded)| recorded.item.date);
        let state = self.replica.state();
        let (agreements, id) = (state.agreements(), &self.account.id);
        let governing = dates.min().and_then(|date| agreements.governing(id, date));
        Some(governing.or_else(|| agreements.newest(id))?.terms.clone())
    }

    fn archive(&self) -> Archive<impl Fn(&[u8]) -> Read + use<'_>> {
        let store = self.replica.store();
        Archive::new(self.account.ordinal, move |key: &[u8]| store.archived(key))
    }
}

fn unread(unread: Unread<StorageError>) -> Status {
    match unread {
        Unread::Storage(error) => status::storage(&error),
        Unread::Damaged => {
            let place = "a record does not decode";
            status::storage(&StorageError::corrupt("the archive", place))
        }
    }
}
