//! What a verifier knows for certain: the genesis file, who signed when, and the newest header that
//! it has seen certified.

use bytes::Bytes;
use counterfoil_proto::v1;

use super::{Signers, Unproven, epoch, history, read, require, unproven};
use crate::{
    bic::Bic,
    genesis::Genesis,
    hash::Hash,
    header::Header,
    registry::Registry,
    signature::{Label, PublicKey},
};

/// See the module.
#[derive(Clone, Debug)]
pub struct Trust {
    genesis: Genesis,
    chain_id: Hash,
    /// By epoch, from 0; one more than there are changes.
    signers: Vec<Signers>,
    /// By the epoch that they end, each with its header.
    changes: Vec<(Header, v1::EpochChange)>,
    newest: Option<(Header, v1::Certificate)>,
    /// Certificates that were checked, with what that gave: under load many receipts have the same.
    checked: Vec<(v1::Certificate, (Header, Vec<u64>))>,
}

/// Certificates that are remembered as checked.
const CHECKED_MAX: usize = 16;

impl Trust {
    /// What the genesis file alone gives.
    pub fn new(genesis: Genesis) -> Trust {
        let chain_id = genesis.chain_id();
        let signers = vec![Signers::of(chain_id, &Registry::of(&genesis))];
        Trust { genesis, chain_id, signers, changes: Vec::new(), newest: None, checked: Vec::new() }
    }

    /// Reads the bytes of a TrustedState, and believes none of it unchecked.
    pub fn restore(genesis: Genesis, state: &Bytes) -> Result<Trust, Unproven> {
        let state: v1::TrustedState = read(state)?;
        let mut trust = Trust::new(genesis);
        let same = state.chain_id[..] == trust.chain_id.as_bytes()[..];
        require(same, "chain_id", "it belongs to another genesis file")?;
        trust.extend(&state.epochs.unwrap_or_default())?;
        if let Some(certificate) = state.newest {
            let (header, _) = trust.certified(&certificate)?;
            trust.newest = Some((header, certificate));
        }
        Ok(trust)
    }

    /// What restores it.
    pub fn to_message(&self) -> v1::TrustedState {
        v1::TrustedState {
            chain_id: self.chain_id.to_bytes(),
            epochs: Some(self.epoch_chain()),
            newest: self.newest.as_ref().map(|(_, certificate)| certificate.clone()),
        }
    }

    /// The changes that are known.
    pub fn epoch_chain(&self) -> v1::EpochChain {
        v1::EpochChain { changes: self.changes.iter().map(|(_, change)| change.clone()).collect() }
    }

    /// The founding document.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// SHA-256 of the genesis file.
    pub fn chain_id(&self) -> Hash {
        self.chain_id
    }

    /// The newest header that was seen certified.
    pub fn newest(&self) -> Option<&Header> {
        self.newest.as_ref().map(|(header, _)| header)
    }

    /// The certificate of the newest header.
    pub fn newest_certificate(&self) -> Option<&v1::Certificate> {
        self.newest.as_ref().map(|(_, certificate)| certificate)
    }

    /// The last epoch whose signers are known.
    pub fn epoch(&self) -> u64 {
        u64::try_from(self.changes.len()).unwrap_or(u64::MAX)
    }

    /// Who signs in an epoch.
    pub fn signers(&self, epoch: u64) -> Option<&Signers> {
        self.signers.get(usize::try_from(epoch).ok()?)
    }

    /// Learns changes of who signs. The chain begins at the genesis file; what is known of it
    /// already must be in it, and if any part of it does not hold nothing is learnt.
    pub fn extend(&mut self, chain: &v1::EpochChain) -> Result<(), Unproven> {
        let mut longer = self.clone();
        for (number, change) in chain.changes.iter().enumerate() {
            if let Some((known, _)) = self.changes.get(number) {
                let given = change.before.as_ref().and_then(|it| Header::decode(&it.header));
                let same = given.as_ref() == Some(known);
                require(same, "changes", "another change than the one that is known")?;
                continue;
            }
            let (header, signers) = epoch::change(&longer, change)?;
            longer.changes.push((header, change.clone()));
            longer.signers.push(signers);
        }
        if let Some(newest) = longer.newest() {
            longer.signers_of(newest)?;
        }
        // Who signed when is known better now.
        longer.checked.clear();
        *self = longer;
        Ok(())
    }

    /// Takes a newer certificate in place of the newest, if the proof shows that it has the newest in
    /// its history. The first one needs only to hold.
    pub fn advance(&mut self, proof: &v1::HistoryProof) -> Result<(), Unproven> {
        let verified = history(self, proof)?;
        let follows = self.newest().is_none_or(|newest| *newest == verified.header);
        require(follows, "header", "it is not the newest header that is known")?;
        self.newest = proof.certificate.clone().map(|it| (verified.certified, it));
        Ok(())
    }

    /// Checks a certificate now, so that it costs nothing the next time; the oldest one that was
    /// remembered so is forgotten.
    pub fn remember(&mut self, certificate: &v1::Certificate) -> Result<(), Unproven> {
        let certified = self.certified(certificate)?;
        self.checked.truncate(CHECKED_MAX - 1);
        self.checked.insert(0, (certificate.clone(), certified));
        Ok(())
    }

    /// What a certificate gave that was checked and is remembered.
    pub fn checked(&self, certificate: &v1::Certificate) -> Option<(Header, Vec<u64>)> {
        self.checked.iter().find(|(known, _)| known == certificate).map(|(_, found)| found.clone())
    }

    /// Checks a certificate; returns its header and who signed it.
    pub fn certified(&self, certificate: &v1::Certificate) -> Result<(Header, Vec<u64>), Unproven> {
        let check = || {
            let header = super::header("certificate.header", &certificate.header, &self.chain_id)?;
            self.signers_of(&header)?.certified(certificate)
        };
        self.checked(certificate).map_or_else(check, Ok)
    }

    /// Who signs a header: those of its epoch, as far as the epoch reaches.
    pub(super) fn signers_of(&self, header: &Header) -> Result<&Signers, Unproven> {
        let unknown = unproven("epoch", "its signers are not known: the epoch chain ends earlier");
        let signers = self.signers(header.epoch).ok_or(unknown)?;
        let change = |epoch: u64| Some(self.changes.get(usize::try_from(epoch).ok()?)?.0.height);
        let ended = change(header.epoch).is_some_and(|end| header.height > end);
        require(!ended, "epoch", "it had ended at this height: these nodes signed no more")?;
        let before = header.epoch.checked_sub(1).and_then(change);
        let began = before.is_none_or(|start| header.height > start);
        require(began, "epoch", "it had not begun at this height")?;
        Ok(signers)
    }

    /// Whose node signed a payload, and with which of its keys of the epochs that are known.
    pub(crate) fn signer(
        &self,
        label: Label,
        payload: &[u8],
        signature: &v1::NodeSignature,
    ) -> Option<(Bic, &PublicKey)> {
        let signed = self.signers.iter().rev().find(|it| it.signed(label, payload, signature))?;
        Some((*signed.institution(signature.node)?, signed.key(signature.node)?))
    }
}
