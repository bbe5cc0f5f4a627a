//! What banks tell of their books, and decide about them.

use bytes::Bytes;
use counterfoil_ledger::{
    agreement::Party,
    asset::parse_amount,
    date::Date,
    matching::item::{Comparison, Place, Source},
    reconciliation::orders::View,
};
use counterfoil_proto::v1::{self, instruction::Body, work_break::Action};

use super::{Account, Answer, Bank, Failure, Plain, Words, signed_amount, yyyymmdd};
use crate::support::{
    build::{self, bytes_of, uetr_of},
    consortium::bic_of,
};

impl Bank {
    pub(super) fn book(
        &mut self,
        words: &Words<'_>,
        items: &[&str],
    ) -> Result<Vec<Answer>, Failure> {
        let label = words.at(1)?;
        let account = self.account(words.need("of")?)?.clone();
        let entries = (1..)
            .zip(items)
            .map(|(number, line)| entry(&format!("{label}-{number}"), &account, &Words::of(line)));
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        let signer = self.signer(words, bic_of(words.need("by")?))?;
        self.order(label, words, signer, Plain::Entries(entries))
    }

    pub(super) fn statement(&mut self, words: &Words<'_>) -> Result<Vec<Answer>, Failure> {
        let label = words.at(1)?;
        let account = self.account(words.need("of")?)?.clone();
        let (from, to) = (yyyymmdd(words.need("from")?)?, yyyymmdd(words.need("to")?)?);
        let mut statement = build::statement(label, &account.id, from, to);
        statement.statement_id = words.after("called").unwrap_or(label).to_owned();
        statement.opening_balance = signed_amount(words.need("opening")?, account.exponent)?;
        statement.closing_balance = signed_amount(words.need("closing")?, account.exponent)?;
        if let Some(number) = words.after("number") {
            statement.sequence = number.parse().map_err(|_| "`number` is a number")?;
        }
        if words.has("original") {
            statement.original =
                Bytes::copy_from_slice(&[bytes_of(label), bytes_of(label)].concat());
        }
        let signer = self.signer(words, bic_of(words.need("by")?))?;
        self.order(label, words, signer, Plain::Body(Body::Statement(statement)))
    }

    /// A step that needs no name gets one, so that its id is its own.
    fn step_label(&self, words: &Words<'_>) -> String {
        let unnamed = || format!("step {}", self.orders.len() + 1);
        words.after("as").map_or_else(unnamed, str::to_owned)
    }

    fn step(&mut self, words: &Words<'_>, body: Body) -> Result<Vec<Answer>, Failure> {
        let label = self.step_label(words);
        let signer = bic_of(words.need("by")?);
        self.order(&label, words, signer, Plain::Body(body))
    }

    pub(super) fn run(&mut self, words: &Words<'_>) -> Result<Vec<Answer>, Failure> {
        let account = self.account(words.need("of")?)?.id;
        let run = v1::RunMatching {
            account: Bytes::copy_from_slice(account.as_bytes()),
            salt: Bytes::copy_from_slice(&bytes_of(&self.step_label(words))),
        };
        self.step(words, Body::RunMatching(run))
    }

    pub(super) fn decide(&mut self, words: &Words<'_>) -> Result<Vec<Answer>, Failure> {
        let decision = match words.at(1)? {
            "confirm" => v1::MatchDecision::Confirm,
            "refuse" => v1::MatchDecision::Refuse,
            "undo" => v1::MatchDecision::Undo,
            other => return Err(format!("`{other}` is no decision")),
        };
        let account = self.account(words.need("of")?)?.clone();
        let named = words.need("items")?.split(',');
        let named = named
            .map(|name| self.item_named(&account, name))
            .collect::<Result<Vec<(Source, u64)>, _>>()?;
        let comparison = self.comparison_of(&account, &named)?;
        let numbers = |place: Place| {
            let mut numbers: Vec<u64> = named
                .iter()
                .filter(|(source, _)| *source == comparison.source(place))
                .map(|(_, number)| *number)
                .collect();
            numbers.sort_unstable();
            numbers.into_iter().map(|number| v1::ItemNumber { number }).collect()
        };
        let order = v1::DecideMatch {
            account: Bytes::copy_from_slice(account.id.as_bytes()),
            comparison: i32::from(comparison as u8),
            first: numbers(Place::First),
            second: numbers(Place::Second),
            decision: decision.into(),
            commitment: Bytes::new(),
            salt: Bytes::copy_from_slice(&bytes_of(&self.step_label(words))),
        };
        self.step(words, Body::DecideMatch(order))
    }

