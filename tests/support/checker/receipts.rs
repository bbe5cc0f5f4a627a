//! Receipts: each verifies offline and proves what was told, and all receipts of one id agree.

use std::collections::{BTreeMap, BTreeSet};

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::verify::{self, Finality, Trust, VerifiedReceipt};
use counterfoil_proto::v1;

use super::history::{Answer, Asked, Call, History, State, Verdict};
use super::{Findings, Id, Rule};

/// What is proved of an instruction or of an item of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fact {
    /// SHA-256 of what was signed.
    pub(super) hash: String,
    /// The verdict.
    pub(super) verdict: Verdict,
    /// Hash of the header of the block that decided.
    pub(super) header: String,
    /// Whether somebody was told that it is final.
    pub(super) is_final: bool,
}

/// What is proved, by instruction and item.
pub(super) type Facts = BTreeMap<(Id, u32), Fact>;

/// Collects what the receipts prove, and everything in them that does not hold.
pub(super) fn facts(history: &History, findings: &mut Findings) -> Facts {
    let mut judge = match Judge::new(&history.founding.genesis) {
        Ok(judge) => judge,
        Err(problem) => {
            findings.add(Rule::ReceiptHolds, format!("the genesis file: {problem}"));
            return Facts::new();
        }
    };
    for call in &history.calls {
        if let Answer::Wrong { problem } = &call.answer {
            findings.add(Rule::AnswerIsProved, format!("{}: {problem}", place(call)));
        }
        let (Asked::Submit { institution, id, .. } | Asked::Instruction { institution, id, .. }) =
            &call.asked
        else {
            continue;
        };
        let signed = match &call.asked {
            // A node that is asked to execute bytes says what became of those.
            Asked::Submit { hash, .. } => Some(hash.as_str()),
            _ => None,
        };
        let id = (institution.clone(), id.clone());
        judge.answer(&place(call), &id, signed, &call.answer, findings);
    }
    for node in &history.nodes {
        for known in &node.instructions {
            let id = (known.institution.clone(), known.id.clone());
            let place = format!("node {} at the end", node.node);
            judge.answer(&place, &id, None, &known.answer, findings);
        }
    }
    judge.facts
}

/// Where a call stands, for people.
pub(super) fn place(call: &Call) -> String {
    format!("{} from {} to {} µs", call.client, call.begun_us, call.ended_us)
}

/// What receipts are judged by.
struct Judge {
    trust: Trust,
    facts: Facts,
    /// Receipts that were found to hold: the same one is told again and again.
    held: BTreeSet<Hash>,
}

impl Judge {
    fn new(genesis: &str) -> Result<Judge, String> {
        let bytes = Base64::decode_vec(genesis).map_err(|error| error.to_string())?;
        let genesis = Genesis::decode(&bytes).map_err(|error| error.to_string())?;
        Ok(Judge { trust: Trust::new(genesis), facts: Facts::new(), held: BTreeSet::new() })
    }

    fn answer(
        &mut self,
        place: &str,
        id: &Id,
        signed: Option<&str>,
        answer: &Answer,
        findings: &mut Findings,
    ) {
        let Answer::Decided { is_final, verdicts, receipts } = answer else { return };
        let at = |what: &str| format!("{place}: {} of {}: {what}", id.1, id.0);
        if verdicts.is_empty() || verdicts.len() != receipts.len() {
            findings.add(Rule::ReceiptHolds, at("verdicts without a receipt each"));
        }
        for (told, receipt) in verdicts.iter().zip(receipts) {
            // What is the same as before was judged before.
            let key = (id.clone(), told.item);
            let bytes = Base64::decode_vec(receipt).unwrap_or_default();
            let certain = [u8::from(*is_final)];
            let seal = Hash::of_parts(&[id.0.as_bytes(), id.1.as_bytes(), &certain, &bytes]);
            let known = self.facts.get(&key);
            if self.held.contains(&seal)
                && known.is_some_and(|known| {
                    known.verdict == *told && signed.is_none_or(|signed| signed == known.hash)
                })
            {
                continue;
            }
            let verified = match verified(&self.trust, bytes) {
                Ok(verified) => verified,
                Err(problem) => {
                    findings.add(Rule::ReceiptHolds, at(&problem));
                    continue;
                }
            };
            let proved = proved(&verified);
            let about = (verified.institution.to_string(), verified.id.to_string());
            let enough = !is_final || verified.finality != Finality::Ordered;
            findings.require(enough, Rule::ReceiptHolds, || at("FINAL without a certificate"));
            findings.require(about == *id && proved.verdict == *told, Rule::AnswerIsProved, || {
                at(&format!("told {told:?}, proved {about:?} {:?}", proved.verdict))
            });
            let same = signed.is_none_or(|signed| signed == proved.hash);
            findings.require(same, Rule::AnswerIsProved, || {
                at(&format!("of other bytes than were sent: {}", proved.hash))
            });
            self.held.insert(seal);
            let fact = Fact { is_final: *is_final, ..proved };
            self.compare(&at("")[..], key, fact, findings);
        }
    }

    /// An id has one outcome.
    fn compare(&mut self, at: &str, key: (Id, u32), fact: Fact, findings: &mut Findings) {
        let Some(known) = self.facts.get_mut(&key) else {
            self.facts.insert(key, fact);
            return;
        };
        let same = (&known.hash, &known.verdict, &known.header)
            == (&fact.hash, &fact.verdict, &fact.header);
        if !same {
            let refused = known.verdict.state == State::Rejected;
            let rule = if refused { Rule::RefusalStays } else { Rule::OneOutcome };
            findings.add(rule, format!("{at} item {}: {known:?}, and {fact:?}", key.1));
        }
        known.is_final |= fact.is_final;
    }
}

fn verified(trust: &Trust, bytes: Vec<u8>) -> Result<VerifiedReceipt, String> {
    verify::read::<v1::Receipt>(&Bytes::from(bytes))
        .and_then(|receipt| verify::receipt(trust, &receipt))
        .map_err(|unproven| unproven.to_string())
}

fn proved(verified: &VerifiedReceipt) -> Fact {
    let state = match verified.outcome.state {
        counterfoil_ledger::outcome::State::Settled => State::Settled,
        counterfoil_ledger::outcome::State::Rejected => State::Rejected,
        counterfoil_ledger::outcome::State::Recorded => State::Recorded,
        counterfoil_ledger::outcome::State::Itemised => State::Itemised,
    };
    Fact {
        hash: verified.instruction_hash.to_string(),
        verdict: Verdict {
            item: verified.item.as_ref().map_or(0, |item| item.number),
            state,
            reason: verified.outcome.reason.map_or(0, |reason| u32::from(reason.code())),
            height: verified.header.height,
            leaf: verified.leaf,
        },
        header: verified.header.hash().to_string(),
        is_final: false,
    }
}
