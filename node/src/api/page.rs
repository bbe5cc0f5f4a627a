//! Pages: bounded pieces of a list, all of one height. The token says where the next piece begins
//! and pins the height; it belongs to one caller and one question.

use std::time::Instant;

use counterfoil_ledger::hash::Hash;
use prost::Message;
use tonic::Status;

use super::reading;
use super::status;
use super::visibility::Scope;
use crate::consensus::replica::Replica;
use crate::limits;

/// Where an entry stands in its list: two numbers that grow with it.
pub(super) type Key = (u64, u32);

/// Version u8 = 1 · height u64 · key u64 u32 · check [8].
const TOKEN_LENGTH: usize = 29;

/// The question that a page answers. Another one has other tokens.
pub(super) struct Question(Hash);

/// What is asked for.
pub(super) struct Page {
    question: Question,
    /// The height that all pages describe.
    pub(super) height: u64,
    /// The last entry of the page before.
    pub(super) after: Option<Key>,
    /// At most this many entries.
    pub(super) size: usize,
}

impl Question {
    /// A question by its method, its asker and its request without token, size and read mode.
    pub(super) fn new(method: &str, scope: &Scope, request: &impl Message) -> Question {
        let institution = scope.institution.as_str().as_bytes();
        let consortium = [u8::from(scope.consortium)];
        let request = request.encode_to_vec();
        Question(Hash::of_parts(&[method.as_bytes(), &[0], institution, &consortium, &request]))
    }

    /// The token of the page after an entry.
    fn token(&self, height: u64, (major, minor): Key) -> String {
        let mut bytes = vec![1];
        bytes.extend(height.to_be_bytes());
        bytes.extend(major.to_be_bytes());
        bytes.extend(minor.to_be_bytes());
        let check = self.check(&bytes);
        bytes.extend(check);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn read(&self, token: &str) -> Option<(u64, Key)> {
        let digits = token.as_bytes();
        if digits.len() != TOKEN_LENGTH * 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Vec<u8> = digits.chunks(2).map(byte).collect::<Option<_>>()?;
        let (body, check) = bytes.split_at(TOKEN_LENGTH - 8);
        if body[0] != 1 || check != self.check(body) {
            return None;
        }
        let height = u64::from_be_bytes(body[1..9].try_into().ok()?);
        let major = u64::from_be_bytes(body[9..17].try_into().ok()?);
        let minor = u32::from_be_bytes(body[17..21].try_into().ok()?);
        Some((height, (major, minor)))
    }

    /// Against mistakes, not against malice: a forged token shows nothing that its maker could not
    /// have asked for.
    fn check(&self, body: &[u8]) -> [u8; 8] {
        let hash = Hash::of_parts(&[self.0.as_bytes(), body]);
        hash.0[..8].try_into().expect("a hash has 32 bytes")
    }
}

impl Page {
    /// The page that a request asks for, once the node has reached its height. The first one is of
    /// now.
    pub(super) async fn open(
        replica: &Replica,
        question: Question,
        page_size: u32,
        page_token: &str,
        read_mode: i32,
    ) -> Result<Page, Status> {
        let size = size(page_size);
        if page_token.is_empty() {
            let height = reading::newest(replica, read_mode).await?;
            return Ok(Page { question, height, after: None, size });
        }
        let (height, after) = question.read(page_token).ok_or_else(|| {
            status::field("page_token", "the token of the page before, with the same other fields")
        })?;
        reading::reach_as(replica, height, read_mode).await?;
        Ok(Page { question, height, after: Some(after), size })
    }

    /// The token of the page after an entry.
    pub(super) fn token(&self, last: Key) -> String {
        self.question.token(self.height, last)
    }
}

/// What may go into one page.
pub(super) struct Budget {
    until: Instant,
    scans_left: usize,
}

impl Budget {
    /// A whole one.
    pub(super) fn new() -> Budget {
        Budget { until: Instant::now() + limits::PAGE_TIME_MAX, scans_left: limits::PAGE_SCAN_MAX }
    }

    /// Something was looked at.
    pub(super) fn spend(&mut self, scans: usize) {
        self.scans_left = self.scans_left.saturating_sub(scans);
    }

    /// The page ends here.
    pub(super) fn is_spent(&self) -> bool {
        self.scans_left == 0 || Instant::now() >= self.until
    }
}

/// Entries of a page: 0 is the default, too many are the most.
pub(super) fn size(asked: u32) -> usize {
    match usize::try_from(asked).unwrap_or(usize::MAX) {
        0 => limits::PAGE_SIZE_DEFAULT,
        size => size.min(limits::PAGE_SIZE_MAX),
    }
}

#[cfg(test)]
mod tests {
    use counterfoil_ledger::bic::Bic;
    use counterfoil_proto::v1;

    use super::*;

    fn question(institution: &str, asset: &str) -> Question {
        let scope = Scope { institution: Bic::parse(institution).unwrap(), consortium: false };
        let request = v1::ListAccountsRequest { asset: asset.to_owned(), ..Default::default() };
        Question::new("ListAccounts", &scope, &request)
    }

    #[test]
    fn tokens_say_height_and_key() {
        let question = question("BANKCHAA", "CHF");
        for (height, key) in [(0, (0, 0)), (7, (8, 9)), (u64::MAX, (u64::MAX, u32::MAX))] {
            let token = question.token(height, key);
            assert_eq!(question.read(&token), Some((height, key)));
        }
    }

    #[test]
    fn a_token_is_for_one_caller_and_one_question() {
        let token = question("BANKCHAA", "CHF").token(7, (8, 9));
        assert!(question("BANKCHAA", "CHF").read(&token).is_some());
        assert!(question("BANKCHBB", "CHF").read(&token).is_none());
        assert!(question("BANKCHAA", "EUR").read(&token).is_none());
    }

    #[test]
    fn a_token_that_was_changed_is_none() {
        let question = question("BANKCHAA", "CHF");
        let token = question.token(7, (8, 9));
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'0' { b'1' } else { b'0' };
            assert_eq!(question.read(std::str::from_utf8(&changed).unwrap()), None);
        }
        for bad in ["", "00", &token[2..], &format!("{token}00"), &"é".repeat(29), &"+1".repeat(29)]
        {
            assert_eq!(question.read(bad), None);
        }
    }

    #[test]
    fn sizes_are_coerced() {
        assert_eq!(size(0), limits::PAGE_SIZE_DEFAULT);
        assert_eq!(size(1), 1);
        assert_eq!(size(u32::MAX), limits::PAGE_SIZE_MAX);
    }
}
