//! Finished spans, on their way out.

use std::{sync::Arc, time::Duration};

use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter as _, SpanProcessor},
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

/// Queues the spans that are sampled. Clones share the queue.
#[derive(Clone, Debug)]
pub(crate) struct SpanGate {
    queue: Arc<Queue<SpanData>>,
    /// Characters of each text among the attributes.
    longest: Option<usize>,
}

/// The SDK has no limit of its own for what is in an attribute.
fn cut_values(span: &mut SpanData, longest: usize) {
    cut(&mut span.attributes, longest);
    for event in &mut span.events.events {
        cut(&mut event.attributes, longest);
    }
    for link in &mut span.links.links {
        cut(&mut link.attributes, longest);
    }
}

fn cut(attributes: &mut [KeyValue], longest: usize) {
    for attribute in attributes {
        if let Value::String(text) = &mut attribute.value {
            cut_text(text, longest);
        } else if let Value::Array(Array::String(texts)) = &mut attribute.value {
            texts.iter_mut().for_each(|text| cut_text(text, longest));
        }
    }
}

fn cut_text(text: &mut StringValue, longest: usize) {
    let whole = text.as_str();
    if let Some((end, _)) = whole.char_indices().nth(longest) {
        *text = whole[..end].to_owned().into();
    }
}

// === impl SpanGate ===

impl SpanGate {
    /// Nothing if spans go nowhere.
    pub(super) fn new(
        config: &Config,
        resource: &Resource,
        tally: &Arc<Tally>,
    ) -> Result<Option<Self>, Error> {
        let talk = Arc::<Talk>::default();
        let terms = super::terms(config, Signal::Traces)?;
        let report = Arc::new(Report::new(tally, Signal::Traces, terms));
        let sender = otlp::spans(config, resource, &talk, &report)?;
        let mut console = config
            .prints(Signal::Traces)
            .then(opentelemetry_stdout::SpanExporter::default);
        if let Some(console) = &mut console {
            console.set_resource(resource);
        }
        if sender.is_none() && console.is_none() {
            return Ok(None);
        }
        let hears = Arc::clone(&talk);
        let send = move |batch: Vec<SpanData>| {
            let printed = console.as_ref().map(|console| (console, batch.clone()));
            let outcome = match &sender {
                Some(sender) => hears.outcome(sender.driver.run(sender.exporter.export(batch))),
                None => Outcome::taken(),
            };
            if let Some((console, batch)) = printed {
                // Printing is for whoever watches; it counts for nothing, and
                // panics where nobody does.
                quietly(|| drop(otlp::at_once(console.export(batch))));
            }
            outcome
        };
        let queue = Arc::new(Queue::start(config.spans, report, talk, send)?);
        let longest = config.longest_value();
        Ok(Some(Self { queue, longest }))
    }
}

impl SpanProcessor for SpanGate {
    fn on_start(&self, _span: &mut Span, _cx: &Context) {}

    fn on_end(&self, mut span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if let Some(longest) = self.longest {
            cut_values(&mut span, longest);
        }
        self.queue.push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.queue.close(timeout)
    }
}
