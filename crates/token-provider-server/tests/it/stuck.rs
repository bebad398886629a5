//! Nobody reads what the server writes: a pipe that is full before the first line. Everything else goes on.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use futures_util::FutureExt as _;
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use token_provider::TokenProvider;
use token_provider_server::parts::config::{Config, Environment, Overrides};
use token_provider_server::parts::telemetry;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::support::issuer::{BreakingClock, PanickingIssuer};
use super::support::port::Port;
use super::support::program::Folder;
use super::support::server::Setup;
use super::support::wire::{Connection, get};
use super::support::within;

/// A second for the log and one for the audit trail, and what a busy machine needs.
const END: Duration = Duration::from_secs(4);
const LOST: &str = "token_provider_log_lines_lost_total";

/// A pipe with no room for another byte. Its reader reads when it is told to.
struct FullPipe {
    reader: File,
    writer: Option<File>,
}

impl FullPipe {
    fn new(folder: &Folder) -> Self {
        let path = folder.pipe("full");
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        // For both, so that opening waits for nobody.
        let reader = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path);
        let reader = reader.expect("can be opened");
        for size in [4096, 1] {
            while (&reader).write(&[b'\n'; 4096][..size]).is_ok() {}
        }
        let writer = OpenOptions::new().write(true).open(&path).expect("can be opened");
        Self { reader, writer: Some(writer) }
    }

    /// The end for the program, where a write waits.
    fn writer(&mut self) -> Stdio {
        self.writer.take().expect("is taken once").into()
    }

    /// What is in the pipe.
    fn read(&mut self) -> String {
        let mut bytes = Vec::new();
        let end = self.reader.read_to_end(&mut bytes).expect_err("we could write to it ourselves");
        assert_eq!(end.kind(), ErrorKind::WouldBlock);
        String::from_utf8(bytes).expect("is text")
    }
}

/// A server with a port for callers and one for metrics.
struct Server {
    child: Child,
    _ports: [Port; 2],
    callers: SocketAddr,
    admin: SocketAddr,
}

impl Server {
    /// Waits until it answers.
    async fn start(folder: &Folder, config: &str, outputs: impl FnOnce(&mut Command)) -> Self {
        let ports = [Port::new(), Port::new()];
        let [callers, admin] = [ports[0].address, ports[1].address];
        let config = format!("listen = ['{callers}']\nadmin.listen = '{admin}'\n{config}");
        folder.write("token-provider.toml", &config);
        let mut command = folder.command(&["serve", "--sandbox"]);
        outputs(&mut command);
        let child = command.spawn().expect("starts");
        within("the start", async { while TcpStream::connect(callers).await.is_err() {} }).await;
        Self { child, _ports: ports, callers, admin }
    }

    /// Held tokens, new ones and health.
    async fn answers(&self) {
        for target in ["/livez", "/getToken?ttl=3600", "/readyz", "/getToken?ttl=60", "/getToken?ttl=7200"] {
            let reply = get(self.callers, target).await;
            assert_eq!(reply.status, 200, "{target}: {reply:?}");
        }
    }

    async fn sample(&self, name: &str) -> usize {
        let page = get(self.admin, "/metrics").await;
        let value = page.text().lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {name}: {page:?}"))
    }

    /// Has tokens handed out until a sample is no longer 0.
    async fn hand_out_until(&self, sample: &str) -> usize {
        within(sample, async {
            let mut connection = Connection::open(self.callers).await;
            let request = format!("GET /getToken?ttl=3600 HTTP/1.1\r\nHost: {}\r\n\r\n", self.callers);
            loop {
                connection.send(request.repeat(500)).await;
                for _ in 0..500 {
                    assert_eq!(connection.reply().await.status, 200);
                }
                let count = self.sample(sample).await;
                if count > 0 {
                    return count;
                }
            }
        })
        .await
    }

    /// Ends it, while nobody reads.
    async fn end(mut self) {
        let id = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("is running");
        kill_process(id, Signal::TERM).expect("can be signalled");
        let asked = Instant::now();
        let status = within("the end", self.child.wait()).await.expect("can be waited for");
        assert!(status.success(), "{status}");
        assert!(asked.elapsed() < END, "{:?}", asked.elapsed());
    }
}

