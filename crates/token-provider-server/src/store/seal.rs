//! Records as they are stored: encrypted, and bound to the name that they are stored under.
//!
//! `"TPT1" ‖ key id (8 bytes) ‖ fence (16 digits) ‖ nonce ‖ AES-256-GCM-SIV(text) ‖ tag`. What is before the nonce is authenticated,
//! too, with the name: a record that was changed, or moved, is none. The text is padded, so that its length tells little.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use data_encoding::{BASE32_NOPAD, BASE64};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use serde::{Deserialize, Serialize};
use token_provider::{Credential, Fingerprint, Issued, TokenKey};
use zeroize::Zeroizing;

use crate::file_work::{MAX_SECRET, read_small_file};
use crate::reason::Flaw;
use crate::values::duration::digits;

const FORMAT: [u8; 4] = *b"TPT1";
/// Format, key id, fence.
const HEADER: usize = 4 + 8 + 16;
const BLOCK: usize = 512;

const KEY_LENGTH: usize = 32;
const INDEX: &str = "index";
const SALT: &[u8] = b"token-provider store 1";

/// The keys in a key file.
#[derive(Debug)]
pub struct Keys {
    /// By their ids, padded with zeros. The first encrypts.
    by_id: Vec<([u8; 8], LessSafeKey)>,
    /// What names are made with.
    index: SecretBox<[u8; KEY_LENGTH]>,
    text: SecretString,
}

impl Keys {
    /// Reads a key file. Blocks.
    ///
    /// # Errors
    ///
    /// Names the file and the line, and says what is wrong with it.
    pub fn read(file: &Path) -> Result<Self, String> {
        let name = file.display();
        let text = read_small_file(file, MAX_SECRET);
        let text = text.map_err(|error| format!("{name}: cannot be read: {error}"))?;
        Self::parse(&name, &text)
    }

