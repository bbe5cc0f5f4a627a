//! Sealed files: their bytes, and what is not opened.

#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::terms::SealingKeys;
use counterfoil_ledger::agreement::{AgreementId, Party};
use counterfoil_ledger::hash::Hash;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::seal::{Drawn, seal_with};
use super::*;

static SERVICER: LazyLock<SealingKey> = LazyLock::new(|| key(1));
static OWNER: LazyLock<SealingKey> = LazyLock::new(|| key(2));

fn key(number: u8) -> SealingKey {
    let der = [&[48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 110, 4, 34, 4, 32][..], &[number; 32]];
    let pem = rustls_pem("PRIVATE KEY", &der.concat());
    SealingKey::from_pem(pem.as_bytes()).unwrap()
}

/// PEM with one line of base64.
fn rustls_pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in der.chunks(3) {
        let mut bits = [0; 4];
        bits[1..=part.len()].copy_from_slice(part);
        let bits = u32::from_be_bytes(bits);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize] as char;
            text.push(if place <= part.len() { digit } else { '=' });
        }
    }
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

fn keys() -> SealingKeys {
    SealingKeys { servicer: SERVICER.public(), owner: OWNER.public() }
}

fn about(file: &[u8]) -> About {
    About {
        agreement: AgreementId::from_bytes(&[0xa0; 16]).unwrap(),
        account: AccountId::from_bytes(&[0xac; 16]).unwrap(),
        original: Hash::of(file),
    }
}

fn drawn() -> Drawn {
    Drawn {
        content_key: Zeroizing::new([3; 32]),
        ephemeral: [Zeroizing::new([4; 32]), Zeroizing::new([5; 32])],
    }
}

fn sealed(file: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let length = u64::try_from(file.len()).unwrap();
    let written = seal_with(file, length, &mut bytes, &about(file), &keys(), drawn()).unwrap();
    assert_eq!(written, u64::try_from(bytes.len()).unwrap());
    assert_eq!(sealed_length(length), Some(written));
    bytes
}

fn opened(
    bytes: &[u8],
    about: &About,
    party: Party,
    key: &SealingKey,
) -> Result<Vec<u8>, NotOpened> {
    let mut file = Vec::new();
    open(bytes, &mut file, about, party, key).map(|_| file)
}

fn numbered(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

/// The bytes for ever: the whole of a short file, and the hash of one of several chunks.
#[test]
fn the_bytes_are_what_they_were() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let short = format!(
        "private {}\npublic {}\nsealed {}\n",
        hex(&[1; 32]),
        hex(&SERVICER.public()),
        hex(&sealed(b"a statement"))
    );
    let long = Hash::of(&sealed(&numbered(2 * CHUNK_LENGTH + 1)));
    let text = format!("{short}hash of a file of 131073 bytes {long}\n");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sealed/vector.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(path).unwrap());
}

#[test]
fn both_parties_open_it_whatever_its_length() {
    for length in [0, 1, CHUNK_LENGTH - 1, CHUNK_LENGTH, CHUNK_LENGTH + 1, 3 * CHUNK_LENGTH] {
        let file = numbered(length);
        let bytes = sealed(&file);
        assert_eq!(opened(&bytes, &about(&file), Party::Servicer, &SERVICER).unwrap(), file);
        assert_eq!(opened(&bytes, &about(&file), Party::Owner, &OWNER).unwrap(), file);
    }
    let file = numbered(100);
    let mut bytes = Vec::new();
    seal(&file[..], 100, &mut bytes, &about(&file), &keys()).unwrap();
    assert_ne!(bytes, sealed(&file), "every file has keys of its own");
    assert_eq!(opened(&bytes, &about(&file), Party::Owner, &OWNER).unwrap(), file);
}

#[test]
fn nobody_else_opens_it() {
    let file = numbered(100);
    let bytes = sealed(&file);
    for (party, key) in
        [(Party::Servicer, &*OWNER), (Party::Owner, &*SERVICER), (Party::Owner, &key(9))]
    {
        let error = opened(&bytes, &about(&file), party, key).unwrap_err();
        assert!(matches!(error, NotOpened::WrongKey), "{error}");
    }
    for another in [
        About { agreement: AgreementId::from_bytes(&[1; 16]).unwrap(), ..about(&file) },
        About { account: AccountId::from_bytes(&[1; 16]).unwrap(), ..about(&file) },
        About { original: Hash::ZERO, ..about(&file) },
    ] {
        let error = opened(&bytes, &another, Party::Owner, &OWNER).unwrap_err();
        assert!(matches!(error, NotOpened::Another), "{error}");
    }
}

#[test]
fn every_byte_counts() {
    let file = numbered(CHUNK_LENGTH + 20);
    let bytes = sealed(&file);
    let places = (0..HEADER_LENGTH + 40).chain(bytes.len() - 60..bytes.len());
    for place in places {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        // The header's hash binds the chunks to the other party's slot, too.
        assert!(opened(&changed, &about(&file), Party::Owner, &OWNER).is_err(), "{place}");
        assert!(opened(&changed, &about(&file), Party::Servicer, &SERVICER).is_err(), "{place}");
    }
}

