//! Once everything is dropped, no copy of the access key's secret, of the private key or of the token is in the process's memory.
//!
//! But for the token in HTTP: one copy may be left in the buffer that the HTTP client reads a connection into, until that
//! memory is used again.
//!
//! The test runs itself once more as the process that is looked into, so that the text that is searched for is nowhere in it but
//! where the library read it.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use token_provider::secrecy::ExposeSecret as _;
use token_provider::{
    Credential, HereIssuer, HereIssuerConfig, Issue, Issued, PrivateKey, SigningAlgorithm, TokenError,
    TokenKey, TokenProvider,
};

/// Names what a token is made from, in the process that is looked into.
const ROLE: &str = "MEMORY_TEST_FILE";

/// Of some length, as real ones are: an allocator writes over the first bytes of what is freed.
fn planted(what: &str) -> String {
    let parts: Vec<String> = (0..40).map(|index| format!("{what}{index:02}")).collect();
    parts.concat()
}

#[test]
fn nothing_secret_is_left_when_everything_is_dropped() {
    #[expect(clippy::disallowed_methods, reason = "which of the two processes this is")]
    if let Some(file) = std::env::var_os(ROLE) {
        return live(file.as_ref());
    }
    let (secret, token) = (planted("QzSecret"), planted("QzToken"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("is bound");
    let answer = token.clone();
    std::thread::spawn(move || serve(&listener, &answer));

    let folder = tempfile::tempdir().expect("can be made");
    let file = folder.path().join("credentials.properties");
    let text = format!(
        "here.access.key.id = id\nhere.access.key.secret = {secret}\n\
         here.token.endpoint.url = http://{address}/oauth2/token\n"
    );
    std::fs::write(&file, text).expect("can be written");
    let [secrets, tokens] = left(&file, [&secret, &token]);
    assert!(secrets == 0 && tokens <= 1, "{secrets} copies of the secret, {tokens} of the token");

    let file = folder.path().join("token");
    std::fs::write(&file, &token).expect("can be written");
    assert_eq!(left(&file, [&token]), [0], "copies of the token of another issuer");
    no_private_key_is_left(folder.path(), &format!("http://{address}/oauth2/token"));
}

/// A private key is in memory as AWS-LC keeps it, and never as it was read.
fn no_private_key_is_left(folder: &Path, url: &str) {
    let pem = PrivateKey::generate_pem(SigningAlgorithm::Rs256).expect("randomness is there");
    let lines: Vec<&str> = pem.expose_secret().lines().filter(|line| !line.contains("-----")).collect();
    let der = BASE64.decode(lines.concat()).expect("is base64");
    // Of the private exponent, which is behind the modulus of 2048 bits in PKCS#1, and that behind 26 bytes of PKCS#8.
    let exponent = der.get(26 + 273 + 4 + 64..).and_then(|rest| rest.get(..64)).expect("is longer");
    // A number is in memory with its last byte first.
    let kept: Vec<u8> = exponent.iter().rev().copied().collect();
    let line = lines.get(8).expect("has as many").as_bytes();

    std::fs::write(folder.join("here.pem"), pem.expose_secret()).expect("can be written");
    let file = folder.join("private.properties");
    let text = format!(
        "here.auth.method = private_key_jwt\nhere.client.id = id\nhere.private.key = here.pem\n\
         here.token.endpoint.url = {url}\n"
    );
    std::fs::write(&file, text).expect("can be written");
    let mut process = Process::start(&file);
    process.wait_for("held");
    assert!(process.count(&kept) > 0, "the search finds what is there");
    assert_eq!([line, exponent].map(|read| process.count(read)), [0, 0], "copies of what was read");
    process.go_on();
    process.wait_for("dropped");
    assert_eq!([line, exponent, &kept].map(|part| process.count(part)), [0, 0, 0], "copies of the key");
}

/// Returns how many copies of each text are left at the end of a process that had them.
fn left<const N: usize>(file: &Path, texts: [&str; N]) -> [usize; N] {
    let mut process = Process::start(file);
    process.wait_for("held");
    for text in texts {
        assert!(process.count(middle(text)) > 0, "the search finds what is there");
    }
    process.go_on();
    process.wait_for("dropped");
    texts.map(|text| process.count(middle(text)))
}

/// What an allocator leaves of freed memory is all but its first bytes.
fn middle(text: &str) -> &[u8] {
    text.as_bytes().get(64..128).expect("is longer")
}

/// Answers each request with the token.
fn serve(listener: &TcpListener, token: &str) {
    let body = format!(r#"{{"accessToken":"{token}","tokenType":"bearer","expiresIn":3599}}"#);
    for connection in listener.incoming() {
        let mut connection = connection.expect("a connection comes in");
        let _ = connection.read(&mut [0; 4096]);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = connection.write_all(format!("{head}{body}").as_bytes());
    }
}

/// What a program does with a token, to its end.
#[expect(clippy::print_stdout, reason = "what the other process waits for")]
fn live(file: &Path) {
    let pause = || drop(std::io::stdin().lock().read_line(&mut String::new()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("can be built");
    runtime.block_on(async {
        let provider = if file.ends_with("token") {
            TokenProvider::new(FromFile(file.to_owned()))
        } else {
            let credential = Credential::from_file(file).expect("is well-formed");
            let issuer = HereIssuer::new(HereIssuerConfig::new(credential));
            TokenProvider::new(issuer.expect("can be made"))
        };
        let token = provider.token().await.expect("is handed out");
        assert!(token.expose_secret().starts_with("Qz"), "{token:?}");
        println!("held {:?}", provider.status());
        pause();
    });
    drop(runtime);
    println!("dropped");
    pause();
}

/// An issuer of the program's own.
struct FromFile(PathBuf);

impl Issue for FromFile {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        let token = std::fs::read_to_string(&self.0).expect("is there");
        Ok(Issued::new(token, key.lifetime()))
    }
}

/// The process that is looked into.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(file: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("is known"))
            .args(["--exact", "nothing_secret_is_left_when_everything_is_dropped", "--nocapture"])
            .env(ROLE, file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("can be started");
        let input = child.stdin.take().expect("is a pipe");
        let output = BufReader::new(child.stdout.take().expect("is a pipe"));
        Self { child, input, output }
    }

    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        while !line.starts_with(word) {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).expect("is text"), 0, "ended before it said {word}");
        }
    }

    fn go_on(&mut self) {
        self.input.write_all(b"\n").expect("it listens");
    }

    /// Returns how often 64 bytes are in the memory that the process can write to.
    fn count(&self, part: &[u8]) -> usize {
        let process = format!("/proc/{}", self.child.id());
        let maps = std::fs::read_to_string(format!("{process}/maps")).expect("is a child of ours");
        let memory = File::open(format!("{process}/mem")).expect("is a child of ours");
        let writable = maps.lines().filter(|line| line.contains(" rw"));
        let ranges = writable.filter_map(|line| line.split_once(' ')?.0.split_once('-'));
        let read = |(start, end): (&str, &str)| {
            let address = |hex| u64::from_str_radix(hex, 16).expect("is an address");
            let mut bytes = vec![0; usize::try_from(address(end) - address(start)).expect("fits")];
            // Some mappings cannot be read.
            let _ = memory.read_exact_at(&mut bytes, address(start));
            bytes.windows(64).filter(|window| *window == part).count()
        };
        ranges.map(read).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
