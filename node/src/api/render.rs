//! What the ledger knows, in the words of the API.

use bytes::Bytes;
use counterfoil_ledger::account::Account;
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::block::Side;
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
