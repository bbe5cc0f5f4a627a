//! Sealed originals at the nodes of the two parties: put, read, deleted; and the statements that name
//! them. What is sent and read is sealed: see [`crate::sealed`].

use std::io::{self, Read, Seek, SeekFrom, Write};

use bytes::Bytes;
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::hash::Hash;
use counterfoil_proto::v1;
use sha2::{Digest, Sha256};

use crate::client::Client;
use crate::error::Error;
use crate::pages::Pages;
use crate::reconciliation::{listed, reconciliation};
use crate::sealed::{About, SEALED_BYTES_MAX};

/// Bytes of a part: what a node takes at once.
const PART_LENGTH: usize = 1 << 20;

/// Calls beyond those for each part once: for parts that were lost, and for beginning at another node.
const CALLS_SPARE: u64 = 16;

/// Where a sealed file is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAt {
    /// BICs of the parties of which a node keeps all of it, durably.
    pub held_by: Vec<String>,
    /// BICs of the parties that have nodes, none of which keeps it yet: they read it from the others.
    pub missing: Vec<String>,
}

/// Where a sealed file was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedAt {
    /// BICs of the parties at whose nodes it is no more.
    pub deleted_at: Vec<String>,
    /// BICs of the parties of which a node keeps it for the other party, or did not answer.
    pub kept_at: Vec<String>,
}

