//! A private key for `private_key_jwt`: reading it, signing with it, and its public half.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64URL};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::file::read;
use super::text::check_text;
use crate::error::LoadError;

/// In bytes. Longer keys than 4096 bits take long to sign with, which the tasks of a runtime would notice.
const LONGEST_MODULUS: usize = 512;

/// Of a `kid`: it is sent with every request.
const LONGEST_ID: usize = 256;

/// How long the lines of a PEM are (RFC 7468 §2).
const PEM_LINE: usize = 64;

/// A private key whose public half is registered with a HERE app. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PrivateKey {
    pair: Arc<Pair>,
    id: Option<String>,
    thumbprint: String,
    file: Option<PathBuf>,
}

/// How a [`PrivateKey`] signs (RFC 7518 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SigningAlgorithm {
    /// RSA, PKCS#1 v1.5, with SHA-256.
    Rs256,
    /// ECDSA on the curve P-256, with SHA-256.
    Es256,
}

/// Both halves of a key. AWS-LC wipes them when it frees them, and shows the public one alone.
#[derive(Debug)]
enum Pair {
    Rsa(rsa::KeyPair),
    P256(EcdsaKeyPair),
}

impl PrivateKey {
    /// Reads a key in PEM: RSA with 2048 to 4096 bits, as PKCS#8 or PKCS#1, or on the curve P-256, as PKCS#8 or SEC 1.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::Invalid`](crate::LoadErrorKind::Invalid) for anything else, such as an encrypted key.
    pub fn from_pem(pem: &str) -> Result<Self, LoadError> {
        let pair = Pair::from_pem(pem)
            .map_err(|problem| LoadError::invalid(format!("the private key {problem}")))?;
        let thumbprint = thumbprint(&pair.public_members());
        Ok(Self { pair: Arc::new(pair), id: None, thumbprint, file: None })
    }

    /// Makes a new key, and returns it in PEM as PKCS#8. RSA keys have 2048 bits, which is what everybody who takes
    /// RS256 takes.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::Invalid`](crate::LoadErrorKind::Invalid) when the operating system has no randomness to give.
    pub fn generate_pem(algorithm: SigningAlgorithm) -> Result<SecretString, LoadError> {
        let der = match algorithm {
            SigningAlgorithm::Rs256 => {
                rsa::KeyPair::generate(KeySize::Rsa2048).and_then(|pair| Ok(pair.as_der()?.as_ref().to_vec()))
            }
            SigningAlgorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .and_then(|pair| Ok(pair.to_pkcs8v1()?.as_ref().to_vec())),
        };
        let der = Zeroizing::new(der.map_err(|_unspecified| LoadError::invalid("no key could be made"))?);
        let base64 = Zeroizing::new(BASE64.encode(&*der));
        // Room for all of it at once, so that growing leaves no copy behind.
        let mut pem = String::with_capacity(2 * base64.len() + 128);
        pem.push_str("-----BEGIN PRIVATE KEY-----\n");
        for line in base64.as_bytes().chunks(PEM_LINE) {
            pem.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        Ok(SecretString::from(pem))
    }

    /// Reads the key that a credential file names: PEM, or the path of a file with it.
    pub(super) fn from_value(value: &str, folder: &Path) -> Result<Self, LoadError> {
        if value.contains("-----BEGIN") {
            return Self::from_pem(value);
        }
        let path = folder.join(value);
        // Not shown before it is known to be a path: a key without its first line looks like one that does not exist.
        let found = path.metadata().map_err(|error| {
            let problem = "it is neither PEM (with its `-----BEGIN` line) nor the path of a file that can be found; a \
                           relative path begins at the folder of the credential file";
            LoadError::invalid(problem).with_source(error)
        })?;
        let name = path.display().to_string();
        let invalid = |problem| LoadError::invalid(problem).within(&name);
        if !found.is_file() {
            // A pipe could be read only once, and may never end.
            return Err(invalid("it is not a regular file"));
        }
        let pem = read(&path)?;
        let pem = std::str::from_utf8(&pem).map_err(|_| invalid("it is not text in PEM"))?;
        let key = Self::from_pem(pem).map_err(|error| error.within(&name))?;
        Ok(Self { file: Some(path), ..key })
    }

    /// Names the key as it is registered (`kid`). Without a name, HERE is to find out which of the app's keys it is.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::Invalid`](crate::LoadErrorKind::Invalid) when the name is empty, not printable, or longer than
    /// 256 characters.
    pub fn with_key_id(self, id: &str) -> Result<Self, LoadError> {
        check_text("the key id", id)?;
        if id.len() > LONGEST_ID {
            return Err(LoadError::invalid("the key id has more than 256 characters"));
        }
        Ok(Self { id: Some(id.to_owned()), ..self })
    }

    /// Returns its name where it is registered.
    pub fn key_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Returns how it signs.
    pub fn algorithm(&self) -> SigningAlgorithm {
        match *self.pair {
            Pair::Rsa(_) => SigningAlgorithm::Rs256,
            Pair::P256(_) => SigningAlgorithm::Es256,
        }
    }

    /// Returns the SHA-256 thumbprint of its public half, in base64url (RFC 7638). It is no secret.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Returns its public half as a JWK (RFC 7517), to be registered. If it has no name, it is named after its
    /// thumbprint there.
    pub fn public_jwk(&self) -> String {
        let id = self.key_id().unwrap_or(&self.thumbprint);
        let mut jwk = self.pair.public_members();
        let more = [("alg", self.algorithm().as_str()), ("kid", id), ("use", "sig")];
        jwk.extend(more.map(|(name, value)| (name, value.to_owned())));
        serde_json::to_string(&jwk).expect("text has a form in JSON")
    }

    /// Returns the file that it was read from, if it has one of its own: another to watch for a rotation.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Signs a message. It takes about a millisecond with RSA, some with the longest keys.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match &*self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                Ok(signature)
            }
            Pair::P256(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
        }
    }
}

