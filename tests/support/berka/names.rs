//! What the data does not have: BICs, keys and references. All of it is made up, and derived, so
//! that every run and both sides of a payment come to the same.

use counterfoil_ledger::{
    account::AccountId, bic::Bic, hash::Hash, signature::SoftwareSigner, uetr::Uetr,
};

/// The asset.
pub const ASSET: &str = "CZK";

/// What a partner's account is called.
pub const ACCOUNT_NAME: &str = "loro";

/// What the home bank's own account is called.
pub const ISSUANCE_NAME: &str = "issuance";

/// Everything derived begins with this.
const SEED: &[u8] = b"counterfoil berka 1993";

/// The bank whose bookings these are.
pub fn home() -> Bic {
    bic("HOMECZPP")
}

/// Who runs the only node; it holds no account.
pub fn operator() -> Bic {
    bic("NODECZPP")
}

/// The bank that the data names by two letters.
pub fn partner(letters: &str) -> Bic {
    bic(&format!("{letters}XXCZPP"))
}

fn bic(text: &str) -> Bic {
    Bic::parse(text).expect("four letters, a country and two letters are a BIC")
}

/// The account that a partner holds with the home bank.
pub fn account(partner: &Bic) -> AccountId {
    AccountId::of(&home(), partner, ASSET, ACCOUNT_NAME)
}

/// What the home bank issues from.
pub fn issuance() -> AccountId {
    AccountId::of(&home(), &home(), ASSET, ISSUANCE_NAME)
}

/// The key of an institution for a purpose.
pub fn signer(institution: &Bic, purpose: &str) -> SoftwareSigner {
    let seed = derived(&["key", institution.as_str(), purpose]);
    SoftwareSigner::from_ed25519_seed(seed.as_bytes())
}

/// 16 bytes that nobody could guess, were the seed a secret.
pub fn salt(of: &str, number: u64) -> [u8; 16] {
    half(derived(&["salt", of, &number.to_string()]))
}

/// The UETR with which a bank is funded.
pub fn funding_uetr(bank: &Bic) -> Uetr {
    Uetr::from_random(half(derived(&["funding", bank.as_str()])))
}

/// The first 16 bytes of a hash.
fn half(hash: Hash) -> [u8; 16] {
    hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes")
}

/// SHA-256 over the seed and parts, each preceded by its length.
pub fn derived(parts: &[&str]) -> Hash {
    let mut bytes = SEED.to_vec();
    for part in parts {
        bytes.extend(u64::try_from(part.len()).expect("a length fits 64 bits").to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    Hash::of(&bytes)
}

/// What a payment is known by at both banks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// On the transfer, and in three quarters of the book entries.
    pub uetr: Uetr,
    /// On the transfer, and in three quarters of the book entries.
    pub end_to_end_id: String,
}

impl Reference {
    /// Of an order's payment in a month of 1993.
    pub fn of_instalment(order: u32, month: u32) -> Reference {
        Reference::derived(format!("ORDER {order}/1993-{month:02}"))
    }

    /// Of a booking that came in.
    pub fn of_incoming(booking: u32) -> Reference {
        Reference::derived(format!("INCOMING {booking}"))
    }

    /// Of something that a fault brings, and an entry's own reference.
    pub fn of_fault(what: &str, own_reference: &str) -> Reference {
        Reference::derived(format!("{what} {own_reference}"))
    }

    fn derived(end_to_end_id: String) -> Reference {
        let uetr = Uetr::from_random(half(derived(&["uetr", &end_to_end_id])));
        Reference { uetr, end_to_end_id }
    }
}
