//! The banks' applications: they open accounts, pay each other, send again what they are not sure of,
//! and read.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Position;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::instruction::Draft;
use counterfoil_ledger::instruction::Instruction;
use counterfoil_ledger::uetr::Uetr;
use counterfoil_node::consensus::replica::Replica;
use counterfoil_node::consensus::replica::Submitted;
use counterfoil_node::limits;
use counterfoil_proto::v1;
use counterfoil_proto::v1::instruction::Body;
use prost::Message;

use crate::consortium;
use crate::history::Asked;
use crate::history::History;
use crate::history::Issued;
use crate::history::Mode;
use crate::history::Told;
use crate::history::What;
use crate::host::Host;
use crate::random;

/// The settlement agent's node.
pub const AGENT: u64 = 1;

const ASSET: &str = "CHF";

/// Accounts of each bank.
const NAMES: [&str; 2] = ["settlement", "reserve"];

/// How long a client waits for an answer, in milliseconds: at least and at most.
const PATIENCE_MS: (u64, u64) = (1_000, 12_000);

type Answer = Arc<Mutex<Option<Told>>>;

/// One application, which does one thing after the other.
pub struct Client {
    bank: u64,
    waiting: Option<Waiting>,
    next_ms: u64,
}

struct Waiting {
    asked: usize,
    host: usize,
    life: u64,
    answer: Answer,
    until_ms: u64,
}

/// What is known when a client asks.
#[derive(Clone, Copy)]
pub struct Known {
    /// Simulated milliseconds.
    pub now_ms: u64,
    /// The greatest height that was reported final.
    pub reported: u64,
    /// The greatest height that was executed.
    pub executed: u64,
}

impl Client {
    /// Of the bank that runs a node.
    pub fn new(bank: u64) -> Client {
        Client { bank, waiting: None, next_ms: 0 }
    }

    /// Whether it waits for an answer.
    pub fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// Takes an answer that has come. Its place in the history, if it has come now.
    pub fn take(&mut self, hosts: &[Host], history: &mut History, now_ms: u64) -> Option<usize> {
        let waiting = self.waiting.as_ref()?;
        let told = waiting.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let host = &hosts[waiting.host];
        // The connection ends with the process, and takes with it what was not on its way.
        let is_gone = !host.runs() || host.lives != waiting.life;
        let told = told.filter(|_| !is_gone);
        if told.is_none() && !is_gone && now_ms <= waiting.until_ms {
            return None;
        }
        let asked = waiting.asked;
        history.asked[asked].told = told.map(|told| (now_ms, told));
        self.waiting = None;
        self.next_ms = now_ms + if random::chance(70) { random::between(0, 30) } else { 400 };
        Some(asked)
    }

    /// Begins something new when it is time, at any node that runs.
    pub fn act(&mut self, hosts: &[Host], history: &mut History, known: Known) {
        if self.waits() || known.now_ms < self.next_ms {
            return;
        }
        let place = random::below(hosts.len() as u64) as usize;
        let what = match random::below(100) {
            0..55 => What::Submit(issue(history, self.bank, self.payment(known.now_ms))),
            55..60 => What::Submit(issue(history, self.bank, self.batch(known.now_ms))),
            60..75 => {
                let Some(again) = self.again(history) else { return };
                What::Submit(again)
            }
            75..83 => What::Read(Mode::Ordered, any_account()),
            83..92 => What::Read(Mode::Final, any_account()),
            _ => What::Read(Mode::Stale, any_account()),
        };
        self.ask(hosts, history, known, place, what);
    }

    /// Asks a node for something. Nothing comes of it where none runs.
    pub fn ask(
        &mut self,
        hosts: &[Host],
        history: &mut History,
        known: Known,
        host: usize,
        what: What,
    ) {
        let answer = Answer::default();
        let Some(replica) = hosts[host].replica() else {
            self.next_ms = known.now_ms + 50;
            return;
        };
        let told = answer.clone();
        let tell = move |words: Told| {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
        };
        match what {
            What::Submit(place) => {
                let issued = &history.issued[place];
                let (bytes, bank) = (issued.bytes.clone(), issued.institution);
                hosts[host].spawn(async move {
                    tell(submit(replica, bytes, bank).await);
                });
            }
            What::Read(mode, account) => {
                hosts[host].spawn(async move { tell(read(replica, mode, account).await) });
            }
        }
        self.waiting = Some(Waiting {
            asked: history.asked.len(),
            host,
            life: hosts[host].lives,
            answer,
            until_ms: known.now_ms + random::between(PATIENCE_MS.0, PATIENCE_MS.1),
        });
        history.asked.push(Asked {
            node: hosts[host].node,
            what,
            began_ms: known.now_ms,
            final_before: known.reported,
            executed_before: known.executed,
            told: None,
        });
    }

