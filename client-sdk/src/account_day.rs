//! An account's day: what a statement of it says, read from the ledger at one height.
//!
//! The postings are read twice: once to learn what they come to, because a statement says so before
//! it lists them, and once to list them. Nothing is kept in between, and both readings are of the
//! same height, so that they are the same.

use std::vec::IntoIter;

use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::block::Side;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::text::is_max35;
use counterfoil_ledger::uetr::Uetr;
use counterfoil_ledger::verify::Finality;
use counterfoil_proto::v1;

use crate::client::Client;
use crate::error::Error;
use crate::formats::outgoing::Balances;
use crate::formats::outgoing::LedgerAccount;
use crate::formats::outgoing::LedgerEntry;
use crate::formats::outgoing::LedgerStatement;
use crate::formats::outgoing::Moment;
use crate::formats::outgoing::Totals;
use crate::formats::statement::StatementKind;
use crate::pages::Pages;
use crate::watch::Position;

/// Which day of which account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayQuery {
    /// Whose postings.
    pub account: AccountId,
    /// What is made of them.
    pub kind: StatementKind,
    /// Their settlement date.
    pub date: Date,
    /// As the ledger stood after the block at this height; none = the newest that is final.
    pub at_height: Option<u64>,
    /// Only postings behind this place; for notifications alone.
    pub after: Option<Position>,
}

/// A day that was read once.
pub struct AccountDay {
    /// All of the statement but its entries.
    pub statement: LedgerStatement,
    client: Client,
    ledger: Walk,
}

/// The entries of a day, in the order of the ledger.
pub struct Entries {
    postings: Postings,
    date: Date,
    after: Option<Position>,
}

impl Client {
    /// Reads what an account's day comes to, of what is final alone: the word of one node, as that of
    /// every list, until [`AccountDay::prove`] has proved it. `progress` is told how many of
    /// the account's postings were passed, and of how many.
    pub async fn account_day(
        &self,
        query: &DayQuery,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<AccountDay, Error> {
        if query.after.is_some() && query.kind != StatementKind::Notification {
            let problem = "only a notification begins behind a place: statements are of whole days";
            return Err(Error::Configuration(problem.to_owned()));
        }
        let client = self.with_read_mode(v1::ReadMode::Final);
        let found = client.balance(query.account, query.at_height).await?;
        let moment = moment(&found.as_of, query.at_height)?;
        if query.after.is_some_and(|after| after.height > moment.height) {
            let height = moment.height;
            let problem = format!("a notification as of height {height} cannot begin above it");
            return Err(Error::Configuration(problem));
        }
        let (account, standing) = client.facts(query.account, &found.value)?;
        let ledger = Walk::new(&account, standing, moment.height);

        let from = client.movements(query.account, Some(query.date), None);
        let mut postings = Postings::new(from, ledger.clone());
        let (mut totals, mut later) = (Totals::default(), 0i128);
        while let Some((date, entry)) = postings.next().await? {
            progress(entry.sequence, standing.posting_count);
            if date < query.date {
                return Err(lie("a posting of an earlier date than was asked for"));
            } else if date > query.date {
                later += entry.side.signed(entry.units);
            } else if query.after.is_none_or(|after| after < entry.position) {
                totals.add(entry.side, entry.units);
            }
        }
        let closing = standing.balance - later;
        let balances = Balances { opening: closing - totals.net(), closing };
        let statement = LedgerStatement {
            kind: query.kind,
            account,
            date: query.date,
            after: query.after,
            as_of: moment,
            balances: (query.kind != StatementKind::Notification).then_some(balances),
            totals,
        };
        Ok(AccountDay { statement, client, ledger })
    }

    /// An account's names, which its id proves, and how it stands.
    fn facts(
        &self,
        id: AccountId,
        account: &v1::Account,
    ) -> Result<(LedgerAccount, Standing), Error> {
        let bic = |text: &str| Bic::parse_canonical(text).map_err(|_| lie("an account of no BIC"));
        let exponent = u8::try_from(account.exponent).ok().filter(|exponent| *exponent <= 9);
        let named = LedgerAccount {
            servicer: bic(&account.servicer)?,
            owner: bic(&account.owner)?,
            asset: AssetCode::parse(&account.asset).map_err(|_| lie("an account of no asset"))?,
            exponent: exponent.ok_or_else(|| lie("an asset of more than 9 decimals"))?,
            name: Some(account.name.clone())
                .filter(|name| is_max35(name))
                .ok_or_else(|| lie("a name that no account can have"))?,
        };
        if named.id() != id {
            return Err(lie("names of another account"));
        }
        // A newer registry may have assets that the genesis file has not.
        let founded = self.registry().asset(&account.asset);
        if founded.is_some_and(|asset| asset.exponent != named.exponent) {
            return Err(lie("another number of decimals than the genesis file has"));
        }
        let balance = account.balance.as_ref().map(|balance| i128::from(balance.minor_units));
        let balance = balance.ok_or_else(|| lie("an account without balance"))?;
        Ok((named, Standing { balance, posting_count: account.posting_count }))
    }
}

impl AccountDay {
    /// Proves balances, counts and sums, by a quorum's certificate over every posting that the account
    /// ever had up to the height. What a proof does not hold is one node's word: references and
    /// counterparties. Fails if the statement is a part of a day, or the account has more postings
    /// than one proof takes.
    pub async fn prove(&self) -> Result<Finality, Error> {
        let LedgerStatement { date, after, balances, totals, .. } = self.statement;
        if after.is_some() {
            let problem = "only a whole day can be proved, not what stands behind a place";
            return Err(Error::Configuration(problem.to_owned()));
        }
        let id = self.statement.account.id();
        let client = self.client.with_finality(v1::Finality::Final);
        let proved = client.account_proof(id, 0, Some(self.statement.as_of.height)).await?;
        let (mut opening, mut proved_totals) = (0i128, Totals::default());
        for it in &proved.verified.postings {
            let posting = it.posting;
            if posting.date < date {
                opening += posting.side.signed(posting.amount);
            } else if posting.date == date {
                proved_totals.add(posting.side, posting.amount);
            }
        }
        let closing = opening + proved_totals.net();
        let stated = balances.is_none_or(|stated| stated == Balances { opening, closing });
        if stated && totals == proved_totals {
            return Ok(proved.verified.finality);
        }
        Err(lie("figures of the day that are not those of the proved postings"))
    }

