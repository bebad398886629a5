//! Claims of a token by their names.

/// Reads a claim's name, or, for one inside another, a JSON Pointer (RFC 6901), which it returns in any case.
pub(crate) fn claim_pointer(text: &str) -> Result<String, &'static str> {
    let plain = || format!("/{}", text.replace('~', "~0").replace('/', "~1"));
    let pointer = if text.starts_with('/') { text.to_owned() } else { plain() };
    if pointer == "/" || !pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1'])) {
        return Err(
            "expected a claim's name, or a JSON Pointer (RFC 6901) such as \"/kubernetes.io/namespace\", in \
             which `~1` is `/` and `~0` is `~`",
        );
    }
    Ok(pointer)
}
