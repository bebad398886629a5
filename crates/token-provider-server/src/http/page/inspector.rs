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
        path: "/assets/index-CA88Ppxo.css",
        content_type: "text/css; charset=utf-8",
        hash: "60b87e8f1e14ee0f",
        gzip: include_bytes!("inspector/assets-index-CA88Ppxo.css.gz"),
    },
    File {
        path: "/assets/index-sNJA613T.js",
        content_type: "text/javascript; charset=utf-8",
        hash: "966c7d79ca0bb082",
        gzip: include_bytes!("inspector/assets-index-sNJA613T.js.gz"),
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
        hash: "06171fe9e1cf0c21",
        gzip: include_bytes!("inspector/index.html.gz"),
    },
    File {
        path: "/licences.txt",
        content_type: "text/plain; charset=utf-8",
        hash: "28d0acda5865c94a",
        gzip: include_bytes!("inspector/licences.txt.gz"),
    },
];
