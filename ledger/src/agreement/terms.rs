//! The terms of an agreement: what two institutions sign before their books are compared.

use std::fmt;

use bytes::Bytes;
use counterfoil_proto::v1;
use prost::Message;

use super::{calendar::Calendar, calendar::MINUTES_PER_DAY, tolerance::Tolerance};
use crate::{
    account::AccountId, asset::AssetCode, bic::Bic, date::Date, hash::Hash, reason::Reason,
};

/// Most accounts of an agreement: what two banks hold with each other, with room; a record of terms
/// stays within what storage and snapshots take of one.
pub const ACCOUNTS_MAX: usize = 64;

/// Most tolerances: more currencies than two banks keep accounts in, and a record's share again.
pub const TOLERANCES_MAX: usize = 32;

/// Most duties: one a category, and one for all the others.
pub const DUTIES_MAX: usize = 17;

/// Most run times of a day: one an hour.
pub const RUN_TIMES_MAX: usize = 24;

/// Longest window of value dates, business days: six weeks.
pub const VALUE_DATE_WINDOW_MAX: u32 = 30;

/// Longest term of a deadline or a duty, business days: a year.
pub const TERM_DAYS_MAX: u32 = 250;

/// The first 16 bytes of SHA-256 over the terms' bytes: both parties can compute it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgreementId([u8; 16]);

impl AgreementId {
    /// The id of terms.
    pub fn of(terms: &v1::AgreementTerms) -> AgreementId {
        let hash = Hash::of(&terms.encode_to_vec());
        AgreementId(hash.0[..16].try_into().expect("a hash has 32 bytes"))
    }

    /// Takes exactly 16 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<AgreementId> {
        Some(AgreementId(bytes.try_into().ok()?))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for AgreementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AgreementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A party of an agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Party {
    /// Who keeps the accounts.
    Servicer = 1,
    /// Whose money they hold.
    Owner = 2,
}

impl Party {
    /// The one who is not this one.
    pub fn other(self) -> Party {
        match self {
            Party::Servicer => Party::Owner,
            Party::Owner => Party::Servicer,
        }
    }

    /// Reads 1 or 2.
    pub fn from_number(number: u8) -> Option<Party> {
        [Party::Servicer, Party::Owner].into_iter().find(|party| *party as u8 == number)
    }

    /// As it is signed and told.
    pub fn message(self) -> v1::Party {
        match self {
            Party::Servicer => v1::Party::Servicer,
            Party::Owner => v1::Party::Owner,
        }
    }
}

/// What is compared: two of the three, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources {
    /// The ledger's postings.
    pub ledger: bool,
    /// The owner's book.
    pub owner_book: bool,
    /// The servicer's book.
    pub servicer_book: bool,
}

/// Who has to answer a break, and by when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duty {
    /// Which breaks; unspecified = those without a duty of their own.
    pub category: v1::BreakCategory,
    /// Who answers first.
    pub answers: Party,
    /// Business days within which: 1 to 250.
    pub answer_days: u32,
    /// Business days after which it goes a level up, and again after as many; none = never.
    pub escalate_days: Option<u32>,
}

impl Duty {
    /// Checks a duty's shape.
    fn of(message: &v1::Duty) -> Option<Duty> {
        let answers = match message.answers() {
            v1::Party::Servicer => Party::Servicer,
            v1::Party::Owner => Party::Owner,
            v1::Party::Unspecified => return None,
        };
        let valid = (1..=TERM_DAYS_MAX).contains(&message.answer_days)
            && message.escalate_days <= TERM_DAYS_MAX;
        valid.then_some(Duty {
            category: v1::BreakCategory::try_from(message.category).ok()?,
            answers,
            answer_days: message.answer_days,
            escalate_days: Some(message.escalate_days).filter(|days| *days != 0),
        })
    }

    fn message(&self) -> v1::Duty {
        v1::Duty {
            category: self.category.into(),
            answers: self.answers.message().into(),
            answer_days: self.answer_days,
            escalate_days: self.escalate_days.unwrap_or(0),
        }
    }
}

/// The public keys to which files are sealed. The ledger keeps them and computes nothing with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealingKeys {
    /// The servicer's, X25519.
    pub servicer: [u8; 32],
    /// The owner's.
    pub owner: [u8; 32],
}

impl SealingKeys {
    /// Both keys where originals are kept, none of them where they are not.
    fn of(message: &v1::AgreementTerms) -> Result<Option<SealingKeys>, Reason> {
        let key =
            |bytes: &Bytes| <[u8; 32]>::try_from(bytes.as_ref()).ok().filter(|it| *it != [0; 32]);
        let (servicer, owner) = (&message.servicer_sealing_key, &message.owner_sealing_key);
        match message.keep_originals {
            true => key(servicer)
                .zip(key(owner))
                .map(|(servicer, owner)| Some(SealingKeys { servicer, owner }))
                .ok_or(Reason::SealingKeysMalformed),
            false if servicer.is_empty() && owner.is_empty() => Ok(None),
            false => Err(Reason::SealingKeysMalformed),
        }
    }

