//! Who is calling. A certificate names an institution, a role and a name; the chain must end at the
//! trust anchor of the institution that it names, so that one institution's CA can never speak for
//! another.
//!
//! What a caller may do is the API's business, not this module's.

pub mod caller;
pub mod certificate;
pub mod key_file;
pub mod spiffe;
pub mod tls;

#[cfg(test)]
pub(crate) mod fixture;

use std::{fmt, str::FromStr};

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::hash::Hash;

/// What a certificate says about its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The institution that the holder belongs to.
    pub institution: Bic,
    /// What the holder is.
    pub role: Role,
    /// Which one of the institution's: 1 to 32 of a-z, 0-9 and '-'.
    pub name: String,
    /// Unix seconds after which the certificate holds no longer.
    pub not_after_s: i64,
    /// SHA-256 of the certificate's SubjectPublicKeyInfo.
    pub key_fingerprint: Hash,
}

/// What a holder of a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A node of the consortium.
    Node,
    /// A bank's application.
    Client,
    /// A person who runs an institution's part of the ledger.
    Operator,
    /// A person or program that reads.
    Auditor,
}

/// A word that is no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is node, client, operator or auditor")]
pub struct RoleError;

impl Role {
    /// Every role.
    pub const ALL: [Role; 4] = [Role::Node, Role::Client, Role::Operator, Role::Auditor];

    /// Its word in a SAN URI.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Node => "node",
            Role::Client => "client",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
        }
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(word: &str) -> Result<Role, RoleError> {
        Role::ALL.into_iter().find(|role| role.as_str() == word).ok_or(RoleError)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Identity {
    /// As in the certificate, without the consortium: `BANKCHZZXXX/node/zurich-1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.institution, self.role, self.name)
    }
}
