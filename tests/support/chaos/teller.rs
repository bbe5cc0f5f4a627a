//! Banks at work: they pay singly and in batches, more than they have now and then, send the same
//! bytes again, and look things up. What each does follows from the seed; how it goes does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use counterfoil_client::instructions::{self, Order, Signed};
use counterfoil_client::watch::{Checkpoint, Event};
use counterfoil_client::{Client, v1};
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::bic::Bic;
use tokio::time::{Duration, Instant, sleep, timeout};

use super::chance::Chance;
use super::recorder::{Recorder, decided, hex, of_error, read_mode, view};
use crate::banking::{SETTLEMENT, account};
use crate::checker::history::{Answer, Asked, Call, Mode, Movement};
use crate::consortium::{AGENT, BANKS};

/// In what the banks pay each other.
pub const ASSETS: [&str; 2] = ["CHF", "EUR"];

/// What each bank has of each asset at first: little, so that payments are refused in earnest.
const FUNDED: u64 = 3_000;

/// Longest batch; each item's receipt is kept.
const ITEMS_MAX: u64 = 6;

/// Instructions that a teller remembers, to send them again.
const REMEMBERED_MAX: usize = 200;

/// How long a teller tries at the end.
const SETTLING_MAX: Duration = Duration::from_secs(60);

/// What a teller has sent.
struct Sent {
    signed: Signed,
    all_or_nothing: bool,
    /// Whether it knows what became of it.
    known: bool,
}

/// One desk of a bank.
pub struct Teller {
    name: String,
    bank: usize,
    client: Client,
    recorder: Arc<Recorder>,
    chance: Chance,
    sent: Vec<Sent>,
    transfers: Vec<v1::Transfer>,
}

impl Teller {
    /// A desk of a bank with choices of its own.
    pub fn new(
        recorder: &Arc<Recorder>,
        client: Client,
        bank: usize,
        desk: usize,
        seed: u64,
    ) -> Teller {
        let name = format!("{}/{desk}", BANKS[bank]);
        let chance = Chance::of(seed, &name);
        let recorder = recorder.clone();
        Teller { name, bank, client, recorder, chance, sent: Vec::new(), transfers: Vec::new() }
    }

    /// Works until it is told to stop.
    pub async fn work(mut self, stop: Arc<AtomicBool>) -> Teller {
        while !stop.load(Ordering::Relaxed) {
            self.act().await;
            sleep(self.chance.pause(0..80)).await;
        }
        self
    }

    /// Learns for certain, in a bounded time, what became of everything that it has sent; how much stays
    /// unknown.
    pub async fn settle(&mut self) -> usize {
        let until = Instant::now() + SETTLING_MAX;
        let patient = self.client.with_deadline(SETTLING_MAX / 2);
        for sent in self.sent.iter_mut().filter(|sent| !sent.known) {
            if Instant::now() > until {
                break;
            }
            let told = self.recorder.send(&self.name, &patient, &sent.signed, sent.all_or_nothing);
            sent.known = is_certain(&decided(&told.await));
        }
        self.sent.iter().filter(|sent| !sent.known).count()
    }

    async fn act(&mut self) {
        match self.chance.within(0..100) {
            0..45 => {
                let transfer = self.transfer();
                self.order(Order::transfer(transfer), false).await;
            }
            45..60 => {
                let items = self.chance.within(2..ITEMS_MAX + 1);
                let transfers = (0..items).map(|_| self.transfer()).collect();
                let all_or_nothing = self.chance.percent(40);
                self.order(Order::transfers(transfers, all_or_nothing), all_or_nothing).await;
            }
            60..74 => self.send_again().await,
            74..77 => self.reuse_an_id().await,
            77..80 => self.pay_once_more().await,
            80..85 => self.look_up().await,
            85..95 => self.read_a_balance().await,
            _ => self.read_its_accounts().await,
        }
    }

    fn transfer(&mut self) -> v1::Transfer {
        let asset = ASSETS[self.chance.place(ASSETS.len())];
        let payee = (self.bank + 1 + self.chance.place(BANKS.len() - 1)) % BANKS.len();
        let amount = match self.chance.percent(5) {
            true => FUNDED * 1_000,
            false => self.chance.within(1..FUNDED / 4),
        };
        let (debit, credit) = (account(BANKS[self.bank], asset), account(BANKS[payee], asset));
        instructions::transfer(debit, credit, amount)
    }

