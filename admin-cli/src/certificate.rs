//! What a certificate says. The only file here that parses X.509.

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::genesis::{is_certificate_name, is_consortium};
use counterfoil_ledger::hash::Hash;
use pkcs8::Document;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ED25519};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

/// A certificate, read.
#[derive(Debug)]
pub struct Certificate {
    /// The bytes.
    pub der: Vec<u8>,
    /// Subject, as in RFC 4514.
    pub subject: String,
    /// The organization in the subject, if it names exactly one.
    pub organization: Option<String>,
    /// Issuer.
    pub issuer: String,
    /// Serial number in hex.
    pub serial: String,
    /// First second of its life, Unix seconds.
    pub not_before_s: i64,
    /// Last second of its life, Unix seconds.
    pub not_after_s: i64,
    /// It may issue certificates.
    pub authority: bool,
    /// Subject alternative names, each with its kind.
    pub names: Vec<String>,
    /// Those of them that are URIs.
    pub uris: Vec<String>,
    /// Extended key usages.
    pub uses: Vec<&'static str>,
    /// DER SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// Algorithm of the key, for people.
    pub key_algorithm: String,
}

/// Why a certificate cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not PEM, or not a certificate.
    #[error("not one X.509 certificate in PEM")]
    Pem,
    /// The DER inside is broken.
    #[error("the certificate cannot be parsed")]
    Der,
}

/// Who a leaf certificate speaks for: `spiffe://<consortium>/institution/<BIC>/<role>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The trust domain.
    pub consortium: String,
    /// The institution.
    pub institution: Bic,
    /// What it may do.
    pub role: String,
    /// Which of several.
    pub name: String,
}

impl Certificate {
    /// Reads one certificate in PEM.
    pub fn from_pem(pem: &str) -> Result<Certificate, CertificateError> {
        match Document::from_pem(pem) {
            Ok(("CERTIFICATE", document)) => Certificate::from_der(document.as_bytes()),
            _ => Err(CertificateError::Pem),
        }
    }

    /// Reads a certificate in DER.
    pub fn from_der(der: &[u8]) -> Result<Certificate, CertificateError> {
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| CertificateError::Der)?;
        if !rest.is_empty() {
            return Err(CertificateError::Der);
        }
        let (names, uris) = alternative_names(&parsed)?;
        let mut organizations = parsed.subject().iter_organization();
        let organization = organizations.next().and_then(|name| name.as_str().ok());
        let validity = parsed.validity();
        Ok(Certificate {
            der: der.to_vec(),
            subject: parsed.subject().to_string(),
            organization: organization
                .filter(|_| organizations.next().is_none())
                .map(str::to_owned),
            issuer: parsed.issuer().to_string(),
            serial: crate::output::hex(parsed.raw_serial()),
            not_before_s: validity.not_before.timestamp(),
            not_after_s: validity.not_after.timestamp(),
            authority: parsed.is_ca(),
            names,
            uris,
            uses: uses(&parsed)?,
            spki: parsed.public_key().raw.to_vec(),
            key_algorithm: key_algorithm(parsed.public_key()),
        })
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> Hash {
        Hash::of(&self.der)
    }

    /// Who it speaks for, if it has exactly one URI and that is of our shape.
    pub fn identity(&self) -> Option<Identity> {
        match self.uris.as_slice() {
            [uri] => Identity::parse(uri),
            _ => None,
        }
    }
}

impl Identity {
    /// Reads a SPIFFE id of our shape.
    pub fn parse(uri: &str) -> Option<Identity> {
        let parts: Vec<&str> = uri.strip_prefix("spiffe://")?.split('/').collect();
        let [consortium, "institution", bic, role, name] = parts.as_slice() else {
            return None;
        };
        let known = ["node", "client", "operator", "auditor"].contains(role);
        (known && is_consortium(consortium) && is_certificate_name(name)).then_some(())?;
        Some(Identity {
            consortium: consortium.to_string(),
            institution: Bic::parse_canonical(bic).ok()?,
            role: role.to_string(),
            name: name.to_string(),
        })
    }

    /// The SPIFFE id.
    pub fn uri(&self) -> String {
        let Identity { consortium, institution, role, name } = self;
        format!("spiffe://{consortium}/institution/{institution}/{role}/{name}")
    }
}

fn alternative_names(
    certificate: &X509Certificate<'_>,
) -> Result<(Vec<String>, Vec<String>), CertificateError> {
    let (mut names, mut uris) = (Vec::new(), Vec::new());
    let extension = certificate.subject_alternative_name().map_err(|_| CertificateError::Der)?;
    for name in extension.iter().flat_map(|extension| &extension.value.general_names) {
        names.push(match name {
            GeneralName::URI(uri) => {
                uris.push(uri.to_string());
                format!("URI {uri}")
            }
            GeneralName::DNSName(name) => format!("DNS {name}"),
            GeneralName::IPAddress(bytes) => format!("IP {}", ip_address(bytes)),
            other => format!("{other:?}"),
        });
    }
    Ok((names, uris))
}

fn ip_address(bytes: &[u8]) -> String {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return std::net::Ipv4Addr::from(four).to_string();
    }
    match <[u8; 16]>::try_from(bytes) {
        Ok(sixteen) => std::net::Ipv6Addr::from(sixteen).to_string(),
        Err(_) => crate::output::hex(bytes),
    }
}

fn uses(certificate: &X509Certificate<'_>) -> Result<Vec<&'static str>, CertificateError> {
    let extension = certificate.extended_key_usage().map_err(|_| CertificateError::Der)?;
    let Some(usage) = extension.map(|extension| extension.value) else {
        return Ok(Vec::new());
    };
    let known = [
        (usage.any, "any"),
        (usage.server_auth, "serverAuth"),
        (usage.client_auth, "clientAuth"),
        (!usage.other.is_empty(), "other"),
    ];
    Ok(known.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect())
}

fn key_algorithm(key: &SubjectPublicKeyInfo<'_>) -> String {
    let algorithm = &key.algorithm.algorithm;
    let parameters = key.algorithm.parameters.as_ref();
    let curve = parameters.and_then(|parameters| parameters.as_oid().ok());
    if *algorithm == OID_SIG_ED25519 {
        "Ed25519".to_owned()
    } else if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY && curve == Some(OID_EC_P256) {
        "P-256".to_owned()
    } else {
        algorithm.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities() {
        let uri = "spiffe://demo.example/institution/BANKCHZZXXX/node/node-1";
        assert_eq!(Identity::parse(uri).unwrap().uri(), uri);
        for bad in [
            "https://demo.example/institution/BANKCHZZXXX/node/node-1",
            "spiffe://demo.example/institution/BANKCHZZ/node/node-1",
            "spiffe://demo.example/institution/BANKCHZZXXX/root/node-1",
            "spiffe://demo.example/institution/BANKCHZZXXX/node/node-1/more",
            "spiffe://Demo/institution/BANKCHZZXXX/node/node-1",
            "spiffe://demo.example/institution/BANKCHZZXXX/node/",
        ] {
            assert_eq!(Identity::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn garbage_is_refused() {
        assert_eq!(Certificate::from_pem("hello").unwrap_err(), CertificateError::Pem);
        assert_eq!(Certificate::from_der(&[0x30, 0]).unwrap_err(), CertificateError::Der);
    }
}
