//! Metrics as text, in the two forms that Prometheus reads: its own (version 0.0.4) and `OpenMetrics` 1.0.

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::Histogram;

/// The form of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// What everything reads.
    Prometheus,
    /// The standard that grew out of it.
    OpenMetrics,
}

/// What a metric's numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets of observed values.
    Histogram,
    /// Labels are all it says; its name ends in `_info`.
    Info,
}

/// A page of metrics in the making.
#[derive(Debug)]
pub struct Exposition {
    format: Format,
    text: String,
}

/// One metric, whose samples follow.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Format {
    /// Returns the media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Exposition {
    /// Begins an empty page.
    pub fn new(format: Format) -> Self {
        Self { format, text: String::with_capacity(16 * 1024) }
    }

    /// Begins a metric. `name` is whole, with the ending that its kind asks for.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        // OpenMetrics §5.1: the ending belongs to the sample, not to the family.
        let (family, word) = match (kind, self.format) {
            (Kind::Counter, Format::OpenMetrics) => (name.strip_suffix("_total").unwrap_or(name), "counter"),
            (Kind::Info, Format::OpenMetrics) => (name.strip_suffix("_info").unwrap_or(name), "info"),
            (Kind::Counter, Format::Prometheus) => (name, "counter"),
            (Kind::Gauge, _) | (Kind::Info, Format::Prometheus) => (name, "gauge"),
            (Kind::Histogram, _) => (name, "histogram"),
        };
        // Writing to a `String` cannot fail, here and below.
        let _ = writeln!(self.text, "# HELP {family} {help}\n# TYPE {family} {word}");
        Family { text: &mut self.text, name }
    }

    /// Returns the whole page.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

impl Family<'_> {
    /// Adds a number.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl fmt::Display) {
        self.line("", labels, None, value);
    }

    /// Adds a span of time, in seconds.
    pub fn seconds(&mut self, labels: &[(&str, &str)], span: Duration) {
        self.sample(labels, span.as_secs_f64());
    }

    /// Adds all of a histogram.
    pub fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        let mut count = 0;
        for (bound, sum) in histogram.buckets() {
            // With a fraction always, as OpenMetrics §6.2 has it: 1.0 and not 1.
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| format!("{:?}", bound.as_secs_f64()));
            self.line("_bucket", labels, Some(&bound), sum);
            count = sum;
        }
        self.line("_sum", labels, None, histogram.sum().as_secs_f64());
        self.line("_count", labels, None, count);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>, value: impl fmt::Display) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        let labels = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut separator = '{';
        for (name, value) in labels {
            let _ = write!(self.text, "{separator}{name}=\"{}\"", Escaped(value));
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// A label's value, as both forms want it.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(format: Format) -> String {
        let mut page = Exposition::new(format);
        let mut family = page.family("x_things_total", Kind::Counter, "Things.");
        family.sample(&[], 3);
        family.sample(&[("a", "b\"c\\d\ne"), ("f", "")], 4);
        page.family("x_build_info", Kind::Info, "Build.").sample(&[("version", "1")], 1);
        page.family("x_left_seconds", Kind::Gauge, "Left.").seconds(&[], Duration::from_millis(1500));
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(700));
        page.family("x_took_seconds", Kind::Histogram, "Took.").histogram(&[("p", "q")], &histogram);
        page.finish()
    }

    #[test]
    fn prometheus_form_has_the_whole_name_in_both_places() {
        let page = page(Format::Prometheus);
        assert!(
            page.starts_with(
                "# HELP x_things_total Things.\n# TYPE x_things_total counter\nx_things_total 3\n"
            )
        );
        assert!(page.contains("x_things_total{a=\"b\\\"c\\\\d\\ne\",f=\"\"} 4\n"), "{page}");
        assert!(page.contains("# TYPE x_build_info gauge\nx_build_info{version=\"1\"} 1\n"), "{page}");
        assert!(page.contains("\nx_left_seconds 1.5\n"), "{page}");
        assert!(!page.contains("EOF"));
    }

    #[test]
    fn openmetrics_form_has_the_family_without_its_ending() {
        let page = page(Format::OpenMetrics);
        assert!(
            page.starts_with("# HELP x_things Things.\n# TYPE x_things counter\nx_things_total 3\n"),
            "{page}"
        );
        assert!(page.contains("# TYPE x_build info\nx_build_info{version=\"1\"} 1\n"), "{page}");
        assert!(page.ends_with("\n# EOF\n"));
    }

    #[test]
    fn histogram_counts_up_to_infinity() {
        let page = page(Format::Prometheus);
        for line in [
            "x_took_seconds_bucket{p=\"q\",le=\"0.5\"} 0",
            "x_took_seconds_bucket{p=\"q\",le=\"1.0\"} 1",
            "x_took_seconds_bucket{p=\"q\",le=\"+Inf\"} 1",
            "x_took_seconds_sum{p=\"q\"} 0.7",
            "x_took_seconds_count{p=\"q\"} 1",
        ] {
            assert!(page.lines().any(|has| has == line), "{line}\n{page}");
        }
    }
}
