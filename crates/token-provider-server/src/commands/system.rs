//! What differs between systems: who else can read what this process has in memory, and what it writes.

use std::fs::DirBuilder;
use std::io;

#[cfg(unix)]
use rustix::process;

/// Keeps the memory of the process, where the access key is, out of core files, and on Linux from debuggers of the same user. Windows
/// keeps none unless its administrator says so.
pub(super) fn keep_memory_private() -> io::Result<()> {
    #[cfg(unix)]
    process::setrlimit(process::Resource::Core, process::Rlimit { current: Some(0), maximum: Some(0) })?;
    // The limit does not hold for a core file that the kernel pipes to a program, such as systemd-coredump.
    #[cfg(all(target_os = "linux", not(portable)))]
    process::set_dumpable_behavior(process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Makes a folder that is for this user alone. On Windows, the one above says for whom.
pub(super) fn new_folder() -> DirBuilder {
    let mut options = DirBuilder::new();
    options.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut options, 0o700);
    options
}
