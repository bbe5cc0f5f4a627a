//! Statements of a book, for whoever keeps it, and for the other party where originals are kept.

use std::sync::Arc;

use bytes::Bytes;
use counterfoil_ledger::account::Account;
use counterfoil_ledger::agreement::Agreements;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::matching::item::Source;
use counterfoil_ledger::reconciliation::book::StatementRecord;
use counterfoil_proto::v1;
use tonic::Status;

use super::as_of;
use crate::api::page::Page;
use crate::api::render;
use crate::api::status;
use crate::api::visibility::Scope;
use crate::consensus::replica::Replica;
use crate::limits;

/// The book that a request names.
pub(super) fn book(source: i32) -> Result<Source, Status> {
    match v1::Source::try_from(source) {
        Ok(v1::Source::OwnerBook) => Ok(Source::OwnerBook),
        Ok(v1::Source::ServicerBook) => Ok(Source::ServicerBook),
        _ => Err(status::field("source", "OWNER_BOOK or SERVICER_BOOK; it is required")),
    }
}

/// A page of what a scope sees.
pub(super) fn list(
    replica: &Arc<Replica>,
    account: &Account,
    scope: &Scope,
    source: Source,
    page: &Page,
) -> v1::ListStatementsResponse {
    let keeper = if source == Source::OwnerBook { &account.owner } else { &account.servicer };
    let is_own = scope.consortium || scope.is(keeper);
    let after = page.after.map_or(0, |(number, _)| number);
    let state = replica.state();
    let sheet = state.reconciliation().sheet(account.ordinal);
    let all = sheet.and_then(|sheet| sheet.book(source)).map_or(&[][..], |book| book.statements());
    let skipped = usize::try_from(after).unwrap_or(usize::MAX).min(all.len());
    // What was recorded later than the page is of has a higher number than all that it shows.
    let all = all[skipped..].iter().take_while(|it| it.position.height <= page.height);
    let (mut statements, mut last, mut has_more) = (Vec::new(), after, false);
    for (scanned, it) in all.enumerate() {
        if statements.len() == page.size || scanned == limits::LOCKED_SCAN_MAX {
            has_more = true;
            break;
        }
        last = it.number;
        let told = told(state.agreements(), account, it);
        if is_own || !told.agreement.is_empty() {
            statements.push(told);
        }
    }
    v1::ListStatementsResponse {
        statements,
        next_page_token: if has_more { page.token((last, 0)) } else { String::new() },
        as_of: Some(as_of(&state)),
    }
}

fn told(agreements: &Agreements, account: &Account, it: &StatementRecord) -> v1::RecordedStatement {
    let governing = agreements.governing(&account.id, it.to);
    let keeping = governing.filter(|agreement| agreement.terms.originals.is_some());
    let original = if it.original == Hash::ZERO { Bytes::new() } else { it.original.to_bytes() };
    v1::RecordedStatement {
        number: it.number,
        statement_id: it.id.clone(),
        from_date: it.from.yyyymmdd(),
        to_date: it.to.yyyymmdd(),
        opening_balance: it.opening,
        closing_balance: it.closing,
        sequence: it.sequence,
        original,
        agreement: keeping.map_or(Bytes::new(), |it| Bytes::copy_from_slice(it.id.as_bytes())),
        position: Some(render::position(it.position)),
    }
}
