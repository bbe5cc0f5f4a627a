//! How a command names an account: by its id, or by servicer, owner, asset and name.

use std::fmt;
use std::str::FromStr;

use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::text;

use crate::context::parse_bic;
use crate::error::Failure;
use crate::session::Session;

/// The name of an account unless another is given.
pub const SETTLEMENT: &str = "SETTLEMENT";

/// The name of an issuance account unless another is given.
pub const ISSUANCE: &str = "ISSUANCE";

/// Flags that name an account. Its servicer is that of the connection.
#[derive(Clone, Debug, clap::Args)]
pub struct AccountName {
    /// The account's id, instead of owner, asset and name
    #[arg(long, value_name = "HEX", conflicts_with_all = ["owner", "asset", "name"])]
    account: Option<String>,
    /// The account's owner; your institution, unless given
    #[arg(long, value_name = "BIC")]
    owner: Option<String>,
    /// The account's asset
    #[arg(long, value_name = "CODE", required_unless_present = "account")]
    asset: Option<String>,
    /// The account's name
    #[arg(long, value_name = "NAME", default_value = SETTLEMENT)]
    name: String,
}

impl AccountName {
    /// The account's id.
    pub fn id(&self, session: &Session) -> Result<AccountId, Failure> {
        if let Some(hex) = &self.account {
            return parse_id(hex);
        }
        let asset = self.asset.as_deref().unwrap_or_default();
        let servicer = session.settings.servicer()?;
        let owner = match &self.owner {
            Some(owner) => parse_bic(owner)?,
            None => session.institution(),
        };
        account_id(&servicer, &owner, asset, &self.name)
    }
}

/// One word that names an account: its id, or `ASSET[@OWNER][:NAME]`, as in `CHF`,
/// `CHF@ALPSCHZZXXX` or `CHF:FEES`. Its servicer is that of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountWord {
    /// By its id.
    Id(AccountId),
    /// By what it is.
    Named {
        /// Its asset.
        asset: AssetCode,
        /// Its owner; the own institution, unless given.
        owner: Option<Bic>,
        /// Its name.
        name: String,
    },
}

impl FromStr for AccountWord {
    type Err = String;

    fn from_str(word: &str) -> Result<AccountWord, String> {
        let said = |failure: Failure| failure.message;
        if let Some(id) = parse_hex(word).and_then(|bytes| AccountId::from_bytes(&bytes)) {
            return Ok(AccountWord::Id(id));
        }
        let (place, name) = word.split_once(':').unwrap_or((word, SETTLEMENT));
        let (asset, owner) = match place.split_once('@') {
            Some((asset, owner)) => (asset, Some(owner)),
            None => (place, None),
        };
        let asset = parse_asset(asset).map_err(|failure| {
            format!(
                "{}: give an id, or ASSET[@OWNER][:NAME], such as CHF@ALPSCHZZ",
                failure.message
            )
        })?;
        let owner = owner.map(parse_bic).transpose().map_err(said)?;
        check_name(name).map_err(said)?;
        Ok(AccountWord::Named { asset, owner, name: name.to_owned() })
    }
}

impl AccountWord {
    /// The account's id.
    pub fn id(&self, session: &Session) -> Result<AccountId, Failure> {
        match self {
            AccountWord::Id(id) => Ok(*id),
            AccountWord::Named { asset, owner, name } => {
                let owner = owner.unwrap_or_else(|| session.institution());
                Ok(AccountId::of(&session.settings.servicer()?, &owner, asset.as_str(), name))
            }
        }
    }
}

impl fmt::Display for AccountWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccountWord::Id(id) => write!(f, "{id}"),
            AccountWord::Named { asset, owner, name } => {
                write!(f, "{asset}")?;
                if let Some(owner) = owner {
                    write!(f, "@{owner}")?;
                }
                if name == SETTLEMENT { Ok(()) } else { write!(f, ":{name}") }
            }
        }
    }
}

fn check_name(name: &str) -> Result<(), Failure> {
    if !name.is_empty() && text::is_max35(name) {
        return Ok(());
    }
    let message = format!("{name:?} cannot be the name of an account");
    Err(Failure::usage("NAME_MALFORMED", message)
        .fact("1 to 35 characters of the SWIFT X set, no space at either end"))
}

/// The id of an account whose asset and name may be those of one.
pub fn account_id(
    servicer: &Bic,
    owner: &Bic,
    asset: &str,
    name: &str,
) -> Result<AccountId, Failure> {
    let asset = parse_asset(asset)?;
    check_name(name)?;
    Ok(AccountId::of(servicer, owner, asset.as_str(), name))
}

/// Reads the code of an asset.
pub fn parse_asset(text: &str) -> Result<AssetCode, Failure> {
    AssetCode::parse(text).map_err(|error| {
        Failure::usage("ASSET_MALFORMED", format!("{text:?} is not the code of an asset"))
            .fact(error.to_string())
    })
}

/// 16 bytes in hex, as accounts and agreements are named.
pub fn parse_hex(hex: &str) -> Option<Vec<u8>> {
    let valid = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pair = |at: usize| hex.get(at * 2..at * 2 + 2);
    (0..16)
        .map(|at| pair(at).filter(|_| valid).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}

/// Reads the id of an account.
pub fn parse_id(hex: &str) -> Result<AccountId, Failure> {
    parse_hex(hex).and_then(|bytes| AccountId::from_bytes(&bytes)).ok_or_else(|| {
        Failure::usage("ACCOUNT_ID_MALFORMED", format!("{hex:?} is not the id of an account"))
            .fact("32 hexadecimal digits")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for word in
            ["CHF", "CHF@ALPSCHZZXXX", "CHF:FEES", "CHF@ALPSCHZZXXX:FEES: 2", &"0a".repeat(16)]
        {
            assert_eq!(word.parse::<AccountWord>().unwrap().to_string(), *word);
        }
        let named: AccountWord = "CHF@ALPSCHZZ:SETTLEMENT".parse().unwrap();
        assert_eq!(named.to_string(), "CHF@ALPSCHZZXXX");
        for bad in ["", "chf", "CHF@", "CHF@NOBANK", "CHF:", "CHF: x", ":FEES"] {
            assert!(bad.parse::<AccountWord>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids() {
        let bic = Bic::parse("BANKCHZZ").unwrap();
        let id = account_id(&bic, &bic, "CHF", SETTLEMENT).unwrap();
        assert_eq!(parse_id(&id.to_string()).unwrap(), id);
        for bad in ["", "00", "zz", "0", &"+1".repeat(16), &"0".repeat(33), "ää"] {
            assert!(parse_id(bad).is_err(), "{bad}");
        }
        assert_eq!(account_id(&bic, &bic, "chf", "A").unwrap_err().code, "ASSET_MALFORMED");
        assert_eq!(account_id(&bic, &bic, "CHF", "").unwrap_err().code, "NAME_MALFORMED");
    }
}
