//! A feature: where it is, what shape it has, what is known about it; and how it is written as `GeoJSON` (RFC 7946).

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::plane::Point;

/// One thing in the city.
#[derive(Debug, Clone)]
pub(crate) struct Feature {
    pub(crate) id: String,
    pub(crate) geometry: Geometry,
    pub(crate) properties: Properties,
}

#[derive(Debug, Clone)]
pub(crate) enum Geometry {
    Point(Point),
    Line(Vec<Point>),
    /// One ring, not closed, in either direction.
    Area(Vec<Point>),
}

/// Names and values, in the order in which they are shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Properties(Vec<(&'static str, Value)>);

/// What a partition holds.
#[derive(Serialize)]
pub(crate) struct FeatureCollection<'a> {
    r#type: &'static str,
    features: Vec<&'a Feature>,
}

impl Feature {
    pub(crate) fn new(id: String, geometry: Geometry) -> Self {
        Self { id, geometry, properties: Properties::default() }
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.properties.0.push((name, value.into()));
        self
    }

    #[must_use]
    pub(crate) fn with_if(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

impl Geometry {
    /// The point that decides which partition a feature belongs to.
    pub(crate) fn anchor(&self) -> Option<Point> {
        match self {
            Self::Point(point) => Some(*point),
            Self::Line(line) => line.get(line.len() / 2).copied(),
            Self::Area(ring) => {
                let first = ring.first()?;
                Some(first.towards(*ring.get(ring.len() / 2)?, 0.5))
            }
        }
    }
}

impl<'a> FeatureCollection<'a> {
    pub(crate) fn new(features: impl IntoIterator<Item = &'a Feature>) -> Self {
        Self { r#type: "FeatureCollection", features: features.into_iter().collect() }
    }
}

impl Serialize for Feature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("type", "Feature")?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("geometry", &self.geometry)?;
        map.serialize_entry("properties", &self.properties)?;
        map.end()
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Serialize for Geometry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        match self {
            Self::Point(point) => {
                map.serialize_entry("type", "Point")?;
                map.serialize_entry("coordinates", &point.degrees())?;
            }
            Self::Line(line) => {
                map.serialize_entry("type", "LineString")?;
                map.serialize_entry("coordinates", &degrees(line))?;
            }
            Self::Area(ring) => {
                map.serialize_entry("type", "Polygon")?;
                map.serialize_entry("coordinates", &[closed(ring)])?;
            }
        }
        map.end()
    }
}

fn degrees(line: &[Point]) -> Vec<[f64; 2]> {
    line.iter().map(|point| point.degrees()).collect()
}

/// Counter-clockwise, and ending where it began (RFC 7946 §3.1.6).
fn closed(ring: &[Point]) -> Vec<[f64; 2]> {
    let next = ring.iter().cycle().skip(1);
    let twice_the_area: f64 = ring.iter().zip(next).map(|(a, b)| a.x * b.y - b.x * a.y).sum();
    let mut ring = degrees(ring);
    if twice_the_area < 0.0 {
        ring.reverse();
    }
    ring.extend(ring.first().copied());
    ring
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn feature_is_written_as_geojson() {
        let ring = [(0.0, 0.0), (0.0, 200.0), (200.0, 200.0)].map(|(x, y)| Point::new(x, y));
        let feature = Feature::new("a-1".into(), Geometry::Area(ring.to_vec()))
            .with("name", "A")
            .with_if("bridge", Some(true))
            .with_if("oneway", None::<bool>);
        let [first, second, third] = ring.map(Point::degrees);
        assert_eq!(
            serde_json::to_value(FeatureCollection::new([&feature])).unwrap(),
            json!({ "type": "FeatureCollection", "features": [{
                "type": "Feature",
                "id": "a-1",
                "geometry": { "type": "Polygon", "coordinates": [[third, second, first, third]] },
                "properties": { "name": "A", "bridge": true },
            }] })
        );
    }

    #[test]
    fn properties_keep_their_order() {
        let feature =
            Feature::new("p".into(), Geometry::Point(Point::new(0.0, 0.0))).with("zoo", 1).with("ape", 2);
        let text = serde_json::to_string(&feature).unwrap();
        assert!(text.ends_with(r#""properties":{"zoo":1,"ape":2}}"#), "{text}");
    }
}
