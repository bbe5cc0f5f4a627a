//! What the ledger says of an account's reconciliation when it is asked.

use counterfoil_ledger::{
    agreement::Party,
    asset::format_amount,
    date::Date,
    matching::item::{Comparison, Id, Source},
    reconciliation::{
        astray::Elsewhere,
        finding::{Class, Finding, Says},
        sheet::Sheet,
        work::WorkState,
    },
};

use super::{
    Account, Answer, Bank, Failure, Words,
    effects::{pass_text, state_text},
};
use crate::support::consortium::bic_of;

impl Bank {
    /// The account that a question is about, and its sheet.
    fn sheet(&mut self, words: &Words<'_>) -> Result<(Account, Option<Sheet>), Failure> {
        let account = self.account(words.at(1)?)?.clone();
        let state = &self.chain()?.state;
        let ordinal = state.account(&account.id).ok_or("it is not open")?.ordinal;
        Ok((account, state.reconciliation().sheet(ordinal).cloned()))
    }

    /// The items of a bank's book, or of the ledger, and where each stands.
    pub(super) fn entries(&mut self, words: &Words<'_>) -> Result<Answer, Failure> {
        let (account, sheet) = self.sheet(words)?;
        let source = match words.need("of")? {
            "ledger" => Source::Ledger,
            bank if bic_of(bank) == account.servicer => Source::ServicerBook,
            _ => Source::OwnerBook,
        };
        let Some(sheet) = sheet else { return Ok(vec!["none".to_owned()]) };
        let numbers = 1..=10_000;
        let items = numbers.filter_map(|number| sheet.item(source, number));
        let lines = items.map(|item| {
            let amount = format_amount(item.side.signed(item.amount), account.exponent);
            let standing = standing(&sheet, source, item.number);
            format!("{} {} {amount} {standing}", item.number, item.date)
        });
        Ok(or_none(lines.collect()))
    }

    pub(super) fn breaks(&mut self, words: &Words<'_>) -> Result<Answer, Failure> {
        let (account, sheet) = self.sheet(words)?;
        let text = |sheet: &Sheet, found: &Finding| {
            let Says::Break { category } = found.says else { unreachable!("it is a break") };
            let what = self.category_text(&account, found.comparison, category);
            let items = self.items_text(&account, found.comparison, &found.items);
            let work = sheet.work(found.number).expect("a break has work");
            let owner = match work.owner.filter(|_| !work.state.is_ended()) {
                Some(owner) => format!(" with {}", self.party_name(&account, owner)),
                None => String::new(),
            };
            let state = state_text(work.state);
            let items = if items.is_empty() { items } else { format!(": {items}") };
            let elsewhere = found.elsewhere.map_or_else(String::new, |it| self.elsewhere_text(it));
            format!("{} {what}{items}{elsewhere}, {state}{owner}", found.number)
        };
        Ok(lines(sheet.as_ref(), Class::Break, |_| true, text))
    }

    fn elsewhere_text(&self, elsewhere: Elsewhere) -> String {
        let Elsewhere { account, source, number } = elsewhere;
        let chain = self.chain.as_ref().expect("it has breaks");
        let id = chain.state.account_at(account).expect("it is open").id;
        let (name, account) = self.accounts.iter().find(|(_, it)| it.id == id).expect("a name");
        format!(" (on {name}: {})", self.item_text(account, source, number))
    }

    pub(super) fn matches(&mut self, words: &Words<'_>) -> Result<Answer, Failure> {
        let (account, sheet) = self.sheet(words)?;
        let text = |_: &Sheet, found: &Finding| {
            let Says::Match { pass, confirmed } = found.says else { unreachable!("it is a match") };
            let items = self.items_text(&account, found.comparison, &found.items);
            let confirmed = if confirmed { ", confirmed" } else { "" };
            format!("{} by {}: {items}{confirmed}", found.number, pass_text(pass as u8))
        };
        Ok(lines(sheet.as_ref(), Class::Match, is_open, text))
    }