/// Each line whole, with what the reader found before the first.
fn lines(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().filter(|line| !line.is_empty()).map(parse).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_that_nobody_reads_holds_up_no_start_no_answer_and_no_end() {
    let folder = Folder::new();
    let mut pipe = FullPipe::new(&folder);
    let server = Server::start(&folder, "log.level = 'debug'\n", |command| {
        command.stderr(pipe.writer());
    })
    .await;
    server.answers().await;
    assert_eq!(server.sample(LOST).await, 0, "some wait");
    server.hand_out_until(LOST).await;
    server.answers().await;
    server.end().await;
    assert!(pipe.read().trim().is_empty(), "no line has a part in the pipe");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_that_is_read_again_says_how_many_lines_are_missing() {
    let folder = Folder::new();
    let mut pipe = FullPipe::new(&folder);
    let server = Server::start(&folder, "", |command| {
        command.stderr(pipe.writer());
    })
    .await;
    server.hand_out_until(LOST).await;
    let mut text = String::new();
    within("the gap", async {
        while !text.contains("log lines were lost") {
            text.push_str(&pipe.read());
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.answers().await;
    // Requests that were under way when the first line was lost may have lost more.
    let lost = server.sample(LOST).await;
    // What has come since the gap may not fit into the pipe.
    let mut end = pin!(server.end());
    while end.as_mut().now_or_never().is_none() {
        text.push_str(&pipe.read());
        tokio::task::yield_now().await;
    }
    text.push_str(&pipe.read());
    let lines = lines(&text);
    let is_of_start =
        |line: &Value| line["message"].as_str().is_some_and(|text| text.starts_with("listening on "));
    assert!(lines.iter().any(is_of_start), "{lines:?}");
    // The audit trail in the log has its own count.
    let is_gap =
        |line: &&Value| line["message"].as_str().is_some_and(|text| text.ends_with(" log lines were lost"));
    let gaps: Vec<_> = lines.iter().filter(is_gap).collect();
    assert!(gaps.iter().all(|gap| gap["level"] == "ERROR"), "{gaps:?}");
    assert_eq!(gaps.iter().filter_map(|gap| gap["lines"].as_u64()).sum::<u64>(), lost as u64, "{gaps:?}");
    assert_eq!(lines.last().expect("is there")["message"], "stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_trail_on_stdout_that_nobody_reads_holds_up_nothing() {
    let folder = Folder::new();
    let mut pipe = FullPipe::new(&folder);
    let mut server = Server::start(&folder, "audit.to = 'stdout'\n", |command| {
        command.stdout(pipe.writer());
    })
    .await;
    server.answers().await;
    server.hand_out_until("token_provider_audit_lines_lost_total{reason=\"queue_full\"}").await;
    server.answers().await;
    let mut log = BufReader::new(server.child.stderr.take().expect("is piped")).lines();
    within("the report", async {
        while !log.next_line().await.expect("can be read").expect("goes on").contains("audit lines lost") {}
    })
    .await;
    server.end().await;
    assert!(pipe.read().trim().is_empty(), "no line has a part in the pipe");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_trail_in_a_log_that_nobody_reads_counts_what_is_lost_whatever_the_logs_form() {
    for form in ["json", "text"] {
        let folder = Folder::new();
        let mut pipe = FullPipe::new(&folder);
        let server = Server::start(&folder, &format!("log.format = '{form}'\n"), |command| {
            command.stderr(pipe.writer());
        })
        .await;
        server.hand_out_until("token_provider_audit_lines_lost_total{reason=\"queue_full\"}").await;
        server.end().await;
        assert!(pipe.read().trim().is_empty(), "{form}: no line has a part in the pipe");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_on_a_full_disk_holds_up_nothing_and_is_counted() {
    let folder = Folder::new();
    let server = Server::start(&folder, "", |command| {
        command.stderr(File::options().write(true).open("/dev/full").expect("is there"));
    })
    .await;
    server.answers().await;
    within(LOST, async { while server.sample(LOST).await < 3 {} }).await;
    server.end().await;
}

/// No real handler is known to panic. This one does: it runs in its own process, which is this test again, told so by
/// its first argument.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_that_panic_wait_for_no_reader_of_the_log() {
    const NAME: &str = "stuck::handlers_that_panic_wait_for_no_reader_of_the_log";
    const MARK: &str = "PANICKING AT ";
    if std::env::args().any(|argument| argument == "--skip=the-test-proper") {
        let config = Config::parse(None, &Environment::default(), &Overrides::default());
        telemetry::init(config.expect("is well-formed").log, true);
        telemetry::report_panics();
        let provider = TokenProvider::builder(PanickingIssuer).clock(BreakingClock::after(0)).build();
        let server = Setup::default().provider(provider).start().await;
        println!("{MARK}{}", server.address);
        std::future::pending::<()>().await;
    }
    let folder = Folder::new();
    let mut pipe = FullPipe::new(&folder);
    let mut child = Command::new(std::env::current_exe().expect("is there"))
        .args(["--exact", NAME, "--nocapture", "--skip=the-test-proper"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(pipe.writer())
        .kill_on_drop(true)
        .spawn()
        .expect("starts");
    let mut output = BufReader::new(child.stdout.take().expect("is piped")).lines();
    let address = within("the address", async {
        loop {
            let line = output.next_line().await.expect("can be read").expect("goes on");
            if let Some((_, address)) = line.split_once(MARK) {
                return address.parse().expect("is an address");
            }
        }
    })
    .await;
    // More than there are threads.
    for _ in 0..20 {
        assert_eq!(get(address, "/getToken").await.status, 500);
        assert_eq!(get(address, "/livez").await.status, 200);
    }
    let mut text = String::new();
    within("the report", async {
        while text.matches("a handler panicked").count() < 20 {
            text.push_str(&pipe.read());
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(text.contains("panicked at ") && text.contains("planted panic of a clock"), "{text}");
    child.kill().await.expect("can be killed");
}

#[tokio::test]
async fn command_that_fails_ends_although_nobody_reads_why() {
    let folder = Folder::new();
    for (arguments, code) in [(&["token"][..], 78), (&["serve", "--listen", "0.0.0.0:0", "--sandbox"], 78)] {
        let folder_of_pipe = Folder::new();
        let mut pipe = FullPipe::new(&folder_of_pipe);
        let mut child = folder.command(arguments).stderr(pipe.writer()).spawn().expect("starts");
        let status = within("the end", child.wait()).await.expect("can be waited for");
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}
