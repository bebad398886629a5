//! What `bench/run` needs beside the contenders: hyper alone, an issuer, and clients that wrk is not.
//!
//! `load COMMAND ARGUMENTS…`; each prints one line of JSON to stdout when it has something to say. `bench/run` is the
//! only user, so there are no options and no defaults.

mod burst;
mod http;
mod hyper_alone;
mod idle;
mod issuer;
mod refresh;
mod start;

use std::error::Error;
use std::process::ExitCode;
use std::str::FromStr;

const USAGE: &str = "usage:
    load hyper ANSWER-FILE                       answers every request with the answer of a file, by the library that token-provider uses
    load issuer TOKEN-LENGTH EXPIRES-IN DELAY-MS answers token requests; GET /count says how many there were
    load burst PORT PATH CONNECTIONS             that many clients, each with one request, all at once
    load idle PORT PATH CONNECTIONS              one request on each connection, which then stays open until stdin ends
    load refresh PORT PATH SECONDS DELAY-MS      a steady trickle of requests, sorted by whether a refresh was under way
    load start PORT PATH PROGRAM ARGUMENTS…      from exec to the first token";

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        ["hyper", file] => hyper_alone::run(&std::fs::read(file)?).await,
        ["issuer", length, expires_in, delay] => {
            issuer::run(number(length)?, number(expires_in)?, number(delay)?).await
        }
        ["burst", port, path, connections] => burst::run(number(port)?, path, number(connections)?).await,
        ["idle", port, path, connections] => idle::run(number(port)?, path, number(connections)?).await,
        ["refresh", port, path, seconds, delay] => {
            refresh::run(number(port)?, path, number(seconds)?, number(delay)?).await
        }
        ["start", port, path, program, ref arguments @ ..] => {
            start::run(number(port)?, path, program, arguments).await
        }
        _ => Err(USAGE.into()),
    }
}

fn number<T: FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| format!("{text}: expected a number\n{USAGE}").into())
}
