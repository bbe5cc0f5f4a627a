//! A founding document and the private keys to it, all derived from names.

use std::collections::BTreeMap;

use bytes::Bytes;
use counterfoil_ledger::{
    bic::Bic,
    genesis::Genesis,
    hash::Hash,
    signature::{Signer, SoftwareSigner, key_id},
};
use counterfoil_proto::v1;
use p256::pkcs8::EncodePrivateKey;

/// 2026-11-23 12:00:00 UTC: when every test ledger is founded.
pub const NOON_MS: u64 = 1_795_435_200_000;

pub struct Consortium {
    pub genesis: Genesis,
    /// Keys that sign instructions.
    pub signers: BTreeMap<Bic, SoftwareSigner>,
    /// Second keys that sign instructions, where a test needs them.
    pub second_signers: BTreeMap<Bic, SoftwareSigner>,
    /// Keys that sign proposals, by node id.
    pub nodes: BTreeMap<u64, SoftwareSigner>,
}

/// The BIC of a bank with a short name: `Alpha` is ALPHCHZZXXX.
pub fn bic_of(name: &str) -> Bic {
    let mut code = name.to_uppercase();
    code.truncate(4);
    Bic::parse(&format!("{code:X<4}CHZZXXX")).unwrap()
}

pub fn seed(name: &str) -> [u8; 32] {
    Hash::of(name.as_bytes()).0
}

pub fn ed25519(name: &str) -> SoftwareSigner {
    SoftwareSigner::from_ed25519_seed(&seed(name))
}

pub fn p256(name: &str) -> SoftwareSigner {
    let key = p256::SecretKey::from_slice(&seed(name)).unwrap();
    SoftwareSigner::from_pkcs8_der(key.to_pkcs8_der().unwrap().as_bytes()).unwrap()
}

impl Consortium {
    /// A member and a node for each name, the third of which signs with P-256; and the assets.
    pub fn new(names: &[&str], assets: &[(&str, u32)]) -> Consortium {
        Consortium::of(names, assets, BTreeMap::new())
    }

    /// The same, in which each member has a second key for instructions: what two hands of one bank do.
    pub fn with_second_keys(names: &[&str], assets: &[(&str, u32)]) -> Consortium {
        let second = |name: &&str| (bic_of(name), ed25519(&format!("{name} instructions, second")));
        Consortium::of(names, assets, names.iter().map(second).collect())
    }

    fn of(
        names: &[&str],
        assets: &[(&str, u32)],
        second_signers: BTreeMap<Bic, SoftwareSigner>,
    ) -> Consortium {
        let mut banks: Vec<(Bic, &str)> = names.iter().map(|name| (bic_of(name), *name)).collect();
        let mut signers = BTreeMap::new();
        for (place, (bic, name)) in banks.iter().enumerate() {
            let name = format!("{name} instructions");
            signers.insert(*bic, if place == 2 { p256(&name) } else { ed25519(&name) });
        }
        banks.sort();
        let mut nodes = BTreeMap::new();
        for (id, (_, name)) in (1..).zip(&banks) {
            nodes.insert(id, ed25519(&format!("{name} attestation")));
        }
        let institutions = banks.iter().zip(nodes.values()).map(|((bic, name), node)| {
            let mut hands = vec![(&signers[bic], "payments")];
            hands.extend(second_signers.get(bic).map(|signer| (signer, "second hand")));
            institution(name, bic, &hands, node)
        });
        let mut assets: Vec<v1::Asset> = assets
            .iter()
            .map(|(code, exponent)| v1::Asset { code: (*code).to_owned(), exponent: *exponent })
            .collect();
        assets.sort_by(|left, right| left.code.cmp(&right.code));
        let genesis = v1::Genesis {
            format: 1,
            consortium: "test.counterfoil".to_owned(),
            created_ms: NOON_MS,
            rule_version: 1,
            institutions: institutions.collect(),
            nodes: banks.iter().zip(&nodes).map(|((bic, _), node)| record(bic, node)).collect(),
            assets,
            policy: None,
        };
        Consortium { genesis: Genesis::create(genesis).unwrap(), signers, second_signers, nodes }
    }

    pub fn chain_id(&self) -> Hash {
        self.genesis.chain_id()
    }
}

fn institution(
    name: &str,
    bic: &Bic,
    hands: &[(&SoftwareSigner, &str)],
    node: &SoftwareSigner,
) -> v1::Institution {
    let key = |signer: &SoftwareSigner, purpose: v1::KeyPurpose, name: &str| v1::Key {
        public_key: Bytes::copy_from_slice(signer.spki()),
        purpose: purpose.into(),
        name: name.to_owned(),
    };
    let mut keys = vec![key(node, v1::KeyPurpose::Attestation, "node")];
    let hands = hands.iter();
    keys.extend(hands.map(|(signer, name)| key(signer, v1::KeyPurpose::Instruction, name)));
    keys.sort_by_key(|key| key_id(&key.public_key));
    v1::Institution {
        bic: bic.as_str().to_owned(),
        name: format!("{name} Bank"),
        trust_anchor: Bytes::from(format!("the CA certificate of {name}")),
        keys,
        audit_scope: v1::AuditScope::Institution.into(),
    }
}

fn record(bic: &Bic, (id, signer): (&u64, &SoftwareSigner)) -> v1::Node {
    v1::Node {
        id: *id,
        institution: bic.as_str().to_owned(),
        name: format!("node-{id}"),
        attestation_key_id: Bytes::copy_from_slice(signer.key_id().as_bytes()),
        peer_address: format!("127.0.0.1:{}", 7_000 + id),
        client_address: format!("127.0.0.1:{}", 8_000 + id),
        role: 0,
    }
}
