//! What happens to an account's reconciliation, as it happens.

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_proto::v1;
use futures::{FutureExt, StreamExt};

use super::reconciliation;
use crate::client::Client;
use crate::error::Failure;
use crate::watch::{Checkpoint, Position, Signal, Watch};

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Where.
    pub at: Position,
    /// What.
    pub what: Happened,
}

/// See [`Finding`]. What was found is told as it stood then.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    /// Items were matched.
    Matched(v1::Match),
    /// A match was undone.
    Undone(v1::Match),
    /// A person has something to decide.
    Proposed(v1::Proposal),
    /// It was decided, or fell away.
    Closed(v1::Proposal),
    /// A break was opened.
    Opened(v1::Break),
    /// A break has another category, or a step was done.
    Changed(v1::Break),
    /// A break healed.
    Healed(v1::Break),
    /// A day was signed, is agreed, or a signature is no longer of what the book says.
    Position(v1::PositionEvent),
}

impl Client {
    /// What happens to an account's matches, proposals, breaks and positions from a checkpoint on,
    /// each once and none left out, whichever nodes come and go meanwhile.
    pub fn watch_reconciliation(&self, account: AccountId, from: Checkpoint) -> Watch<Finding> {
        Watch::new(self.clone(), from, move |client, start_after| {
            async move {
                let request = v1::WatchReconciliationRequest {
                    account: Bytes::copy_from_slice(account.as_bytes()),
                    start_after: start_after.map(v1::Position::from),
                    wait_for: client.finality.into(),
                };
                let rpc = |channel, request| async move {
                    reconciliation(channel).watch_reconciliation(request).await
                };
                let stream = client.open(request, rpc).await?;
                Ok(stream.map(|message| signal(message?)).boxed())
            }
            .boxed()
        })
    }
}

fn signal(message: v1::WatchReconciliationResponse) -> Result<Signal<Finding>, Failure> {
    use v1::watch_reconciliation_response::Event;
    let bad = |problem: &str| Failure::BadAnswer { problem: problem.to_owned() };
    let what = match message.event.ok_or_else(|| bad("an event of unknown kind"))? {
        Event::Matched(found) => Happened::Matched(found),
        Event::Undone(found) => Happened::Undone(found),
        Event::Proposed(proposal) => Happened::Proposed(proposal),
        Event::Closed(proposal) => Happened::Closed(proposal),
        Event::Opened(found) => Happened::Opened(found),
        Event::Changed(found) => Happened::Changed(found),
        Event::Healed(found) => Happened::Healed(found),
        Event::Position(event) => Happened::Position(event),
        Event::Heartbeat(position) => return Ok(Signal::Heartbeat(position.into())),
    };
    let at = Position::from(message.at.ok_or_else(|| bad("a finding without position"))?);
    Ok(Signal::Item(at, Finding { at, what }))
}
