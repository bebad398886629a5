//! The part of HERE's Data API that reading a versioned layer takes, as HERE's SDKs ask for it.

use aws_lc_rs::digest;
use here_sandbox::{Fault, Target};
use serde_json::{Value, json};

use crate::support::{Answer, Running};

const HRN: &str = "hrn:here:data::sandbox:port-meridian";

/// Asks with a token, and with what HERE's JavaScript SDK adds to every request.
async fn ask(running: &Running, target: &str) -> Answer {
    let bearer = format!("Bearer {}", running.token().await);
    let joint = if target.contains('?') { '&' } else { '?' };
    let target = format!("{target}{joint}sentWith=OLP-TS-SDK-1.7.0");
    running.get(&target, &[("Authorization", &bearer), ("Origin", "https://maps.example.com")]).await
}

async fn ok(running: &Running, target: &str) -> Value {
    let answer = ask(running, target).await;
    assert_eq!(answer.status, 200, "{target}: {answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{target}");
    answer.json()
}

/// The path of a URL at the sandbox's own address.
fn path<'a>(running: &Running, url: &'a Value) -> &'a str {
    let origin = format!("http://{}", running.address);
    url.as_str().and_then(|url| url.strip_prefix(&origin)).expect("a URL at the address that was asked")
}

/// Where a service of the catalog is, as the look-up says.
async fn service(running: &Running, name: &str) -> String {
    let apis = ok(running, &format!("/lookup/v1/resources/{HRN}/apis")).await;
    let api = apis.as_array().unwrap().iter().find(|api| api["api"] == name && api["version"] == "v1");
    path(running, &api.unwrap()["baseURL"]).to_owned()
}

#[tokio::test]
async fn layer_is_read_from_look_up_to_data() {
    let running = Running::start().await;
    let platform = ok(&running, "/lookup/v1/platform/apis").await;
    let config = path(&running, &platform[0]["baseURL"]);
    let catalogs = ok(&running, &format!("{config}/catalogs")).await;
    assert_eq!(catalogs["results"]["items"][0]["hrn"], HRN);
    let catalog = ok(&running, &format!("{config}/catalogs/{HRN}")).await;
    let layer = &catalog["layers"][2];
    assert_eq!((&layer["id"], &layer["layerType"]), (&json!("buildings"), &json!("versioned")));
    assert_eq!(layer["partitioning"], json!({ "scheme": "heretile", "tileLevels": [15] }));

    let metadata = service(&running, "metadata").await;
    let latest = ok(&running, &format!("{metadata}/versions/latest?startVersion=-1")).await;
    let version = latest["version"].as_u64().unwrap();
    let target = format!(
        "{metadata}/layers/buildings/partitions?version={version}&additionalFields=dataSize,checksum"
    );
    let partitions = ok(&running, &target).await;
    let partitions = partitions["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 24);

    let blob = service(&running, "blob").await;
    for partition in partitions {
        let handle = partition["dataHandle"].as_str().unwrap();
        let answer = ask(&running, &format!("{blob}/layers/buildings/data/{handle}")).await;
        assert_eq!(answer.header("content-type"), Some("application/geo+json"));
        assert_eq!(partition["dataSize"], answer.body.len());
        let checksum = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &answer.body);
        assert_eq!(partition["checksum"], format!("{checksum:?}").trim_start_matches("SHA1:"));
        let features = &answer.json()["features"];
        assert!(features[0]["properties"]["height_m"].is_number(), "{features}");
    }
}

#[tokio::test]
async fn look_up_answers_with_the_address_that_was_asked_and_may_be_kept() {
    let running = Running::start_with(|_| {}).await;
    let bearer = format!("Bearer {}", running.token().await);
    let headers = [("Authorization", bearer.as_str()), ("Host", "Sandbox.localhost:80")];
    let answer = running.get(&format!("/lookup/v1/resources/{HRN}/apis"), &headers).await;
    assert_eq!(
        answer.json()[2],
        json!({
            "api": "query",
            "version": "v1",
            "baseURL": format!("http://sandbox.localhost/query/v1/catalogs/{HRN}"),
            "parameters": {},
        })
    );
    // Without a time, HERE's SDK looks up before every single request.
    assert_eq!(answer.header("cache-control"), Some("private, max-age=3600"));
    let broken = [("Authorization", bearer.as_str()), ("Host", "a b")];
    assert_eq!(running.get("/lookup/v1/platform/apis", &broken).await.status, 400);
}

