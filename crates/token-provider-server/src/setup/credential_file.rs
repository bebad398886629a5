//! Files that hold a credential.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use secrecy::SecretString;
use token_provider::trim_value;
use zeroize::Zeroizing;

/// Reads the API key for another token provider.
///
/// # Errors
///
/// What the system said.
pub fn read_api_key(file: &Path) -> io::Result<SecretString> {
    let text = std::fs::read_to_string(file).map(Zeroizing::new)?;
    Ok(SecretString::from(trim_value(&text)))
}

/// Returns whether users other than the file's owner can read it, which deserves a warning. Group access is left out of
/// account: services are often given their files that way.
pub fn is_readable_by_others(file: &Path) -> bool {
    const READ_BY_OTHERS: u32 = 0o004;
    file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & READ_BY_OTHERS != 0)
}

/// Logs that users other than the file's owner can read it.
pub fn warn_of_others(file: &Path) {
    tracing::warn!(
        credential.source = %file.display(),
        "other users of this machine can read the credential file; chmod 600 it"
    );
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn file_that_everyone_can_read_is_noticed() {
        let file = tempfile::NamedTempFile::new().expect("can be made");
        for (mode, expected) in [(0o600, false), (0o400, false), (0o640, false), (0o644, true), (0o604, true)]
        {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("is ours");
            assert_eq!(is_readable_by_others(file.path()), expected, "{mode:o}");
        }
        assert!(!is_readable_by_others(Path::new("/nonexistent/file")));
    }
}
