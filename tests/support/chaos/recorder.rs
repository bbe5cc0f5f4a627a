//! Writes down what clients ask and are answered, and when.

use std::future::Future;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use base64ct::{Base64, Encoding};
use counterfoil_client::instructions::Signed;
use counterfoil_client::outcome::{self, Outcome};
use counterfoil_client::{Client, Error, Fate, v1};
use prost::Message;

use crate::checker::history::{
    Account, Answer, Asked, Call, Fault, Founding, History, Mode, State, Verdict, View,
};

/// The record of one run. Everybody who takes part shares it.
pub struct Recorder {
    begun: Instant,
    history: Mutex<History>,
}

impl Recorder {
    /// The record of a run that begins now.
    pub fn begin(founding: Founding) -> Recorder {
        let history = History { founding, ..History::default() };
        Recorder { begun: Instant::now(), history: Mutex::new(history) }
    }

    /// Microseconds since the run began.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).expect("a run of less than 500,000 years")
    }

    /// What is written down.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("nobody panics while writing")
    }

    /// Makes a call and writes it down.
    pub async fn call<T>(
        &self,
        client: &str,
        asked: Asked,
        made: impl Future<Output = T>,
        read: impl FnOnce(&T) -> Answer,
    ) -> T {
        let begun_us = self.now_us();
        let told = made.await;
        let ended_us = self.now_us();
        let answer = read(&told);
        let call = Call { client: client.to_owned(), begun_us, ended_us, asked, answer };
        self.history().calls.push(call);
        told
    }

    /// Sends signed bytes and writes down what is said of them.
    pub async fn send(
        &self,
        name: &str,
        client: &Client,
        signed: &Signed,
        all_or_nothing: bool,
    ) -> Result<Outcome, Error> {
        let asked = Asked::Submit {
            institution: signed.institution.to_string(),
            id: signed.id.to_string(),
            hash: signed.instruction_hash.to_string(),
            all_or_nothing,
        };
        self.call(name, asked, client.send(signed), decided).await
    }

    /// Writes down what was done to the nodes or the network.
    pub fn fault(&self, kind: &str, what: String, begun_us: u64) {
        let ended_us = self.now_us();
        let fault = Fault { begun_us, ended_us, kind: kind.to_owned(), what };
        self.history().faults.push(fault);
    }
}

/// What a client is told of an instruction.
pub fn decided(told: &Result<Outcome, Error>) -> Answer {
    match told {
        Ok(outcome) => of_outcome(outcome),
        Err(error) => of_error(error),
    }
}

fn of_outcome(outcome: &Outcome) -> Answer {
    let verdicts = std::iter::once(&outcome.verdict).chain(&outcome.items);
    let verdicts: Vec<Verdict> = verdicts.map(verdict).collect();
    let receipt = |it: &Verdict| {
        let receipt = outcome.item_receipt(it.item);
        receipt.map(|it| Base64::encode_string(&it.encode_to_vec())).unwrap_or_default()
    };
    let receipts = verdicts.iter().map(receipt).collect();
    Answer::Decided { is_final: outcome.is_final(), verdicts, receipts }
}

/// A verdict in the words of a history.
pub fn verdict(told: &outcome::Verdict) -> Verdict {
    let state = match told.state {
        outcome::State::Settled => State::Settled,
        outcome::State::Rejected => State::Rejected,
        outcome::State::Recorded => State::Recorded,
        outcome::State::Itemised => State::Itemised,
    };
    let reason = told.rejection.as_ref().map_or(0, |rejection| rejection.code);
    Verdict { item: told.item_number, state, reason, height: told.height, leaf: told.leaf }
}

/// An error in the words of a history.
pub fn of_error(error: &Error) -> Answer {
    match error {
        Error::Refused(refusal) => Answer::Refused {
            reason: refusal.reason.clone(),
            not_taken: error.outcome() == Fate::NotTaken,
        },
        // No honest node gives such an answer, and no network can make one of another.
        Error::Unproven { .. } | Error::BadAnswer { .. } | Error::Fork(_) => {
            Answer::Wrong { problem: error.to_string() }
        }
        _ if error.outcome() == Fate::NotTaken => {
            Answer::Refused { reason: "UNAVAILABLE".to_owned(), not_taken: true }
        }
        _ => Answer::Unknown { cause: error.to_string() },
    }
}

/// Accounts as an answer shows them.
pub fn view(accounts: &[v1::Account], as_of: &v1::AsOf) -> View {
    let account = |it: &v1::Account| Account {
        id: hex(&it.id),
        servicer: it.servicer.clone(),
        owner: it.owner.clone(),
        asset: it.asset.clone(),
        balance: it.balance.as_ref().map_or(0, |money| money.minor_units),
        postings: it.posting_count,
    };
    View {
        height: as_of.height,
        header: hex(&as_of.header_hash),
        is_final: as_of.finality() == v1::Finality::Final,
        accounts: accounts.iter().map(account).collect(),
    }
}

/// How fresh a read is, in the words of the API.
pub fn read_mode(mode: Mode) -> v1::ReadMode {
    match mode {
        Mode::Final => v1::ReadMode::Final,
        Mode::Ordered => v1::ReadMode::Ordered,
        Mode::Stale => v1::ReadMode::Stale,
    }
}

/// Bytes as text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
