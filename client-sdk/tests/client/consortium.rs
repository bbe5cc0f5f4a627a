//! A consortium of an agent and a bank: certificates, keys and a genesis file, fresh each time.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use counterfoil_client::{Bic, v1};
use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::signature::{Signer, SoftwareSigner, key_id};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SanType,
};

pub const NAME: &str = "alps.example";
pub const AGENT: &str = "AGNTCHZZXXX";
pub const BANK: &str = "BANKCHZZXXX";

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: rcgen::Certificate,
}

/// A certificate with its key, PEM.
pub struct Leaf {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    pub fn leaf(&self, path: &str) -> Leaf {
        self.leaf_with(|params| params.subject_alt_names = vec![uri(path)])
    }

    pub fn leaf_with(&self, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = CertificateParams::default();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A SAN URI of this consortium.
pub fn uri(path: &str) -> SanType {
    SanType::URI(format!("spiffe://{NAME}/institution/{path}").try_into().unwrap())
}

/// Everything that the bank was given, in a directory, and the authorities.
pub struct Consortium {
    pub agent: Authority,
    pub bank: Authority,
    pub genesis: Genesis,
    /// Attestation keys by node id.
    pub nodes: BTreeMap<u64, SoftwareSigner>,
    /// The agent's key for instructions.
    pub agent_signer: SoftwareSigner,
    pub files: tempfile::TempDir,
}

impl Consortium {
    pub fn found() -> Consortium {
        let (agent, bank) = (Authority::new("Agent"), Authority::new("Bank"));
        let signing = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let signer = SoftwareSigner::from_pkcs8_pem(&signing.serialize_pem()).unwrap();
        let agent_signer = SoftwareSigner::from_ed25519_seed(&[3; 32]);
        let attesting: Vec<_> =
            [1, 2].map(|seed| SoftwareSigner::from_ed25519_seed(&[seed; 32])).into();
        let institution = |bic: &str, authority: &Authority, signers: &[&SoftwareSigner]| {
            let mut keys: Vec<_> = signers
                .iter()
                .zip([v1::KeyPurpose::Attestation, v1::KeyPurpose::Instruction])
                .map(|(signer, purpose)| v1::Key {
                    public_key: signer.spki().to_vec().into(),
                    purpose: purpose.into(),
                    name: "key".to_owned(),
                })
                .collect();
            keys.sort_by_key(|key| key_id(&key.public_key));
            v1::Institution {
                bic: bic.to_owned(),
                name: bic.to_owned(),
                trust_anchor: authority.certificate.der().to_vec().into(),
                keys,
                audit_scope: v1::AuditScope::Institution.into(),
            }
        };
        let node = |id: u64, bic: &str, signer: &SoftwareSigner| v1::Node {
            id,
            institution: bic.to_owned(),
            name: "node".to_owned(),
            attestation_key_id: signer.key_id().as_bytes().to_vec().into(),
            peer_address: "127.0.0.1:1".to_owned(),
            client_address: "127.0.0.1:1".to_owned(),
            role: 0,
        };
        let genesis = Genesis::create(v1::Genesis {
            format: 1,
            consortium: NAME.to_owned(),
            created_ms: now_ms() - 3_600_000,
            rule_version: 1,
            institutions: vec![
                institution(AGENT, &agent, &[&attesting[0], &agent_signer]),
                institution(BANK, &bank, &[&attesting[1], &signer]),
            ],
            nodes: vec![node(1, AGENT, &attesting[0]), node(2, BANK, &attesting[1])],
            assets: vec![v1::Asset { code: "CHF".to_owned(), exponent: 2 }],
            policy: None,
        })
        .unwrap();
        let files = tempfile::tempdir().unwrap();
        fs::write(files.path().join("genesis.bin"), genesis.bytes()).unwrap();
        write_private(&files.path().join("signing.key.pem"), &signing.serialize_pem());
        let nodes = (1..).zip(attesting).collect();
        let consortium = Consortium { agent, bank, genesis, nodes, agent_signer, files };
        consortium.give_bank(&consortium.bank.leaf(&format!("{BANK}/client/back-office")));
        consortium
    }

    /// Writes the bank's client certificate.
    pub fn give_bank(&self, leaf: &Leaf) {
        let directory = self.files.path().join("client");
        fs::create_dir_all(&directory).unwrap();
        // As a careful operator renews: the new files are whole before they take the place.
        for (name, text) in [("key.pem", &leaf.key), ("certificate.pem", &leaf.certificate)] {
            write_private(&directory.join("new"), text);
            fs::rename(directory.join("new"), directory.join(name)).unwrap();
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    pub fn bic(&self, text: &str) -> Bic {
        Bic::parse(text).unwrap()
    }
}

/// Unix milliseconds.
pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

pub fn write_private(path: &Path, text: &str) {
    use std::io::Write;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0);
}
