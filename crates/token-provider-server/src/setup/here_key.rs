//! The secrets of this server's access keys, each in a file of its own.

use std::path::Path;

use secrecy::SecretString;
use token_provider::trim_value;

use super::credential::warn_of_others;
use crate::access::Access;
use crate::config::Config;
use crate::failure::Failure;
use crate::file_work::{MAX_SECRET, read_small_file};
use crate::topic::Topic;

/// Fewer characters could be guessed by someone who has a signature.
const MIN_SECRET: usize = 32;

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
    let text =
        read_small_file(file, MAX_SECRET).map_err(|error| format!("{name}: cannot be read: {error}"))?;
    let secret = trim_value(&text);
    if secret.len() < MIN_SECRET || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "{name}: expected one word of {MIN_SECRET} or more ASCII characters, as `token-provider key new \
             --here` makes it"
        ));
    }
    Ok(SecretString::from(secret))
}
