//! Where the file is looked for, and what the paths in it mean.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::config::{Config, Environment, FileOption, Overrides};
use crate::settings::Locations;

/// The flags where `--config` names this file.
fn naming(path: &Path) -> Overrides {
    Overrides { file: FileOption { config: Some(path.to_owned()) }, ..Overrides::default() }
}

#[test]
fn paths_in_the_file_are_relative_to_the_file() {
    let text = "tls = { cert = 'tls.crt', key = '/tls.key' }";
    for (file, expected) in [
        ("/etc/token-provider/config.toml", "/etc/token-provider/tls.crt"),
        ("conf/x.toml", "conf/tls.crt"),
        ("x.toml", "tls.crt"),
    ] {
        let tls =
            Config::parse(Some((Path::new(file), text)), &Environment::default(), &Overrides::default());
        let tls = tls.unwrap().tls.unwrap();
        assert_eq!((&*tls.cert, &*tls.key), (Path::new(expected), Path::new("/tls.key")), "{file}");
    }
}

#[test]
fn the_file_is_the_one_that_is_named_or_the_nearest() {
    let directory = tempfile::tempdir().unwrap();
    let [flag, variable, local, system] =
        ["flag", "variable", "local", "system"].map(|name| directory.path().join(name));
    for path in [&flag, &variable, &local, &system] {
        fs::write(path, path.file_name().unwrap().to_str().unwrap()).unwrap();
    }
    let flags = naming(&flag);
    let named = Environment::from_pairs([("TOKEN_PROVIDER_CONFIG", variable.to_str().unwrap())]);
    let (no_flags, nothing_named) = (Overrides::default(), Environment::default());
    for (overrides, environment, expected) in
        [(&flags, &named, "flag"), (&no_flags, &named, "variable"), (&no_flags, &nothing_named, "local")]
    {
        let places = Locations {
            local: &local,
            system: &system,
            ..Locations::new(overrides.file.config.as_deref(), environment)
        };
        let path = places.find().unwrap().unwrap();
        assert_eq!(path.file_name().unwrap().to_str(), Some(expected));
        assert_eq!(places.read(&path).unwrap(), expected);
    }
    let places = Locations { local: &local, system: &system, ..Locations::new(None, &nothing_named) };
    fs::remove_file(&local).unwrap();
    assert_eq!(places.find().unwrap(), Some(system.clone()));
    assert_eq!(places.read(&system).unwrap(), "system");
    fs::remove_file(&system).unwrap();
    assert_eq!(places.find().unwrap(), None);
}

#[test]
fn there_is_no_file_only_where_both_usual_places_are_empty() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("file"), "").unwrap();
    fs::create_dir(at("folder")).unwrap();
    symlink("nowhere", at("broken")).unwrap();
    symlink("loop", at("loop")).unwrap();
    let nothing_named = Environment::default();
    let places = Locations::new(None, &nothing_named);
    let missing = at("missing");
    for empty in [missing.clone(), at("missing/config.toml"), at("file/config.toml")] {
        for (local, system) in [(&empty, &missing), (&missing, &empty)] {
            assert_eq!(Locations { local, system, ..places }.find().unwrap(), None, "{}", empty.display());
        }
    }
    // What the system does not let us look at may be the file that says who may ask.
    let too_long = at(&"x".repeat(300));
    for unclear in [at("loop/config.toml"), too_long] {
        for (local, system) in [(&unclear, &missing), (&missing, &unclear)] {
            let problem = Locations { local, system, ..places }.find().unwrap_err().to_string();
            assert!(
                problem.contains("cannot read the configuration: ") && problem.contains("--config"),
                "{problem}"
            );
        }
    }
    for (unreadable, reason) in [
        (at("broken"), "there is no such file"),
        (at("loop"), "(os error "),
        (at("folder"), "it is a directory"),
    ] {
        for (local, system) in [(&unreadable, &missing), (&missing, &unreadable)] {
            let places = Locations { local, system, ..places };
            assert_eq!(places.find().unwrap().as_ref(), Some(&unreadable));
            let problem = places.read(&unreadable).unwrap_err().to_string();
            assert!(problem.contains(reason), "{problem}");
        }
    }
}

#[test]
fn a_named_file_must_be_readable() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let [missing, broken, large] = ["missing", "broken", "large"].map(|name| here.join(name));
    fs::write(&large, "#".repeat(1024 * 1024 + 1)).unwrap();
    fs::write(&broken, b"[log]\nlevel = '\xff'\n").unwrap();
    let shown = |path: &Path, message: &str| format!("{}{message}", path.display());
    let none = Environment::default();
    for (path, message) in [
        (&*missing, ": cannot read the configuration file given by --config: there is no such file"),
        (here, ": cannot read the configuration file given by --config: it is a directory"),
        (&*broken, ":2: not TOML: expected UTF-8 text"),
        (&*large, ": it is larger than 1 MiB, too large for a configuration file"),
        (Path::new("/dev/zero"), ": it is larger than 1 MiB, too large for a configuration file"),
    ] {
        let named = naming(path);
        let problem = Config::load(&named, &none).unwrap_err();
        assert_eq!(problem.to_string(), shown(path, message));
    }
    let variable = Environment::from_pairs([("TOKEN_PROVIDER_CONFIG", missing.to_str().unwrap())]);
    let problem = Config::load(&Overrides::default(), &variable).unwrap_err();
    let message = ": cannot read the configuration file given by TOKEN_PROVIDER_CONFIG: there is no such \
                   file";
    assert_eq!(problem.to_string(), shown(&missing, message));
}

/// Whose it is, the program's tests show: that takes another user.
#[test]
fn a_file_that_others_can_write_counts_only_where_it_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path();
    let [local, target, link] = ["local", "target", "link"].map(|name| folder.join(name));
    fs::write(&local, "").unwrap();
    fs::write(&target, "").unwrap();
    symlink("target", &link).unwrap();
    let set = |path: &Path, mode: u32| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let missing = folder.join("missing");
    let read = |path: &PathBuf, named: bool| {
        let flags = if named { naming(path) } else { Overrides::default() };
        let none = Environment::default();
        let places = Locations::new(flags.file.config.as_deref(), &none);
        let places = Locations { local: path, system: &missing, ..places };
        places.read(path).map_err(|problem| problem.to_string())
    };
    // The group is this user's own: many systems give each user one, and let it write.
    for (of_folder, of_file, expected) in [
        (0o700, 0o600, None),
        (0o755, 0o644, None),
        (0o775, 0o664, None),
        (0o700, 0o666, Some("this file is writable by every user")),
        (0o777, 0o600, Some("the working directory is writable by every user")),
        // As `/tmp` is: others cannot remove the file, but can have put it there.
        (0o1777, 0o600, Some("the working directory is writable by every user")),
    ] {
        set(folder, of_folder);
        set(&local, of_file);
        set(&target, of_file);
        for path in [&local, &link] {
            match (read(path, false), expected) {
                (Ok(text), None) => assert_eq!(text, ""),
                (Err(problem), Some(reason)) => {
                    assert!(problem.contains(reason), "{problem}");
                    assert!(problem.contains("--config ./token-provider.toml"), "{problem}");
                }
                (result, _) => panic!("{of_folder:o} {of_file:o}: {result:?}"),
            }
            assert_eq!(read(path, true), Ok(String::new()), "{of_folder:o} {of_file:o}");
        }
    }
}
