//! The platform's limits.

use std::time::Duration;

use super::{Setting, TRACKING};
use crate::track::PlatformLimits;

/// What the operator says of them. What is `None` is as the platform has it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    idle: Option<Duration>,
    lifetime: Option<Duration>,
}

pub(super) const IDLE: Setting = Setting {
    flag: "idle-limit",
    variable: "TASKPULSE_IDLE_LIMIT",
    value: Some("TIME|off"),
    default: "900s",
    help: "After how long a status of Healthy the platform ends a session; a warning comes at 90 % while tasks are active",
    heading: TRACKING,
    read: |settings, text| {
        settings.platform.idle = Some(limit(text)?);
        Ok(())
    },
};

pub(super) const LIFETIME: Setting = Setting {
    flag: "lifetime-limit",
    variable: "TASKPULSE_LIFETIME_LIMIT",
    value: Some("TIME|off"),
    default: "28800s",
    help: "Age at which the platform ends a session; warnings come at 90 %, of the process and of each task",
    heading: TRACKING,
    read: |settings, text| {
        settings.platform.lifetime = Some(limit(text)?);
        Ok(())
    },
};

/// Zero for none.
fn limit(text: &str) -> Result<Duration, String> {
    if matches!(text, "off" | "0") {
        return Ok(Duration::ZERO);
    }
    let limit = humantime::parse_duration(text).ok();
    Ok(limit.ok_or("a time such as `900s` or `8h`, or `off`")?)
}

// === impl Limits ===

impl Limits {
    /// What is heeded.
    pub(crate) fn heeded(self) -> PlatformLimits {
        let default = PlatformLimits::default();
        PlatformLimits {
            idle: self.idle.unwrap_or(default.idle),
            lifetime: self.lifetime.unwrap_or(default.lifetime),
        }
    }
}