    /// The entries, read again from the first on. They come to the statement's totals, or whoever
    /// writes them notices.
    pub fn entries(&self) -> Entries {
        let LedgerStatement { date, after, .. } = self.statement;
        let id = self.statement.account.id();
        let pages = self.client.movements(id, Some(date), Some(date));
        Entries { postings: Postings::new(pages, self.ledger.clone()), date, after }
    }
}

impl Entries {
    /// The next entry; none after the last.
    pub async fn next(&mut self) -> Result<Option<LedgerEntry>, Error> {
        while let Some((date, entry)) = self.postings.next().await? {
            if date != self.date {
                return Err(lie("a posting of another date than was asked for"));
            }
            if self.after.is_none_or(|after| after < entry.position) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

fn lie(problem: &str) -> Error {
    Error::bad_answer(problem)
}

fn moment(as_of: &v1::AsOf, asked: Option<u64>) -> Result<Moment, Error> {
    let hash: Option<[u8; 32]> = as_of.header_hash.as_ref().try_into().ok();
    let hash = hash.ok_or_else(|| lie("a height without the hash of its header"))?;
    if asked.is_some_and(|height| height != as_of.height) {
        return Err(lie("another height than was asked for"));
    }
    if as_of.finality() != v1::Finality::Final {
        return Err(lie("what is not final, where what is final was asked for"));
    }
    Ok(Moment { height: as_of.height, header_hash: Hash(hash), block_time_ms: as_of.block_time_ms })
}

/// How an account stands at a height.
#[derive(Clone, Copy)]
struct Standing {
    balance: i128,
    posting_count: u64,
}

/// Checks postings one after the other: whether they are in order, and whether the balances of
/// neighbours follow from each other and lead to the account's. One that is left out looks like one of
/// an earlier date: that it is not is shown by [`AccountDay::prove`] alone.
#[derive(Clone)]
struct Walk {
    asset: AssetCode,
    standing: Standing,
    height: u64,
    last: Option<Last>,
}

#[derive(Clone, Copy)]
struct Last {
    position: Position,
    sequence: u64,
    balance: i128,
}

impl Walk {
    fn new(account: &LedgerAccount, standing: Standing, height: u64) -> Walk {
        Walk { asset: account.asset.clone(), standing, height, last: None }
    }

    fn take(&mut self, movement: &v1::Movement) -> Result<(Date, LedgerEntry), Error> {
        let units = |money: &Option<v1::Money>| {
            let money = money.as_ref().filter(|money| money.asset == self.asset.as_str());
            money.map(|money| money.minor_units).ok_or_else(|| lie("a posting of another asset"))
        };
        let position = movement.position.ok_or_else(|| lie("a posting without its place"))?;
        let position = Position::from(position);
        let amount = u64::try_from(units(&movement.amount)?).ok().filter(|units| *units > 0);
        let counterparty = AccountId::from_bytes(&movement.counterparty_account);
        let entry = LedgerEntry {
            position,
            sequence: movement.sequence,
            side: match movement.side() {
                v1::Side::Debit => Side::Debit,
                v1::Side::Credit => Side::Credit,
                v1::Side::Unspecified => return Err(lie("a posting on no side")),
            },
            units: amount.ok_or_else(|| lie("a posting of no amount"))?,
            uetr: Uetr::from_bytes(&movement.uetr).map_err(|_| lie("a posting without UETR"))?,
            end_to_end_id: movement.end_to_end_id.clone(),
            counterparty: Bic::parse_canonical(&movement.counterparty)
                .map_err(|_| lie("a posting without counterparty"))?,
            counterparty_account: counterparty.ok_or_else(|| lie("a posting from nowhere"))?,
            block_time_ms: movement.block_time_ms,
        };
        let balance = i128::from(units(&movement.balance)?);
        self.follow(&entry, balance)?;
        let date = Date::from_yyyymmdd(movement.settlement_date);
        Ok((date.map_err(|_| lie("a posting without date"))?, entry))
    }

    fn follow(&mut self, entry: &LedgerEntry, balance: i128) -> Result<(), Error> {
        let LedgerEntry { position, sequence, .. } = *entry;
        let Standing { posting_count, balance: end } = self.standing;
        if let Some(last) = self.last {
            if position <= last.position || sequence <= last.sequence {
                return Err(lie("postings out of order"));
            }
            let moved = entry.side.signed(entry.units);
            if sequence == last.sequence + 1 && last.balance + moved != balance {
                return Err(lie("a balance that does not follow from the one before"));
            }
        }
        if sequence == 0 || sequence > posting_count {
            return Err(lie("a posting that the account has not"));
        }
        if sequence == posting_count && balance != end {
            return Err(lie("postings that do not lead to the balance of the account"));
        }
        self.last = Some(Last { position, sequence, balance });
        Ok(())
    }
}

/// Postings up to a height, checked on the way.
struct Postings {
    pages: Pages<v1::Movement>,
    page: IntoIter<v1::Movement>,
    walk: Walk,
    ended: bool,
}

impl Postings {
    fn new(pages: Pages<v1::Movement>, walk: Walk) -> Postings {
        Postings { pages, page: Vec::new().into_iter(), walk, ended: false }
    }

    async fn next(&mut self) -> Result<Option<(Date, LedgerEntry)>, Error> {
        while !self.ended {
            if let Some(movement) = self.page.next() {
                let height = movement.position.map_or(0, |position| position.height);
                // What was posted since is of no interest.
                self.ended = height > self.walk.height;
                if !self.ended {
                    return self.walk.take(&movement).map(Some);
                }
            } else if let Some(page) = self.pages.next().await? {
                if page.as_of.height < self.walk.height {
                    return Err(lie("a list that ends before the height that is final"));
                }
                self.page = page.items.into_iter();
            } else {
                self.ended = true;
            }
        }
        Ok(None)
    }
}
