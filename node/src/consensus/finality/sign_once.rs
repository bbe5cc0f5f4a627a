//! Sign-once: which header this node may sign. It signs in ascending height, one header a height, and
//! only where its own history has every header that it is known to have signed before.

use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::header::Header;

use super::attested::Attested;
use crate::defect;
use crate::defect::Defect;

/// What this node has signed, as far as it matters for what it signs next.
#[derive(Default)]
pub struct SignOnce {
    /// The last header signed, by its own record or as others have told it.
    last: Option<Attested>,
    /// What was signed before this process began, and not executed again yet.
    unproven: Vec<Attested>,
    /// Whether enough others have told what they hold.
    asked: bool,
}

/// Why a header is not signed.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not now: others have not told yet what they hold, or what was signed is not executed again.
    NotYet,
    /// A header of this height or a greater one was signed.
    Signed,
    /// Never again: this node has signed what its own history does not have.
    Contradiction(Box<Contradiction>),
}

/// A header that was signed, and another one in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// What was signed.
    pub signed: Attested,
    /// A second attestation by this node of the same height, if there is one.
    pub second: Option<Attested>,
}

impl SignOnce {
    /// Goes on after the record of the last header signed, if there is one.
    pub fn after(record: Option<Attested>) -> SignOnce {
        SignOnce { unproven: record.iter().cloned().collect(), last: record, asked: false }
    }

    /// Takes what others have told: enough of them have answered.
    pub fn told(
        &mut self,
        told: impl IntoIterator<Item = Attested>,
    ) -> Result<(), Box<Contradiction>> {
        for told in told {
            let same = self.unproven.iter().find(|it| it.height() == told.height());
            if let Some(same) = same {
                if same.hash != told.hash {
                    let (signed, second) = (same.clone(), Some(told));
                    return Err(Box::new(Contradiction { signed, second }));
                }
                continue;
            }
            if self.last.as_ref().is_none_or(|last| last.height() < told.height()) {
                self.last = Some(told.clone());
            }
            self.unproven.push(told);
        }
        self.asked = true;
        Ok(())
    }

    /// Checks what was signed before this process began against what it has executed since.
    pub fn prove(&mut self, own: impl Fn(u64) -> Option<Hash>) -> Result<(), Box<Contradiction>> {
        let mut contradiction = None;
        self.unproven.retain(|signed| match own(signed.height()) {
            None => true,
            Some(own) if own == signed.hash => false,
            Some(_) => {
                let signed = signed.clone();
                contradiction.get_or_insert(Box::new(Contradiction { signed, second: None }));
                true
            }
        });
        contradiction.map_or(Ok(()), Err)
    }

    /// Whether everything that was signed before this process began is executed again.
    pub fn is_proven(&self) -> bool {
        self.unproven.is_empty()
    }

    /// Whether a header of this node's own may be signed now.
    pub fn permit(
        &mut self,
        header: &Header,
        own: impl Fn(u64) -> Option<Hash>,
    ) -> Result<(), Refusal> {
        if defect::is(Defect::SignOnceOff) {
            return Ok(());
        }
        self.prove(&own).map_err(Refusal::Contradiction)?;
        if !self.asked || !self.unproven.is_empty() {
            return Err(Refusal::NotYet);
        }
        let Some(last) = &self.last else { return Ok(()) };
        if header.height <= last.height() {
            return Err(Refusal::Signed);
        }
        match own(last.height()) {
            Some(own) if own == last.hash => Ok(()),
            Some(_) => {
                let contradiction = Contradiction { signed: last.clone(), second: None };
                Err(Refusal::Contradiction(Box::new(contradiction)))
            }
            None => Err(Refusal::NotYet),
        }
    }

    /// Takes a header that is about to be signed, once its record is written or on its way: nothing
    /// up to its height is signed any more.
    pub fn signed(&mut self, attested: Attested) {
        self.last = Some(attested);
    }

    /// The height of the last header signed; 0 before the first.
    pub fn height(&self) -> u64 {
        self.last.as_ref().map_or(0, Attested::height)
    }
}
