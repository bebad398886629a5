//! The program itself, in its own folder and environment.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use here_sandbox::{Sandbox, SandboxConfig};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr, Command};

use super::within;

const PROGRAM: &str = env!("CARGO_BIN_EXE_token-provider");

/// A folder to run the program in. It is also its home, and nothing of this machine's environment is let through.
#[derive(Debug)]
pub(crate) struct Folder {
    folder: TempDir,
    environment: Vec<(&'static str, OsString)>,
}

/// A user that is not the one of the tests, where these are run by root as in CI; else there is only the one.
pub(crate) const OTHER_USER: u32 = 65_534;

/// How a run ended, and what it said.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A run that goes on until it is told to stop. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    logged: Vec<String>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("can be made"), environment: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn set(&mut self, variable: &'static str, value: impl Into<OsString>) {
        self.environment.push((variable, value.into()));
    }

    /// Creates a named pipe: reading it blocks, as on a network file system whose server is gone.
    pub(crate) fn pipe(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        make_pipe(&path);
        path
    }

    /// Writes a file that nobody else may read.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("can be written");
        set_mode(&path, 0o600);
        path
    }

    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        self.in_here(command)
    }

    fn in_here(&self, mut command: Command) -> Command {
        command
            .env_clear()
            .env("HOME", self.folder.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// The same as another user, to whom the folder then belongs. It has a copy of the program that it can reach.
    pub(crate) fn command_of_other<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        if !is_root() {
            return self.command(arguments);
        }
        let mut command = self.given_away("setpriv");
        let id = OTHER_USER.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
        command.arg(self.path("program")).args(arguments);
        command
    }

    /// The same with the folder as root directory, where it finds what it is linked with.
    pub(crate) fn command_in_its_own_root<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_token-provider"));
        let listed = std::process::Command::new("ldd").arg(program).output().expect("can be run").stdout;
        let listed = String::from_utf8(listed).expect("is text");
        let libraries = listed.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new);
        // What is trusted is looked for although nobody here speaks TLS.
        let trusted = Path::new("/etc/ssl/certs/ca-certificates.crt");
        for file in libraries.chain([trusted]) {
            let copy = self.path(file.strip_prefix("/").expect("is absolute").to_str().expect("is text"));
            fs::create_dir_all(copy.parent().expect("has one")).expect("can be made");
            fs::copy(file, copy).expect("can be copied");
        }
        fs::create_dir_all(self.path("etc/token-provider")).expect("can be made");
        let mut command = self.given_away("chroot");
        let user = format!("--userspec={OTHER_USER}:{OTHER_USER}");
        command.args([&user, "--groups="]).arg(self.path("")).arg("/program").args(arguments);
        command
    }

    /// Runs a tool that gives its place to a copy of the program, as the other user.
    fn given_away(&self, tool: &str) -> Command {
        let program = self.path("program");
        if !program.exists() {
            fs::copy(env!("CARGO_BIN_EXE_token-provider"), program).expect("can be copied");
        }
        std::os::unix::fs::chown(self.path(""), Some(OTHER_USER), Some(OTHER_USER)).expect("is ours to give");
        let mut command = Command::new(tool);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs the program to its end.
    pub(crate) async fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Outcome {
        Outcome::of(self.command(arguments)).await
    }

    /// Starts the program, and leaves it running.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Running {
        Self::spawn(self.command(arguments))
    }

    /// The same, with no more open files than this.
    pub(crate) fn start_with_files<S: AsRef<OsStr>>(&self, files: u32, arguments: &[S]) -> Running {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\""), PROGRAM]).args(arguments);
        Self::spawn(self.in_here(command))
    }

    /// The same for a command that was made ready before.
    pub(crate) fn spawn(mut command: Command) -> Running {
        let mut child = command.spawn().expect("starts");
        let stderr = child.stderr.take().expect("is piped");
        Running { child, log: BufReader::new(stderr).lines(), logged: Vec::new() }
    }
}

impl Outcome {
    /// Runs a command to its end.
    pub(crate) async fn of(mut command: Command) -> Self {
        let child = command.spawn().expect("starts");
        let output = within("the program's end", child.wait_with_output()).await.expect("can be waited for");
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("is text"),
            stderr: String::from_utf8(output.stderr).expect("is text"),
        }
    }
}

