//! Where the story of a task is told outside of this process.

use tracing::info;

use crate::{config::Settings, telemetry::quietly};

/// Pages for a browser, as the operator has named them.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    traces: Option<String>,
    dashboards: Option<String>,
}

// === impl Links ===

impl Links {
    /// Jaeger is asked for the traces of `service`.
    pub(super) fn new(settings: &Settings, service: &str) -> Self {
        let traces = settings.jaeger_url.as_ref().map(|jaeger| {
            let service =
                percent_encoding::utf8_percent_encode(service, percent_encoding::NON_ALPHANUMERIC);
            format!("{jaeger}/search?service={service}")
        });
        let dashboards = settings.grafana_url.as_ref();
        Self {
            traces,
            dashboards: dashboards.map(|grafana| format!("{grafana}/d/taskpulse-overview")),
        }
    }

    /// Names them in the log; without any there is nothing to say.
    pub(super) fn announce(&self) {
        let Self { traces, dashboards } = self;
        if traces.is_some() || dashboards.is_some() {
            quietly(|| info!(dashboards, traces, "where to look"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_as_a_part_of_a_query() {
        let settings = Settings {
            jaeger_url: Some("http://localhost:16686".to_owned()),
            ..Settings::default()
        };
        let links = Links::new(&settings, "night & day");
        let traces = "http://localhost:16686/search?service=night%20%26%20day";
        assert_eq!(links.traces.as_deref(), Some(traces));
        assert_eq!(links.dashboards, None);
    }
}
