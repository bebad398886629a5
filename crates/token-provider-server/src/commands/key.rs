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
        Failure::new(Topic::System, "the operating system provided no random data")
            .caused_by(error.to_string())
    })?;
    // The key stands alone on the first line, for scripts.
    let text = Zeroizing::new(format!(
        "{}\n\n# Add this to the configuration file. It does not contain the key, which cannot be shown \
         again.\n\
         [[access.api_keys]]\nid = \"{id}\"\nsha256 = \"{hash}\"\n\
         # profiles = [\"NAME\"]    # default: the default profile\n",
        *key
    ));
    std::io::stdout().write_all(text.as_bytes()).map_err(Failure::stdout)
}
