//! Matches, breaks and the report of a book against the ledger.

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::date::Date;
use counterfoil_proto::v1;
use counterfoil_proto::v1::reconciliation_service_client::ReconciliationServiceClient;
use futures::{FutureExt, StreamExt};
use tonic::transport::Channel;

use crate::client::{ANSWER_MAX, Answer, Client, answer};
use crate::error::{Error, Failure};
use crate::pages::{Pages, page};
use crate::watch::{Checkpoint, Signal, Watch};

/// Something that reconciliation found.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// A posting and an entry agree.
    Matched(v1::Match),
    /// A break was opened.
    Opened(v1::Break),
    /// A break healed.
    Healed(v1::Break),
}

impl Client {
    /// The matched pairs of an account and a book, in order of the book's entries.
    pub fn matches(&self, account: AccountId, book: v1::Book) -> Pages<v1::Match> {
        let client = self.clone();
        Pages::new(move |page_token, page_size| {
            let client = client.clone();
            let token = page_token.clone();
            let read = move |response: v1::ListMatchesResponse| {
                page(response.matches, &token, response.next_page_token, response.as_of)
            };
            let request = v1::ListMatchesRequest {
                account: Bytes::copy_from_slice(account.as_bytes()),
                book: book.into(),
                page_size,
                page_token,
                read_mode: client.read_mode.into(),
            };
            async move {
                let rpc = |channel, request| async move {
                    reconciliation(channel).list_matches(request).await
                };
                client.ask(request, read, rpc).await
            }
            .boxed()
        })
    }

    /// The breaks of an account by number; of one book, or (unspecified) of both.
    pub fn breaks(
        &self,
        account: AccountId,
        book: v1::Book,
        include_healed: bool,
    ) -> Pages<v1::Break> {
        let client = self.clone();
        Pages::new(move |page_token, page_size| {
            let client = client.clone();
            let token = page_token.clone();
            let read = move |response: v1::ListBreaksResponse| {
                page(response.breaks, &token, response.next_page_token, response.as_of)
            };
            let request = v1::ListBreaksRequest {
                account: Bytes::copy_from_slice(account.as_bytes()),
                book: book.into(),
                include_healed,
                page_size,
                page_token,
                read_mode: client.read_mode.into(),
            };
            async move {
                let rpc = |channel, request| async move {
                    reconciliation(channel).list_breaks(request).await
                };
                client.ask(request, read, rpc).await
            }
            .boxed()
        })
    }

    /// The proof of one book of an account against the ledger for a range of dates, both included;
    /// without dates: from the first to the last statement of the book.
    pub async fn report(
        &self,
        account: AccountId,
        book: v1::Book,
        dates: Option<(Date, Date)>,
    ) -> Result<Answer<v1::GetReportResponse>, Error> {
        let request = v1::GetReportRequest {
            account: Bytes::copy_from_slice(account.as_bytes()),
            book: book.into(),
            from_date: dates.map(|(from, _)| from.yyyymmdd()).unwrap_or_default(),
            to_date: dates.map(|(_, to)| to.yyyymmdd()).unwrap_or_default(),
            read_mode: self.read_mode.into(),
        };
        let read = |response: v1::GetReportResponse| {
            if response.ledger.is_none() || response.book.is_none() {
                return Err("a report with one side only".to_owned());
            }
            let as_of = response.as_of.clone();
            answer(response, as_of)
        };
        self.ask(request, read, |channel, request| async move {
            reconciliation(channel).get_report(request).await
        })
        .await
    }

    /// Matches and breaks of an account from a checkpoint on, as they happen, each once and none
    /// left out, whichever nodes come and go meanwhile.
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
    let (position, finding) = match message.event {
        Some(Event::Matched(pair)) => (pair.matched_at, Finding::Matched(pair)),
        Some(Event::Opened(opened)) => (opened.opened_at, Finding::Opened(opened)),
        Some(Event::Healed(healed)) => (healed.healed_at, Finding::Healed(healed)),
        Some(Event::Heartbeat(position)) => return Ok(Signal::Heartbeat(position.into())),
        None => {
            return Err(Failure::BadAnswer { problem: "an event of unknown kind".to_owned() });
        }
    };
    match position {
        Some(position) => Ok(Signal::Item(position.into(), finding)),
        None => Err(Failure::BadAnswer { problem: "a finding without position".to_owned() }),
    }
}

pub(crate) fn reconciliation(channel: Channel) -> ReconciliationServiceClient<Channel> {
    ReconciliationServiceClient::new(channel).max_decoding_message_size(ANSWER_MAX)
}
