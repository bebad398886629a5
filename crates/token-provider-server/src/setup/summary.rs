//! Who may ask, in a sentence for the log.

use crate::config::{AccessConfig, Config, CorsConfig, OriginPattern, SubjectName};

/// More names than this are counted instead.
const MAX_NAMES: usize = 3;

/// Says which callers and which web pages a configuration lets in. `is_local` says whether all listeners are reachable
/// from this machine alone.
pub fn who_may_ask(config: &Config, is_local: bool) -> String {
    format!("{}; {}", callers(&config.access, is_local), pages(&config.cors))
}

fn callers(access: &AccessConfig, is_local: bool) -> String {
    let mut ways = Vec::new();
    if access.anonymous || !access.has_callers() {
        ways.push(if is_local { "anyone on this machine" } else { "anyone who can reach it" }.to_owned());
    }
    if !access.api_keys.is_empty() {
        ways.push(format!("API keys ({})", names(access.api_keys.iter().map(|key| key.id.clone()))));
    }
    if let Some(oidc) = &access.oidc {
        ways.push(format!("tokens of {}", oidc.issuer));
    }
    if let Some(mtls) = &access.mtls {
        let allowed = mtls.allow.iter().map(|(SubjectName::Dns(name) | SubjectName::Uri(name))| name.clone());
        ways.push(format!("client certificates ({})", names(allowed)));
    }
    if let Some(proxy) = &access.trusted_proxy {
        let from = names(proxy.from.iter().map(ToString::to_string));
        ways.push(format!("whom the proxy at {from} names"));
    }
    ways.join(", ")
}

fn pages(cors: &CorsConfig) -> String {
    if cors.origins.iter().any(OriginPattern::is_any) {
        return "every web page".to_owned();
    }
    if cors.origins.is_empty() {
        return "no web page but its own".to_owned();
    }
    format!("web pages of {}", names(cors.origins.iter().map(ToString::to_string)))
}

fn names(names: impl ExactSizeIterator<Item = String>) -> String {
    let count = names.len();
    if count > MAX_NAMES {
        return format!("{count} of them");
    }
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, Overrides};

    fn who(text: &str, is_local: bool) -> String {
        let file = (Path::new("c.toml"), text);
        let config = Config::parse(Some(file), &Environment::default(), &Overrides::default());
        who_may_ask(&config.unwrap_or_else(|error| panic!("{error}")), is_local)
    }

    #[test]
    fn sentence_names_every_way_in() {
        let pages = "; web pages of http://localhost:*, http://127.0.0.1:*, http://[::1]:*";
        assert_eq!(who("", true), format!("anyone on this machine{pages}"));
        assert_eq!(who("[access]\nanonymous = true", false), format!("anyone who can reach it{pages}"));
        let key = |id: &str| format!("[[access.api_keys]]\nid = \"{id}\"\nsha256 = \"{}\"\n", id.repeat(64));
        let text = format!("[cors]\norigins = [\"https://m.example\"]\n{}{}", key("a"), key("b"));
        assert_eq!(who(&text, false), "API keys (a, b); web pages of https://m.example");
        let keys: String = ["a", "b", "c", "d"].into_iter().map(key).collect();
        assert_eq!(
            who(&format!("[cors]\norigins = [\"*\"]\n{keys}"), false),
            "API keys (4 of them); every web page"
        );
        let text = "[access.oidc]\nissuer = \"https://login.example\"\naudience = \"x\"\n[access.trusted_proxy]\n\
                    from = [\"10.0.0.0/8\"]\nheader = \"X-User\"\n[cors]\norigins = []\n";
        let expected =
            "tokens of https://login.example, whom the proxy at 10.0.0.0/8 names; no web page but its own";
        assert_eq!(who(text, false), expected);
    }
}
