//! Metrics as text, in the two forms that Prometheus reads: its own (version 0.0.4) and `OpenMetrics` 1.0.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric, GaugeValueEncoder, prometheus_text,
    text,
};
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;

use super::issuer::BUCKETS;

/// The labels of a metric that has none.
pub const NO_LABELS: [(&str, &str); 0] = [];

/// The form of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// What everything reads.
    Prometheus,
    /// The standard that grew out of it.
    OpenMetrics,
}

/// A page of metrics in the making.
#[derive(Debug)]
pub struct Page<'a>(pub DescriptorEncoder<'a>);

/// A span of time in a gauge: seconds, without a fraction where there is none.
#[derive(Debug)]
pub struct Seconds(pub Duration);

impl Format {
    /// Returns the media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Returns the page with all that there is to collect.
    pub fn page(self, metrics: impl Collector) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(metrics));
        let mut page = String::with_capacity(16 * 1024);
        let result = match self {
            Self::Prometheus => prometheus_text::encode(&mut page, &registry),
            Self::OpenMetrics => text::encode(&mut page, &registry),
        };
        result.expect("a String takes everything");
        match self {
            Self::Prometheus => with_fractions(page),
            Self::OpenMetrics => page,
        }
    }
}

/// Writes the bounds of buckets as `OpenMetrics` has them, 1.0 and not 1, so that the series are the same in both forms. Each
/// has another label before, and a quote within a label's value has a backslash.
fn with_fractions(page: String) -> String {
    BUCKETS.iter().fold(page, |page, bound| {
        page.replace(&format!(",le=\"{bound}\"}}"), &format!(",le=\"{bound:?}\"}}"))
    })
}

impl Page<'_> {
    /// Writes a metric, with a value for each set of labels. `name` is whole, with the ending that its kind asks for.
    pub fn write<L: EncodeLabelSet, M: EncodeMetric + TypedMetric>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, M)>,
    ) -> fmt::Result {
        // Which the encoder adds.
        let ending = match M::TYPE {
            MetricType::Counter => "_total",
            MetricType::Info => "_info",
            _ => "",
        };
        let name = name.strip_suffix(ending).expect("the name has the ending of its kind");
        let mut metric = self.0.encode_descriptor(name, help, None, M::TYPE)?;
        values.into_iter().try_for_each(|(labels, value)| value.encode(metric.encode_family(&labels)?))
    }
}

impl EncodeGaugeValue for Seconds {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> fmt::Result {
        if self.0.subsec_nanos() == 0 {
            EncodeGaugeValue::encode(&self.0.as_secs(), encoder)
        } else {
            EncodeGaugeValue::encode(&self.0.as_secs_f64(), encoder)
        }
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
            let mut page = Page(encoder);
            let counts = [(vec![], 3_u64), (vec![("a", "b\"c\\d\ne"), ("f", ",le=\"1\"}")], 4)];
            let counts = counts.map(|(labels, count)| (labels, ConstCounter::new(count)));
            page.write("x_things_total", "Things.", counts)?;
            let version = Info::new([("version", "1")]);
            page.write("x_build_info", "Build.", [(NO_LABELS, version)])?;
            let left = ConstGauge::new(Seconds(Duration::from_millis(1500)));
            page.write("x_left_seconds", "Left.", [(NO_LABELS, left)])?;
            let due = ConstGauge::new(Seconds(Duration::from_secs(15)));
            page.write("x_due_seconds", "Due.", [(NO_LABELS, due)])?;
            page.write("x_took_seconds", "Took.", [([("p", "q")], self.0.clone())])
        }
    }

    fn page(format: Format) -> String {
        let histogram = Histogram::new([0.5, 1.0]);
        histogram.observe(0.7);
        format.page(Things(histogram))
    }

    #[test]
    fn prometheus_form_has_the_whole_name_in_both_places() {
        let page = page(Format::Prometheus);
        let start = "# HELP x_things_total Things.\n# TYPE x_things_total counter\nx_things_total 3\n";
        assert!(page.starts_with(start), "{page}");
        assert!(page.contains("x_things_total{a=\"b\\\"c\\\\d\\ne\",f=\",le=\\\"1\\\"}\"} 4\n"), "{page}");
        assert!(page.contains("# TYPE x_build_info gauge\nx_build_info{version=\"1\"} 1\n"), "{page}");
        assert!(page.contains("\nx_left_seconds 1.5\n") && page.contains("\nx_due_seconds 15\n"), "{page}");
        assert!(!page.contains("EOF"));
    }

    #[test]
    fn openmetrics_form_has_the_family_without_its_ending() {
        let page = page(Format::OpenMetrics);
        let start = "# HELP x_things Things.\n# TYPE x_things counter\nx_things_total 3\n";
        assert!(page.starts_with(start), "{page}");
        assert!(page.contains("# TYPE x_build info\nx_build_info{version=\"1\"} 1\n"), "{page}");
        assert!(page.ends_with("\n# EOF\n"));
    }

    #[test]
    fn histogram_counts_up_to_infinity() {
        for format in [Format::Prometheus, Format::OpenMetrics] {
            let page = page(format);
            let bucket = |bound, count| format!("x_took_seconds_bucket{{p=\"q\",le=\"{bound}\"}} {count}");
            let others =
                ["x_took_seconds_sum{p=\"q\"} 0.7", "x_took_seconds_count{p=\"q\"} 1"].map(str::to_owned);
            for line in [bucket("0.5", 0), bucket("1.0", 1), bucket("+Inf", 1)].into_iter().chain(others) {
                // OpenMetrics allows labels in any order.
                let sorted = line.replace("{p=\"q\",le=", "{le=").replace("\"} ", "\",p=\"q\"} ");
                assert!(page.lines().any(|has| has == line || has == sorted), "{line}\n{page}");
            }
        }
    }
}
