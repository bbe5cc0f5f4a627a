//! What reconciliation has found on an account: matches, proposals, breaks, positions, explanations
//! and reports. What people order of it is in [`crate::orders`].

mod explanation;
mod findings;
mod positions;
mod report;
mod watch;

use std::future::Future;

use counterfoil_ledger::agreement::Party;
use counterfoil_ledger::agreement::terms::Sources;
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

/// The comparisons of an agreement that compares these sources.
pub fn comparisons(compared: &Sources) -> Vec<v1::Comparison> {
    let has = |source: v1::Source| match source {
        v1::Source::Unspecified => false,
        v1::Source::Ledger => compared.ledger,
        v1::Source::OwnerBook => compared.owner_book,
        v1::Source::ServicerBook => compared.servicer_book,
    };
    use v1::Comparison::{LedgerOwner, LedgerServicer, OwnerServicer};
    let all = [LedgerOwner, LedgerServicer, OwnerServicer].into_iter();
    all.filter(|one| sources(*one).is_some_and(|both| both.into_iter().all(has))).collect()
}

/// What a party's view of a day is of: its own book, or the ledger where that book is not compared.
pub fn own_source(party: Party, compared: &Sources) -> v1::Source {
    match party {
        Party::Owner if compared.owner_book => v1::Source::OwnerBook,
        Party::Servicer if compared.servicer_book => v1::Source::ServicerBook,
        _ => v1::Source::Ledger,
    }
}

type Service = ReconciliationServiceClient<Channel>;

pub(crate) fn reconciliation(channel: Channel) -> Service {
    ReconciliationServiceClient::new(channel).max_decoding_message_size(ANSWER_MAX)
}

/// A page as a response has it: its items, the token of the next page, and when it was true.
type Listed<T> = (Vec<T>, String, Option<v1::AsOf>);

/// A list of the service. `request` is given the page's token and size.
fn listed<Q, R, T, F>(
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
    use super::*;

    #[test]
    fn who_compares_what() {
        let all = Sources { ledger: true, owner_book: true, servicer_book: true };
        assert_eq!(comparisons(&all).len(), 3);
        let books = Sources { ledger: false, ..all };
        assert_eq!(comparisons(&books), [v1::Comparison::OwnerServicer]);
        assert_eq!(own_source(Party::Owner, &books), v1::Source::OwnerBook);
        let settled = Sources { servicer_book: false, ..all };
        assert_eq!(comparisons(&settled), [v1::Comparison::LedgerOwner]);
        assert_eq!(own_source(Party::Servicer, &settled), v1::Source::Ledger);
    }
}
