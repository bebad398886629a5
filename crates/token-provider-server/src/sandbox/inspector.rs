//! The built page of `examples/inspector`, compressed. Written by `npm run build` there.

macro_rules! files {
    ($($name:literal,)*) => { &[$(($name, include_bytes!(concat!("inspector/", $name, ".gz")))),*] };
}

/// Each file's name, and what is in it.
pub(super) const FILES: &[(&str, &[u8])] = files![
    "assets/here-D2-Lt91w.js",
    "assets/index-B2bi7AL6.js",
    "assets/index-CBXwQwc3.css",
    "assets/maplibre-Csx3fCua.js",
    "assets/maplibre-gl-worker-CZtFQQIV.mjs",
    "favicon.svg",
    "index.html",
    "licences.txt",
];
