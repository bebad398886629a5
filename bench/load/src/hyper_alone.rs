//! What the HTTP library costs by itself: hyper, which parses each request and writes an answer that was made before. What
//! token-provider takes beyond this is its own.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::Result;
use crate::http::BLANK_LINE;

pub async fn run(answer: &[u8]) -> Result<()> {
    let (headers, body) = parse(answer)?;
    let answer: &'static (HeaderMap, Bytes) = Box::leak(Box::new((headers, body)));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", json!({ "port": listener.local_addr()?.port() }));
    loop {
        let (stream, _) = listener.accept().await?;
        // A client that goes away is no news.
        tokio::spawn(async move { serve(stream, answer).await.ok() });
    }
}

async fn serve(stream: TcpStream, (headers, body): &(HeaderMap, Bytes)) -> Result<()> {
    stream.set_nodelay(true)?;
    let service = service_fn(|_request: Request<Incoming>| async {
        let mut answer = Response::new(Full::new(body.clone()));
        *answer.headers_mut() = headers.clone();
        Ok::<_, Infallible>(answer)
    });
    http1::Builder::new()
        .header_read_timeout(None::<std::time::Duration>)
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

/// Takes an answer apart. What hyper writes by itself is left out.
fn parse(answer: &[u8]) -> Result<(HeaderMap, Bytes)> {
    let end =
        answer.windows(BLANK_LINE.len()).position(|window| window == BLANK_LINE).ok_or("no blank line")?;
    let mut headers = HeaderMap::new();
    for line in std::str::from_utf8(&answer[..end])?.lines().skip(1) {
        let (name, value) = line.split_once(": ").ok_or("no header")?;
        headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    headers.remove(CONTENT_LENGTH);
    headers.remove(DATE);
    Ok((headers, Bytes::copy_from_slice(&answer[end + BLANK_LINE.len()..])))
}
