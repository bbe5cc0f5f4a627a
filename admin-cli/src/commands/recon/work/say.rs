//! `recon say`: a word in the conversation about a break.

use std::path::PathBuf;

use counterfoil_client::Order;
use counterfoil_client::orders::Saying;
use counterfoil_ledger::hash::Hash;

use super::{OfBreak, committed};
use crate::error::Failure;
use crate::files;
use crate::output::Answer;

/// Largest document that is attached by its hash, in bytes.
const DOCUMENT_MAX: u64 = 256 * 1024 * 1024;

/// Arguments of `recon say`.
#[derive(Debug, clap::Args)]
pub struct Say {
    #[command(flatten)]
    of: OfBreak,
    #[command(flatten)]
    said: Said,
}

/// What is said: at least one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Said {
    /// A standard answer of ISO 20022 (investigation execution confirmation), such as SMTC (statement
    /// entry is correct), IPAY (payment made) or NINF (nothing known)
    #[arg(long, value_name = "CODE", value_parser = parse_code)]
    code: Option<String>,
    /// A text; the ledger keeps a salted hash of it, the text and its salt are printed
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// A document; the ledger keeps its SHA-256
    #[arg(long, value_name = "FILE")]
    attach: Option<PathBuf>,
}

fn parse_code(text: &str) -> Result<String, String> {
    let valid = text.len() == 4
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if valid { Ok(text.to_owned()) } else { Err("four capital letters, such as IPAY".to_owned()) }
}

impl Say {
    /// Says it.
    pub async fn run(&self) -> Result<Answer, Failure> {
        let Said { code, text, attach } = &self.said;
        let text = committed(text.as_deref())?;
        let document = attach.as_ref().map(|path| files::read(path, DOCUMENT_MAX)).transpose()?;
        let attachment = document.map(|bytes| Hash::of(&bytes));
        let said = Saying { code: code.clone().unwrap_or_default(), text, attachment };
        let (session, of) = self.of.signing().await?;
        let order = Order::say_of_break(of.id, self.of.number, &said);
        let done = "commented";
        let answer = self.of.submit(&session, order, done, said.text.as_ref()).await?;
        Ok(match attachment {
            Some(hash) => answer.line(format!("document     {hash}")),
            None => answer,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_four_letters() {
        assert!(parse_code("IPAY").is_ok());
        for bad in ["", "ipay", "IPA", "IPAYX", "IPÄ"] {
            assert!(parse_code(bad).is_err(), "{bad}");
        }
    }
}