    /// Parses the text of the file with this name.
    fn parse(name: &impl Display, text: &str) -> Result<Self, String> {
        let (mut keys, mut index) = (Vec::new(), None);
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let problem = |expected: &str| format!("{name}:{number}: {expected}");
            let Some((id, value)) = line.split_once('=') else {
                return Err(problem("expected \"id = base64\""));
            };
            let secret = Zeroizing::new(BASE64.decode(value.trim_start().as_bytes()).unwrap_or_default());
            if secret.len() != KEY_LENGTH {
                return Err(problem(
                    "expected 32 bytes in base64 after the `=`, as from `openssl rand -base64 32`",
                ));
            }
            let secret = Salt::new(HKDF_SHA256, SALT).extract(&secret);
            if id.trim_end() == INDEX {
                let key = SecretBox::init_with_mut(|key: &mut [u8; KEY_LENGTH]| {
                    let derived = secret.expand(&[b"index"], HKDF_SHA256).and_then(|okm| okm.fill(key));
                    derived.expect("SHA-256 has 32 bytes");
                });
                if index.replace(key).is_some() {
                    return Err(problem("there is another line for the index"));
                }
                continue;
            }
            let id = key_id(id.trim_end())
                .ok_or_else(|| problem("expected 1 to 8 of a-z and 0-9 before the `=`, or `index`"))?;
            if keys.iter().any(|(other, _)| *other == id) {
                return Err(problem("another line has the same id"));
            }
            let key = secret.expand(&[b"seal"], &AES_256_GCM_SIV).expect("SHA-256 has 32 bytes");
            keys.push((id, LessSafeKey::new(UnboundKey::from(key))));
        }
        match index {
            _ if keys.is_empty() => {
                Err(format!("{name}: expected a line \"id = base64\" with a key that encrypts"))
            }
            None => Err(format!("{name}: expected a line \"index = base64\"")),
            Some(index) => Ok(Self { by_id: keys, index, text: text.into() }),
        }
    }

    /// Returns whether both were read from the same text.
    pub fn are(&self, others: &Self) -> bool {
        self.text.expose_secret() == others.text.expose_secret()
    }

    /// Names a kind of token of a credential.
    pub fn kind(&self, credential: &Credential, key: &TokenKey) -> String {
        shortened(&credential.kind_id(key, self.index.expose_secret()))
    }

    /// Names the record of a token that was refused.
    pub fn report(&self, token: Fingerprint) -> String {
        let key = hmac::Key::new(HMAC_SHA256, self.index.expose_secret());
        // A kind's name is made of longer input, which begins with a length.
        shortened(hmac::sign(&key, format!("reported {token}").as_bytes()).as_ref())
    }

    /// Encrypts a record, to be stored under this name.
    ///
    /// # Panics
    ///
    /// Where the system has no random numbers.
    pub fn seal(&self, name: &str, fence: u64, record: &Record<'_>) -> Vec<u8> {
        // In one piece: a buffer that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(4 * BLOCK + record.content.length()));
        serde_json::to_writer(&mut *text, record).expect("a Vec takes everything");
        let padded = text.len().next_multiple_of(BLOCK);
        text.resize(padded, b' ');
        let (id, key) = self.by_id.first().expect("a key file has one");
        let mut sealed = [&FORMAT[..], id, format!("{fence:016}").as_bytes()].concat();
        let bound = Aad::from([&sealed, name.as_bytes()].concat());
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).expect("the system has random numbers");
        let of_key = Nonce::assume_unique_for_key(nonce);
        let tag = key.seal_in_place_separate_tag(of_key, bound, &mut text).expect("it is short");
        sealed.extend([&nonce[..], &text, tag.as_ref()].concat());
        sealed
    }

    /// Decrypts what is stored under a name. Returns the fence, and the text of a [`Record`].
    ///
    /// # Errors
    ///
    /// Why it is not to be used.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<(u64, Zeroizing<Vec<u8>>), Flaw> {
        let (header, rest) = sealed.split_at_checked(HEADER).ok_or(Flaw::Malformed)?;
        let (nonce, text) = rest.split_first_chunk().ok_or(Flaw::Malformed)?;
        let rest = header.strip_prefix(&FORMAT).ok_or(Flaw::OtherFormat)?;
        let (id, fence) = rest.split_first_chunk().ok_or(Flaw::Malformed)?;
        let fence = str::from_utf8(fence).ok().and_then(digits).ok_or(Flaw::Malformed)?;
        let (_, key) = self.by_id.iter().find(|(other, _)| other == id).ok_or(Flaw::UnknownKey)?;
        let mut text = Zeroizing::new(text.to_vec());
        let bound = Aad::from([header, name.as_bytes()].concat());
        let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), bound, &mut text);
        let length = opened.map_err(|_| Flaw::BadTag)?.len();
        text.truncate(length);
        Ok((fence, text))
    }
}

fn key_id(text: &str) -> Option<[u8; 8]> {
    let mut id = [0; 8];
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    id.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    (!text.is_empty() && text.bytes().all(is_allowed)).then_some(id)
}

/// Returns the first 20 bytes, as letters and digits that any file system takes.
fn shortened(mac: &[u8]) -> String {
    let (first, _) = mac.split_at(20);
    BASE32_NOPAD.encode(first).to_ascii_lowercase()
}

/// What is encrypted.
#[derive(Serialize, Deserialize)]
pub struct Record<'a> {
    /// The boot of the machine in which it was written.
    pub boot: &'a str,
    /// When it was written, by the wall clock …
    pub wall: Duration,
    /// … and by the one that starts with the machine.
    pub since_boot: Duration,
    /// How long it counts, from then.
    pub life: Duration,
    #[serde(borrow)]
    pub content: Content<'a>,
}

/// What a record is about.
#[derive(Serialize, Deserialize)]
pub enum Content<'a> {
    /// A token, with the scope that was granted.
    Token(&'a str, Option<&'a str>),
    /// A request that failed: HTTP status, HERE's number, failures in a row, and how long to wait from then.
    Failure(u16, Option<u32>, u32, Duration),
    /// A token that a service refused.
    Report,
}

impl<'a> Content<'a> {
    pub fn of(issued: &'a Issued) -> Self {
        Self::Token(issued.expose_secret(), issued.scope().map(token_provider::Scope::as_str))
    }

    fn length(&self) -> usize {
        if let Self::Token(token, _) = self { token.len() } else { 0 }
    }
}
