//! What each key gives.

use std::path::{Path, PathBuf};
use std::time::Duration;

use governor::Quota;
use hyper::header::HeaderName;
use token_provider::Scope;
use tracing::level_filters::LevelFilter;

use super::{parsed, problems};
use crate::config::store::Topology;
use crate::config::{
    AuditConfig, Config, Environment, Host, Listen, LogFormat, OriginPattern, Overrides, Owner, StoreConfig,
    StorePlace, TokenFormat,
};
use crate::setup::check_exposure;

/// Every key there is, with a value other than the default.
pub(super) const EVERY_KEY: &str = r#"
listen = ["0.0.0.0:8443", "unix:/run/token-provider/http.sock"]
public_hosts = ["Tokens.example.com.", "tokens.example.com:8443"]
lifetimes = ["1h", 300, "15m", "5m"]
drain = "1m30s"
profile = "maps"

[tls]
cert = "/etc/token-provider/tls.crt"
key = "tls.key"
client_ca = "certificates/clients.pem"

[profiles.maps]
credentials = "/etc/token-provider/credentials.properties"
scopes = ["hrn:here:authorization::myrealm:project/p1"]
scope = "hrn:here:authorization::myrealm:project/p2"
ca = "/etc/ssl/here.pem"
on_rotation = "replace"

[profiles.far]
remote = "https://tokens.example.com/getToken"
scopes = ["hrn:here:authorization::myrealm:project/p1"]
api_key_file = "/etc/token-provider/far.key"
remote_header = "X-Asked"

[cors]
origins = ["https://maps.example.com", "http://[::1]:*"]

[access]
anonymous = true
anonymous_profiles = ["far"]
anonymous_scopes = "hrn:here:authorization::myrealm:project/p1"
anonymous_max_ttl = "5m"
anonymous_rate = "1/s"
anonymous_burst = 5
require_header = "X-Token-Provider"

[[access.api_keys]]
id = "dashboard"
sha256 = "000102030405060708090A0B0C0D0E0F101112131415161718191a1b1c1d1e1f"
profiles = ["maps", "far"]
scopes = ["hrn:here:authorization::myrealm:project/p1"]
max_ttl = "15m"
rate = "10/s"
burst = 20

[[access.api_keys]]
id = "batch"
sha256 = [
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
]
expires = 2030-01-31T01:00:00+01:00

[[access.here_keys]]
id = "tp.import"
secret_file = "import.secret"
profiles = ["far", "maps"]
scopes = ["hrn:here:authorization::myrealm:project/p1"]
max_ttl = "30m"
rate = "3/s"
burst = 4

[[access.oidc]]
issuer = "https://login.example.com/"
ca = "company.pem"
audience = "token-provider"
require = { groups = ["maps", "admins"], "https://example.com/role" = "reader" }
leeway = "2m"
profiles = ["maps"]
scopes = ["hrn:here:authorization::myrealm:project/p2"]
max_ttl = 3600
rate = "100/m"
burst = 7

[[access.oidc]]
issuer = "https://kubernetes.default.svc.cluster.local"
audience = "token-provider"
jwks_url = "https://kubernetes.default.svc/openid/v1/jwks"
jwks_token_file = "/var/run/secrets/kubernetes.io/serviceaccount/token"
ca = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"

[[access.oidc]]
issuer = "https://kubernetes.default.svc.cluster.local"
audience = "token-provider"
jwks_file = "cluster-2.json"

[[access.oidc.rules]]
claims = { sub = "system:serviceaccount:maps:*", "/kubernetes.io/namespace" = "maps" }
name = "k8s:{/kubernetes.io/namespace}/{/kubernetes.io/serviceaccount/name}"
max_ttl = "15m"
mode = "enforce"

[access.mtls]
allow = ["spiffe://example.com/inspector", "Dashboard.example.com"]
profiles = ["maps"]
scopes = ["hrn:here:authorization::myrealm:project/p2"]
max_ttl = "1h"
rate = "1000/h"
burst = 8

[[access.mtls.rules]]
names = ["spiffe://example.com/ns/maps/*", "*.Example.com"]
max_ttl = "15m"

[[access.mtls.rules]]
names = "spiffe://example.com/*"
mode = "audit"

[access.trusted_proxy]
from = ["10.0.0.0/8", "fd00::7"]
header = "X-Forwarded-User"
groups_header = "X-Forwarded-Groups"
profiles = ["maps"]
scopes = ["hrn:here:authorization::myrealm:project/p2"]
max_ttl = "1h"
rate = "2/s"
burst = 9

