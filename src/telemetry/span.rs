//! The spans of a task, from its begin to its end.
//!
//! There are two. The one that OTLP carries is made here, directly: it ends when
//! the task ends, at the registry's own instant, whatever still holds on to its
//! context. The `tracing` span is what layers of the program see. It is opened
//! where such a layer wants it, and may live as long as children of it do.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use opentelemetry::{Context as OtelContext, SpanId, TraceId, trace::TraceContextExt as _};
use tracing::Span;

use super::quietly;

/// Where a task keeps its spans. Empty before the begin is announced, and after
/// the end is, but for the ids.
#[derive(Debug, Default)]
pub(crate) struct TaskSpan {
    open: Mutex<Option<Open>>,
    ids: OnceLock<SpanIds>,
}

/// What names a task's span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanIds {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    /// The span that it is a child of, if any.
    pub(crate) parent: Option<SpanId>,
    /// Whether it is exported, where any are.
    pub(crate) sampled: bool,
}

/// Where a task's code runs: in what was open when it was asked for.
#[derive(Debug)]
pub(crate) struct TaskScope(Option<Open>);

/// What is open while a task is active.
#[derive(Clone, Debug, Default)]
pub(super) struct Open {
    /// Holds the span that OTLP carries, and the scope for log lines.
    pub(super) cx: OtelContext,
    /// Whether that span is the task's own, and not its caller's.
    pub(super) traced: bool,
    /// The span that it is a child of, if any.
    pub(super) parent: Option<SpanId>,
    /// None where no layer wants it.
    pub(super) tracing: Option<Arc<Span>>,
    /// The task's age at its last checkpoint.
    pub(super) checkpoint: Duration,
}

// === impl TaskSpan ===

impl TaskSpan {
    /// One of an earlier process, of which the ids are known.
    pub(crate) fn past(ids: Option<SpanIds>) -> Self {
        Self {
            open: Mutex::new(None),
            ids: ids.map_or_else(OnceLock::new, OnceLock::from),
        }
    }

    /// Keeps what was opened for the task.
    pub(super) fn open(&self, open: Open) {
        if open.traced {
            let span = open.cx.span();
            let ids = span.span_context();
            self.ids.get_or_init(|| SpanIds {
                trace: ids.trace_id(),
                span: ids.span_id(),
                parent: open.parent,
                sampled: ids.is_sampled(),
            });
        }
        *self.slot() = Some(open);
    }

    /// Hands the spans over to whoever closes them.
    pub(super) fn take(&self) -> Option<Open> {
        self.slot().take()
    }

    /// The task's trace and span, as soon as there is one.
    pub(crate) fn ids(&self) -> Option<SpanIds> {
        self.ids.get().copied()
    }

    /// The inside of the task; what is outside of it once the task has ended.
    pub(crate) fn scope(&self) -> TaskScope {
        TaskScope(self.opened())
    }

    /// What is open, if anything is.
    pub(super) fn opened(&self) -> Option<Open> {
        self.slot().clone()
    }

    /// The task's age at its last checkpoint; none where no sampled span of it is
    /// open.
    pub(crate) fn last_checkpoint(&self) -> Option<Duration> {
        let slot = self.slot();
        let open = slot.as_ref().filter(|open| open.is_sampled());
        open.map(|open| open.checkpoint)
    }

    /// Moves the last checkpoint to this age. Gives back what it was, and the
    /// context that the span of the time since then belongs into.
    pub(super) fn checkpoint(&self, age: Duration) -> Option<(OtelContext, Duration)> {
        let mut slot = self.slot();
        let open = slot.as_mut().filter(|open| open.is_sampled())?;
        let last = open.checkpoint;
        // Of two at the same time the later one may have been first.
        open.checkpoint = age.max(last);
        Some((open.cx.clone(), last))
    }

    fn slot(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl TaskScope ===

impl TaskScope {
    /// Runs `work` there. A panic of a subscriber is caught, one of `work` goes
    /// through.
    pub(crate) fn run<R>(self, work: impl FnOnce() -> R) -> R {
        let Self(Some(open)) = self else {
            return work();
        };
        let result = open.inside(|| catch_unwind(AssertUnwindSafe(work)));
        quietly(|| drop(open));
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

// === impl Open ===

impl Open {
    fn is_sampled(&self) -> bool {
        self.traced && self.cx.span().span_context().is_sampled()
    }

    /// Runs `work`, which must not panic, inside both spans.
    pub(super) fn inside<R>(&self, work: impl FnOnce() -> R) -> R {
        inside(self.tracing.as_deref(), &self.cx, work)
    }
}

/// Runs `work`, which must not panic, inside a span of ours and its context.
pub(super) fn inside<R>(span: Option<&Span>, cx: &OtelContext, work: impl FnOnce() -> R) -> R {
    let entered = span.map(|span| quietly(|| span.enter()));
    // On a thread that is being torn down there is no context any more.
    let attached = quietly(|| cx.clone().attach());
    let result = work();
    quietly(|| drop(attached));
    quietly(|| drop(entered));
    result
}
