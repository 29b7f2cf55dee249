//! The four dashboards, as tables. `dashboards/grafana/dashboards/` is written from here.

pub(crate) mod frame;
mod grafana;
pub(crate) mod model;
mod overview;
mod ping;
mod rows;
mod runtime;
mod shared;
mod tasks;

use model::Dashboard;

/// Each dashboard with the file it is committed in.
pub(crate) fn all() -> [(&'static str, Dashboard); 4] {
    [
        ("overview.json", overview::overview()),
        ("tasks.json", tasks::tasks()),
        ("ping.json", ping::ping()),
        ("runtime.json", runtime::runtime()),
    ]
}

/// A dashboard as Grafana reads it, to the letter of the file.
pub(crate) fn written(dashboard: &Dashboard) -> String {
    let text = serde_json::to_string_pretty(&grafana::dashboard(dashboard));
    text.expect("it has no keys but texts") + "\n"
}