    /// A party's.
    pub fn of_party(&self, party: Party) -> &[u8; 32] {
        match party {
            Party::Servicer => &self.servicer,
            Party::Owner => &self.owner,
        }
    }
}

/// Terms whose shape holds. Lists are in the order in which they were offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Who keeps the accounts.
    pub servicer: Bic,
    /// Whose money they hold; another institution.
    pub owner: Bic,
    /// 1 to 64 different ones.
    pub accounts: Vec<AccountId>,
    /// What is compared.
    pub sources: Sources,
    /// Rules of matching.
    pub rule_set: u32,
    /// First value date that it governs.
    pub effective_from: Date,
    /// At most one an asset.
    pub tolerances: Vec<(AssetCode, Tolerance)>,
    /// Business days by which value dates of what belongs together may differ: 0 to 30.
    pub value_date_window: u32,
    /// Business days after its value date by whose end an item has a counterpart, or it is missing: 0
    /// to 250.
    pub missing_after_days: u32,
    /// Minute of that day, in the calendar's time: 1 to 1440.
    pub missing_at_minute: u32,
    /// At most one a category.
    pub duties: Vec<Duty>,
    /// Business days.
    pub calendar: Calendar,
    /// Minutes of a business day, in the calendar's time: 0 to 1439, each once.
    pub run_times: Vec<u32>,
    /// To which keys statements are sealed that travel in full; none = their hashes alone are kept.
    pub originals: Option<SealingKeys>,
    /// What this one takes the place of when it takes effect.
    pub supersedes: Option<AgreementId>,
    /// Makes the id unguessable.
    pub salt: [u8; 16],
}

impl Terms {
    /// Checks the shape of terms: reasons 1xx, the lowest first where several apply to one part.
    pub fn of(message: &v1::AgreementTerms) -> Result<Terms, Reason> {
        let bic = |text| Bic::parse_canonical(text).map_err(|_| Reason::BicMalformed);
        let (servicer, owner) = (bic(&message.servicer)?, bic(&message.owner)?);
        let accounts = accounts(&message.accounts)?;
        let effective_from =
            Date::from_yyyymmdd(message.effective_from).map_err(|_| Reason::DateMalformed)?;
        let tolerances = tolerances(&message.tolerances)?;
        let salt = message.salt.as_ref().try_into().map_err(|_| Reason::SaltMissing)?;
        if servicer == owner {
            return Err(Reason::PartiesEqual);
        }
        let sources = Sources {
            ledger: message.ledger,
            owner_book: message.owner_book,
            servicer_book: message.servicer_book,
        };
        let compared = [sources.ledger, sources.owner_book, sources.servicer_book];
        if compared.iter().filter(|compared| **compared).count() < 2 {
            return Err(Reason::SourcesTooFew);
        }
        if message.value_date_window > VALUE_DATE_WINDOW_MAX
            || message.missing_after_days > TERM_DAYS_MAX
            || !(1..=MINUTES_PER_DAY).contains(&message.missing_at_minute)
        {
            return Err(Reason::DeadlineOutOfRange);
        }
        let duties = duties(&message.duties)?;
        let calendar = message.calendar.as_ref().ok_or(Reason::CalendarMalformed)?;
        Ok(Terms {
            servicer,
            owner,
            accounts,
            sources,
            rule_set: message.rule_set,
            effective_from,
            tolerances,
            value_date_window: message.value_date_window,
            missing_after_days: message.missing_after_days,
            missing_at_minute: message.missing_at_minute,
            duties,
            calendar: Calendar::of(calendar)?,
            run_times: run_times(&message.run_times)?,
            supersedes: match message.supersedes.len() {
                0 => None,
                _ => Some(agreement_id(&message.supersedes)?),
            },
            originals: SealingKeys::of(message)?,
            salt,
        })
    }