[[access.trusted_proxy.rules]]
users = ["alice", "*@example.com"]
groups = "maps"
profiles = ["far"]
scopes = ["hrn:here:authorization::myrealm:project/p1"]
rate = "1/s"
burst = 3
mode = "enforce"

[admin]
listen = "127.0.0.1:9464"

[log]
format = "json"
level = "debug"

[audit]
to = "/var/log/token-provider/audit.jsonl"

[[outputs]]
path = "identity/access-token"
format = "header"
profile = "maps"
scope = "hrn:here:authorization::myrealm:project/p1"
ttl = "25m"
mode = "0640"
group = "maps"

[[outputs]]
path = "/dev/shm/token"

[store]
url = "rediss-sentinel://Valkey-1.example.com?node=valkey-2.example.com:26380&sentinelServiceName=tokens"
key_file = "store.keys"
ca = "store/ca.pem"
cert = "/etc/token-provider/store.crt"
key = "/etc/token-provider/store.key"
user = "token-provider"
password_file = "store/password"
timeout = "1s"
"#;

/// The milliseconds for one more request, and how many may come at once.
fn interval_and_burst(rate: Quota) -> (u128, u32) {
    (rate.replenish_interval().as_millis(), rate.burst_size().get())
}

fn scope(project: &str) -> Scope {
    super::scope(&format!("hrn:here:authorization::myrealm:project/{project}"))
}

fn seconds(config: &Config) -> Vec<u64> {
    config.lifetimes.iter().map(|lifetime| lifetime.as_secs()).collect()
}

#[test]
fn what_the_file_says_is_what_comes_out() {
    let config = parsed(EVERY_KEY);

    assert_eq!(config.file.as_deref(), Some(Path::new("c.toml")));
    let any = Host::Ip("0.0.0.0".parse().unwrap());
    let socket = PathBuf::from("/run/token-provider/http.sock");
    assert_eq!(config.listen, [Listen::Tcp { host: any, port: 8443 }, Listen::Unix(socket.into())]);
    let hosts: Vec<String> = config.public_hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["tokens.example.com", "tokens.example.com:8443"]);
    assert_eq!(seconds(&config), [300, 900, 3600], "sorted, each once");
    assert_eq!(config.drain, Duration::from_secs(90));

    let tls = config.tls.unwrap();
    assert_eq!(tls.cert, Path::new("/etc/token-provider/tls.crt"));
    assert_eq!(tls.key, Path::new("tls.key"));
    assert_eq!(tls.client_ca.as_deref(), Some(Path::new("certificates/clients.pem")));

    assert_eq!(config.profile, "maps");
    let [far, maps] = ["far", "maps"].map(|name| &config.profiles[name]);
    assert_eq!(config.profiles.len(), 2);
    let file = Path::new("/etc/token-provider/credentials.properties");
    assert_eq!((maps.credentials.as_deref(), &maps.remote), (Some(file), &None));
    assert_eq!(maps.scopes, [scope("p1"), scope("p2")], "the default scope may be asked for");
    assert_eq!(maps.scope, Some(scope("p2")));
    assert_eq!(maps.ca.as_deref(), Some(Path::new("/etc/ssl/here.pem")));
    assert!(maps.replaces && !far.replaces, "tokens are kept unless it is said otherwise");
    let remote = far.remote.as_ref().expect("is another token provider");
    assert_eq!(remote.to_string(), "https://tokens.example.com/getToken");
    assert_eq!(far.api_key_file.as_deref(), Some(Path::new("/etc/token-provider/far.key")));
    assert_eq!(far.remote_header.as_ref().map(HeaderName::as_str), Some("x-asked"));

    let origins: Vec<String> = config.origins.iter().map(ToString::to_string).collect();
    assert_eq!(origins, ["https://maps.example.com", "http://[::1]:*"]);
    assert_eq!(config.admin.map(|listen| listen.to_string()).as_deref(), Some("127.0.0.1:9464"));
    assert_eq!((config.log.format, config.log.level), (LogFormat::Json, LevelFilter::DEBUG));
    assert_eq!(config.audit, AuditConfig::File("/var/log/token-provider/audit.jsonl".into()));
    let [set, unset] = &config.outputs[..] else { panic!("there are two") };
    // Relative to the file, and absolute.
    assert!(set.path.is_absolute() && set.path.ends_with("identity/access-token"), "{set:?}");
    assert_eq!(
        (set.format, &*set.profile, set.ttl),
        (TokenFormat::Header, "maps", Duration::from_secs(1500))
    );
    assert_eq!(set.scope.as_ref().map(Scope::as_str), Some("hrn:here:authorization::myrealm:project/p1"));
    assert_eq!((set.mode, &set.group), (0o640, &Some(Owner::Name("maps".to_owned()))));
    assert_eq!(
        (unset.format, &unset.profile, unset.ttl),
        (TokenFormat::Here, &config.profile, Duration::from_secs(3600))
    );
    assert_eq!((unset.mode, &unset.group, &unset.scope), (0o600, &None, &None));
    let store = config.store.unwrap();
    assert_eq!((&*store.key_file, store.timeout), (Path::new("store.keys"), Duration::from_secs(1)));
    let nodes = vec!["Valkey-1.example.com:26379", "valkey-2.example.com:26380"];
    assert_eq!(servers(&store), (Topology::Sentinel("tokens".to_owned()), nodes));
    assert!(store.place.is_tls());
    assert_eq!((store.ca, store.user), (Some("store/ca.pem".into()), Some("token-provider".to_owned())));
    let [cert, key] = ["crt", "key"].map(|end| PathBuf::from(format!("/etc/token-provider/store.{end}")));
    assert_eq!(
        (store.cert, store.key, store.password_file),
        (Some(cert), Some(key), Some("store/password".into()))
    );
}