#[tokio::test]
async fn partitions_are_found_by_name_and_by_tile() {
    let running = Running::start().await;
    let metadata = service(&running, "metadata").await;
    let query = service(&running, "query").await;
    let all = ok(&running, &format!("{metadata}/layers/roads/partitions?version=2")).await;
    let all = all["partitions"].as_array().unwrap();
    let names: Vec<_> = all.iter().map(|partition| partition["partition"].as_str().unwrap()).collect();

    let target = format!(
        "{query}/layers/roads/partitions?partition={}&partition={}&partition=1&version=2",
        names[3], names[7]
    );
    let found = ok(&running, &target).await;
    assert_eq!(found["partitions"], json!([all[3], all[7]]));

    // Four levels up all of the city is in one tile.
    let quad_key = |name: &str, up: u32| name.parse::<u64>().unwrap() >> (2 * up);
    let root = quad_key(names[0], 4);
    let index = ok(&running, &format!("{query}/layers/roads/versions/2/quadkeys/{root}/depths/4")).await;
    assert_eq!(index["parentQuads"], json!([]));
    for (quad, partition) in index["subQuads"].as_array().unwrap().iter().zip(all) {
        let below: u64 = quad["subQuadKey"].as_str().unwrap().parse().unwrap();
        assert_eq!((root << 8 | (below & 0xff)).to_string(), partition["partition"]);
        assert_eq!(quad["dataHandle"], partition["dataHandle"]);
    }
    assert_eq!(index["subQuads"].as_array().unwrap().len(), all.len());

    let itself = ok(
        &running,
        &format!("{query}/layers/roads/versions/2/quadkeys/{}/depths/0?additionalFields=dataSize", names[5]),
    )
    .await;
    assert_eq!(itself["subQuads"][0]["subQuadKey"], "1");
    assert!(itself["subQuads"][0]["dataSize"].is_number());
    let child = names[5].parse::<u64>().unwrap() << 2;
    let above = ok(&running, &format!("{query}/layers/roads/versions/2/quadkeys/{child}/depths/2")).await;
    assert_eq!(above["subQuads"], json!([]));
    assert_eq!(above["parentQuads"][0]["partition"], names[5]);
}

#[tokio::test]
async fn versions_tell_how_the_city_grew() {
    let running = Running::start().await;
    let metadata = service(&running, "metadata").await;
    let versions = ok(&running, &format!("{metadata}/versions?startVersion=0&endVersion=2")).await;
    let versions = versions["versions"].as_array().unwrap();
    assert_eq!(versions.iter().map(|version| &version["version"]).collect::<Vec<_>>(), [1, 2]);
    for version in versions {
        let target = format!("{metadata}/layers/buildings/partitions?version={}", version["version"]);
        let count = ok(&running, &target).await["partitions"].as_array().unwrap().len();
        assert_eq!(version["partitionCounts"]["buildings"], count);
    }
}