    async fn order(&mut self, order: Order, all_or_nothing: bool) {
        // Some expire while the network is down: their absence is proved then.
        let valid_for = if self.chance.percent(15) { 12 } else { 900 };
        let order = order.valid_for(Duration::from_secs(valid_for));
        let ordered = self.chance.percent(30);
        let Ok(signed) = self.client.sign(order).await else { return };
        let finality = if ordered { v1::Finality::Ordered } else { v1::Finality::Final };
        let client = self.client.with_finality(finality);
        let told = self.recorder.send(&self.name, &client, &signed, all_or_nothing).await;
        let known = is_certain(&decided(&told));
        self.remember(Sent { signed, all_or_nothing, known });
    }

    fn remember(&mut self, sent: Sent) {
        self.sent.push(sent);
        if self.sent.len() > REMEMBERED_MAX
            && let Some(oldest) = self.sent.iter().position(|sent| sent.known)
        {
            self.sent.remove(oldest);
        }
    }

    fn choose(&mut self) -> Option<usize> {
        (!self.sent.is_empty()).then(|| self.chance.place(self.sent.len()))
    }

    async fn send_again(&mut self) {
        let Some(place) = self.choose() else { return };
        let sent = &self.sent[place];
        let told =
            self.recorder.send(&self.name, &self.client, &sent.signed, sent.all_or_nothing).await;
        self.sent[place].known |= is_certain(&decided(&told));
    }

    /// Other content under an id that was sent: whichever comes first has it.
    async fn reuse_an_id(&mut self) {
        let Some(place) = self.choose() else { return };
        let id = self.sent[place].signed.id;
        let transfer = self.transfer();
        let Ok(signed) = self.client.sign(Order::transfer(transfer).with_id(id)).await else {
            return;
        };
        let told = self.recorder.send(&self.name, &self.client, &signed, false).await;
        let known = is_certain(&decided(&told));
        self.remember(Sent { signed, all_or_nothing: false, known });
    }

    /// A payment under a new id that may have settled: its UETR is the same.
    async fn pay_once_more(&mut self) {
        if self.transfers.is_empty() || self.chance.percent(30) {
            let transfer = self.transfer();
            self.transfers.push(transfer);
        }
        let place = self.chance.place(self.transfers.len());
        let transfer = v1::Transfer { salt: instructions::salt(), ..self.transfers[place].clone() };
        self.order(Order::transfer(transfer), false).await;
    }

    async fn look_up(&mut self) {
        let Some(place) = self.choose() else { return };
        let signed = &self.sent[place].signed;
        let mode = if self.chance.percent(50) { Mode::Final } else { Mode::Ordered };
        let (institution, id) = (signed.institution.to_string(), signed.id.to_string());
        let client = self.client.with_read_mode(read_mode(mode));
        let asked = Asked::Instruction { institution, id, mode };
        let found = client.instruction(signed.id);
        let answered = async { found.await.map(|found| found.value.outcome) };
        self.recorder.call(&self.name, asked, answered, decided).await.ok();
    }

    async fn read_a_balance(&mut self) {
        let asset = ASSETS[self.chance.place(ASSETS.len())];
        let mode = [Mode::Final, Mode::Final, Mode::Ordered, Mode::Stale][self.chance.place(4)];
        let client = self.client.with_read_mode(read_mode(mode));
        let asked = Asked::Accounts { all: false, mode };
        let read = client.balance(account(BANKS[self.bank], asset), None);
        let told = |told: &Result<_, _>| match told {
            Ok(counterfoil_client::client::Answer { value, as_of }) => {
                Answer::Accounts(view(std::slice::from_ref(value), as_of))
            }
            Err(error) => of_error(error),
        };
        self.recorder.call(&self.name, asked, read, told).await.ok();
    }

    async fn read_its_accounts(&mut self) {
        read_accounts(&self.recorder, &self.name, &self.client, false, Mode::Final).await;
    }
}

