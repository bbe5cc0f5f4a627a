//! What a statement says before its entries.

use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::asset::parse_amount;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;

use super::Message;
use super::Pages;
use super::pages;
use super::party::identification;
use super::party::lenient_bic;
use super::values::amount_in;
use super::values::date_in;
use super::values::date_or_time;
use super::values::number;
use super::values::optional_date;
use super::values::side;
use crate::formats::error::FormatError;
use crate::formats::error::Warnings;
use crate::formats::error::quote;
use crate::formats::fields;
use crate::formats::fields::ExponentOf;
use crate::formats::fields::lenient_reference;
use crate::formats::statement::Balance;
use crate::formats::statement::Sequence;
use crate::formats::statement::Stated;
use crate::formats::statement::StatedTotal;
use crate::formats::statement::Statement;
use crate::formats::stream::OpenStatement;
use crate::formats::xml::Element;

/// Whether an element of a statement is read before the entries. ISO 20022 puts all of these there;
/// one behind the entries would be passed over.
pub(super) fn is_of_heading(name: &str) -> bool {
    const NAMES: [&str; 8] =
        ["Id", "ElctrncSeqNb", "LglSeqNb", "CreDtTm", "FrToDt", "Acct", "Bal", "TxsSummry"];
    NAMES.contains(&name) || name.ends_with("Pgntn")
}

/// A statement, of which the first entry or the end has been reached.
pub(super) struct Heading<'t, 'e> {
    pub(super) message: &'static Message,
    pub(super) element: Element<'t>,
    pub(super) exponent_of: ExponentOf<'e>,
}

impl<'t> Heading<'t, '_> {
    pub(super) fn read(&self) -> Result<OpenStatement, FormatError> {
        let mut warnings = Warnings::default();
        let element = self.element;
        let account = element.require(&["Acct"])?;
        let balances = booked_balances(element)?;
        let (currency, exponent) = self.currency(account, &balances)?;
        let balance = |bal: Option<Element<'t>>| bal.map(|bal| self.balance(bal, &currency));
        let opening = balance(balances.opening()).transpose()?;
        let closing = balance(balances.closing).transpose()?;
        let period = self.period(&balances)?;
        if period.source != PeriodSource::Stated {
            warnings.add(
                format!("{}/FrToDt", element.path()),
                match period.source {
                    PeriodSource::Entries => "it is missing; the days of the entries were assumed",
                    PeriodSource::Creation => "it is missing; the day of creation was assumed",
                    _ => "it is missing; the days of the balances were assumed",
                },
            );
        }
        let Pages { first, last } = match element.find(self.message.pagination)? {
            Some(pagination) => pages(pagination)?,
            None => Pages { first: true, last: true },
        };
        let statement = Statement {
            place: element.path(),
            kind: self.message.kind,
            id: lenient_reference(&element.require(&["Id"])?, &mut warnings),
            sequence: self.sequence(&mut warnings)?,
            account: identification(account, &mut warnings)?,
            servicer: lenient_bic(account, &["Svcr", "FinInstnId"], &mut warnings)?,
            owner: lenient_bic(account, &["Ownr", "Id", "OrgId"], &mut warnings)?,
            currency,
            exponent,
            from: period.from,
            to: period.to,
            period_stated: period.source == PeriodSource::Stated,
            opening,
            closing,
            stated: stated(element, exponent, &mut warnings)?,
            first_page: first,
            last_page: last,
            entries: Vec::new(),
            expectations: Vec::new(),
            left_out: Vec::new(),
            warnings,
        };
        Ok(OpenStatement::new(statement, period.source == PeriodSource::Entries))
    }

    fn sequence(&self, warnings: &mut Warnings) -> Result<Sequence, FormatError> {
        let page = match self.element.find(self.message.pagination)? {
            Some(pagination) => number(pagination, "PgNb", warnings)?,
            None => None,
        };
        Ok(Sequence {
            electronic: number(self.element, "ElctrncSeqNb", warnings)?,
            legal: number(self.element, "LglSeqNb", warnings)?,
            page,
        })
    }

    /// The account's own currency, or else that of its booked balances, or else of its first entry.
    fn currency(
        &self,
        account: Element<'t>,
        balances: &BookedBalances<'t>,
    ) -> Result<(AssetCode, u8), FormatError> {
        let (place, code) = if let Some(currency) = account.find("Ccy")? {
            (currency.path(), currency.text())
        } else {
            let holder = balances.opening().or(balances.closing).or(self.first_entry());
            let amount = holder.map(|holder| holder.require(&["Amt"])).transpose()?;
            let found = amount.and_then(|amount| Some((amount, amount.currency()?)));
            let (amount, code) = found.ok_or_else(|| account.missing("Ccy"))?;
            (format!("{}/@Ccy", amount.path()), code)
        };
        match AssetCode::parse(code).ok().zip((self.exponent_of)(code)) {
            Some(known) => Ok(known),
            None => Err(FormatError::new(
                place,
                format!("{} is not an asset of this ledger", quote(code)),
                "import statements of registered assets",
            )),
        }
    }

    fn first_entry(&self) -> Option<Element<'t>> {
        self.element.all("Ntry").next()
    }

    fn balance(&self, element: Element<'t>, currency: &AssetCode) -> Result<Balance, FormatError> {
        let amount = amount_in(element.require(&["Amt"])?, currency, self.exponent_of)?;
        let units = i64::try_from(amount.units).expect("parse_amount admits 63 bits");
        let units = match side(element)? {
            Side::Credit => units,
            Side::Debit => -units,
        };
        Ok(Balance { units, exponent: amount.exponent, date: date_in(element, "Dt")? })
    }

    /// What the statement says, or else the days of its balances, or else of its entries, or else
    /// the day on which it was made.
    fn period(&self, balances: &BookedBalances<'t>) -> Result<Period, FormatError> {
        if let Some(period) = self.element.find("FrToDt")? {
            let (from, to) = (date_or_time(period, "FrDt")?, date_or_time(period, "ToDt")?);
            if from > to {
                return Err(period.error(format!("it runs from {from} to {to}"), "turn it round"));
            }
            return Ok(Period { from, to, source: PeriodSource::Stated });
        }
        let days = balances.days()?;
        if let (Some(from), Some(to)) = (days.iter().min(), days.iter().max()) {
            return Ok(Period { from: *from, to: *to, source: PeriodSource::Balances });
        }
        if let Some(entry) = self.first_entry() {
            // One that cannot be read is refused with its entry, if that counts.
            let mut days = ["BookgDt", "ValDt"].into_iter();
            if let Some(day) = days.find_map(|name| optional_date(entry, name).ok().flatten()) {
                return Ok(Period { from: day, to: day, source: PeriodSource::Entries });
            }
        }
        let group = self.element.parent();
        let created = match (self.element.find("CreDtTm")?, group) {
            (Some(created), _) => Some(created),
            (None, Some(group)) => group.descend(&["GrpHdr", "CreDtTm"])?,
            (None, None) => None,
        };
        let day = fields::date(&created.ok_or_else(|| self.element.missing("FrToDt"))?)?;
        Ok(Period { from: day, to: day, source: PeriodSource::Creation })
    }
}

