//! What does not need a real server, against one that says what the test wants.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::{Config, Environment, Overrides, StorePlace};

const LIFE: Duration = Duration::from_secs(60);

/// The answers to what `connect` sends.
const GOOD: [&str; 7] = [
    "%0\r\n",
    ">3\r\n$9\r\nsubscribe\r\n$6\r\ntp1:ev\r\n:1\r\n",
    ":1\r\n",
    "$5\r\nprobe\r\n",
    "*1\r\n*2\r\n$5\r\nprobe\r\n:10000\r\n",
    ":1\r\n",
    ":1\r\n",
];
const NOTICE: &str = ">3\r\n$7\r\nmessage\r\n$6\r\ntp1:ev\r\n$0\r\n\r\n";

fn valkey(folder: &Path, url: &str, more: &str) -> Valkey {
    let text = format!("[store]\nurl = '{url}'\nkey_file = 'k'\n{more}");
    let file = Some((&*folder.join("c.toml"), &*text));
    let config = Config::parse(file, &Environment::default(), &Overrides::default()).expect("is in order");
    let config = config.store.expect("is there");
    let StorePlace::Valkey { topology, nodes } = &config.place else { panic!("{text}") };
    Valkey::new(&config, topology, nodes)
}

/// A server that answers the commands of each connection with these, and then no more.
struct Server {
    url: String,
    /// How many commands have come.
    commands: Arc<AtomicUsize>,
}

impl Server {
    async fn start(answers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("redis://{}", listener.local_addr().expect("is bound"));
        let (answers, commands) =
            (answers.into_iter().map(Into::into).collect::<Vec<String>>(), Arc::<AtomicUsize>::default());
        let counter = Arc::clone(&commands);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, answers.clone(), Arc::clone(&counter)));
            }
        });
        Self { url, commands }
    }

    fn commands(&self) -> usize {
        self.commands.load(Ordering::Relaxed)
    }
}

async fn answer(stream: TcpStream, answers: Vec<String>, commands: Arc<AtomicUsize>) -> Option<()> {
    let mut stream = BufStream::new(stream);
    for answer in answers {
        for _ in 0..number(&mut stream).await? {
            let length = number(&mut stream).await?;
            let mut part = vec![0; length + 2];
            stream.read_exact(&mut part).await.ok()?;
        }
        commands.fetch_add(1, Ordering::Relaxed);
        stream.write_all(answer.as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
    }
    Some(())
}

/// Reads `*3` or `$5`.
async fn number(stream: &mut BufStream<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.trim_end().get(1..)?.parse().ok()
}

#[tokio::test]
async fn password_that_a_server_repeats_is_not_shown() {
    let folder = tempfile::tempdir().expect("can be made");
    fs::write(folder.path().join("password"), "planted-secret\n").expect("can be written");
    let refusal =
        "-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'default' 'planted-secret'\r\n";
    let server = Server::start([refusal]).await;
    let valkey = valkey(folder.path(), &server.url, "password_file = 'password'");
    assert_eq!(valkey.connect().await, Err("ERR unknown command 'HELLO'".to_owned()));
    assert!(!format!("{valkey:?}").contains("planted-secret"));
    let server = Server::start(["-ERR bad auth 'default' 'planted-secret'\r\n"]).await;
    let valkey = self::valkey(folder.path(), &server.url, "password_file = 'password'");
    assert_eq!(valkey.connect().await, Err("ERR bad auth 'default' '…'".to_owned()));
}

#[tokio::test]
async fn what_a_server_refuses_is_tried_again_by_connecting_alone() {
    let folder = tempfile::tempdir().expect("can be made");
    let refusal = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
    let server = Server::start(GOOD.into_iter().chain([refusal, "*1\r\n*2\r\n$1\r\nx\r\n:5\r\n"])).await;
    let valkey = valkey(folder.path(), &server.url, "");
    let is_refused = Err("OOM command not allowed when used memory > 'maxmemory'.".to_owned());
    assert_eq!(valkey.read(["a"]).await, Err("not connected".to_owned()));
    valkey.connect().await.expect("works");
    assert_eq!(valkey.announce("a", b"x", LIFE).await, is_refused);
    assert_eq!(valkey.read(["a"]).await, is_refused.map(|()| [None]), "although it could be read");
    assert_eq!(server.commands(), 8);
    valkey.connect().await.expect("works");
    assert_eq!(server.commands(), 15);
    assert!(valkey.announce("a", b"x", LIFE).await.is_err());
}

#[tokio::test]
async fn operations_end_with_the_connection() {
    let folder = tempfile::tempdir().expect("can be made");
    let server = Server::start(GOOD).await;
    let valkey = valkey(folder.path(), &server.url, "");
    valkey.connect().await.expect("works");
    valkey.announce("a", b"x", LIFE).await.expect_err("it is closed");
    valkey.announce("a", b"x", LIFE).await.expect_err("it is closed");
    assert!(valkey.connect().await.is_ok());
}

#[tokio::test]
async fn record_without_an_end_is_not_ours() {
    let folder = tempfile::tempdir().expect("can be made");
    let found = "*3\r\n*2\r\n$1\r\nx\r\n:1500\r\n*2\r\n$1\r\nx\r\n:-1\r\n*2\r\n_\r\n:-2\r\n";
    let server = Server::start(GOOD.into_iter().chain([found, found])).await;
    let valkey = valkey(folder.path(), &server.url, "");
    valkey.connect().await.expect("works");
    let first = Some((b"x".to_vec(), Duration::from_millis(1500)));
    assert_eq!(valkey.read(["a", "b", "c"]).await, Ok([first, None, None]));
    assert_eq!(valkey.read(["a", "b"]).await, Err(UNEXPECTED.to_owned()), "they are three");
}

#[tokio::test]
async fn answer_that_cannot_be_read_is_not_shown() {
    let folder = tempfile::tempdir().expect("can be made");
    let planted = "$14\r\nplanted-record\r\n";
    let server = Server::start(GOOD.into_iter().chain([planted, planted, "planted-nothing\r\n"])).await;
    let valkey = valkey(folder.path(), &server.url, "");
    valkey.connect().await.expect("works");
    assert_eq!(valkey.read(["a"]).await, Err(UNEXPECTED.to_owned()));
    assert_eq!(valkey.lease("a").await, Err(UNEXPECTED.to_owned()));
    assert_eq!(valkey.lease("a").await, Err(UNEXPECTED.to_owned()));
}

#[tokio::test]
async fn notices_wake_and_so_does_a_new_connection() {
    let folder = tempfile::tempdir().expect("can be made");
    let server = Server::start(GOOD.into_iter().chain([NOTICE])).await;
    let valkey = valkey(folder.path(), &server.url, "");
    valkey.connect().await.expect("works");
    valkey.noticed().await;
    let (published, ()) = tokio::join!(valkey.announce("a", b"x", LIFE), valkey.noticed());
    published.expect_err("the notice is no answer");
}

#[tokio::test]
async fn sentinel_that_answers_first_names_the_server() {
    let folder = tempfile::tempdir().expect("can be made");
    let server = Server::start(GOOD.map(str::to_owned).into_iter().chain(["+OK\r\n".to_owned()])).await;
    let port = server.url.rsplit(':').next().expect("has a port");
    let address = format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len());
    let [hangs, answers, knows_none] = [
        Server::start([""; 2]).await,
        Server::start(["%0\r\n", &address]).await,
        Server::start(["%0\r\n", "*-1\r\n"]).await,
    ]
    .map(|sentinel| sentinel.url.replace("redis://", ""));
    let url = format!("redis-sentinel://{hangs}?node={knows_none}&node={answers}&sentinelServiceName=x");
    let good = valkey(folder.path(), &url, "");
    good.connect().await.expect("works");
    good.announce("a", b"x", LIFE).await.expect("works");

    let url = format!("redis-sentinel://{knows_none}?sentinelServiceName=x");
    let unknown = Err("Sentinel knows no server of the name in store.url".to_owned());
    assert_eq!(valkey(folder.path(), &url, "").connect().await, unknown);
}

