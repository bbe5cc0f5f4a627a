//! What the last flush left, read while later ones go on.

use super::ACCOUNTS;
use super::CORE;
use super::RECORDS;
use super::StateStore;
use crate::storage::StorageError;
use crate::storage::database::META;
use crate::storage::database::Pair;
use crate::storage::database::View;

/// The state at one moment: of one flush, whole.
pub struct StateView<'a> {
    view: View<'a>,
}

impl StateStore {
    /// The state as the last flush left it. While it is held, nothing that it shows is deleted.
    pub fn view(&self) -> StateView<'_> {
        StateView { view: self.inner.database.view() }
    }
}

impl StateView<'_> {
    /// What the ledger keeps beside accounts and records.
    pub fn core(&self) -> Result<Vec<u8>, StorageError> {
        let core = self.view.get(META, CORE.as_bytes())?;
        core.ok_or_else(|| StorageError::corrupt("state meta", CORE))
    }

    /// Every account, by its ordinal.
    pub fn accounts(&self) -> impl Iterator<Item = Result<Box<[u8]>, StorageError>> + '_ {
        self.view.iterate(ACCOUNTS).map(|pair| Ok(pair?.1))
    }

    /// Every reconciliation record, by its key.
    pub fn records(&self) -> impl Iterator<Item = Result<Pair, StorageError>> + '_ {
        self.view.iterate(RECORDS)
    }
}
