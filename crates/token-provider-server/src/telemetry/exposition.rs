//! Metrics as text, in the form that Prometheus reads (version 0.0.4).

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, prometheus_text};
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The labels of a metric that has none.
const NO_LABELS: [(&str, &str); 0] = [];

/// A page of metrics in the making.
#[derive(Debug)]
pub struct Page<'a> {
    /// What writes it.
    pub encoder: DescriptorEncoder<'a>,
    /// What each metric is about: a line for each, of its name, a blank and the text.
    pub help: &'static str,
}

/// Returns a page with all that there is to collect.
pub fn page(metrics: impl Collector) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(metrics));
    let mut page = String::with_capacity(16 * 1024);
    prometheus_text::encode(&mut page, &registry).expect("a String takes everything");
    page
}

impl Page<'_> {
    /// Writes a metric that has one value, and no labels.
    pub fn one(&mut self, name: &str, value: impl EncodeMetric + TypedMetric) -> fmt::Result {
        self.write(name, [(NO_LABELS, value)])
    }

    /// Writes a metric, with a value for each set of labels. `name` is whole, with the ending that its kind asks for.
    pub fn write<L: EncodeLabelSet, M: EncodeMetric + TypedMetric>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = (L, M)>,
    ) -> fmt::Result {
        let mut help = self.help.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let help = help.next().expect("each metric has a line");
        // Which the encoder adds.
        let ending = match M::TYPE {
            MetricType::Counter => "_total",
            MetricType::Info => "_info",
            _ => "",
        };
        let name = name.strip_suffix(ending).expect("the name has the ending of its kind");
        let mut metric = self.encoder.encode_descriptor(name, help, None, M::TYPE)?;
        values.into_iter().try_for_each(|(labels, value)| value.encode(metric.encode_family(&labels)?))
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::ConstCounter;
    use prometheus_client::metrics::gauge::ConstGauge;
    use prometheus_client::metrics::histogram::Histogram;
    use prometheus_client::metrics::info::Info;

    use super::*;

    #[derive(Debug)]
    struct Things(Histogram);

    impl Collector for Things {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let help =
                "x_things_total Things.\nx_build_info Build.\nx_left_seconds Left.\nx_took_seconds Took.\n";
            let mut page = Page { encoder, help };
            let counts = [(vec![], 3_u64), (vec![("a", "b\"c\\d\ne"), ("f", ",le=\"1\"}")], 4)];
            let counts = counts.map(|(labels, count)| (labels, ConstCounter::new(count)));
            page.write("x_things_total", counts)?;
            let version = Info::new([("version", "1")]);
            page.write("x_build_info", [(NO_LABELS, version)])?;
            page.write("x_left_seconds", [(NO_LABELS, ConstGauge::new(1.5))])?;
            page.write("x_took_seconds", [([("p", "q")], self.0.clone())])
        }
    }

    #[test]
    fn name_is_whole_in_both_places_and_a_histogram_counts_up_to_infinity() {
        let histogram = Histogram::new([0.5, 1.0]);
        histogram.observe(0.7);
        let page = page(Things(histogram));
        let start = "# HELP x_things_total Things.\n# TYPE x_things_total counter\nx_things_total 3\n";
        assert!(page.starts_with(start), "{page}");
        assert!(page.contains("x_things_total{a=\"b\\\"c\\\\d\\ne\",f=\",le=\\\"1\\\"}\"} 4\n"), "{page}");
        assert!(page.contains("# TYPE x_build_info gauge\nx_build_info{version=\"1\"} 1\n"), "{page}");
        assert!(page.contains("\nx_left_seconds 1.5\n"), "{page}");
        let buckets = ["0.5\"} 0", "1\"} 1", "+Inf\"} 1"];
        let buckets = buckets.map(|end| format!("x_took_seconds_bucket{{p=\"q\",le=\"{end}\n"));
        let others = ["x_took_seconds_sum{p=\"q\"} 0.7\n", "x_took_seconds_count{p=\"q\"} 1\n"];
        for line in buckets.iter().map(String::as_str).chain(others) {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }
}
