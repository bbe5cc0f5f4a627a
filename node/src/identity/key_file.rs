//! Files with private keys: read only if nobody but their owner can.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::bounded_file;
use crate::limits;

/// Why a file with a private key is not used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot read the key file {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Others than its owner can read or write it.
    #[error("the key file {path} has mode {mode:04o}; others can open it. Run: chmod 600 {path}")]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not text, and so not PEM.
    #[error("the key file {path} is not PEM")]
    NotPem {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a PEM file that must be its owner's alone. The text is wiped from memory when dropped.
pub fn read_private_pem(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let io = |error| KeyFileError::Io { path: path.to_owned(), error };
    let file = File::open(path).map_err(io)?;
    // Asked of the open file: the path could point elsewhere by now.
    let mode = file.metadata().map_err(io)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Permissions { path: path.to_owned(), mode });
    }
    // Of its full size from the start: growing would leave copies behind.
    let size = usize::try_from(limits::KEY_FILE_BYTES_MAX).expect("a few KiB");
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    bounded_file::read_into(file, limits::KEY_FILE_BYTES_MAX, &mut bytes).map_err(io)?;
    let text = std::str::from_utf8(&bytes);
    text.map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| KeyFileError::NotPem { path: path.to_owned() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn refuses_what_others_can_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.key");
        fs::write(&path, "secret").unwrap();
        for mode in [0o644, 0o640, 0o604, 0o660, 0o620, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = read_private_pem(&path).unwrap_err();
            assert!(error.to_string().contains(&format!("mode {mode:04o}")), "{error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_private_pem(&path).unwrap().as_str(), "secret");
        }
    }

    #[test]
    fn refuses_what_is_no_key_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.key");
        assert!(matches!(read_private_pem(&path), Err(KeyFileError::Io { .. })));
        let write = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        };
        write(&[0xff; 10]);
        assert!(matches!(read_private_pem(&path), Err(KeyFileError::NotPem { .. })));
        write(&vec![b'a'; usize::try_from(limits::KEY_FILE_BYTES_MAX).unwrap() + 1]);
        assert!(
            read_private_pem(&path).unwrap_err().to_string().contains("larger than 16384 bytes")
        );
    }
}
