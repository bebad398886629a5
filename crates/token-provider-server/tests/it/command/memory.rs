//! The memory of the process, where the access key is: nobody but root can look at it, and no core file has it.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, chown};

use rustix::process::{Resource, getrlimit, getuid, setrlimit};
use tokio::process::Command;
use tokio::sync::oneshot;

use crate::support::program::Folder;
use crate::support::within;

/// `nobody`. Root's processes are root's whatever they do, so that the program has to be run by somebody else.
const NOBODY: u32 = 65534;

/// The program, in that folder, by a user who is not root.
fn command(folder: &Folder, arguments: &[&str]) -> Command {
    let command = folder.command(arguments);
    if !getuid().is_root() {
        return command;
    }
    // Where it was built, nobody else may have a way to it.
    let copy = folder.path("program");
    if !copy.exists() {
        fs::copy(env!("CARGO_BIN_EXE_token-provider"), &copy).expect("can be copied");
    }
    for path in [folder.path(""), folder.path("credentials.properties")] {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root may");
    }
    let mut by_nobody = Command::new(copy);
    by_nobody.args(arguments).env_clear().current_dir(folder.path("")).uid(NOBODY).gid(NOBODY);
    by_nobody
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true);
    by_nobody
}

/// Waits until the program opens a pipe to read it, which it then does for as long as the returned end is there.
async fn opened(pipe: std::path::PathBuf) -> File {
    let (send, receive) = oneshot::channel();
    // A thread that is not waited for: without a reader, opening never ends.
    std::thread::spawn(move || send.send(File::options().write(true).open(pipe).expect("can be opened")));
    within("a look at the credential", receive).await.expect("is sent")
}

#[tokio::test]
async fn memory_is_closed_to_core_files_and_debuggers_before_a_credential_is_read() {
    // As far as this machine lets us: what the program inherits is to be another limit than the one it sets.
    let mut limit = getrlimit(Resource::Core);
    limit.current = limit.maximum;
    setrlimit(Resource::Core, limit).expect("is within the bounds");

    for arguments in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["token"],
        &["check", "--listen", "127.0.0.1:0"],
        &["sandbox", "--listen", "127.0.0.1:0", "--credentials", "credentials.properties"],
    ] {
        let folder = Folder::new();
        let pipe = folder.pipe("credentials.properties");
        let running = Folder::spawn(command(&folder, arguments));
        let _writer = opened(pipe).await;

        let process = format!("/proc/{}", running.id());
        let limits = fs::read_to_string(format!("{process}/limits")).expect("can be read");
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
        let core: Vec<&str> = core.unwrap_or_default().split_whitespace().collect();
        assert_eq!(core, ["0", "0", "bytes"], "{arguments:?}");
        // Where the process can be dumped, its own user (proc(5)).
        let owner = fs::metadata(format!("{process}/mem")).expect("is running").uid();
        assert_eq!(owner, 0, "{arguments:?}: another process of the same user could read the memory");
    }
}
