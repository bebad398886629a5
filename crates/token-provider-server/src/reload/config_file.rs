//! The configuration file of a running server: when it says something new.

use std::path::PathBuf;
use std::time::Duration;

use super::watched::Watched;
use crate::config::{Config, ConfigErrors, LoadedConfig};
use crate::settings::Locations;

/// On SIGHUP the file is read again after this time rather than at the next look: one that says the same then is not being written.
/// It may be saved just while logs are rotated.
const SETTLES_IN: Duration = Duration::from_millis(250);

/// The result of reading the file.
type Reading = Result<String, ConfigErrors>;

/// The file that was found at the start, whatever becomes of it.
///
/// It is small, and read at every look: that finds every change, and what could not be read is tried again.
#[derive(Debug)]
pub(super) struct ConfigFile {
    file: Watched,
    /// The last reading.
    seen: Option<Reading>,
    /// The reading that was last judged.
    judged: Option<Reading>,
    /// Whether SIGHUP requested a reload that has not happened yet.
    is_wanted: bool,
}

impl ConfigFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { file: Watched::new(path), seen: None, judged: None, is_wanted: false }
    }

    /// Returns the configuration if the file has changed or a reload was requested. Two readings in a row must agree:
    /// of a file that is being written the first lines may be a configuration by themselves, with fewer rules.
    pub(super) async fn look(
        &mut self,
        is_asked_to: bool,
        loaded: &LoadedConfig,
    ) -> Option<Result<Config, ConfigErrors>> {
        self.is_wanted |= is_asked_to;
        let mut reading = self.read(loaded).await?;
        if is_asked_to && self.seen.as_ref() != Some(&reading) {
            self.seen = Some(reading);
            tokio::time::sleep(SETTLES_IN).await;
            reading = self.read(loaded).await?;
        }
        let is_settled = self.seen.as_ref() == Some(&reading);
        self.seen = Some(reading.clone());
        if !is_settled || (!self.is_wanted && self.judged.as_ref() == Some(&reading)) {
            return None;
        }
        self.is_wanted = false;
        self.judged = Some(reading.clone());
        Some(reading.and_then(|text| {
            Config::parse(Some((&self.file.path, &text)), &loaded.environment, &loaded.overrides)
        }))
    }

    /// Returns `None` while the file does not answer, and for a pipe unless it is wanted: reading it waits for a writer.
    async fn read(&mut self, loaded: &LoadedConfig) -> Option<Reading> {
        if !self.file.look().await || self.file.is_pipe() && !self.is_wanted {
            return None;
        }
        let (named, environment) = (loaded.overrides.file.config.clone(), loaded.environment.clone());
        self.file.read(move |path| Locations::new(named.as_deref(), &environment).read(path)).await
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, Overrides};

    struct Bench {
        folder: tempfile::TempDir,
        loaded: LoadedConfig,
        file: ConfigFile,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("can be made");
            let path = folder.path().join("config.toml");
            fs::write(&path, "").expect("can be written");
            let mut overrides = Overrides::default();
            overrides.file.config = Some(path.clone());
            let environment = Environment::default();
            let config = Config::load(&overrides, &environment).expect("is empty");
            Self {
                folder,
                loaded: LoadedConfig { config, overrides, environment },
                file: ConfigFile::new(path),
            }
        }

        fn path(&self) -> &Path {
            &self.file.file.path
        }

        fn write(&self, text: &str) {
            fs::write(self.path(), text).expect("can be written");
        }

        /// Looks, and tells the profile in what comes of it, or what is wrong.
        async fn look(&mut self, is_asked_to: bool) -> Option<String> {
            let changed = self.file.look(is_asked_to, &self.loaded).await?;
            Some(changed.map_or_else(|error| error.to_string(), |config| config.profile))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn change_is_found_once_and_so_is_its_way_back() {
        let mut bench = Bench::new();
        bench.write("profile = 'a'");
        assert_eq!(
            (bench.look(false).await, bench.look(false).await),
            (None, Some("a".to_owned())),
            "since the start"
        );
        for profile in ["b", "a", "b"] {
            bench.write(&format!("profile = '{profile}'"));
            assert_eq!((bench.look(false).await, bench.look(false).await), (None, Some(profile.to_owned())));
            assert_eq!(bench.look(false).await, None, "said once");
        }
        // Also one that keeps size and time.
        let time = bench.path().metadata().and_then(|metadata| metadata.modified()).expect("is there");
        bench.write("profile = 'c'");
        fs::File::options()
            .append(true)
            .open(bench.path())
            .and_then(|file| file.set_modified(time))
            .expect("is ours");
        assert_eq!((bench.look(false).await, bench.look(false).await), (None, Some("c".to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn file_that_is_being_written_is_left_alone() {
        let mut bench = Bench::new();
        for written in ["", "[access]\n", "[access]\nanonymous = true\n"] {
            bench.write(written);
            assert_eq!(bench.look(false).await, None, "{written}");
        }
        bench.write("profile = 'a'");
        assert_eq!((bench.look(false).await, bench.look(false).await), (None, Some("a".to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn half_written_file_is_not_used_on_request_either() {
        let mut bench = Bench::new();
        bench.write("profile = 'whole'");
        assert_eq!(bench.look(true).await, Some("whole".to_owned()));
        bench.write("");
        let path = bench.path().to_owned();
        let writes = async {
            tokio::time::sleep(SETTLES_IN / 2).await;
            fs::write(path, "profile = 'next'").expect("can be written");
        };
        assert_eq!(tokio::join!(bench.look(true), writes).0, None);
        assert_eq!(bench.look(false).await, Some("next".to_owned()), "the next look has the answer");
        assert_eq!(bench.look(true).await, Some("next".to_owned()), "on request it is judged again");
    }

    #[tokio::test(start_paused = true)]
    async fn file_that_is_gone_is_an_error_once_and_read_when_it_is_back() {
        let mut bench = Bench::new();
        bench.write("profile = 'a'");
        assert_eq!(bench.look(true).await, Some("a".to_owned()));
        let away = bench.folder.path().join("away");
        fs::rename(bench.path(), &away).expect("can be renamed");
        assert_eq!(bench.look(false).await, None, "it may be about to be replaced");
        let gone = bench.look(false).await.expect("is reported");
        assert!(gone.contains("there is no such file"), "{gone}");
        assert_eq!(bench.look(false).await, None, "said once");
        assert_eq!(bench.look(true).await, Some(gone), "and on request");
        fs::rename(&away, bench.path()).expect("can be renamed");
        assert_eq!((bench.look(false).await, bench.look(false).await), (None, Some("a".to_owned())));
    }

    #[tokio::test]
    async fn pipe_is_read_on_request_alone() {
        let mut bench = Bench::new();
        fs::remove_file(bench.path()).expect("can be removed");
        let made = std::process::Command::new("mkfifo").arg(bench.path()).status();
        assert!(made.expect("can be run").success());
        // Reading it would wait for a writer.
        for _ in 0..3 {
            assert_eq!(bench.look(false).await, None);
        }
    }
}
