//! Reads a leaf certificate: who it names, and whether it is of the kind this consortium admits.
//!
//! Nothing here is verified: neither the signature nor the dates. [`crate::identity::tls`] does
//! that, against the anchor of the institution that the certificate names.

use counterfoil_ledger::hash::Hash;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_SIG_ED25519, Oid,
};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::identity::spiffe::{SpiffeError, SpiffeId};
use crate::identity::{Identity, Role};

/// Why a certificate names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not an X.509 certificate, or one with an extension twice.
    #[error("not a well-formed X.509 certificate")]
    Malformed,
    /// No URI among the subject alternative names.
    #[error("the certificate has no SAN URI; it needs exactly one")]
    NoUri,
    /// More than one URI among the subject alternative names.
    #[error("the certificate has several SAN URIs; it needs exactly one")]
    SeveralUris,
    /// The URI is not a name of this consortium.
    #[error(transparent)]
    Name(#[from] SpiffeError),
    /// A key of another kind.
    #[error("the certificate's key is neither P-256, P-384 nor Ed25519")]
    KeyType,
    /// Not the extended key usages of its role.
    #[error(
        "the certificate's extended key usage does not fit its role: clientAuth, and serverAuth for nodes only"
    )]
    Purpose,
}

impl CertificateError {
    /// The broken rule in one word, for metrics.
    pub fn rule(&self) -> &'static str {
        match self {
            CertificateError::Malformed => "malformed",
            CertificateError::NoUri | CertificateError::SeveralUris => "san",
            CertificateError::Name(_) => "name",
            CertificateError::KeyType => "key_type",
            CertificateError::Purpose => "purpose",
        }
    }
}

/// Reads who a DER certificate of a consortium names.
pub fn identify(consortium: &str, der: &[u8]) -> Result<Identity, CertificateError> {
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
    if !rest.is_empty() {
        return Err(CertificateError::Malformed);
    }
    let id = SpiffeId::parse(san_uri(&certificate)?, consortium)?;
    check_purpose(&certificate, id.role)?;
    let key = certificate.public_key();
    if !is_admitted_key(key) {
        return Err(CertificateError::KeyType);
    }
    Ok(Identity {
        institution: id.institution,
        role: id.role,
        name: id.name,
        not_after_s: certificate.validity().not_after.timestamp(),
        key_fingerprint: Hash::of(key.raw),
    })
}

fn san_uri<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a str, CertificateError> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| CertificateError::Malformed)?
        .map(|extension| extension.value.general_names.as_slice())
        .unwrap_or_default();
    let mut uris = Vec::new();
    for name in names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            // It could be a URI that another reader would understand.
            GeneralName::Invalid(..) => return Err(CertificateError::Malformed),
            _ => {}
        }
    }
    match uris[..] {
        [] => Err(CertificateError::NoUri),
        [uri] => Ok(uri),
        _ => Err(CertificateError::SeveralUris),
    }
}

fn check_purpose(certificate: &X509Certificate<'_>, role: Role) -> Result<(), CertificateError> {
    let usage = certificate
        .extended_key_usage()
        .map_err(|_| CertificateError::Malformed)?
        .ok_or(CertificateError::Purpose)?
        .value;
    let fits = !usage.any && usage.client_auth && usage.server_auth == (role == Role::Node);
    if fits { Ok(()) } else { Err(CertificateError::Purpose) }
}

