//! Reading and writing files: bounded, over what is there only when told so, private keys for their owner
//! alone.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

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
    let file = File::open(path).map_err(|error| cannot("read", path, &error))?;
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

/// A file that appears when it is whole. Until then it stands aside, under the same name with
/// `.partial` behind it; if it is never finished it goes away.
#[derive(Debug)]
pub struct Aside {
    out: PathBuf,
    partial: PathBuf,
    file: File,
    finished: bool,
}

impl Aside {
    /// Begins a file, in the place of what an interrupted run may have left.
    pub fn begin(out: &Path, readers: Readers) -> Result<Aside, Failure> {
        let mut partial = out.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let mode = if readers == Readers::Owner { 0o600 } else { 0o644 };
        let mut options = OpenOptions::new();
        let opened = options.write(true).create(true).truncate(false).mode(mode).open(&partial);
        let file = opened.map_err(|error| cannot("create", &partial, &error))?;
        if file.try_lock().is_err() {
            let message = format!("another program is writing {}", out.display());
            return Err(Failure::new(Exit::Conflict, "FILE_BUSY", message)
                .fix("wait until it is done, or choose another place"));
        }
        file.set_len(0).map_err(|error| cannot("write", &partial, &error))?;
        Ok(Aside { out: out.to_owned(), partial, file, finished: false })
    }

    /// Where to write.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// What a failed write tells the user.
    pub fn failed(&self, error: &std::io::Error) -> Failure {
        cannot("write", &self.partial, error)
    }

    /// Puts the file in its place once it is on disk; its length in bytes. A reader of the place
    /// sees what was there before, or all of this.
    pub fn finish(mut self) -> Result<u64, Failure> {
        let finished = self.file.sync_all().and_then(|()| {
            let size = self.file.metadata()?.len();
            fs::rename(&self.partial, &self.out)?;
            self.finished = true;
            // The name is on disk when its directory is.
            let directory = self.out.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(size)
        });
        finished.map_err(|error| cannot("write", &self.out, &error))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.finished {
            // A part of a file is of no use, and the next run writes over it.
            let _ = fs::remove_file(&self.partial);
        }
    }
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

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("statement.xml");
        let partial = directory.path().join("statement.xml.partial");
        fs::write(&out, "before").unwrap();
        fs::write(&partial, "what a run that was killed has left").unwrap();
        let aside = Aside::begin(&out, Readers::Owner).unwrap();
        assert_eq!(Aside::begin(&out, Readers::Owner).unwrap_err().code, "FILE_BUSY");
        aside.file().write_all(b"half").unwrap();
        assert_eq!(fs::read(&out).unwrap(), b"before");
        drop(aside);
        assert!(!partial.exists());
        let aside = Aside::begin(&out, Readers::Owner).unwrap();
        aside.file().write_all(b"whole").unwrap();
        assert_eq!(aside.finish().unwrap(), 5);
        assert_eq!((fs::read(&out).unwrap(), partial.exists()), (b"whole".to_vec(), false));
    }
}
