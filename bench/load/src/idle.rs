//! Connections that are kept open and say nothing, as browsers and pools do.

use std::io::Read as _;

use serde_json::json;

use crate::Result;
use crate::http::Connection;

pub async fn run(port: u16, path: &str, connections: usize) -> Result<()> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut connection = Connection::open(port, path).await?;
        let status = connection.ask().await?.status;
        if status != 200 {
            return Err(format!("connection {} was answered with {status}", open.len() + 1).into());
        }
        open.push(connection);
    }
    println!("{}", json!({ "open": open.len() }));
    // Blocks a thread of the runtime, which has nothing else to do.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    open.into_iter().for_each(Connection::abort);
    Ok(())
}
