//! What the data services have: two small catalogs over Port Meridian, a city that does not exist. Read from the files
//! in `data/` on the first request for them.

use std::io::Read as _;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use serde_json::Value;

/// The media type of all data (RFC 7946 §12).
pub(crate) const CONTENT_TYPE: &str = "application/geo+json";

/// The newest version of each catalog; the oldest is 0.
pub(crate) const LATEST_VERSION: u32 = 2;

/// The two catalogs.
pub(crate) static CATALOGS: LazyLock<Vec<Catalog>> = LazyLock::new(read_catalogs);

/// A catalog of versioned layers that are partitioned by HERE tiles.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) hrn: String,
    /// As the config service answers it.
    pub(crate) configuration: Value,
    pub(crate) layers: Vec<Layer>,
}

/// A layer of a catalog.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) id: String,
    partitions: Vec<Partition>,
}

/// A tile's worth of a layer.
#[derive(Debug, Clone)]
pub(crate) struct Partition {
    /// The quad key of the tile, which is the partition's name.
    pub(crate) quad_key: u64,
    /// The version of the catalog that brought it.
    pub(crate) version: u32,
    pub(crate) data_handle: &'static str,
    /// SHA-1 in hexadecimal digits, which HERE's services compare data by.
    pub(crate) checksum: &'static str,
    pub(crate) data: &'static str,
}

fn read_catalogs() -> Vec<Catalog> {
    let mut text = String::new();
    let mut compressed = GzDecoder::new(include_bytes!("../data/partitions.tsv.gz").as_slice());
    compressed.read_to_string(&mut text).expect("the tests read the same file");
    let partitions: Vec<_> = text.leak().lines().map(read_partition).collect();

    let layer = |configuration: &Value| {
        let id = text_of(configuration, "id");
        let partitions = partitions.iter().filter(|(layer, _)| *layer == id);
        Layer { partitions: partitions.map(|(_, partition)| partition.clone()).collect(), id }
    };
    let configurations: Vec<Value> =
        serde_json::from_str(include_str!("../data/catalogs.json")).expect("the tests read the same file");
    let catalog = |configuration: Value| {
        let layers =
            configuration.get("layers").and_then(Value::as_array).into_iter().flatten().map(layer).collect();
        Catalog { hrn: text_of(&configuration, "hrn"), configuration, layers }
    };
    configurations.into_iter().map(catalog).collect()
}

/// Reads a line of the file: the layer's id, and its partition.
fn read_partition(line: &'static str) -> (&'static str, Partition) {
    let mut columns = line.split('\t');
    let mut column = || columns.next().expect("six columns");
    let layer = column();
    let quad_key = column().parse().expect("a number");
    let version = column().parse().expect("a number");
    (layer, Partition { quad_key, version, data_handle: column(), checksum: column(), data: column() })
}

fn text_of(configuration: &Value, name: &str) -> String {
    let text = configuration.get(name).and_then(Value::as_str);
    text.expect("the tests read the same file").to_owned()
}

impl Layer {
    /// The partitions that a version of the catalog has.
    pub(crate) fn at_version(&self, version: u32) -> impl Iterator<Item = &Partition> {
        self.partitions.iter().filter(move |partition| partition.version <= version)
    }

    pub(crate) fn partition_of(&self, data_handle: &str) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.data_handle == data_handle)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use aws_lc_rs::digest;

    use super::*;

    fn layers() -> impl Iterator<Item = &'static Layer> {
        CATALOGS.iter().flat_map(|catalog| &catalog.layers)
    }

    #[test]
    fn every_partition_has_features_and_their_checksum() {
        let counts: Vec<_> = layers().map(|layer| (layer.id.as_str(), layer.partitions.len())).collect();
        let expected =
            [("land", 24), ("roads", 24), ("buildings", 24), ("places", 19), ("transit", 6), ("charging", 8)];
        assert_eq!(counts, expected);
        for partition in layers().flat_map(|layer| &layer.partitions) {
            let checksum = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, partition.data.as_bytes());
            assert_eq!(format!("{checksum:?}"), format!("SHA1:{}", partition.checksum));
            let data: Value = serde_json::from_str(partition.data).unwrap();
            assert_eq!(data["type"], "FeatureCollection");
            assert!(!data["features"].as_array().unwrap().is_empty(), "{partition:?}");
        }
    }

    #[test]
    fn names_are_given_once() {
        let mut handles = HashSet::new();
        for layer in layers() {
            let mut quad_keys = HashSet::new();
            for partition in &layer.partitions {
                assert!(quad_keys.insert(partition.quad_key), "{}: {}", layer.id, partition.quad_key);
                assert!(handles.insert(partition.data_handle), "{}", partition.data_handle);
            }
        }
    }

    #[test]
    fn later_versions_have_more() {
        for layer in layers() {
            let counts: Vec<_> =
                (0..=LATEST_VERSION).map(|version| layer.at_version(version).count()).collect();
            // A layer may begin with a later version, as transit does.
            assert!(counts.is_sorted() && counts.first() < counts.last(), "{}: {counts:?}", layer.id);
            assert_eq!(counts.last(), Some(&layer.partitions.len()));
        }
    }
}
