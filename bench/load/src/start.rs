//! From exec to the first token: starts a program, and asks until it answers.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::process::Command;

use crate::Result;
use crate::http::Connection;

/// Short against what is measured, and long enough to leave the processors to the program.
const PAUSE: Duration = Duration::from_micros(200);
const TIME_LIMIT: Duration = Duration::from_secs(10);

pub async fn run(port: u16, path: &str, program: &str, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    let began = Instant::now();
    let mut child = command.spawn()?;
    loop {
        if let Ok(mut connection) = Connection::open(port, path).await
            && connection.ask().await.is_ok_and(|answer| answer.status == 200)
        {
            println!("{}", json!({ "seconds": began.elapsed().as_secs_f64() }));
            connection.abort();
            child.kill().await?;
            return Ok(());
        }
        if began.elapsed() > TIME_LIMIT {
            return Err("no token came".into());
        }
        // Tokio's timer goes by whole milliseconds.
        std::thread::sleep(PAUSE);
    }
}
