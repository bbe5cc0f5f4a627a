//! Accounts: (servicer, owner, asset, name), with a balance in minor units.

use std::fmt;

use crate::{asset::AssetCode, bic::Bic, hash::Hash, header::Reader, instruction::AMOUNT_MAX};

/// The first 16 bytes of SHA-256 over (servicer, owner, asset, name), each preceded by its length
/// in one byte: the signer can compute it and need not trust a node's numbering.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId([u8; 16]);

impl AccountId {
    /// Of no account.
    pub(crate) const NONE: AccountId = AccountId([0; 16]);

    /// The id of an account. Asset and name are at most 35 bytes.
    pub fn of(servicer: &Bic, owner: &Bic, asset: &str, name: &str) -> AccountId {
        let mut named = Vec::with_capacity(96);
        for part in [servicer.as_str(), owner.as_str(), asset, name] {
            named.push(u8::try_from(part.len()).expect("assets and names are at most 35 bytes"));
            named.extend_from_slice(part.as_bytes());
        }
        let hash = Hash::of(&named);
        AccountId(hash.0[..16].try_into().expect("a hash has 32 bytes"))
    }

    /// Takes exactly 16 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<AccountId> {
        Some(AccountId(bytes.try_into().ok()?))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// An account after some block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Dense number, in the order of opening, from 0.
    pub ordinal: u32,
    /// See [`AccountId`].
    pub id: AccountId,
    /// Who keeps it.
    pub servicer: Bic,
    /// Whose money it is.
    pub owner: Bic,
    /// In what.
    pub asset: AssetCode,
    /// As opened.
    pub name: String,
    /// Minor units; positive = the servicer owes the owner. Within ±(2^63 − 1).
    pub balance: i128,
    /// Postings so far.
    pub posting_count: u64,
    /// Chain over the postings: see [`Account::advance_head`].
    pub head: Hash,
}

impl Account {
    /// The contra side of what the servicer issues: the only kind that may be negative.
    pub fn is_issuance(&self) -> bool {
        self.owner == self.servicer
    }

    /// The leaf under `accounts_root`, 76 bytes: ordinal u32 · account id [16] · balance i128 ·
    /// posting count u64 · head [32].
    pub fn leaf(&self) -> [u8; 76] {
        let mut bytes = [0; 76];
        bytes[..4].copy_from_slice(&self.ordinal.to_be_bytes());
        bytes[4..20].copy_from_slice(self.id.as_bytes());
        bytes[20..36].copy_from_slice(&self.balance.to_be_bytes());
        bytes[36..44].copy_from_slice(&self.posting_count.to_be_bytes());
        bytes[44..].copy_from_slice(self.head.as_bytes());
        bytes
    }

    /// Takes a block's postings into the head: SHA-256(previous head ‖ height u64 ‖ RFC 6962 root
    /// of this block's postings to this account).
    pub fn advance_head(&mut self, height: u64, postings_root: Hash) {
        self.head = Hash::of_parts(&[
            self.head.as_bytes(),
            &height.to_be_bytes(),
            postings_root.as_bytes(),
        ]);
    }

    /// The record that storage keeps: the leaf, servicer [11], owner [11], and asset and name, each
    /// preceded by its length in one byte.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(160);
        bytes.extend(self.leaf());
        bytes.extend(self.servicer.as_str().as_bytes());
        bytes.extend(self.owner.as_str().as_bytes());
        for text in [self.asset.as_str(), &self.name] {
            bytes.push(u8::try_from(text.len()).expect("assets and names are at most 35 bytes"));
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    /// Reads what `encode` wrote of an account whose id and balance can be; nothing else.
    pub fn decode(bytes: &[u8]) -> Option<Account> {
        let mut reader = Reader(bytes);
        let ordinal = u32::from_be_bytes(reader.take()?);
        let id = AccountId(reader.take()?);
        let balance = i128::from_be_bytes(reader.take()?);
        let posting_count = u64::from_be_bytes(reader.take()?);
        let head = Hash(reader.take()?);
        let bic = |bytes: [u8; 11]| Bic::parse(std::str::from_utf8(&bytes).ok()?).ok();
        let servicer = bic(reader.take()?)?;
        let owner = bic(reader.take()?)?;
        let mut text = || {
            let [length] = reader.take()?;
            let (text, rest) = reader.0.split_at_checked(usize::from(length))?;
            reader.0 = rest;
            std::str::from_utf8(text).ok()
        };
        let asset = AssetCode::parse(text()?).ok()?;
        let name = text()?.to_owned();
        let account =
            Account { ordinal, id, servicer, owner, asset, name, balance, posting_count, head };
        let named =
            AccountId::of(&account.servicer, &account.owner, account.asset.as_str(), &account.name);
        let within = balance.unsigned_abs() <= u128::from(AMOUNT_MAX);
        (account.encode() == bytes && account.id == named && within).then_some(account)
    }
}

/// An account as its leaf under `accounts_root` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountLeaf {
    /// See [`Account`].
    pub ordinal: u32,
    /// See [`AccountId`].
    pub id: AccountId,
    /// Minor units.
    pub balance: i128,
    /// Postings so far.
    pub posting_count: u64,
    /// Chain over the postings.
    pub head: Hash,
}

impl AccountLeaf {
    /// Reads the 76 bytes of [`Account::leaf`].
    pub fn decode(bytes: &[u8]) -> Option<AccountLeaf> {
        let mut reader = Reader(bytes);
        let leaf = AccountLeaf {
            ordinal: u32::from_be_bytes(reader.take()?),
            id: AccountId(reader.take()?),
            balance: i128::from_be_bytes(reader.take()?),
            posting_count: u64::from_be_bytes(reader.take()?),
            head: Hash(reader.take()?),
        };
        reader.0.is_empty().then_some(leaf)
    }
}
