//! The configuration file in the working directory, which may be a stranger's.

use std::fs;
use std::os::unix::fs::{chown, lchown, symlink};

use crate::support::program::{Account, Folder, OTHER_USER, Outcome, is_root, set_mode};
use crate::support::wire::get;

const FILE: &str = "token-provider.toml";
const REMEDY: &str = "--config ./token-provider.toml";

/// Neither the user of the tests nor that of the program.
const STRANGER: u32 = 65_533;

/// A file of a stranger's making: it has the first line of a private file sent away, and opens the server.
fn hostile(account: &Account) -> String {
    format!(
        "access.anonymous = true\nlisten = ['0.0.0.0:0']\n[profiles.default]\n\
         remote = '{}/getToken'\napi_key_file = 'private'\n",
        account.origin
    )
}

/// Runs `check` as a user that is not root, where that can be.
async fn check(folder: &Folder, arguments: &[&str]) -> Outcome {
    Outcome::of(folder.command_of_other(&[&["check"], arguments].concat())).await
}

/// Whose the folder is, whose the file is, and their modes: who can have written the file?
#[tokio::test]
async fn strangers_file_in_the_working_directory_is_not_obeyed() {
    // Without root nobody else's file can be made: the modes alone are tried then.
    let (own, root, stranger) =
        if is_root() { (OTHER_USER, 0, STRANGER) } else { return modes_alone().await };
    for (folder_of, folder_mode, file_of, file_mode, what) in [
        (own, 0o755, stranger, 0o644, "this file belongs to another user"),
        (stranger, 0o755, own, 0o644, "the working directory belongs to another user"),
        // `/tmp`, and a folder of a team.
        (root, 0o1777, own, 0o644, "the working directory is writable by every user"),
        (root, 0o775, own, 0o644, "the working directory is writable by a group"),
        (own, 0o755, own, 0o666, "this file is writable by every user"),
        (own, 0o755, root, 0o664, "this file is writable by a group"),
        (own, 0o775, own, 0o664, ""),
        (root, 0o755, root, 0o644, ""),
        (own, 0o700, root, 0o644, ""),
    ] {
        let (account, folder) = (Account::open().await, Folder::new());
        folder.write("private", "planted line of a private file\n");
        let file = folder.write(FILE, &hostile(&account));
        // Makes the folder the other user's; then it is given its owner.
        drop(folder.command_of_other(&["check"]));
        for name in ["private", FILE] {
            chown(folder.path(name), Some(OTHER_USER), Some(OTHER_USER)).expect("is ours to give");
        }
        // The group goes with the owner, so that the program's own group is only there for what is its own.
        chown(&file, Some(file_of), Some(file_of)).expect("is ours to give");
        set_mode(&file, file_mode);
        let command = folder.command_of_other(&["check"]);
        let named = folder.command_of_other(&["check", "--config", "./token-provider.toml"]);
        chown(folder.path(""), Some(folder_of), Some(folder_of)).expect("is ours to give");
        set_mode(&folder.path(""), folder_mode);

        let outcome = Outcome::of(command).await;
        let case = format!("{folder_of} {folder_mode:o} {file_of} {file_mode:o}: {outcome:?}");
        let requests = account.sandbox.stats().token_requests;
        if what.is_empty() {
            assert!(outcome.stdout.contains("ok       configuration: token-provider.toml"), "{case}");
            continue;
        }
        assert_eq!((outcome.code, requests), (Some(78), 0), "{case}");
        assert!(outcome.stdout.contains(what) && outcome.stdout.contains(REMEDY), "{case}");
        assert!(!outcome.stdout.contains("planted"), "{case}");
        let outcome = Outcome::of(named).await;
        assert!(outcome.stdout.contains("ok       configuration: ./token-provider.toml"), "{outcome:?}");
    }
}

async fn modes_alone() {
    let folder = Folder::new();
    let file = folder.write(FILE, "");
    set_mode(&file, 0o666);
    let outcome = check(&folder, &[]).await;
    assert_eq!(outcome.code, Some(78), "{outcome:?}");
    assert!(outcome.stdout.contains(REMEDY), "{outcome:?}");
}

#[tokio::test]
async fn link_is_trusted_by_its_owner_and_its_target() {
    if !is_root() {
        return modes_alone().await;
    }
    for (link_of, target_of, is_obeyed) in [
        (OTHER_USER, OTHER_USER, true),
        (0, 0, true),
        (OTHER_USER, STRANGER, false),
        (STRANGER, OTHER_USER, false),
    ] {
        let (folder, elsewhere) = (Folder::new(), Folder::new());
        set_mode(&elsewhere.path(""), 0o755);
        let target = elsewhere.write("target", "");
        set_mode(&target, 0o644);
        chown(&target, Some(target_of), Some(target_of)).expect("is ours to give");
        symlink(&target, folder.path(FILE)).expect("can be linked");
        lchown(folder.path(FILE), Some(link_of), Some(link_of)).expect("is ours to give");
        let outcome = check(&folder, &[]).await;
        let is_ok = outcome.stdout.contains("ok       configuration: token-provider.toml");
        assert_eq!(is_ok, is_obeyed, "{link_of} {target_of}: {outcome:?}");
        assert_eq!(outcome.stdout.contains(REMEDY), !is_obeyed, "{outcome:?}");
    }
}

#[tokio::test]
async fn every_command_that_reads_the_configuration_refuses_a_strangers() {
    let folder = Folder::new();
    let file = folder.write(FILE, "");
    set_mode(&file, 0o666);
    for command in [&["serve", "--sandbox"][..], &["token"], &["check"], &["health"]] {
        let outcome = folder.run(command).await;
        assert_eq!(outcome.code, Some(78), "{command:?}: {outcome:?}");
        assert!((outcome.stdout + &outcome.stderr).contains(REMEDY), "{command:?}");
    }
    let mut server =
        folder.start(&["serve", "--sandbox", "--listen", "127.0.0.1:0", "--config", "./token-provider.toml"]);
    let address = server.address().await;
    assert_eq!(get(address, "/getToken").await.status, 200);
    // Nor is one waited for that nobody writes to, in a folder that anybody could have put it in.
    fs::remove_file(&file).expect("can be removed");
    folder.pipe(FILE);
    set_mode(&folder.path(""), 0o1777);
    assert_eq!(folder.run(&["check"]).await.code, Some(78));
}

#[tokio::test]
async fn file_that_cannot_be_read_is_not_taken_for_none() {
    let folder = Folder::new();
    let file = folder.write(FILE, "");
    if is_root() {
        // Root's, and for root's eyes alone.
        let outcome = check(&folder, &[]).await;
        assert_eq!(outcome.code, Some(78), "{outcome:?}");
        assert!(outcome.stdout.contains("permission denied"), "{outcome:?}");
        assert!(fs::read(&file).is_ok(), "as root sees it");
        return;
    }
    set_mode(&file, 0);
    let outcome = folder.run(&["check"]).await;
    assert!(outcome.stdout.contains("permission denied"), "{outcome:?}");
}
