//! Positions: what each source has of an account's day, and what both parties signed of it.

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::date::Date;
use counterfoil_proto::v1;

use super::{listed, reconciliation};
use crate::client::{Answer, Client, answer};
use crate::error::Error;
use crate::pages::Pages;

impl Client {
    /// The days of an account of which anything is known, by date; between two dates, both included,
    /// or all.
    pub fn positions(
        &self,
        account: AccountId,
        from: Option<Date>,
        to: Option<Date>,
    ) -> Pages<v1::DayPosition> {
        let read_mode = self.read_mode.into();
        let [from_date, to_date] = [from, to].map(|it| it.map(Date::yyyymmdd).unwrap_or_default());
        listed(
            self,
            move |page_token, page_size| v1::ListPositionsRequest {
                account: Bytes::copy_from_slice(account.as_bytes()),
                from_date,
                to_date,
                page_size,
                page_token,
                read_mode,
            },
            |it: v1::ListPositionsResponse| (it.positions, it.next_page_token, it.as_of),
            |mut service, request| async move { service.list_positions(request).await },
        )
    }

    /// One day of an account; without a date the day that it is now where the agreement counts days.
    pub async fn position(
        &self,
        account: AccountId,
        date: Option<Date>,
    ) -> Result<Answer<v1::DayPosition>, Error> {
        let asked = date.map(Date::yyyymmdd).unwrap_or_default();
        let request = v1::GetPositionRequest {
            account: Bytes::copy_from_slice(account.as_bytes()),
            date: asked,
            read_mode: self.read_mode.into(),
        };
        let read = |response: v1::GetPositionResponse| {
            let day = response.day.filter(|day| asked == 0 || day.date == asked);
            answer(day.ok_or_else(|| "another day".to_owned())?, response.as_of)
        };
        self.ask(request, read, |channel, request| async move {
            reconciliation(channel).get_position(request).await
        })
        .await
    }
}
