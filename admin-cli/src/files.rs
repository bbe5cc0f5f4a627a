//! Reading and writing files: bounded, never over what is there, private keys for their owner alone.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::error::Failure;
use crate::exit::Exit;

/// Largest certificate, key, specification, context or genesis file in bytes.
pub const SMALL_FILE_MAX: u64 = 16 * 1024 * 1024;

/// Who may read a file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Everyone: 0644.
    All,
    /// Its owner: 0600.
    Owner,
}

/// Reads a file of at most `size_max` bytes.
pub fn read(path: &Path, size_max: u64) -> Result<Vec<u8>, Failure> {
    let file = fs::File::open(path).map_err(|error| cannot("read", path, &error))?;
    bounded(file, path, size_max)
}

fn bounded(input: impl Read, path: &Path, size_max: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = input.take(size_max + 1).read_to_end(&mut bytes);
    read.map_err(|error| cannot("read", path, &error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= size_max) {
        return Ok(bytes);
    }
    Err(Failure::usage("FILE_TOO_LARGE", format!("{} is too large", path.display()))
        .fact(format!("at most {size_max} bytes are read")))
}

/// Reads a file of at most `size_max` bytes, or stdin where the path is `-`.
pub fn read_or_stdin(path: &Path, size_max: u64) -> Result<Vec<u8>, Failure> {
    if path != Path::new("-") {
        return read(path, size_max);
    }
    bounded(std::io::stdin().lock(), path, size_max)
}

/// Reads a small text file.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(path, SMALL_FILE_MAX)?).map_err(|_| {
        Failure::usage("FILE_NOT_TEXT", format!("{} is not UTF-8 text", path.display()))
    })
}

/// Reads a private key in PEM, which nobody but its owner may be able to read.
pub fn read_private_key(path: &Path) -> Result<String, Failure> {
    let mode =
        fs::metadata(path).map_err(|error| cannot("read", path, &error))?.permissions().mode();
    if mode & 0o077 != 0 {
        let message = format!("others than its owner can read the private key {}", path.display());
        return Err(Failure::new(Exit::Permission, "KEY_EXPOSED", message)
            .fact(format!("mode {:04o}", mode & 0o7777))
            .fix(format!("chmod 600 {}", path.display())));
    }
    read_text(path)
}

/// Writes a new file and waits until it is on disk.
pub fn create(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), Failure> {
    let mode = if readers == Readers::Owner { 0o600 } else { 0o644 };
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| cannot("create", path, &error))
}

/// Fails if one of several files is there, before any of them is written.
pub fn refuse_existing(paths: &[&Path]) -> Result<(), Failure> {
    match paths.iter().find(|path| path.exists()) {
        Some(path) => Err(exists(path)),
        None => Ok(()),
    }
}

/// Makes a directory with its parents.
pub fn create_directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| cannot("create", path, &error))
}

fn exists(path: &Path) -> Failure {
    Failure::new(Exit::Conflict, "FILE_EXISTS", format!("{} exists", path.display()))
        .fix("choose another place, or move the file away")
}

/// What a failed operation on a file tells the user.
pub fn cannot(verb: &str, path: &Path, error: &std::io::Error) -> Failure {
    let (exit, code) = match error.kind() {
        std::io::ErrorKind::AlreadyExists => return exists(path),
        std::io::ErrorKind::NotFound => (Exit::NotFound, "FILE_NOT_FOUND"),
        std::io::ErrorKind::PermissionDenied => (Exit::Permission, "FILE_NOT_PERMITTED"),
        _ => (Exit::Unexpected, "FILE_FAILED"),
    };
    Failure::new(exit, code, format!("cannot {verb} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten_and_keys_stay_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        create(&path, b"secret", Readers::Owner).unwrap();
        assert_eq!(read_private_key(&path).unwrap(), "secret");
        assert_eq!(create(&path, b"other", Readers::All).unwrap_err().code, "FILE_EXISTS");
        assert_eq!(refuse_existing(&[&path]).unwrap_err().exit, Exit::Conflict);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(read_private_key(&path).unwrap_err().code, "KEY_EXPOSED");
        assert_eq!(read(&path, 5).unwrap_err().code, "FILE_TOO_LARGE");
        assert_eq!(read(&directory.path().join("none"), 5).unwrap_err().exit, Exit::NotFound);
    }
}
