//! What stands before the chunks: which file it is, and its content key for each party.

use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::{AgreementId, Party};
use counterfoil_ledger::hash::Hash;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

use super::About;

/// What every sealed file begins with; the last byte is the version.
const MAGIC: &[u8; 8] = b"cfseal\x00\x01";

/// Domain of the HPKE contexts.
const LABEL: &[u8] = b"counterfoil sealed original\x00";

const ABOUT_LENGTH: usize = 8 + 16 + 16 + 32 + 8;
const ENCAPSULATED_LENGTH: usize = 32;
const SLOT_LENGTH: usize = ENCAPSULATED_LENGTH + 32 + 16;

/// Bytes of a header.
pub(super) const HEADER_LENGTH: usize = ABOUT_LENGTH + 2 * SLOT_LENGTH;

/// The key of one file's chunks.
pub(super) type ContentKey = Zeroizing<[u8; 32]>;

type Aead = ChaCha20Poly1305;
type Kdf = HkdfSha256;
pub(super) type Dh = X25519HkdfSha256;

/// A header, not yet believed.
pub(super) struct Header {
    pub(super) about: About,
    /// Bytes of the file.
    pub(super) length: u64,
    bytes: [u8; HEADER_LENGTH],
}

/// To whom a content key is sealed.
pub(super) struct Recipient<'a> {
    pub(super) party: Party,
    /// The public key.
    pub(super) key: &'a [u8; 32],
    /// What the ephemeral key is made of.
    pub(super) drawn: Zeroizing<[u8; 32]>,
}

/// A sealing key with which no secret can be shared.
#[derive(Debug)]
pub(super) struct Weak;

/// Gives the bytes of one ephemeral key, and no more.
struct Drawn(Zeroizing<[u8; 32]>);

impl hpke::rand_core::TryRng for Drawn {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Self::Error> {
        assert_eq!(to.len(), self.0.len(), "an ephemeral X25519 key is drawn from 32 bytes, once");
        to.copy_from_slice(self.0.as_slice());
        Ok(())
    }
}

impl hpke::rand_core::TryCryptoRng for Drawn {}

impl Header {
    /// A header with the content key sealed to both.
    pub(super) fn new(
        about: &About,
        length: u64,
        content_key: &ContentKey,
        recipients: [Recipient<'_>; 2],
    ) -> Result<Header, Weak> {
        let mut bytes = [0; HEADER_LENGTH];
        let parts: [&[u8]; 5] = [
            MAGIC,
            about.agreement.as_bytes(),
            about.account.as_bytes(),
            about.original.as_bytes(),
            &length.to_be_bytes(),
        ];
        bytes[..ABOUT_LENGTH].copy_from_slice(&parts.concat());
        for Recipient { party, key, drawn } in recipients {
            let info = info(&bytes, party);
            let key = <Dh as Kem>::PublicKey::from_bytes(key).map_err(|_| Weak)?;
            let (encapsulated, sealed) = hpke::single_shot_seal_with_rng::<Aead, Kdf, Dh>(
                &OpModeS::Base,
                &key,
                &info,
                content_key.as_slice(),
                b"",
                &mut Drawn(drawn),
            )
            .map_err(|_| Weak)?;
            let slot = &mut bytes[slot(party)];
            slot[..ENCAPSULATED_LENGTH].copy_from_slice(&encapsulated.to_bytes());
            slot[ENCAPSULATED_LENGTH..].copy_from_slice(&sealed);
        }
        Ok(Header { about: *about, length, bytes })
    }

    /// Reads one; none if it is no header of this version.
    pub(super) fn read(bytes: [u8; HEADER_LENGTH]) -> Option<Header> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let mut take = |length: usize| {
            let (part, after) = rest.split_at_checked(length)?;
            rest = after;
            Some(part)
        };
        let about = About {
            agreement: AgreementId::from_bytes(take(16)?)?,
            account: AccountId::from_bytes(take(16)?)?,
            original: Hash::from_slice(take(32)?)?,
        };
        let length = u64::from_be_bytes(take(8)?.try_into().ok()?);
        Some(Header { about, length, bytes })
    }

    /// The content key, for whom it is sealed to.
    pub(super) fn content_key(
        &self,
        party: Party,
        key: &<Dh as Kem>::PrivateKey,
    ) -> Option<ContentKey> {
        let (encapsulated, sealed) = self.bytes[slot(party)].split_at(ENCAPSULATED_LENGTH);
        let encapsulated = <Dh as Kem>::EncappedKey::from_bytes(encapsulated).ok()?;
        let info = info(&self.bytes, party);
        let opened = hpke::single_shot_open::<Aead, Kdf, Dh>(
            &OpModeR::Base,
            key,
            &encapsulated,
            &info,
            sealed,
            b"",
        );
        let opened = Zeroizing::new(opened.ok()?);
        Some(Zeroizing::new(opened.as_slice().try_into().ok()?))
    }

    /// What it is: every chunk is bound to all of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a slot is bound to: everything that stands before the slots, and whose it is.
fn info(header: &[u8; HEADER_LENGTH], party: Party) -> Vec<u8> {
    [LABEL, &header[..ABOUT_LENGTH], &[party as u8]].concat()
}

fn slot(party: Party) -> std::ops::Range<usize> {
    let start = match party {
        Party::Servicer => ABOUT_LENGTH,
        Party::Owner => ABOUT_LENGTH + SLOT_LENGTH,
    };
    start..start + SLOT_LENGTH
}
