//! `key new`: an API key, shown once.

use std::io::Write as _;

use zeroize::Zeroizing;

use crate::access::api_key;
use crate::failure::Failure;
use crate::topic::Topic;
use crate::values::name::name;

pub(super) fn new(id: &str) -> Result<(), Failure> {
    // What the configuration would refuse must not be printed for it.
    name(id).map_err(|expected| Failure::new(Topic::Usage, format!("--id: {expected}")))?;
    let (key, hash) = api_key::generate().map_err(|error| {
        Failure::new(Topic::System, "the operating system gave no randomness").caused_by(error.to_string())
    })?;
    // The key stands alone on the first line, for scripts.
    let text = Zeroizing::new(format!(
        "{}\n\n# For the configuration file. The key itself is not in it and cannot be shown again.\n\
         [[access.api_keys]]\nid = \"{id}\"\nsha256 = \"{hash}\"\n\
         # profiles = [\"NAME\"]    # default: the profile of callers who name none\n",
        *key
    ));
    std::io::stdout().write_all(text.as_bytes()).map_err(Failure::stdout)
}