/// Whether nothing is left to be found out.
fn is_certain(answer: &Answer) -> bool {
    answer.is_final() || matches!(answer, Answer::Refused { .. })
}

/// Reads the accounts that a client may see, at one moment.
pub async fn read_accounts(
    recorder: &Recorder,
    name: &str,
    client: &Client,
    all: bool,
    mode: Mode,
) -> bool {
    let client = client.with_read_mode(read_mode(mode));
    let told = |told: &Result<counterfoil_client::client::Answer<Vec<v1::Account>>, _>| match told {
        Ok(told) => Answer::Accounts(view(&told.value, &told.as_of)),
        Err(error) => of_error(error),
    };
    let asked = Asked::Accounts { all, mode };
    recorder.call(name, asked, client.accounts(None).all(), told).await.is_ok()
}

/// The agent reads all accounts now and then.
pub async fn audit(
    recorder: Arc<Recorder>,
    client: Client,
    name: String,
    seed: u64,
    stop: Arc<AtomicBool>,
) {
    let mut chance = Chance::of(seed, &name);
    while !stop.load(Ordering::Relaxed) {
        let mode = if chance.percent(60) { Mode::Final } else { Mode::Ordered };
        read_accounts(&recorder, &name, &client, true, mode).await;
        sleep(chance.pause(100..900)).await;
    }
}

/// The agent opens and funds the accounts.
pub async fn found(recorder: &Recorder, agent: &Client) {
    let bic = |text| Bic::parse(text).expect("a BIC");
    let send = async |order: Order| {
        let signed = agent.sign(order).await.expect("it is well formed");
        let told = recorder.send(AGENT, agent, &signed, false).await;
        assert!(told.as_ref().is_ok_and(|told| told.is_accepted()), "{told:?}");
    };
    for asset in ASSETS {
        let code = AssetCode::parse(asset).expect("a code");
        for owner in std::iter::once(AGENT).chain(BANKS) {
            send(Order::open_account(&bic(AGENT), &bic(owner), &code, SETTLEMENT)).await;
        }
        for bank in BANKS {
            let issue = instructions::transfer(account(AGENT, asset), account(bank, asset), FUNDED);
            send(Order::transfer(issue)).await;
        }
    }
}

/// Watches a bank's account from its first posting on. After it is told to stop it goes on until it has
/// as many postings as the account has then, but not for longer than a minute.
pub async fn watch(
    recorder: Arc<Recorder>,
    client: Client,
    bank: usize,
    until: tokio::sync::watch::Receiver<Option<u64>>,
) {
    let watched = account(BANKS[bank], ASSETS[0]);
    let begun_us = recorder.now_us();
    let mut watch = client.watch_movements(watched, Checkpoint::START);
    let mut movements: Vec<Movement> = Vec::new();
    let mut told_to_stop_us = None;
    let enough = |count: usize| until.borrow().is_some_and(|until| count as u64 >= until);
    while !enough(movements.len()) {
        let now_us = recorder.now_us();
        if until.borrow().is_some() && now_us - *told_to_stop_us.get_or_insert(now_us) > 60_000_000
        {
            break;
        }
        match timeout(Duration::from_millis(200), watch.next()).await {
            Ok(Ok(Event::New(it))) => movements.push(movement(&it)),
            Ok(Err(_)) => sleep(Duration::from_millis(200)).await,
            Ok(Ok(Event::Heartbeat)) | Err(_) => {}
        }
    }
    let asked = Asked::Watch { account: hex(watched.as_bytes()), to_end: true };
    let client = format!("{} watches", BANKS[bank]);
    let (ended_us, answer) = (recorder.now_us(), Answer::Movements(movements));
    recorder.history().calls.push(Call { client, begun_us, ended_us, asked, answer });
}

fn movement(told: &v1::Movement) -> Movement {
    let units = |money: &Option<v1::Money>| money.as_ref().map_or(0, |money| money.minor_units);
    let amount = units(&told.amount);
    let (height, leaf) = told.position.map_or((0, 0), |at| (at.height, at.leaf));
    let change = if told.side() == v1::Side::Debit { -amount } else { amount };
    Movement { height, leaf, sequence: told.sequence, change, balance: units(&told.balance) }
}
