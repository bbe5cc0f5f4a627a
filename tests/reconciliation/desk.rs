//! What both banks' clerks do here, in few words.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use counterfoil_client::instructions::{self, Order};
use counterfoil_client::reconciliation::{Finding, Happened};
use counterfoil_client::watch::{Checkpoint, Event, Watch};
use counterfoil_client::{Client, Error, v1};
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::AgreementId;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;
use counterfoil_tests::banking::{accepted, account};
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use tokio::time::timeout;

/// The ledger against the owner's book.
pub const OWNER: v1::Comparison = v1::Comparison::LedgerOwner;

/// The ledger against the servicer's book.
pub const SERVICER: v1::Comparison = v1::Comparison::LedgerServicer;

/// What the account has before anything is compared.
pub const FUNDED: u64 = 1_000_000;

const MINUTE_MS: u64 = 60_000;

/// Time that there has to be before the deadline, for what must come before it.
const BEFORE_DEADLINE_MS: u64 = 25_000;

/// Both banks at work on the account of one of them.
pub struct Desk {
    pub consortium: Consortium,
    pub owner: Client,
    pub servicer: Client,
    pub account: AccountId,
    pub today: Date,
    /// When what has no counterpart by then is missing, Unix milliseconds.
    pub deadline_ms: u64,
    pub terms: v1::AgreementTerms,
}

pub fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

impl Desk {
    /// Both agree that what happens today is compared, and missing in a minute or two.
    pub async fn open(consortium: Consortium) -> Desk {
        let (owner, servicer) = (consortium.client(BANKS[0]), consortium.client(AGENT));
        let account = account(BANKS[0], "CHF");
        let now = now_ms();
        let minute = now / MINUTE_MS % 1_440;
        let ahead = 1 + u64::from(now % MINUTE_MS + BEFORE_DEADLINE_MS > MINUTE_MS);
        let today = Date::from_unix_ms(now);
        let bic = |text| Bic::parse(text).unwrap();
        let parties = (bic(AGENT), bic(BANKS[0]));
        let duty = v1::Duty {
            category: v1::BreakCategory::Amount.into(),
            answers: v1::Party::Owner.into(),
            answer_days: 2,
            escalate_days: 1,
        };
        // It is noon where the two count days, so that no test runs over midnight.
        let offset = 720 - i32::try_from(minute).unwrap();
        let terms = v1::AgreementTerms {
            missing_after_days: 0,
            missing_at_minute: 720 + u32::try_from(ahead).unwrap(),
            duties: vec![duty],
            calendar: Some(v1::Calendar { utc_offset_minutes: offset, ..Default::default() }),
            ..instructions::agreement_terms(&parties.0, &parties.1, &[account], today)
        };
        let offer = Order::propose_agreement(terms.clone(), now + 3_600_000);
        accepted(&owner, offer).await;
        let answer = v1::AgreementAnswer::Accept;
        accepted(&servicer, Order::answer_agreement(AgreementId::of(&terms), answer)).await;
        let deadline_ms = (now / MINUTE_MS + ahead) * MINUTE_MS;
        Desk { consortium, owner, servicer, account, today, deadline_ms, terms }
    }

    /// Pays from the account to another bank.
    pub async fn pay(&self, amount: u64) -> v1::Transfer {
        let transfer = v1::Transfer {
            settlement_date: self.today.yyyymmdd(),
            ..instructions::transfer(self.account, account(BANKS[1], "CHF"), amount)
        };
        accepted(&self.owner, Order::transfer(transfer.clone())).await;
        transfer
    }

    /// A debit with this UETR, or none.
    pub fn entry(&self, amount: u64, uetr: &Bytes) -> v1::BookEntry {
        let entry = instructions::book_entry(self.account, Side::Debit, amount, self.today);
        v1::BookEntry { uetr: uetr.clone(), ..entry }
    }

    pub async fn post(&self, bank: &Client, entries: Vec<v1::BookEntry>) {
        accepted(bank, Order::book_entries(entries)).await;
    }

    pub async fn matches(&self, bank: &Client, comparison: v1::Comparison) -> Vec<v1::Match> {
        bank.matches(self.account, comparison, false).all().await.unwrap().value
    }

    pub async fn breaks(&self, bank: &Client, comparison: v1::Comparison) -> Vec<v1::Break> {
        bank.breaks(self.account, comparison, false).all().await.unwrap().value
    }

    pub fn watch(&self, from: Checkpoint) -> Watch<Finding> {
        self.owner.watch_reconciliation(self.account, from)
    }
}

/// The only one of a list.
pub fn only<T>(mut all: Vec<T>) -> T {
    assert_eq!(all.len(), 1);
    all.pop().unwrap()
}

/// The reason for which something was not answered.
pub fn refusal<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => panic!("it was answered"),
        Err(error) => error.refusal().unwrap().reason.clone(),
    }
}

/// The next findings of a watch.
pub async fn told(watch: &mut Watch<Finding>, count: usize) -> Vec<Finding> {
    let mut told = Vec::new();
    while told.len() < count {
        match timeout(Duration::from_secs(20), watch.next()).await.unwrap().unwrap() {
            Event::New(finding) => told.push(finding),
            Event::Heartbeat => {}
        }
    }
    told
}

/// Whether a watch tells nothing but heartbeats for a while.
pub async fn is_quiet(watch: &mut Watch<Finding>) -> bool {
    let next = async { while matches!(watch.next().await, Ok(Event::Heartbeat)) {} };
    timeout(Duration::from_secs(2), next).await.is_err()
}

/// A finding in a few words.
pub fn words(finding: &Finding) -> String {
    let broken = |it: &v1::Break| format!("{} {:?} {:?}", it.number, it.category(), it.state());
    match &finding.what {
        Happened::Matched(it) => format!("matched {} {:?}", it.number, it.comparison()),
        Happened::Undone(it) => format!("undone {}", it.number),
        Happened::Proposed(it) => format!("proposed {} {:?}", it.number, it.pass()),
        Happened::Closed(it) => format!("closed {}", it.number),
        Happened::Opened(it) => format!("opened {}", broken(it)),
        Happened::Changed(it) => format!("changed {}", broken(it)),
        Happened::Healed(it) => format!("healed {}", broken(it)),
        Happened::Position(it) => format!("position {:?} {:?}", it.change(), it.party()),
    }
}