impl SigningAlgorithm {
    /// Returns its name in JOSE.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

impl Pair {
    fn from_pem(pem: &str) -> Result<Self, &'static str> {
        let Some((label, body)) = blocks(pem).find(|(label, _)| label.ends_with("PRIVATE KEY")) else {
            return Err(match blocks(pem).next() {
                None if pem.trim_end().ends_with("KEY-----") && !pem.contains("-----END") => {
                    "ends after its first line; end every line but the last with a backslash, or name the PEM's file"
                }
                Some(("CERTIFICATE", _)) => "is a certificate; use the private key that belongs to it",
                Some(("PUBLIC KEY" | "RSA PUBLIC KEY", _)) => {
                    "is a public key; use the private key that belongs to it"
                }
                _ => {
                    "has no PEM from `-----BEGIN PRIVATE KEY-----` to `-----END PRIVATE KEY-----`; it may be cut short"
                }
            });
        };
        // Those in the older forms say so in a header.
        if label == "ENCRYPTED PRIVATE KEY" || body.contains("Proc-Type") {
            return Err("is encrypted, and nobody is there to enter its password; decrypt it with \
                        `openssl pkey -in OLD -out NEW`, and protect the file by its mode (0600)");
        }
        let der = decode(body).ok_or("is damaged: it is not all base64")?;
        let pair = match label {
            "PRIVATE KEY" => rsa::KeyPair::from_pkcs8(&der).map(Self::Rsa).or_else(|problem| {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der);
                pair.map(Self::P256).map_err(|_| explain(problem))
            })?,
            "RSA PRIVATE KEY" => rsa::KeyPair::from_der(&der).map(Self::Rsa).map_err(explain)?,
            "EC PRIVATE KEY" => EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
                .map(Self::P256)
                .map_err(|_| "is damaged, or not on the curve P-256")?,
            _ => {
                return Err("is in a form that is not supported; convert it to PKCS#8, such as with \
                            `openssl pkey -in OLD -out NEW`");
            }
        };
        match &pair {
            Self::Rsa(pair) if pair.public_modulus_len() > LONGEST_MODULUS => Err(TOO_LONG),
            _ => Ok(pair),
        }
    }

    /// Returns what makes the public half of the key.
    fn public_members(&self) -> Members {
        match self {
            Self::Rsa(pair) => {
                let public = pair.public_key();
                let e = BASE64URL.encode(public.exponent().big_endian_without_leading_zero());
                let n = BASE64URL.encode(public.modulus().big_endian_without_leading_zero());
                Members::from([("kty", "RSA".to_owned()), ("n", n), ("e", e)])
            }
            Self::P256(pair) => {
                // SEC 1 §2.3.3: a byte that says so, x and y.
                let (_, point) = pair.public_key().as_ref().split_at(1);
                let (x, y) = point.split_at(point.len() / 2);
                let (x, y) = (BASE64URL.encode(x), BASE64URL.encode(y));
                let (kty, crv) = ("EC".to_owned(), "P-256".to_owned());
                Members::from([("kty", kty), ("crv", crv), ("x", x), ("y", y)])
            }
        }
    }
}

/// The members of a JWK, in the order that a thumbprint is of.
type Members = BTreeMap<&'static str, String>;

/// RFC 7638 §3.
fn thumbprint(members: &Members) -> String {
    let members = serde_json::to_string(members).expect("text has a form in JSON");
    BASE64URL.encode(digest::digest(&digest::SHA256, members.as_bytes()))
}

/// Returns label and content of the PEM blocks (RFC 7468). In one line, too: so they are when lines are continued in a
/// `.properties` file.
fn blocks(pem: &str) -> impl Iterator<Item = (&str, &str)> {
    pem.split("-----BEGIN ").skip(1).filter_map(|block| {
        let (label, rest) = block.split_once("-----")?;
        let (body, _) = rest.split_once("-----END ")?;
        Some((label, body))
    })
}

fn decode(body: &str) -> Option<Zeroizing<Vec<u8>>> {
    // Room for all of it at once, so that growing leaves no copy behind.
    let mut base64 = Zeroizing::new(String::with_capacity(body.len()));
    base64.extend(body.split_whitespace());
    let mut der = Zeroizing::new(Vec::with_capacity(body.len()));
    BASE64.decode_vec(&*base64, &mut der).ok()?;
    Some(der)
}

const TOO_LONG: &str = "is longer than the 4096 bits that are supported; make a new one";

/// Says why AWS-LC does not take a key for one of RSA; it has words for it, and no type.
fn explain(problem: KeyRejected) -> &'static str {
    match problem.description_() {
        "TooSmall" => "is an RSA key of fewer than 2048 bits, which is not safe; make a new one",
        "TooLarge" => TOO_LONG,
        "WrongAlgorithm" => "is neither an RSA key nor on the curve P-256",
        _ => "is damaged or cut short",
    }
}

#[cfg(test)]
mod tests;
