//! The genesis file: the canonical encoding of `counterfoil.v1.Genesis`. The chain id is SHA-256 of
//! exactly these bytes.

use std::collections::BTreeSet;

use bytes::Bytes;
use counterfoil_proto::v1;

use crate::{
    asset::AssetCode,
    bic::Bic,
    canonical::{self, NotCanonical},
    hash::Hash,
    registry::{Policy, SNAPSHOT_INTERVALS},
    signature::{PublicKey, key_id},
    state::TIME_MAX_MS,
    text,
};

/// A founding document that holds.
#[derive(Clone, Debug)]
pub struct Genesis {
    bytes: Bytes,
    message: v1::Genesis,
}

/// Why a founding document is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("genesis: {field}: {rule}")]
pub struct GenesisError {
    /// Which field, as a path.
    pub field: String,
    /// Which rule it breaks.
    pub rule: &'static str,
}

/// At most this many institutions, keys each, nodes and assets.
const RECORDS_MAX: usize = 1_000;

/// Largest trust anchor in bytes.
const TRUST_ANCHOR_MAX: usize = 4_096;

impl Genesis {
    /// Reads and checks a genesis file.
    pub fn decode(bytes: &[u8]) -> Result<Genesis, GenesisError> {
        let bytes = Bytes::copy_from_slice(bytes);
        let message = canonical::decode::<v1::Genesis>(&bytes).map_err(|error| {
            let rule = match error {
                NotCanonical::Malformed => "the file is not a genesis file",
                NotCanonical::OtherBytes => "the file is not in canonical encoding",
            };
            refuse("file", rule)
        })?;
        check(&message)?;
        Ok(Genesis { bytes, message })
    }

