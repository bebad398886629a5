//! Gives back to the system the memory that ended connections have left free.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How long memory may stay unused: a flood comes in waves, each of which would take it again.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How many connections must have ended: they may have used some 10 MiB.
const MANY: usize = 256;

/// Gives free memory back to the system after many connections have ended. glibc keeps all that lies below something in use:
/// after floods of 4,000 requests that never end it had 127 MiB, of which it needed 13.
pub(super) async fn give_back(ended: impl Fn() -> usize) {
    let mut counted = 0;
    loop {
        sleep(LOOK_EVERY).await;
        if ended() >= counted + MANY {
            counted = ended();
            // It cannot panic.
            let _ = spawn_blocking(trim).await;
        }
    }
}

/// Other allocators do so by themselves.
#[allow(unsafe_code, reason = "no library has a safe form of it")]
fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(portable)))]
    // SAFETY: it takes no pointer, and glibc locks what it looks at.
    unsafe {
        libc::malloc_trim(0)
    };
}
