//! What each key refuses, and in which words.

use super::{parsed, problems};

const EXPIRES: &str = "access.api_keys[0].expires: expected a date and time with its offset from UTC, such as \
                       2030-01-31T00:00:00Z";

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn wrong_values_are_refused_in_words_that_help() {
    let key = "[[access.api_keys]]\nid = 'a'\nsha256 = '";
    let hash = "0".repeat(64);
    for (text, expected) in [
        ("listen = []", "listen: expected a list with at least one entry"),
        ("listen = true", "listen: expected a list, not a boolean"),
        ("listen = [1.5]", "listen[0]: expected a string or a number, not another kind of value"),
        ("listen = ['localhost:1', ':1']", "listen[1]: expected an address before the port"),
        ("listen = ['unix:x']", "listen[0]: expected an absolute path after `unix:`"),
        ("public_hosts = [1]", "public_hosts[0]: expected a string, not a number"),
        ("public_hosts = ['https://a']", "public_hosts[0]: expected a host name alone, without `https://`"),
        ("public_hosts = ['*.a']", "public_hosts[0]: expected a host name such as"),
        ("lifetimes = []", "lifetimes: expected a list with at least one entry"),
        ("lifetimes = ['1 hour']", "lifetimes[0]: expected a duration such as"),
        ("lifetimes = [59]", "lifetimes[0]: expected a lifetime from 60s to 24h"),
        ("lifetimes = [-60]", "lifetimes[0]: expected a duration such as"),
        ("drain = 'soon'", "drain: expected a duration such as"),
        ("drain = 10000", "drain: expected a duration from 0s to 10m"),
        ("lifetimes = {}", "lifetimes: expected a list, not a table"),
        ("profile = 'a b'", "profile: expected a name of up to 64 letters"),
        ("profile = 1", "profile: expected a string, not a number"),
        ("profiles = []", "profiles: expected a table, not a list"),
        ("profiles.a = 'x'", "profiles.a: expected a table, not a string"),
        ("profiles.'a:b' = {}", "profiles.a:b: expected a name of up to 64 letters"),
        ("profiles.a.credentials = ''", "profiles.a.credentials: expected a path"),
        ("profiles.a.credentials = '~/x'", "profiles.a.credentials: expected a path written in full"),
        (
            "profiles.a.credentials = \"a\\u0000\"",
            "profiles.a.credentials: expected a path without a NUL character",
        ),
        ("profiles.a.ca = 5", "profiles.a.ca: expected a string, not a number"),
        ("profiles.a.scope = ''", "profiles.a.scope: expected a scope such as"),
        ("profiles.a.scopes = ['x', 'é']", "profiles.a.scopes[1]: expected a scope such as"),
        (
            "profiles.a.remote = 'http://a.example'",
            "profiles.a.remote: expected https: plain http is accepted",
        ),
        ("profiles.a.remote = 'x'", "profiles.a.remote: expected a URL such as"),
        (
            "profiles.a = { remote = 'https://a', credentials = 'b' }",
            "profiles.a.remote: cannot be combined with",
        ),
        ("profiles.a.on_rotation = 'drop'", "profiles.a.on_rotation: expected \"keep\" or \"replace\""),
        ("profiles.a.on_rotation = true", "profiles.a.on_rotation: expected a string, not"),
        ("profiles.a.api_key_file = 'b'", "profiles.a.api_key_file: is for another token provider"),
        ("profiles.a.remote_header = 'X-B'", "profiles.a.remote_header: is for another token provider"),
        ("outputs = 'x'", "outputs: expected a list of tables, not a string"),
        ("[outputs]", "outputs: expected a list of tables: write [[outputs]], with two brackets"),
        ("[[outputs]]", "outputs[0].path: missing; expected the path of the file to write"),
        ("[[outputs]]\npath = '/'", "outputs[0].path: expected the path of a file, neither a folder nor `-`"),
        (
            "[[outputs]]\npath = 'a/'",
            "outputs[0].path: expected the path of a file, neither a folder nor `-`",
        ),
        (
            "[[outputs]]\npath = 'a/..'",
            "outputs[0].path: expected the path of a file, neither a folder nor `-`",
        ),
        (
            "[[outputs]]\npath = 'a'\n[[outputs]]\npath = './/b/../a'",
            "outputs[1].path: another output has the same path",
        ),
        (
            "profiles.default.ca = 'a'\n[[outputs]]\npath = 'b/../a'",
            "outputs[0].path: expected the path of a file of its own; another key names this one, or its folder",
        ),
        (
            "profiles.default.credentials = 'a'\n[[outputs]]\npath = 'a'",
            "outputs[0].path: expected the path of a file of its own",
        ),
        (
            "tls = { cert = 'c', key = 'a' }\n[[outputs]]\npath = 'a'",
            "outputs[0].path: expected the path of a file of its own",
        ),
        (
            "[[outputs]]\npath = 'a'\nformat = 'yaml'",
            "outputs[0].format: expected \"here\", \"text\", \"json\", \"env\" or \"header\"",
        ),
        (
            "profiles.maps = {}\n[[outputs]]\npath = 'a'\nprofile = 'mpas'",
            "outputs[0].profile: expected the name of a configured profile; did you mean \"maps\"?",
        ),
        (
            "profiles.maps.scopes = 's'\n[[outputs]]\npath = 'a'\nscope = 's'",
            "outputs[0].scope: expected a scope listed in this output's profile",
        ),
        ("[[outputs]]\npath = 'a'\nttl = 59", "outputs[0].ttl: expected a lifetime from 60s to 24h"),
        (
            "lifetimes = '10m'\n[[outputs]]\npath = 'a'\nttl = '9m'",
            "outputs[0].ttl: is shorter than every value in `lifetimes`",
        ),
        ("[[outputs]]\npath = 'a'\nmode = 600", "outputs[0].mode: expected a string, not a number"),
        ("[[outputs]]\npath = 'a'\nmode = '0o600'", "outputs[0].mode: expected a mode such as 0660"),
        ("[[outputs]]\npath = 'a'\nmode = '1777'", "outputs[0].mode: expected a mode such as 0660"),
        ("[[outputs]]\npath = 'a'\ngroup = 'a b'", "outputs[0].group: expected the name or number of"),
        ("[[outputs]]\npath = 'a'\nowner = 'x'", "outputs[0].owner: unknown key; expected one of"),
        ("store.key_file = 'k'", "store.url: missing; expected \"file:\" and the absolute path of a folder"),
        (
            "store.url = 'file:/a'",
            "store.key_file: missing; expected the path of the file with the store's keys",
        ),
        (
            "store = { url = 'https://a:6379', key_file = 'k' }",
            "store.url: expected \"file:\" and the absolute path",
        ),
        (
            "store = { url = 'redis+unix:///a', key_file = 'k' }",
            "store.url: expected \"file:\" and the absolute path",
        ),
        ("store = { url = 'rediss', key_file = 'k' }", "store.url: expected \"file:\" and the absolute path"),
        (
            "store = { url = 'redis-x://a', key_file = 'k' }",
            "store.url: expected \"file:\" and the absolute path",
        ),
        (
            "store = { url = 'redis://a?sentinelServiceName=x', key_file = 'k' }",
            "store.url: expected \"file:\" and the absolute path",
        ),
        (
            "store = { url = 'redis://', key_file = 'k' }",
            "store.url: expected a host, or a host and a port, such as",
        ),
        (
            "store = { url = 'redis-cluster://a?node=', key_file = 'k' }",
            "store.url: expected a host, or a host and a port, such as",
        ),
        (
            "store = { url = 'redis-cluster://a?node=b:x', key_file = 'k' }",
            "store.url: expected a host, or a host and a port, such as",
        ),
        (
            "store = { url = 'rediss://:planted@a', key_file = 'k' }",
            "store.url: expected a URL without user name and password: they belong in user and password_file",
        ),
        (
            "store = { url = 'rediss://planted@a', key_file = 'k' }",
            "store.url: expected a URL without user name and password: they belong in user and password_file",
        ),
        (
            "store = { url = 'rediss-cluster://a:planted@b?node=c', key_file = 'k' }",
            "store.url: expected a URL without user name and password: they belong in user and password_file",
        ),
        (
            "store = { url = 'redis://a/0', key_file = 'k' }",
            "store.url: expected nothing after the host and port: there is no database to choose",
        ),
        (
            "store = { url = 'rediss://a/#insecure', key_file = 'k' }",
            "store.url: expected nothing after the host and port: there is no database to choose",
        ),
        (
            "store = { url = 'rediss://a//', key_file = 'k' }",
            "store.url: expected nothing after the host and port: there is no database to choose",
        ),
        (
            "store = { url = 'redis://a?node=b', key_file = 'k' }",
            "store.url: expected no parameters but, for a cluster and for Sentinel, node=HOST:PORT",
        ),
        (
            "store = { url = 'redis://a?protocol=resp2', key_file = 'k' }",
            "store.url: expected no parameters but, for a cluster and for Sentinel, node=HOST:PORT",
        ),
        (
            "store = { url = 'redis-cluster://a?db=1', key_file = 'k' }",
            "store.url: expected no parameters but, for a cluster and for Sentinel, node=HOST:PORT",
        ),
        (
            "store = { url = 'redis-cluster://a?node=b&password=planted', key_file = 'k' }",
            "store.url: expected no parameters but, for a cluster and for Sentinel, node=HOST:PORT",
        ),
        (
            "store = { url = 'redis-sentinel://a', key_file = 'k' }",
            "store.url: expected \"?sentinelServiceName=\" and the name that Sentinel has for the server",
        ),
        (
            "store = { url = 'redis-sentinel://a?sentinelServiceName=', key_file = 'k' }",
            "store.url: expected \"?sentinelServiceName=\" and the name that Sentinel has for the server",
        ),
        (
            "store = { url = 'file:/a', key_file = 'k', ca = 'x' }",
            "store.ca: cannot be combined with a folder in url: it is for Valkey or Redis",
        ),
        (
            "store = { url = 'file:/a', key_file = 'k', cert = 'x' }",
            "store.cert: cannot be combined with a folder in url: it is for Valkey or Redis",
        ),
        (
            "store = { url = 'file:/a', key_file = 'k', key = 'x' }",
            "store.key: cannot be combined with a folder in url: it is for Valkey or Redis",
        ),
        (
            "store = { url = 'file:/a', key_file = 'k', user = 'x' }",
            "store.user: cannot be combined with a folder in url: it is for Valkey or Redis",
        ),
        (
            "store = { url = 'file:/a', key_file = 'k', password_file = 'x' }",
            "store.password_file: cannot be combined with a folder in url: it is for Valkey or Redis",
        ),
        (
            "store = { url = 'redis://a', key_file = 'k', ca = 'x' }",
            "store.ca: requires TLS: write rediss:// in url, with two s",
        ),
        (
            "store = { url = 'redis://a', key_file = 'k', cert = 'x' }",
            "store.cert: requires TLS: write rediss:// in url, with two s",
        ),
        (
            "store = { url = 'redis://a', key_file = 'k', key = 'x' }",
            "store.key: requires TLS: write rediss:// in url, with two s",
        ),
        (
            "store = { url = 'rediss://a', key_file = 'k', cert = 'x' }",
            "store.cert: requires key, the path of its private key",
        ),
        (
            "store = { url = 'rediss://a', key_file = 'k', key = 'x' }",
            "store.key: requires cert, the path of its certificate",
        ),
        (
            "store = { url = 'redis://a', key_file = 'k', user = 'x' }",
            "store.user: requires password_file, the path of the file with the user's password",
        ),
        (
            "store = { url = 'redis://a', key_file = 'k', user = 'x y', password_file = 'p' }",
            "store.user: expected the name of an ACL user, without spaces",
        ),
        (
            "[[outputs]]\npath = 'p'\n[store]\nurl = 'redis://a'\nkey_file = 'k'\npassword_file = 'p'",
            "outputs[0].path: expected the path of a file of its own; another key names this one, or its folder",
        ),
        ("store = { url = '/a', key_file = 'k' }", "store.url: expected \"file:\" and the absolute path"),
        ("store = { url = 'file:a', key_file = 'k' }", "store.url: expected \"file:\" and the absolute path"),
        (
            "store = { url = 'file://a/b', key_file = 'k' }",
            "store.url: expected \"file:\" and the absolute path",
        ),
        ("store = { url = 'file:/', key_file = 'k' }", "store.url: expected \"file:\" and the absolute path"),
        (
            "store = { url = 'file:/a', key_file = 'k', timeout = '9ms' }",
            "store.timeout: expected a duration from 10ms to 2s, such as \"150ms\"",
        ),
        (
            "store = { url = 'file:/a', key_file = 'k', timeout = '11s' }",
            "store.timeout: expected a duration from 10ms to 2s",
        ),
        (
            "[[outputs]]\npath = '/a/b/token'\n[store]\nurl = 'file:/a/b'\nkey_file = 'k'",
            "outputs[0].path: expected the path of a file of its own; another key names this one, or its folder",
        ),
        (
            "[[outputs]]\npath = 'k'\n[store]\nurl = 'file:/a/b'\nkey_file = 'k'",
            "outputs[0].path: expected the path of a file of its own; another key names this one, or its folder",
        ),
        ("tls = 1", "tls: expected a table, not a number"),
        ("tls.cert = 'a'", "tls.key: missing"),
        ("tls.key = 'a'", "tls.cert: missing"),
        ("tls = { cert = 'a', key = 'b', client_ca = [] }", "tls.client_ca: expected a string, not a list"),
        ("cors.origins = ['null']", "cors.origins[0]: `null` is the origin of any sandboxed page"),
        (
            "cors.origins = ['https://a/']",
            "cors.origins[0]: expected an origin without a path or trailing slash",
        ),
        ("cors.origins = ['https://*.a']", "cors.origins[0]: expected complete origins: a pattern"),
        ("cors.origins = ['https://a:*']", "cors.origins[0]: `:*` is for loopback hosts only"),
        ("cors.origins = ['a.example']", "cors.origins[0]: expected an origin such as"),
        (
            "cors.origins = ['*', 'https://a']",
            "cors.origins: `*` allows every origin, so it must be the only entry",
        ),
        (
            "access.anonymous = 'true'",
            "access.anonymous: expected true or false, without quotes, not a string",
        ),
        ("access.anonymous = 1", "access.anonymous: expected true or false, without quotes, not a number"),
        ("access.anonymous_burst = 5", "access.anonymous_burst: requires anonymous_rate"),
        ("access.api_keys = 'x'", "access.api_keys: expected a list of tables, not a string"),
        ("access.api_keys = ['x']", "access.api_keys[0]: expected a table, not a string"),
        (
            "[access.api_keys]\nid = 'x'",
            "access.api_keys: expected a list of tables: write [[access.api_keys]]",
        ),
        (&format!("[[access.api_keys]]\nsha256 = '{hash}'"), "access.api_keys[0].id: missing"),
        ("[[access.api_keys]]\nid = 'a'", "access.api_keys[0].sha256: missing"),
        (&format!("{key}{hash}0'"), "access.api_keys[0].sha256: expected 64 hexadecimal digits"),
        (
            &format!("{key}{}'", hash.replacen('0', "g", 1)),
            "access.api_keys[0].sha256: expected 64 hexadecimal digits",
        ),
        (
            &format!("{key}E3B0C44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'"),
            "access.api_keys[0].sha256: expected the SHA-256 of a key: this is the hash of empty input",
        ),
        (
            &format!("{key}tp_abc'"),
            "access.api_keys[0].sha256: expected the SHA-256 of the key, not the key itself",
        ),
        (
            &format!("{key}{hash}'\nprofiles = []"),
            "access.api_keys[0].profiles: expected a list with at least one",
        ),
        (
            &format!("{key}{hash}'\nprofiles = ['x']"),
            "access.api_keys[0].profiles[0]: expected the name of a",
        ),
        (
            &format!("{key}{hash}'\nscopes = ['x']"),
            "access.api_keys[0].scopes[0]: expected a scope listed in one",
        ),
        (
            &format!("{key}{hash}'\nmax_ttl = '25h'"),
            "access.api_keys[0].max_ttl: expected a lifetime from 60s",
        ),
        (
            &format!("[[access.api_keys]]\nid = 'a'\nsha256 = ['{hash}', 'x']"),
            "access.api_keys[0].sha256[1]: expected 64 hexadecimal digits",
        ),
        ("[[access.api_keys]]\nid = 'a'\nsha256 = []", "access.api_keys[0].sha256: expected a list with"),
        ("[[access.api_keys]]\nid = 'a'\nsha256 = 1", "access.api_keys[0].sha256: expected a string, not a"),
        (&format!("{key}{hash}'\nexpires = 2030-01-31"), EXPIRES),
        (&format!("{key}{hash}'\nexpires = 2030-01-31T00:00:00"), EXPIRES),
        (&format!("{key}{hash}'\nexpires = 00:00:00"), EXPIRES),
        (&format!("{key}{hash}'\nexpires = '2030-01-31'"), EXPIRES),
        (&format!("{key}{hash}'\nexpires = ''"), EXPIRES),
        (&format!("{key}{hash}'\nexpires = '90d'"), EXPIRES),
        (&format!("{key}{hash}'\nexpires = 1896048000"), EXPIRES),
        (&format!("{key}{hash}'\nexpires = true"), "access.api_keys[0].expires: expected a string or a"),
        (&format!("{key}{hash}'\nmax_ttl = 2030-01-31"), "access.api_keys[0].max_ttl: expected a duration"),
        (&format!("{key}{hash}'\nrate = 10"), "access.api_keys[0].rate: expected a string, not a number"),
        (&format!("{key}{hash}'\nrate = '10'"), "access.api_keys[0].rate: expected a rate such as"),
        (
            &format!("{key}{hash}'\nrate = '1/s'\nburst = 0"),
            "access.api_keys[0].burst: expected a whole number of at least",
        ),
        (&format!("{key}{hash}'\nburst = 1"), "access.api_keys[0].burst: requires rate"),
        ("access.oidc.issuer = 'https://a'", "access.oidc.audience: missing"),
        ("access.oidc.audience = 'a'", "access.oidc.issuer: missing"),
        (
            "access.oidc = { issuer = 'https://a?x', audience = 'a' }",
            "access.oidc.issuer: expected a URL without",
        ),
        ("access.oidc = { issuer = 'http://a', audience = 'a' }", "access.oidc.issuer: expected https"),
        (
            "access.oidc = { issuer = 'https://a', audience = 'a', leeway = '301s' }",
            "access.oidc.leeway: expected a duration from 0s to 5m",
        ),
        (
            "access.oidc = [{ issuer = 'https://a', audience = 'a' }, { issuer = 'https://a' }]",
            "access.oidc[1].audience: missing",
        ),
        (
            "access.oidc = { issuer = 'x', audience = 'a', jwks_file = 'f', jwks_url = 'https://a' }",
            "access.oidc.jwks_file: cannot be combined with jwks_url",
        ),
        (
            "access.oidc = { issuer = 'https://a', audience = 'a', jwks_token_file = 'f' }",
            "access.oidc.jwks_token_file: requires jwks_url",
        ),
        (
            "access.oidc = { issuer = 'x', audience = 'a', jwks_file = 'f', jwks_token_file = 'f' }",
            "access.oidc.jwks_token_file: requires jwks_url",
        ),
        (
            "access.oidc = { issuer = 'x', audience = 'a', jwks_file = 'f', ca = 'f' }",
            "access.oidc.ca: cannot be combined with jwks_file",
        ),
        (
            "access.oidc = { issuer = 'x', audience = 'a', jwks_url = 'http://a' }",
            "access.oidc.jwks_url: expected https: plain http is accepted on a loopback address only",
        ),
        (
            "access.oidc = { issuer = 'x', audience = 'a', jwks_url = 'https://a:b@c' }",
            "access.oidc.jwks_url: expected a URL without user name",
        ),
        ("access.oidc = { issuer = 'x', audience = 'a' }", "access.oidc.issuer: expected a URL such as"),
        ("access.oidc = 'https://a'", "access.oidc: expected a table, not a string"),
        ("access.oidc = ['https://a']", "access.oidc[0]: expected a table, not a string"),
        (
            "access.oidc = { issuer = 'https://a', audience = [] }",
            "access.oidc.audience: expected a list with at",
        ),
        (
            "access.oidc = { issuer = 'https://a', audience = [''] }",
            "access.oidc.audience[0]: expected a string that",
        ),
        (
            "access.oidc = { issuer = 'https://a', audience = 'a', require = { groups = [] } }",
            "access.oidc.require.groups: expected a list with at least one entry",
        ),
        (
            "access.oidc = { issuer = 'https://a', audience = 'a', require = { '/a/b' = ['c'] } }",
            "access.oidc.require./a/b: expected a claim's name",
        ),
        (
            "access.oidc = { issuer = 'https://a', audience = 'a', require = ['x'] }",
            "access.oidc.require: expected a table, not a list",
        ),
        (
            "access.oidc = { issuer = 'https://a', audience = 'a', rules = [{}] }",
            "access.oidc.rules[0].claims: expected a table with one claim at least",
        ),
        (
            "access.oidc = { issuer = 'https://a', audience = 'a', rules = [{ claims = {} }] }",
            "access.oidc.rules[0].claims: expected a table with one claim at least",
        ),
        (
            "access.oidc = { issuer = 'https://a', audience = 'a', rules = [{ claims = { sub = ['a'] } }] }",
            "access.oidc.rules[0].claims.sub: expected a string, not a list",
        ),
        (
            "access.oidc = { issuer = 'https://a', audience = 'a', rules = [{ claims = { sub = '' } }] }",
            "access.oidc.rules[0].claims.sub: expected text in which each `*` stands for",
        ),
        (
            "access.oidc = { issuer = 'https://a', audience = 'a', rules = [{ claims = { '/a/~2' = 'x' } }] }",
            "access.oidc.rules[0].claims.(key not shown): expected a claim's name, or a JSON Pointer",
        ),
        (
            "access.oidc = { issuer = 'https://a', audience = 'a', rules = [{ claims = { sub = 'a' }, name = '{a}{b}' }] }",
            "access.oidc.rules[0].name: expected text between `}` and `{`",
        ),
        (
            "access.oidc = { issuer = 'https://a', audience = 'a', rules = [{ claims = { sub = 'a' }, name = '{a' }] }",
            "access.oidc.rules[0].name: expected a name of printable ASCII with at least one claim in braces",
        ),
        (
            "access.oidc = { issuer = 'https://a', audience = 'a', rules = [{ claims = { sub = 'a' }, name = 'nightly' }] }",
            "access.oidc.rules[0].name: expected a name of printable ASCII with at least one claim in braces",
        ),
        ("access.trusted_proxy.header = 'X-User'", "access.trusted_proxy.from: missing"),
        (
            "access.trusted_proxy = { from = '10.0.0.1', rate = '1/s' }",
            "access.trusted_proxy.rate: requires header",
        ),
        (
            "access.trusted_proxy = { from = ['10.0.0.1/8'], header = 'X-User' }",
            "access.trusted_proxy.from[0]: has bits set after its prefix",
        ),
        (
            "access.trusted_proxy = { from = ['0.0.0.0/0'], header = 'X-User' }",
            "access.trusted_proxy.from[0]: contains every address",
        ),
        (
            "access.trusted_proxy = { from = ['10.0.0.1'], header = 'X User' }",
            "access.trusted_proxy.header: expected the name of a header that only the proxy sets",
        ),
        (
            "access.trusted_proxy = { from = ['10.0.0.1'], header = 'Authorization' }",
            "access.trusted_proxy.header: expected the name of a header that only the proxy sets",
        ),
        (
            "access.trusted_proxy = { from = '10.0.0.1', rules = [{ users = 'a' }] }",
            "access.trusted_proxy.rules: requires header",
        ),
        (
            "access.trusted_proxy = { from = '10.0.0.1', header = 'X-User', rules = [] }",
            "access.trusted_proxy.rules: expected one table at least",
        ),
        (
            "access.trusted_proxy = { from = '10.0.0.1', header = 'X-User', rules = 'x' }",
            "access.trusted_proxy.rules: expected a list of tables, not a string",
        ),
        (
            "access.trusted_proxy = { from = '10.0.0.1', header = 'X-User', rules = {} }",
            "access.trusted_proxy.rules: expected a list of tables: write [[access.trusted_proxy.rules]]",
        ),
        (
            "access.trusted_proxy = { from = '10.0.0.1', header = 'X-User', rules = [{}] }",
            "access.trusted_proxy.rules[0]: matches nobody; expected users or groups",
        ),
        (
            "access.trusted_proxy = { from = '10.0.0.1', header = 'X-User', rules = [{ users = [] }] }",
            "access.trusted_proxy.rules[0].users: expected a list with at least one entry",
        ),
        (
            "access.trusted_proxy = { from = '10.0.0.1', header = 'X-User', rules = [{ users = ['a', 'b**'] }] }",
            "access.trusted_proxy.rules[0].users[1]: expected text in which each `*` stands for",
        ),
        (
            "access.trusted_proxy = { from = '10.0.0.1', header = 'X-User', rules = [{ groups = 'a' }] }",
            "access.trusted_proxy.rules[0].groups: requires access.trusted_proxy.groups_header",
        ),
        (
            "access.trusted_proxy = { from = '10.0.0.1', header = 'X-User', rules = [{ users = 'a', burst = 3 }] }",
            "access.trusted_proxy.rules[0].burst: requires rate",
        ),
        (
            "access.trusted_proxy = { from = '10.0.0.1', header = 'X-User', groups_header = 'X-Groups' }",
            "access.trusted_proxy.groups_header: requires rules",
        ),
        (
            "access.trusted_proxy = { from = '10.0.0.1', header = 'X-User', groups_header = 'X-USER', rules = [{ users = 'a' }] }",
            "access.trusted_proxy.groups_header: expected another header than",
        ),
        (
            "access.trusted_proxy = { from = '10.0.0.1', header = 'X-User', groups_header = 'Cookie', rules = [{ users = 'a' }] }",
            "access.trusted_proxy.groups_header: expected the name of a header that only the proxy sets",
        ),
        ("admin.listen = 'x'", "admin.listen: expected \"localhost:3000\""),
        ("admin.listen = ['x']", "admin.listen: expected a string or a number, not a list"),
        ("log.format = 'xml'", "log.format: expected \"auto\", \"text\" or \"json\""),
        ("log.level = 'warning'", "log.level: expected \"off\", \"error\", \"warn\""),
        (
            "audit.to = 'audit.log'",
            "audit.to: expected \"log\", \"stdout\", \"journal\", \"off\" or the absolute path of a file",
        ),
    ] {
        let found = problems(text);
        let line =
            found.strip_prefix("c.toml:").and_then(|rest| rest.split_once(": ")).map(|(_, message)| message);
        assert!(
            line.is_some_and(|line| line.starts_with(expected)),
            "{text}\n  gives {found}\n  not   {expected}"
        );
        assert_eq!(found.lines().count(), 1, "{text}\n{found}");
    }
}

