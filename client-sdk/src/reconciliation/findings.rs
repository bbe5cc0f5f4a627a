//! Matches, proposals and breaks.

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_proto::v1;

use super::{listed, reconciliation};
use crate::client::{Answer, Client, answer};
use crate::error::Error;
use crate::pages::Pages;

/// A break with everything that was done with it.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkedBreak {
    /// As it stands.
    pub found: v1::Break,
    /// What was done, in order.
    pub steps: Vec<v1::BreakStep>,
}

impl Client {
    /// The matches of an account by number; of one comparison, or (unspecified) of all.
    pub fn matches(
        &self,
        account: AccountId,
        comparison: v1::Comparison,
        include_undone: bool,
    ) -> Pages<v1::Match> {
        let read_mode = self.read_mode.into();
        listed(
            self,
            move |page_token, page_size| v1::ListMatchesRequest {
                account: Bytes::copy_from_slice(account.as_bytes()),
                comparison: comparison.into(),
                include_undone,
                page_size,
                page_token,
                read_mode,
            },
            |it: v1::ListMatchesResponse| (it.matches, it.next_page_token, it.as_of),
            |mut service, request| async move { service.list_matches(request).await },
        )
    }

    /// What a person has to decide on an account, by number; of one comparison, or (unspecified) of
    /// all.
    pub fn proposals(
        &self,
        account: AccountId,
        comparison: v1::Comparison,
        include_closed: bool,
    ) -> Pages<v1::Proposal> {
        let read_mode = self.read_mode.into();
        listed(
            self,
            move |page_token, page_size| v1::ListProposalsRequest {
                account: Bytes::copy_from_slice(account.as_bytes()),
                comparison: comparison.into(),
                include_closed,
                page_size,
                page_token,
                read_mode,
            },
            |it: v1::ListProposalsResponse| (it.proposals, it.next_page_token, it.as_of),
            |mut service, request| async move { service.list_proposals(request).await },
        )
    }

    /// The breaks of an account by number; of one comparison, or (unspecified) of all.
    pub fn breaks(
        &self,
        account: AccountId,
        comparison: v1::Comparison,
        include_ended: bool,
    ) -> Pages<v1::Break> {
        let read_mode = self.read_mode.into();
        listed(
            self,
            move |page_token, page_size| v1::ListBreaksRequest {
                account: Bytes::copy_from_slice(account.as_bytes()),
                comparison: comparison.into(),
                include_ended,
                page_size,
                page_token,
                read_mode,
            },
            |it: v1::ListBreaksResponse| (it.breaks, it.next_page_token, it.as_of),
            |mut service, request| async move { service.list_breaks(request).await },
        )
    }

    /// One break of an account, with everything that was done with it.
    pub async fn find_break(
        &self,
        account: AccountId,
        number: u64,
    ) -> Result<Answer<WorkedBreak>, Error> {
        let request = v1::GetBreakRequest {
            account: Bytes::copy_from_slice(account.as_bytes()),
            number,
            read_mode: self.read_mode.into(),
        };
        let read = |response: v1::GetBreakResponse| {
            let found = response.found.filter(|found| found.number == number);
            let found = found.ok_or_else(|| "another break".to_owned())?;
            answer(WorkedBreak { found, steps: response.steps }, response.as_of)
        };
        self.ask(request, read, |channel, request| async move {
            reconciliation(channel).get_break(request).await
        })
        .await
    }
}
