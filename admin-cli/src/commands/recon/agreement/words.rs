//! Terms in plain words: what a person reads before signing them, and the same for programs.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding};
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::tolerance::Tolerance;
use counterfoil_ledger::agreement::{AgreementId, Party, Terms, terms::Duty};
use counterfoil_proto::v1;
use serde_json::{Value, json};

use crate::account_name::parse_hex;
use crate::error::Failure;
use crate::output::{amount, amount_json};

/// As they are written in files and shown.
pub const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

const HOLIDAYS_A_LINE: usize = 6;

/// Reads the id of an agreement.
pub fn parse_agreement_id(hex: &str) -> Result<AgreementId, Failure> {
    parse_hex(hex).and_then(|bytes| AgreementId::from_bytes(&bytes)).ok_or_else(|| {
        Failure::usage("AGREEMENT_ID_MALFORMED", format!("{hex:?} is not the id of an agreement"))
            .fact("32 hexadecimal digits")
    })
}

/// A category as it is written: `any`, `missing-first`.
pub fn category(category: v1::BreakCategory) -> String {
    match category {
        v1::BreakCategory::Unspecified => "any".to_owned(),
        other => other
            .as_str_name()
            .trim_start_matches("BREAK_CATEGORY_")
            .to_lowercase()
            .replace('_', "-"),
    }
}

/// The category that is written so.
pub fn category_named(text: &str) -> Option<v1::BreakCategory> {
    let all = (0..).map_while(|number| v1::BreakCategory::try_from(number).ok());
    all.into_iter().find(|one| category(*one) == text)
}

/// A party, in one word.
pub fn party(party: Party) -> &'static str {
    match party {
        Party::Servicer => "servicer",
        Party::Owner => "owner",
    }
}

/// A public key as it is written in files and shown.
pub fn sealing_key(key: &[u8; 32]) -> String {
    Base64::encode_string(key)
}

/// What terms are told with.
pub struct Words<'a> {
    /// The terms.
    pub terms: &'a Terms,
    /// What accounts are called.
    pub names: BTreeMap<AccountId, String>,
    /// Digits after the decimal point of each asset that has a tolerance.
    pub exponents: BTreeMap<String, u8>,
}

