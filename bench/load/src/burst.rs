//! A crowd that asks all at once, each on a separate connection.
//!
//! The connections are opened before that, some at a time: a system whose accept queue is full has clients try again
//! after a second or more, and that would draw the crowd apart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Result;
use crate::http::Connection;

/// Fewer than the shortest accept queue in use.
const OPENING: usize = 100;

pub async fn run(port: u16, path: &str, connections: usize) -> Result<()> {
    let open = open(port, path, connections).await?;
    let mut clients = JoinSet::new();
    let began = Instant::now();
    for mut connection in open {
        clients.spawn(async move { connection.ask().await.map(|answer| (answer.status, connection)) });
    }
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    // All stay open until the last one has its answer.
    let mut answered = Vec::with_capacity(connections);
    while let Some(client) = clients.join_next().await {
        let outcome = match client? {
            Ok((status, connection)) => {
                answered.push(connection);
                status.to_string()
            }
            Err(error) => error.kind().to_string(),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    let took = began.elapsed();
    answered.into_iter().for_each(Connection::abort);
    println!("{}", json!({ "outcomes": outcomes, "seconds": took.as_secs_f64() }));
    Ok(())
}

async fn open(port: u16, path: &str, connections: usize) -> Result<Vec<Connection>> {
    let places = Arc::new(Semaphore::new(OPENING));
    let mut opening = JoinSet::new();
    for _ in 0..connections {
        let (places, path) = (Arc::clone(&places), path.to_owned());
        opening.spawn(async move {
            let _place = places.acquire().await;
            Connection::open(port, &path).await
        });
    }
    let mut open = Vec::with_capacity(connections);
    while let Some(connection) = opening.join_next().await {
        open.push(connection??);
    }
    Ok(open)
}