    /// The one comparison of the account in which all these sources are.
    fn comparison_of(
        &mut self,
        account: &Account,
        named: &[(Source, u64)],
    ) -> Result<Comparison, Failure> {
        let ordinal = self.chain()?.state.account(&account.id).map(|it| it.ordinal);
        let state = &self.chain()?.state;
        let sheet = ordinal.and_then(|ordinal| state.reconciliation().sheet(ordinal));
        let compared = |it: &Comparison| sheet.is_none_or(|sheet| sheet.desk(*it).is_some());
        let fits = |it: &Comparison| named.iter().all(|(source, _)| it.place(*source).is_some());
        let found = Comparison::ALL.into_iter().find(|it| compared(it) && fits(it));
        found.or(Comparison::ALL.into_iter().find(fits)).ok_or("no two sources".to_owned())
    }

    /// `Alpha#3` is the third entry of Alpha's book; everything else is the name of a transfer.
    fn item_named(&mut self, account: &Account, name: &str) -> Result<(Source, u64), Failure> {
        if let Some((bank, number)) = name.split_once('#') {
            let number = number.parse().map_err(|_| format!("{name} has no number"))?;
            let source = if account.owner == bic_of(bank) && account.owner != account.servicer {
                Source::OwnerBook
            } else if account.servicer == bic_of(bank) {
                Source::ServicerBook
            } else {
                Source::Ledger
            };
            return Ok((source, number));
        }
        let found = self.chain()?.state.account(&account.id).ok_or("it is not open")?.ordinal;
        let labels = self.labels.clone();
        let movements = self.chain()?.history.movements(found);
        let is = |label: Option<&String>| label.is_some_and(|label| label == name);
        let found = movements.iter().find(|it| is(labels.get(&it.position)));
        let found = found.ok_or_else(|| format!("{name} is not on this account"))?;
        Ok((Source::Ledger, found.sequence))
    }

    /// A step of the work on a break, or the same step several times.
    pub(super) fn work(&mut self, words: &Words<'_>) -> Result<Vec<Answer>, Failure> {
        let times = words.after("times").map_or(Ok(1), str::parse::<u32>);
        let times = times.map_err(|error| error.to_string())?;
        let answers = self.work_once(words)?;
        for _ in 1..times {
            let again = self.work_once(words)?;
            if again != answers {
                return Err(format!("the answers differ: {answers:?}, {again:?}"));
            }
        }
        Ok(answers)
    }

    fn work_once(&mut self, words: &Words<'_>) -> Result<Vec<Answer>, Failure> {
        let number = words.at(1)?.parse().map_err(|_| "a break has a number")?;
        let account = self.account(words.need("of")?)?.clone();
        let label = self.step_label(words);
        let action = if let Some(bank) = words.after("assign") {
            let is_owner = bic_of(bank) == account.owner;
            let party = if is_owner { v1::Party::Owner } else { v1::Party::Servicer };
            Action::Assign(v1::AssignBreak { owner: party.into() })
        } else if let Some(code) = words.after("say") {
            Action::Say(v1::SayOfBreak { code: code.to_owned(), ..Default::default() })
        } else if let Some(kind) = words.after("offer") {
            Action::Propose(self.resolution(kind, words)?)
        } else if let Some(kind) = words.after("agree") {
            let offer = self.resolution(kind, words)?;
            let pays = offer.amount > 0 && !words.has("unpaid");
            let transfer = match pays {
                true => Some(self.transfer(&label, words.need("pay")?, words)?),
                false => None,
            };
            Action::Agree(v1::AgreeResolution { offer: Some(offer), transfer })
        } else if words.has("decline") {
            Action::Decline(v1::DeclineResolution::default())
        } else if words.has("reopen") {
            Action::Reopen(v1::ReopenBreak::default())
        } else {
            return Err("this is no step of the work on a break".to_owned());
        };
        let step = v1::WorkBreak {
            account: Bytes::copy_from_slice(account.id.as_bytes()),
            number,
            salt: Bytes::copy_from_slice(&bytes_of(&label)),
            action: Some(action),
        };
        self.step(words, Body::WorkBreak(Box::new(step)))
    }

    /// `write-off`, or `correct pay AMOUNT from N to N`.
    fn resolution(&self, kind: &str, words: &Words<'_>) -> Result<v1::ProposeResolution, Failure> {
        use v1::ResolutionKind as Kind;
        let kind = match kind {
            "late-match" => Kind::LateMatch,
            "correct" => Kind::CorrectingTransfer,
            "return" => Kind::Return,
            "charge-accepted" => Kind::ChargeAccepted,
            "write-off" => Kind::WriteOff,
            "no-action" => Kind::NoAction,
            "book-corrected" => Kind::BookCorrected,
            other => return Err(format!("`{other}` is no way to end a break")),
        };
        let mut offer = v1::ProposeResolution { kind: kind.into(), ..Default::default() };
        if let Some(amount) = words.after("pay") {
            let debit = self.account(words.need("from")?)?;
            let credit = self.account(words.need("to")?)?;
            let amount = parse_amount(amount, debit.exponent);
            offer.amount = amount.map_err(|error| error.to_string())?;
            offer.debit_account = Bytes::copy_from_slice(debit.id.as_bytes());
            offer.credit_account = Bytes::copy_from_slice(credit.id.as_bytes());
        }
        Ok(offer)
    }