    /// Something that it has sent before, mostly lately.
    fn again(&self, history: &History) -> Option<usize> {
        let own: Vec<usize> = (0..history.issued.len())
            .filter(|place| {
                history.issued[*place].institution == consortium::institution(self.bank)
            })
            .collect();
        let from = if random::chance(80) { own.len().saturating_sub(5) } else { 0 };
        own.get(from + random::below((own.len() - from) as u64) as usize).copied()
    }

    fn payment(&self, now_ms: u64) -> Order {
        Order::new(now_ms, Content::Single(Body::Transfer(transfer(self.bank))))
    }

    fn batch(&self, now_ms: u64) -> Order {
        let count = random::between(2, 20);
        let transfers = (0..count).map(|_| transfer(self.bank)).collect();
        Order::new(now_ms, Content::Batch(transfers, random::chance(30)))
    }
}

/// What is to be signed.
pub struct Order {
    id: InstructionId,
    valid_until_ms: u64,
    content: Content,
}

enum Content {
    Single(Body),
    Batch(Vec<v1::Transfer>, bool),
}

impl Order {
    fn new(now_ms: u64, content: Content) -> Order {
        let wall_ms = consortium::FOUNDED_MS + now_ms;
        let valid_ms = if random::chance(10) { random::between(100, 3_000) } else { 3_600_000 };
        let id = InstructionId::new(wall_ms, random::bytes());
        Order { id, valid_until_ms: wall_ms + valid_ms, content }
    }
}

/// All that is needed before anybody can pay: the agent's account and the banks', each with money.
pub fn opening(now_ms: u64) -> Vec<Order> {
    let agent = consortium::institution(AGENT);
    let mut orders = Vec::new();
    for (owner, name) in accounts() {
        let open = v1::OpenAccount {
            servicer: agent.as_str().to_owned(),
            owner: owner.as_str().to_owned(),
            asset: ASSET.to_owned(),
            name: name.to_owned(),
        };
        orders.push(Body::OpenAccount(open));
    }
    for (owner, name) in accounts().filter(|(owner, _)| *owner != agent) {
        let to = AccountId::of(&agent, &owner, ASSET, name);
        orders.push(Body::Transfer(transfer_of(issuance(), to, 100_000)));
    }
    let order = |body| Order {
        valid_until_ms: consortium::FOUNDED_MS + 3_600_000,
        ..Order::new(now_ms, Content::Single(body))
    };
    orders.into_iter().map(order).collect()
}

/// A payment that is certain to be ordered.
pub fn last_payment(now_ms: u64) -> Order {
    let (from, to) = (any_account_of(2), any_account_of(3));
    let body = Body::Transfer(transfer_of(from, to, 1));
    let valid_until_ms = consortium::FOUNDED_MS + now_ms + 3_600_000;
    Order { valid_until_ms, ..Order::new(now_ms, Content::Single(body)) }
}

/// Signs an order for the bank that runs a node. Its place in the history.
pub fn issue(history: &mut History, bank: u64, order: Order) -> usize {
    let institution = consortium::institution(bank);
    let Order { id, valid_until_ms, content } = order;
    let draft = match content {
        Content::Single(body) => Draft::new(id, &institution, valid_until_ms, body),
        Content::Batch(transfers, all_or_nothing) => {
            Draft::transfers(id, &institution, valid_until_ms, &transfers, all_or_nothing)
        }
    };
    let chain_id = consortium::genesis().chain_id();
    let signed =
        draft.sign(&consortium::instructing(bank), &chain_id).expect("a software key signs");
    let bytes = Bytes::from(signed.encode_to_vec());
    let hash = Instruction::decode(bytes.clone()).expect("an instruction that holds").hash;
    history.issued.push(Issued { institution, id, hash, bytes });
    history.issued.len() - 1
}

