//! Why an item stands as it does, and what other terms would change.

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_proto::v1;

use super::reconciliation;
use crate::client::{Answer, Client, answer};
use crate::error::Error;

/// What an item stands in.
#[derive(Clone, Debug, PartialEq)]
pub enum StandsIn {
    /// A match.
    Match(Box<v1::Match>),
    /// A break.
    Break(Box<v1::Break>),
    /// Neither: it waits for its counterpart.
    Nothing,
}

/// Why an item stands as it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Which item.
    pub item: v1::Item,
    /// Between which sources.
    pub comparison: v1::Comparison,
    /// Version of the rules.
    pub rule_set: u32,
    /// What it stands in.
    pub stands_in: StandsIn,
    /// Open proposals that name it.
    pub proposals: Vec<v1::Proposal>,
    /// When it is missing if it has no counterpart by then, Unix milliseconds; none if it does not
    /// wait.
    pub deadline_ms: Option<u64>,
    /// Of a duplicate: the number of the item that it repeats.
    pub original: Option<u64>,
    /// Other items that came into question, and why they were not taken.
    pub others: Vec<v1::OtherItem>,
}

impl Client {
    /// Why an item stands as it does between two sources; (unspecified) between the only two that it
    /// is compared between.
    pub async fn explain(
        &self,
        account: AccountId,
        comparison: v1::Comparison,
        source: v1::Source,
        number: u64,
    ) -> Result<Answer<Explanation>, Error> {
        let request = v1::ExplainItemRequest {
            account: Bytes::copy_from_slice(account.as_bytes()),
            comparison: comparison.into(),
            source: source.into(),
            number,
            read_mode: self.read_mode.into(),
        };
        let read = |response: v1::ExplainItemResponse| {
            let (told, as_of) = (response.comparison(), response.as_of.clone());
            let found = explanation(response);
            let found = found.filter(|it| (it.item.source(), it.item.number) == (source, number));
            let found = found.ok_or_else(|| "another item".to_owned())?;
            if comparison != v1::Comparison::Unspecified && told != comparison {
                return Err("another comparison".to_owned());
            }
            answer(found, as_of)
        };
        self.ask(request, read, |channel, request| async move {
            reconciliation(channel).explain_item(request).await
        })
        .await
    }

    /// What other terms of the same two institutions would change of an account's matches by keys.
    /// Nothing is recorded.
    pub async fn try_terms(
        &self,
        account: AccountId,
        terms: v1::AgreementTerms,
    ) -> Result<Answer<Vec<v1::TriedTerms>>, Error> {
        let request = v1::TryTermsRequest {
            account: Bytes::copy_from_slice(account.as_bytes()),
            terms: Some(terms),
            read_mode: self.read_mode.into(),
        };
        let read = |response: v1::TryTermsResponse| answer(response.tried, response.as_of);
        self.ask(request, read, |channel, request| async move {
            reconciliation(channel).try_terms(request).await
        })
        .await
    }
}

fn explanation(response: v1::ExplainItemResponse) -> Option<Explanation> {
    use v1::explain_item_response::StandsIn as Told;
    let comparison = response.comparison();
    Some(Explanation {
        item: response.item?,
        comparison,
        rule_set: response.rule_set,
        stands_in: match response.stands_in {
            Some(Told::Matched(found)) => StandsIn::Match(Box::new(found)),
            Some(Told::Broken(found)) => StandsIn::Break(Box::new(found)),
            None => StandsIn::Nothing,
        },
        proposals: response.proposals,
        deadline_ms: Some(response.deadline_ms).filter(|deadline| *deadline != 0),
        original: Some(response.original).filter(|number| *number != 0),
        others: response.others,
    })
}
