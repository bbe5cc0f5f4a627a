//! Files that hold private keys: read only if nobody else can read them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Largest key file in bytes.
const PRIVATE_FILE_MAX: u64 = 64 * 1024;

/// Reads a key file that is accessible to its owner alone.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    // Asked of the open file, not of the path: what is checked is what is read.
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        let path = path.display();
        return Err(io::Error::other(format!(
            "others may access this private key (mode {mode:04o}); run: chmod 600 {path}"
        )));
    }
    let mut bytes = Vec::new();
    file.take(PRIVATE_FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PRIVATE_FILE_MAX {
        return Err(io::Error::other("larger than any private key"));
    }
    Ok(bytes)
}
