//! A change of who signs headers: from the signers before it to those after it.

use std::collections::BTreeSet;

use bytes::Bytes;
use counterfoil_proto::v1;

use super::{Signers, Unproven, decode, require, unproven};
use crate::{
    bic::Bic,
    hash::Hash,
    header::{Header, Reader},
    merkle,
    registry::{Kind, LEAF_LENGTH, Policy},
    signature::{Label, PublicKey},
};

/// Checks one change; returns its header and who signs after it. `above` is the height of the change
/// before, if there is one.
pub(super) fn change(
    chain_id: &Hash,
    epoch: u64,
    above: Option<u64>,
    before: &Signers,
    change: &v1::EpochChange,
) -> Result<(Header, Signers), Unproven> {
    let by_old = change.before.as_ref().ok_or(unproven("before", "it is missing"))?;
    let by_new = change.after.as_ref().ok_or(unproven("after", "it is missing"))?;
    require(by_old.header == by_new.header, "after", "it holds another header than `before`")?;
    let (header, _) = before.certified(by_old)?;
    require(header.epoch == epoch, "before", "the change of an epoch carries that epoch")?;
    let later = above.is_none_or(|above| header.height > above);
    require(later, "before", "it is not higher than the change before")?;
    let records = Records::of(&header, &change.records)?;
    let after = records.signers(chain_id)?;
    let hash = header.hash();
    after.quorum_signed(Label::Header, hash.as_bytes(), &by_new.signatures)?;
    Ok((header, after))
}

/// The records of a registry that count from the block after a header on.
struct Records<'a> {
    counting: Vec<(Fields, &'a Bytes)>,
}

/// What of a leaf says which record it is.
struct Fields {
    kind: u8,
    id: [u8; 32],
    hash: Hash,
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
            let (fields, from, until) =
                fields(&record.leaf).ok_or(refuse("a leaf has 81 bytes"))?;
            let its_own = record.record.is_empty() || Hash::of(&record.record) == fields.hash;
            require(its_own, "records", "a record is not the one that its leaf has the hash of")?;
            if from <= next && next < until {
                counting.push((fields, &record.record));
            }
        }
        Ok(Records { counting })
    }

    /// The records of a kind, which have to be given.
    fn given(&self, kind: Kind) -> Result<Vec<([u8; 32], &'a Bytes)>, Unproven> {
        let of_kind = self.counting.iter().filter(|(fields, _)| fields.kind == kind as u8);
        let given = of_kind.map(|(fields, record)| {
            let there = Hash::of(record) == fields.hash;
            require(there, "records", "a record that is needed is not given")?;
            Ok((fields.id, *record))
        });
        given.collect()
    }

    fn signers(&self, chain_id: &Hash) -> Result<Signers, Unproven> {
        let refuse = |rule| unproven("records", rule);
        let mut institutions = BTreeSet::new();
        let mut nodes = Vec::new();
        for (id, record) in self.given(Kind::Node)? {
            let node: v1::Node = decode("records", record)?;
            let mut named = [0; 32];
            named[..8].copy_from_slice(&node.id.to_be_bytes());
            require(named == id, "records", "a node has another id than its leaf")?;
            let bic = Bic::parse_canonical(&node.institution)
                .map_err(|_| refuse("a node's institution is a BIC of eleven characters"))?;
            require(institutions.insert(bic), "records", "two nodes are of one institution")?;
            nodes.push((node.id, bic, self.key(&bic, &node.attestation_key_id)?));
        }
        let ids: BTreeSet<u64> = nodes.iter().map(|(id, ..)| *id).collect();
        require(ids.len() == nodes.len(), "records", "two nodes have one id")?;
        let policies = self.given(Kind::Policy)?;
        require(policies.len() <= 1, "records", "two policies count")?;
        let policy = policies.first().map(|(_, it)| decode::<v1::Policy>("records", it));
        let policy = Policy::of(policy.transpose()?.as_ref(), nodes.len())
            .ok_or(refuse("the policy's finality_quorum is not one that may be had"))?;
        Ok(Signers::new(*chain_id, policy.finality_quorum, nodes))
    }

    /// The attestation key that a node names.
    fn key(&self, institution: &Bic, id: &[u8]) -> Result<PublicKey, Unproven> {
        let refuse = |rule| unproven("records", rule);
        let is_it = |fields: &Fields| fields.kind == Kind::Key as u8 && fields.id[..] == *id;
        let mut found = self.counting.iter().filter(|(fields, _)| is_it(fields));
        let (Some((fields, record)), None) = (found.next(), found.next()) else {
            return Err(refuse("the key that a node names does not count, or not once"));
        };
        let there = Hash::of(record) == fields.hash;
        require(there, "records", "a record that is needed is not given")?;
        let key = key_of(record, institution, v1::KeyPurpose::Attestation);
        let key = key.filter(|(found, _)| found.as_bytes()[..] == *id);
        key.map(|(_, key)| key).ok_or(refuse("a node names a key that is not its own to attest"))
    }
}

fn fields(leaf: &[u8]) -> Option<(Fields, u64, u64)> {
    let leaf: &[u8; LEAF_LENGTH] = leaf.try_into().ok()?;
    let mut reader = Reader(leaf);
    let [kind] = reader.take()?;
    let id = reader.take()?;
    let from = u64::from_be_bytes(reader.take()?);
    let until = u64::from_be_bytes(reader.take()?);
    Some((Fields { kind, id, hash: Hash(reader.take()?) }, from, until))
}

/// Reads a key's record: BIC ‖ message. The key with its id, if it is that institution's for that
/// purpose.
pub(super) fn key_of(
    record: &Bytes,
    institution: &Bic,
    purpose: v1::KeyPurpose,
) -> Option<(Hash, PublicKey)> {
    let (bic, _) = record.split_at_checked(institution.as_str().len())?;
    let key: v1::Key = decode("record", &record.slice(bic.len()..)).ok()?;
    let public_key = PublicKey::from_spki(&key.public_key).ok()?;
    let theirs = bic == institution.as_str().as_bytes() && key.purpose == i32::from(purpose);
    theirs.then(|| (Hash::of(&key.public_key), public_key))
}
