//! Just enough of HTTP/1.1: one request after the other on a connection, answers with a `Content-Length`.

use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Where the head of a request or an answer ends.
pub const BLANK_LINE: &[u8] = b"\r\n\r\n";

/// A client's connection to a port of this machine.
pub struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects, to ask for one path again and again.
    pub async fn open(port: u16, path: &str) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").into_bytes();
        // Grown only while an answer is read: ten thousand clients that are idle hold nothing.
        Ok(Self { stream, request, buffer: Vec::new() })
    }

    pub async fn ask(&mut self) -> io::Result<Answer> {
        self.stream.write_all(&self.request).await?;
        self.buffer.clear();
        let head = read_head(&mut self.stream, &mut self.buffer).await?.ok_or(ErrorKind::UnexpectedEof)?;
        let (text, length) = (&self.buffer[..head], content_length(&self.buffer[..head]));
        let status = text.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let status = status.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "no status line"))?;
        read_to(&mut self.stream, &mut self.buffer, head + length).await?;
        Ok(Answer { status, body: self.buffer[head..head + length].to_vec() })
    }

    /// Closes with a reset, which leaves no port behind that cannot be used for a minute.
    pub fn abort(self) {
        // Closes the usual way then.
        let _ = self.stream.set_zero_linger();
    }
}

/// Reads up to a blank line, and returns where that ends; `None` when the other side has gone before the first byte.
pub async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
    loop {
        if let Some(at) = buffer.windows(BLANK_LINE.len()).position(|window| window == BLANK_LINE) {
            return Ok(Some(at + BLANK_LINE.len()));
        }
        buffer.reserve(2048);
        if stream.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
        }
    }
}

/// Reads until the buffer has this length at least.
pub async fn read_to(stream: &mut TcpStream, buffer: &mut Vec<u8>, length: usize) -> io::Result<()> {
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// The length of what follows a head; 0 where it does not say.
pub fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head);
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let value = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    value.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}
