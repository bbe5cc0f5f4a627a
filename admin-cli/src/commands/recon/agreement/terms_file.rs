//! Terms as a person writes them: TOML, with names, decimals and times of day.

use std::path::Path;

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use counterfoil_client::instructions;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::{AgreementId, Party, Terms};
use counterfoil_ledger::asset::parse_amount;
use counterfoil_ledger::date::Date;
use counterfoil_proto::v1;
use serde::Deserialize;

use super::words::{WEEKDAYS, category_named, parse_agreement_id};
use crate::account_name::{SETTLEMENT, account_id, parse_id};
use crate::context::parse_bic;
use crate::error::Failure;
use crate::files;

/// A file of terms.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermsFile {
    servicer: String,
    owner: String,
    sources: Vec<Source>,
    effective_from: String,
    #[serde(default = "first_rules")]
    rule_set: u32,
    #[serde(default)]
    value_date_window: u32,
    #[serde(default)]
    run_times: Vec<String>,
    #[serde(default)]
    keep_originals: bool,
    servicer_sealing_key: Option<String>,
    owner_sealing_key: Option<String>,
    supersedes: Option<String>,
    missing: Missing,
    calendar: Calendar,
    accounts: Vec<Account>,
    #[serde(default)]
    tolerances: Vec<Tolerance>,
    #[serde(default)]
    duties: Vec<Duty>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Source {
    Ledger,
    OwnerBook,
    ServicerBook,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Missing {
    after_days: u32,
    at: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Calendar {
    utc_offset: String,
    weekend: Vec<String>,
    #[serde(default)]
    holidays: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    id: Option<String>,
    asset: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tolerance {
    asset: String,
    #[serde(default = "zero")]
    absolute: String,
    #[serde(default)]
    basis_points: u32,
    #[serde(default = "zero")]
    exchange_rounding: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Duty {
    category: String,
    answers: Answers,
    answer_days: u32,
    #[serde(default)]
    escalate_days: u32,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answers {
    Servicer,
    Owner,
}

fn first_rules() -> u32 {
    1
}

fn zero() -> String {
    "0".to_owned()
}

/// What a field of the file may not be.
fn wrong(field: &str, value: &str, rule: &str) -> Failure {
    Failure::usage("TERMS_MALFORMED", format!("{value:?} cannot be {field}")).fact(rule)
}

impl TermsFile {
    /// Reads a file; what is in it is judged by [`TermsFile::terms`].
    pub fn read(path: &Path) -> Result<TermsFile, Failure> {
        let text = files::read_text(path)?;
        toml::from_str(&text).map_err(|error| {
            let failure =
                Failure::usage("TERMS_MALFORMED", format!("{} is not understood", path.display()));
            let lines = error.to_string();
            let lines = lines.lines().map(str::trim_end).filter(|line| !line.is_empty());
            lines.fold(failure, |failure, line| failure.fact(line)).fix(
                "counterfoil recon agreement propose --template prints a file with every field",
            )
        })
    }

    /// The terms, with a new salt: what would be signed. `exponent` tells the decimals of an asset.
    pub fn terms(
        &self,
        exponent: impl Fn(&str) -> Result<u8, Failure>,
    ) -> Result<(v1::AgreementTerms, Terms), Failure> {
        let (servicer, owner) = (parse_bic(&self.servicer)?, parse_bic(&self.owner)?);
        let account = |account: &Account| match account {
            Account { id: Some(id), asset: None, name: None } => parse_id(id),
            Account { id: None, asset: Some(asset), name } => {
                account_id(&servicer, &owner, asset, name.as_deref().unwrap_or(SETTLEMENT))
            }
            _ => Err(Failure::usage("TERMS_MALFORMED", "an account is not named")
                .fact("give its asset and name, or its id alone")),
        };
        let accounts: Vec<AccountId> =
            self.accounts.iter().map(account).collect::<Result<_, _>>()?;
        let tolerances = self.tolerances.iter().map(|it| it.message(&exponent));
        let has = |source| self.sources.contains(&source);
        let effective_from = date("effective_from", &self.effective_from)?;
        let message = v1::AgreementTerms {
            ledger: has(Source::Ledger),
            owner_book: has(Source::OwnerBook),
            servicer_book: has(Source::ServicerBook),
            rule_set: self.rule_set,
            tolerances: tolerances.collect::<Result<_, _>>()?,
            value_date_window: self.value_date_window,
            missing_after_days: self.missing.after_days,
            missing_at_minute: minute("missing.at", &self.missing.at)?,
            duties: self.duties.iter().map(Duty::message).collect::<Result<_, _>>()?,
            calendar: Some(self.calendar.message()?),
            run_times: self
                .run_times
                .iter()
                .map(|time| Ok(v1::RunTime { minute: minute("a run time", time)? }))
                .collect::<Result<_, Failure>>()?,
            keep_originals: self.keep_originals,
            servicer_sealing_key: sealing_key("servicer_sealing_key", &self.servicer_sealing_key)?,
            owner_sealing_key: sealing_key("owner_sealing_key", &self.owner_sealing_key)?,
            supersedes: self.superseded()?,
            ..instructions::agreement_terms(&servicer, &owner, &accounts, effective_from)
        };
        // The ledger's own rules, before anything is signed.
        let terms = Terms::of(&message).map_err(|reason| {
            Failure::usage(reason.name(), reason.meaning()).fix(reason.remedy())
        })?;
        Ok((message, terms))
    }

    fn superseded(&self) -> Result<Bytes, Failure> {
        let id = self.supersedes.as_deref().map(parse_agreement_id).transpose()?;
        Ok(id.map_or(Bytes::new(), |id: AgreementId| Bytes::copy_from_slice(id.as_bytes())))
    }
}

impl Tolerance {
    fn message(
        &self,
        exponent: impl Fn(&str) -> Result<u8, Failure>,
    ) -> Result<v1::Tolerance, Failure> {
        let exponent = exponent(&self.asset)?;
        let amount = |field: &str, text: &str| {
            parse_amount(text, exponent).map_err(|error| wrong(field, text, &error.to_string()))
        };
        Ok(v1::Tolerance {
            asset: self.asset.clone(),
            absolute: amount("an absolute tolerance", &self.absolute)?,
            basis_points: self.basis_points,
            exchange_rounding: amount("a rounding", &self.exchange_rounding)?,
        })
    }
}

impl Duty {
    fn message(&self) -> Result<v1::Duty, Failure> {
        let category = category_named(&self.category)
            .ok_or_else(|| wrong("a category", &self.category, "the template names all of them"))?;
        let answers = match self.answers {
            Answers::Servicer => Party::Servicer,
            Answers::Owner => Party::Owner,
        };
        Ok(v1::Duty {
            category: category.into(),
            answers: answers.message().into(),
            answer_days: self.answer_days,
            escalate_days: self.escalate_days,
        })
    }
}

impl Calendar {
    fn message(&self) -> Result<v1::Calendar, Failure> {
        let mut weekend = 0;
        for day in &self.weekend {
            let bit = WEEKDAYS.iter().position(|name| name.eq_ignore_ascii_case(day));
            let bit = bit.ok_or_else(|| wrong("a day of the week", day, "write it in English"))?;
            weekend |= 1 << bit;
        }
        let holidays = self
            .holidays
            .iter()
            .map(|day| Ok(v1::Holiday { date: date("a holiday", day)?.yyyymmdd() }));
        Ok(v1::Calendar {
            utc_offset_minutes: offset(&self.utc_offset)?,
            weekend,
            holidays: holidays.collect::<Result<_, Failure>>()?,
        })
    }
}

/// A public key in Base64; none is empty.
fn sealing_key(field: &str, text: &Option<String>) -> Result<Bytes, Failure> {
    let Some(text) = text else { return Ok(Bytes::new()) };
    let key = Base64::decode_vec(text).ok().filter(|key| key.len() == 32);
    key.map(Bytes::from).ok_or_else(|| {
        wrong(field, text, "32 bytes in Base64, as counterfoil pki sealing-key prints them")
    })
}

fn date(field: &str, text: &str) -> Result<Date, Failure> {
    Date::parse(text).map_err(|_| wrong(field, text, "write a day that exists as yyyy-mm-dd"))
}

/// `hh:mm` as minutes: 00:00 to 24:00.
fn minute(field: &str, text: &str) -> Result<u32, Failure> {
    clock(text)
        .filter(|minutes| *minutes <= 1_440)
        .ok_or_else(|| wrong(field, text, "write a time of day as hh:mm"))
}

/// `+hh:mm` or `-hh:mm` as minutes east of UTC.
fn offset(text: &str) -> Result<i32, Failure> {
    let (sign, rest) = match text.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ => (0, ""),
    };
    let minutes = clock(rest).and_then(|minutes| i32::try_from(minutes).ok());
    minutes
        .map(|minutes| sign * minutes)
        .ok_or_else(|| wrong("an offset from UTC", text, "write +hh:mm or -hh:mm"))
}

fn clock(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |digits: &str| {
        let valid = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u32>().ok().filter(|_| valid)
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (minutes < 60).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::super::TEMPLATE;
    use super::*;

    fn exponent(asset: &str) -> Result<u8, Failure> {
        let unknown = || Failure::usage("ASSET_UNKNOWN", format!("{asset:?} is not registered"));
        if asset == "CHF" { Ok(2) } else { Err(unknown()) }
    }

    fn code(text: &str) -> String {
        let file: TermsFile = toml::from_str(text).unwrap();
        file.terms(exponent).unwrap_err().code
    }

    #[test]
    fn the_template_is_a_file_of_terms() {
        let file: TermsFile = toml::from_str(TEMPLATE).unwrap();
        let (message, terms) = file.terms(exponent).unwrap();
        assert_eq!(terms.message(), message);
        assert_eq!(message.tolerances[0].absolute, 100);
        assert_eq!(message.missing_at_minute, 18 * 60);
        assert_eq!(message.calendar.unwrap().utc_offset_minutes, 60);
        assert_eq!(message.duties[1].category(), v1::BreakCategory::Charges);
        let (again, _) = file.terms(exponent).unwrap();
        assert_ne!(again.salt, message.salt, "the same terms can be offered again");
    }

    #[test]
    fn what_is_wrong_is_said_before_anything_is_signed() {
        for (from, to, expected) in [
            ("\"1.00\"", "\"1.001\"", "TERMS_MALFORMED"),
            ("\"1.00\"", "\"-1\"", "TERMS_MALFORMED"),
            ("\"2026-12-01\"", "\"2026-12-32\"", "TERMS_MALFORMED"),
            ("\"18:00\"\n\n", "\"24:01\"\n\n", "TERMS_MALFORMED"),
            ("\"18:00\"\n\n", "\"18:0\"\n\n", "TERMS_MALFORMED"),
            ("\"+01:00\"", "\"01:00\"", "TERMS_MALFORMED"),
            ("\"+01:00\"", "\"+15:00\"", "CALENDAR_MALFORMED"),
            ("\"saturday\"", "\"Samstag\"", "TERMS_MALFORMED"),
            ("= \"any\"", "= \"none\"", "TERMS_MALFORMED"),
            ("= \"any\"", "= \"charges\"", "DUTY_MALFORMED"),
            ("[\"ledger\", \"owner-book\", \"servicer-book\"]", "[\"ledger\"]", "SOURCES_TOO_FEW"),
            ("\"ALPSCHZZXXX\"", "\"SETLCHZZXXX\"", "PARTIES_EQUAL"),
            ("\"2027-01-01\"", "\"2026-12-24\"", "CALENDAR_MALFORMED"),
            ("value_date_window = 2", "value_date_window = 31", "DEADLINE_OUT_OF_RANGE"),
            ("name = \"SETTLEMENT\"", "id = \"00\"", "TERMS_MALFORMED"),
        ] {
            let text = TEMPLATE.replacen(from, to, 1);
            assert_ne!(text, TEMPLATE, "{from}");
            assert_eq!(code(&text), expected, "{to}");
        }
        let keeping = TEMPLATE.replacen("keep_originals = false", "keep_originals = true", 1);
        assert_eq!(code(&keeping), "SEALING_KEYS_MALFORMED", "without keys");
        let text = TEMPLATE.replacen("keep_originals", "keep_original", 1);
        assert!(toml::from_str::<TermsFile>(&text).is_err(), "an unknown field");
    }

    #[test]
    fn sealing_keys_are_32_bytes_in_base64() {
        let keyed = |keep: &str, servicer: &str, owner: &str| {
            let keys = format!(
                "keep_originals = {keep}\nservicer_sealing_key = {servicer:?}\nowner_sealing_key = {owner:?}\n"
            );
            TEMPLATE.replacen("keep_originals = false\n", &keys, 1)
        };
        let [one, two] = [[1; 32], [2; 32]].map(|key| Base64::encode_string(&key));
        let file: TermsFile = toml::from_str(&keyed("true", &one, &two)).unwrap();
        let keys = file.terms(exponent).unwrap().1.originals.unwrap();
        assert_eq!((keys.servicer, keys.owner), ([1; 32], [2; 32]));
        let zero = Base64::encode_string(&[0; 32]);
        for (keep, servicer, owner, expected) in [
            ("true", &*one, "", "TERMS_MALFORMED"),
            ("true", &one[..40], &two, "TERMS_MALFORMED"),
            ("true", &one, "not base64", "TERMS_MALFORMED"),
            ("true", &zero, &two, "SEALING_KEYS_MALFORMED"),
            ("false", &one, &two, "SEALING_KEYS_MALFORMED"),
        ] {
            assert_eq!(code(&keyed(keep, servicer, owner)), expected, "{servicer} {owner}");
        }
    }

    #[test]
    fn times_of_day() {
        assert_eq!(minute("x", "00:00").unwrap(), 0);
        assert_eq!(minute("x", "24:00").unwrap(), 1_440);
        for bad in ["24:01", "12:60", "1:00", "12", "+1:00", "", "ää:00"] {
            assert!(minute("x", bad).is_err(), "{bad}");
        }
        assert_eq!((offset("+00:00").unwrap(), offset("-12:00").unwrap()), (0, -720));
        assert!(offset("").is_err() && offset("1:00").is_err() && offset("é1:00").is_err());
    }
}
