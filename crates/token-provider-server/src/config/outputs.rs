//! Files that hold a fresh token (`[[outputs]]`), and the forms in which one is written.

#![expect(clippy::doc_markdown, reason = "the comments of the forms are help text, which is not Markdown")]

use std::path::{Component, Path, PathBuf, is_separator};
use std::time::Duration;

use clap::ValueEnum;
use token_provider::{DEFAULT_LIFETIME, Scope};

use super::policy::{Known, PolicyConfig};
use crate::settings::{List, Section, word};
use crate::values::Owner;
use crate::values::unix;

/// Each has a task, an open file, and at worst a thread that hangs.
const MOST: usize = 64;

/// Readable by the server's own user alone.
const DEFAULT_MODE: u32 = 0o600;

const FORMATS: [(&str, TokenFormat); 5] = [
    ("here", TokenFormat::Here),
    ("text", TokenFormat::Text),
    ("json", TokenFormat::Json),
    ("env", TokenFormat::Env),
    ("header", TokenFormat::Header),
];

/// A file that holds a fresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputConfig {
    /// Where it is; absolute.
    pub path: PathBuf,
    /// How the token is written.
    pub format: TokenFormat,
    /// The profile that the token is of.
    pub profile: String,
    /// The token's scope; `None` leaves it to the profile.
    pub scope: Option<Scope>,
    /// The lifetime, before it is rounded down to a configured one.
    pub ttl: Duration,
    /// The file's permission bits.
    pub mode: u32,
    /// The file's group, if not the server's own.
    pub group: Option<Owner>,
}

/// How a token is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum TokenFormat {
    /// The token alone.
    Text,
    /// As in RFC 6749 §5.1; in a file, as for here.
    Json,
    /// A header line: Authorization: Bearer …
    Header,
    /// A shell assignment: HERE_ACCESS_TOKEN=…
    Env,
    /// The JSON that HERE's Java SDK reads from a file, with the time of expiry.
    Here,
}

impl OutputConfig {
    /// Returns what the output may have as a caller: what is configured for it.
    pub fn policy(&self) -> PolicyConfig {
        PolicyConfig { profiles: vec![self.profile.clone()], ..PolicyConfig::default() }
    }
}

/// Reads `[[outputs]]`. None may be at the path of a file that the server needs: the file would be lost, and the token taken for it.
pub(super) fn read(section: &mut Section<'_>, known: &Known<'_>, needed: &[&Path]) -> Vec<OutputConfig> {
    let sections = section.tables("outputs", List::Any);
    if sections.len() > MOST {
        section.error("outputs", format!("expected {MOST} at most"));
    }
    let mut outputs: Vec<OutputConfig> = Vec::new();
    for mut section in sections {
        let Some(output) = read_output(&mut section, known) else { continue };
        if outputs.iter().any(|other| other.path == output.path) {
            section.error("path", "another output has the same path");
        }
        let is_needed = |needed: &&Path| {
            output_path(needed.to_path_buf()).is_ok_and(|needed| output.path.starts_with(needed))
        };
        if needed.iter().any(is_needed) {
            section.error(
                "path",
                "expected the path of a file of its own; another key names this one, or its folder",
            );
        }
        outputs.push(output);
    }
    outputs
}

fn read_output(section: &mut Section<'_>, known: &Known<'_>) -> Option<OutputConfig> {
    let path = section.path("path");
    section.need(&[("path", "the path of the file to write")]);
    let profile = section.text("profile", |text: &str| known.profile(text));
    let profile = profile.or_else(|| known.usual.profiles.first().cloned()).expect("one is the default");
    let listed = known.profiles.get(&profile).map(|profile| profile.scopes.as_slice()).unwrap_or_default();
    let scope = section.text("scope", |text: &str| {
        let scope = listed.iter().find(|listed| listed.as_str() == text);
        scope.cloned().ok_or("expected a scope listed in this output's profile")
    });
    let ttl = known.lifetime(section, "ttl");
    let format = section.text("format", |text: &str| word(text, &FORMATS, None)).unwrap_or(TokenFormat::Here);
    let mode = section.text("mode", unix::mode).unwrap_or(DEFAULT_MODE);
    let group = section.text_or_number("group", unix::owner);
    let path = output_path(path?).map_err(|problem| section.error("path", problem)).ok()?;
    Some(OutputConfig { path, format, profile, scope, ttl: ttl.unwrap_or(DEFAULT_LIFETIME), mode, group })
}

/// Makes the path of a file to write absolute, and the same for each way to write it.
pub fn output_path(path: PathBuf) -> Result<PathBuf, &'static str> {
    const EXPECTED: &str = "expected the path of a file, neither a folder nor `-`";
    let bytes = path.as_os_str().as_encoded_bytes();
    let ends_as_folder = bytes.last().is_some_and(|&last| is_separator(last.into()));
    if path.file_name().is_none() || ends_as_folder || bytes == b"-" {
        return Err(EXPECTED);
    }
    let path =
        std::path::absolute(path).map_err(|_| "expected an absolute path: there is no working directory")?;
    // A device of Windows', such as `NUL`, is in no folder.
    path.parent().ok_or(EXPECTED)?;
    Ok(normal(&path))
}

/// Takes `..` out of an absolute path.
pub(super) fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        if part == Component::ParentDir {
            path.pop();
        } else {
            path.push(part);
        }
        path
    })
}
