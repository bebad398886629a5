//! The account: in this process beside the server, or alone.

use here_sandbox::cli::{Listen, RunError};
use here_sandbox::{Sandbox, SandboxConfig};
use token_provider::{Credential, CredentialSource};

use super::demo;
use crate::failure::Failure;
use crate::http::Page;
use crate::topic::Topic;

pub use here_sandbox::cli::Options;

/// Runs an account alone, until a signal ends it.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let config = match &options.credentials {
        Some(file) => {
            let credential = Credential::from_file(file.clone())?;
            let (Some(id), Some(secret)) = (credential.access_key_id(), credential.access_key_secret())
            else {
                let message = format!(
                    "{}: it has a private key, and the account needs an access key; to accept the private key, register \
                     its public key with --jwks",
                    file.display()
                );
                return Err(Failure::new(Topic::CredentialInvalid, message));
            };
            SandboxConfig::new(id, secret.clone())
        }
        None => SandboxConfig::generate(),
    };
    options.run(config).await.map_err(failure)
}

/// Opens an account that ends with the process: the server's last answers may still need it. Returns where its access key is found,
/// and the demonstration over its data.
pub(crate) async fn open() -> Result<(CredentialSource, Page), Failure> {
    let config = SandboxConfig::generate();
    // Where the docs say it is, unless something else is there.
    let (listeners, address) = match Listen::DEFAULT.bind().await {
        Ok(bound) => bound,
        Err(_taken) => Listen::ANY_PORT.bind().await.map_err(failure)?,
    };
    let origin = format!("http://{address}");
    let source = CredentialSource::variables(|name| match name {
        "HERE_ACCESS_KEY_ID" => Some(config.access_key_id.clone().into()),
        "HERE_ACCESS_KEY_SECRET" => Some(config.access_key_secret.clone()),
        "HERE_TOKEN_ENDPOINT_URL" => Some(format!("{origin}/oauth2/token").into()),
        _ => None,
    });
    let source = source.expect("the access key is there");
    let sandbox = Sandbox::new(config);
    tokio::spawn(async move { sandbox.serve(listeners).await });
    Ok((source, Page::Demo { sandbox_origin: origin, file: demo::file }))
}

fn failure(error: RunError) -> Failure {
    match error {
        RunError::System { what, source } => Failure::new(Topic::System, what).caused_by(source),
        other => Failure::new(Topic::Usage, other.to_string()),
    }
}
