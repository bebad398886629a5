//! The application: what is answered at which path. `pipeline.rs` tells a request from top to bottom.

pub(crate) mod answer;
mod audit;
pub(crate) mod health;
mod here;
mod oauth2;
mod page;
pub(crate) mod parameters;
pub(crate) mod pipeline;
pub(crate) mod request;
pub(crate) mod token;

pub(crate) use self::answer::Answer;
pub use self::page::Page;
pub use self::pipeline::{App, Service};
pub(crate) use self::request::shed_fields;
