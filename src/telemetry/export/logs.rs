//! Log records, on their way out.

use std::{sync::Arc, time::Duration};

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{LogBatch, LogExporter as _, LogProcessor, SdkLogRecord},
};

use super::{
    otlp,
    queue::Queue,
    report::{Outcome, Report},
    talk::Talk,
};
use crate::{
    Error,
    telemetry::{
        config::Config,
        quietly,
        tally::{Signal, Tally},
    },
};

/// Queues log records.
#[derive(Debug)]
pub(super) struct LogGate(Queue<(SdkLogRecord, InstrumentationScope)>);

// === impl LogGate ===

impl LogGate {
    /// Nothing if log records go nowhere but to the printed log.
    pub(super) fn new(
        config: &Config,
        resource: &Resource,
        tally: &Arc<Tally>,
    ) -> Result<Option<Self>, Error> {
        let talk = Arc::<Talk>::default();
        let terms = super::terms(config, Signal::Logs)?;
        let report = Arc::new(Report::new(tally, Signal::Logs, terms));
        let sender = otlp::logs(config, resource, &talk, &report)?;
        let mut console = config
            .prints(Signal::Logs)
            .then(opentelemetry_stdout::LogExporter::default);
        if let Some(console) = &mut console {
            console.set_resource(resource);
        }
        if sender.is_none() && console.is_none() {
            return Ok(None);
        }
        let hears = Arc::clone(&talk);
        let send = move |records: Vec<(SdkLogRecord, InstrumentationScope)>| {
            let borrowed: Vec<_> = records
                .iter()
                .map(|(record, scope)| (record, scope))
                .collect();
            let outcome = match &sender {
                Some(sender) => {
                    let sent = sender.exporter.export(LogBatch::new(&borrowed));
                    hears.outcome(sender.driver.run(sent))
                }
                None => Outcome::taken(),
            };
            if let Some(console) = &console {
                // As with spans: it counts for nothing.
                quietly(|| drop(otlp::at_once(console.export(LogBatch::new(&borrowed)))));
            }
            outcome
        };
        let queue = Queue::start(config.logs, report, talk, send)?;
        Ok(Some(Self(queue)))
    }
}

impl LogProcessor for LogGate {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        self.0.push((record.clone(), scope.clone()));
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.close(timeout)
    }
}
