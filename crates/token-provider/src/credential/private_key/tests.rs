//! Each form of a key, each that will not do, and where a file may have it. All keys are made when they are needed.

use std::fs;
use std::os::unix::fs::symlink;

use aws_lc_rs::encoding::EcPrivateKeyRfc5915Der;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, UnparsedPublicKey};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::Credential;
use crate::error::LoadErrorKind;

/// What is before the PKCS#1 of a 2048-bit key in its PKCS#8.
const PKCS8_HEADER: usize = 26;

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = BASE64.encode(der);
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).map(|line| str::from_utf8(line).expect("is ASCII")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn part(text: &str, from: usize, to: usize) -> &str {
    text.get(from..to).expect("is ASCII, and long enough")
}

fn generate(algorithm: SigningAlgorithm) -> String {
    PrivateKey::generate_pem(algorithm).expect("randomness is there").expose_secret().to_owned()
}

fn der_of(pem: &str) -> Zeroizing<Vec<u8>> {
    let (_, body) = blocks(pem).next().expect("is PEM");
    decode(body).expect("is base64")
}

fn thumbprint_of(pem: &str) -> String {
    PrivateKey::from_pem(pem).expect("is a key").thumbprint().to_owned()
}

fn refused(pem: &str) -> String {
    let error = PrivateKey::from_pem(pem).expect_err("is no key");
    assert_eq!(error.kind(), LoadErrorKind::Invalid);
    // No eight characters of the key itself.
    let shown = format!("{error} {error:?}");
    for line in pem.lines().filter(|line| !line.contains("-----") && line.len() >= 8) {
        assert!(!shown.contains(part(line, 0, 8)), "{shown}");
    }
    error.to_string()
}

/// The lines of a credential file, with this value of `here.private.key`.
fn properties(value: &str) -> String {
    format!("here.auth.method = private_key_jwt\nhere.client.id = an-app\nhere.private.key = {value}\n")
}

fn load(text: &str) -> Result<Credential, LoadError> {
    Credential::from_properties(text.as_bytes(), "dir/c.properties")
}

fn problem(text: &str) -> String {
    load(text).expect_err(text).to_string()
}

#[test]
fn thumbprint_is_that_of_the_rfcs_example() {
    // RFC 7638 §3.1.
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs\
             tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91\
             CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let members = [("n", n), ("kty", "RSA"), ("e", "AQAB")].map(|(name, value)| (name, value.to_owned()));
    assert_eq!(thumbprint(&Members::from(members)), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn every_form_of_a_key_is_read() {
    let rsa = generate(SigningAlgorithm::Rs256);
    let key = PrivateKey::from_pem(&rsa).expect("is a key");
    assert_eq!((key.algorithm(), key.key_id(), key.file()), (SigningAlgorithm::Rs256, None, None));
    let pkcs1 = pem("RSA PRIVATE KEY", &der_of(&rsa)[PKCS8_HEADER..]);
    assert_eq!(thumbprint_of(&pkcs1), key.thumbprint(), "PKCS#1");

    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("randomness is there");
    let pkcs8 = pem("PRIVATE KEY", pair.to_pkcs8v1().expect("has a form").as_ref());
    let key = PrivateKey::from_pem(&pkcs8).expect("is a key");
    assert_eq!(key.algorithm(), SigningAlgorithm::Es256);
    let sec1: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().expect("has a form");
    // As `openssl ecparam -genkey` writes it.
    let sec1 = format!(
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}",
        pem("EC PRIVATE KEY", sec1.as_ref())
    );
    assert_eq!(thumbprint_of(&sec1), key.thumbprint(), "SEC 1");
    for text in [
        pkcs8.replace('\n', "\r\n"),
        pkcs8.replace('\n', ""),
        pkcs8.replace('\n', " "),
        format!("Bag Attributes\n    localKeyID: 01\n{pkcs8}"),
        format!("-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n{pkcs8}"),
    ] {
        assert_eq!(thumbprint_of(&text), key.thumbprint(), "{}", text.len());
    }
}

#[test]
fn what_is_no_usable_key_is_refused_and_not_shown() {
    let rsa = generate(SigningAlgorithm::Rs256);
    let der = der_of(&rsa);
    for (pem, expected) in [
        (pem("ENCRYPTED PRIVATE KEY", &der), "the private key is encrypted"),
        (
            rsa.replace("KEY-----\nMII", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMII"),
            "the private key is encrypted",
        ),
        (pem("CERTIFICATE", &der), "the private key is a certificate"),
        (pem("PUBLIC KEY", &der), "the private key is a public key"),
        (pem("OPENSSH PRIVATE KEY", &der), "the private key is in a form that is not supported"),
        (pem("PRIVATE KEY", &der[..der.len() / 2]), "the private key is damaged or cut short"),
        (pem("PRIVATE KEY", &der[PKCS8_HEADER..]), "the private key is damaged or cut short"),
        (pem("RSA PRIVATE KEY", &der), "the private key is damaged or cut short"),
        (pem("EC PRIVATE KEY", &der), "the private key is damaged, or not on the curve P-256"),
        (part(&rsa, 0, rsa.len() - 40).to_owned(), "the private key has no PEM from"),
        (rsa.replace("MII", "M!I"), "the private key is damaged: it is not all base64"),
        (String::new(), "the private key has no PEM from"),
    ] {
        assert!(refused(&pem).starts_with(expected), "{expected}: {}", refused(&pem));
    }
}

#[test]
fn other_curve_is_refused() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("randomness is there");
    let pkcs8 = pem("PRIVATE KEY", pair.to_pkcs8v1().expect("has a form").as_ref());
    assert_eq!(refused(&pkcs8), "the private key is neither an RSA key nor on the curve P-256");
    let sec1: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().expect("has a form");
    let sec1 = pem("EC PRIVATE KEY", sec1.as_ref());
    assert_eq!(refused(&sec1), "the private key is damaged, or not on the curve P-256");
}

#[test]
fn public_jwk_is_what_signatures_are_verified_with() {
    let key = PrivateKey::from_pem(&generate(SigningAlgorithm::Es256)).expect("is a key");
    let jwk: Value = serde_json::from_str(&key.public_jwk()).expect("is JSON");
    let member = |name: &str| BASE64URL.decode(jwk[name].as_str().expect("is there")).expect("is base64url");
    let point = [vec![4], member("x"), member("y")].concat();
    let signature = key.sign(b"message").expect("can sign");
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(b"message", &signature).expect("is right");
    assert_eq!(
        (&jwk["alg"], &jwk["use"], &jwk["kid"]),
        (&"ES256".into(), &"sig".into(), &key.thumbprint().into())
    );
    assert_eq!(jwk.as_object().expect("is one").len(), 7, "and nothing of the private half: {jwk}");

    let named = key.with_key_id("2026-11").expect("is a name");
    let jwk: Value = serde_json::from_str(&named.public_jwk()).expect("is JSON");
    assert_eq!(jwk["kid"], "2026-11");
}

#[test]
fn key_is_inline_in_every_way_that_the_formats_have() {
    let pem = generate(SigningAlgorithm::Es256);
    let expected = thumbprint_of(&pem);
    let escaped = pem.replace('\n', "\\n");
    let continued = pem.trim().replace('\n', "\\n\\\n    ");
    let joined = pem.trim().replace('\n', "\\\n    ");
    for value in [&escaped, &continued, &joined] {
        let credential = load(&properties(value)).expect(value);
        let key = credential.private_key().expect("is one");
        assert_eq!((key.thumbprint(), key.file()), (expected.as_str(), None));
        assert!(credential.access_key_id().is_none() && credential.access_key_secret().is_none());
        let text = properties(value);
        let source = crate::CredentialSource::text(text.into());
        assert!(source.load().expect("is well-formed").is_same(&credential));
    }
    let ini = format!("[default]\n{}", properties(&escaped));
    let credential = Credential::from_ini(ini.as_bytes(), "default", "c").expect("is well-formed");
    assert_eq!(credential.private_key().map(PrivateKey::thumbprint), Some(expected.as_str()));
}

#[test]
fn key_in_a_file_is_found_beside_the_credential_file() {
    let folder = TempDir::new().expect("can be made");
    let at = |name: &str| folder.path().join(name);
    let pem = generate(SigningAlgorithm::Es256);
    fs::write(at("here.pem"), &pem).expect("can be written");
    let absolute = at("here.pem").display().to_string();
    for value in ["here.pem", "./here.pem", &absolute] {
        let text = properties(value) + "here.key.id = 2026-11\nhere.token.scope = openid\n";
        fs::write(at("c.properties"), text).expect("can be written");
        let credential = Credential::from_file(at("c.properties")).expect("is well-formed");
        let key = credential.private_key().expect("is one");
        assert_eq!(key.file().and_then(|file| file.canonicalize().ok()), at("here.pem").canonicalize().ok());
        assert_eq!((key.key_id(), key.thumbprint()), (Some("2026-11"), &*thumbprint_of(&pem)));
        assert!(credential.scope().is_some());
    }
}

#[test]
fn key_file_that_cannot_be_used_is_named_with_line_and_key() {
    let folder = TempDir::new().expect("can be made");
    let at = |name: &str| folder.path().join(name);
    let pem = generate(SigningAlgorithm::Es256);
    fs::write(at("empty"), "").expect("can be written");
    fs::write(at("half"), part(&pem, 0, 100)).expect("can be written");
    fs::write(at("huge"), "x".repeat(70_000)).expect("can be written");
    fs::write(at("bytes"), [0xFF, 0xFE, 0]).expect("can be written");
    fs::create_dir(at("folder")).expect("can be made");
    symlink("nowhere", at("dangling")).expect("can be linked");
    let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().expect("can be run");
    assert!(made.success());
    for (name, expected) in [
        ("empty", "the private key has no PEM"),
        ("half", "the private key has no PEM"),
        ("huge", "it is larger than 64 KiB"),
        ("bytes", "it is not text in PEM"),
        ("folder", "it is not a regular file"),
        ("pipe", "it is not a regular file"),
    ] {
        fs::write(at("c.properties"), properties(name)).expect("can be written");
        let error = Credential::from_file(at("c.properties")).expect_err(name);
        let (file, key) = (at("c.properties"), at(name));
        let expected = format!("{}: line 3: here.private.key: {}: {expected}", file.display(), key.display());
        assert!(error.to_string().starts_with(&expected), "{error}\n{expected}");
        assert_eq!(error.kind(), LoadErrorKind::Invalid);
    }
    for name in ["missing", "dangling", "folder/missing", "empty/missing"] {
        fs::write(at("c.properties"), properties(name)).expect("can be written");
        let error = Credential::from_file(at("c.properties")).expect_err(name);
        assert!(error.to_string().contains("line 3: here.private.key: it is neither PEM"), "{error}");
    }
}

#[test]
fn pasted_key_without_its_first_line_is_not_shown_as_a_path() {
    let base64 = BASE64.encode(der_of(&generate(SigningAlgorithm::Es256)));
    let error = load(&properties(&base64)).expect_err("is no path");
    let causes: Vec<_> = crate::error_chain(&error).map(ToString::to_string).collect();
    let shown = format!("{error} {error:?} {error:#?} {causes:?}");
    assert!(shown.contains("it is neither PEM") && !shown.contains(part(&base64, 0, 12)), "{shown}");
    let token_error = crate::TokenError::from(error);
    assert!(!format!("{token_error} {token_error:?}").contains(part(&base64, 0, 12)));
}

#[test]
fn method_decides_which_key_of_a_file_is_used() {
    let pem = generate(SigningAlgorithm::Es256).replace('\n', "\\n");
    let access_key = "here.access.key.id = an-id\nhere.access.key.secret = planted-secret\n";
    let both = properties(&pem) + access_key;
    assert!(load(&both).expect("is well-formed").private_key().is_some());
    for method in ["", "here.auth.method =\n"] {
        let text = both.replace("here.auth.method = private_key_jwt\n", method);
        assert_eq!(load(&text).expect("is well-formed").access_key_id(), Some("an-id"));
    }
    for (method, key) in [("oauth1", "planted-secret"), ("Private_Key_JWT", "planted-secret")] {
        let error = problem(&both.replace("private_key_jwt", method));
        let expected = "dir/c.properties: line 1: here.auth.method: expected private_key_jwt; to use the access key, leave this \
                        line out";
        assert_eq!(error, expected);
        assert!(!error.contains(key));
    }
}

#[test]
fn what_is_missing_or_does_not_fit_is_named_with_its_line() {
    let pem = generate(SigningAlgorithm::Es256).replace('\n', "\\n");
    let good = properties(&pem);
    let with = |line: &str| format!("{good}{line}\n");
    let mismatch =
        "line 4: here.signing.algorithm: expected ES256, which is what here.private.key signs with";
    for (text, expected) in [
        (with("here.signing.algorithm = RS256"), mismatch),
        (with("here.signing.algorithm = HS256"), mismatch),
        (with("here.signing.algorithm = none"), mismatch),
        (
            with(&format!("here.key.id = {}", "a".repeat(257))),
            "line 4: here.key.id: the key id has more than 256",
        ),
        (with("here.key.id = a b"), "line 4: here.key.id: the key id contains a space"),
        (good.replace("an-app", "an app"), "line 2: here.client.id: it contains a space"),
        (good.replace("an-app", ""), "line 2: here.client.id is empty"),
        (good.replace("here.client.id = an-app\n", ""), "here.client.id is missing"),
        (
            properties("-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n-----END PRIVATE KEY-----"),
            "line 3: here.private.key: the private key ends after its first line; end every line but the last",
        ),
        (properties(""), "line 3: here.private.key is empty; write the PEM"),
        (good.replace("here.private.key", "here.privat.key"), "line 3: did you mean here.private.key?"),
        (good.lines().take(2).collect::<Vec<_>>().join("\n"), "here.private.key is missing; expected a line"),
        (
            good.replace("here.auth.method = private_key_jwt\n", ""),
            "it has here.private.key but no line `here.auth.method = private_key_jwt`; add it",
        ),
    ] {
        let problem = problem(&text);
        assert!(problem.starts_with(&format!("dir/c.properties: {expected}")), "{expected}: {problem}");
        assert!(!problem.contains(part(&pem, 40, 60)), "{problem}");
    }
    let both = with("here.signing.algorithm = ES256\nhere.key.id =");
    let credential = load(&both).expect("is well-formed");
    assert_eq!(credential.private_key().and_then(PrivateKey::key_id), None);
}

#[test]
fn same_is_the_same_key_under_the_same_name() {
    let pem = generate(SigningAlgorithm::Es256);
    let key = PrivateKey::from_pem(&pem).expect("is a key");
    let credential = |client: &str, key: &PrivateKey| {
        Credential::with_private_key(client, key.clone()).expect("is well-formed")
    };
    let one = credential("an-app", &key);
    assert!(one.is_same(&credential("an-app", &PrivateKey::from_pem(&pem).expect("is a key"))));
    assert!(!one.is_same(&credential("another", &key)));
    assert!(!one.is_same(&credential("an-app", &key.clone().with_key_id("x").expect("is a name"))));
    let other = PrivateKey::from_pem(&generate(SigningAlgorithm::Es256)).expect("is a key");
    assert!(!one.is_same(&credential("an-app", &other)));
    let access_key = Credential::new("an-app", "s".to_owned().into()).expect("is well-formed");
    assert!(!one.is_same(&access_key) && !access_key.is_same(&one));
    assert!(Credential::with_private_key("", key).is_err());
}

#[test]
fn debug_shows_nothing_of_a_private_key() {
    let pem = generate(SigningAlgorithm::Es256).replace('\n', "\\n");
    let credential = load(&properties(&pem)).expect("is well-formed");
    let shown = format!("{credential:?} {credential:#?} {:?}", credential.private_key());
    assert!(!shown.contains(part(&pem, 40, 60)) && !shown.contains("an-app"), "{shown}");
}
