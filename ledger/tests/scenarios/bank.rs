//! Executes the commands of a scenario on a ledger.

use std::collections::BTreeMap;

use bytes::Bytes;
use counterfoil_ledger::{
    account::AccountId,
    agreement::AgreementId,
    apply::Decision,
    asset::{format_amount, parse_amount},
    bic::Bic,
    block::{Block, Position},
    date::Date,
    hash::Hash,
    instruction::Draft,
    outcome::{Event, Outcome, State as OutcomeState},
};
use counterfoil_proto::v1::{self, instruction::Body};
use prost::Message;

use crate::support::{
    Chain, Consortium, NOON_MS,
    build::{self, HOUR_MS, id_of, uetr_of},
    consortium::bic_of,
};

#[path = "agreements.rs"]
mod agreements;
#[path = "books.rs"]
mod books;
#[path = "effects.rs"]
mod effects;
#[path = "sheets.rs"]
mod sheets;

type Answer = Vec<String>;
type Failure = String;

#[derive(Default)]
pub struct Bank {
    names: Vec<String>,
    chain: Option<Chain>,
    /// Time of the next block.
    now_ms: u64,
    accounts: BTreeMap<String, Account>,
    /// When the id of an order was made, until when it is valid.
    orders: BTreeMap<String, (u64, u64)>,
    /// What each leaf is called.
    labels: BTreeMap<Position, String>,
    /// Terms that were offered.
    offers: BTreeMap<String, AgreementId>,
}

#[derive(Clone)]
struct Account {
    servicer: Bic,
    owner: Bic,
    asset: String,
    exponent: u8,
    id: AccountId,
}

/// The words of a line; what follows a keyword is found by the keyword.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Words<'a> {
        Words(line.split_whitespace().collect())
    }

    fn at(&self, place: usize) -> Result<&'a str, Failure> {
        self.0.get(place).copied().ok_or_else(|| format!("word {} is missing", place + 1))
    }

    fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }

    fn after(&self, keyword: &str) -> Option<&'a str> {
        let place = self.0.iter().position(|word| *word == keyword)?;
        self.0.get(place + 1).copied()
    }

    fn need(&self, keyword: &str) -> Result<&'a str, Failure> {
        self.after(keyword).ok_or_else(|| format!("`{keyword} …` is missing"))
    }
}

impl Bank {
    /// Executes a command with its items and answers each line.
    pub fn execute(&mut self, lines: &[&str]) -> Result<Vec<Answer>, Failure> {
        let words = Words::of(lines[0]);
        let nothing = Ok(vec![Vec::new()]);
        match words.at(0)? {
            "institutions" => {
                self.names = words.0[1..].iter().map(|name| (*name).to_owned()).collect();
                nothing
            }
            "assets" => self.found(&words).and(nothing),
            "clock" => self.wait_until(self.time(words.at(1)?)?).map(|answer| vec![answer]),
            "account" => self.declare(&words).map(drop).and(nothing),
            "restart" => {
                let chain = self.chain()?;
                chain.state = chain.restored();
                nothing
            }
            "open" => {
                let account = self.declare(&words)?;
                let signer = self.signer(&words, account.servicer)?;
                let name = words.at(1)?;
                let body = build::open(&account.servicer, &account.owner, &account.asset, name);
                self.order(&format!("open {name}"), &words, signer, Plain::Body(body))
            }
            "pay" | "issue" | "redeem" => {
                let label = words.at(1)?;
                let transfer = self.transfer(label, words.at(2)?, &words)?;
                let owner = self.account(words.need("from")?)?.owner;
                let signer = self.signer(&words, owner)?;
                self.order(label, &words, signer, Plain::Body(Body::Transfer(transfer)))
            }
            "batch" => self.batch(&words, &lines[1..]),
            "book" => self.book(&words, &lines[1..]),
            "statement" => self.statement(&words),
            "balance" => {
                let account = self.account(words.at(1)?)?.clone();
                let found = self.chain()?.state.account(&account.id);
                Ok(vec![vec![match found {
                    Some(found) => format_amount(found.balance, account.exponent),
                    None => "no such account".to_owned(),
                }]])
            }
            "entries" => self.entries(&words).map(|answer| vec![answer]),
            "breaks" => self.breaks(&words).map(|answer| vec![answer]),
            "matches" => self.matches(&words).map(|answer| vec![answer]),
            "proposals" => self.proposals(&words).map(|answer| vec![answer]),
            "position" => self.position(&words).map(|answer| vec![answer]),
            "run" => self.run(&words),
            "decide" => self.decide(&words),
            "work" => self.work(&words),
            "sign" => self.sign_position(&words),
            "offer" => self.offer(&words),
            "accept" | "reject" | "withdraw" => self.answer_offer(&words),
            "agreements" => self.agreements(&words).map(|answer| vec![answer]),
            "governs" => self.governs(&words).map(|answer| vec![answer]),
            other => Err(format!("`{other}` is no command")),
        }
    }

