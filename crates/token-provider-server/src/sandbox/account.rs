//! The account: in this process beside the server, or alone.

use here_sandbox::cli::{Listen, RunError};
use here_sandbox::{Sandbox, SandboxConfig};
use token_provider::Credential;

use super::{SandboxError, demo};
use crate::config::Config;
use crate::http::Page;
use crate::setup::{self, Service, SetupError, TokenSource};

pub use here_sandbox::cli::Options;

/// An offline HERE account in this process.
#[derive(Debug)]
pub(crate) struct Account {
    credential: Credential,
    origin: String,
}

/// Runs an account alone, until a signal ends it.
pub(crate) async fn run(options: Options) -> Result<(), SandboxError> {
    let config = match &options.credentials {
        Some(file) => {
            let credential = Credential::from_file(file.clone())?;
            SandboxConfig::new(credential.access_key_id(), credential.access_key_secret().clone())
        }
        None => SandboxConfig::generate(),
    };
    Ok(options.run(config).await?)
}

impl Account {
    /// Opens an account that ends with the process: the server's last answers may still need it.
    pub(crate) async fn open() -> Result<Self, SandboxError> {
        let config = SandboxConfig::generate();
        let (id, secret) = (config.access_key_id.clone(), config.access_key_secret.clone());
        // Where the docs say it is, unless something else is there.
        let (listeners, address) = match Listen::DEFAULT.bind().await {
            Ok(bound) => bound,
            Err(_taken) => Listen::ANY_PORT.bind().await?,
        };
        let origin = format!("http://{address}");
        let credential =
            Credential::new(&id, secret)?.with_token_endpoint_url(&format!("{origin}/oauth2/token"))?;
        let sandbox = Sandbox::new(config);
        tokio::spawn(async move { sandbox.serve(listeners).await });
        Ok(Self { credential, origin })
    }

    /// Gives every profile the account's access key.
    pub(crate) fn service(&self, config: &Config) -> Result<Service, SetupError> {
        let (mut profiles, mut sources) = (Vec::new(), Vec::new());
        for name in config.profiles.keys() {
            profiles.push(setup::profile(name, config, self.credential.clone())?);
            sources.push(TokenSource::new(name, "made for the sandbox", self.origin.clone()));
        }
        Ok(Service { access: setup::access_with(config, profiles), issuers: Vec::new(), sources })
    }

    /// Returns the demonstration over the account's data.
    pub(crate) fn page(&self) -> Page {
        Page::Demo { sandbox_origin: self.origin.clone(), file: demo::file }
    }
}

impl From<RunError> for SandboxError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Usage(text) => Self::Usage(text),
            RunError::System { what, source } => Self::System { what, source },
            other => Self::Usage(other.to_string()),
        }
    }
}
