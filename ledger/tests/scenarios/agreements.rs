//! Offers of agreements, answers to them, and what they come to.

use bytes::Bytes;
use counterfoil_ledger::{
    agreement::{AgreementId, AgreementState},
    asset::parse_amount,
    date::Date,
};
use counterfoil_proto::v1;

use super::{Account, Answer, Bank, Failure, Plain, Words, yyyymmdd};
use crate::support::{
    build::{self, HOUR_MS, bytes_of},
    consortium::bic_of,
};

impl Bank {
    /// Terms over the named accounts. Parties are those of the first account, unless they are named.
    pub(super) fn offer(&mut self, words: &Words<'_>) -> Result<Vec<Answer>, Failure> {
        let label = words.at(1)?;
        let names = words.need("of")?.split(',');
        let accounts: Vec<Account> =
            names.map(|name| self.account(name).cloned()).collect::<Result<_, _>>()?;
        let servicer = words.after("servicer").map_or(accounts[0].servicer, bic_of);
        let owner = words.after("owner").map_or(accounts[0].owner, bic_of);
        let ids: Vec<_> = accounts.iter().map(|account| account.id).collect();
        let salt = words.after("salted").unwrap_or(label);
        let from = yyyymmdd(words.need("from")?)?;
        let mut terms = build::terms(salt, (&servicer, &owner), &ids, from);
        if let Some(number) = words.after("rules") {
            terms.rule_set = number.parse().map_err(|_| "`rules` is a number")?;
        }
        terms.tolerances = tolerances(words, accounts[0].exponent)?;
        if let Some(sources) = words.after("compare") {
            let sources: Vec<&str> = sources.split(',').collect();
            terms.ledger = sources.contains(&"ledger");
            terms.owner_book = sources.contains(&"owner");
            terms.servicer_book = sources.contains(&"servicer");
        }
        let number = |keyword| match words.after(keyword) {
            Some(text) => text.parse().map_err(|_| format!("`{keyword}` is a number")),
            None => Ok(0),
        };
        terms.value_date_window = number("window")?;
        terms.missing_after_days = number("missing")?;
        if let Some(time) = words.after("at") {
            terms.missing_at_minute = minute(time)?;
        }
        if let Some(times) = words.after("runs") {
            let times = times.split(',').map(minute).collect::<Result<Vec<_>, _>>()?;
            terms.run_times = times.into_iter().map(|minute| v1::RunTime { minute }).collect();
        }
        if let Some(minutes) = words.after("offset") {
            let minutes = minutes.parse().map_err(|_| "`offset` is minutes")?;
            terms.calendar.get_or_insert_default().utc_offset_minutes = minutes;
        }
        if words.has("originals") {
            terms.keep_originals = true;
            terms.servicer_sealing_key = vec![1; 32].into();
            terms.owner_sealing_key = vec![2; 32].into();
        }
        if let Some(other) = words.after("supersedes") {
            terms.supersedes = Bytes::copy_from_slice(self.offered(other).as_bytes());
        }
        let stands = words.after("stands").map(|time| self.time(time)).transpose()?;
        let stands = stands.unwrap_or(self.now_ms + HOUR_MS);
        self.offers.insert(label.to_owned(), AgreementId::of(&terms));
        let signer = self.signer(words, owner)?;
        self.order(label, words, signer, Plain::Body(build::offer(terms, stands)))
    }

    /// The id of what was offered under a label; of a label that was not, an id that nothing has.
    fn offered(&self, label: &str) -> AgreementId {
        let nothing = || AgreementId::from_bytes(&bytes_of(label)).expect("16 bytes");
        self.offers.get(label).copied().unwrap_or_else(nothing)
    }

    pub(super) fn answer_offer(&mut self, words: &Words<'_>) -> Result<Vec<Answer>, Failure> {
        let answer = match words.at(0)? {
            "accept" => v1::AgreementAnswer::Accept,
            "reject" => v1::AgreementAnswer::Reject,
            _ => v1::AgreementAnswer::Withdraw,
        };
        let label = words.at(1)?;
        let agreement = self.offered(words.need("of")?);
        let signer = self.signer(words, bic_of(words.need("by")?))?;
        let body = build::answer(label, &agreement, answer);
        self.order(label, words, signer, Plain::Body(body))
    }

    fn called(&self, id: &AgreementId) -> &str {
        let found = self.offers.iter().find(|(_, offered)| *offered == id);
        found.map_or("?", |(label, _)| label)
    }

    /// The agreements of a bank, as they are after the last block.
    pub(super) fn agreements(&mut self, words: &Words<'_>) -> Result<Answer, Failure> {
        let bank = bic_of(words.need("of")?);
        let state = self.chain()?.state.clone();
        let found = state.agreements().of(&bank, 0);
        let lines: Answer = found
            .map(|it| {
                let state = match it.state_at(state.height(), state.block_time_ms()) {
                    Some(AgreementState::Proposed) => "proposed",
                    Some(AgreementState::Active) => "active",
                    Some(AgreementState::Rejected) => "rejected",
                    Some(AgreementState::Withdrawn) => "withdrawn",
                    Some(AgreementState::Expired) => "expired",
                    Some(AgreementState::Superseded) => "superseded",
                    None => "not there yet",
                };
                format!("{} {state} from {}", self.called(&it.id), it.terms.effective_from)
            })
            .collect();
        Ok(if lines.is_empty() { vec!["none".to_owned()] } else { lines })
    }

    /// What governs an account's items with a value date.
    pub(super) fn governs(&mut self, words: &Words<'_>) -> Result<Answer, Failure> {
        let account = self.account(words.at(1)?)?.id;
        let date = Date::parse(words.need("on")?).map_err(|error| error.to_string())?;
        let state = self.chain()?.state.clone();
        let found = state.agreements().governing(&account, date);
        Ok(vec![found.map_or("none", |it| self.called(&it.id)).to_owned()])
    }
}

/// `tolerance CHF absolute 0.05 points 10 rounding 0.02`; of CHF alone, one minor unit.
fn tolerances(words: &Words<'_>, exponent: u8) -> Result<Vec<v1::Tolerance>, Failure> {
    let Some(asset) = words.after("tolerance") else { return Ok(Vec::new()) };
    let amount = |keyword, otherwise| match words.after(keyword) {
        Some(text) => parse_amount(text, exponent).map_err(|error| error.to_string()),
        None => Ok(otherwise),
    };
    let points = words.after("points").map_or(Ok(0), str::parse);
    Ok(vec![v1::Tolerance {
        asset: asset.to_owned(),
        absolute: amount("absolute", 1)?,
        basis_points: points.map_err(|_| "`points` is a number")?,
        exchange_rounding: amount("rounding", 0)?,
    }])
}

/// The minute of a day that `hh:mm` is.
fn minute(text: &str) -> Result<u32, Failure> {
    let parts = text.split_once(':').and_then(|(hours, minutes)| {
        Some(60 * hours.parse::<u32>().ok()? + minutes.parse::<u32>().ok()?)
    });
    parts.ok_or_else(|| format!("{text} is no time of a day"))
}