    fn found(&mut self, words: &Words<'_>) -> Result<(), Failure> {
        let mut assets = Vec::new();
        for pair in words.0[1..].chunks(2) {
            let exponent = pair.get(1).and_then(|digits| digits.parse().ok());
            assets.push((pair[0], exponent.ok_or("an asset has a number of decimals")?));
        }
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        self.chain = Some(Chain::new(Consortium::with_second_keys(&names, &assets)));
        self.now_ms = NOON_MS + 1_000;
        Ok(())
    }

    fn chain(&mut self) -> Result<&mut Chain, Failure> {
        self.chain.as_mut().ok_or("`institutions` and `assets` come first".to_owned())
    }

    fn declare(&mut self, words: &Words<'_>) -> Result<Account, Failure> {
        let name = words.at(1)?;
        let (servicer, owner) = (bic_of(words.need("at")?), bic_of(words.need("of")?));
        let asset = words.need("in")?.to_owned();
        let exponent = self.chain()?.state.registry().asset(&asset).map_or(0, |it| it.exponent);
        let id = AccountId::of(&servicer, &owner, &asset, name);
        let account = Account { servicer, owner, asset, exponent, id };
        self.accounts.insert(name.to_owned(), account.clone());
        Ok(account)
    }

    fn account(&self, name: &str) -> Result<&Account, Failure> {
        self.accounts.get(name).ok_or_else(|| format!("no account is called {name}"))
    }

    fn signer(&self, words: &Words<'_>, otherwise: Bic) -> Result<Bic, Failure> {
        Ok(words.after("by").map_or(otherwise, bic_of))
    }

    /// `hh:mm:ss` of the founding day, or `yyyy-mm-ddThh:mm:ss`.
    fn time(&self, text: &str) -> Result<u64, Failure> {
        let (date, time) = text.split_once('T').unwrap_or(("2026-11-23", text));
        let day = Date::parse(date).map_err(|error| error.to_string())?;
        let midnight = NOON_MS - 12 * HOUR_MS;
        let days = (-400i64..400)
            .find(|days| {
                let time = midnight.checked_add_signed(days * 86_400_000);
                time.is_some_and(|time| Date::from_unix_ms(time) == day)
            })
            .ok_or("a time within a year of the founding")?;
        let parts: Option<Vec<u64>> = time.split(':').map(|part| part.parse().ok()).collect();
        let Some([hours, minutes, seconds]) = parts.as_deref() else {
            return Err(format!("{text} is no time"));
        };
        let seconds = hours * 3_600 + minutes * 60 + seconds;
        Ok(midnight.checked_add_signed(days * 86_400_000).unwrap_or(0) + seconds * 1_000)
    }

    fn transfer(
        &self,
        label: &str,
        amount: &str,
        words: &Words<'_>,
    ) -> Result<v1::Transfer, Failure> {
        let debit = self.account(words.need("from")?)?;
        let credit = self.account(words.need("to")?)?;
        let amount = parse_amount(amount, debit.exponent).map_err(|error| error.to_string())?;
        let mut transfer = build::transfer(label, &debit.id, &credit.id, amount);
        if let Some(other) = words.after("uetr") {
            transfer.uetr = Bytes::copy_from_slice(uetr_of(other).as_bytes());
        }
        transfer.end_to_end_id = words.after("ref").unwrap_or("").to_owned();
        if let Some(date) = words.after("dated") {
            transfer.settlement_date = yyyymmdd(date)?;
        }
        Ok(transfer)
    }

    fn batch(&mut self, words: &Words<'_>, items: &[&str]) -> Result<Vec<Answer>, Failure> {
        let label = words.at(1)?;
        let mut transfers = Vec::new();
        for (number, line) in (1..).zip(items) {
            let words = Words::of(line);
            transfers.push(self.transfer(&format!("{label}-{number}"), words.at(1)?, &words)?);
        }
        let signer = self.signer(words, bic_of(words.need("by")?))?;
        let together = words.has("all-or-nothing");
        self.order(label, words, signer, Plain::Transfers(transfers, together))
    }

    /// Signs an order, executes it in a block of its own and says what became of it.
    fn order(
        &mut self,
        label: &str,
        words: &Words<'_>,
        signer: Bic,
        plain: Plain,
    ) -> Result<Vec<Answer>, Failure> {
        let (mut made, mut until) =
            self.orders.get(label).copied().unwrap_or((self.now_ms, self.now_ms + HOUR_MS));
        if let Some(time) = words.after("made") {
            made = self.time(time)?;
            until = made + HOUR_MS;
        }
        if let Some(time) = words.after("until") {
            until = self.time(time)?;
        }
        self.orders.insert(label.to_owned(), (made, until));
        let items = plain.items();
        let mut draft = plain.draft(id_of(&format!("id of {label}"), made), &signer, until);
        if let Some(anchor) = words.after("anchor") {
            draft = self.anchored(draft, anchor, words.has("forged"))?;
        }
        let now_ms = self.now_ms;
        self.now_ms += 1_000;
        let second = words.after("key") == Some("second");
        let chain = self.chain()?;
        let bytes = match second {
            true => chain.consortium.sign_with_second_key(&signer, draft),
            false => chain.consortium.sign(&signer, draft),
        };
        let (block, decisions) = chain.execute(now_ms, vec![bytes]);
        self.label_leaves(label, &block);
        self.money_is_conserved()?;
        let mut answers = self.answers(&decisions[0])?;
        answers.resize(1 + items, vec!["not taken".to_owned()]);
        let due = self.due_answers(&block);
        answers.last_mut().expect("an order has an answer").extend(due);
        Ok(answers)
    }