#[test]
fn each_way_to_authenticate_has_its_own_policy() {
    let access = parsed(EVERY_KEY).access;
    assert!(access.anonymous && access.has_callers());
    assert_eq!(access.require_header.as_ref().map(HeaderName::as_str), Some("x-token-provider"));

    let policy = &access.anonymous_policy;
    let rate = policy.rate.unwrap();
    assert_eq!(policy.profiles, ["far"]);
    assert_eq!(policy.scopes, Some(vec![scope("p1")]));
    assert_eq!(policy.max_ttl, Some(Duration::from_secs(300)));
    assert_eq!((rate.replenish_interval().as_secs(), rate.burst_size().get()), (1, 5));

    let [dashboard, batch] = &access.api_keys[..] else { panic!("two keys") };
    assert_eq!(dashboard.id, "dashboard");
    let [sha256] = &dashboard.sha256[..] else { panic!("one hash") };
    assert!(sha256.iter().copied().eq(0..32));
    assert_eq!(dashboard.expires, None);
    assert_eq!(dashboard.policy.profiles, ["maps", "far"]);
    assert_eq!(dashboard.policy.scopes, Some(vec![scope("p1")]));
    assert_eq!(dashboard.policy.max_ttl, Some(Duration::from_secs(900)));
    assert_eq!(dashboard.policy.rate.map(interval_and_burst), Some((100, 20)));
    assert_eq!((&*batch.id, &batch.sha256[..]), ("batch", &[[0xff; 32], [0xee; 32]][..]));
    assert_eq!(batch.expires, Some(Duration::from_secs(1_896_048_000)));
    assert_eq!(batch.policy.profiles, ["maps"], "the default profile, where none is named");
    assert_eq!((&batch.policy.scopes, batch.policy.max_ttl, batch.policy.rate), (&None, None, None));

    let [import] = &access.here_keys[..] else { panic!("one key") };
    assert_eq!(import.id, "tp.import");
    assert!(import.secret_file.ends_with("import.secret"));
    assert_eq!(import.policy.profiles, ["far", "maps"]);
    assert_eq!(import.policy.max_ttl, Some(Duration::from_secs(1800)));
    assert_eq!(import.policy.rate.map(interval_and_burst), Some((333, 4)));

    let [oidc, cluster, second] = &access.oidc[..] else { panic!("there are three") };
    assert_eq!(oidc.keys.issuer, "https://login.example.com/");
    assert_eq!(
        oidc.keys.url.as_ref().unwrap().as_str(),
        "https://login.example.com/.well-known/openid-configuration"
    );
    assert_eq!((oidc.name.as_str(), oidc.leeway), ("https://login.example.com/", Duration::from_secs(120)));
    assert_eq!(oidc.audience, ["token-provider"]);
    assert_eq!(oidc.require["groups"], ["maps", "admins"]);
    assert_eq!(oidc.require["https://example.com/role"], ["reader"]);
    assert_eq!(oidc.policy.rate.map(interval_and_burst), Some((600, 7)));
    assert_eq!((oidc.policy.rules.len(), &*second.policy.rules[0].1.path), (0, "access.oidc[2].rules[0]"));
    let rule = &second.policy.rules[0].0;
    let claims: Vec<_> = rule.claims.iter().map(|(claim, _)| claim.as_str()).collect();
    assert_eq!((claims, rule.name.is_some()), (vec!["/kubernetes.io/namespace", "/sub"], true));
    assert_eq!((oidc.keys.is_discovery, oidc.keys.ca.as_deref()), (true, Some(Path::new("company.pem"))));
    let names = ["", "#2"].map(|end| format!("https://kubernetes.default.svc.cluster.local{end}"));
    assert_eq!([&cluster.name, &second.name], [&names[0], &names[1]]);
    assert_eq!([&cluster.keys.issuer, &second.keys.issuer], [&names[0], &names[0]]);
    let url = cluster.keys.url.as_ref().unwrap().as_str();
    assert_eq!((url, cluster.keys.is_discovery), ("https://kubernetes.default.svc/openid/v1/jwks", false));
    let folder = Path::new("/var/run/secrets/kubernetes.io/serviceaccount");
    let files = [&cluster.keys.token_file, &cluster.keys.ca].map(|file| file.clone().unwrap());
    assert_eq!(files, [folder.join("token"), folder.join("ca.crt")]);
    assert_eq!((second.keys.file.as_deref(), &second.keys.url), (Some(Path::new("cluster-2.json")), &None));
    assert_eq!(
        (second.leeway, &second.policy.profiles[..]),
        (Duration::from_secs(60), &["maps".to_owned()][..])
    );

    let mtls = access.mtls.unwrap();
    assert_eq!(mtls.allow, ["spiffe://example.com/inspector", "dashboard.example.com"]);
    assert_eq!(mtls.policy.rate.map(interval_and_burst), Some((3600, 8)));
    let [narrow, wide] = &mtls.policy.rules[..] else { panic!("two rules") };
    assert_eq!((narrow.1.max_ttl, wide.1.max_ttl), (Some(Duration::from_secs(900)), mtls.policy.max_ttl));
    for ((rule, given), path, is_audit) in
        [(narrow, "access.mtls.rules[0]", false), (wide, "access.mtls.rules[1]", true)]
    {
        // What a rule leaves out is the section's.
        assert_eq!((&given.profiles, &given.scopes), (&mtls.policy.profiles, &mtls.policy.scopes));
        assert_eq!(given.rate.map(interval_and_burst), Some((3600, 8)));
        assert_eq!((&*given.path, given.is_audit, &*rule.claims[0].0), (path, is_audit, "/names"));
    }

    let proxy = access.trusted_proxy.unwrap();
    let from: Vec<String> = proxy.from.iter().map(ToString::to_string).collect();
    assert_eq!(from, ["10.0.0.0/8", "fd00::7/128"]);
    assert_eq!(proxy.header.map(|header| header.to_string()).as_deref(), Some("x-forwarded-user"));
    assert_eq!(proxy.policy.scopes, Some(vec![scope("p2")]));
    assert_eq!(proxy.groups_header.map(|header| header.to_string()).as_deref(), Some("x-forwarded-groups"));
    let [(rule, given)] = &proxy.policy.rules[..] else { panic!("one rule") };
    assert_eq!((&given.profiles[..], &given.scopes), (&["far".to_owned()][..], &Some(vec![scope("p1")])));
    assert_eq!((given.rate.map(interval_and_burst), given.max_ttl), (Some((1000, 3)), proxy.policy.max_ttl));
    let claims: Vec<_> =
        rule.claims.iter().map(|(claim, patterns)| (claim.as_str(), patterns.len())).collect();
    assert_eq!(claims, [("/users", 2), ("/groups", 1)]);
}

