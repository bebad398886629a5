//! What the data service has: two small catalogs over Port Meridian, a city in the Sargasso Sea that is not there.
//!
//! All of it is thrown together on the first request for it, in some milliseconds, and is the same on every machine
//! and at every start: ids, sizes and checksums can be relied on in tests and demonstrations.

mod dice;
mod feature;
mod layers;
mod names;
mod plan;
mod plane;
mod tile;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use aws_lc_rs::digest;
use bytes::Bytes;

use crate::random;
use feature::{Feature, FeatureCollection};
use layers::Placed;
use plane::{Frame, Point};
pub(crate) use tile::Tile;

/// What the blobs are written in (RFC 7946 §12).
pub(crate) const CONTENT_TYPE: &str = "application/geo+json";

/// The newest version of each catalog; the oldest is 0. The city has grown from its middle.
pub(crate) const LATEST_VERSION: u32 = 2;

/// How far the city reached when a version was published, in metres from its middle.
const GROWTH: [f64; 2] = [1500.0, 2700.0];

/// A catalog, as the platform has them.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) tags: &'static [&'static str],
    pub(crate) layers: Vec<Layer>,
}

/// A versioned layer, partitioned by HERE tiles.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    /// The level of its partitions.
    pub(crate) level: u32,
    pub(crate) partitions: Vec<Partition>,
}

/// A tile's worth of a layer.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) tile: Tile,
    /// The version of the catalog that brought it.
    pub(crate) version: u32,
    pub(crate) data_handle: String,
    /// SHA-1, which HERE's services compare data by; it protects nothing.
    pub(crate) checksum: String,
    pub(crate) data: Bytes,
}

static CATALOGS: LazyLock<[Catalog; 2]> = LazyLock::new(|| [city(), mobility()]);

/// Returns the catalogs, made now if nobody has asked before.
pub(crate) fn catalogs() -> &'static [Catalog] {
    &*CATALOGS
}

/// Finds a catalog by its HRN.
pub(crate) fn catalog(hrn: &str) -> Option<&'static Catalog> {
    catalogs().iter().find(|catalog| catalog.hrn() == hrn)
}

fn city() -> Catalog {
    Catalog {
        id: "port-meridian",
        name: "Port Meridian",
        summary: "The city's land, roads, buildings and places.",
        tags: &["sandbox", "base map"],
        layers: vec![
            layer("land", "Land and water", "Land, sea, river and parks.", 15, layers::land),
            layer("roads", "Roads", "Road links from crossing to crossing.", 15, layers::roads),
            layer("buildings", "Buildings", "Outlines, heights and addresses.", 15, layers::buildings),
            layer("places", "Places", "Shops, schools, museums and the like.", 15, layers::places),
        ],
    }
}

fn mobility() -> Catalog {
    Catalog {
        id: "port-meridian-mobility",
        name: "Port Meridian Mobility",
        summary: "How to get around: tram lines and charging stations.",
        tags: &["sandbox", "mobility"],
        layers: vec![
            layer("transit", "Trams", "Tram lines and their stops.", 14, layers::transit),
            layer(
                "charging",
                "Charging stations",
                "Where electric vehicles are charged.",
                14,
                layers::charging,
            ),
        ],
    }
}

fn layer(
    id: &'static str,
    name: &'static str,
    summary: &'static str,
    level: u32,
    features: fn(u32) -> Placed,
) -> Layer {
    let mut by_tile: BTreeMap<Tile, Vec<Feature>> = BTreeMap::new();
    for (tile, feature) in features(level) {
        by_tile.entry(tile).or_default().push(feature);
    }
    Layer {
        id,
        name,
        summary,
        level,
        partitions: by_tile.into_iter().map(|(tile, features)| Partition::new(id, tile, &features)).collect(),
    }
}

impl Catalog {
    pub(crate) fn hrn(&self) -> String {
        format!("hrn:here:data::sandbox:{}", self.id)
    }

    pub(crate) fn layer(&self, id: &str) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.id == id)
    }
}

impl Layer {
    /// The partitions that a version of the catalog has.
    pub(crate) fn at_version(&self, version: u32) -> impl Iterator<Item = &Partition> {
        self.partitions.iter().filter(move |partition| partition.version <= version)
    }

    pub(crate) fn blob(&self, data_handle: &str) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.data_handle == data_handle)
    }
}