    fn anchored(&mut self, draft: Draft, anchor: &str, forged: bool) -> Result<Draft, Failure> {
        let decided = self.labels.iter().find(|(_, label)| *label == anchor);
        let height = decided.map(|(position, _)| position.height);
        let height = height.ok_or_else(|| format!("{anchor} was not decided"))?;
        let hash = if forged {
            Hash::of(b"forged")
        } else {
            let place = usize::try_from(height).expect("heights are small here");
            self.chain()?.blocks[place].hash
        };
        let mut message = v1::Instruction::decode(draft.instruction.clone())
            .map_err(|error| error.to_string())?;
        message.anchor_height = height;
        message.anchor = Bytes::copy_from_slice(hash.as_bytes());
        Ok(Draft { instruction: message.encode_to_vec().into(), ..draft })
    }

    fn label_leaves(&mut self, label: &str, block: &Block) {
        for (leaf, record) in (0..).zip(&block.leaves) {
            let label = match record.item {
                0 => label.to_owned(),
                item => format!("{label}-{item}"),
            };
            self.labels.insert(Position { height: block.header.height, leaf }, label);
        }
    }

    /// Promise 1, after every block of every scenario.
    fn money_is_conserved(&mut self) -> Result<(), Failure> {
        let mut sums: BTreeMap<(Bic, String), i128> = BTreeMap::new();
        for account in self.chain()?.state.accounts() {
            *sums.entry((account.servicer, account.asset.to_string())).or_default() +=
                account.balance;
        }
        match sums.iter().find(|(_, sum)| **sum != 0) {
            Some((key, sum)) => Err(format!("money appeared or vanished: {key:?} {sum}")),
            None => Ok(()),
        }
    }

    fn answers(&mut self, decision: &Decision) -> Result<Vec<Answer>, Failure> {
        let (position, prefix) = match decision {
            Decision::Refused(reason) => {
                return Ok(vec![vec![format!("refused {}", reason.name())]]);
            }
            Decision::Decided(position) => (*position, ""),
            Decision::Replayed(position) => (*position, "already: "),
        };
        let place = usize::try_from(position.height).expect("heights are small here");
        let leaves = self.chain()?.blocks[place].leaves.clone();
        let first = usize::try_from(position.leaf).expect("blocks are small here");
        let own = leaves[first].instruction;
        let leaves = leaves[first..].iter().take_while(|leaf| leaf.instruction == own);
        Ok(leaves.map(|leaf| self.leaf_answer(prefix, leaf)).collect())
    }

    fn name_of(&self, bic: &Bic) -> &str {
        self.names.iter().find(|name| bic_of(name) == *bic).expect("members have names")
    }
}

/// What is to be signed.
enum Plain {
    Body(Body),
    Transfers(Vec<v1::Transfer>, bool),
    Entries(Vec<v1::BookEntry>),
}

impl Plain {
    fn items(&self) -> usize {
        match self {
            Plain::Body(_) => 0,
            Plain::Transfers(items, _) => items.len(),
            Plain::Entries(items) => items.len(),
        }
    }

    fn draft(self, id: counterfoil_ledger::id::InstructionId, signer: &Bic, until: u64) -> Draft {
        match self {
            Plain::Body(body) => Draft::new(id, signer, until, body),
            Plain::Transfers(items, together) => {
                Draft::transfers(id, signer, until, &items, together)
            }
            Plain::Entries(items) => Draft::book_entries(id, signer, until, &items),
        }
    }
}

fn outcome_text(outcome: &Outcome) -> String {
    match (outcome.state, outcome.event, outcome.reason) {
        (_, _, Some(reason)) => format!("rejected {}", reason.name()),
        (OutcomeState::Settled, ..) => "settled".to_owned(),
        (OutcomeState::Itemised, ..) => "taken".to_owned(),
        (_, Event::AccountOpened, _) => "opened".to_owned(),
        (_, Event::AgreementProposed, _) => "offered".to_owned(),
        (_, Event::AgreementAnswered, _) => "answered".to_owned(),
        (_, Event::MatchingRun, _) => "run".to_owned(),
        (_, Event::MatchDecided, _) => "decided".to_owned(),
        (_, Event::BreakWorked, _) => "done".to_owned(),
        (_, Event::PositionSigned, _) => "signed".to_owned(),
        _ => "recorded".to_owned(),
    }
}

fn yyyymmdd(text: &str) -> Result<u32, Failure> {
    Date::parse(text).map(Date::yyyymmdd).map_err(|error| format!("{text}: {error}"))
}

fn signed_amount(text: &str, exponent: u8) -> Result<i64, Failure> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let units = parse_amount(digits, exponent).map_err(|error| error.to_string())?;
    Ok(sign * i64::try_from(units).map_err(|error| error.to_string())?)
}
