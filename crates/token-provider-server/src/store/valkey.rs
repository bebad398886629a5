//! Records in Valkey or Redis, which several servers share.
//!
//! Nothing here limits its time, retries or reconnects: the caller does. A call that nobody waits for any more may still be carried out.

mod connect;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ToRedisArgs, Value};
use token_provider::{Lease, is_loopback_url};
use tokio::sync::{Mutex as AsyncMutex, Notify};
use url::Url;
use zeroize::Zeroizing;

use self::connect::{Access, Connection, Result, read_password};
use crate::config::{StoreConfig, Topology};
use crate::file_work::FileWork;
use crate::printable::excerpt;

/// Tells the servers that something is new, which they find in the records.
const CHANNEL: &str = "tp1:ev";

const PROBE_LIFE: Duration = Duration::from_secs(10);

const UNEXPECTED: &str = "the server's answer is not as expected";

/// It is sent whole each time: it is no longer than a few records, is compiled once, and needs neither a second attempt where the server
/// has forgotten it nor a permission for that.
const SCRIPT: &str = include_str!("valkey/script.lua");

/// A store in Valkey or Redis.
pub struct Valkey {
    config: Arc<StoreConfig>,
    topology: Topology,
    nodes: Vec<Url>,
    /// Names this process to the others.
    server: String,
    /// Or why there is none.
    connection: Mutex<Result<Connection>>,
    /// What the connection was made with.
    password: Mutex<Option<Zeroizing<String>>>,
    notices: Arc<Notify>,
    /// For the password and the certificates.
    files: AsyncMutex<FileWork>,
}

impl Valkey {
    pub fn new(config: &StoreConfig, topology: &Topology, nodes: &[Url]) -> Self {
        Self {
            config: Arc::new(config.clone()),
            topology: topology.clone(),
            nodes: nodes.to_vec(),
            server: format!("{:016x}", fastrand::u64(..)),
            connection: Mutex::new(Err("not connected".to_owned())),
            password: Mutex::default(),
            notices: Arc::default(),
            files: FileWork::new(Path::new("store.password_file, store.cert")).into(),
        }
    }

    /// Reads the password and the certificates, connects, and tries whether records can be written, read and deleted. The connection
    /// replaces the one before.
    ///
    /// # Errors
    ///
    /// What does not work. The connection before stays.
    pub async fn connect(&self) -> Result<()> {
        let config = Arc::clone(&self.config);
        let access = self.files.lock().await.run(move || Access::read(&config)).await;
        let access = access.ok_or("the file system does not respond")??;
        let password = access.password.as_ref().map_or("\0", |password| password.as_str());
        // It was told to what answers, whatever that is.
        let message = |error| message(&error).replace(password, "…");
        let connection = self.open(&access).await.map_err(message)?;
        *self.connection.lock() = Ok(connection);
        *self.password.lock() = access.password;
        // There may have been notices while there was no connection.
        self.notices.notify_one();
        Ok(())
    }

    async fn open(&self, access: &Access) -> RedisResult<Connection> {
        let mut connection = access.open(&self.topology, &self.nodes, Arc::clone(&self.notices)).await?;
        connection.subscribe(CHANNEL).await?;
        try_out(&connection).await?;
        Ok(connection)
    }

    /// Returns whether the file has another password than the connection. Blocks.
    ///
    /// # Errors
    ///
    /// Why the file cannot be read.
    pub fn has_new_password(&self) -> Result<bool> {
        let password = self.config.password_file.as_deref().map(read_password).transpose()?;
        Ok(password != *self.password.lock())
    }

    /// Reads records, each with the time that it has left. What has no end is not ours.
    pub async fn read<const N: usize>(&self, names: [&str; N]) -> Result<[Option<(Vec<u8>, Duration)>; N]> {
        let found: Vec<(Option<Vec<u8>>, i64)> = self.run(&script("read", &names)).await?;
        let record = |(record, left): (Option<_>, i64)| {
            Some((record?, Duration::from_millis(u64::try_from(left).ok()?)))
        };
        let found: Vec<_> = found.into_iter().map(record).collect();
        found.try_into().map_err(|_| UNEXPECTED.to_owned())
    }

    /// Writes a record, and tells all servers that something is new.
    pub async fn announce(&self, name: &str, record: &[u8], life: Duration) -> Result<()> {
        self.run(script("announce", &[name]).arg(CHANNEL).arg(record).arg(milliseconds(life))).await
    }