fn accounts() -> impl Iterator<Item = (Bic, &'static str)> {
    let banks = (2..=consortium::NODES).map(consortium::institution);
    let of_banks = banks.flat_map(|bank| NAMES.map(|name| (bank, name)));
    std::iter::once((consortium::institution(AGENT), NAMES[0])).chain(of_banks)
}

fn issuance() -> AccountId {
    let agent = consortium::institution(AGENT);
    AccountId::of(&agent, &agent, ASSET, NAMES[0])
}

fn any_account_of(bank: u64) -> AccountId {
    let agent = consortium::institution(AGENT);
    AccountId::of(&agent, &consortium::institution(bank), ASSET, random::one_of(&NAMES))
}

fn any_account() -> AccountId {
    any_account_of(random::between(2, consortium::NODES))
}

/// A payment of a bank, mostly covered.
fn transfer(bank: u64) -> v1::Transfer {
    let amount = if random::chance(5) { 10_000_000 } else { random::between(1, 2_000) };
    let from = if bank == AGENT { issuance() } else { any_account_of(bank) };
    let to = std::iter::repeat_with(any_account).find(|to| *to != from);
    transfer_of(from, to.expect("there are several accounts"), amount)
}

fn transfer_of(from: AccountId, to: AccountId, amount: u64) -> v1::Transfer {
    v1::Transfer {
        debit_account: Bytes::copy_from_slice(from.as_bytes()),
        credit_account: Bytes::copy_from_slice(to.as_bytes()),
        amount,
        uetr: Bytes::copy_from_slice(Uetr::from_random(random::bytes()).as_bytes()),
        salt: Bytes::copy_from_slice(&random::bytes::<16>()),
        ..v1::Transfer::default()
    }
}

/// Submits, and waits until the outcome is final, as the API does.
async fn submit(replica: Arc<Replica>, bytes: Bytes, bank: Bic) -> Told {
    let deadline = Instant::now() + limits::SUBMIT_TIMEOUT;
    let result = match replica.submit(bytes, &bank, deadline).await {
        Submitted::Decided(result) => result,
        Submitted::Refused(reason) => return Told::Refused(reason.code()),
        Submitted::Unavailable(cause) => return Told::Unavailable(cause.to_string()),
    };
    let told = result.verdict.as_ref().and_then(|it| it.position);
    let Some(v1::Position { height, leaf }) = told else {
        return Told::Unavailable("an answer without a place".to_owned());
    };
    let mut reached = replica.height();
    let executed = reached.wait_for(|reached| *reached >= height);
    if tokio::time::timeout_at(deadline.into(), executed).await.is_err() {
        return Told::Ordered(height);
    }
    // The place that was told: what stands there is compared in the end.
    let position = Position { height, leaf };
    if replica.finality().wait_final(position.height, deadline).await.is_err() {
        return Told::Ordered(position.height);
    }
    match outcome(&replica, position) {
        Some(outcome) => Told::Final(position, outcome),
        None => Told::Unavailable("the outcome cannot be read".to_owned()),
    }
}

/// The outcome of the leaf at a position, as it is hashed.
pub fn outcome(replica: &Replica, position: Position) -> Option<Vec<u8>> {
    let leaves = replica.store().leaves(position.height).ok()??;
    let leaf = leaves.get(usize::try_from(position.leaf).ok()?)?;
    Some(leaf.outcome.encode().to_vec())
}

/// Reads a balance, as the API does.
async fn read(replica: Arc<Replica>, mode: Mode, account: AccountId) -> Told {
    if mode != Mode::Stale
        && let Err(cause) = replica.barrier().await
    {
        return Told::Unavailable(cause.to_string());
    }
    let (height, balance) = {
        let state = replica.state();
        (state.height(), state.account(&account).map(|account| account.balance))
    };
    if mode == Mode::Final {
        let deadline = Instant::now() + limits::FINAL_TIMEOUT;
        if let Err(cause) = replica.finality().wait_final(height, deadline).await {
            return Told::Unavailable(cause.to_string());
        }
    }
    // An answer is on its way for a moment.
    tokio::time::sleep(Duration::from_millis(1)).await;
    Told::Balance(height, balance)
}
