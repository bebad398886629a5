//! An issuer that costs nothing: no signature is checked, every token request is answered after a fixed time, with a
//! token that has its own number in it.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::Result;
use crate::http::{content_length, read_head, read_to};

static REQUESTS: AtomicU64 = AtomicU64::new(0);

pub async fn run(token_length: usize, expires_in: u64, delay_millis: u64) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", json!({ "port": listener.local_addr()?.port() }));
    loop {
        let (stream, _) = listener.accept().await?;
        let delay = Duration::from_millis(delay_millis);
        tokio::spawn(async move { serve(stream, token_length, expires_in, delay).await.ok() });
    }
}

async fn serve(
    mut stream: TcpStream,
    token_length: usize,
    expires_in: u64,
    delay: Duration,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(head) = read_head(&mut stream, &mut buffer).await? {
        let end = head + content_length(&buffer[..head]);
        read_to(&mut stream, &mut buffer, end).await?;
        let body = if buffer.starts_with(b"POST ") {
            let number = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let access_token = token(number, token_length);
            json!({ "accessToken": access_token, "tokenType": "bearer", "expiresIn": expires_in })
        } else {
            json!({ "count": REQUESTS.load(Ordering::Relaxed) })
        };
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await?;
        buffer.drain(..end);
    }
    Ok(())
}

/// A number in eight digits, and then filling that looks like what tokens are made of.
fn token(number: u64, length: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let filling = (0..length).map(|place| char::from(ALPHABET[(place * place + place / 7) % ALPHABET.len()]));
    format!("{number:08}.").chars().chain(filling).take(length).collect()
}