    /// Checks a document and encodes it.
    pub fn create(message: v1::Genesis) -> Result<Genesis, GenesisError> {
        Genesis::decode(&prost::Message::encode_to_vec(&message))
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What it says.
    pub fn message(&self) -> &v1::Genesis {
        &self.message
    }

    /// SHA-256 of the file's bytes.
    pub fn chain_id(&self) -> Hash {
        Hash::of(&self.bytes)
    }

    /// The nodes that vote.
    pub fn voters(&self) -> impl Iterator<Item = &v1::Node> {
        voters(&self.message)
    }

    /// Each institution with its trust anchor (DER), ordered by BIC.
    pub fn trust_anchors(&self) -> impl Iterator<Item = (Bic, &[u8])> {
        self.message.institutions.iter().map(|institution| {
            let bic = Bic::parse(&institution.bic).expect("checked in decode");
            (bic, institution.trust_anchor.as_ref())
        })
    }
}

fn voters(genesis: &v1::Genesis) -> impl Iterator<Item = &v1::Node> {
    genesis.nodes.iter().filter(|node| node.role() != v1::GroupRole::Learner)
}

fn refuse(field: impl Into<String>, rule: &'static str) -> GenesisError {
    GenesisError { field: field.into(), rule }
}

fn check(genesis: &v1::Genesis) -> Result<(), GenesisError> {
    if genesis.format != 1 {
        return Err(refuse("format", "this program knows format 1"));
    }
    if genesis.rule_version != 1 {
        return Err(refuse("rule_version", "this program knows rule version 1"));
    }
    if !is_consortium(&genesis.consortium) {
        return Err(refuse("consortium", "a lower-case DNS name of at most 63 characters"));
    }
    if genesis.created_ms == 0 || genesis.created_ms > TIME_MAX_MS {
        return Err(refuse("created_ms", "the time of the founding, before the year 10000"));
    }
    for (field, count) in [
        ("institutions", genesis.institutions.len()),
        ("nodes", genesis.nodes.len()),
        ("assets", genesis.assets.len()),
    ] {
        if count == 0 || count > RECORDS_MAX {
            return Err(refuse(field, "1 to 1,000 of them"));
        }
    }
    check_institutions(genesis)?;
    check_nodes(genesis)?;
    if Policy::of(genesis.policy.as_ref(), voters(genesis).count()).is_none() {
        return Err(refuse(
            "policy.finality_quorum",
            "more than two thirds of the institutions that run voters, or 2 of three",
        ));
    }
    let interval = genesis.policy.as_ref().map_or(0, |policy| policy.snapshot_interval_blocks);
    if interval != 0 && !SNAPSHOT_INTERVALS.contains(&interval) {
        return Err(refuse("policy.snapshot_interval_blocks", "8 to 1,000,000, or 0 = 4,096"));
    }
    check_assets(genesis)
}

/// Whether a name can be the trust domain of SPIFFE ids.
pub fn is_consortium(name: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(valid)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// Whether a name can stand in a certificate's SAN: 1 to 32 of a–z, 0–9 and '-'.
pub fn is_certificate_name(name: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(valid)
}

fn ascending<T: Ord>(items: impl Iterator<Item = T>) -> bool {
    let items: Vec<T> = items.collect();
    items.windows(2).all(|pair| pair[0] < pair[1])
}

fn check_institutions(genesis: &v1::Genesis) -> Result<(), GenesisError> {
    let mut keys = BTreeSet::new();
    for institution in &genesis.institutions {
        let field = |name: &str| format!("institutions[{}].{name}", institution.bic);
        Bic::parse_canonical(&institution.bic)
            .map_err(|_| refuse(field("bic"), "a BIC of eleven characters"))?;
        if institution.name.is_empty() || institution.name.len() > 140 {
            return Err(refuse(field("name"), "1 to 140 bytes"));
        }
        if institution.trust_anchor.is_empty() || institution.trust_anchor.len() > TRUST_ANCHOR_MAX
        {
            return Err(refuse(field("trust_anchor"), "a DER certificate of at most 4,096 bytes"));
        }
        if institution.audit_scope == 0
            || v1::AuditScope::try_from(institution.audit_scope).is_err()
        {
            return Err(refuse(field("audit_scope"), "INSTITUTION or CONSORTIUM"));
        }
        if institution.keys.is_empty() || institution.keys.len() > RECORDS_MAX {
            return Err(refuse(field("keys"), "1 to 1,000 of them"));
        }
        if !ascending(institution.keys.iter().map(|key| key_id(&key.public_key))) {
            return Err(refuse(field("keys"), "ordered by key id, each once"));
        }
        for key in &institution.keys {
            let field =
                |name: &str| format!("institutions[{}].keys[{}].{name}", institution.bic, key.name);
            PublicKey::from_spki(&key.public_key).map_err(|_| {
                refuse(
                    field("public_key"),
                    "SubjectPublicKeyInfo of an Ed25519 or uncompressed P-256 key",
                )
            })?;
            if key.purpose == 0 || v1::KeyPurpose::try_from(key.purpose).is_err() {
                return Err(refuse(field("purpose"), "INSTRUCTION or ATTESTATION"));
            }
            if !text::is_max35(&key.name) {
                return Err(refuse(field("name"), "at most 35 characters of the SWIFT X set"));
            }
            if !keys.insert(key_id(&key.public_key)) {
                return Err(refuse(field("public_key"), "one key belongs to one institution"));
            }
        }
    }
    if !ascending(genesis.institutions.iter().map(|institution| &institution.bic)) {
        return Err(refuse("institutions", "ordered by BIC, each once"));
    }
    Ok(())
}

fn check_nodes(genesis: &v1::Genesis) -> Result<(), GenesisError> {
    for node in &genesis.nodes {
        let field = |name: &str| format!("nodes[{}].{name}", node.id);
        if node.id == 0 {
            return Err(refuse(field("id"), "not zero"));
        }
        let institution = genesis
            .institutions
            .iter()
            .find(|institution| institution.bic == node.institution)
            .ok_or_else(|| refuse(field("institution"), "an institution of this file"))?;
        if !is_certificate_name(&node.name) {
            return Err(refuse(field("name"), "1 to 32 of a-z, 0-9 and '-'"));
        }
        let attests = institution.keys.iter().any(|key| {
            key_id(&key.public_key).as_bytes()[..] == node.attestation_key_id[..]
                && key.purpose == i32::from(v1::KeyPurpose::Attestation)
        });
        if !attests {
            return Err(refuse(
                field("attestation_key_id"),
                "an attestation key of the node's institution",
            ));
        }
        if v1::GroupRole::try_from(node.role).is_err() {
            return Err(refuse(field("role"), "absent for a voter, or LEARNER"));
        }
        for (name, address) in
            [("peer_address", &node.peer_address), ("client_address", &node.client_address)]
        {
            let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            // Digits alone: a number may be written with a sign, which another reader would not take.
            let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
            let is_port = |port: &str| digits(port) && port.parse::<u16>().is_ok();
            if address.len() > 255 || !port.is_some_and(|(_, port)| is_port(port)) {
                return Err(refuse(field(name), "host:port"));
            }
        }
    }
    if !ascending(genesis.nodes.iter().map(|node| node.id)) {
        return Err(refuse("nodes", "ordered by id, each once"));
    }
    let institutions: BTreeSet<_> = voters(genesis).map(|node| &node.institution).collect();
    let voter_count = voters(genesis).count();
    if voter_count == 0 || institutions.len() != voter_count {
        return Err(refuse("nodes", "at least one voter, and at most one an institution"));
    }
    let names: BTreeSet<_> =
        genesis.nodes.iter().map(|node| (&node.institution, &node.name)).collect();
    if names.len() != genesis.nodes.len() {
        return Err(refuse("nodes", "each of an institution under a name of its own"));
    }
    let keys: BTreeSet<_> = genesis.nodes.iter().map(|node| &node.attestation_key_id).collect();
    if keys.len() != genesis.nodes.len() {
        return Err(refuse("nodes", "one attestation key a node"));
    }
    Ok(())
}

fn check_assets(genesis: &v1::Genesis) -> Result<(), GenesisError> {
    for asset in &genesis.assets {
        AssetCode::parse(&asset.code).map_err(|_| {
            refuse(format!("assets[{}].code", asset.code), "1 to 12 of A-Z, 0-9 and '-'")
        })?;
        if asset.exponent > 9 {
            return Err(refuse(format!("assets[{}].exponent", asset.code), "0 to 9"));
        }
    }
    if !ascending(genesis.assets.iter().map(|asset| &asset.code)) {
        return Err(refuse("assets", "ordered by code, each once"));
    }
    Ok(())
}
