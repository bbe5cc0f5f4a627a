//! Signing keys of an institution, behind [`Signer`].

use std::path::Path;
use std::sync::Arc;

pub use counterfoil_ledger::signature::{Signer, SignerError, SoftwareSigner};

use crate::error::Error;
use crate::private_file;

/// Loads a signing key from a PKCS #8 file in PEM (Ed25519 or P-256), which nobody but its owner
/// may access.
pub fn from_file(path: impl AsRef<Path>) -> Result<Arc<dyn Signer>, Error> {
    let path = path.as_ref();
    let problem = |problem: String| Error::file(path, problem);
    let pem = private_file::read(path).map_err(|error| problem(error.to_string()))?;
    let pem = String::from_utf8(pem).map_err(|_| problem("not a PEM file".to_owned()))?;
    let signer =
        SoftwareSigner::from_pkcs8_pem(&pem).map_err(|error| problem(error.to_string()))?;
    Ok(Arc::new(signer))
}
