//! The record of an import: everything that it signs, on disk before anything is sent. An import
//! that was interrupted goes on with the same bytes, and books nothing twice; one that was finished
//! is not begun again.
//!
//! `imports/<chain id>/<BIC>/<key>/` holds one file an instruction, in order, and `done` alone when
//! all of them are decided. A directory appears whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use counterfoil_client::instructions::Signed;

use crate::error::Failure;
use crate::exit::Exit;
use crate::files::{self, Readers};

const DONE: &str = "done";
const EXTENSION: &str = "signed";

/// Largest file in a record: an instruction.
const INSTRUCTION_MAX: u64 = 4 * 1024 * 1024;

/// One import's directory.
pub struct ImportRecord {
    directory: PathBuf,
}

/// How far an import came in an earlier run.
pub enum Progress {
    /// It was not begun.
    New,
    /// It was begun with these bytes.
    Begun(Vec<Signed>),
    /// Everything was decided.
    Done,
}

impl ImportRecord {
    /// The record with a key, below `imports`.
    pub fn new(imports: &Path, chain: &str, institution: &str, key: &str) -> ImportRecord {
        ImportRecord { directory: imports.join(chain).join(institution).join(key) }
    }

    /// What an earlier run left.
    pub fn progress(&self) -> Result<Progress, Failure> {
        if self.directory.join(DONE).exists() {
            return Ok(Progress::Done);
        }
        if !self.directory.exists() {
            return Ok(Progress::New);
        }
        let mut paths = self.paths().map_err(|error| self.cannot("read", &error))?;
        paths.sort_unstable();
        let signed = paths.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
        Ok(Progress::Begun(signed))
    }

    /// Keeps what will be sent: durable when this returns.
    pub fn begin(&self, signed: &[Signed]) -> Result<(), Failure> {
        let unfinished = self.directory.with_extension(format!("{}", std::process::id()));
        let parent = self.directory.parent().unwrap_or(Path::new("."));
        files::create_directory(parent)?;
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.cannot("write", &error));
            }
            _ => files::create_directory(&unfinished)?,
        }
        for (number, one) in signed.iter().enumerate() {
            let path = unfinished.join(file_name(number));
            files::create(&path, one.bytes(), Readers::Owner)?;
        }
        sync(&unfinished)
            .and_then(|()| fs::rename(&unfinished, &self.directory))
            .and_then(|()| sync(parent))
            .map_err(|error| self.cannot("write", &error))
    }

    /// Puts other bytes in the place of an instruction that was not taken and cannot be any more.
    pub fn replace(&self, number: usize, signed: &Signed) -> Result<(), Failure> {
        let path = self.directory.join(file_name(number));
        let new = path.with_extension("new");
        // What an interrupted run left there was never sent.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.cannot("write", &error));
            }
            _ => files::create(&new, signed.bytes(), Readers::Owner)?,
        }
        fs::rename(&new, &path)
            .and_then(|()| sync(&self.directory))
            .map_err(|error| self.cannot("write", &error))
    }

    /// Everything was decided.
    pub fn finish(&self) -> Result<(), Failure> {
        files::create(&self.directory.join(DONE), b"", Readers::Owner)?;
        sync(&self.directory).map_err(|error| self.cannot("write", &error))?;
        // What stays behind is harmless: `done` counts.
        for path in self.paths().unwrap_or_default() {
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    /// Nothing of it was taken, and nothing of it will be sent.
    pub fn forget(&self) {
        let _ = fs::remove_dir_all(&self.directory);
    }

    fn paths(&self) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(&self.directory)?;
        let paths: Vec<PathBuf> =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
        let signed = |path: &PathBuf| path.extension().is_some_and(|text| text == EXTENSION);
        Ok(paths.into_iter().filter(signed).collect())
    }

    fn cannot(&self, verb: &str, error: &io::Error) -> Failure {
        files::cannot(verb, &self.directory, error)
    }
}

fn file_name(number: usize) -> String {
    format!("{number:06}.{EXTENSION}")
}

fn read(path: &Path) -> Result<Signed, Failure> {
    Signed::from_bytes(Bytes::from(files::read(path, INSTRUCTION_MAX)?)).map_err(|error| {
        let message = format!("{} does not hold an instruction", path.display());
        Failure::new(Exit::Unexpected, "IMPORT_DAMAGED", message)
            .fact(error.to_string())
            .fix("find out what of this import is on the ledger, then remove the directory")
    })
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use counterfoil_client::{Order, instructions};
    use counterfoil_ledger::account::AccountId;
    use counterfoil_ledger::bic::Bic;
    use counterfoil_ledger::hash::Hash;
    use counterfoil_ledger::signature::SoftwareSigner;
    use prost::Message;

    use super::*;

    fn signed(amount: u64) -> Signed {
        let bic = Bic::parse("BANKCHZZ").unwrap();
        let account = |name| AccountId::of(&bic, &bic, "CHF", name);
        let order = Order::transfer(instructions::transfer(account("a"), account("b"), amount));
        let signer = SoftwareSigner::from_ed25519_seed(&[7; 32]);
        let message = order.draft(&bic).sign(&signer, &Hash::of(b"chain")).unwrap();
        Signed::from_bytes(message.encode_to_vec().into()).unwrap()
    }

    #[test]
    fn goes_on_with_the_same_bytes_until_it_is_done() {
        let home = tempfile::tempdir().unwrap();
        let record = || ImportRecord::new(home.path(), "chain", "BANKCHZZXXX", "key");
        assert!(matches!(record().progress().unwrap(), Progress::New));
        let plan = [signed(1), signed(2)];
        record().begin(&plan).unwrap();
        let Progress::Begun(kept) = record().progress().unwrap() else { panic!("it was begun") };
        let bytes = |signed: &[Signed]| -> Vec<Bytes> {
            signed.iter().map(|one| one.bytes().clone()).collect()
        };
        assert_eq!(bytes(&kept), bytes(&plan));
        let other = signed(3);
        record().replace(1, &other).unwrap();
        let Progress::Begun(kept) = record().progress().unwrap() else { panic!("it was begun") };
        assert_eq!(kept[1].bytes(), other.bytes());
        record().finish().unwrap();
        assert!(matches!(record().progress().unwrap(), Progress::Done));
    }
}
