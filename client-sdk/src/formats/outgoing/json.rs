//! One object, with the names of the ledger's JSON: lowerCamelCase, 64-bit integers as strings,
//! amounts as decimal, minor units and asset. Each entry stands on a line of its own.

use std::io::Write;

use counterfoil_ledger::block::Side;
use serde_json::Value;
use serde_json::json;

use crate::formats::outgoing::LedgerAccount;
use crate::formats::outgoing::LedgerEntry;
use crate::formats::outgoing::LedgerStatement;
use crate::formats::outgoing::WriteError;
use crate::formats::outgoing::date_time;
use crate::formats::outgoing::signed;
use crate::formats::statement::StatementKind;
use crate::watch::Position;

/// An object that is not closed yet.
pub(super) struct JsonWriter<W: Write> {
    out: W,
    begun: bool,
}

impl<W: Write> JsonWriter<W> {
    /// Writes all that stands before the entries.
    pub(super) fn begin(
        statement: &LedgerStatement,
        mut out: W,
    ) -> Result<JsonWriter<W>, WriteError> {
        let head = head(statement).to_string();
        // The object goes on with its entries.
        out.write_all(head.strip_suffix('}').unwrap_or(&head).as_bytes())?;
        out.write_all(b",\"entries\":[")?;
        Ok(JsonWriter { out, begun: false })
    }

    /// Writes an entry.
    pub(super) fn entry(
        &mut self,
        statement: &LedgerStatement,
        entry: &LedgerEntry,
    ) -> Result<(), WriteError> {
        let separator = if self.begun { ",\n" } else { "\n" };
        self.begun = true;
        self.out.write_all(separator.as_bytes())?;
        let line = json!({
            "position": position(entry.position),
            "sequence": entry.sequence.to_string(),
            "side": if entry.side == Side::Credit { "CREDIT" } else { "DEBIT" },
            "amount": money(&statement.account, entry.units.into()),
            "settlementDate": statement.date.to_string(),
            "counterparty": entry.counterparty.as_str(),
            "counterpartyAccount": entry.counterparty_account.to_string(),
            "uetr": entry.uetr.to_string(),
            "endToEndId": entry.end_to_end_id,
            "blockTime": date_time(entry.block_time_ms),
        });
        Ok(self.out.write_all(line.to_string().as_bytes())?)
    }

    /// Closes the object.
    pub(super) fn finish(mut self) -> Result<W, WriteError> {
        self.out.write_all(b"\n]}\n")?;
        Ok(self.out)
    }
}

fn head(statement: &LedgerStatement) -> Value {
    let account = &statement.account;
    let (from, to) = statement.period();
    let kind = match statement.kind {
        StatementKind::EndOfDay => "END_OF_DAY",
        StatementKind::Intraday => "INTRADAY",
        StatementKind::Notification => "NOTIFICATION",
    };
    let balances = statement.balances;
    let totals = statement.totals;
    json!({
        "kind": kind,
        "id": statement.id(),
        "sequence": statement.sequence().map(|sequence| sequence.to_string()),
        "account": {
            "id": account.id().to_string(),
            "servicer": account.servicer.as_str(),
            "owner": account.owner.as_str(),
            "asset": account.asset.as_str(),
            "exponent": account.exponent,
            "name": account.name,
        },
        "date": statement.date.to_string(),
        "from": from,
        "to": to,
        "after": statement.after.map(position),
        "asOf": {
            "height": statement.as_of.height.to_string(),
            "headerHash": statement.as_of.header_hash.to_string(),
            "blockTime": date_time(statement.as_of.block_time_ms),
        },
        "opening": balances.map(|balances| money(account, balances.opening)),
        "creditCount": totals.credits.count.to_string(),
        "credits": money(account, signed(totals.credits.units)),
        "debitCount": totals.debits.count.to_string(),
        "debits": money(account, signed(totals.debits.units)),
        "closing": balances.map(|balances| money(account, balances.closing)),
    })
}

fn position(position: Position) -> Value {
    json!({ "height": position.height.to_string(), "leaf": position.leaf })
}

fn money(account: &LedgerAccount, units: i128) -> Value {
    json!({
        "amount": account.decimal(units),
        "minorUnits": units.to_string(),
        "asset": account.asset.as_str(),
    })
}
