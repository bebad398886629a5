//! Unix sockets for whom they are meant.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::process::{getgid, getuid};
use token_provider_server::parts::config::{Listen, Owner, UnixPlace};
use token_provider_server::parts::listen;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("is there").permissions().mode() & 0o7777
}

fn bind(place: UnixPlace) -> std::io::Result<listen::Listener> {
    listen::bind(&Listen::Unix(place), "--listen").map(|mut bound| bound.remove(0))
}

#[tokio::test]
async fn unix_socket_is_for_its_owner_and_group_unless_said_otherwise() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("x.sock");
    let bound = bind(path.clone().into()).expect("can be bound");
    assert_eq!(mode(&path), 0o660);
    assert_eq!(bound.to_string(), format!("unix:{}", path.display()));
    assert!(bound.is_local());
    drop(bound);

    let (user, group) = (getuid().as_raw(), getgid().as_raw());
    let place = UnixPlace {
        mode: 0o606,
        user: Some(Owner::Id(user)),
        group: Some(Owner::Id(group)),
        path: path.clone(),
    };
    let _bound = bind(place).expect("can be bound");
    let metadata = fs::metadata(&path).expect("is there");
    assert_eq!((mode(&path), metadata.uid(), metadata.gid()), (0o606, user, group));
}

#[tokio::test]
async fn unix_socket_for_nobody_is_not_made() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("x.sock");
    let place = UnixPlace { group: Some(Owner::Name("no-such-group-here".into())), ..path.clone().into() };
    let error = bind(place).expect_err("there is no such group").to_string();
    assert!(error.contains("no-such-group-here") && error.contains("x.sock"), "{error}");
    assert!(!path.exists());
}

#[tokio::test]
async fn unix_socket_goes_with_its_server_and_no_other_file_does() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("x.sock");
    drop(bind(path.clone().into()).expect("can be bound"));
    assert!(!path.exists(), "is removed");

    let first = bind(path.clone().into()).expect("can be bound");
    fs::rename(&path, folder.path().join("moved")).expect("can be moved");
    let successor = bind(path.clone().into()).expect("can be bound");
    drop(first);
    assert!(fs::metadata(&path).expect("is left").file_type().is_socket());
    drop(successor);
    assert!(!path.exists());
}