    /// Takes the lease for a kind of token. Returns its fence, or `None` if another server has it.
    pub async fn lease(&self, id: &str) -> Result<Option<u64>> {
        self.run(operation("lease", id).arg(&self.server)).await
    }

    /// Has the script `renew` a lease, or end it: `publish` a token, or `release` it, with the failure if there is one. Returns whether
    /// it was still there, and no newer token.
    pub async fn with_lease(
        &self,
        what: &str,
        lease: &Lease,
        record: Option<(&[u8], Duration)>,
    ) -> Result<bool> {
        let mut command = operation(what, &lease.id);
        command.arg(format!("{} {}", self.server, lease.fence)).arg(lease.fence);
        if let Some((record, life)) = record {
            command.arg(record).arg(milliseconds(life));
        }
        self.run(&command).await
    }

    /// Waits until a server says that something is new, or some may have said so unheard. Several times may be one.
    pub async fn noticed(&self) {
        self.notices.notified().await;
    }

    /// Returns what is unwise about the server or how it is reached, as far as can be seen.
    pub async fn warnings(&self) -> Vec<String> {
        let is_clear = !self.config.place.is_tls() && !self.nodes.iter().all(is_loopback_url);
        let is_open = self.config.user.is_none();
        let unwise = [
            (is_clear, "the connection is not encrypted: write rediss:// in store.url"),
            (is_open, "store.user is not set: anyone who can reach the server can do anything"),
            (self.evicts().await, "the server drops records to make room: set maxmemory-policy noeviction"),
        ];
        unwise.into_iter().filter(|(is_so, _)| *is_so).map(|(_, warning)| warning.to_owned()).collect()
    }

    /// Returns whether the server drops what has an end when its memory is full, if it tells us; of a cluster, whether any does.
    async fn evicts(&self) -> bool {
        let Ok(connection) = self.connection.lock().clone() else { return false };
        let answer = connection.run::<Value>(redis::cmd("INFO").arg("memory")).await;
        let text = answer.map(|answer| format!("{answer:?}")).unwrap_or_default();
        ["allkeys", "volatile"].iter().any(|kind| text.contains(&format!("maxmemory_policy:{kind}-")))
    }

    async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let connection = self.connection.lock().clone()?;
        connection.run(command).await.map_err(|error| {
            let message = message(&error);
            // A full server refuses to write and goes on reading, as one does that was the primary. Until `connect` has tried both,
            // nothing is.
            if error.code().is_some() && !error.is_cluster_error() {
                *self.connection.lock() = Err(message.clone());
            }
            message
        })
    }
}

impl fmt::Debug for Valkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Valkey").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Tries whether there is permission for all that is done, and what is written can be read.
async fn try_out(connection: &Connection) -> RedisResult<()> {
    // Other servers may be at it, too.
    let name = format!("tp1:probe:{:016x}", fastrand::u64(..));
    let mut announce = script("announce", &[&name]);
    connection.run::<()>(announce.arg("tp1:probe").arg("probe").arg(milliseconds(PROBE_LIFE))).await?;
    // A script would not say that it may not.
    connection.run::<Vec<u8>>(redis::cmd("GET").arg(&name)).await?;
    let [(record, _)] = connection.run::<[(Vec<u8>, i64); 1]>(&script("read", &[&name])).await?;
    connection.run::<Value>(operation("lease", "probe").arg("probe")).await?;
    connection.run::<()>(redis::cmd("DEL").arg(&name)).await?;
    let is_whole = record == b"probe";
    if is_whole { Ok(()) } else { Err(io::Error::other("a record is not what was written").into()) }
}

fn operation(operation: &str, id: &str) -> Cmd {
    // In a cluster, what is in braces puts them on the same server.
    script(operation, &["l", "n", "t", "f"].map(|part| format!("tp1:{{{id}}}:{part}")))
}

fn script(operation: &str, keys: &[impl ToRedisArgs]) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(SCRIPT).arg(keys.len()).arg(keys).arg(operation);
    command
}

/// None at all would be an error.
fn milliseconds(life: Duration) -> u64 {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Without the answer where it cannot be read, and without what some servers repeat of a command that they do not know: there may be a
/// record or the password in it.
fn message(error: &RedisError) -> String {
    let text = match (error.kind(), error.code(), error.detail()) {
        (ErrorKind::Parse | ErrorKind::UnexpectedReturnType, ..) => UNEXPECTED.to_owned(),
        (_, Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    excerpt(text.split_once(", with args").map_or(&*text, |(start, _)| start))
}

#[cfg(test)]
mod tests;
