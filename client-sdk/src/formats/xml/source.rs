//! The bytes under a reader: how many one event may take, how many the whole, and which line they
//! have come to.

use std::io;
use std::io::BufRead;
use std::io::Read;

use crate::formats::error::FormatError;

/// Largest stream, in bytes: two thousand bytes for each of two million entries.
pub const STREAM_SIZE_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// A reader that ends with an error where its bounds do.
pub(crate) struct Source<R> {
    inner: R,
    /// Bytes that the piece in hand may still take.
    left_of_piece: usize,
    left: u64,
    line: usize,
    passed: Option<&'static str>,
}

impl<R: BufRead> Source<R> {
    pub(crate) fn new(inner: R) -> Source<R> {
        Source { inner, left_of_piece: 0, left: STREAM_SIZE_MAX, line: 1, passed: None }
    }

    /// Begins a new piece (an event, a line) of so many bytes at most.
    pub(crate) fn begin_piece(&mut self, size_max: usize) {
        self.left_of_piece = size_max;
    }

    /// The line that the next byte stands in.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// What an input error means: the bound that was passed, or that reading failed.
    pub(crate) fn refusal(&self, error: &io::Error) -> FormatError {
        match self.passed {
            Some(bound) => FormatError::new(
                format!("line {}", self.line),
                bound,
                "check what wrote this file, or split it into several files",
            ),
            None => FormatError::new(
                "the file",
                format!("it cannot be read: {error}"),
                "see that it is there and may be read",
            ),
        }
    }

    fn admitted(&mut self) -> io::Result<usize> {
        self.passed = if self.left == 0 {
            Some("more bytes than the limit of 4 GiB")
        } else if self.left_of_piece == 0 {
            Some("a tag, text or line larger than the limit")
        } else {
            let left = usize::try_from(self.left).unwrap_or(usize::MAX);
            return Ok(left.min(self.left_of_piece));
        };
        Err(io::Error::other("a bound was passed"))
    }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(into.len());
        into[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.inner.fill_buf()?.is_empty() {
            return Ok(&[]);
        }
        let admitted = self.admitted()?;
        // The buffer is full: this reads nothing.
        let available = self.inner.fill_buf()?;
        Ok(&available[..available.len().min(admitted)])
    }

    fn consume(&mut self, count: usize) {
        if let Ok(available) = self.inner.fill_buf() {
            let consumed = available.iter().take(count);
            self.line += consumed.filter(|byte| **byte == b'\n').count();
        }
        self.left_of_piece = self.left_of_piece.saturating_sub(count);
        self.left = self.left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        self.inner.consume(count);
    }
}

/// A reader without its byte order mark. UTF-16 is refused, because nothing here reads it.
pub(crate) fn without_mark<R: BufRead>(mut inner: R) -> Result<impl BufRead, FormatError> {
    let mut first = Vec::with_capacity(3);
    let read = inner.by_ref().take(3).read_to_end(&mut first);
    read.map_err(|error| Source::new(io::empty()).refusal(&error))?;
    refuse_utf16(&first)?;
    if first == b"\xef\xbb\xbf" {
        first.clear();
    }
    Ok(io::Cursor::new(first).chain(inner))
}

/// Refuses what begins as UTF-16 does.
pub(crate) fn refuse_utf16(bytes: &[u8]) -> Result<(), FormatError> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(FormatError::new("the file", "it is UTF-16", "write it as UTF-8"));
    }
    Ok(())
}