impl Running {
    /// Waits for a line of the log that holds this text, and returns its message.
    pub(crate) async fn logged(&mut self, text: &str) -> String {
        loop {
            let line = within("a line of the log", self.log.next_line()).await.expect("can be read");
            let Some(line) = line else { panic!("ended without {text:?}: {:#?}", self.logged) };
            self.logged.push(line.clone());
            let message = serde_json::from_str::<Value>(&line).ok();
            let message = message.and_then(|entry| Some(entry["message"].as_str()?.to_owned()));
            if let Some(message) = message.filter(|message| message.contains(text)) {
                return message;
            }
        }
    }

    /// The line of the log that was read last.
    pub(crate) fn last_line(&self) -> &str {
        self.logged.last().map_or("", String::as_str)
    }

    /// The address that the server says it listens at; the first of several.
    pub(crate) async fn address(&mut self) -> std::net::SocketAddr {
        let message = self.logged("listening on http://").await;
        address_after(&message, "listening on http://")
    }

    /// The same, and the address for metrics and status.
    pub(crate) async fn addresses(&mut self) -> [std::net::SocketAddr; 2] {
        let message = self.logged("listening on http://").await;
        ["listening on http://", "metrics and status at http://"].map(|words| address_after(&message, words))
    }

    /// The address in what was logged so far.
    pub(crate) fn first_address(&self) -> std::net::SocketAddr {
        let line = self.logged.iter().find(|line| line.contains("listening on http://"));
        address_after(line.map_or("", String::as_str), "listening on http://")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(id.expect("is running"), signal).expect("can be signalled");
    }

    /// Waits for the end. Returns how it ended, what went to stdout, and the whole log.
    pub(crate) async fn end(mut self) -> (ExitStatus, String, Vec<String>) {
        let mut stdout = String::new();
        let mut pipe = self.child.stdout.take().expect("is piped");
        within("the end of stdout", pipe.read_to_string(&mut stdout)).await.expect("is text");
        while let Some(line) = within("the log's end", self.log.next_line()).await.expect("can be read") {
            self.logged.push(line);
        }
        let status = within("the program's end", self.child.wait()).await.expect("can be waited for");
        (status, stdout, self.logged)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("is running")
    }

    /// The most memory that it has had at once, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory that it has, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("can be read");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("is there");
        line.trim().trim_end_matches(" kB").parse().expect("is a number")
    }

    /// The arguments that everybody on the machine can see.
    pub(crate) fn visible_arguments(&self) -> String {
        let id = self.id();
        let bytes = if cfg!(target_os = "linux") {
            fs::read(format!("/proc/{id}/cmdline")).expect("can be read")
        } else {
            let mut shown = std::process::Command::new("ps");
            shown.args(["-ww", "-o", "args=", "-p", &id.to_string()]).output().expect("can be run").stdout
        };
        assert!(!bytes.is_empty(), "it runs");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// An offline HERE account in this process, for the program to ask.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) sandbox: Sandbox,
    pub(crate) origin: String,
}

impl Account {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let origin = format!("http://{}", listener.local_addr().expect("is bound"));
        let sandbox = Sandbox::new(SandboxConfig::generate());
        let running = sandbox.clone();
        // Ends with the test's runtime.
        tokio::spawn(async move { running.serve(vec![listener]).await });
        Self { sandbox, origin }
    }

    /// What the portal would offer for download.
    pub(crate) fn credentials(&self) -> String {
        self.sandbox.credentials_properties(&format!("{}/oauth2/token", self.origin))
    }

    /// The secret in it.
    pub(crate) fn secret(&self) -> String {
        let text = self.credentials();
        let value = text.lines().find_map(|line| line.strip_prefix("here.access.key.secret = "));
        value.expect("is there").to_owned()
    }
}

pub(crate) fn address_after(message: &str, words: &str) -> std::net::SocketAddr {
    let rest = message.split(words).nth(1).unwrap_or_default();
    let address = rest.split([' ', ';', '"']).next().unwrap_or_default();
    address.parse().unwrap_or_else(|_| panic!("no address after {words:?}: {message}"))
}

/// Gives everybody who reads from a pipe this text, one reader after the other, until the test is over.
pub(crate) fn feed(pipe: PathBuf, text: &str) {
    let text = text.to_owned();
    // Not of the runtime, which would wait for it: it is left waiting for a reader that does not come.
    std::thread::spawn(move || {
        // Opening waits for a reader.
        while let Ok(mut writer) = fs::File::options().write(true).open(&pipe) {
            // The next reader gets its own pipe: at this one it could meet the end of what is meant for the first.
            let next = pipe.with_extension("next");
            make_pipe(&next);
            if fs::rename(next, &pipe).is_err() || writer.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    });
}

fn make_pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg("-m").arg("600").arg(path).status();
    assert!(made.expect("can be run").success());
}

/// Whether the tests may act as other users.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("is ours");
}
