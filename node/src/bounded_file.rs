//! Reads files of a bounded size: a path in a configuration may lead to anything.

use std::io::{self, Read};

/// Reads all that there is into a buffer, or fails if that is more than so many bytes.
pub fn read_into(mut reader: impl Read, max: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
    reader.by_ref().take(max).read_to_end(buffer)?;
    if reader.read(&mut [0; 1])? == 0 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {max} bytes")))
}

/// Reads all that there is, or fails if that is more than so many bytes.
pub fn read(reader: impl Read, max: u64) -> io::Result<Vec<u8>> {
    let mut buffer = Vec::new();
    read_into(reader, max, &mut buffer)?;
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_exact() {
        assert_eq!(read(&b"1234"[..], 4).ok(), Some(b"1234".to_vec()));
        assert_eq!(read(&b""[..], 0).ok(), Some(Vec::new()));
        assert!(read(&b"12345"[..], 4).is_err());
        assert!(read(io::repeat(0), 1_000).is_err());
    }
}