#[tokio::test]
async fn what_there_is_not_is_named() {
    let running = Running::start().await;
    let (metadata, query) = (service(&running, "metadata").await, service(&running, "query").await);
    let blob = service(&running, "blob").await;
    let names = "partition=1&".repeat(101);
    let cases = [
        (404, "/lookup/v1/resources/hrn:here:data:::other/apis".to_owned(), "catalog hrn:here:data:::other"),
        (404, format!("/lookup/v1/resources/{HRN}/apis/stream/v2"), "no such resource"),
        (404, "/config/v1/catalogs/x".to_owned(), "catalog x"),
        (404, format!("{metadata}/layers/x/partitions?version=2"), "layer x"),
        (404, format!("{metadata}/layers/roads/partitions?version=3"), "version 3"),
        (404, format!("{metadata}/versions?startVersion=-1&endVersion=9"), "version 9"),
        (400, format!("{metadata}/layers/roads/partitions"), "version is needed"),
        (400, format!("{metadata}/layers/roads/partitions?version=-1"), "version is not a number"),
        (400, format!("{metadata}/versions/latest?startVersion=x"), "startVersion is not a number"),
        (400, format!("{metadata}/versions/latest?a=%zz"), "broken escape"),
        (400, format!("{metadata}/versions/latest?a=%ff"), "not UTF-8"),
        (400, format!("{query}/layers/roads/partitions?version=2"), "from 1 to 100"),
        (400, format!("{query}/layers/roads/partitions?{names}version=2"), "from 1 to 100"),
        (400, format!("{query}/layers/roads/versions/2/quadkeys/2/depths/1"), "names no tile"),
        (400, format!("{query}/layers/roads/versions/2/quadkeys/1/depths/5"), "at most 4"),
        (404, format!("{query}/layers/roads/versions/7/quadkeys/1/depths/1"), "version 7"),
        (404, format!("{blob}/layers/roads/data/x"), "data under this handle"),
    ];
    for (status, target, cause) in cases {
        let answer = ask(&running, &target).await;
        assert_eq!((answer.status, &answer.json()["status"]), (status, &json!(status)), "{target}");
        assert!(answer.json()["cause"].as_str().unwrap().contains(cause), "{target}: {:?}", answer.json());
        assert!(answer.json()["title"].is_string() && answer.header("cache-control") == Some("no-store"));
    }
    assert_eq!(
        ask(&running, &format!("{query}/layers/roads/versions/x/quadkeys/1/depths/1")).await.status,
        400
    );
}

#[tokio::test]
async fn every_service_wants_a_token_that_holds() {
    let running = Running::start().await;
    let bearer = format!("Bearer {}", running.token().await);
    let targets = [
        "/lookup/v1/platform/apis".to_owned(),
        format!("/lookup/v1/resources/{HRN}/apis"),
        "/config/v1/catalogs".to_owned(),
        format!("/metadata/v1/catalogs/{HRN}/versions/latest?startVersion=-1"),
        format!("/metadata/v1/catalogs/{HRN}/layers/roads/partitions?version=2"),
        format!("/query/v1/catalogs/{HRN}/layers/roads/partitions?partition=1&version=2"),
        format!("/query/v1/catalogs/{HRN}/layers/roads/versions/2/quadkeys/1/depths/1"),
        format!("/blobstore/v1/catalogs/{HRN}/layers/roads/data/x"),
    ];
    for target in &targets {
        assert_eq!(running.get(target, &[]).await.refusal(), (401, 401_200), "{target}");
        let foreign = running.get(target, &[("Authorization", "Bearer foreign")]).await;
        assert_eq!(foreign.refusal(), (401, 400_601), "{target}");
        assert_eq!(foreign.header("access-control-allow-origin"), Some("*"), "{target}");
    }
    running.advance(3600);
    for target in &targets {
        let expired = running.get(target, &[("Authorization", &bearer)]).await;
        assert_eq!(expired.refusal(), (401, 400_601), "{target}");
        assert!(expired.header("www-authenticate").unwrap().contains("expired"), "{target}");
    }
    let stats = running.sandbox.stats();
    assert_eq!((stats.data_requests, stats.data_failures), (24, 24));
}

#[tokio::test]
async fn data_misbehave_on_request() {
    let running = Running::start().await;
    let target = format!("/metadata/v1/catalogs/{HRN}/versions/latest");
    let fault = Fault {
        target: Target::Data,
        status: Some(503),
        retry_after: Some("1".to_owned()),
        count: Some(1),
        ..Fault::default()
    };
    running.sandbox.faults().inject(fault);
    let refused = ask(&running, &target).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"), "a page must be able to read it");
    assert_eq!(ask(&running, &target).await.status, 200);
    let stats = running.sandbox.stats();
    assert_eq!((stats.data_requests, stats.data_failures), (2, 1));
}