#[test]
fn proxy_that_names_nobody_is_no_way_to_authenticate() {
    let open = "listen = [\"0.0.0.0:1\"]\n";
    let balancer = "access.trusted_proxy.from = [\"10.0.0.1\"]\n";
    let config = parsed(&format!("{open}{balancer}"));
    assert!(!config.access.has_callers() && check_exposure(&config).is_err());
    let named = parsed(&format!("{open}{balancer}access.trusted_proxy.header = \"X-User\"\n"));
    assert!(named.access.has_callers() && check_exposure(&named).is_ok());
    // Browsers send nothing by themselves that it would turn into a name.
    assert!(parsed(&format!("{balancer}cors.origins = [\"*\"]\n")).origins == [OriginPattern::Any]);
}

#[test]
fn burst_of_a_rule_goes_with_the_rate_of_its_section() {
    let proxy = |rate: &str| {
        format!(
            "[access.trusted_proxy]\nfrom = '10.0.0.1'\nheader = 'X-User'\n{rate}\n\
             rules = [{{ users = 'a', burst = 3 }}, {{ users = 'b', rate = '1/s' }}]"
        )
    };
    let config = parsed(&proxy("rate = '2/s'\nburst = 9"));
    let rules = config.access.trusted_proxy.unwrap().policy.rules;
    let rates: Vec<_> = rules.iter().filter_map(|rule| rule.1.rate.map(interval_and_burst)).collect();
    assert_eq!(rates, [(500, 3), (1000, 1)]);
    assert_eq!(problems(&proxy("")), "c.toml:5: access.trusted_proxy.rules[0].burst: requires rate");
}

