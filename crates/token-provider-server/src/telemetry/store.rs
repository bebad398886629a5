//! How the store stands.

use parking_lot::Mutex;

use super::Tally;
use crate::reason::Flaw;

/// How the store stands.
#[derive(Debug, Default)]
pub struct StoreStatus {
    /// Why it is not used; `None` while it is.
    pub problem: Mutex<Option<String>>,
    /// How many records were not used, for each reason.
    pub rejected: Tally<Flaw>,
}
