//! Accounts, balances and movements.

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::date::Date;
use counterfoil_proto::v1;
use counterfoil_proto::v1::account_service_client::AccountServiceClient;
use futures::{FutureExt, StreamExt};
use tonic::transport::Channel;

use crate::client::{ANSWER_MAX, Answer, Client, answer};
use crate::error::{Error, Failure};
use crate::pages::{Pages, page};
use crate::watch::{Checkpoint, Position, Signal, Watch};

impl Client {
    /// The accounts that the caller may see, in order of opening; of one asset, or of all.
    pub fn accounts(&self, asset: Option<AssetCode>) -> Pages<v1::Account> {
        let client = self.clone();
        let asset = asset.map(|asset| asset.as_str().to_owned()).unwrap_or_default();
        Pages::new(move |page_token, page_size| {
            let (client, asset) = (client.clone(), asset.clone());
            let read_mode = client.read_mode.into();
            let token = page_token.clone();
            let read = move |response: v1::ListAccountsResponse| {
                page(response.accounts, &token, response.next_page_token, response.as_of)
            };
            let request = v1::ListAccountsRequest { page_size, page_token, asset, read_mode };
            async move {
                let rpc = |channel, request| async move {
                    accounts(channel).list_accounts(request).await
                };
                client.ask(request, read, rpc).await
            }
            .boxed()
        })
    }

    /// An account with its balance, now or after the block at a height.
    pub async fn balance(
        &self,
        account: AccountId,
        at_height: Option<u64>,
    ) -> Result<Answer<v1::Account>, Error> {
        let request = v1::GetBalanceRequest {
            account: Bytes::copy_from_slice(account.as_bytes()),
            at_height: at_height.unwrap_or_default(),
            read_mode: self.read_mode.into(),
        };
        let read = |response: v1::GetBalanceResponse| {
            let found = response.account.ok_or("no account")?;
            if found.id != account.as_bytes()[..] || found.balance.is_none() {
                return Err("another account, or none of its balance".to_owned());
            }
            answer(found, response.as_of)
        };
        self.ask(request, read, |channel, request| async move {
            accounts(channel).get_balance(request).await
        })
        .await
    }

    /// The postings of an account, oldest first; those of some settlement dates, or all.
    pub fn movements(
        &self,
        account: AccountId,
        from: Option<Date>,
        to: Option<Date>,
    ) -> Pages<v1::Movement> {
        let client = self.clone();
        Pages::new(move |page_token, page_size| {
            let client = client.clone();
            let token = page_token.clone();
            let read = move |response: v1::ListMovementsResponse| {
                page(response.movements, &token, response.next_page_token, response.as_of)
            };
            let request = v1::ListMovementsRequest {
                account: Bytes::copy_from_slice(account.as_bytes()),
                page_size,
                page_token,
                from_date: from.map(Date::yyyymmdd).unwrap_or_default(),
                to_date: to.map(Date::yyyymmdd).unwrap_or_default(),
                read_mode: client.read_mode.into(),
            };
            async move {
                let rpc = |channel, request| async move {
                    accounts(channel).list_movements(request).await
                };
                client.ask(request, read, rpc).await
            }
            .boxed()
        })
    }

    /// The postings of an account from a checkpoint on, as they happen, each once and none left
    /// out, whichever nodes come and go meanwhile.
    pub fn watch_movements(&self, account: AccountId, from: Checkpoint) -> Watch<v1::Movement> {
        Watch::new(self.clone(), from, move |client, start_after| {
            async move {
                let request = v1::WatchMovementsRequest {
                    account: Bytes::copy_from_slice(account.as_bytes()),
                    start_after: start_after.map(v1::Position::from),
                    wait_for: client.finality.into(),
                };
                let rpc = |channel, request| async move {
                    accounts(channel).watch_movements(request).await
                };
                let stream = client.open(request, rpc).await?;
                Ok(stream.map(|message| signal(message?)).boxed())
            }
            .boxed()
        })
    }
}

fn signal(message: v1::WatchMovementsResponse) -> Result<Signal<v1::Movement>, Failure> {
    use v1::watch_movements_response::Event;
    match message.event {
        Some(Event::Movement(movement)) => match movement.position {
            Some(position) => Ok(Signal::Item(Position::from(position), movement)),
            None => Err(Failure::BadAnswer { problem: "a movement without position".to_owned() }),
        },
        Some(Event::Heartbeat(position)) => Ok(Signal::Heartbeat(position.into())),
        None => Err(Failure::BadAnswer { problem: "an event of unknown kind".to_owned() }),
    }
}

fn accounts(channel: Channel) -> AccountServiceClient<Channel> {
    AccountServiceClient::new(channel).max_decoding_message_size(ANSWER_MAX)
}
