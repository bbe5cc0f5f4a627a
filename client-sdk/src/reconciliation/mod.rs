//! What reconciliation has found on an account: matches, proposals, breaks, positions, explanations
//! and reports. What people order of it is in [`crate::orders`].

mod explanation;
mod findings;
mod positions;
mod report;
mod watch;

use std::future::Future;

use counterfoil_ledger::agreement::{Party, Terms};
use counterfoil_ledger::matching::item::Source;
use counterfoil_ledger::reconciliation::day::viewed;
use counterfoil_ledger::reconciliation::sheet;
use counterfoil_proto::v1;
use counterfoil_proto::v1::reconciliation_service_client::ReconciliationServiceClient;
use futures::FutureExt;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

pub use self::explanation::{Explanation, StandsIn};
pub use self::findings::WorkedBreak;
pub use self::report::{Equation, Report};
pub use self::watch::{Finding, Happened};

use crate::client::{ANSWER_MAX, Client};
use crate::pages::{Pages, page};

/// The sources that a comparison compares: the first and the second. None for what is no comparison.
pub fn sources(comparison: v1::Comparison) -> Option<[v1::Source; 2]> {
    use v1::Source::{Ledger, OwnerBook, ServicerBook};
    match comparison {
        v1::Comparison::Unspecified => None,
        v1::Comparison::LedgerOwner => Some([Ledger, OwnerBook]),
        v1::Comparison::LedgerServicer => Some([Ledger, ServicerBook]),
        v1::Comparison::OwnerServicer => Some([OwnerBook, ServicerBook]),
    }
}

/// What terms compare: with all three sources each book against the ledger.
pub fn comparisons(terms: &Terms) -> Vec<v1::Comparison> {
    let message = |comparison| v1::Comparison::try_from(comparison as i32).unwrap_or_default();
    sheet::comparisons(terms).map(message).collect()
}

/// What a party's view of a day is of: its own book, or the ledger where that book is not compared.
pub fn own_source(party: Party, terms: &Terms) -> v1::Source {
    match viewed(party, terms) {
        Source::Ledger => v1::Source::Ledger,
        Source::OwnerBook => v1::Source::OwnerBook,
        Source::ServicerBook => v1::Source::ServicerBook,
    }
}

type Service = ReconciliationServiceClient<Channel>;

pub(crate) fn reconciliation(channel: Channel) -> Service {
    ReconciliationServiceClient::new(channel).max_decoding_message_size(ANSWER_MAX)
}

/// A page as a response has it: its items, the token of the next page, and when it was true.
type Listed<T> = (Vec<T>, String, Option<v1::AsOf>);

/// A list of the service. `request` is given the page's token and size.
pub(crate) fn listed<Q, R, T, F>(
    client: &Client,
    request: impl Fn(String, u32) -> Q + Send + Sync + 'static,
    read: fn(R) -> Listed<T>,
    rpc: fn(Service, Request<Q>) -> F,
) -> Pages<T>
where
    Q: Clone + Send + Sync + 'static,
    R: Send + 'static,
    T: Send + 'static,
    F: Future<Output = Result<Response<R>, Status>> + Send + 'static,
{
    let client = client.clone();
    Pages::new(move |token, size| {
        let client = client.clone();
        let message = request(token.clone(), size);
        let read = move |response: R| {
            let (items, next, as_of) = read(response);
            page(items, &token, next, as_of)
        };
        async move {
            client
                .ask(message, read, |channel, request| rpc(reconciliation(channel), request))
                .await
        }
        .boxed()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use counterfoil_ledger::account::AccountId;
    use counterfoil_ledger::bic::Bic;
    use counterfoil_ledger::date::Date;

    use super::*;
    use crate::instructions;

    #[test]
    fn who_compares_what() {
        let bic = |text| Bic::parse(text).unwrap();
        let (servicer, owner) = (bic("AGNTCHZZ"), bic("BANKCHZZ"));
        let account = AccountId::of(&servicer, &owner, "CHF", "settlement");
        let from = Date::from_yyyymmdd(20_261_201).unwrap();
        let message = instructions::agreement_terms(&servicer, &owner, &[account], from);
        let all = Terms::of(&message).unwrap();
        use v1::Comparison::{LedgerOwner, LedgerServicer, OwnerServicer};
        assert_eq!(comparisons(&all), [LedgerOwner, LedgerServicer]);
        assert_eq!(own_source(Party::Servicer, &all), v1::Source::ServicerBook);
        let books = Terms::of(&v1::AgreementTerms { ledger: false, ..message.clone() }).unwrap();
        assert_eq!(comparisons(&books), [OwnerServicer]);
        let settled = v1::AgreementTerms { servicer_book: false, ..message };
        let settled = Terms::of(&settled).unwrap();
        assert_eq!(comparisons(&settled), [LedgerOwner]);
        assert_eq!(own_source(Party::Servicer, &settled), v1::Source::Ledger);
        assert_eq!(own_source(Party::Owner, &settled), v1::Source::OwnerBook);
    }
}
