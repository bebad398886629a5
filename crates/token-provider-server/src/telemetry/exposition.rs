//! Metrics as text, in the two forms that Prometheus reads: its own (version 0.0.4) and `OpenMetrics` 1.0.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric as _, MetricEncoder, NoLabelSet,
    prometheus_text, text,
};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use prometheus_client::metrics::MetricType as Kind;

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
pub struct Exposition<'a>(DescriptorEncoder<'a>);

/// One metric, whose samples follow.
#[derive(Debug)]
pub struct Family<'a>(MetricEncoder<'a>);

impl Format {
    /// Returns the media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Returns the page that `write` fills.
    pub fn page(self, write: impl Fn(&mut Exposition<'_>) + Send + Sync + 'static) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Page(write)));
        let mut page = String::with_capacity(16 * 1024);
        let result = match self {
            Self::Prometheus => prometheus_text::encode(&mut page, &registry),
            Self::OpenMetrics => text::encode(&mut page, &registry),
        };
        result.expect("a String takes everything");
        if self == Self::Prometheus { with_fractions(&page) } else { page }
    }
}

/// Writes the bounds of buckets as `OpenMetrics` has them (1.0 and not 1): whoever goes over from one form to the other finds
/// the same series.
fn with_fractions(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    for line in page.split_inclusive('\n') {
        match line.rsplit_once("le=\"") {
            Some((start, bound_and_rest)) if start.ends_with(['{', ',']) => {
                let (bound, rest) = bound_and_rest.split_once('"').expect("a label's value ends");
                let is_whole = bound.bytes().all(|byte| byte.is_ascii_digit());
                let fraction = if is_whole { ".0" } else { "" };
                text.extend([start, "le=\"", bound, fraction, "\"", rest]);
            }
            _ => text.push_str(line),
        }
    }
    text
}

struct Page<F>(F);

impl<F> fmt::Debug for Page<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

impl<F: Fn(&mut Exposition<'_>) + Send + Sync + 'static> Collector for Page<F> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)(&mut Exposition(encoder));
        Ok(())
    }
}

impl Exposition<'_> {
    /// Begins a metric. `name` is whole, with the ending that its kind asks for.
    pub fn family<'s>(&'s mut self, name: &'s str, kind: Kind, help: &str) -> Family<'s> {
        // Which the encoder adds.
        let ending = match kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            _ => "",
        };
        let name = name.strip_suffix(ending).expect("the name has the ending of its kind");
        let family = self.0.encode_descriptor(name, help, None, kind);
        Family(family.expect("a String takes everything"))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a value is a number")]
impl Family<'_> {
    /// Adds a value of a gauge.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl EncodeGaugeValue) {
        self.add(labels, |mut sample| sample.encode_gauge(&value));
    }

    /// Adds a value of a counter.
    pub fn count(&mut self, labels: &[(&str, &str)], value: impl EncodeCounterValue) {
        self.add(labels, |mut sample| sample.encode_counter::<NoLabelSet, _, u64>(&value, None));
    }

    /// Adds a span of time to a gauge, in seconds.
    pub fn seconds(&mut self, labels: &[(&str, &str)], span: Duration) {
        if span.subsec_nanos() == 0 {
            self.sample(labels, span.as_secs());
        } else {
            self.sample(labels, span.as_secs_f64());
        }
    }

    /// Adds what is told by labels alone.
    pub fn info(&mut self, labels: &[(&str, &str)]) {
        self.0.encode_info(&labels).expect("a String takes everything");
    }

    /// Adds all of a histogram.
    pub fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        self.add(labels, |sample| histogram.encode(sample));
    }

    fn add(&mut self, labels: &[(&str, &str)], write: impl FnOnce(MetricEncoder<'_>) -> fmt::Result) {
        self.0.encode_family(&labels).and_then(write).expect("a String takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(format: Format) -> String {
        let histogram = Histogram::new([0.5, 1.0]);
        histogram.observe(0.7);
        format.page(move |page| {
            let mut family = page.family("x_things_total", Kind::Counter, "Things.");
            family.count(&[], 3_u64);
            family.count(&[("a", "b\"c\\d\ne"), ("f", "")], 4_u64);
            page.family("x_build_info", Kind::Info, "Build.").info(&[("version", "1")]);
            page.family("x_left_seconds", Kind::Gauge, "Left.").seconds(&[], Duration::from_millis(1500));
            page.family("x_took_seconds", Kind::Histogram, "Took.").histogram(&[("p", "q")], &histogram);
        })
    }

    #[test]
    fn prometheus_form_has_the_whole_name_in_both_places() {
        let page = page(Format::Prometheus);
        let start = "# HELP x_things_total Things.\n# TYPE x_things_total counter\nx_things_total 3\n";
        assert!(page.starts_with(start), "{page}");
        assert!(page.contains("x_things_total{a=\"b\\\"c\\\\d\\ne\",f=\"\"} 4\n"), "{page}");
        assert!(page.contains("# TYPE x_build_info gauge\nx_build_info{version=\"1\"} 1\n"), "{page}");
        assert!(page.contains("\nx_left_seconds 1.5\n"), "{page}");
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
