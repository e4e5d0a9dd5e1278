//! Metrics as Prometheus text, format 0.0.4.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;

use super::histogram::{BOUNDS, Distribution, Histogram};
use super::label::{Counters, Label};
use super::models::ModelLabel;
use super::{ByModel, Gauges, Metrics};
use crate::requests::Priority;
use crate::rules::Status;

/// What the name of each metric begins with.
const PREFIX: &str = "worker_server_";

impl Metrics {
    /// All metrics as text, with the state that the server is in. `lag_seconds`: how late the application's event loop
    /// was.
    pub fn render(&self, gauges: &Gauges, lag_seconds: f64) -> String {
        let mut text = Text::default();
        let models = self.shown_models(gauges);
        Self::render_workers(&mut text, gauges, &models);
        self.render_requests(&mut text, gauges, &models);
        self.render_connections(&mut text, gauges);
        text.family("event_loop_lag_seconds", "gauge", "How late the event loop was at most, of late.");
        text.sample("", &lag_seconds);
        self.render_protection(&mut text);
        Self::render_histograms(&mut text, &models);
        text.0
    }

    fn render_workers(text: &mut Text, gauges: &Gauges, models: &[Model]) {
        text.family("workers", "gauge", "Registered workers.");
        for (status, count) in Status::ALL.iter().zip(gauges.workers) {
            text.sample(&format!("{{status=\"{}\"}}", status.as_str()), &count);
        }
        text.family("worker_slots", "gauge", "Requests that the workers of a model can have at the same time.");
        for Model { place, label, .. } in models {
            let slots = gauges.slots[*place];
            let labels = format!("{{{label}}}");
            // A sum of what is finite need not be.
            if slots.is_finite() { text.sample(&labels, &slots) } else { text.sample(&labels, &"+Inf") }
        }
        text.family("worker_slots_busy", "gauge", "Requests that the workers of a model have.");
        for Model { place, label, .. } in models {
            text.sample(&format!("{{{label}}}"), &gauges.busy[*place]);
        }
        text.family(
            "heartbeat_age_seconds",
            "gauge",
            "Time since the worker that is silent for longest last sent a sign of life.",
        );
        text.sample("", &seconds(gauges.silent_ms));
    }

    fn render_requests(&self, text: &mut Text, gauges: &Gauges, models: &[Model]) {
        text.family("queue_requests", "gauge", "Requests that wait for a free slot.");
        for Model { place, label, .. } in models {
            for priority in Priority::ALL {
                let labels = format!("{{{label},priority=\"{}\"}}", priority.as_str());
                text.sample(&labels, &gauges.waiting[*place][priority.index()]);
            }
        }
        text.family("queue_oldest_seconds", "gauge", "How long the oldest of them has waited.");
        text.sample("", &seconds(gauges.oldest_ms));
        text.family("requests_total", "counter", "Requests that have ended.");
        for Model { label, counts, .. } in models {
            for (outcome, count) in counts.requests.iter() {
                text.sample(&format!("{{{label},outcome=\"{}\"}}", outcome.as_str()), &count);
            }
        }
        text.counters("request_attempts_total", "Times that a request was sent to a worker.", "reason", &self.attempts);
        text.counter(
            "stale_answers_total",
            "What workers said about no attempt that they have.",
            self.stale_answers.load(Ordering::Relaxed),
        );
    }

    fn render_connections(&self, text: &mut Text, gauges: &Gauges) {
        text.family("connections", "gauge", "Worker connections that are open.");
        text.sample("", &gauges.connections);
        text.counters("connections_total", "WebSocket upgrades of workers.", "result", &self.upgrades);
        text.counters("disconnects_total", "Worker connections that have ended.", "code", &self.disconnects);
        text.counters("messages_total", "Messages of workers and to them.", "direction", &self.messages);
        text.counters("bytes_total", "Bytes of the text of these messages.", "direction", &self.bytes);
    }

    fn render_protection(&self, text: &mut Text) {
        let count = self.auth_failures.load(Ordering::Relaxed);
        text.counter("auth_failures_total", "Registrations with a wrong token, or that were not let in.", count);
        text.counters("limit_hits_total", "Times that a limit held.", "limit", &self.limit_hits);
        let count = self.log_lines_suppressed.load(Ordering::Relaxed);
        text.counter("log_lines_suppressed_total", "Log lines that were left out, there being too many.", count);
        let help = "Messages of other nodes that were dropped.";
        text.counters("cluster_dropped_total", help, "reason", &self.cluster_dropped);
    }

    fn render_histograms(text: &mut Text, models: &[Model]) {
        type Choose = fn(&ByModel) -> &Histogram;
        let families: [(&str, &str, Choose); 3] = [
            ("queue_wait_seconds", "From the call to the first sending.", |by_model| &by_model.queue_wait),
            ("request_duration_seconds", "From the call to the end.", |by_model| &by_model.request_duration),
            ("first_chunk_seconds", "From the call to the first chunk of a stream.", |by_model| &by_model.first_chunk),
        ];
        for (name, help, choose) in families {
            text.family(name, "histogram", help);
            for Model { place, label, counts } in models {
                let distribution = choose(counts).distribution();
                // Each takes a line for each bucket: only those that have something to show, and one that always does.
                if distribution.count > 0 || *place == ModelLabel::ANY.place() {
                    text.distribution(name, label, &distribution);
                }
            }
        }
    }