fn is_admitted_key(key: &SubjectPublicKeyInfo<'_>) -> bool {
    let algorithm = &key.algorithm;
    if algorithm.algorithm == OID_SIG_ED25519 {
        return true;
    }
    let curve = algorithm.parameters.as_ref().and_then(|any| Oid::try_from(any).ok());
    algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY
        && curve.is_some_and(|curve| curve == OID_EC_P256 || curve == OID_NIST_EC_P384)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rcgen::{ExtendedKeyUsagePurpose, KeyPair, SanType};

    use super::*;
    use crate::identity::fixture::{Authority, CONSORTIUM, Leaf, uri};

    fn identify_leaf(leaf: &Leaf) -> Result<Identity, CertificateError> {
        identify(CONSORTIUM, leaf.certificate.as_ref())
    }

    #[test]
    fn reads_who_is_named() {
        let authority = Authority::new("BANKAAAAXXX");
        for role in Role::ALL {
            let identity = identify_leaf(&authority.leaf(role, "one")).unwrap();
            assert_eq!(identity.to_string(), format!("BANKAAAAXXX/{role}/one"));
            assert!(identity.not_after_s > 1_700_000_000);
            assert_ne!(identity.key_fingerprint, Hash::ZERO);
        }
    }

    #[test]
    fn takes_exactly_one_uri() {
        let authority = Authority::new("BANKAAAAXXX");
        let none = authority.leaf_with(Role::Client, |params| params.subject_alt_names.clear());
        assert_eq!(identify_leaf(&none), Err(CertificateError::NoUri));
        let dns_only = authority.leaf_with(Role::Client, |params| {
            params.subject_alt_names = vec![SanType::DnsName("bank.example".try_into().unwrap())];
        });
        assert_eq!(identify_leaf(&dns_only), Err(CertificateError::NoUri));
        let two = authority.leaf_with(Role::Client, |params| {
            let second = uri("BANKBBBBXXX", Role::Client, "one");
            params.subject_alt_names.push(SanType::URI(second.try_into().unwrap()));
        });
        assert_eq!(identify_leaf(&two), Err(CertificateError::SeveralUris));
        let with_dns = authority.leaf_with(Role::Client, |params| {
            params.subject_alt_names.push(SanType::DnsName("bank.example".try_into().unwrap()));
        });
        assert!(identify_leaf(&with_dns).is_ok());
    }

    #[test]
    fn purposes_fit_the_role() {
        let authority = Authority::new("BANKAAAAXXX");
        for (role, purposes) in [
            (Role::Node, vec![ExtendedKeyUsagePurpose::ClientAuth]),
            (Role::Node, vec![ExtendedKeyUsagePurpose::ServerAuth]),
            (Role::Node, vec![ExtendedKeyUsagePurpose::Any]),
            (Role::Node, vec![]),
            (
                Role::Client,
                vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth],
            ),
            (Role::Auditor, vec![ExtendedKeyUsagePurpose::EmailProtection]),
        ] {
            let leaf = authority.leaf_with(role, |params| params.extended_key_usages = purposes);
            assert_eq!(identify_leaf(&leaf), Err(CertificateError::Purpose));
        }
    }

    #[test]
    fn admits_three_kinds_of_keys() {
        let authority = Authority::new("BANKAAAAXXX");
        for algorithm in
            [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519]
        {
            let key = KeyPair::generate_for(algorithm).unwrap();
            assert!(identify_leaf(&authority.leaf_for_key(Role::Client, "one", key)).is_ok());
        }
        // SubjectPublicKeyInfo of an RSA key begins with the OID 1.2.840.113549.1.1.1.
        let rsa = SubjectPublicKeyInfo::from_der(&RSA_SPKI).unwrap().1;
        assert!(!is_admitted_key(&rsa));
    }

    /// rsaEncryption, NULL, and a modulus far too short to be of use.
    const RSA_SPKI: [u8; 29] = [
        0x30, 0x1b, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
        0x05, 0x00, 0x03, 0x0a, 0x00, 0x30, 0x07, 0x02, 0x02, 0x7f, 0xff, 0x02, 0x01, 0x03,
    ];

    #[test]
    fn no_prefix_and_no_flipped_byte_panics() {
        let leaf = Authority::new("BANKAAAAXXX").leaf(Role::Node, "one");
        let der = leaf.certificate.as_ref();
        for length in 0..der.len() {
            assert_eq!(identify(CONSORTIUM, &der[..length]), Err(CertificateError::Malformed));
        }
        let mut trailing = der.to_vec();
        trailing.push(0);
        assert_eq!(identify(CONSORTIUM, &trailing), Err(CertificateError::Malformed));
        for index in 0..der.len() {
            for bit in [0x01, 0x80] {
                let mut flipped = der.to_vec();
                flipped[index] ^= bit;
                let _ = identify(CONSORTIUM, &flipped);
            }
        }
    }
}