    /// The terms as they were offered: encoded, the bytes that the id is the hash of.
    pub fn message(&self) -> v1::AgreementTerms {
        let account = |id: &AccountId| v1::AgreementAccount {
            account: Bytes::copy_from_slice(id.as_bytes()),
        };
        let tolerances = self.tolerances.iter();
        let sealing_key = |party| match &self.originals {
            Some(keys) => Bytes::copy_from_slice(keys.of_party(party)),
            None => Bytes::new(),
        };
        v1::AgreementTerms {
            servicer: self.servicer.to_string(),
            owner: self.owner.to_string(),
            accounts: self.accounts.iter().map(account).collect(),
            ledger: self.sources.ledger,
            owner_book: self.sources.owner_book,
            servicer_book: self.sources.servicer_book,
            rule_set: self.rule_set,
            effective_from: self.effective_from.yyyymmdd(),
            tolerances: tolerances.map(|(asset, it)| it.message(asset)).collect(),
            value_date_window: self.value_date_window,
            missing_after_days: self.missing_after_days,
            missing_at_minute: self.missing_at_minute,
            duties: self.duties.iter().map(Duty::message).collect(),
            calendar: Some(self.calendar.message()),
            run_times: self
                .run_times
                .iter()
                .map(|minute| v1::RunTime { minute: *minute })
                .collect(),
            keep_originals: self.originals.is_some(),
            supersedes: self
                .supersedes
                .map_or(Bytes::new(), |id| Bytes::copy_from_slice(id.as_bytes())),
            salt: Bytes::copy_from_slice(&self.salt),
            servicer_sealing_key: sealing_key(Party::Servicer),
            owner_sealing_key: sealing_key(Party::Owner),
        }
    }

    /// Which party an institution is, if it is one.
    pub fn party(&self, institution: &Bic) -> Option<Party> {
        if self.servicer == *institution {
            Some(Party::Servicer)
        } else if self.owner == *institution {
            Some(Party::Owner)
        } else {
            None
        }
    }

    /// The institution that is a party.
    pub fn institution(&self, party: Party) -> &Bic {
        match party {
            Party::Servicer => &self.servicer,
            Party::Owner => &self.owner,
        }
    }

    /// The tolerance of an asset; none where it has none.
    pub fn tolerance(&self, asset: &AssetCode) -> Tolerance {
        let found = self.tolerances.iter().find(|(code, _)| code == asset);
        found.map_or(Tolerance::default(), |(_, tolerance)| *tolerance)
    }

    /// The duty of a category: its own, or the one for all others, if there is one.
    pub fn duty(&self, category: v1::BreakCategory) -> Option<&Duty> {
        let of = |category| self.duties.iter().find(|duty| duty.category == category);
        of(category).or_else(|| of(v1::BreakCategory::Unspecified))
    }

    /// Block time, Unix milliseconds, from which an item with a value date counts as missing if it has
    /// no counterpart.
    pub fn missing_from_ms(&self, value_date: Date) -> u64 {
        let day = self.calendar.add(value_date, self.missing_after_days);
        self.calendar.instant(day, self.missing_at_minute)
    }
}

/// Takes exactly 16 bytes.
pub(super) fn agreement_id(bytes: &[u8]) -> Result<AgreementId, Reason> {
    AgreementId::from_bytes(bytes).ok_or(Reason::AgreementIdMalformed)
}

fn accounts(messages: &[v1::AgreementAccount]) -> Result<Vec<AccountId>, Reason> {
    if messages.is_empty() || messages.len() > ACCOUNTS_MAX {
        return Err(Reason::AgreementAccountsWrong);
    }
    let ids = messages.iter().map(|it| AccountId::from_bytes(&it.account));
    let ids: Vec<AccountId> = ids.collect::<Option<_>>().ok_or(Reason::AccountIdMalformed)?;
    if are_different(ids.iter()) { Ok(ids) } else { Err(Reason::AgreementAccountsWrong) }
}

fn tolerances(messages: &[v1::Tolerance]) -> Result<Vec<(AssetCode, Tolerance)>, Reason> {
    if messages.len() > TOLERANCES_MAX {
        return Err(Reason::ToleranceMalformed);
    }
    let all = messages.iter().map(Tolerance::of).collect::<Result<Vec<_>, _>>()?;
    let different = are_different(all.iter().map(|(asset, _)| asset));
    if different { Ok(all) } else { Err(Reason::ToleranceMalformed) }
}

fn duties(messages: &[v1::Duty]) -> Result<Vec<Duty>, Reason> {
    if messages.len() > DUTIES_MAX {
        return Err(Reason::DutyMalformed);
    }
    let all: Vec<Duty> =
        messages.iter().map(Duty::of).collect::<Option<_>>().ok_or(Reason::DutyMalformed)?;
    let different = are_different(all.iter().map(|duty| duty.category));
    if different { Ok(all) } else { Err(Reason::DutyMalformed) }
}

fn run_times(messages: &[v1::RunTime]) -> Result<Vec<u32>, Reason> {
    let times: Vec<u32> = messages.iter().take(RUN_TIMES_MAX + 1).map(|it| it.minute).collect();
    let valid = times.len() <= RUN_TIMES_MAX
        && times.iter().all(|minute| *minute < MINUTES_PER_DAY)
        && are_different(times.iter());
    if valid { Ok(times) } else { Err(Reason::RunTimesMalformed) }
}

/// Whether a short list has nothing twice.
fn are_different<T: Ord>(items: impl Iterator<Item = T>) -> bool {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.is_sorted_by(|one, next| one < next)
}