#[test]
fn nothing_is_missing_added_or_out_of_place() {
    let file = numbered(3 * CHUNK_LENGTH);
    let bytes = sealed(&file);
    let refused = |bytes: &[u8]| opened(bytes, &about(&file), Party::Owner, &OWNER).unwrap_err();
    let stride = CHUNK_LENGTH + TAG_LENGTH;
    let chunk = |number: usize| {
        bytes[HEADER_LENGTH + number * stride..HEADER_LENGTH + (number + 1) * stride].to_vec()
    };
    let header = bytes[..HEADER_LENGTH].to_vec();
    for (name, chunks) in [
        ("two swapped", vec![chunk(1), chunk(0), chunk(2)]),
        ("one twice", vec![chunk(0), chunk(0), chunk(2)]),
        ("the last first", vec![chunk(2), chunk(1), chunk(0)]),
        ("the last missing", vec![chunk(0), chunk(1)]),
        ("one missing", vec![chunk(0), chunk(2)]),
        ("none", vec![]),
    ] {
        let changed = [header.clone(), chunks.concat()].concat();
        assert!(matches!(refused(&changed), NotOpened::Damaged { .. }), "{name}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(refused(&longer), NotOpened::TooLong));
    for length in [0, 1, HEADER_LENGTH - 1] {
        assert!(matches!(refused(&bytes[..length]), NotOpened::NotSealed), "{length}");
    }
    for length in [HEADER_LENGTH, HEADER_LENGTH + 1, bytes.len() - 1] {
        assert!(matches!(refused(&bytes[..length]), NotOpened::Damaged { .. }), "{length}");
    }
    // A length that was cut in the header moves the mark of the last chunk.
    let mut cut = bytes[..HEADER_LENGTH + 2 * stride].to_vec();
    let length = 8 + 16 + 16 + 32..8 + 16 + 16 + 32 + 8;
    cut[length].copy_from_slice(&(2 * size(CHUNK_LENGTH)).to_be_bytes());
    assert!(matches!(refused(&cut), NotOpened::WrongKey));
    // Chunks of another file under the same keys.
    let other = sealed(&numbered(3 * CHUNK_LENGTH - 1));
    let mixed = [&header[..], &other[HEADER_LENGTH..], &[0]].concat();
    assert!(matches!(refused(&mixed), NotOpened::Damaged { .. }));
}

#[test]
fn what_is_sealed_is_what_was_named() {
    let file = numbered(100);
    let mut bytes = Vec::new();
    let mut seal_as = |length, original| {
        let about = About { original, ..about(&file) };
        bytes.clear();
        seal_with(&file[..], length, &mut bytes, &about, &keys(), drawn())
    };
    let hash = Hash::of(&file);
    assert!(matches!(seal_as(99, hash), Err(NotSealed::Changed)), "longer");
    assert!(matches!(seal_as(101, hash), Err(NotSealed::Changed)), "shorter");
    assert!(matches!(seal_as(100, Hash::ZERO), Err(NotSealed::Changed)), "another");
    let too_large = SEALED_BYTES_MAX;
    assert!(matches!(seal_as(too_large, hash), Err(NotSealed::TooLarge(_))));
    assert!(matches!(seal_as(u64::MAX, hash), Err(NotSealed::TooLarge(_))));
    // A key of low order: the shared secret would be known to everybody.
    let weak = SealingKeys { servicer: SERVICER.public(), owner: [0; 32] };
    let sealed = seal(&file[..], 100, Vec::new(), &about(&file), &weak);
    assert!(matches!(sealed, Err(NotSealed::KeyWeak)));
    // Sealed by somebody who lies about the hash: the header is right, the content is not.
    let lie = About { original: Hash::of(b"another"), ..about(&file) };
    let mut bytes = Vec::new();
    let _ = seal_with(&file[..], 100, &mut bytes, &lie, &keys(), drawn());
    assert!(matches!(opened(&bytes, &lie, Party::Owner, &OWNER), Err(NotOpened::WrongHash)));
}

#[test]
fn keys_are_files_that_openssl_knows() {
    let key = SealingKey::generate();
    let pem = rustls_pem("PRIVATE KEY", &key.pkcs8_der());
    assert_eq!(SealingKey::from_pem(pem.as_bytes()).unwrap().public(), key.public());
    assert_eq!(key.spki_der().len(), 44);
    assert_eq!(format!("{key:?}"), "SealingKey", "it is not shown");
    let mut ed25519 = key.pkcs8_der().to_vec();
    ed25519[11] = 112;
    for bad in [ed25519, key.pkcs8_der()[..47].to_vec(), vec![]] {
        assert!(SealingKey::from_pem(rustls_pem("PRIVATE KEY", &bad).as_bytes()).is_err());
    }
    assert!(SealingKey::from_pem(b"").is_err());
}

proptest! {
    /// Whatever the bytes are, opening ends with an error and not otherwise.
    #[test]
    fn garbage_is_not_opened(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(opened(&bytes, &about(b""), Party::Owner, &OWNER).is_err());
    }

    #[test]
    fn a_changed_file_is_not_opened(
        length in 0_usize..2_000,
        place in any::<prop::sample::Index>(),
        change in 1_u8..,
    ) {
        let file = numbered(length);
        let mut bytes = sealed(&file);
        let place = place.index(bytes.len());
        bytes[place] ^= change;
        prop_assert!(opened(&bytes, &about(&file), Party::Owner, &OWNER).is_err());
    }
}
