//! `pki key`: a pair of keys that signs instructions, or what a node produces.

use std::path::{Path, PathBuf};

use counterfoil_ledger::signature::Signer;
use pkcs8::{Document, LineEnding, SecretDocument};
use serde_json::json;

use crate::error::Failure;
use crate::files::{self, Readers};
use crate::output::{Answer, Table};
use crate::private_key::{self, Algorithm};

/// Makes both halves.
pub fn run(out: &Path, algorithm: Algorithm) -> Result<Answer, Failure> {
    let public_file = public_file(out);
    files::refuse_existing(&[out, &public_file])?;
    let key = private_key::generate(algorithm)?;
    let signer = private_key::signer(&key);
    write(out, &public_file, &key, signer.spki())?;
    let id = signer.key_id().to_string();
    Ok(Answer::new(json!({ "key": out, "publicKey": public_file, "keyId": id })).table(
        Table::facts([
            ("private key", out.display().to_string()),
            ("public key", public_file.display().to_string()),
            ("key id", id),
        ]),
    ))
}

/// Writes both halves: the private one for its owner alone.
pub(super) fn write(
    out: &Path,
    public_file: &Path,
    key: &SecretDocument,
    spki: &[u8],
) -> Result<(), Failure> {
    let public = Document::try_from(spki)
        .and_then(|document| document.to_pem("PUBLIC KEY", LineEnding::LF))
        .expect("a SubjectPublicKeyInfo is DER");
    if let Some(directory) = out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        files::create_directory(directory)?;
    }
    files::create(out, private_key::pem(key).as_bytes(), Readers::Owner)?;
    files::create(public_file, public.as_bytes(), Readers::All)
}

/// `signing.key.pem` and `signing.pem` both give `signing.pub.pem`.
pub(super) fn public_file(private: &Path) -> PathBuf {
    let name = private.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(".key.pem").or_else(|| name.strip_suffix(".pem"));
    private.with_file_name(format!("{}.pub.pem", stem.unwrap_or(&name)))
}

#[cfg(test)]
mod tests {
    use counterfoil_ledger::signature::SoftwareSigner;

    use super::*;
    use crate::commands::pki::inspect;

    #[test]
    fn signing_keys_come_in_pairs() {
        let directory = tempfile::tempdir().unwrap();
        for algorithm in [Algorithm::P256, Algorithm::Ed25519] {
            let file = directory.path().join(format!("{algorithm:?}.key.pem"));
            run(&file, algorithm).unwrap();
            let private = SoftwareSigner::from_pkcs8_pem(&files::read_private_key(&file).unwrap());
            let public = files::read_text(&public_file(&file)).unwrap();
            let (label, document) = Document::from_pem(&public).unwrap();
            assert_eq!(label, "PUBLIC KEY");
            assert_eq!(document.as_bytes(), private.unwrap().spki());
            assert_eq!(run(&file, algorithm).unwrap_err().code, "FILE_EXISTS");
            inspect::run(&file).unwrap();
            inspect::run(&public_file(&file)).unwrap();
        }
        assert_eq!(public_file(Path::new("a/b")), Path::new("a/b.pub.pem"));
    }
}