#[test]
fn without_a_file_the_server_is_on_loopback_and_closed() {
    let config = Config::parse(None, &Environment::default(), &Overrides::default()).unwrap();
    assert_eq!(config.file, None);
    assert_eq!(config.listen, [Listen::Tcp { host: Host::Localhost, port: 3000 }]);
    assert_eq!(config.public_hosts, []);
    assert_eq!(seconds(&config), [60, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400]);
    assert_eq!(config.drain, Duration::ZERO);
    assert_eq!(config.tls, None);
    assert_eq!(config.profiles.keys().collect::<Vec<_>>(), ["default"]);
    let origins: Vec<String> = config.origins.iter().map(ToString::to_string).collect();
    assert_eq!(origins, ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"]);
    assert!(!config.access.anonymous && !config.access.has_callers());
    assert_eq!(config.access.anonymous_policy.profiles, ["default"]);
    assert_eq!(config.admin, None);
    assert_eq!((config.log.format, config.log.level), (LogFormat::Auto, LevelFilter::INFO));
    assert_eq!(config.audit, AuditConfig::Log);
    assert_eq!(parsed("").listen, config.listen, "an empty file says nothing");
}

#[test]
fn lists_that_may_be_empty_are() {
    let config =
        parsed("public_hosts = []\ncors.origins = []\naccess.api_keys = []\nprofiles.default.scopes = []");
    assert!(config.origins.is_empty(), "no page at all");
    assert!(!config.access.has_callers());
}

#[test]
fn a_lone_value_is_a_list_of_one() {
    let config = parsed("listen = 8080\nlifetimes = '10m'\npublic_hosts = 'a.example'");
    assert_eq!(config.listen, [Listen::Tcp { host: Host::Localhost, port: 8080 }]);
    assert_eq!(seconds(&config), [600]);
    assert_eq!(config.public_hosts.len(), 1);
}

/// What is at the addresses, and these.
fn servers(store: &StoreConfig) -> (Topology, Vec<&str>) {
    let StorePlace::Valkey { topology, nodes } = &store.place else { panic!("{store:?}") };
    (topology.clone(), nodes.iter().map(|node| &node[url::Position::BeforeHost..]).collect())
}

#[test]
fn store_is_one_server_a_cluster_or_what_sentinel_knows() {
    let sentinel = || Topology::Sentinel("a b".to_owned());
    for (url, topology, is_tls, expected) in [
        ("redis://a", Topology::Standalone, false, &["a:6379"][..]),
        ("valkey://A.:1/", Topology::Standalone, false, &["A.:1"]),
        ("rediss://10.0.0.1", Topology::Standalone, true, &["10.0.0.1:6379"]),
        ("valkeys://[::1]:2", Topology::Standalone, true, &["[::1]:2"]),
        ("redis-cluster://a", Topology::Cluster, false, &["a:6379"]),
        ("rediss-cluster://a:1?node=b&node=[::2]:3", Topology::Cluster, true, &["a:1", "b:6379", "[::2]:3"]),
        ("redis-sentinel://a?sentinelServiceName=a%20b", sentinel(), false, &["a:26379"]),
        ("valkeys-sentinel://a?sentinelServiceName=a+b&node=b:1", sentinel(), true, &["a:26379", "b:1"]),
    ] {
        let store = parsed(&format!("store = {{ url = '{url}', key_file = 'k' }}")).store.unwrap();
        assert_eq!(servers(&store), (topology, expected.to_vec()), "{url}");
        assert_eq!((store.place.is_tls(), &*store.url), (is_tls, url));
        assert_eq!(
            (store.user, store.password_file, store.ca, store.cert, store.key),
            (None, None, None, None, None)
        );
    }
    let password =
        parsed("store = { url = 'redis://a', key_file = 'k', password_file = 'p' }").store.unwrap();
    assert!(password.password_file.is_some());
}

#[test]
fn store_is_a_folder_in_either_spelling_with_a_limit_in_milliseconds() {
    let store = |more: &str| parsed(&format!("[store]\nkey_file = 'k'\n{more}")).store.unwrap();
    for (url, folder) in [("file:/a/b", "/a/b"), ("file:///a/b/", "/a/b"), ("file:/a/x/../b", "/a/b")] {
        assert_eq!(store(&format!("url = '{url}'")).place, StorePlace::Folder(folder.into()), "{url}");
    }
    for (timeout, milliseconds) in
        [("", 150), ("timeout = '10ms'", 10), ("timeout = '2s'", 2000), ("timeout = 2", 2000)]
    {
        let found = store(&format!("url = 'file:/a'\n{timeout}")).timeout;
        assert_eq!(found, Duration::from_millis(milliseconds), "{timeout}");
    }
}

#[test]
fn a_default_scope_is_listed_once() {
    let config = parsed("[profiles.default]\nscope = 'a'\nscopes = ['a', 'b']");
    assert_eq!(config.profiles["default"].scopes, ["a", "b"].map(super::scope));
}

#[test]
fn words_for_logging_are_all_known() {
    for (word, level) in [
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
        ("off", LevelFilter::OFF),
    ] {
        assert_eq!(parsed(&format!("log.level = '{word}'")).log.level, level);
    }
    for (word, format) in [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)] {
        assert_eq!(parsed(&format!("log.format = '{word}'")).log.format, format);
    }
    for (word, audit) in [
        ("log", AuditConfig::Log),
        ("stdout", AuditConfig::Stdout),
        ("journal", AuditConfig::Stdout),
        ("off", AuditConfig::Off),
    ] {
        assert_eq!(parsed(&format!("audit.to = '{word}'")).audit, audit);
    }
}

