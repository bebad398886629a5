//! A connection over a pipe, where time passes as fast as nothing happens.

use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::Full;
use hyper::Response;
use hyper::header::HeaderValue;
use tokio::io::{DuplexStream, duplex, split};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::*;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// What the pipe holds before it is full.
const PIPE: usize = 4 * 1024;

impl Ended {
    fn is_in_order(&self) -> bool {
        matches!(self, Self::Done(Ok(())) | Self::Closed)
    }
}

/// One end of a connection; the server has the other.
struct Caller {
    stream: DuplexStream,
    served: JoinHandle<Ended>,
    stop: CancellationToken,
    since: Instant,
}

impl Caller {
    fn open<A, F>(answer: A) -> Self
    where
        A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        Self::open_with(|stream, stop| async move { http1(stream, answer, &Limits::default(), &stop).await })
    }

    fn open_http2() -> Self {
        Self::open_with(|stream, stop| async move {
            http2(stream, |request| Some((hello(request), ())), &Limits::default(), &stop).await
        })
    }

    fn open_with<S, F>(serve: S) -> Self
    where
        S: FnOnce(DuplexStream, CancellationToken) -> F,
        F: Future<Output = Ended> + Send + 'static,
    {
        let (stream, server) = duplex(PIPE);
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(server, stop.clone()));
        Self { stream, served, stop, since: Instant::now() }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server reads");
    }

    /// Reads an answer without a body of more than one line.
    async fn status(&mut self) -> u16 {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.expect("an answer comes"));
        }
        let head = String::from_utf8(head).expect("a head is text");
        if head.contains("content-length: 5") {
            let mut body = [0; 5];
            self.stream.read_exact(&mut body).await.expect("the body comes");
        }
        head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("is an answer")
    }

    /// Waits until the server closes. Returns how many seconds that took since the last call.
    async fn seconds_until_closed(&mut self) -> u64 {
        let since = self.since;
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest).await;
        assert_eq!(String::from_utf8_lossy(&rest), "", "closed without a word");
        self.since = Instant::now();
        since.elapsed().as_secs()
    }

    async fn ended(self) -> Ended {
        drop(self.stream);
        self.served.await.expect("does not panic")
    }

    async fn pass(&mut self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
        self.since = Instant::now();
    }
}

async fn hello(_request: Request<Incoming>) -> Answer {
    Response::new(Full::from("hello"))
}

