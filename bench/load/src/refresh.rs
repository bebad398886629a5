//! How long callers wait while the server gets a new token, against how long they wait at other times.
//!
//! A trickle of requests at fixed times, so that a server that stalls is asked all the same and every caller's wait
//! counts from when it wanted to ask. The issuer takes a known time to answer and numbers its tokens: the moment at
//! which the number changes says when the refresh was. Time is cut into windows of one refresh's length.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::Result;
use crate::http::Connection;

const CLIENTS: u32 = 32;
const EVERY: Duration = Duration::from_millis(20);
/// The issuer's delay is not all of a refresh.
const MARGIN: Duration = Duration::from_millis(25);

/// One answer: when it was wanted and when it came, since the start, and the number in its token.
struct Sample {
    wanted: Duration,
    came: Duration,
    number: Vec<u8>,
}

pub async fn run(port: u16, path: &str, seconds: u64, delay_millis: u64) -> Result<()> {
    let mut clients = JoinSet::new();
    let start = Instant::now();
    for client in 0..CLIENTS {
        let path = path.to_owned();
        // Not all at the same moment.
        let first = start + EVERY * client / CLIENTS;
        clients
            .spawn(async move { ask_often(port, &path, start, first, Duration::from_secs(seconds)).await });
    }
    let mut samples = Vec::new();
    while let Some(client) = clients.join_next().await {
        samples.extend(client??);
    }
    samples.sort_by_key(|sample| sample.came);
    report(&samples, Duration::from_millis(delay_millis))
}

async fn ask_often(
    port: u16,
    path: &str,
    start: Instant,
    first: Instant,
    span: Duration,
) -> Result<Vec<Sample>> {
    let mut connection = Connection::open(port, path).await?;
    let mut clock = interval_at(first, EVERY);
    // Callers that are late send their request at once; their wait counts from when it was due.
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut samples = Vec::new();
    loop {
        let wanted = clock.tick().await - start;
        if wanted > span {
            return Ok(samples);
        }
        let answer = connection.ask().await?;
        if answer.status != 200 {
            return Err(format!("answered with {}", answer.status).into());
        }
        let number = answer.body.get(..8).unwrap_or_default().to_vec();
        samples.push(Sample { wanted, came: start.elapsed(), number });
    }
}

fn report(samples: &[Sample], delay: Duration) -> Result<()> {
    // When the first answer with the next number came. Answers overtake each other, so an old number after that is none.
    let mut changes = Vec::new();
    let mut newest = samples.first().map(|sample| &sample.number).ok_or("no answers")?;
    for sample in samples {
        if sample.number > *newest {
            newest = &sample.number;
            changes.push(sample.came);
        }
    }
    let window = delay + 2 * MARGIN;
    let slowest = |from: Duration| {
        let within = samples.iter().filter(|sample| sample.came >= from && sample.wanted < from + window);
        within.map(|sample| sample.came.saturating_sub(sample.wanted)).max().unwrap_or_default().as_secs_f64()
    };
    let during: Vec<f64> =
        changes.iter().map(|change| slowest((*change).saturating_sub(delay + MARGIN))).collect();
    let mut steady = Vec::new();
    // Not the very beginning, when connections are new.
    let (mut from, end) = (window, samples.last().map_or(Duration::ZERO, |sample| sample.wanted));
    while from + window < end {
        // Far from any refresh: its wake is not steady either.
        let is_near = |change: &&Duration| **change + window > from && **change < from + 2 * window + delay;
        if let Some(change) = changes.iter().find(is_near) {
            from = *change + window;
        } else {
            steady.push(slowest(from));
            from += window;
        }
    }
    let count = samples.len();
    println!("{}", json!({ "answers": count, "during_refresh": during, "steady": steady }));
    Ok(())
}