/// Why a sealed file was not put or read.
#[derive(Debug, thiserror::Error)]
pub enum NotMoved {
    /// A node said no, or none answered.
    #[error(transparent)]
    Call(#[from] Error),
    /// The file on this side could not be read or written.
    #[error("the sealed file: {0}")]
    Io(#[from] io::Error),
}

impl Client {
    /// The statements of a book (the owner's or the servicer's) of an account, by number. Those of the
    /// other party's book are shown where their agreement keeps originals.
    pub fn statements(
        &self,
        account: AccountId,
        source: v1::Source,
    ) -> Pages<v1::RecordedStatement> {
        let read_mode = self.read_mode.into();
        listed(
            self,
            move |page_token, page_size| v1::ListStatementsRequest {
                account: Bytes::copy_from_slice(account.as_bytes()),
                source: source.into(),
                page_size,
                page_token,
                read_mode,
            },
            |it: v1::ListStatementsResponse| (it.statements, it.next_page_token, it.as_of),
            |mut service, request| async move { service.list_statements(request).await },
        )
    }

    /// Puts a sealed file, part by part, and goes on where an earlier try stopped. When this returns at
    /// least one node of a party keeps all of it durably. `progress` is told bytes and their total.
    pub async fn put_original(
        &self,
        about: &About,
        mut sealed: impl Read + Seek,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<KeptAt, NotMoved> {
        let (length, hash) = measure(&mut sealed)?;
        let (mut offset, mut part) = (length, Bytes::new());
        let mut calls = length.div_ceil(PART_LENGTH as u64) * 2 + CALLS_SPARE;
        let mut response = loop {
            let answer = self.put_part(about, (length, hash), offset, part).await?;
            if answer.whole {
                break answer;
            }
            offset = answer.received;
            calls -= 1;
            if calls == 0 {
                return Err(Error::bad_answer("it does not come to the end of the file").into());
            }
            progress(offset, length);
            part = read_part(&mut sealed, offset)?;
        };
        progress(length, length);
        while !response.missing.is_empty() && response.passed_on > 0 && calls > 0 {
            calls -= 1;
            response = self.put_part(about, (length, hash), length, Bytes::new()).await?;
        }
        Ok(KeptAt { held_by: response.held_by, missing: response.missing })
    }

    async fn put_part(
        &self,
        about: &About,
        (sealed_length, hash): (u64, Hash),
        offset: u64,
        part: Bytes,
    ) -> Result<v1::PutOriginalResponse, Error> {
        let request = v1::PutOriginalRequest {
            name: Some(name(about)),
            sealed_length,
            sealed_hash: hash.to_bytes(),
            offset,
            part,
        };
        let read = |answer: v1::PutOriginalResponse| match answer.whole
            || answer.received < sealed_length
        {
            true => Ok(answer),
            false => Err("it has more than there is".to_owned()),
        };
        self.of_parties()
            .ask(request, read, |channel, request| async move {
                reconciliation(channel).put_original(request).await
            })
            .await
    }

    /// Reads a sealed file, part by part, and gives its length. What it is is shown by opening it.
    pub async fn get_original(
        &self,
        about: &About,
        mut sealed: impl Write,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<u64, NotMoved> {
        let mut offset = 0;
        let mut first: Option<(u64, Bytes)> = None;
        loop {
            let request = v1::GetOriginalRequest { name: Some(name(about)), offset };
            let expected = first.clone();
            let read = |answer: v1::GetOriginalResponse| {
                let found = (answer.sealed_length, answer.sealed_hash.clone());
                let left = answer.sealed_length.checked_sub(offset);
                let length = u64::try_from(answer.part.len()).unwrap_or(u64::MAX);
                if answer.sealed_length > SEALED_BYTES_MAX
                    || left.is_none_or(|left| length == 0 || length > left)
                {
                    return Err("a part that cannot be".to_owned());
                }
                match expected.as_ref().is_none_or(|expected| *expected == found) {
                    true => Ok(answer),
                    false => Err("a part of another file".to_owned()),
                }
            };
            let answer = self
                .of_parties()
                .ask(request, read, |channel, request| async move {
                    reconciliation(channel).get_original(request).await
                })
                .await?;
            sealed.write_all(&answer.part)?;
            offset += u64::try_from(answer.part.len()).unwrap_or(0);
            progress(offset, answer.sealed_length);
            if offset == answer.sealed_length {
                sealed.flush()?;
                return Ok(offset);
            }
            first = Some((answer.sealed_length, answer.sealed_hash));
        }
    }

    /// Deletes a sealed file at the own institution's nodes, and at the other party's if the own
    /// institution brought it there and no statement of their book names it.
    pub async fn delete_original(&self, about: &About) -> Result<DeletedAt, Error> {
        let request = v1::DeleteOriginalRequest { name: Some(name(about)) };
        let read = |answer: v1::DeleteOriginalResponse| {
            Ok::<_, String>(DeletedAt { deleted_at: answer.deleted_at, kept_at: answer.kept_at })
        };
        self.of_parties()
            .ask(request, read, |channel, request| async move {
                reconciliation(channel).delete_original(request).await
            })
            .await
    }

    /// Nodes of other institutions keep nothing of the two parties: their no is not the last word.
    fn of_parties(&self) -> Client {
        Client { asks_all: true, ..self.clone() }
    }
}

fn name(about: &About) -> v1::OriginalName {
    v1::OriginalName {
        agreement: Bytes::copy_from_slice(about.agreement.as_bytes()),
        account: Bytes::copy_from_slice(about.account.as_bytes()),
        original: about.original.to_bytes(),
    }
}

/// The length and the hash of a file.
fn measure(file: &mut (impl Read + Seek)) -> io::Result<(u64, Hash)> {
    file.seek(SeekFrom::Start(0))?;
    let (mut hash, mut length) = (Sha256::new(), 0);
    let mut buffer = vec![0; PART_LENGTH];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((length, Hash(hash.finalize().into()))),
            read => {
                hash.update(&buffer[..read]);
                length += u64::try_from(read).map_err(io::Error::other)?;
            }
        }
    }
}

fn read_part(file: &mut (impl Read + Seek), offset: u64) -> io::Result<Bytes> {
    file.seek(SeekFrom::Start(offset))?;
    let mut part = Vec::new();
    file.take(PART_LENGTH as u64).read_to_end(&mut part)?;
    Ok(part.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Cursor;

    use super::*;

    #[test]
    fn parts_make_up_the_file() {
        let bytes: Vec<u8> = (0..PART_LENGTH + 10).map(|place| (place % 251) as u8).collect();
        let mut file = Cursor::new(bytes.clone());
        assert_eq!(measure(&mut file).unwrap(), (bytes.len() as u64, Hash::of(&bytes)));
        let first = read_part(&mut file, 0).unwrap();
        let second = read_part(&mut file, first.len() as u64).unwrap();
        assert_eq!([first, second].concat(), bytes);
        assert!(read_part(&mut file, bytes.len() as u64).unwrap().is_empty());
    }
}