    /// The models that are shown: all that are labels, and the rest of them if there is anything to say of it.
    fn shown_models(&self, gauges: &Gauges) -> Vec<Model<'_>> {
        let other = ModelLabel::OTHER.place();
        let has_others = gauges.slots[other] > 0.0
            || gauges.busy[other] > 0
            || gauges.waiting[other].iter().any(|&count| count > 0)
            || self.by_model[other].requests.total() > 0
            || self.by_model[other].queue_wait.distribution().count > 0;
        let names = self.models.names().into_iter().zip(&self.by_model).enumerate();
        names
            .filter(|&(place, _)| place != other || has_others)
            .map(|(place, (name, counts))| Model { place, label: format!("model=\"{}\"", escape(&name)), counts })
            .collect()
    }
}

/// A model that is shown.
struct Model<'a> {
    place: usize,
    /// As it stands between braces.
    label: String,
    counts: &'a ByModel,
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// A label's value between its quotes.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The text, as far as it is written.
#[derive(Default)]
struct Text(String, &'static str);

impl Text {
    /// The samples that follow are of this metric.
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.1 = name;
        writeln!(self.0, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}").ok();
    }

    fn sample(&mut self, labels: &str, value: &dyn Display) {
        self.line("", labels, value);
    }

    fn line(&mut self, suffix: &str, labels: &str, value: &dyn Display) {
        let name = self.1;
        writeln!(self.0, "{PREFIX}{name}{suffix}{labels} {value}").ok();
    }

    fn counter(&mut self, name: &'static str, help: &str, count: u64) {
        self.family(name, "counter", help);
        self.sample("", &count);
    }

    fn counters<L: Label>(&mut self, name: &'static str, help: &str, label: &str, counters: &Counters<L>) {
        self.family(name, "counter", help);
        for (value, count) in counters.iter() {
            self.sample(&format!("{{{label}=\"{}\"}}", value.as_str()), &count);
        }
    }

    fn distribution(&mut self, name: &'static str, label: &str, distribution: &Distribution) {
        self.1 = name;
        for (bound, count) in BOUNDS.iter().zip(distribution.up_to) {
            self.line("_bucket", &format!("{{{label},le=\"{bound}\"}}"), &count);
        }
        self.line("_bucket", &format!("{{{label},le=\"+Inf\"}}"), &distribution.count);
        self.line("_sum", &format!("{{{label}}}"), &distribution.sum);
        self.line("_count", &format!("{{{label}}}"), &distribution.count);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{AttemptReason, Outcome};
    use super::*;

    fn lines(metrics: &Metrics, gauges: &Gauges) -> Vec<String> {
        metrics.render(gauges, 0.0).lines().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn every_sample_follows_the_help_and_type_of_its_family_and_no_series_comes_twice() {
        let metrics = Metrics::default();
        let label = metrics.models.learn(["m"]).iter().next().unwrap();
        metrics.request_sent(label, AttemptReason::First, Some(Duration::from_millis(3)));
        metrics.request_ended(ModelLabel::OTHER, Outcome::Completed, None);
        let lines = lines(&metrics, &Gauges::default());
        let mut family = String::new();
        let mut seen = std::collections::HashSet::new();
        for line in &lines {
            if let Some(help) = line.strip_prefix("# HELP ") {
                family = help.split(' ').next().unwrap().to_owned();
                assert!(seen.insert(format!("HELP {family}")), "{family} has two parts");
            } else if !line.starts_with("# TYPE ") {
                let (series, value) = line.rsplit_once(' ').unwrap();
                assert!(series.starts_with(&family), "{series} stands under {family}");
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(seen.insert(series.to_owned()), "{series} comes twice");
            }
        }
        assert!(lines.iter().any(|line| line == "worker_server_queue_wait_seconds_bucket{model=\"m\",le=\"0.005\"} 1"));
        assert!(lines.iter().any(|line| line == "worker_server_queue_wait_seconds_sum{model=\"m\"} 0.003"));
    }

    #[test]
    fn names_are_escaped() {
        let metrics = Metrics::default();
        metrics.models.learn(["a\"b\\c\nd\u{202e}e"]);
        let lines = lines(&metrics, &Gauges::default());
        assert!(lines.contains(&"worker_server_worker_slots{model=\"a\\\"b\\\\c\\nd\u{202e}e\"} 0".to_owned()));
    }

    #[test]
    fn models_that_are_no_label_are_shown_once_something_is_to_be_said_of_them() {
        let metrics = Metrics::default();
        let has_others = |metrics: &Metrics, gauges: &Gauges| metrics.render(gauges, 0.0).contains("model=\"other\"");
        assert!(!has_others(&metrics, &Gauges::default()));
        let mut gauges = Gauges::default();
        gauges.waiting[ModelLabel::OTHER.place()][1] = 1;
        assert!(has_others(&metrics, &gauges));
        metrics.request_ended(ModelLabel::OTHER, Outcome::NoWorker, None);
        assert!(has_others(&metrics, &Gauges::default()));
    }
}
