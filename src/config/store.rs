//! Where tasks are written down.

use std::{path::PathBuf, time::Duration};

use super::{Setting, TRACKING, values::some_time};

/// What the operator says of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreSettings {
    /// Some where the operator has said where; in it none for memory alone.
    pub(crate) path: Option<Option<PathBuf>>,
    /// How long ended tasks are kept.
    pub(crate) kept: Option<Duration>,
}

pub(super) const STORE: Setting = Setting {
    flag: "store",
    variable: "TASKPULSE_STORE",
    value: Some("PATH|memory"),
    default: "memory",
    help: "File that tasks are written to, so that the next process finds those that a crash has ended; it must be this process's alone",
    heading: TRACKING,
    read: |settings, text| {
        settings.store.path = Some(match text {
            "" => return Err("a path such as `tasks.db`, or `memory`".to_owned()),
            "memory" => None,
            path if cfg!(feature = "store") => Some(path.into()),
            _ => {
                return Err(
                    "`memory`: this program was built without the feature `store`".to_owned(),
                );
            }
        });
        Ok(())
    },
};

pub(super) const HISTORY_AGE: Setting = Setting {
    flag: "history-age",
    variable: "TASKPULSE_HISTORY_AGE",
    value: Some("TIME"),
    default: "7d",
    help: "How long the store keeps ended tasks, of which there are no more than --history",
    heading: TRACKING,
    read: |settings, text| {
        settings.store.kept = Some(some_time(text, "`7d` or `12h`")?);
        Ok(())
    },
};