#[test]
fn keys_that_must_agree_do() {
    let hash = "a".repeat(64);
    let key = |id: &str, hash: &str| format!("[[access.api_keys]]\nid = '{id}'\nsha256 = '{hash}'\n");
    let two = |id: &str, new: &str, old: &str| {
        format!("[[access.api_keys]]\nid = '{id}'\nsha256 = ['{new}', '{old}']\n")
    };
    let here_key = |id: &str| format!("[[access.here_keys]]\nid = '{id}'\nsecret_file = 'x'\n");
    let tls = "tls = { cert = 'a', key = 'b', client_ca = 'c' }";
    let mtls = "access.mtls.allow = ['a.example']";
    let proxy = "access.trusted_proxy = { from = '10.0.0.1', header = 'X-User' }";
    for (text, expected) in [
        (
            key("a", &hash) + &key("a", &"b".repeat(64)),
            "c.toml:5: access.api_keys[1].id: already used by access.api_keys[0]: each key needs its own id",
        ),
        (
            key("a", &hash) + &key("b", &hash.to_uppercase()),
            "c.toml:6: access.api_keys[1].sha256: the same key as access.api_keys[0]",
        ),
        (
            key("a", &hash) + &two("b", &"b".repeat(64), &hash),
            "c.toml:6: access.api_keys[1].sha256: the same key as access.api_keys[0]",
        ),
        (
            two("a", &hash, &hash.to_uppercase()),
            "c.toml:3: access.api_keys[0].sha256: expected one hash, or two different ones: of the new key and the old",
        ),
        (
            two("a", &hash, &format!("{}', '{}", "b".repeat(64), "c".repeat(64))),
            "c.toml:3: access.api_keys[0].sha256: expected one hash, or two different ones: of the new key and the old",
        ),
        (
            here_key("tp.a") + &here_key("tp.b") + &here_key("tp.a"),
            "c.toml:8: access.here_keys[2].id: already used by access.here_keys[0]: each key needs its own id",
        ),
        (
            here_key("a"),
            "c.toml:2: access.here_keys[0].id: expected `tp.` and up to 61 letters, digits, `.`, `_` or `-`",
        ),
        (
            here_key("tp."),
            "c.toml:2: access.here_keys[0].id: expected `tp.` and up to 61 letters, digits, `.`, `_` or `-`",
        ),
        (
            "[[access.here_keys]]\nid = 'tp.a'".to_owned(),
            "c.toml:1: access.here_keys[0].secret_file: missing; expected the NAME.secret that `token-provider key new --here` writes",
        ),
        (
            mtls.to_owned(),
            "c.toml:1: access.mtls: requires tls.client_ca: without it no client certificates are requested",
        ),
        (
            format!("tls = {{ cert = 'a', key = 'b' }}\n{mtls}"),
            "c.toml:2: access.mtls: requires tls.client_ca: without it no client certificates are requested",
        ),
        (
            format!("{tls}\n[access.mtls]\nrate = '1/s'"),
            "c.toml:2: access.mtls.allow: missing; expected a list of DNS names and URIs",
        ),
        (
            format!(
                "{tls}\n[[access.mtls.rules]]\nmode = 'audit'\n[[access.mtls.rules]]\nnames = ['a b', '*.a.example', '*.example.']"
            ),
            "c.toml:2: access.mtls.rules[0]: matches nobody; expected names, a list of names\n\
             c.toml:5: access.mtls.rules[1].names[0]: expected a DNS name such as \"dashboard.example.com\" or a URI such as \
             \"spiffe://example.com/dashboard\", in full\n\
             c.toml:5: access.mtls.rules[1].names[2]: expected the name as certificates have it, in ASCII and without a final dot",
        ),
        (
            format!("cors.origins = '*'\n{tls}\n{mtls}"),
            "c.toml:1: cors.origins: `*` cannot be combined with access.mtls, because browsers then send \
             credentials automatically: list the origins",
        ),
        (
            format!("cors.origins = '*'\n{proxy}"),
            "c.toml:1: cors.origins: `*` cannot be combined with access.trusted_proxy, because browsers \
             then send credentials automatically: list the origins",
        ),
        (
            "listen = ['localhost:1', 'unix:/x']\nadmin.listen = 'unix:/x'".to_owned(),
            "c.toml:2: admin.listen: is also in `listen`: it needs its own address",
        ),
        (
            "lifetimes = ['10m']\naccess.anonymous_max_ttl = '5m'".to_owned(),
            "c.toml:2: access.anonymous_max_ttl: is shorter than every value in `lifetimes`: no token \
             could be handed out",
        ),
    ] {
        assert_eq!(problems(&text), expected, "{text}");
    }
    parsed(&format!("{tls}\n{mtls}\ncors.origins = 'https://a.example'"));
    parsed(&format!("cors.origins = '*'\n{}", key("a", &hash)));
    parsed("listen = 'localhost:0'\nadmin.listen = 'localhost:0'");
    parsed("lifetimes = ['5m', '10m']\naccess.anonymous_max_ttl = '7m'");
}

