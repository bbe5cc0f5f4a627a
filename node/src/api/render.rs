//! What the ledger knows, in the words of the API.

use bytes::Bytes;
use counterfoil_ledger::account::Account;
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::reconciliation::Book;
use counterfoil_ledger::reconciliation::BreakKind;
use counterfoil_ledger::reconciliation::Entry;
use counterfoil_ledger::registry::Registry;
use counterfoil_proto::v1;
use tonic::Status;

use super::status;

/// Minor units as the API carries them.
pub(super) fn units(amount: i128) -> Result<i64, Status> {
    i64::try_from(amount).map_err(|_| {
        status::impossible(
            "SUM_TOO_LARGE",
            "A sum leaves the range of 63 bits of minor units.",
            "Ask for a shorter range.",
        )
    })
}

/// An amount of an asset.
pub(super) fn money(asset: &AssetCode, amount: i128) -> Result<v1::Money, Status> {
    Ok(v1::Money { asset: asset.as_str().to_owned(), minor_units: units(amount)? })
}

/// An account.
pub(super) fn account(registry: &Registry, account: &Account) -> Result<v1::Account, Status> {
    Ok(v1::Account {
        id: Bytes::copy_from_slice(account.id.as_bytes()),
        ordinal: account.ordinal,
        servicer: account.servicer.to_string(),
        owner: account.owner.to_string(),
        asset: account.asset.as_str().to_owned(),
        exponent: registry.asset(account.asset.as_str()).map_or(0, |it| u32::from(it.exponent)),
        name: account.name.clone(),
        issuance: account.is_issuance(),
        balance: Some(money(&account.asset, account.balance)?),
        posting_count: account.posting_count,
    })
}

/// A place in the ledger.
pub(super) fn position(position: Position) -> v1::Position {
    v1::Position { height: position.height, leaf: position.leaf }
}

/// A side of an account.
pub(super) fn side(side: Side) -> i32 {
    i32::from(match side {
        Side::Debit => v1::Side::Debit,
        Side::Credit => v1::Side::Credit,
    })
}

/// Whose book.
pub(super) fn book(book: Book) -> i32 {
    i32::from(match book {
        Book::Owner => v1::Book::Owner,
        Book::Servicer => v1::Book::Servicer,
    })
}

/// What differs.
pub(super) fn break_kind(kind: BreakKind) -> i32 {
    i32::from(match kind {
        BreakKind::MissingHere => v1::BreakKind::MissingHere,
        BreakKind::MissingThere => v1::BreakKind::MissingThere,
        BreakKind::Amount => v1::BreakKind::Amount,
        BreakKind::Direction => v1::BreakKind::Direction,
        BreakKind::Date => v1::BreakKind::Date,
        BreakKind::Duplicate => v1::BreakKind::Duplicate,
    })
}

/// A book entry.
pub(super) fn book_side(asset: &AssetCode, entry: &Entry) -> Result<v1::BookSide, Status> {
    Ok(v1::BookSide {
        number: entry.number,
        position: Some(position(entry.position)),
        side: side(entry.side),
        amount: Some(money(asset, i128::from(entry.amount))?),
        date: entry.date.yyyymmdd(),
        entry_reference: entry.entry_reference.clone(),
        uetr: entry.uetr.map_or_else(Bytes::new, |it| Bytes::copy_from_slice(it.as_bytes())),
        end_to_end_id: entry.end_to_end_id.clone(),
    })
}
