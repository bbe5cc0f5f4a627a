//! A change of who signs headers: from the signers before it to those after it.

use std::collections::BTreeSet;

use bytes::Bytes;
use counterfoil_proto::v1;

use super::{Signers, Trust, Unproven, decode, require, unproven};
use crate::{
    bic::Bic,
    hash::Hash,
    header::Header,
    merkle,
    registry::{Kind, LeafFields, Policy, read_key_record, read_leaf},
    signature::{Label, PublicKey},
};

/// Checks the change that ends the last epoch that is known; returns its header and who signs after it.
pub(super) fn change(
    trust: &Trust,
    change: &v1::EpochChange,
) -> Result<(Header, Signers), Unproven> {
    let by_old = change.before.as_ref().ok_or(unproven("before", "it is missing"))?;
    let by_new = change.after.as_ref().ok_or(unproven("after", "it is missing"))?;
    require(by_old.header == by_new.header, "after", "it holds another header than `before`")?;
    let (header, _) = trust.certified(by_old)?;
    require(header.epoch == trust.epoch(), "before", "the change of an epoch carries that epoch")?;
    let records = Records::of(&header, &change.records)?;
    let after = records.signers(&trust.chain_id())?;
    after.quorum_signed(Label::Header, header.hash().as_bytes(), &by_new.signatures)?;
    Ok((header, after))
}

/// The records of a registry that count from the block after a header on.
struct Records<'a> {
    counting: Vec<(LeafFields, &'a Bytes)>,
}

impl<'a> Records<'a> {
    /// Checks that these are all the records of a header's registry.
    fn of(header: &Header, records: &'a [v1::RegistryRecord]) -> Result<Records<'a>, Unproven> {
        let refuse = |rule| unproven("records", rule);
        let all = usize::try_from(header.registry_count) == Ok(records.len());
        require(all, "records", "they are not as many as the header counts")?;
        let ascend = records.windows(2).all(|pair| pair[0].leaf < pair[1].leaf);
        require(ascend, "records", "they are not in the order of their leaves, each once")?;
        let root = merkle::root_of(records.iter().map(|it| merkle::leaf_hash(&it.leaf)));
        require(root == header.registry_root, "records", "they are not under the registry_root")?;
        let next = header.height.checked_add(1).ok_or(refuse("no block can follow"))?;
        let mut counting = Vec::new();
        for record in records {
            let fields = read_leaf(&record.leaf).ok_or(refuse("a leaf has 81 bytes"))?;
            let its_own = record.record.is_empty() || Hash::of(&record.record) == fields.record;
            require(its_own, "records", "a record is not the one that its leaf has the hash of")?;
            if fields.active_from <= next && next < fields.inactive_from {
                counting.push((fields, &record.record));
            }
        }
        Ok(Records { counting })
    }

    /// The records of a kind, which have to be given.
    fn given(&self, kind: Kind) -> Result<Vec<([u8; 32], &'a Bytes)>, Unproven> {
        let of_kind = self.counting.iter().filter(|(fields, _)| fields.kind == kind as u8);
        let given = of_kind.map(|(fields, record)| {
            let there = Hash::of(record) == fields.record;
            require(there, "records", "a record that is needed is not given")?;
            Ok((fields.id, *record))
        });
        given.collect()
    }

    fn signers(&self, chain_id: &Hash) -> Result<Signers, Unproven> {
        let refuse = |rule| unproven("records", rule);
        let (mut institutions, mut ids) = (BTreeSet::new(), BTreeSet::new());
        let mut nodes = Vec::new();
        for (id, record) in self.given(Kind::Node)? {
            let node: v1::Node = decode("records", record)?;
            let mut named = [0; 32];
            named[..8].copy_from_slice(&node.id.to_be_bytes());
            require(named == id, "records", "a node has another id than its leaf")?;
            match v1::GroupRole::try_from(node.role) {
                Ok(v1::GroupRole::Unspecified) => {}
                // It only follows: its signature counts nowhere.
                Ok(v1::GroupRole::Learner) => continue,
                Err(_) => return Err(refuse("a node is neither a voter nor a learner")),
            }
            let bic = Bic::parse_canonical(&node.institution)
                .map_err(|_| refuse("a node's institution is a BIC of eleven characters"))?;
            let another = institutions.insert(bic) && ids.insert(node.id);
            require(another, "records", "two voters are of one institution, or have one id")?;
            nodes.push((node.id, bic, self.key(&bic, &node.attestation_key_id)?));
        }
        let policies = self.given(Kind::Policy)?;
        require(policies.len() <= 1, "records", "two policies count")?;
        let policy = policies.first().map(|(_, it)| decode::<v1::Policy>("records", it));
        let policy = Policy::of(policy.transpose()?.as_ref(), nodes.len())
            .ok_or(refuse("the policy's finality_quorum is not one that may be had"))?;
        Ok(Signers::new(*chain_id, policy.finality_quorum, nodes))
    }

    /// The attestation key that a node names.
    fn key(&self, institution: &Bic, id: &[u8]) -> Result<PublicKey, Unproven> {
        let named = |fields: &LeafFields| fields.kind == Kind::Key as u8 && fields.id[..] == *id;
        let mut found = self.counting.iter().filter(|(fields, _)| named(fields));
        let (Some((fields, record)), None) = (found.next(), found.next()) else {
            return Err(unproven("records", "a node's key does not count, or not once"));
        };
        let there = Hash::of(record) == fields.record;
        require(there, "records", "a record that is needed is not given")?;
        match read_key_record(record) {
            Some((bic, v1::KeyPurpose::Attestation, found, key))
                if bic == *institution && found.0 == fields.id =>
            {
                Ok(key)
            }
            _ => Err(unproven("records", "a node names a key that is not its own to attest")),
        }
    }
}