#[test]
fn there_can_be_so_many_outputs() {
    let outputs = |count: u32| {
        let stanzas: Vec<_> = (0..count).map(|number| format!("[[outputs]]\npath = 'a{number}'\n")).collect();
        stanzas.concat()
    };
    assert_eq!(parsed(&outputs(64)).outputs.len(), 64);
    assert_eq!(problems(&outputs(65)), "c.toml:1: outputs: expected 64 at most");
}

#[test]
fn broken_sections_cause_no_further_problems() {
    // The profile is there and `client_ca` is named; only what is wrong with them is worth a line.
    let text = "
        [profiles.maps]
        scopes = ['x']
        scope = 5
        [tls]
        client_ca = 7
        cert = 'a'
        [access]
        anonymous_profiles = ['maps']
        anonymous_scopes = ['x']
        [access.mtls]
        allow = ['a.example']
    ";
    assert_eq!(
        problems(text),
        "c.toml:4: profiles.maps.scope: expected a string, not a number\n\
         c.toml:5: tls.key: missing; expected the path of the private key in PEM form\n\
         c.toml:6: tls.client_ca: expected a string, not a number"
    );
}

/// Those of the contract, and others that a program sends by itself, or that mean something already.
#[test]
fn header_that_has_another_meaning_cannot_be_required() {
    let names = "Accept Accept-Encoding ACCEPT-LANGUAGE Authorization Connection Content-Type Content-Length Cookie Host \
                 Origin Range Referer Sec-Fetch-Site Sec-Purpose User-Agent X-Forwarded-For X-Forwarded-Whatever Via \
                 Forwarded X-Real-IP X-API-Key Proxy-Authorization Transfer-Encoding TE Upgrade-Insecure-Requests \
                 If-None-Match traceparent X-Request-ID x-y: é tracestate baggage b3 X-B3-TraceId Save-Data X-Requested-With X-Purpose \
                 X-Moz";
    for name in names.split_whitespace().chain(["", "a b"]) {
        for (text, place) in [
            (format!("access.require_header = '{name}'"), "access.require_header"),
            (
                format!("[profiles.default]\nremote = 'unix:/x'\nremote_header = '{name}'"),
                "profiles.default.remote_header",
            ),
        ] {
            let found = problems(&text);
            let expected =
                "expected the name of a header that has no other meaning, such as \"X-Token-Provider\"";
            assert!(found.contains(&format!("{place}: {expected}")), "{text}\n{found}");
        }
    }
    for name in
        ["X-Token-Provider", "X-Asked", "Metadata-Flavor", "X-Accept", "Securely", "Hosts", "Viable", "B3x"]
    {
        let config = parsed(&format!("access.require_header = '{name}'"));
        assert_eq!(
            config.access.require_header.map(|header| header.as_str() == name.to_lowercase()),
            Some(true)
        );
    }
}

/// The proxy sets it for everybody.
#[test]
fn header_of_the_trusted_proxy_cannot_be_required() {
    let proxy = "[access.trusted_proxy]\nfrom = '10.0.0.1'\nheader = 'X-User'\ngroups_header = 'X-Groups'\n\
                 rules = [{ groups = 'a' }]\n";
    for name in ["x-user", "X-Groups"] {
        assert_eq!(
            problems(&format!("access.require_header = '{name}'\n{proxy}")),
            "c.toml:1: access.require_header: expected another header than those of access.trusted_proxy"
        );
    }
    parsed(&format!("access.require_header = 'X-Asked'\n{proxy}"));
}
