//! `pki sealing-key`: the key to which originals of statements are sealed.

use std::path::Path;

use counterfoil_client::sealed::SealingKey;
use pkcs8::SecretDocument;
use serde_json::json;

use super::key::{public_file, write};
use crate::commands::recon::sealing_key;
use crate::error::Failure;
use crate::files;
use crate::output::{Answer, Table};

/// Makes both halves.
pub fn run(out: &Path) -> Result<Answer, Failure> {
    let public_file = public_file(out);
    files::refuse_existing(&[out, &public_file])?;
    let key = SealingKey::generate();
    let der = key.pkcs8_der();
    let document = SecretDocument::try_from(der.as_slice()).expect("a PKCS #8 key is DER");
    write(out, &public_file, &document, &key.spki_der())?;
    let text = sealing_key(&key.public());
    Ok(Answer::new(json!({ "key": out, "publicKey": public_file, "sealingKey": text })).table(
        Table::facts([
            ("private key", out.display().to_string()),
            ("public key", public_file.display().to_string()),
            ("sealing key", text),
        ]),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealing_keys_come_in_pairs() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sealing.key.pem");
        run(&file).unwrap();
        let private = SealingKey::from_file(&file).unwrap();
        let public = files::read_text(&directory.path().join("sealing.pub.pem")).unwrap();
        let (label, document) = pkcs8::Document::from_pem(&public).unwrap();
        assert_eq!((label, document.as_bytes()), ("PUBLIC KEY", &private.spki_der()[..]));
        assert_eq!(run(&file).unwrap_err().code, "FILE_EXISTS");
    }
}
