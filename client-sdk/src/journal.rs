//! The journal: the bytes of every instruction whose fate is not certain yet, on disk before they
//! are sent, so that a program that dies can send the same bytes again.
//!
//! `<directory>/<chain id>/<BIC>/<instruction id>.signed` holds the bytes of a SignedInstruction and
//! nothing else. A file appears whole or not at all. It is removed after a certain answer.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::id::InstructionId;

use crate::error::Error;
use crate::instructions::Signed;
use crate::random;

const EXTENSION: &str = "signed";

/// The journal of one institution on one chain.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    directory: Arc<Path>,
}

impl Journal {
    /// Opens it, and makes its directories where they are missing.
    pub(crate) fn open(root: &Path, chain_id: &Hash, institution: &Bic) -> Result<Journal, Error> {
        let chain = root.join(chain_id.to_string());
        let directory = chain.join(institution.as_str());
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .and_then(|()| [root, &chain, &directory].into_iter().try_for_each(sync_directory));
        made.map_err(|error| failed(&directory, &error))?;
        Ok(Journal { directory: directory.into() })
    }

    /// Keeps the bytes: durable when this returns. The same bytes may be kept again; other bytes
    /// under the same id are refused.
    pub(crate) fn keep(&self, signed: &Signed) -> Result<(), Error> {
        let path = self.path(&signed.id);
        match fs::read(&path) {
            // Whoever wrote it may not have come as far as making its name durable.
            Ok(kept) if kept == signed.bytes => {
                return sync_directory(&self.directory).map_err(|error| failed(&path, &error));
            }
            Ok(_) => {
                let problem = "holds other bytes under the same id; make a new id".to_owned();
                return Err(Error::Journal { path, problem });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&path, &error)),
        }
        let unfinished =
            path.with_extension(format!("{:016x}", u64::from_be_bytes(random::bytes())));
        // Best effort: what is left behind unfinished is no instruction's file and is never sent.
        let clear = || fs::remove_file(&unfinished);
        if let Err(error) = write_new(&unfinished, &signed.bytes) {
            let _ = clear();
            return Err(failed(&path, &error));
        }
        let named = fs::rename(&unfinished, &path).and_then(|()| sync_directory(&self.directory));
        named.map_err(|error| {
            let _ = clear();
            match self.withdraw(&signed.id) {
                Ok(()) => failed(&path, &error),
                Err(kept) => Error::Unknown {
                    id: signed.id,
                    cause: format!("{error}; it was not sent, but resuming may send it: {kept}"),
                },
            }
        })
    }

    /// Forgets the bytes of an instruction that the ledger has decided. A file that cannot be
    /// removed, or that comes back after a power cut, is harmless: resuming it learns the same
    /// decision again.
    pub(crate) fn forget(&self, id: &InstructionId) {
        let _ = fs::remove_file(self.path(id));
    }

    /// Takes back the bytes of an instruction that was not taken: durable when this returns. Its
    /// owner will make a new one, and if this one came back both might be executed.
    pub(crate) fn withdraw(&self, id: &InstructionId) -> Result<(), Error> {
        let path = self.path(id);
        let removed = match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        removed
            .and_then(|()| sync_directory(&self.directory))
            .map_err(|error| failed(&path, &error))
    }

    /// What is kept, oldest id first.
    pub(crate) fn kept(&self) -> Result<Vec<Signed>, Error> {
        let listed = fs::read_dir(&self.directory).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()
        });
        let mut paths = listed.map_err(|error| failed(&self.directory, &error))?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
        paths.sort_unstable();
        let mut kept = Vec::with_capacity(paths.len());
        for path in paths {
            match fs::read(&path) {
                Ok(bytes) => kept.push(self.signed(&path, bytes)?),
                // Another process of this institution has just learnt its fate.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&path, &error)),
            }
        }
        Ok(kept)
    }

    fn signed(&self, path: &Path, bytes: Vec<u8>) -> Result<Signed, Error> {
        let damaged = |problem: &str| Error::Journal {
            path: path.to_owned(),
            problem: format!("{problem}; it is left in place: find out what became of this id"),
        };
        let signed = Signed::from_bytes(bytes.into())
            .map_err(|_| damaged("does not hold an instruction"))?;
        if self.path(&signed.id) != path {
            return Err(damaged("holds another instruction than its name says"));
        }
        Ok(signed)
    }

    fn path(&self, id: &InstructionId) -> PathBuf {
        self.directory.join(format!("{id}.{EXTENSION}"))
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::Journal { path: path.to_owned(), problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use counterfoil_ledger::account::AccountId;
    use counterfoil_ledger::signature::SoftwareSigner;
    use prost::Message;

    use super::*;
    use crate::instructions::{self, Order};

    fn signed(id: InstructionId, amount: u64) -> Signed {
        let bic = Bic::parse("BANKCHZZ").unwrap();
        let account = |name| AccountId::of(&bic, &bic, "CHF", name);
        let transfer = instructions::transfer(account("a"), account("b"), amount);
        let signer = SoftwareSigner::from_ed25519_seed(&[7; 32]);
        let draft = Order::transfer(transfer).with_id(id).draft(&bic);
        let message = draft.sign(&signer, &Hash::of(b"chain")).unwrap();
        Signed::from_bytes(message.encode_to_vec().into()).unwrap()
    }

    fn journal(root: &Path) -> Journal {
        Journal::open(root, &Hash::of(b"chain"), &Bic::parse("BANKCHZZ").unwrap()).unwrap()
    }

    #[test]
    fn keeps_until_told_to_forget() {
        let root = tempfile::tempdir().unwrap();
        let (first, second) =
            (signed(instructions::new_id(), 1), signed(instructions::new_id(), 2));
        let kept = journal(root.path());
        kept.keep(&first).unwrap();
        kept.keep(&first).unwrap();
        kept.keep(&second).unwrap();

        let reopened = journal(root.path());
        let bytes: Vec<_> = reopened.kept().unwrap().into_iter().map(|kept| kept.bytes).collect();
        assert_eq!(bytes.len(), 2);
        assert!(bytes.contains(&first.bytes) && bytes.contains(&second.bytes));
        reopened.forget(&first.id);
        reopened.forget(&first.id);
        assert_eq!(reopened.kept().unwrap().len(), 1);
        reopened.withdraw(&second.id).unwrap();
        reopened.withdraw(&second.id).unwrap();
        assert!(reopened.kept().unwrap().is_empty());
    }

    #[test]
    fn one_id_keeps_one_content() {
        let root = tempfile::tempdir().unwrap();
        let id = instructions::new_id();
        let kept = journal(root.path());
        kept.keep(&signed(id, 1)).unwrap();
        assert!(matches!(kept.keep(&signed(id, 2)), Err(Error::Journal { .. })));
        assert_eq!(kept.kept().unwrap().len(), 1);
    }

    #[test]
    fn unfinished_files_are_ignored_and_damaged_ones_named() {
        let root = tempfile::tempdir().unwrap();
        let kept = journal(root.path());
        let instruction = signed(instructions::new_id(), 1);
        let path = kept.path(&instruction.id);
        fs::write(path.with_extension("0123456789abcdef"), b"half").unwrap();
        assert!(kept.kept().unwrap().is_empty());
        fs::write(&path, &instruction.bytes[..20]).unwrap();
        assert!(matches!(kept.kept(), Err(Error::Journal { path: named, .. }) if named == path));
        fs::rename(&path, kept.path(&instructions::new_id())).unwrap();
        assert!(kept.kept().is_err());
    }

    #[test]
    fn a_directory_that_is_gone_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let kept = journal(root.path());
        fs::remove_dir(&kept.directory).unwrap();
        let refused = kept.keep(&signed(instructions::new_id(), 1));
        assert!(matches!(refused, Err(Error::Journal { .. })));
        assert!(kept.kept().is_err());
    }

    #[test]
    fn chains_and_institutions_do_not_mix() {
        let root = tempfile::tempdir().unwrap();
        journal(root.path()).keep(&signed(instructions::new_id(), 1)).unwrap();
        let other =
            Journal::open(root.path(), &Hash::of(b"other"), &Bic::parse("BANKCHZZ").unwrap());
        assert!(other.unwrap().kept().unwrap().is_empty());
    }
}
