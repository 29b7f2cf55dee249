//! Which spans are kept.

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceContextExt as _, TraceId},
};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use crate::telemetry::config::{Config, RootSampling};

/// The attributes that the span of a task begins with. The first alone may be
/// on anybody's.
const OF_TASK: [&str; 2] = ["task.id", "code.file.path"];

/// Keeps every task, and of the rest what another sampler keeps.
#[derive(Clone, Debug)]
struct TasksAlways(Sampler);

/// The sampler that is asked for.
pub(super) fn sampler(config: &Config) -> Box<dyn ShouldSample> {
    let root = match config.sampling.root {
        RootSampling::All => Sampler::AlwaysOn,
        RootSampling::None => Sampler::AlwaysOff,
        RootSampling::Ratio => Sampler::TraceIdRatioBased(config.ratio),
    };
    let asked = match config.sampling.by_parent {
        true => Sampler::ParentBased(Box::new(root)),
        false => root,
    };
    if config.sample_tasks_always {
        return Box::new(TasksAlways(asked));
    }
    Box::new(asked)
}

// === impl TasksAlways ===

impl ShouldSample for TasksAlways {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let has = |key| attributes.iter().any(|has| has.key.as_str() == key);
        if *kind != SpanKind::Internal || !OF_TASK.into_iter().all(has) {
            let rest = &self.0;
            return rest.should_sample(parent, trace_id, name, kind, attributes, links);
        }
        SamplingResult {
            decision: SamplingDecision::RecordAndSample,
            attributes: Vec::new(),
            trace_state: parent
                .map(|parent| parent.span().span_context().trace_state().clone())
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};

    use super::*;
    use crate::telemetry::config::Sampling;

    /// Whether a span is kept whose caller was not sampled.
    fn kept(config: &Config, attributes: &[KeyValue]) -> bool {
        kept_as(config, &SpanKind::Internal, attributes)
    }

    fn kept_as(config: &Config, kind: &SpanKind, attributes: &[KeyValue]) -> bool {
        let caller = SpanContext::new(
            TraceId::from(7),
            SpanId::from(7),
            TraceFlags::default(),
            true,
            TraceState::default(),
        );
        let parent = Context::new().with_remote_span_context(caller);
        let asked = sampler(config).should_sample(
            Some(&parent),
            TraceId::from(7),
            "crunch",
            kind,
            attributes,
            &[],
        );
        asked.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn tasks_are_kept_where_that_is_asked_for() {
        let task = [
            KeyValue::new("task.id", 7),
            KeyValue::new("code.file.path", "src/a.rs"),
        ];
        let parent = Config::default();
        assert!(!kept(&parent, &task));
        let always = parent.sample_tasks_always(true);
        assert!(kept(&always, &task));
        assert!(!kept_as(&always, &SpanKind::Server, &task));
        assert!(!kept(&always, &task[..1]), "somebody else's");
        assert!(!kept(&always, &task[1..]));
    }

    #[test]
    fn the_sampler_is_the_one_that_is_named() {
        let with = |root, by_parent, ratio| {
            let mut config = Config::default();
            config.sampling = Sampling { root, by_parent };
            config.ratio = ratio;
            kept(&config, &[])
        };
        assert!(with(RootSampling::All, false, 1.0));
        assert!(!with(RootSampling::All, true, 1.0));
        assert!(!with(RootSampling::None, false, 1.0));
        assert!(with(RootSampling::Ratio, false, 1.0));
        assert!(!with(RootSampling::Ratio, false, 0.0));
        assert!(!with(RootSampling::Ratio, true, 1.0));
    }
}
