//! Certificates: whom a leaf names, and whether that institution vouches for it.

use std::collections::BTreeMap;

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::genesis::{Genesis, is_certificate_name};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Node,
    Client,
    Operator,
    Auditor,
}

/// Whom a certificate names: `spiffe://<consortium>/institution/<BIC>/<role>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) institution: Bic,
    pub(crate) role: Role,
    pub(crate) name: String,
}

/// Each institution's own trust anchor. There is no root above them, so that one bank's CA can
/// never speak for another.
#[derive(Debug)]
pub(crate) struct TrustAnchors {
    consortium: String,
    anchors: BTreeMap<Bic, CertificateDer<'static>>,
}

impl TrustAnchors {
    pub(crate) fn of(genesis: &Genesis) -> TrustAnchors {
        let anchors = genesis
            .trust_anchors()
            .map(|(bic, der)| (bic, CertificateDer::from(der.to_vec())))
            .collect();
        TrustAnchors { consortium: genesis.message().consortium.clone(), anchors }
    }

    /// Reads whom a leaf names.
    pub(crate) fn identity(&self, leaf: &CertificateDer<'_>) -> Result<Identity, String> {
        let uri = only_uri(leaf)?;
        parse_uri(&uri, &self.consortium)
            .ok_or_else(|| format!("its certificate names {uri:?}, nobody of {}", self.consortium))
    }

    /// Whether a server is a node of the institution that its certificate names: the chain must end
    /// at the anchor of exactly that institution.
    pub(crate) fn verify_node(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Identity, String> {
        let identity = self.identity(leaf)?;
        let Identity { institution, role, name } = &identity;
        if *role != Role::Node {
            return Err(format!("its certificate is not a node's, but that of {role:?} {name:?}"));
        }
        let anchor = self
            .anchors
            .get(institution)
            .ok_or_else(|| format!("its certificate names {institution}, which is no member"))?;
        let does_not_fit =
            |error| format!("its certificate is not vouched for by {institution}: {error}");
        let anchor = webpki::anchor_from_trusted_cert(anchor).map_err(does_not_fit)?;
        webpki::EndEntityCert::try_from(leaf)
            .map_err(does_not_fit)?
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &[anchor],
                intermediates,
                now,
                webpki::KeyUsage::server_auth(),
                None,
                None,
            )
            .map_err(does_not_fit)?;
        Ok(identity)
    }
}

/// The one URI among a leaf's subject alternative names. Names of other kinds may stand beside it.
fn only_uri(leaf: &CertificateDer<'_>) -> Result<String, String> {
    let malformed = |_| "its certificate cannot be read".to_owned();
    let (rest, certificate) = X509Certificate::from_der(leaf).map_err(malformed)?;
    if !rest.is_empty() {
        return Err("its certificate cannot be read".to_owned());
    }
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| "its certificate has unreadable subject alternative names".to_owned())?
        .map(|names| names.value.general_names.as_slice())
        .unwrap_or_default();
    let mut uris = Vec::new();
    for name in names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            // It could be a URI that another reader would understand.
            GeneralName::Invalid(..) => {
                return Err("its certificate has an unreadable SAN".to_owned());
            }
            _ => {}
        }
    }
    match uris[..] {
        [uri] => Ok(uri.to_owned()),
        _ => Err("its certificate does not have exactly one SAN URI".to_owned()),
    }
}

fn parse_uri(uri: &str, consortium: &str) -> Option<Identity> {
    let path = uri.strip_prefix("spiffe://")?.strip_prefix(consortium)?.strip_prefix('/')?;
    let parts: Vec<&str> = path.split('/').collect();
    let ["institution", bic, role, name] = parts[..] else { return None };
    let institution = Bic::parse_canonical(bic).ok()?;
    let role = match role {
        "node" => Role::Node,
        "client" => Role::Client,
        "operator" => Role::Operator,
        "auditor" => Role::Auditor,
        _ => return None,
    };
    is_certificate_name(name).then(|| Identity { institution, role, name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_form_names_somebody() {
        let consortium = "alps.example";
        let named =
            parse_uri("spiffe://alps.example/institution/BANKCHZZXXX/node/node-1", consortium);
        assert!(named.is_some_and(|named| named.role == Role::Node && named.name == "node-1"));
        for uri in [
            "spiffe://alps.example/institution/BANKCHZZ/node/node-1",
            "spiffe://alps.example/institution/bankchzzxxx/node/node-1",
            "spiffe://alps.example.evil/institution/BANKCHZZXXX/node/node-1",
            "spiffe://alps.example/institution/BANKCHZZXXX/node/node-1/",
            "spiffe://alps.example//institution/BANKCHZZXXX/node/node-1",
            "spiffe://alps.example/institution/BANKCHZZXXX/node/",
            "spiffe://alps.example/institution/BANKCHZZXXX/root/node-1",
            "spiffe://alps.example/institution/BANKCHZZXXX/node/node-1?a=b",
            "SPIFFE://alps.example/institution/BANKCHZZXXX/node/node-1",
            "https://alps.example/institution/BANKCHZZXXX/node/node-1",
            "",
        ] {
            assert_eq!(parse_uri(uri, consortium), None, "{uri}");
        }
    }
}
