//! The service and the command `token-provider`, on top of the library [`token_provider`].
//!
//! The way of a request: [`listen`] accepts a connection, [`http`] routes, [`access`] decides and hands out. The way of
//! a start: [`cli`] and [`config`] say what is wanted, [`setup`] puts it together, [`commands`] run it.

mod printable;

mod topic;

mod outbound;

pub mod reason;

pub mod problem;

pub mod settings;

pub mod values;

pub mod config;

pub mod telemetry;

mod oidc;

pub mod access;

pub mod http;

pub mod admin;

pub mod listen;

pub mod setup;

pub mod notify;

pub mod reload;

pub mod sandbox;

pub mod cli;

pub mod commands;
