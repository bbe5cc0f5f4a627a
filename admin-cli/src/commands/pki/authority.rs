//! `pki authority`, and the authority that it made.

use std::path::Path;

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::signature::Signer;
use rcgen::{BasicConstraints, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::json;

use super::{cannot_issue, expiry, parameters, read_back};
use crate::certificate::Certificate;
use crate::error::Failure;
use crate::files::{self, Readers};
use crate::output::{Answer, Table};
use crate::private_key::{self, Algorithm};

/// File names in the directory.
const FILES: [&str; 2] = ["authority.pem", "authority.key.pem"];

/// Makes an authority.
pub fn run(bic: &Bic, out: &Path, algorithm: Algorithm, days: u32) -> Result<Answer, Failure> {
    let [certificate_file, key_file] = FILES.map(|name| out.join(name));
    files::refuse_existing(&[&certificate_file, &key_file])?;
    let key = private_key::generate(algorithm)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, bic.as_str());
    subject.push(DnType::CommonName, format!("{bic} authority"));
    let mut parameters = parameters(subject, days)?;
    // No intermediate: a leaf is issued by the anchor itself.
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let made = parameters
        .self_signed(&private_key::key_pair(&key)?)
        .map_err(|error| cannot_issue(&error))?;
    files::create_directory(out)?;
    files::create(&key_file, private_key::pem(&key).as_bytes(), Readers::Owner)?;
    files::create(&certificate_file, made.pem().as_bytes(), Readers::All)?;
    let certificate = read_back(made.der())?;
    let json = json!({
        "institution": bic.as_str(),
        "certificate": certificate_file,
        "key": key_file,
        "fingerprint": certificate.fingerprint().to_string(),
        "notAfter": expiry(&certificate),
    });
    Ok(Answer::new(json)
        .line(format!("certificate authority of {bic}, until {}", expiry(&certificate)))
        .table(Table::facts([
            ("certificate", certificate_file.display().to_string()),
            ("private key", format!("{} (keep it offline)", key_file.display())),
            ("fingerprint", certificate.fingerprint().to_string()),
        ])))
}

/// What `pki authority` made, read again.
pub struct Authority {
    /// The institution that it speaks for.
    pub institution: Bic,
    certificate: Certificate,
    /// What signs.
    pub issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Reads certificate and key, which must belong together.
    pub fn load(directory: &Path) -> Result<Authority, Failure> {
        let [certificate_file, key_file] = FILES.map(|name| directory.join(name));
        let pem = files::read_text(&certificate_file)?;
        let malformed = |what: &str| {
            let message = format!("{} is not an authority: {what}", certificate_file.display());
            Failure::usage("AUTHORITY_MALFORMED", message)
                .fix("counterfoil pki authority --institution BIC --out DIR")
        };
        let certificate =
            Certificate::from_pem(&pem).map_err(|error| malformed(&error.to_string()))?;
        let organization = certificate.organization.as_deref().unwrap_or_default();
        let institution = Bic::parse_canonical(organization)
            .map_err(|_| malformed("its subject's organization is not a BIC"))?;
        if !certificate.authority {
            return Err(malformed("it may not issue certificates"));
        }
        let key = private_key::from_pem(&files::read_private_key(&key_file)?)
            .ok_or_else(|| malformed("its key is not an Ed25519 or P-256 key in PKCS #8"))?;
        if private_key::signer(&key).spki() != certificate.spki {
            return Err(malformed("its key belongs to another certificate"));
        }
        let issuer = Issuer::from_ca_cert_der(
            &certificate.der.as_slice().into(),
            private_key::key_pair(&key)?,
        )
        .map_err(|error| malformed(&error.to_string()))?;
        Ok(Authority { institution, certificate, issuer })
    }

    /// A leaf beyond its issuer's end would fail one day without a word.
    pub fn outlives(&self, leaf: &Certificate) -> Result<(), Failure> {
        if leaf.not_after_s <= self.certificate.not_after_s {
            return Ok(());
        }
        Err(Failure::usage(
            "AUTHORITY_EXPIRES_FIRST",
            "the certificate would outlive its authority",
        )
        .fact(format!("authority until {}", expiry(&self.certificate)))
        .fact(format!("certificate until {}", expiry(leaf)))
        .fix("give fewer --days, or make a new authority"))
    }
}