#[tokio::test]
async fn connection_that_fails_leaves_the_one_before() {
    let folder = tempfile::tempdir().expect("can be made");
    let password = folder.path().join("password");
    fs::write(&password, "x").expect("can be written");
    let server = Server::start(GOOD.into_iter().chain(["+OK\r\n"])).await;
    let valkey = valkey(folder.path(), &server.url, "password_file = 'password'");
    valkey.connect().await.expect("works");
    fs::write(&password, "\n").expect("can be written");
    let empty = format!("{}: expected a password", password.display());
    assert_eq!(valkey.connect().await, Err(empty));
    assert_eq!(valkey.announce("a", b"x", LIFE).await, Ok(()));
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().expect("can be made");
    let text = "-----BEGIN CERTIFICATE-----\nplanted\n-----END CERTIFICATE-----\n";
    fs::write(folder.path().join("cert"), text).expect("can be written");
    for (more, expected) in [
        ("ca = 'absent'", "absent: cannot be read: No such file or directory (os error 2)"),
        ("ca = 'cert'\ncert = 'cert'\nkey = 'cert'", "cert: expected PEM text with a PRIVATE KEY"),
        ("password_file = '.'", "it is not a file"),
    ] {
        let problem = valkey(folder.path(), "rediss://127.0.0.1:1", more).connect().await.unwrap_err();
        assert!(problem.ends_with(expected) && !problem.contains("planted"), "{problem}");
    }
}

#[tokio::test]
async fn check_warns_of_what_is_unwise() {
    let folder = tempfile::tempdir().expect("can be made");
    let plain = "the connection is not encrypted";
    let open = "store.user is not set";
    for (url, more, expected) in [
        ("redis://127.0.0.1", "", &[open][..]),
        ("redis://localhost", "password_file = 'p'", &[open]),
        ("redis://valkey.example.com", "user = 'u'\npassword_file = 'p'", &[plain]),
        ("redis-cluster://127.0.0.1?node=valkey.example.com", "", &[plain, open]),
        ("rediss://valkey.example.com", "user = 'u'\npassword_file = 'p'", &[]),
    ] {
        let warnings = valkey(folder.path(), url, more).warnings().await;
        assert_eq!(warnings.len(), expected.len(), "{url}: {warnings:?}");
        assert!(
            warnings.iter().zip(expected).all(|(warning, start)| warning.starts_with(start)),
            "{warnings:?}"
        );
    }
    for (policy, evicts) in [("allkeys-lru", true), ("volatile-ttl", true), ("noeviction", false)] {
        let memory = format!("# Memory\r\nmaxmemory:100000\r\nmaxmemory_policy:{policy}");
        let memory = format!("={}\r\ntxt:{memory}\r\n", memory.len() + 4);
        let answers = GOOD.map(str::to_owned).into_iter().chain([memory]);
        let server = Server::start(answers).await;
        let valkey = valkey(folder.path(), &server.url, "");
        valkey.connect().await.expect("works");
        let warnings = valkey.warnings().await;
        assert_eq!(warnings.iter().any(|warning| warning.contains("noeviction")), evicts, "{policy}");
    }
}
