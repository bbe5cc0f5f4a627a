//! `pki inspect`: what a certificate or key says.

use std::path::Path;

use counterfoil_ledger::signature::{PublicKey, Signer, key_id};
use pkcs8::Document;
use serde_json::json;

use super::{expiry, seconds, unix_ms};
use crate::certificate::Certificate;
use crate::error::Failure;
use crate::files;
use crate::moment;
use crate::output::{Answer, Table, hex};
use crate::private_key;

/// Shows it.
pub fn run(file: &Path) -> Result<Answer, Failure> {
    let pem = files::read_text(file)?;
    let unknown = || {
        let message = format!("{} is neither certificate nor key", file.display());
        Failure::usage("PEM_UNKNOWN", message)
            .fact("known: one CERTIFICATE, PUBLIC KEY or PRIVATE KEY (PKCS #8) in PEM")
    };
    // Only the public half of a private key is shown.
    if let Some(key) = private_key::from_pem(&pem) {
        return Ok(inspect_key("private key", private_key::signer(&key).spki()));
    }
    let (label, document) = Document::from_pem(&pem).map_err(|_| unknown())?;
    match label {
        "PUBLIC KEY" => Ok(inspect_key("public key", document.as_bytes())),
        "CERTIFICATE" => Certificate::from_der(document.as_bytes())
            .map(|certificate| inspect_certificate(&certificate))
            .map_err(|error| unknown().fact(error.to_string())),
        _ => Err(unknown()),
    }
}

fn inspect_key(kind: &str, spki: &[u8]) -> Answer {
    let algorithm = match PublicKey::from_spki(spki) {
        Ok(PublicKey::Ed25519(_)) => "Ed25519".to_owned(),
        Ok(PublicKey::P256(_)) => "P-256".to_owned(),
        Err(error) => format!("none that may be enrolled: {error}"),
    };
    let id = key_id(spki).to_string();
    Answer::new(json!({ "kind": kind, "algorithm": algorithm, "keyId": id, "spki": hex(spki) }))
        .table(Table::facts([("kind", kind.to_owned()), ("algorithm", algorithm), ("key id", id)]))
}

fn inspect_certificate(certificate: &Certificate) -> Answer {
    let identity = certificate.identity().map(|identity| identity.uri());
    let days_left =
        (certificate.not_after_s - seconds(moment::now_ms() / 1_000)).div_euclid(86_400);
    let begins = moment::utc(unix_ms(certificate.not_before_s));
    let uses = match certificate.uses.as_slice() {
        [] => "-".to_owned(),
        uses => uses.join(", "),
    };
    let json = json!({
        "kind": "certificate",
        "identity": identity,
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serial": certificate.serial,
        "notBefore": begins,
        "notAfter": expiry(certificate),
        "daysLeft": days_left,
        "authority": certificate.authority,
        "uses": certificate.uses,
        "names": certificate.names,
        "algorithm": certificate.key_algorithm,
        "fingerprint": certificate.fingerprint().to_string(),
    });
    Answer::new(json).table(Table::facts([
        ("kind", if certificate.authority { "authority" } else { "certificate" }.to_owned()),
        ("identity", identity.unwrap_or_else(|| "-".to_owned())),
        ("subject", certificate.subject.clone()),
        ("issuer", certificate.issuer.clone()),
        ("serial", certificate.serial.clone()),
        ("valid", format!("{begins} to {} ({days_left} days left)", expiry(certificate))),
        ("uses", uses),
        ("names", certificate.names.join(", ")),
        ("algorithm", certificate.key_algorithm.clone()),
        ("fingerprint", certificate.fingerprint().to_string()),
    ]))
}