impl Words<'_> {
    /// One line a fact, name and value.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let terms = self.terms;
        let mut facts =
            vec![("servicer", terms.servicer.to_string()), ("owner", terms.owner.to_string())];
        let name = |id: &AccountId| match self.names.get(id) {
            Some(name) => format!("{name} ({id})"),
            None => id.to_string(),
        };
        facts.extend(terms.accounts.iter().map(|id| ("account", name(id))));
        facts.push(("compared", self.sources().join(", ")));
        facts.push(("rules", format!("set {}", terms.rule_set)));
        facts.push(("from", format!("value date {}", terms.effective_from)));
        if let Some(id) = terms.supersedes {
            facts.push(("supersedes", id.to_string()));
        }
        facts.push((
            "value dates",
            match terms.value_date_window {
                0 => "have to be the same".to_owned(),
                days => format!("may differ by {}", business_days(days)),
            },
        ));
        let at = time(terms.missing_at_minute);
        facts.push((
            "missing",
            match terms.missing_after_days {
                0 => format!("what has no counterpart by {at} of its value date"),
                days => format!(
                    "what has no counterpart by {at}, {} after its value date",
                    business_days(days)
                ),
            },
        ));
        for (asset, tolerance) in &terms.tolerances {
            facts.push(("tolerance", self.tolerance(asset.as_str(), tolerance)));
        }
        if terms.tolerances.is_empty() {
            facts.push(("tolerance", "none: amounts have to be the same".to_owned()));
        }
        facts.extend(terms.duties.iter().map(|it| ("duty", duty(it))));
        if terms.duties.is_empty() {
            facts.push(("duty", "none: nobody has to answer a break by a day".to_owned()));
        }
        facts.extend(self.calendar());
        let times: Vec<String> = terms.run_times.iter().map(|minute| time(*minute)).collect();
        facts.push((
            "runs",
            match times.is_empty() {
                true => "none by the clock".to_owned(),
                false => format!("{} of every business day", times.join(", ")),
            },
        ));
        facts.push((
            "originals",
            match terms.originals {
                Some(_) => "statements travel in full, sealed to the two".to_owned(),
                None => "statements are kept by their hash alone".to_owned(),
            },
        ));
        if let Some(keys) = &terms.originals {
            let key =
                |party| format!("{} {}", self::party(party), sealing_key(keys.of_party(party)));
            facts.extend([Party::Servicer, Party::Owner].map(|party| ("sealing key", key(party))));
        }
        facts
    }

    fn sources(&self) -> Vec<&'static str> {
        let sources = &self.terms.sources;
        [
            (sources.ledger, "the ledger's postings"),
            (sources.owner_book, "the owner's book"),
            (sources.servicer_book, "the servicer's book"),
        ]
        .into_iter()
        .filter_map(|(compared, source)| compared.then_some(source))
        .collect()
    }

    fn exponent(&self, asset: &str) -> u8 {
        self.exponents.get(asset).copied().unwrap_or(0)
    }

    fn tolerance(&self, asset: &str, tolerance: &Tolerance) -> String {
        let shown = |units: u64| amount(units.into(), self.exponent(asset), asset);
        let share = match tolerance.basis_points {
            0 => String::new(),
            points => format!(", or {points} basis points of the larger amount if that is more"),
        };
        let rounding = match tolerance.exchange_rounding {
            0 => String::new(),
            units => format!("; {} where one side is exchanged", shown(units)),
        };
        format!("{}{share}{rounding}", shown(tolerance.absolute))
    }

    fn calendar(&self) -> Vec<(&'static str, String)> {
        let calendar = &self.terms.calendar;
        let off: Vec<&str> = (0..)
            .zip(WEEKDAYS)
            .filter_map(|(bit, day)| (calendar.weekend() >> bit & 1 == 1).then_some(day))
            .collect();
        let weekend = if off.is_empty() {
            "every day of the week".to_owned()
        } else {
            format!("every day but {}", off.join(", "))
        };
        let mut facts = vec![
            ("clock", format!("UTC{}, the whole year", offset(calendar.offset_minutes()))),
            ("business", weekend),
        ];
        // Every one: whoever signs must have seen them.
        for some in calendar.holidays().chunks(HOLIDAYS_A_LINE) {
            let dates: Vec<String> = some.iter().map(ToString::to_string).collect();
            facts.push(("holidays", dates.join(", ")));
        }
        if calendar.holidays().is_empty() {
            facts.push(("holidays", "none".to_owned()));
        }
        facts
    }

    /// The terms for programs.
    pub fn json(&self) -> Value {
        let terms = self.terms;
        let account = |id: &AccountId| json!({ "id": id.to_string(), "name": self.names.get(id) });
        let money =
            |units: u64, asset: &str| amount_json(units.into(), self.exponent(asset), asset);
        let tolerance = |(asset, it): &(counterfoil_ledger::asset::AssetCode, Tolerance)| {
            json!({
                "asset": asset.as_str(),
                "absolute": money(it.absolute, asset.as_str()),
                "basisPoints": it.basis_points,
                "exchangeRounding": money(it.exchange_rounding, asset.as_str()),
            })
        };
        let duty = |it: &Duty| {
            json!({
                "category": category(it.category),
                "answers": party(it.answers),
                "answerDays": it.answer_days,
                "escalateDays": it.escalate_days,
            })
        };
        let calendar = &terms.calendar;
        json!({
            "servicer": terms.servicer.as_str(),
            "owner": terms.owner.as_str(),
            "accounts": terms.accounts.iter().map(account).collect::<Vec<_>>(),
            "ledger": terms.sources.ledger,
            "ownerBook": terms.sources.owner_book,
            "servicerBook": terms.sources.servicer_book,
            "ruleSet": terms.rule_set,
            "effectiveFrom": terms.effective_from.to_string(),
            "tolerances": terms.tolerances.iter().map(tolerance).collect::<Vec<_>>(),
            "valueDateWindow": terms.value_date_window,
            "missingAfterDays": terms.missing_after_days,
            "missingAt": time(terms.missing_at_minute),
            "duties": terms.duties.iter().map(duty).collect::<Vec<_>>(),
            "calendar": {
                "utcOffset": offset(calendar.offset_minutes()),
                "weekend": (0..)
                    .zip(WEEKDAYS)
                    .filter(|(bit, _)| calendar.weekend() >> bit & 1 == 1)
                    .map(|(_, day)| day)
                    .collect::<Vec<_>>(),
                "holidays": calendar.holidays().iter().map(ToString::to_string).collect::<Vec<_>>(),
            },
            "runTimes": terms.run_times.iter().map(|it| time(*it)).collect::<Vec<_>>(),
            "keepOriginals": terms.originals.is_some(),
            "servicerSealingKey": terms.originals.map(|keys| sealing_key(&keys.servicer)),
            "ownerSealingKey": terms.originals.map(|keys| sealing_key(&keys.owner)),
            "supersedes": terms.supersedes.map(|id| id.to_string()),
        })
    }
}

fn duty(duty: &Duty) -> String {
    let which = match duty.category {
        v1::BreakCategory::Unspecified => "any other break".to_owned(),
        other => category(other),
    };
    let escalated = match duty.escalate_days {
        None => "never escalated".to_owned(),
        Some(days) => format!("escalated every {}", business_days(days)),
    };
    let within = business_days(duty.answer_days);
    format!("{which}: the {} answers within {within}, {escalated}", party(duty.answers))
}

fn business_days(days: u32) -> String {
    if days == 1 { "1 business day".to_owned() } else { format!("{days} business days") }
}

/// `18:00`, of a minute of the day.
fn time(minute: u32) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// `+01:00`, of minutes east of UTC.
fn offset(minutes: i32) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{}", time(minutes.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_named_both_ways() {
        let all: Vec<_> = (0..17).map(|it| v1::BreakCategory::try_from(it).unwrap()).collect();
        for one in &all {
            assert_eq!(category_named(&category(*one)), Some(*one));
        }
        assert_eq!(category(v1::BreakCategory::MissingFirst), "missing-first");
        assert_eq!(category_named("unspecified"), None);
    }

    #[test]
    fn offsets_have_a_sign() {
        assert_eq!(
            (offset(0), offset(60), offset(-570)),
            ("+00:00".into(), "+01:00".into(), "-09:30".into())
        );
    }
}
