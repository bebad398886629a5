//! The demonstration: the built page of `examples/inspector`, compressed. Written by `npm run build` there.

use super::File;

pub(super) const FILES: &[File] = &[
    File {
        path: "/assets/here-D2-Lt91w.js",
        content_type: "text/javascript; charset=utf-8",
        hash: "d7f4e93e1091d485",
        gzip: include_bytes!("inspector/assets-here-D2-Lt91w.js.gz"),
    },
    File {
        path: "/assets/index-CBXwQwc3.css",
        content_type: "text/css; charset=utf-8",
        hash: "ac49c48825d96bce",
        gzip: include_bytes!("inspector/assets-index-CBXwQwc3.css.gz"),
    },
    File {
        path: "/assets/index-CF8cbJjC.js",
        content_type: "text/javascript; charset=utf-8",
        hash: "23b177328b399fab",
        gzip: include_bytes!("inspector/assets-index-CF8cbJjC.js.gz"),
    },
    File {
        path: "/assets/maplibre-Csx3fCua.js",
        content_type: "text/javascript; charset=utf-8",
        hash: "f85481d963200848",
        gzip: include_bytes!("inspector/assets-maplibre-Csx3fCua.js.gz"),
    },
    File {
        path: "/assets/maplibre-gl-worker-CZtFQQIV.mjs",
        content_type: "text/javascript; charset=utf-8",
        hash: "73d7a024a4efe1a4",
        gzip: include_bytes!("inspector/assets-maplibre-gl-worker-CZtFQQIV.mjs.gz"),
    },
    File {
        path: "/favicon.svg",
        content_type: "image/svg+xml",
        hash: "545e2dc3c76d7443",
        gzip: include_bytes!("inspector/favicon.svg.gz"),
    },
    File {
        path: "/",
        content_type: "text/html; charset=utf-8",
        hash: "09c884c5d4413a7e",
        gzip: include_bytes!("inspector/index.html.gz"),
    },
    File {
        path: "/licences.txt",
        content_type: "text/plain; charset=utf-8",
        hash: "28d0acda5865c94a",
        gzip: include_bytes!("inspector/licences.txt.gz"),
    },
];
