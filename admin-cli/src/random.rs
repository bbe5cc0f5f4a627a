//! Random bytes of the operating system.

use crate::error::Failure;
use crate::exit::Exit;

/// Draws bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        let message = format!("the operating system gave no random bytes: {error}");
        Failure::new(Exit::Unexpected, "NO_RANDOMNESS", message)
    })?;
    Ok(bytes)
}
