//! The secrets of this server's access keys, each in a file of its own.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use secrecy::SecretString;
use token_provider::trim_value;
use zeroize::Zeroizing;

use super::credential::warn_of_others;
use crate::access::Access;
use crate::config::Config;
use crate::failure::Failure;
use crate::topic::Topic;

/// Fewer characters could be guessed by whoever has a signature.
const MIN_SECRET: usize = 32;
/// More are something else.
const MAX_FILE: usize = 4096;

/// Reads the secrets of all access keys.
///
/// # Errors
///
/// The first file that cannot be used.
pub fn read_here_secrets(config: &Config, access: &Access) -> Result<(), Failure> {
    for (index, key) in config.access.here_keys.iter().enumerate() {
        let secret = read_here_secret(&key.secret_file).map_err(|problem| {
            Failure::new(Topic::SecretFile, format!("access.here_keys[{index}].secret_file: {problem}"))
        })?;
        warn_of_others(&key.secret_file);
        access.rules().set_secret(&key.id, secret);
    }
    Ok(())
}

/// Reads the secret of an access key. Blocks while it reads the file.
///
/// # Errors
///
/// Names the file, and says what is wrong with it.
pub fn read_here_secret(file: &Path) -> Result<SecretString, String> {
    let name = file.display();
    // Room for all of it at once, so that growing leaves no copy of the secret behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE + 1));
    let read = file.metadata().and_then(|found| {
        if !found.is_file() {
            // A pipe would have to be waited for.
            return Err(io::Error::other("it is not a file"));
        }
        File::open(file)?.take(MAX_FILE as u64 + 1).read_to_string(&mut text)
    });
    read.map_err(|error| format!("{name}: cannot be read: {error}"))?;
    let secret = trim_value(&text);
    if text.len() > MAX_FILE
        || secret.len() < MIN_SECRET
        || !secret.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(format!(
            "{name}: expected one word of {MIN_SECRET} or more ASCII characters, as `token-provider key new \
             --here` makes it"
        ));
    }
    Ok(SecretString::from(secret))
}
