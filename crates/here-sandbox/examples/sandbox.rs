//! Runs a sandbox until Ctrl-C: `cargo run --example sandbox -- 127.0.0.1:8080 > credentials.properties`.

use here_sandbox::{Sandbox, SandboxConfig};
use tokio::net::TcpListener;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the credential file is what the example is for")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;
    let token_endpoint = format!("http://{}/oauth2/token", listener.local_addr()?);

    let sandbox = Sandbox::new(SandboxConfig::generate());
    print!("{}", sandbox.credentials_properties(&token_endpoint));
    let shutdown = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    sandbox.serve(listener, shutdown).await
}
