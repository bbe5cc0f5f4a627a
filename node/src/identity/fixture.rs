//! Certificates for tests: a CA per institution, as in life.

#![allow(clippy::unwrap_used)]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use counterfoil_ledger::bic::Bic;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls_pki_types::CertificateDer;

use crate::identity::Role;

/// The trust domain of the tests.
pub const CONSORTIUM: &str = "consortium.example";

/// An institution's CA, or one that it issued.
pub struct Authority {
    pub bic: &'static str,
    pub certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    chain: Vec<CertificateDer<'static>>,
    chain_pem: String,
}

/// A leaf with its key.
pub struct Leaf {
    pub certificate: CertificateDer<'static>,
    /// What must be sent beside it.
    pub intermediates: Vec<CertificateDer<'static>>,
    pub key: KeyPair,
    pem: String,
}

/// The SAN URI of somebody in the consortium of the tests.
pub fn uri(bic: &str, role: Role, name: &str) -> String {
    format!("spiffe://{CONSORTIUM}/institution/{bic}/{role}/{name}")
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Authority {
    /// A root. Every root has the same subject, so that only keys tell them apart.
    pub fn new(bic: &'static str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let params = authority_params("Root CA");
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        Authority { bic, certificate, issuer, chain: Vec::new(), chain_pem: String::new() }
    }

    /// A CA below this one.
    pub fn intermediate(&self) -> Authority {
        let key = KeyPair::generate().unwrap();
        let params = authority_params("Issuing CA");
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let certificate = signed.der().clone();
        let mut chain = vec![certificate.clone()];
        chain.extend(self.chain.iter().cloned());
        let chain_pem = signed.pem() + &self.chain_pem;
        let issuer = Issuer::new(params, key);
        Authority { bic: self.bic, certificate, issuer, chain, chain_pem }
    }

    /// The institution and its anchor, as the registry has them.
    pub fn anchor(&self) -> (Bic, Vec<u8>) {
        (Bic::parse(self.bic).unwrap(), self.certificate.to_vec())
    }

    /// A good leaf.
    pub fn leaf(&self, role: Role, name: &str) -> Leaf {
        self.leaf_for_key(role, name, KeyPair::generate().unwrap())
    }

    /// A good leaf for a key.
    pub fn leaf_for_key(&self, role: Role, name: &str, key: KeyPair) -> Leaf {
        self.sign(leaf_params(self.bic, role, name), key)
    }

    /// A leaf that somebody spoiled.
    pub fn leaf_with(&self, role: Role, spoil: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = leaf_params(self.bic, role, "one");
        spoil(&mut params);
        self.sign(params, KeyPair::generate().unwrap())
    }

    /// A leaf that expired in 2020.
    pub fn expired_leaf(&self, role: Role, name: &str) -> Leaf {
        let mut params = leaf_params(self.bic, role, name);
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.sign(params, KeyPair::generate().unwrap())
    }

    /// A leaf that names somebody of another institution.
    pub fn leaf_claiming(&self, bic: &str, role: Role, name: &str) -> Leaf {
        self.sign(leaf_params(bic, role, name), KeyPair::generate().unwrap())
    }

    fn sign(&self, params: CertificateParams, key: KeyPair) -> Leaf {
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let pem = signed.pem() + &self.chain_pem;
        Leaf { certificate: signed.der().clone(), intermediates: self.chain.clone(), key, pem }
    }
}

fn leaf_params(bic: &str, role: Role, name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    params.subject_alt_names = vec![SanType::URI(uri(bic, role, name).try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    if role == Role::Node {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    params
}

impl Leaf {
    /// The chain as PEM, leaf first.
    pub fn chain_pem(&self) -> String {
        self.pem.clone()
    }

    /// The key as PKCS#8 PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

/// Writes a file that its owner alone can open.
pub fn write_private(path: &Path, content: &str) {
    // Removed first: a file that stands keeps its mode.
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    let mut file = options.create_new(true).write(true).mode(0o600).open(path).unwrap();
    file.write_all(content.as_bytes()).unwrap();
}
