//! Where the file is looked for, and what the paths in it mean.

use std::fs;
use std::path::Path;

use crate::config::{Config, Environment, Overrides, find_file};

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
    let all = [&flag, &variable, &local, &system];
    for path in all {
        fs::write(path, path.file_name().unwrap().to_str().unwrap()).unwrap();
    }
    let flags = Overrides { config: Some(flag.clone()), ..Overrides::default() };
    let named = Environment::from_pairs([("TOKEN_PROVIDER_CONFIG", variable.to_str().unwrap())]);
    let (no_flags, nothing_named) = (Overrides::default(), Environment::default());
    for (overrides, environment, expected) in
        [(&flags, &named, "flag"), (&no_flags, &named, "variable"), (&no_flags, &nothing_named, "local")]
    {
        let (path, text) = find_file(overrides, environment, &local, &system).unwrap().unwrap();
        assert_eq!((path.file_name().unwrap().to_str(), &*text), (Some(expected), expected));
    }
    fs::remove_file(&local).unwrap();
    let found = find_file(&no_flags, &nothing_named, &local, &system).unwrap();
    assert_eq!(found, Some((system.clone(), "system".to_owned())));
    fs::remove_file(&system).unwrap();
    assert_eq!(find_file(&no_flags, &nothing_named, &local, &system).unwrap(), None);
}

#[test]
fn a_named_file_must_be_readable_and_the_systems_need_not() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let [missing, broken] = ["missing", "broken"].map(|name| here.join(name));
    fs::write(&broken, b"[log]\nlevel = '\xff'\n").unwrap();
    let named = |path: &Path| Overrides { config: Some(path.to_owned()), ..Overrides::default() };
    let shown = |path: &Path, message: &str| format!("{}{message}", path.display());
    let none = Environment::default();
    for (path, message) in [
        (&*missing, ": cannot read the configuration, named by --config: there is no such file"),
        (here, ": cannot read the configuration, named by --config: it is a directory"),
        (&*broken, ":2: not TOML: expected UTF-8 text"),
    ] {
        let problem = find_file(&named(path), &none, &missing, &missing).unwrap_err();
        assert_eq!(problem.to_string(), shown(path, message));
    }
    let variable = Environment::from_pairs([("TOKEN_PROVIDER_CONFIG", missing.to_str().unwrap())]);
    let problem = Config::load(&Overrides::default(), &variable).unwrap_err();
    let message = ": cannot read the configuration, named by TOKEN_PROVIDER_CONFIG: there is no such file";
    assert_eq!(problem.to_string(), shown(&missing, message));
    // One in the working directory was put there to be used; the system's may be for the service's eyes only.
    assert!(find_file(&Overrides::default(), &none, here, &missing).is_err());
    assert_eq!(find_file(&Overrides::default(), &none, &missing, here).unwrap(), None);
}
