//! Items, matches, proposals and breaks as the API tells them. They are copied out of the state while it
//! stands still, and put into words afterwards.

use bytes::Bytes;
use counterfoil_ledger::account::Account;
use counterfoil_ledger::agreement::Terms;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::matching::item::Comparison;
use counterfoil_ledger::matching::item::Source;
use counterfoil_ledger::matching::item::Strength;
use counterfoil_ledger::matching::pair::Category;
use counterfoil_ledger::matching::pair::Judgement;
use counterfoil_ledger::reconciliation::ageing::Ageing;
use counterfoil_ledger::reconciliation::ageing::Due;
use counterfoil_ledger::reconciliation::archive::ClosedFinding;
use counterfoil_ledger::reconciliation::archive::effect_of;
use counterfoil_ledger::reconciliation::astray::Elsewhere;
use counterfoil_ledger::reconciliation::finding::About;
use counterfoil_ledger::reconciliation::finding::Finding;
use counterfoil_ledger::reconciliation::finding::Says;
use counterfoil_ledger::reconciliation::orders::Resolution;
use counterfoil_ledger::reconciliation::sheet::Recorded;
use counterfoil_ledger::reconciliation::sheet::Sheet;
use counterfoil_ledger::reconciliation::work::Offer;
use counterfoil_ledger::reconciliation::work::Work;
use counterfoil_ledger::state::State;
use counterfoil_proto::v1;
use tonic::Status;

use super::closed::Closed;
use super::closed::Items;
use crate::api::render;
use crate::api::status;
use crate::consensus::replica::Replica;

/// An item on an account.
pub(super) type Placed = (Account, Source, Recorded);

/// A finding, taken out of the state with everything that telling it takes.
pub(super) struct Found {
    /// The finding itself.
    pub(super) finding: Finding,
    /// Of a break: the work on it.
    pub(super) work: Option<Work>,
    items: Items,
    /// Of a break: what its items add to the first source's balance minus the second's.
    effect: i128,
    /// Of a break about an item on the wrong account: that account and the item's counterpart there.
    elsewhere: Option<Placed>,
    /// Of a break about a statement: that one's identification.
    statement_id: String,
    /// Of a break: the terms that say how old it is, and who answers it.
    terms: Option<Terms>,
}

/// What telling findings of an account takes besides them.
pub(super) struct Telling<'a> {
    /// Where block times are read.
    pub(super) replica: &'a Replica,
    /// The account.
    pub(super) account: &'a Account,
    /// The time at which a break is as old as is told, Unix milliseconds.
    pub(super) now_ms: u64,
}

impl Found {
    /// A finding of an account's sheet. Of its items those that have closed are missing: see
    /// [`Found::whole`].
    pub(super) fn of(state: &State, account: &Account, sheet: &Sheet, finding: &Finding) -> Found {
        let is_break = matches!(finding.says, Says::Break { .. });
        let statement = match finding.about {
            Some(About::Statement(source, number)) => {
                sheet.book(source).and_then(|book| book.statement_at(number))
            }
            _ => None,
        };
        let terms = sheet.terms_of(finding, state.agreements(), &account.id);
        Found {
            terms: terms.filter(|_| is_break).cloned(),
            work: sheet.work(finding.number).filter(|_| is_break).cloned(),
            items: sheet.items_of(finding),
            effect: if is_break { sheet.effect_of(finding) } else { 0 },
            elsewhere: finding.elsewhere.and_then(|it| elsewhere(state, it)),
            statement_id: statement.map_or_else(String::new, |it| it.id.clone()),
            finding: finding.clone(),
        }
    }

    /// One that has closed.
    pub(super) fn closed(
        closed: ClosedFinding,
        items: Items,
        elsewhere: Option<Placed>,
        terms: Option<Terms>,
    ) -> Found {
        let ClosedFinding { finding, work } = closed;
        let is_break = matches!(finding.says, Says::Break { .. });
        Found {
            effect: if is_break { effect_of(&items) } else { 0 },
            terms: terms.filter(|_| is_break),
            elsewhere,
            statement_id: String::new(),
            finding,
            work,
            items,
        }
    }