impl Partition {
    fn new(layer: &str, tile: Tile, features: &[Feature]) -> Self {
        let data =
            serde_json::to_vec(&FeatureCollection::new(features)).expect("numbers and text become JSON");
        let name = digest::digest(
            &digest::SHA256,
            format!("here-sandbox data handle\n{layer}\n{}", tile.quad_key()).as_bytes(),
        );
        let checksum = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &data);
        let distance = Frame::of(tile).middle().distance(Point::new(0.0, 0.0));
        let version = GROWTH.into_iter().filter(|&reach| distance > reach).count();
        Self {
            tile,
            version: u32::try_from(version).unwrap_or(LATEST_VERSION),
            data_handle: random::format_uuid(name.as_ref().first_chunk().copied().unwrap_or_default()),
            checksum: hex(checksum.as_ref()),
            data: data.into(),
        }
    }

    /// The partition's name: its tile's quad key.
    pub(crate) fn id(&self) -> String {
        self.tile.quad_key().to_string()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    fn features(partition: &Partition) -> Vec<Value> {
        let collection: Value = serde_json::from_slice(&partition.data).unwrap();
        collection["features"].as_array().unwrap().clone()
    }

    fn layers() -> impl Iterator<Item = &'static Layer> {
        catalogs().iter().flat_map(|catalog| &catalog.layers)
    }

    #[test]
    fn every_layer_has_a_handful_of_partitions_with_something_in_them() {
        for layer in layers() {
            let count = layer.partitions.len();
            assert!((6..40).contains(&count), "{}: {count}", layer.id);
            for partition in &layer.partitions {
                assert!(!features(partition).is_empty(), "{}", layer.id);
                assert!(partition.data.len() < 256 * 1024, "{}: {}", layer.id, partition.data.len());
            }
        }
        let all: usize =
            layers().flat_map(|layer| &layer.partitions).map(|partition| partition.data.len()).sum();
        assert!((500_000..4_000_000).contains(&all), "{all} bytes in all");
    }

    #[test]
    fn feature_lies_in_the_tile_that_its_partition_is_named_after() {
        for layer in layers() {
            for partition in &layer.partitions {
                let bounds = partition.tile.bounds();
                for feature in features(partition) {
                    let text = feature["geometry"]["coordinates"].to_string();
                    let numbers: Vec<f64> =
                        text.split(['[', ']', ',']).filter_map(|number| number.parse().ok()).collect();
                    let close = numbers.chunks(2).any(|place| {
                        (bounds.west - 1e-5..=bounds.east + 1e-5).contains(&place[0])
                            && (bounds.south - 1e-5..=bounds.north + 1e-5).contains(&place[1])
                    });
                    assert!(close, "{}: {feature}", layer.id);
                }
            }
        }
    }

    #[test]
    fn names_are_given_once() {
        let mut handles = HashSet::new();
        for layer in layers() {
            let mut ids = HashSet::new();
            for partition in &layer.partitions {
                assert!(handles.insert(&partition.data_handle));
                for feature in features(partition) {
                    let id = feature["id"].as_str().unwrap().to_owned();
                    assert!(ids.insert(id.clone()), "{}: {id} twice", layer.id);
                    assert!(feature["properties"].as_object().unwrap().len() > 1, "{feature}");
                }
            }
        }
    }

    /// If this fails after a change that was meant to change the data, the new value is right; on another machine
    /// it is not.
    #[test]
    fn data_are_the_same_everywhere() {
        let mut all = digest::Context::new(&digest::SHA256);
        for partition in layers().flat_map(|layer| &layer.partitions) {
            all.update(
                format!("{} {} {}\n", partition.id(), partition.data_handle, partition.checksum).as_bytes(),
            );
        }
        assert_eq!(
            hex(all.finish().as_ref()),
            "f851a2ce3e3a4757f81a67e2ce2d9e8cbecd41076e821c12f640b662f50c7128"
        );
    }

    #[test]
    fn later_versions_have_more() {
        for layer in layers() {
            let counts: Vec<_> =
                (0..=LATEST_VERSION).map(|version| layer.at_version(version).count()).collect();
            // A layer may begin with a later version, as transit does.
            assert!(counts.is_sorted(), "{}: {counts:?}", layer.id);
            assert_eq!(counts.last(), Some(&layer.partitions.len()));
        }
        assert!(layers().all(|layer| layer.at_version(0).count() < layer.partitions.len()));
    }
}