#[test]
fn without_callers_every_profile_may_be_asked_for() {
    let open = parsed("[profiles.maps]\n[profiles.traffic]").access.anonymous_policy.profiles;
    assert_eq!(open, ["default", "maps", "traffic"]);
    let listed =
        parsed("[profiles.maps]\n[access]\nanonymous_profiles = 'maps'").access.anonymous_policy.profiles;
    assert_eq!(listed, ["maps"]);
    let key = "0".repeat(64);
    let named = format!("[profiles.maps]\n[[access.api_keys]]\nid = 'a'\nsha256 = '{key}'");
    assert_eq!(parsed(&named).access.anonymous_policy.profiles, ["default"]);
}

#[test]
fn date_is_the_same_in_quotes_or_without() {
    let hash = "a".repeat(64);
    for date in ["2030-01-31T00:00:00Z", "2030-01-31 00:00:00Z", "2030-01-31T01:00:00+01:00"] {
        for date in [date.to_owned(), format!("\"{date}\"")] {
            let key = format!("[[access.api_keys]]\nid = 'a'\nsha256 = '{hash}'\nexpires = {date}\n");
            let expires = parsed(&key).access.api_keys.first().and_then(|key| key.expires);
            assert_eq!(expires, Some(Duration::from_secs(1_896_048_000)), "{date}");
        }
    }
}

#[test]
fn key_is_reported_from_two_weeks_before_its_end() {
    let (hash, day) = ("a".repeat(64), 86_400);
    let text = "[[access.api_keys]]\nid = 'a'\nsha256 = '{hash}'\nexpires = 2030-01-31T00:00:00Z\n";
    let access = parsed(&text.replace("{hash}", &hash)).access;
    let end = 1_896_048_000;
    let warning = |now| access.expiry_warnings(Duration::from_secs(now)).next();
    assert_eq!(warning(end - 14 * day - 1), None);
    for (now, days) in [(end - 14 * day, 14), (end - 13 * day, 13), (end - day - 1, 1), (end - 1, 0)] {
        let expected = format!("a expires at 2030-01-31T00:00:00Z (full days left: {days}); ");
        assert!(warning(now).is_some_and(|text| text.starts_with(&expected)), "{:?}", warning(now));
    }
    for now in [end, end + 1, end + 1000 * day] {
        assert_eq!(warning(now).as_deref(), Some("a expired at 2030-01-31T00:00:00Z; replace or remove it"));
    }
}
