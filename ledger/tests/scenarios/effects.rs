//! What a leaf did to the books of accounts, in words.

use counterfoil_ledger::{
    agreement::Party,
    block::{Block, LeafRecord, NO_INSTRUCTION},
    date::Date,
    matching::{
        item::{Comparison, Place, Source},
        pair::Category,
    },
    reconciliation::{
        effect::{self, Effect, Kind},
        pass::Pass,
        work::WorkState,
    },
};

use super::{Account, Answer, Bank, Failure, outcome_text};

impl Bank {
    /// Waits, and does what falls due by then; answers what it did.
    pub(super) fn wait_until(&mut self, time_ms: u64) -> Result<Answer, Failure> {
        self.now_ms = time_ms;
        let mut answer = Answer::new();
        while let Some(chain) = self.chain.as_mut()
            && chain.state.reconciliation().due_ms().is_some_and(|due_ms| due_ms <= self.now_ms)
        {
            let (block, _) = chain.execute(self.now_ms, Vec::new());
            self.now_ms += 1_000;
            answer.extend(self.due_answers(&block));
        }
        Ok(answer)
    }

    /// What was due at the end of a block.
    pub(super) fn due_answers(&self, block: &Block) -> Answer {
        let due = block.leaves.iter().filter(|leaf| leaf.instruction == NO_INSTRUCTION);
        due.flat_map(|leaf| self.effects_text(leaf)).map(|text| format!("due: {text}")).collect()
    }

    pub(super) fn leaf_answer(&self, prefix: &str, leaf: &LeafRecord) -> Answer {
        let mut lines = self.effects_text(leaf);
        let recorded = lines.iter().position(|line| line.starts_with("recorded as "));
        let outcome = match recorded {
            Some(place) => lines.remove(place),
            None => outcome_text(&leaf.outcome),
        };
        lines.insert(0, format!("{prefix}{outcome}"));
        lines
    }

    fn effects_text(&self, leaf: &LeafRecord) -> Answer {
        let decoded = effect::decode(&leaf.effects).expect("effects decode");
        let mut lines = Answer::new();
        for (id, effects) in decoded {
            let named = self.accounts.iter().find(|(_, it)| it.id == id);
            let (name, account) = named.expect("it has a name");
            for effect in effects {
                let text = self.effect_text(account, &effect);
                let recorded = effect.kind == Kind::Recorded;
                lines.push(if recorded { text } else { format!("{name}: {text}") });
            }
        }
        lines
    }

    fn effect_text(&self, account: &Account, effect: &Effect) -> String {
        let Effect { kind, comparison, code, number, items } = effect;
        let items = || self.items_text(account, comparison.expect("of two sources"), items);
        let date = || {
            let date = u32::try_from(*number).ok().map(Date::from_yyyymmdd);
            date.and_then(Result::ok).expect("the number is a date")
        };
        let party = || self.party_name(account, Party::from_number(*code).expect("a party"));
        match kind {
            Kind::Recorded => {
                let bank = [Source::OwnerBook, Source::ServicerBook];
                let bank = bank.into_iter().find(|it| *it as u8 == *code).expect("a book");
                format!("recorded as {}", self.item_text(account, bank, *number))
            }
            Kind::Matched => format!("match {number} by {}: {}", pass_text(*code), items()),
            Kind::Unmatched => format!("match {number} is none any more"),
            Kind::Proposed => format!("proposal {number} by {}: {}", pass_text(*code), items()),
            Kind::ProposalClosed => format!("proposal {number} closed"),
            Kind::BreakOpened => {
                let category = Category::from_number(*code).expect("a category");
                let what = self.category_text(account, comparison.expect("two"), category);
                format!("break {number} {what}: {}", items()).trim_end_matches(": ").to_owned()
            }
            Kind::BreakChanged => {
                let category = Category::from_number(*code).expect("a category");
                let what = self.category_text(account, comparison.expect("two"), category);
                format!("break {number} is {what} now")
            }
            Kind::BreakHealed => format!("break {number} healed"),
            Kind::BreakWorked => {
                let state = WorkState::from_number(*code).expect("a state");
                format!("break {number} {}", state_text(state))
            }
            Kind::PositionSigned => format!("{} has signed {}", party(), date()),
            Kind::PositionAgreed => format!("position of {} agreed", date()),
            Kind::PositionOutdated => format!("what {} signed of {} is outdated", party(), date()),
            Kind::RunGoesOn => "the run goes on".to_owned(),
            Kind::DaysClosed => format!("agreed days up to {} are closed", date()),
            Kind::TooMany => format!("{number} items are too many for {}", pass_text(*code)),
        }
    }

