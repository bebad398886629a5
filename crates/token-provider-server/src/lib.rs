//! The service and the command `token-provider`, on top of the library [`token_provider`].
//!
//! A request: `listen` accepts the connection, `http` routes it, `access` authorizes it and hands out the token. A start:
//! `cli` and `config` read what is wanted, `setup` assembles it, `commands` run it.
//!
//! The modules are private, so that the compiler reports unused code.

#![cfg_attr(test, allow(clippy::too_many_lines, reason = "a table of cases is as long as its cases"))]
#![allow(unreachable_pub, reason = "an item is as public as its room")]

mod printable;

mod outbound;

mod file_work;

mod reason;

mod topic;

mod problem;

mod settings;

mod values;

mod config;

mod failure;

mod telemetry;

mod oidc;

mod access;

mod http;

mod admin;

mod listen;

mod outputs;

mod store;

mod setup;

mod notify;

mod reload;

mod sandbox;

mod cli;

mod commands;

pub use self::cli::Cli;
pub use self::commands::run;

/// What the tests and the fuzz targets put a server together from. It is no interface: it changes as they need it.
#[doc(hidden)]
pub mod parts {
    pub mod access {
        pub use crate::access::{Access, ClientCertificate, ConnectionInfo, Handout, Profile, api_key};
    }
    pub use crate::admin::Admin;
    pub mod config {
        pub use crate::config::{
            AuditConfig, Config, ConfigErrors, Environment, Host, Listen, Origin, Overrides, Owner,
            PublicHost, TlsConfig, UnixPlace,
        };
    }
    pub mod http {
        pub use crate::http::{App, Page, Service};
    }
    pub mod listen {
        pub use crate::listen::{Limits, Listener, Tls, bind, serve};
    }
    pub use crate::reason::Method;
    pub mod setup {
        pub use crate::setup::{check_exposure, read_here_secrets, service};
    }
    pub mod telemetry {
        pub use crate::telemetry::audit::Audit;
        pub use crate::telemetry::{Telemetry, init, report_panics};
    }
}
