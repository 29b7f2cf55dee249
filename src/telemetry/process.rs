//! The process and its runtimes, as their metrics read them: each value by
//! itself, so that one that cannot be read takes no other with it.

use tokio::runtime::RuntimeMetrics;

/// The values of `cpu.mode`.
pub(crate) const CPU_MODES: [&str; 2] = ["user", "system"];

/// Where the operating system has a `/proc`.
#[cfg(target_os = "linux")]
mod proc {
    use procfs::{
        Current as _, Uptime, page_size,
        process::{Process, Stat},
        ticks_per_second,
    };

    /// Seconds of processor time in user mode and in the kernel.
    pub(crate) fn cpu() -> Option<[f64; 2]> {
        let stat = stat()?;
        Some([seconds(stat.utime), seconds(stat.stime)])
    }

    /// Bytes of physical memory.
    pub(crate) fn resident() -> Option<f64> {
        Some((stat()?.rss * page_size()) as f64)
    }

    /// Bytes of virtual memory.
    pub(crate) fn virtual_size() -> Option<f64> {
        Some(stat()?.vsize as f64)
    }

    /// Open files.
    pub(crate) fn files() -> Option<f64> {
        Some(Process::myself().ok()?.fd_count().ok()? as f64)
    }

    /// Seconds since the process started.
    pub(crate) fn uptime() -> Option<f64> {
        let machine = Uptime::current().ok()?.uptime;
        Some(machine - seconds(stat()?.starttime))
    }

    fn stat() -> Option<Stat> {
        Process::myself().ok()?.stat().ok()
    }

    fn seconds(ticks: u64) -> f64 {
        ticks as f64 / ticks_per_second() as f64
    }
}

/// Elsewhere nothing is known.
#[cfg(not(target_os = "linux"))]
mod proc {
    pub(crate) fn cpu() -> Option<[f64; 2]> {
        None
    }

    pub(crate) fn resident() -> Option<f64> {
        None
    }

    pub(crate) fn virtual_size() -> Option<f64> {
        None
    }

    pub(crate) fn files() -> Option<f64> {
        None
    }

    pub(crate) fn uptime() -> Option<f64> {
        None
    }
}

pub(crate) use self::proc::{cpu, files, resident, uptime, virtual_size};

/// Seconds that the runtime's workers have been busy, all together.
pub(crate) fn busy_seconds(runtime: &RuntimeMetrics) -> f64 {
    (0..runtime.num_workers())
        .map(|worker| runtime.worker_total_busy_duration(worker).as_secs_f64())
        .sum()
}

/// How often the runtime's workers have gone to sleep, all together.
pub(crate) fn parks(runtime: &RuntimeMetrics) -> u64 {
    (0..runtime.num_workers())
        .map(|worker| runtime.worker_park_count(worker))
        .sum()
}
