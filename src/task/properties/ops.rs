//! What is done to a registry, at random.

use std::time::Duration;

use proptest::{option, prelude::*, sample::Index};

use super::{Bounds, Deadline, OTHER, PingStatus, Progress, Reaction, Slice, Step, TaskState};

/// What can be done to a registry.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Begins a task with one of a few names, or of many; bounded or not.
    Begin(u8, Bounds),
    /// A task gives a sign of life.
    Beat(Index),
    Progress(Index, Progress),
    /// The watcher looks.
    Watch,
    /// Makes a name known.
    Declare(u8),
    /// Ends a task that was begun, ended already or not.
    End(Index, Step),
    /// Ends a task that never was.
    EndUnknown(Step),
    /// An invocation comes, where such keep the status busy.
    Enter,
    /// One of those goes.
    Leave,
    Force(Option<PingStatus>),
    Customise(Option<PingStatus>),
    Advance(Duration),
    /// The wall clock jumps, either way.
    SetWall(Duration),
    SetHistory(usize),
    SetMaxActive(usize),
    Page(Ask),
}

/// What can be asked of a page.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) slice: Slice,
    pub(super) before: Option<Index>,
    pub(super) limit: usize,
    pub(super) only: Only,
}

/// Which tasks of the slice are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Only {
    Any,
    Named(u8),
    In(TaskState),
}

/// The name that is spelled as the label of others.
pub(super) const LITERAL: u8 = u8::MAX;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Succeed {
            result: Some("1".into()),
            note: None
        }),
        Just(Step::Fail("no".into())),
        Just(Step::Panic("panicked".into())),
        Just(Step::TimeOut("too old".into())),
        Just(Step::Cancel),
        Just(Step::Interrupt),
    ]
}

fn any_name() -> impl Strategy<Value = u8> {
    prop_oneof![
        8 => 0..4u8,
        4 => 0..70u8,
        1 => Just(LITERAL),
    ]
}

fn status() -> impl Strategy<Value = Option<PingStatus>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(PingStatus::Healthy)),
        1 => Just(Some(PingStatus::HealthyBusy)),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let slice = prop_oneof![Just(Slice::All), Just(Slice::Active), Just(Slice::Ended)];
    let only = prop_oneof![
        2 => Just(Only::Any),
        1 => (0..4u8).prop_map(Only::Named),
        1 => proptest::sample::select(&TaskState::ALL[..]).prop_map(Only::In),
    ];
    (slice, option::of(any::<Index>()), 0..40usize, only).prop_map(
        |(slice, before, limit, only)| Ask {
            slice,
            before,
            limit,
            only,
        },
    )
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let time = || (1..10_000u64).prop_map(Duration::from_millis);
    let deadline = prop_oneof![
        4 => (0..10_000u64).prop_map(Duration::from_millis).prop_map(Deadline::After),
        1 => (0..4_000_000_000u64).prop_map(Duration::from_secs).prop_map(Deadline::At),
        1 => Just(Deadline::After(Duration::MAX)),
    ];
    let reaction = || prop_oneof![3 => Just(Reaction::Warn), 1 => Just(Reaction::Cancel)];
    let bounded = (
        option::of(time()),
        option::of(deadline),
        reaction(),
        option::of(time()),
        reaction(),
    )
        .prop_map(
            |(max_age, deadline, on_deadline, stall_after, on_stall)| Bounds {
                max_age,
                deadline,
                on_deadline,
                stall_after,
                on_stall,
            },
        );
    prop_oneof![1 => Just(Bounds::default()), 2 => bounded]
}

fn progress() -> impl Strategy<Value = Progress> {
    (option::of(0.0..1.0), "[a-z]{0,4}").prop_map(|(share, message)| Progress { share, message })
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let millis = (0..4_000u64).prop_map(Duration::from_millis);
    let wall = (0..4_000_000_000u64).prop_map(Duration::from_secs);
    prop_oneof![
        12 => (any_name(), bounds()).prop_map(|(name, bounds)| Op::Begin(name, bounds)),
        8 => any::<Index>().prop_map(Op::Beat),
        2 => (any::<Index>(), progress()).prop_map(|(task, progress)| Op::Progress(task, progress)),
        8 => Just(Op::Watch),
        1 => any_name().prop_map(Op::Declare),
        12 => (any::<Index>(), step()).prop_map(|(task, step)| Op::End(task, step)),
        1 => step().prop_map(Op::EndUnknown),
        1 => Just(Op::Enter),
        2 => Just(Op::Leave),
        1 => status().prop_map(Op::Force),
        2 => status().prop_map(Op::Customise),
        6 => millis.prop_map(Op::Advance),
        3 => wall.prop_map(Op::SetWall),
        1 => (0..12usize).prop_map(Op::SetHistory),
        1 => (0..30usize).prop_map(Op::SetMaxActive),
        6 => ask().prop_map(Op::Page),
    ]
}

pub(super) fn name(n: u8) -> String {
    if n == LITERAL {
        OTHER.to_owned()
    } else {
        format!("name {n}")
    }
}

// === impl Only ===

impl Only {
    pub(super) fn wants(self, name: &str, state: TaskState) -> bool {
        match self {
            Self::Any => true,
            Self::Named(n) => name == self::name(n),
            Self::In(wanted) => state == wanted,
        }
    }
}