    /// With those of its items that have closed.
    pub(super) fn whole(mut self, closed: &Closed<'_>) -> Result<Found, Status> {
        self.items = closed.items(&self.finding, self.items)?;
        if self.elsewhere.is_none() {
            self.elsewhere = closed.elsewhere(&self.finding)?;
        }
        Ok(self)
    }

    /// Forgets where the item's counterpart was found, unless the break said so.
    pub(super) fn keep_elsewhere(&mut self, category: Category) {
        if category != Category::WrongAccount {
            (self.elsewhere, self.finding.elsewhere) = (None, None);
        }
    }

    /// How much was copied.
    pub(super) fn size(finding: &Finding) -> usize {
        1 + finding.items.iter().map(Vec::len).sum::<usize>()
    }
}

impl Telling<'_> {
    /// An item.
    pub(super) fn item(&self, from: Source, recorded: &Recorded) -> Result<v1::Item, Status> {
        let item = &recorded.item;
        let amount = v1::Money {
            asset: match item.other_asset() {
                "" => self.account.asset.as_str().to_owned(),
                other => other.to_owned(),
            },
            minor_units: render::units(i128::from(item.amount))?,
        };
        Ok(v1::Item {
            source: source(from),
            number: item.number,
            position: Some(render::position(recorded.position)),
            side: render::side(item.side),
            amount: Some(amount),
            value_date: item.date.yyyymmdd(),
            booking_date: recorded.booked.yyyymmdd(),
            uetr: item.uetr.map_or_else(Bytes::new, |it| Bytes::copy_from_slice(it.as_bytes())),
            transaction_id: item.reference(Strength::TransactionId).to_owned(),
            end_to_end_id: item.reference(Strength::EndToEndId).to_owned(),
            instruction_id: item.reference(Strength::InstructionId).to_owned(),
            entry_reference: item.entry_reference().to_owned(),
            group_id: item.group_id().to_owned(),
            counterparty: item.counterparty.map_or_else(String::new, |it| it.to_string()),
            reversal: item.reversal,
            returned: item.returned,
            exchanged: item.exchanged,
            charges: item.charges,
            purpose: recorded.purpose.map_or(0, |purpose| purpose as i32),
        })
    }

    fn items(&self, found: &Found) -> Result<[Vec<v1::Item>; 2], Status> {
        let told = |items: &[(Source, Recorded)]| -> Result<Vec<v1::Item>, Status> {
            items.iter().map(|(source, recorded)| self.item(*source, recorded)).collect()
        };
        let [first, second] = &found.items;
        Ok([told(first)?, told(second)?])
    }

    /// A match.
    pub(super) fn matched(&self, found: &Found) -> Result<v1::Match, Status> {
        let Says::Match { pass, confirmed } = found.finding.says else {
            return Err(status::inconsistent("a match"));
        };
        let [first, second] = self.items(found)?;
        Ok(v1::Match {
            number: found.finding.number,
            comparison: comparison(found.finding.comparison),
            pass: i32::from(pass as u8),
            confirmed,
            first,
            second,
            judgement: found.finding.judgement.as_ref().map(judgement),
            matched_at: Some(render::position(found.finding.opened_at)),
            undone_at: found.finding.closed_at.map(render::position),
        })
    }

    /// A proposal.
    pub(super) fn proposal(&self, found: &Found) -> Result<v1::Proposal, Status> {
        let Says::Proposal { pass, confirmed_by } = found.finding.says else {
            return Err(status::inconsistent("a proposal"));
        };
        let [first, second] = self.items(found)?;
        let parties = [v1::Party::Servicer, v1::Party::Owner].map(i32::from);
        let confirmed = parties.into_iter().filter(|it| i32::from(confirmed_by) & it != 0);
        Ok(v1::Proposal {
            number: found.finding.number,
            comparison: comparison(found.finding.comparison),
            pass: i32::from(pass as u8),
            confirmed_by: confirmed.collect(),
            first,
            second,
            proposed_at: Some(render::position(found.finding.opened_at)),
            closed_at: found.finding.closed_at.map(render::position),
        })
    }

    /// Where the counterpart of a break's item was found. The asset is the same on both accounts.
    fn elsewhere(&self, found: &Found) -> Result<Option<v1::ItemElsewhere>, Status> {
        let Some((account, source, recorded)) = &found.elsewhere else { return Ok(None) };
        Ok(Some(v1::ItemElsewhere {
            account: Bytes::copy_from_slice(account.id.as_bytes()),
            name: account.name.clone(),
            item: Some(self.item(*source, recorded)?),
        }))
    }

    /// A break.
    pub(super) fn broken(&self, found: &Found) -> Result<v1::Break, Status> {
        let Says::Break { category } = found.finding.says else {
            return Err(status::inconsistent("a break"));
        };
        let work =
            found.work.as_ref().ok_or_else(|| status::inconsistent("the work on a break"))?;
        let [first, second] = self.items(found)?;
        let (statement_source, date) = match found.finding.about {
            Some(About::Statement(of, _)) => (source(of), 0),
            Some(About::Day(date)) => (0, date.yyyymmdd()),
            None => (0, 0),
        };
        let opened_ms = time_ms(self.replica, found.finding.opened_at.height)?;
        let until_ms = match found.finding.closed_at {
            Some(closed_at) => time_ms(self.replica, closed_at.height)?,
            None => self.now_ms,
        };
        let mut told = v1::Break {
            number: found.finding.number,
            comparison: comparison(found.finding.comparison),
            category: i32::from(category as u8),
            state: i32::from(work.state as u8),
            first,
            second,
            statement_source,
            statement_id: found.statement_id.clone(),
            date,
            effect: render::units(found.effect)?,
            opened_at: Some(render::position(found.finding.opened_at)),
            opened_ms,
            ended_at: found.finding.closed_at.map(render::position),
            owner: work.owner.map_or(0, |party| party.message().into()),
            spoke: work.spoke.map_or(0, |party| party.message().into()),
            step_count: u32::try_from(work.steps.len()).unwrap_or(u32::MAX),
            offer: work.offer.as_ref().map(offer),
            elsewhere: self.elsewhere(found)?,
            ..v1::Break::default()
        };
        if let Some(terms) = &found.terms {
            let Ageing { age_days, due } = Ageing::of(terms, category, opened_ms, until_ms);
            told.age_days = age_days;
            if let Some(Due { answers, answer_by, level }) = due {
                told.answers = answers.message().into();
                told.answer_by = answer_by.yyyymmdd();
                told.escalation_level = level;
            }
        }
        Ok(told)
    }
}

