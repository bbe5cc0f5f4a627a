//! The name in a certificate: `spiffe://<consortium>/institution/<BIC11>/<role>/<name>`.
//!
//! Only this one spelling is taken: two spellings of one name would be two names to whoever compares
//! bytes.

use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::genesis::is_certificate_name;

use crate::identity::Role;

/// Longest SAN URI in bytes.
pub const URI_LENGTH_MAX: usize = 255;

/// A name in a certificate, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpiffeId {
    /// Whose.
    pub institution: Bic,
    /// What its holder is.
    pub role: Role,
    /// Which one.
    pub name: String,
}

/// Why a SAN URI names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeError {
    /// Longer than [`URI_LENGTH_MAX`].
    #[error("the SAN URI is longer than 255 bytes")]
    TooLong,
    /// Another scheme, or none.
    #[error("the SAN URI does not begin with spiffe://")]
    Scheme,
    /// User, port, query, fragment, escape, or a character that no name has.
    #[error(
        "the SAN URI holds a user, port, query, fragment, percent-escape or a character outside a-z, A-Z, 0-9, '-', '.' and '/'"
    )]
    Character,
    /// An upper-case letter before the path.
    #[error("the trust domain in the SAN URI is not in lower case")]
    UpperCaseHost,
    /// The trust domain of somebody else.
    #[error("the trust domain in the SAN URI is not this consortium's")]
    OtherConsortium,
    /// Not four segments, or the first is not `institution`.
    #[error("the path of the SAN URI is not /institution/<BIC>/<role>/<name>")]
    Path,
    /// Not a BIC of eleven characters.
    #[error("the institution in the SAN URI is not a BIC of eleven characters in upper case")]
    Institution,
    /// Not a role.
    #[error("the role in the SAN URI is not node, client, operator or auditor")]
    Role,
    /// Not a name.
    #[error("the name in the SAN URI is not 1 to 32 of a-z, 0-9 and '-'")]
    Name,
}

impl SpiffeId {
    /// Reads a SAN URI of a consortium.
    pub fn parse(uri: &str, consortium: &str) -> Result<SpiffeId, SpiffeError> {
        if uri.len() > URI_LENGTH_MAX {
            return Err(SpiffeError::TooLong);
        }
        let rest = uri.strip_prefix("spiffe://").ok_or(SpiffeError::Scheme)?;
        let admitted = |byte: u8| byte.is_ascii_alphanumeric() || b"-./".contains(&byte);
        if !rest.bytes().all(admitted) {
            return Err(SpiffeError::Character);
        }
        let (host, path) = rest.split_once('/').ok_or(SpiffeError::Path)?;
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(SpiffeError::UpperCaseHost);
        }
        if host != consortium {
            return Err(SpiffeError::OtherConsortium);
        }
        let segments: Vec<&str> = path.split('/').collect();
        let ["institution", bic, role, name] = segments[..] else {
            return Err(SpiffeError::Path);
        };
        if !is_certificate_name(name) {
            return Err(SpiffeError::Name);
        }
        Ok(SpiffeId {
            institution: Bic::parse_canonical(bic).map_err(|_| SpiffeError::Institution)?,
            role: role.parse().map_err(|_| SpiffeError::Role)?,
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_only() {
        let parse = |uri: &str| SpiffeId::parse(uri, "consortium.example");
        let id =
            parse("spiffe://consortium.example/institution/BANKCHZZXXX/node/zurich-1").unwrap();
        assert_eq!(
            (id.institution.as_str(), id.role, id.name.as_str()),
            ("BANKCHZZXXX", Role::Node, "zurich-1")
        );
        let path = "institution/BANKCHZZXXX/node/zurich-1";
        let long = "a".repeat(256);
        for (uri, rule) in [
            (format!("https://consortium.example/{path}"), SpiffeError::Scheme),
            (format!("SPIFFE://consortium.example/{path}"), SpiffeError::Scheme),
            (format!("spiffe://eve@consortium.example/{path}"), SpiffeError::Character),
            (format!("spiffe://consortium.example:443/{path}"), SpiffeError::Character),
            (format!("spiffe://consortium.example/{path}?a=b"), SpiffeError::Character),
            (format!("spiffe://consortium.example/{path}#a"), SpiffeError::Character),
            (format!("spiffe://consortium.example/{path}%31"), SpiffeError::Character),
            (format!("spiffe://consortium.example/{path}\0"), SpiffeError::Character),
            (format!("spiffe://consortium.example/{path}é"), SpiffeError::Character),
            (format!("spiffe://Consortium.example/{path}"), SpiffeError::UpperCaseHost),
            (format!("spiffe://consortium.example.eve/{path}"), SpiffeError::OtherConsortium),
            (format!("spiffe:///{path}"), SpiffeError::OtherConsortium),
            ("spiffe://consortium.example".into(), SpiffeError::Path),
            (format!("spiffe://consortium.example/{path}/"), SpiffeError::Path),
            (format!("spiffe://consortium.example//{path}"), SpiffeError::Path),
            ("spiffe://consortium.example/inst/BANKCHZZXXX/node/a".into(), SpiffeError::Path),
            (
                "spiffe://consortium.example/institution/BANKCHZZ/node/a".into(),
                SpiffeError::Institution,
            ),
            (
                "spiffe://consortium.example/institution/bankchzzxxx/node/a".into(),
                SpiffeError::Institution,
            ),
            (
                "spiffe://consortium.example/institution/BANKCHZZXXX/root/a".into(),
                SpiffeError::Role,
            ),
            (
                "spiffe://consortium.example/institution/BANKCHZZXXX/Node/a".into(),
                SpiffeError::Role,
            ),
            (
                "spiffe://consortium.example/institution/BANKCHZZXXX/node/A".into(),
                SpiffeError::Name,
            ),
            (
                "spiffe://consortium.example/institution/BANKCHZZXXX/node/a.b".into(),
                SpiffeError::Name,
            ),
            ("spiffe://consortium.example/institution/BANKCHZZXXX/node/".into(), SpiffeError::Name),
            (
                format!("spiffe://consortium.example/institution/BANKCHZZXXX/node/{}", &long[..33]),
                SpiffeError::Name,
            ),
            (long, SpiffeError::TooLong),
        ] {
            assert_eq!(parse(&uri), Err(rule), "{uri}");
        }
    }
}
