//! The program `here-sandbox`, run as its users do.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A program that runs, and is killed when it is dropped.
struct Program {
    child: Child,
    address: String,
}

impl Program {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let arguments = [&["--listen", "127.0.0.1:0"], arguments].concat();
        let mut child = command(folder, &arguments).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = log.map(Result::unwrap).find(|line| line.contains("an offline HERE account at http://"));
        let address = line.unwrap().split("http://").nth(1).unwrap().to_owned();
        Self { child, address }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_here-sandbox"));
    command.env_clear().current_dir(folder).stdin(Stdio::null()).args(arguments);
    command
}

/// The exit code, and what went to standard error.
fn run(folder: &TempDir, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(folder.path(), arguments).output().unwrap();
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn account_is_the_same_again_with_the_file_that_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let write = ["--write-credentials", "a.properties", "--fault", r#"{"lifetime_s": 7}"#];
    let mut first = Program::start(folder.path(), &write);
    let file = folder.path().join("a.properties");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(&format!("here.token.endpoint.url = http://{}/oauth2/token\n", first.address)));
    assert!(first.get("/timestamp").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(first.get("/sandbox/faults").ends_with(r#"[{"lifetime_s":7,"target":"token"}]"#));
    kill_process(Pid::from_child(&first.child), Signal::TERM).unwrap();
    assert_eq!(first.child.wait().unwrap().code(), Some(0));

    let again = ["--credentials", "a.properties", "--write-credentials", "b.properties"];
    let second = Program::start(folder.path(), &again);
    let other = fs::read_to_string(folder.path().join("b.properties")).unwrap();
    assert_eq!(other.replace(&second.address, &first.address), text);
}

#[test]
fn what_cannot_be_used_ends_with_its_exit_code_and_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("there"), "here.access.key.id = an-id\n").unwrap();
    for (arguments, code, expected) in [
        (
            &["--listen", "127.0.0.1:0", "--write-credentials", "there"][..],
            2,
            "there already exists and is not overwritten",
        ),
        (&["--write-credentials", "c", "--listen", "192.0.2.1:8080"], 2, "loopback only"),
        (&["--listen", "unix:/tmp/x"], 2, "one TCP port"),
        (&["--listen", "192.0.2.1:0"], 1, "cannot listen on 192.0.2.1:0"),
        (&["--fault", "503"], 2, "expected JSON such as"),
        (&["--credentials", "there"], 78, "there: here.access.key.id or here.access.key.secret is missing"),
        (&["--credentials", "absent"], 78, "cannot read absent"),
        (&["--nonsense"], 2, "--nonsense"),
    ] {
        let (found, text) = run(&folder, arguments);
        assert!(found == Some(code) && text.contains(expected), "{arguments:?}: {found:?} {text}");
        assert!(!text.contains("an-id"), "{text}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("there")).unwrap(), "here.access.key.id = an-id\n");
    assert!(!folder.path().join("c").exists());
}
