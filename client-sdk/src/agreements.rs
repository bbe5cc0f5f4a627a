//! Agreements: how two institutions reconcile, offered by one and answered by the other.

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::{AgreementId, Terms};
use counterfoil_ledger::date::Date;
use counterfoil_proto::v1;
use futures::FutureExt;

use crate::client::{Answer, Client, answer};
use crate::error::Error;
use crate::pages::{Pages, page};
use crate::reconciliation::reconciliation;

/// An agreement, or an offer of one, with the terms that its id names.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// The beginning of SHA-256 over the terms.
    pub id: AgreementId,
    /// The terms; they have this id, whatever node told them.
    pub terms: Terms,
    /// What has become of it, and who signed what, as the node says.
    pub summary: v1::AgreementSummary,
}

impl Client {
    /// The agreements of the own institution, offers included, in the order of the offers.
    pub fn agreements(&self) -> Pages<v1::AgreementSummary> {
        let client = self.clone();
        Pages::new(move |page_token, page_size| {
            let client = client.clone();
            let token = page_token.clone();
            let read = move |response: v1::ListAgreementsResponse| {
                page(response.agreements, &token, response.next_page_token, response.as_of)
            };
            let request = v1::ListAgreementsRequest {
                page_size,
                page_token,
                read_mode: client.read_mode.into(),
            };
            async move {
                let rpc = |channel, request| async move {
                    reconciliation(channel).list_agreements(request).await
                };
                client.ask(request, read, rpc).await
            }
            .boxed()
        })
    }

    /// The agreement that governs an account now or from its first value date on: the active one that
    /// names it. None if the own institution has no such agreement.
    pub async fn agreement_of(&self, account: AccountId) -> Result<Option<Agreement>, Error> {
        let listed = self.agreements().all().await?.value;
        for summary in listed.iter().filter(|it| it.state() == v1::AgreementState::Active) {
            let id = AgreementId::from_bytes(&summary.id);
            let id = id.ok_or_else(|| Error::bad_answer("an agreement without an id"))?;
            let found = self.agreement(id).await?.value;
            if found.terms.accounts.contains(&account) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The agreement that governs an account's items with a value date, whether it has been superseded
    /// since or not. None if the own institution has no such agreement.
    pub async fn governing(
        &self,
        account: AccountId,
        value_date: Date,
    ) -> Result<Option<Agreement>, Error> {
        let listed = self.agreements().all().await?.value;
        let date = value_date.yyyymmdd();
        let signed = [v1::AgreementState::Active, v1::AgreementState::Superseded];
        let mut begun: Vec<&v1::AgreementSummary> = listed
            .iter()
            .filter(|it| signed.contains(&it.state()) && it.effective_from <= date)
            .collect();
        begun.sort_by_key(|it| std::cmp::Reverse(it.effective_from));
        for summary in &begun {
            let id = AgreementId::from_bytes(&summary.id);
            let id = id.ok_or_else(|| Error::bad_answer("an agreement without an id"))?;
            let found = self.agreement(id).await?.value;
            if found.terms.accounts.contains(&account) {
                // The one that took its place left the account out, or it would have been found first.
                let ended = begun.iter().any(|it| it.id == summary.superseded_by);
                return Ok(Some(found).filter(|_| !ended));
            }
        }
        Ok(None)
    }

    /// One of them, with its terms. Terms that another id names are not believed: what is accepted is
    /// what was shown.
    pub async fn agreement(&self, id: AgreementId) -> Result<Answer<Agreement>, Error> {
        let request = v1::GetAgreementRequest {
            id: Bytes::copy_from_slice(id.as_bytes()),
            read_mode: self.read_mode.into(),
        };
        let read = |response: v1::GetAgreementResponse| {
            let summary = response.summary.filter(|it| it.id[..] == id.as_bytes()[..]);
            let summary = summary.ok_or_else(|| "another agreement".to_owned())?;
            let terms = response.terms.filter(|terms| AgreementId::of(terms) == id);
            let terms = terms.ok_or_else(|| "terms that have another id".to_owned())?;
            let terms = Terms::of(&terms).map_err(|reason| reason.meaning().to_owned())?;
            answer(Agreement { id, terms, summary }, response.as_of)
        };
        self.ask(request, read, |channel, request| async move {
            reconciliation(channel).get_agreement(request).await
        })
        .await
    }
}
