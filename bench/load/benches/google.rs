//! What a held token costs to get from another public cache: google-cloud-auth's, whose tokens come from a metadata
//! server, here one on this machine.

use std::hint::black_box;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use google_cloud_auth::credentials::{AccessTokenCredentials, mds};
use tokio::runtime::Runtime;

/// Answers every request with a token that lives for a day.
fn metadata_server() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || listener.incoming().flatten().try_for_each(|stream| answer_all(&stream)));
    Ok(format!("http://{address}"))
}

fn answer_all(mut stream: &TcpStream) -> io::Result<()> {
    let token = "x".repeat(800);
    let body = format!(r#"{{"access_token":"{token}","expires_in":86400,"token_type":"Bearer"}}"#);
    let length = body.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    for line in BufReader::new(stream).lines() {
        if line?.is_empty() {
            stream.write_all((head.clone() + &body).as_bytes())?;
        }
    }
    Ok(())
}

/// Takes a held token `count` times.
async fn take(credentials: AccessTokenCredentials, count: u64) {
    for _ in 0..count {
        black_box(credentials.access_token().await.expect("is a token"));
    }
}

fn held_token(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("can be made");
    let credentials = runtime.block_on(async {
        let endpoint = metadata_server().expect("can listen");
        let builder = mds::Builder::default().with_endpoint(endpoint);
        let credentials = builder.build_access_token_credentials().expect("can be made");
        take(credentials.clone(), 1).await;
        credentials
    });
    criterion.bench_function("google-cloud-auth", |bencher| {
        bencher.iter_custom(|count| {
            let began = Instant::now();
            runtime.block_on(take(credentials.clone(), count));
            began.elapsed()
        });
    });
    criterion.bench_function("google-cloud-auth, two threads", |bencher| {
        bencher.iter_custom(|count| from_two_threads(count, &credentials, &runtime));
    });
}

/// Has two threads take a token `count` times each, at the same time. Returns how long the slower one took.
fn from_two_threads(count: u64, credentials: &AccessTokenCredentials, runtime: &Runtime) -> Duration {
    let start = Arc::new(Barrier::new(2));
    thread::scope(|scope| {
        let threads = [(), ()].map(|()| {
            let (start, credentials) = (Arc::clone(&start), credentials.clone());
            scope.spawn(move || {
                start.wait();
                let began = Instant::now();
                runtime.block_on(take(credentials, count));
                began.elapsed()
            })
        });
        threads.map(|thread| thread.join().expect("has ended well")).into_iter().max().unwrap_or_default()
    })
}

criterion_group!(benches, held_token);
criterion_main!(benches);