    pub(super) fn proposals(&mut self, words: &Words<'_>) -> Result<Answer, Failure> {
        let (account, sheet) = self.sheet(words)?;
        let text = |_: &Sheet, found: &Finding| {
            let Says::Proposal { pass, confirmed_by } = found.says else {
                unreachable!("it is a proposal")
            };
            let items = self.items_text(&account, found.comparison, &found.items);
            let by = match Party::from_number(confirmed_by) {
                Some(party) => format!(", confirmed by {}", self.party_name(&account, party)),
                None => String::new(),
            };
            format!("{} by {}: {items}{by}", found.number, pass_text(pass as u8))
        };
        Ok(lines(sheet.as_ref(), Class::Proposal, is_open, text))
    }

    /// What both banks say of a day.
    pub(super) fn position(&mut self, words: &Words<'_>) -> Result<Answer, Failure> {
        let (account, sheet) = self.sheet(words)?;
        let date = Date::parse(words.need("on")?).map_err(|error| error.to_string())?;
        let found = sheet.as_ref().and_then(|sheet| sheet.position(date));
        let Some(found) = found else { return Ok(vec!["nobody has signed".to_owned()]) };
        let money = |units: i128| format_amount(units, account.exponent);
        let mut lines = Answer::new();
        for party in [Party::Servicer, Party::Owner] {
            let name = self.party_name(&account, party);
            lines.push(match found.view(party) {
                None => format!("{name} has not signed"),
                Some((view, _)) => format!(
                    "{name}: opening {}, {} in {}, {} out {}, closing {}",
                    money(view.opening.into()),
                    view.credit_count,
                    money(view.credits.into()),
                    view.debit_count,
                    money(view.debits.into()),
                    money(view.closing.into()),
                ),
            });
        }
        lines.push(match (found.agreed_at, found.break_number) {
            (Some(_), _) => "agreed".to_owned(),
            (None, Some(number)) => format!("differs: break {number}"),
            (None, None) => "not agreed".to_owned(),
        });
        Ok(lines)
    }
}

fn is_open(found: &Finding) -> bool {
    found.closed_at.is_none()
}

fn lines(
    sheet: Option<&Sheet>,
    class: Class,
    is_shown: impl Fn(&Finding) -> bool,
    text: impl Fn(&Sheet, &Finding) -> String,
) -> Answer {
    let Some(sheet) = sheet else { return vec!["none".to_owned()] };
    let shown = sheet.findings(class).filter(|found| is_shown(found));
    or_none(shown.map(|found| text(sheet, found)).collect())
}

fn or_none(lines: Answer) -> Answer {
    if lines.is_empty() { vec!["none".to_owned()] } else { lines }
}

/// Where an item stands, in each comparison that it is in.
fn standing(sheet: &Sheet, source: Source, number: u64) -> String {
    let mut found = Vec::new();
    for comparison in Comparison::ALL {
        let Some(place) = comparison.place(source) else { continue };
        let id = Id { place, number };
        for class in Class::ALL {
            let named = sheet.findings(class).filter(|it| it.comparison == comparison);
            for finding in named.filter(|it| it.has(id)) {
                found.extend(match (class, sheet.work(finding.number).map(|work| work.state)) {
                    (Class::Match, _) if is_open(finding) => {
                        Some(format!("match {}", finding.number))
                    }
                    (Class::Proposal, _) if is_open(finding) => {
                        Some(format!("proposal {}", finding.number))
                    }
                    (Class::Break, Some(WorkState::Healed)) => None,
                    (Class::Break, Some(state)) if state.is_ended() => {
                        Some(format!("break {} {}", finding.number, state_text(state)))
                    }
                    (Class::Break, _) if is_open(finding) => {
                        Some(format!("break {}", finding.number))
                    }
                    _ => None,
                });
            }
        }
    }
    if found.is_empty() { "open".to_owned() } else { found.join(", ") }
}
