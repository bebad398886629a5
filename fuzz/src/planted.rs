//! Secrets planted in the input, which must come out nowhere.
//!
//! The fuzzer plants one with a single byte: finding out by mutation where sixty letters have to stand would take it
//! for ever.

/// In the place of byte 0x01. No key that is shown holds a `!`, so wherever this comes out, a value was shown.
pub const MARKED: &str = "planted!secret!0123456789";
/// In the place of byte 0x02: as long and as plain as HERE's secrets, which no rule about characters catches.
pub const PLAIN: &str =
    "PlantedPlainSecret0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV0123456789";

/// What must not be seen: good parts of both, none of which stands in any text of the programs.
const PIECES: [&str; 4] = ["planted!secret", "secret!01234", "PlantedPlain", "ghijklmnopqrst"];

/// Puts the secrets where the input wants them. `None` for an input that holds a part of one itself: the fuzzer sees
/// what is searched for, and would put it where it may be shown.
pub fn plant(data: &[u8]) -> Option<Vec<u8>> {
    let holds = |piece: &&str| data.windows(piece.len()).any(|window| window == piece.as_bytes());
    if PIECES.iter().any(holds) {
        return None;
    }
    let mut planted = Vec::with_capacity(data.len());
    for byte in data {
        match byte {
            1 => planted.extend_from_slice(MARKED.as_bytes()),
            2 => planted.extend_from_slice(PLAIN.as_bytes()),
            _ => planted.push(*byte),
        }
    }
    Some(planted)
}

/// Panics when a planted secret, or a good part of one, shows in a text.
#[track_caller]
pub fn assert_hidden(what: &str, text: &str) {
    for piece in PIECES {
        assert!(!text.contains(piece), "{what} shows a planted secret: {text}");
    }
}