    /// Items of both sources of a comparison.
    pub(super) fn items_text(
        &self,
        account: &Account,
        comparison: Comparison,
        items: &[Vec<u64>; 2],
    ) -> String {
        let sides = Place::BOTH.into_iter().zip(items).filter(|(_, numbers)| !numbers.is_empty());
        let sides = sides.map(|(place, numbers)| {
            let source = comparison.source(place);
            let names = numbers.iter().map(|number| self.item_text(account, source, *number));
            names.collect::<Vec<_>>().join(" + ")
        });
        sides.collect::<Vec<_>>().join(" / ")
    }

    pub(super) fn item_text(&self, account: &Account, source: Source, number: u64) -> String {
        match source {
            Source::OwnerBook => format!("{}#{number}", self.name_of(&account.owner)),
            Source::ServicerBook => format!("{}#{number}", self.name_of(&account.servicer)),
            Source::Ledger => {
                let chain = self.chain.as_ref().expect("it has postings");
                let ordinal = chain.state.account(&account.id).expect("it is open").ordinal;
                let movements = chain.history.movements(ordinal);
                let posting = movements.iter().find(|it| it.sequence == number);
                self.labels[&posting.expect("it is posted").position].clone()
            }
        }
    }

    fn source_text(&self, account: &Account, source: Source) -> String {
        match source {
            Source::OwnerBook => format!("in {}'s book", self.name_of(&account.owner)),
            Source::ServicerBook => format!("in {}'s book", self.name_of(&account.servicer)),
            Source::Ledger => "on the ledger".to_owned(),
        }
    }

    pub(super) fn category_text(
        &self,
        account: &Account,
        comparison: Comparison,
        category: Category,
    ) -> String {
        let text = match category {
            Category::Timing => "timing",
            Category::MissingFirst => {
                let source = comparison.source(Place::First);
                return format!("missing {}", self.source_text(account, source));
            }
            Category::MissingSecond => {
                let source = comparison.source(Place::Second);
                return format!("missing {}", self.source_text(account, source));
            }
            Category::Amount => "amount",
            Category::Currency => "currency",
            Category::ValueDate => "value date",
            Category::Direction => "direction",
            Category::Duplicate => "duplicate",
            Category::UnidentifiedReceipt => "unidentified receipt",
            Category::Charges => "charges",
            Category::WrongAccount => "wrong account",
            Category::ExchangeRounding => "exchange rounding",
            Category::ReturnUnmatched => "return unmatched",
            Category::StatementGap => "statement gap",
            Category::StatementUnbalanced => "statement unbalanced",
            Category::Position => "position",
        };
        text.to_owned()
    }
}

pub(super) fn pass_text(code: u8) -> &'static str {
    match Pass::from_number(code).expect("a pass") {
        Pass::Uetr => "UETR",
        Pass::TransactionId => "transaction id",
        Pass::EndToEndId => "end-to-end id",
        Pass::InstructionId => "instruction id",
        Pass::Contra => "contra",
        Pass::Group => "group",
        Pass::Unreferenced => "amount and date",
        Pass::Sum => "sum",
        Pass::Confirmed => "hand",
    }
}

pub(super) fn state_text(state: WorkState) -> &'static str {
    match state {
        WorkState::Open => "open",
        WorkState::Assigned => "assigned",
        WorkState::Awaiting => "awaits an answer",
        WorkState::Offered => "offered",
        WorkState::Agreed => "agreed, not paid",
        WorkState::Resolved => "resolved",
        WorkState::WrittenOff => "written off",
        WorkState::Healed => "healed",
    }
}