async fn never(_request: Request<Incoming>) -> Answer {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn silent_connection_is_closed_after_the_time_for_a_head() {
    let mut caller = Caller::open(hello);
    assert_eq!(caller.seconds_until_closed().await, 20);
    assert!(matches!(caller.ended().await, Ended::Slow));

    let mut caller = Caller::open_http2();
    // The server's settings come first.
    let mut settings = [0; 9];
    caller.stream.read_exact(&mut settings).await.expect("are sent at once");
    let mut rest = Vec::new();
    let _ = caller.stream.read_to_end(&mut rest).await;
    assert_eq!(caller.since.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn head_that_trickles_is_not_waited_for() {
    let mut caller = Caller::open(hello);
    for byte in REQUEST.iter().take(10) {
        caller.stream.write_all(&[*byte]).await.expect("is taken");
        sleep(Duration::from_millis(1900)).await;
    }
    assert_eq!(caller.seconds_until_closed().await, 20, "from the opening");
}

#[tokio::test(start_paused = true)]
async fn connection_kept_alive_has_its_own_time() {
    let mut caller = Caller::open(hello);
    for _ in 0..3 {
        caller.send(REQUEST).await;
        assert_eq!(caller.status().await, 200);
        // Longer than a head may take: that counts from its first byte.
        caller.pass(70).await;
    }
    caller.send(REQUEST).await;
    assert_eq!(caller.status().await, 200);
    assert_eq!(caller.seconds_until_closed().await, 75);
    assert!(caller.ended().await.is_in_order(), "nobody did anything wrong");
}

#[tokio::test(start_paused = true)]
async fn caller_that_closes_its_side_behind_a_request_is_answered_whenever_it_does() {
    let slow = |request| async {
        sleep(Duration::from_secs(9)).await;
        hello(request).await
    };
    for (idle, answer_takes) in [0, 1, 70].into_iter().flat_map(|idle| [(idle, 0), (idle, 9)]) {
        for earlier in 0..3 {
            let mut caller = if answer_takes > 0 { Caller::open(slow) } else { Caller::open(hello) };
            for _ in 0..earlier {
                caller.send(REQUEST).await;
                assert_eq!(caller.status().await, 200);
                caller.pass(idle).await;
            }
            caller.send(REQUEST).await;
            caller.stream.shutdown().await.expect("is open");
            assert_eq!(caller.status().await, 200, "{earlier} earlier, idle for {idle} s");
            caller.pass(0).await;
            assert_eq!(caller.seconds_until_closed().await, 0);
            assert!(caller.ended().await.is_in_order());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn caller_that_closes_its_side_is_not_waited_for() {
    for (earlier, last) in [(0, &b""[..]), (1, b""), (0, b"GET / HT"), (1, b"GET / HT")] {
        let mut caller = Caller::open(hello);
        for _ in 0..earlier {
            caller.send(REQUEST).await;
            assert_eq!(caller.status().await, 200);
            caller.pass(1).await;
        }
        caller.send(last).await;
        caller.stream.shutdown().await.expect("is open");
        assert_eq!(caller.seconds_until_closed().await, 0, "{earlier} earlier, then {last:?}");
        // Also where nobody reads the answer.
        assert_eq!(caller.ended().await.is_in_order(), last.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn stuck_answer_is_given_up_also_when_its_caller_has_closed_its_side() {
    for closes in [false, true] {
        let mut caller = Caller::open(never);
        caller.send(REQUEST).await;
        if closes {
            caller.stream.shutdown().await.expect("is open");
        }
        let mut answer = vec![0; PIPE];
        let length = caller.stream.read(&mut answer).await.expect("comes");
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("took too long"), "{answer}");
        assert_eq!(caller.since.elapsed().as_secs(), 30);
        caller.pass(0).await;
        assert_eq!(caller.seconds_until_closed().await, if closes { 0 } else { 75 });
    }
}

#[tokio::test(start_paused = true)]
async fn head_that_came_right_behind_a_request_is_not_lost() {
    let mut caller = Caller::open(hello);
    let (first, rest) = REQUEST.split_at(20);
    caller.send(&[REQUEST, first].concat()).await;
    assert_eq!(caller.status().await, 200);
    caller.pass(10).await;
    caller.send(rest).await;
    assert_eq!(caller.status().await, 200);
    caller.send(&[REQUEST, first].concat()).await;
    assert_eq!(caller.status().await, 200);
    caller.pass(0).await;
    assert_eq!(caller.seconds_until_closed().await, 75, "hyper has read it, and nothing more has come");
    assert!(caller.ended().await.is_in_order());
}

#[tokio::test(start_paused = true)]
async fn answer_that_is_taken_in_slowly_comes_whole() {
    const LENGTH: usize = 16 * PIPE;
    for (last_word, closes_at_once) in [("", false), ("Connection: close\r\n", true)] {
        let large = |_request| async { Response::new(Full::from(vec![b'x'; LENGTH])) };
        let mut caller = Caller::open(large);
        caller.send(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{last_word}\r\n").as_bytes()).await;
        assert_eq!(caller.status().await, 200);
        let mut taken = 0;
        while taken < LENGTH {
            caller.pass(1).await;
            let mut some = [0; PIPE];
            taken += caller.stream.read(&mut some[..PIPE.min(LENGTH - taken)]).await.expect("more comes");
        }
        let seconds = caller.seconds_until_closed().await;
        assert_eq!(seconds == 0, closes_at_once, "closed after {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn connection_is_kept_after_every_kind_of_request() {
    let mut caller = Caller::open(hello);
    let post = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nbytes";
    let old = b"GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n";
    let expecting = b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n";
    for request in [REQUEST, post, old, expecting, b"\r\n\r\n", b""] {
        // A blank line in front of a request, or behind its body, is none of it.
        caller.send(&[REQUEST, request, REQUEST, b"\r\n"].concat()).await;
        for _ in 0..if request.len() > 4 { 3 } else { 2 } {
            assert_eq!(caller.status().await, 200);
        }
        caller.pass(1).await;
    }
    assert_eq!(caller.seconds_until_closed().await, 74);
    assert!(caller.ended().await.is_in_order());
}

#[tokio::test(start_paused = true)]
async fn later_head_has_the_same_time_as_the_first() {
    let mut caller = Caller::open(hello);
    caller.send(REQUEST).await;
    assert_eq!(caller.status().await, 200);
    caller.pass(60).await;
    caller.send(b"GET / ").await;
    assert_eq!(caller.seconds_until_closed().await, 20);
    assert!(matches!(caller.ended().await, Ended::Slow));
}

#[tokio::test(start_paused = true)]
async fn answer_that_nobody_takes_in_does_not_hold_a_connection_for_ever() {
    let large = |_request| async { Response::new(Full::from(vec![b'x'; 1024 * PIPE])) };
    let mut caller = Caller::open(large);
    caller.send(REQUEST).await;
    let Caller { stream, served, since, .. } = caller;
    let ended = served.await.expect("does not panic");
    assert_eq!(since.elapsed().as_secs(), 75 + 5, "idle, and then not even a farewell");
    assert!(ended.is_in_order() || matches!(ended, Ended::Slow), "{ended:?}");
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn caller_that_is_still_talking_hears_that_its_head_is_too_large() {
    let mut caller = Caller::open(hello);
    caller.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: ").await;
    // Blocks unless the server reads to the end, as the pipe holds little.
    for _ in 0..256 {
        caller.send(&[b'x'; 4096]).await;
    }
    assert_eq!(caller.status().await, 431);
    assert_eq!(caller.seconds_until_closed().await, 0, "the server's side is closed at once");
    assert!(matches!(caller.ended().await, Ended::Done(Err(_))));
}

#[tokio::test(start_paused = true)]
async fn caller_that_never_stops_talking_is_left() {
    let mut caller = Caller::open(hello);
    caller.send(b"GET / HTTP/1.1\r\nX-Large: ").await;
    let mut sent = 0;
    while caller.stream.write_all(&[b'x'; 1024]).await.is_ok() {
        sent += 1;
        sleep(Duration::from_millis(100)).await;
    }
    assert!((60..80).contains(&sent), "16 for the head, and five seconds more: {sent}");
}

#[tokio::test(start_paused = true)]
async fn unread_body_does_not_cost_the_caller_its_answer() {
    let mut caller = Caller::open(hello);
    caller.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048576\r\n\r\n").await;
    for _ in 0..256 {
        caller.send(&[b'x'; 4096]).await;
    }
    assert_eq!(caller.status().await, 200);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_at_once_when_the_server_stops() {
    let mut fresh = Caller::open(hello);
    let mut used = Caller::open(hello);
    used.send(REQUEST).await;
    assert_eq!(used.status().await, 200);
    // The first request of one may be on its way.
    for (caller, seconds) in [(&mut fresh, 1), (&mut used, 0)] {
        caller.pass(1).await;
        caller.stop.cancel();
        assert_eq!(caller.seconds_until_closed().await, seconds);
    }
    assert!(fresh.ended().await.is_in_order() && used.ended().await.is_in_order());
}

#[tokio::test(start_paused = true)]
async fn first_request_of_a_connection_is_answered_although_the_server_stops() {
    let mut caller = Caller::open(hello);
    caller.pass(0).await;
    caller.stop.cancel();
    sleep(Duration::from_millis(900)).await;
    caller.send(REQUEST).await;
    assert_eq!(caller.status().await, 200);
    caller.pass(0).await;
    assert_eq!(caller.seconds_until_closed().await, 0);
    assert!(caller.ended().await.is_in_order());

    let mut caller = Caller::open_http2();
    caller.pass(0).await;
    caller.stop.cancel();
    sleep(Duration::from_millis(900)).await;
    caller.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    caller.send(&[frame(4, 0, 0, &[]), get(0)].concat()).await;
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        answer.push(caller.stream.read_u8().await.expect("an answer comes"));
    }
}

#[tokio::test(start_paused = true)]
async fn answer_under_way_is_finished_when_the_server_stops() {
    let slow = |request| async {
        sleep(Duration::from_secs(11)).await;
        hello(request).await
    };
    let mut caller = Caller::open(slow);
    caller.send(REQUEST).await;
    caller.pass(1).await;
    caller.stop.cancel();
    assert_eq!(caller.status().await, 200);
    assert_eq!(caller.since.elapsed().as_secs(), 10);
    caller.pass(0).await;
    assert_eq!(caller.seconds_until_closed().await, 0);
    assert!(caller.ended().await.is_in_order());
}

#[tokio::test(start_paused = true)]
async fn answer_that_takes_too_long_is_cut_off_when_the_server_stops() {
    let mut caller = Caller::open(never);
    caller.send(REQUEST).await;
    caller.pass(1).await;
    caller.stop.cancel();
    assert_eq!(caller.seconds_until_closed().await, 12);
    assert!(matches!(caller.ended().await, Ended::CutOff));
}

#[tokio::test(start_paused = true)]
async fn head_that_trickles_does_not_hold_up_a_stop() {
    let mut caller = Caller::open(hello);
    caller.send(b"GET / HTTP/1.1\r\n").await;
    caller.pass(1).await;
    caller.stop.cancel();
    assert_eq!(caller.seconds_until_closed().await, 1);
}

#[tokio::test(start_paused = true)]
async fn requests_beside_the_last_one_of_an_http2_connection_have_as_long_as_ever() {
    let is_first = AtomicBool::new(true);
    let answer = move |request| {
        let is_first = is_first.swap(false, Ordering::Relaxed);
        let answer = async move {
            // Longer than the grace of a server that stops.
            sleep(Duration::from_secs(if is_first { 0 } else { 25 })).await;
            let mut answer = hello(request).await;
            if is_first {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            answer
        };
        Some((answer, ()))
    };
    let Caller { mut stream, served, .. } =
        Caller::open_with(
            |stream, stop| async move { http2(stream, answer, &Limits::default(), &stop).await },
        );
    let settings = frame(4, 0, 0, &[]);
    let requests = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings, &get(0), &get(1)].concat();
    stream.write_all(&requests).await.expect("the server reads");
    let mut sent = Vec::new();
    let _ = stream.read_to_end(&mut sent).await;
    let answers = sent.windows(5).filter(|bytes| bytes == b"hello").count();
    assert_eq!(answers, 2, "{sent:?}");
    drop(stream);
    assert!(served.await.expect("does not panic").is_in_order());
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("is short");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// `GET http://localhost/`.
fn get(number: u8) -> Vec<u8> {
    const END: u8 = 1 | 4;
    frame(1, END, number * 2 + 1, &[&[0x82, 0x86, 0x84, 0x41, 9][..], b"localhost"].concat())
}

/// Lets so many octets of an answer come.
fn take(number: u8, octets: u8) -> Vec<u8> {
    frame(8, 0, number * 2 + 1, &[0, 0, 0, octets])
}

/// Begins with a window for each answer; sends what it is given for each half minute, and a PING. Says when the server closes.
async fn seconds_with_pings(window: u8, first: Vec<u8>, each: impl Fn(u8) -> Vec<u8>) -> u64 {
    let Caller { stream, since, .. } = Caller::open_http2();
    let (mut read, mut write) = split(stream);
    let reading = async move {
        let _ = read.read_to_end(&mut Vec::new()).await;
        since.elapsed().as_secs()
    };
    let sending = async {
        let settings = frame(4, 0, 0, &[0, 4, 0, 0, 0, window]);
        let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings, &first].concat();
        write.write_all(&hello).await.expect("the server reads");
        for half_minute in 0..30 {
            let sent = [each(half_minute), frame(6, 0, 0, &[0; 8])].concat();
            // It may have closed.
            let _ = write.write_all(&sent).await;
            sleep(Duration::from_secs(30)).await;
        }
    };
    tokio::pin!(reading, sending);
    tokio::select! {
        closed = &mut reading => closed,
        () = sending => u64::MAX,
    }
}

#[tokio::test(start_paused = true)]
async fn pings_do_not_keep_an_http2_connection_open() {
    let nothing = |_| Vec::new();
    let idle = seconds_with_pings(100, get(0), nothing).await;
    assert!((75..=80).contains(&idle), "answered and idle: {idle}");

    let all: Vec<u8> = (0..20).flat_map(get).collect();
    let untaken = seconds_with_pings(0, all.clone(), nothing).await;
    assert_eq!(untaken, 30 + 75, "twenty answers that nobody takes in");

    let in_part = seconds_with_pings(1, all, nothing).await;
    assert!((75..=80).contains(&in_part), "twenty answers of which the first octet is taken in: {in_part}");

    let others = |number| [get(number + 1), take(number + 1, 100)].concat();
    let beside_others = seconds_with_pings(0, get(0), others).await;
    assert_eq!(beside_others, 30 + 75, "an answer that nobody takes in, beside others");

    let used = seconds_with_pings(100, Vec::new(), get).await;
    assert_eq!(used, u64::MAX, "a connection in use is kept");
}