    /// Signs what the bank's own book says of a day; or of the ledger, where its book is not compared.
    pub(super) fn sign_position(&mut self, words: &Words<'_>) -> Result<Vec<Answer>, Failure> {
        let account = self.account(words.need("of")?)?.clone();
        let date = Date::parse(words.need("on")?).map_err(|error| error.to_string())?;
        let mut view = self.view(&account, bic_of(words.need("by")?) == account.owner, date)?;
        if let Some(opening) = words.after("opening") {
            let moved = view.closing - view.opening;
            view.opening = signed_amount(opening, account.exponent)?;
            view.closing = view.opening + moved;
        }
        if words.has("wrong") {
            view.debits += 1;
        }
        let order = v1::SignPosition {
            account: Bytes::copy_from_slice(account.id.as_bytes()),
            date: date.yyyymmdd(),
            opening_balance: view.opening,
            credit_count: view.credit_count,
            credits: view.credits,
            debit_count: view.debit_count,
            debits: view.debits,
            closing_balance: view.closing,
            digest: Bytes::copy_from_slice(view.digest.as_bytes()),
            salt: Bytes::copy_from_slice(&bytes_of(&self.step_label(words))),
        };
        self.step(words, Body::SignPosition(order))
    }

    fn view(&mut self, account: &Account, is_owner: bool, date: Date) -> Result<View, Failure> {
        let state = &self.chain()?.state;
        let found = state.account(&account.id).ok_or("it is not open")?;
        let newest = state.agreements().newest(&account.id);
        let sources = newest.map(|newest| newest.terms.sources);
        let source = match (is_owner, sources) {
            (true, Some(it)) if it.owner_book => Source::OwnerBook,
            (false, Some(it)) if it.servicer_book => Source::ServicerBook,
            _ => Source::Ledger,
        };
        let sheet = state.reconciliation().sheet(found.ordinal);
        let book = sheet.and_then(|sheet| sheet.book(source)).cloned().unwrap_or_default();
        let (day, digest) = book.day(date);
        let opening = match source {
            Source::Ledger => Some(found.balance - book.movement_from(date)),
            _ => book.opening(date),
        };
        let units = |units: i128| i64::try_from(units).map_err(|error| error.to_string());
        let opening = opening.unwrap_or(0);
        Ok(View {
            opening: units(opening)?,
            credit_count: day.credit_count,
            credits: u64::try_from(day.credits).map_err(|error| error.to_string())?,
            debit_count: day.debit_count,
            debits: u64::try_from(day.debits).map_err(|error| error.to_string())?,
            closing: units(opening + day.movement())?,
            digest,
        })
    }

    pub(super) fn party_name(&self, account: &Account, party: Party) -> &str {
        match party {
            Party::Servicer => self.name_of(&account.servicer),
            Party::Owner => self.name_of(&account.owner),
        }
    }
}

/// `- debit 10.00 on 2026-11-23 …`
fn entry(label: &str, account: &Account, words: &Words<'_>) -> Result<v1::BookEntry, Failure> {
    let side = match words.at(1)? {
        "credit" => v1::Side::Credit,
        "debit" => v1::Side::Debit,
        other => return Err(format!("`{other}` is neither credit nor debit")),
    };
    let amount = |text| parse_amount(text, account.exponent).map_err(|error| error.to_string());
    let text = |keyword| words.after(keyword).unwrap_or("").to_owned();
    let date = yyyymmdd(words.need("on")?)?;
    let mut entry = build::book_entry(label, &account.id, side, amount(words.at(2)?)?, date);
    entry.value_date = words.after("value").map_or(Ok(0), yyyymmdd)?;
    entry.entry_reference = text("entry");
    entry.end_to_end_id = text("ref");
    entry.transaction_id = text("tx");
    entry.instruction_id = text("instr");
    entry.group_id = text("group");
    entry.asset = text("asset");
    entry.charges = words.after("charges").map_or(Ok(0), amount)?;
    entry.counterparty = words.after("with").map_or(String::new(), |bank| bic_of(bank).to_string());
    entry.reversal = words.has("reversal");
    entry.returned = words.has("returned");
    entry.exchanged = words.has("exchanged");
    let purposes = [("lending", v1::Purpose::Lending), ("repayment", v1::Purpose::Repayment)];
    let purpose = purposes.into_iter().find(|(word, _)| words.has(word));
    entry.purpose = purpose.map_or(0, |(_, purpose)| purpose.into());
    entry.expected = words.has("expected");
    if let Some(other) = words.after("uetr") {
        entry.uetr = Bytes::copy_from_slice(uetr_of(other).as_bytes());
    }
    Ok(entry)
}