struct Period {
    from: Date,
    to: Date,
    source: PeriodSource,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PeriodSource {
    Stated,
    Balances,
    Entries,
    Creation,
}

/// The `Bal` elements that matter.
#[derive(Default)]
struct BookedBalances<'t> {
    opening_booked: Option<Element<'t>>,
    previously_closed: Option<Element<'t>>,
    closing: Option<Element<'t>>,
}

impl<'t> BookedBalances<'t> {
    fn opening(&self) -> Option<Element<'t>> {
        self.opening_booked.or(self.previously_closed)
    }

    fn days(&self) -> Result<Vec<Date>, FormatError> {
        let mut days = Vec::new();
        if let Some(opening) = self.opening_booked {
            days.push(date_in(opening, "Dt")?);
        } else if let Some(previous) = self.previously_closed {
            days.push(date_in(previous, "Dt")?.next());
        }
        if let Some(closing) = self.closing {
            days.push(date_in(closing, "Dt")?);
        }
        Ok(days)
    }
}

fn booked_balances(statement: Element<'_>) -> Result<BookedBalances<'_>, FormatError> {
    let mut balances = BookedBalances::default();
    for element in statement.all("Bal") {
        let code = match element.descend(&["Tp", "CdOrPrtry", "Cd"])? {
            Some(code) => Some(code),
            None => element.descend(&["Tp", "Cd"])?,
        };
        let slot = match code.map(|code| code.text()) {
            Some("OPBD") => &mut balances.opening_booked,
            Some("PRCD") => &mut balances.previously_closed,
            Some("CLBD") => &mut balances.closing,
            _ => continue,
        };
        if slot.replace(element).is_some() {
            return Err(element.error("a second balance of its type", "keep one of them"));
        }
    }
    Ok(balances)
}

fn stated(
    statement: Element<'_>,
    exponent: u8,
    warnings: &mut Warnings,
) -> Result<Stated, FormatError> {
    let Some(summary) = statement.find("TxsSummry")? else { return Ok(Stated::default()) };
    let entries = match summary.find("TtlNtries")? {
        Some(total) => number(total, "NbOfNtries", warnings)?,
        None => None,
    };
    let mut total = |name| -> Result<StatedTotal, FormatError> {
        let Some(total) = summary.find(name)? else { return Ok(StatedTotal::default()) };
        let count = number(total, "NbOfNtries", warnings)?;
        let sum = total.find("Sum")?;
        let units = sum.and_then(|sum| parse_amount(sum.text(), exponent).ok());
        if let Some(sum) = sum.filter(|_| units.is_none()) {
            let fact = format!("{} is no amount of the account; it was dropped", quote(sum.text()));
            warnings.add(sum.path(), fact);
        }
        Ok(StatedTotal { count, units })
    };
    Ok(Stated { entries, credits: total("TtlCdtNtries")?, debits: total("TtlDbtNtries")? })
}
