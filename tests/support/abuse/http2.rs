//! HTTP/2 by hand: frames as whoever attacks writes them.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::task::JoinHandle;

use crate::wire::{self, Credential, Stream};

/// Types of frames.
pub const DATA: u8 = 0;
/// Begins a request.
pub const HEADERS: u8 = 1;
/// Ends a stream.
pub const RST_STREAM: u8 = 3;
/// Says how this side wants to be spoken to.
pub const SETTINGS: u8 = 4;
/// Asks for a sign of life.
pub const PING: u8 = 6;
/// Goes on with headers.
pub const CONTINUATION: u8 = 9;

/// Nothing comes after this frame on its stream.
pub const END_STREAM: u8 = 1;
/// The headers are whole.
pub const END_HEADERS: u8 = 4;

/// A connection on which the server is spoken to by hand. What it says is read and answered with what
/// keeps it open: acknowledgements of its pings and settings.
pub struct Connection {
    writer: WriteHalf<Stream>,
    reading: JoinHandle<()>,
}

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a gRPC request, written out without a table.
pub fn headers(path: &str) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).expect("it is short");
        [&[length], text.as_bytes()].concat()
    };
    let named = |name: &str, value: &str| [vec![0], text(name), text(value)].concat();
    // POST, https; then :path and :authority by their places in the static table.
    [
        vec![0x83, 0x87, 0x04],
        text(path),
        vec![0x01],
        text("node.invalid"),
        named("content-type", "application/grpc"),
        named("te", "trailers"),
    ]
    .concat()
}

/// A whole request with one message.
pub fn request(stream: u32, path: &str, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("it is short").to_be_bytes();
    let body = [&[0], &length[..], message].concat();
    [frame(HEADERS, END_HEADERS, stream, &headers(path)), frame(DATA, END_STREAM, stream, &body)]
        .concat()
}

impl Connection {
    /// Shakes hands and says hello, with an initial window for each stream.
    pub async fn open(
        address: &str,
        credential: &Credential,
        window: u32,
    ) -> io::Result<Connection> {
        let stream = wire::shake_hands(address, Some(credential)).await?;
        let (reader, writer) = split(stream);
        let mut connection = Connection { writer, reading: tokio::spawn(read(reader)) };
        // SETTINGS_INITIAL_WINDOW_SIZE, and a window for the connection as large as can be.
        let window = [&[0, 4][..], &window.to_be_bytes()].concat();
        let hello = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(SETTINGS, 0, 0, &window),
            frame(SETTINGS, 1, 0, &[]),
            frame(8, 0, 0, &0x3fff_0000_u32.to_be_bytes()),
        ];
        connection.write(&hello.concat()).await?;
        Ok(connection)
    }

    /// Writes frames.
    pub async fn write(&mut self, frames: &[u8]) -> io::Result<()> {
        self.writer.write_all(frames).await?;
        self.writer.flush().await
    }

    /// Whether the server has closed it.
    pub fn is_closed(&self) -> bool {
        self.reading.is_finished()
    }

    /// Waits until the server closes it.
    pub async fn closed(&mut self) {
        let _ = (&mut self.reading).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Reads until the server closes.
async fn read(mut reader: ReadHalf<Stream>) {
    let mut buffer = vec![0; 64 << 10];
    while matches!(reader.read(&mut buffer).await, Ok(count) if count > 0) {}
}