/// What is told of an item on another account. That has the same parties, who see all its findings.
fn elsewhere(state: &State, elsewhere: Elsewhere) -> Option<Placed> {
    let Elsewhere { account, source, number } = elsewhere;
    let recorded = state.reconciliation().sheet(account)?.recorded(source, number)?;
    Some((state.account_at(account)?.clone(), source, recorded.clone()))
}

/// The time of a block, Unix milliseconds.
pub(super) fn time_ms(replica: &Replica, height: u64) -> Result<u64, Status> {
    let header = replica.store().header(height).map_err(|error| status::storage(&error))?;
    Ok(header.ok_or_else(|| status::inconsistent("a header"))?.block_time_ms)
}

/// A source.
pub(super) fn source(source: Source) -> i32 {
    i32::from(match source {
        Source::Ledger => v1::Source::Ledger,
        Source::OwnerBook => v1::Source::OwnerBook,
        Source::ServicerBook => v1::Source::ServicerBook,
    })
}

/// Two sources.
pub(super) fn comparison(comparison: Comparison) -> i32 {
    i32::from(comparison as u8)
}

/// How well a pair goes together.
pub(super) fn judgement(judgement: &Judgement) -> v1::Judgement {
    let Judgement { amount_difference, distance, .. } = *judgement;
    v1::Judgement { amount_difference, days_apart: distance }
}

fn offer(offer: &Offer) -> v1::ResolutionOffer {
    let Resolution { kind, transfer, commitment } = &offer.resolution;
    let mut resolution =
        v1::ProposeResolution { kind: i32::from(*kind as u8), ..v1::ProposeResolution::default() };
    if let Some((amount, debit, credit)) = transfer {
        resolution.amount = *amount;
        resolution.debit_account = Bytes::copy_from_slice(debit.as_bytes());
        resolution.credit_account = Bytes::copy_from_slice(credit.as_bytes());
    }
    if *commitment != Hash::ZERO {
        resolution.commitment = Bytes::copy_from_slice(commitment.as_bytes());
    }
    v1::ResolutionOffer { by: offer.by.party.message().into(), resolution: Some(resolution) }
}
