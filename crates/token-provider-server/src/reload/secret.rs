//! The file with the secret of one of this server's access keys, which callers sign with.

use super::watched::Watched;
use crate::access::Access;
use crate::config::HereKeyConfig;
use crate::setup::{read_here_secret, warn_of_others};

/// Keeps one access key in step with its file.
#[derive(Debug)]
pub(super) struct SecretFile {
    id: String,
    file: Watched,
    /// Whether the key is in force since the last look, so that its file is to be read whatever becomes of it.
    is_new: bool,
    /// Why the secret in use, if there is one, is not the one in the file.
    problem: Option<String>,
}

impl SecretFile {
    fn new(key: &HereKeyConfig, is_new: bool) -> Self {
        Self { id: key.id.clone(), file: Watched::new(key.secret_file.clone()), is_new, problem: None }
    }

    /// Returns the files of keys that have their secrets.
    pub(super) fn of_running(keys: &[HereKeyConfig]) -> Vec<Self> {
        keys.iter().map(|key| Self::new(key, false)).collect()
    }

    /// Returns the files of a changed configuration's keys. Those that stay are kept as they are.
    pub(super) fn of_changed(mut files: Vec<Self>, keys: &[HereKeyConfig]) -> Vec<Self> {
        let file = |key: &HereKeyConfig| {
            let is_same = |file: &Self| file.id == key.id && file.file.path == key.secret_file;
            let kept = files.iter().position(is_same).map(|index| files.swap_remove(index));
            kept.unwrap_or_else(|| Self::new(key, true))
        };
        keys.iter().map(file).collect()
    }

    /// Returns why the file's secret is not in use.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Takes the secret into use if the file has changed or a reload was requested. What cannot be used changes nothing, is
    /// reported once, and tried again at each look.
    pub(super) async fn look(&mut self, is_asked_to: bool, access: &Access) {
        let has_changed = self.file.has_changed().await;
        if !(has_changed || is_asked_to || self.is_new || self.file.is_gone || self.problem.is_some()) {
            return;
        }
        self.is_new = false;
        let key = self.id.as_str();
        let read = self.file.read(read_here_secret).await;
        let read = read.unwrap_or_else(|| {
            Err(format!("{}: the file system does not respond", self.file.path.display()))
        });
        match read {
            Ok(secret) => {
                let is_other = access.rules().set_secret(key, secret);
                if is_other || self.problem.is_some() {
                    tracing::info!(key, "the access key's secret was read from its file");
                    self.file.read(warn_of_others).await;
                }
                self.problem = None;
            }
            Err(problem) if self.problem.as_ref() != Some(&problem) => {
                tracing::error!(
                    key,
                    problem,
                    "the access key's secret cannot be used; the previous one, if there was one, stays in use"
                );
                self.problem = Some(problem);
            }
            Err(_) => {}
        }
    }
}
