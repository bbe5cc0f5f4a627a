//! A ledger in a file: the genesis file and every block, as a node stores them.
//!
//! The 22 bytes `counterfoil ledger 1\n` with a zero byte behind, then records: kind u8 · length
//! u32, big-endian · payload. Kind 1, first and once: the genesis file. Kind 2: one
//! `counterfoil.v1.ExportBlocksResponse`, from height 1 on without a gap. Kind 3, last and once: how
//! many blocks there are, u64 · SHA-256 of every byte of the file before this record. A file without
//! its end is no ledger, however well it begins.

use std::io::{self, Read, Write};

use bytes::Bytes;
use counterfoil_proto::v1;
use prost::Message;
use sha2::{Digest, Sha256};

/// What a file begins with.
const MAGIC: &[u8; 22] = b"counterfoil ledger 1\n\0";

/// Largest payload: more than any block that a node builds.
const PAYLOAD_MAX: u32 = 256 * 1024 * 1024;

/// Whether bytes begin as a ledger's file does.
pub fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Kinds of records.
#[repr(u8)]
enum Kind {
    Genesis = 1,
    Block = 2,
    End = 3,
}

/// Why a file is not a ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFileError {
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its bytes are not those that were written.
    #[error("{0}")]
    Broken(&'static str),
}

/// Writes a ledger, block by block.
pub struct LedgerWriter<W> {
    out: W,
    hasher: Sha256,
    block_count: u64,
}

impl<W: Write> LedgerWriter<W> {
    /// Begins with the genesis file.
    pub fn new(out: W, genesis: &[u8]) -> Result<LedgerWriter<W>, LedgerFileError> {
        let mut writer = LedgerWriter { out, hasher: Sha256::new(), block_count: 0 };
        writer.write(MAGIC)?;
        writer.record(Kind::Genesis, genesis)?;
        Ok(writer)
    }

    /// Adds the next block.
    pub fn block(&mut self, block: &v1::ExportBlocksResponse) -> Result<(), LedgerFileError> {
        self.record(Kind::Block, &block.encode_to_vec())?;
        self.block_count += 1;
        Ok(())
    }

    /// Ends the file and returns what it was written to.
    pub fn finish(mut self) -> Result<W, LedgerFileError> {
        let digest = self.hasher.clone().finalize();
        let payload = [&self.block_count.to_be_bytes()[..], &digest].concat();
        self.record(Kind::End, &payload)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn record(&mut self, kind: Kind, payload: &[u8]) -> Result<(), LedgerFileError> {
        let length = u32::try_from(payload.len()).ok().filter(|length| *length <= PAYLOAD_MAX);
        let length = length.ok_or(LedgerFileError::Broken("a block is larger than a record"))?;
        self.write(&[kind as u8])?;
        self.write(&length.to_be_bytes())?;
        self.write(payload)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LedgerFileError> {
        self.hasher.update(bytes);
        Ok(self.out.write_all(bytes)?)
    }
}

/// Reads a ledger, block by block.
pub struct LedgerReader<R> {
    input: R,
    hasher: Sha256,
    genesis: Bytes,
    block_count: u64,
}

impl<R: Read> LedgerReader<R> {
    /// Reads as far as the genesis file.
    pub fn new(input: R) -> Result<LedgerReader<R>, LedgerFileError> {
        let hasher = Sha256::new();
        let mut reader = LedgerReader { input, hasher, genesis: Bytes::new(), block_count: 0 };
        let mut magic = [0; MAGIC.len()];
        reader.fill(&mut magic)?;
        if magic != *MAGIC {
            return Err(LedgerFileError::Broken("the file is not an exported ledger"));
        }
        match reader.record()? {
            (kind, payload) if kind == Kind::Genesis as u8 => reader.genesis = payload,
            _ => {
                return Err(LedgerFileError::Broken("the file does not begin with a genesis file"));
            }
        }
        Ok(reader)
    }

    /// The genesis file that it holds; nothing says yet that it is the right one.
    pub fn genesis(&self) -> &Bytes {
        &self.genesis
    }

    /// The next block; none when the file has ended as it must.
    pub fn block(&mut self) -> Result<Option<v1::ExportBlocksResponse>, LedgerFileError> {
        let before: [u8; 32] = self.hasher.clone().finalize().into();
        let (kind, payload) = self.record()?;
        if kind == Kind::Block as u8 {
            self.block_count += 1;
            return match v1::ExportBlocksResponse::decode(payload) {
                Ok(block) => Ok(Some(block)),
                Err(_) => Err(LedgerFileError::Broken("a block does not decode")),
            };
        }
        if kind != Kind::End as u8 {
            return Err(LedgerFileError::Broken("a record is of no known kind"));
        }
        let expected = [&self.block_count.to_be_bytes()[..], &before].concat();
        if payload != expected {
            return Err(LedgerFileError::Broken(
                "the digest at the end is not that of the bytes before it: the file was changed",
            ));
        }
        match self.input.read(&mut [0])? {
            0 => Ok(None),
            _ => Err(LedgerFileError::Broken("something follows the end")),
        }
    }

    fn record(&mut self) -> Result<(u8, Bytes), LedgerFileError> {
        let mut head = [0; 5];
        self.fill(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length);
        if length > PAYLOAD_MAX {
            return Err(LedgerFileError::Broken("a record is longer than any block"));
        }
        // Not allocated from the length alone: a broken file may claim what it does not have.
        let mut payload = Vec::new();
        let read = (&mut self.input).take(u64::from(length)).read_to_end(&mut payload)?;
        if u32::try_from(read) != Ok(length) {
            return Err(LedgerFileError::Broken("the file is cut off"));
        }
        self.hasher.update(&payload);
        Ok((kind, payload.into()))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), LedgerFileError> {
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => LedgerFileError::Broken("the file is cut off"),
            _ => LedgerFileError::Io(error),
        })?;
        self.hasher.update(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let mut writer = LedgerWriter::new(Vec::new(), b"genesis").unwrap();
        for height in 1..=3u8 {
            let header = Bytes::from(vec![height; 296]);
            let block = v1::ExportBlocksResponse { header, ..v1::ExportBlocksResponse::default() };
            writer.block(&block).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<u64, LedgerFileError> {
        let mut reader = LedgerReader::new(bytes)?;
        assert_eq!(reader.genesis(), "genesis");
        while reader.block()?.is_some() {}
        Ok(reader.block_count)
    }

    #[test]
    fn reads_what_was_written() {
        assert_eq!(read(&file()).unwrap(), 3);
    }

    #[test]
    fn every_cut_and_every_addition_is_found() {
        let file = file();
        for length in 0..file.len() {
            assert!(LedgerReader::new(&file[..length]).is_err() || read(&file[..length]).is_err());
        }
        assert!(read(&[&file[..], b"x"].concat()).is_err());
    }

    #[test]
    fn every_changed_byte_is_found() {
        let file = file();
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            let found = match LedgerReader::new(&changed[..]) {
                Err(_) => true,
                Ok(mut reader) => loop {
                    match reader.block() {
                        Err(_) => break true,
                        Ok(None) => break false,
                        Ok(Some(_)) => {}
                    }
                },
            };
            assert!(found, "byte {at}");
        }
    }
}
