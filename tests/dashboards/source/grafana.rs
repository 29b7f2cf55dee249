//! Dashboards in Grafana's spelling: the JSON of version 13, schema 42.

use serde_json::{Map, Value, json};

use super::{
    frame::{annotations, datasource, links, variables},
    model::{Column, Dashboard, GRAY, Kind, Link, Panel, Step},
};

const PLUGIN_VERSION: &str = "13.2.3";
const SCHEMA_VERSION: u32 = 42;

pub(crate) fn dashboard(dashboard: &Dashboard) -> Value {
    let panels = dashboard.panels.iter().zip(1..);
    let panels: Vec<_> = panels.map(|(it, id)| panel(it, id)).collect();
    json!({
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["taskpulse"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "timezone": "browser",
        "refresh": "10s",
        "time": {"from": dashboard.from, "to": "now"},
        "timepicker": {},
        "links": links(dashboard.uid),
        "annotations": annotations(),
        "templating": {"list": variables(dashboard.shows)},
        "panels": panels,
    })
}

fn panel(panel: &Panel, id: u32) -> Value {
    let [x, y, w, h] = panel.at;
    let queries = panel.queries.iter();
    let queries = queries.map(|query| (query.expr.clone(), query.legend));
    let lines = panel.lines.iter();
    let lines = lines.map(|(value, name, _)| (format!("vector({value})"), *name));
    let targets = queries.chain(lines).zip('A'..);
    let targets: Vec<_> = targets
        .map(|((expr, legend), name)| target(&panel.kind, &expr, legend, name))
        .collect();
    let mut written = json!({
        "id": id,
        "type": plugin(&panel.kind),
        "title": panel.title,
        "description": panel.description,
        "pluginVersion": PLUGIN_VERSION,
        "gridPos": {"x": x, "y": y, "w": w, "h": h},
        "datasource": datasource(),
        "fieldConfig": {"defaults": defaults(panel), "overrides": overrides(panel)},
        "options": options(&panel.kind, panel.unit),
        "targets": targets,
    });
    if let Kind::Table { columns, .. } = &panel.kind {
        written["transformations"] = transformations(columns, panel.queries.len());
    }
    written
}

fn plugin(kind: &Kind) -> &'static str {
    match kind {
        Kind::Stat | Kind::Spark => "stat",
        Kind::Lines | Kind::Ages | Kind::Stacked | Kind::Bars => "timeseries",
        Kind::Timeline => "state-timeline",
        Kind::Heatmap => "heatmap",
        Kind::Gauge => "bargauge",
        Kind::Table { .. } => "table",
    }
}

fn target(kind: &Kind, expr: &str, legend: &str, name: char) -> Value {
    let instant = matches!(kind, Kind::Stat | Kind::Gauge | Kind::Table { .. });
    let format = match kind {
        Kind::Table { .. } => "table",
        Kind::Heatmap => "heatmap",
        _ => "time_series",
    };
    let legend = if legend.is_empty() { "__auto" } else { legend };
    json!({
        "refId": name,
        "datasource": datasource(),
        "editorMode": "code",
        "expr": expr,
        "format": format,
        "instant": instant,
        "range": !instant,
        "legendFormat": legend,
    })
}

// === Fields ===

fn defaults(panel: &Panel) -> Value {
    let mut defaults = json!({
        "unit": panel.unit,
        "noValue": panel.empty,
        "color": color(&panel.kind),
        "thresholds": thresholds(panel.base, &panel.steps),
        "mappings": mappings(panel),
        "links": panel.links.iter().map(link).collect::<Vec<_>>(),
        "custom": custom(panel),
    });
    // Bars of a share: all of it is the whole length.
    if matches!(panel.kind, Kind::Gauge) {
        defaults["min"] = json!(0);
        defaults["max"] = json!(1);
    }
    defaults
}

fn color(kind: &Kind) -> Value {
    match kind {
        Kind::Stat | Kind::Spark | Kind::Gauge | Kind::Table { .. } | Kind::Timeline => {
            json!({"mode": "thresholds"})
        }
        _ => json!({"mode": "palette-classic"}),
    }
}

fn thresholds(base: &str, steps: &[Step]) -> Value {
    let steps = steps.iter();
    let steps = steps.map(|step| json!({"color": step.color, "value": step.value}));
    let base = json!({"color": base, "value": null});
    let steps: Vec<_> = std::iter::once(base).chain(steps).collect();
    json!({"mode": "absolute", "steps": steps})
}

fn mappings(panel: &Panel) -> Value {
    let names = panel.names.iter().zip(0..);
    let names: Map<_, _> = names
        .map(|((value, text, color), index)| {
            let result = json!({"text": text, "color": color, "index": index});
            (value.to_string(), result)
        })
        .collect();
    match names.is_empty() {
        true => json!([]),
        false => json!([{"type": "value", "options": names}]),
    }
}

fn link(link: &Link) -> Value {
    json!({"title": link.title, "url": link.url, "targetBlank": link.elsewhere})
}

fn custom(panel: &Panel) -> Value {
    let seen = json!({"legend": false, "tooltip": false, "viz": false});
    match panel.kind {
        Kind::Lines | Kind::Ages | Kind::Stacked | Kind::Bars => series(panel),
        Kind::Timeline => json!({"fillOpacity": 70, "lineWidth": 0, "hideFrom": seen}),
        Kind::Heatmap => json!({"hideFrom": seen, "scaleDistribution": {"type": "linear"}}),
        Kind::Table { .. } => {
            json!({"align": "auto", "cellOptions": {"type": "auto"}, "inspect": false})
        }
        Kind::Stat | Kind::Spark | Kind::Gauge => json!({}),
    }
}

fn series(panel: &Panel) -> Value {
    let bars = matches!(panel.kind, Kind::Bars);
    let stacked = matches!(panel.kind, Kind::Bars | Kind::Stacked);
    let scale = match panel.kind {
        // Unlike a logarithm it has a place for 0.
        Kind::Ages => json!({"type": "symlog", "log": 10, "linearThreshold": 1}),
        _ => json!({"type": "linear"}),
    };
    let across = match panel.steps.is_empty() || bars {
        true => "off",
        false => "line",
    };
    let mut series = json!({
        "drawStyle": if bars { "bars" } else { "line" },
        "lineInterpolation": if stacked { "stepAfter" } else { "linear" },
        "lineWidth": 1,
        "fillOpacity": if stacked { 40 } else { 0 },
        "gradientMode": "none",
        "showPoints": "auto",
        "pointSize": 4,
        "spanNulls": false,
        "stacking": {"group": "A", "mode": if stacked { "normal" } else { "none" }},
        "axisPlacement": "auto",
        "axisLabel": "",
        "axisColorMode": "text",
        "axisSoftMin": 0,
        "scaleDistribution": scale,
        "thresholdsStyle": {"mode": across},
        "hideFrom": {"legend": false, "tooltip": false, "viz": false},
    });
    if let Some(reach) = panel.reach {
        series["axisSoftMax"] = json!(reach);
    }
    series
}

// === Overrides ===

fn overrides(panel: &Panel) -> Value {
    let colors = panel.colors.iter().map(|(series, color)| {
        let value = json!({"mode": "fixed", "fixedColor": color});
        let properties = vec![json!({"id": "color", "value": value})];
        match series.starts_with('/') {
            true => json!({
                "matcher": {"id": "byRegexp", "options": series}, "properties": properties,
            }),
            false => by_name(series, properties),
        }
    });
    let columns: &[Column] = match &panel.kind {
        Kind::Table { columns, .. } => columns,
        _ => &[],
    };
    let columns = columns.iter().map(|it| by_name(it.name, properties(it)));
    let lines = panel.lines.iter().map(|(_, name, color)| {
        let color = json!({"mode": "fixed", "fixedColor": color});
        let dashes = json!({"fill": "dash", "dash": [6, 6]});
        let properties = vec![
            json!({"id": "color", "value": color}),
            json!({"id": "custom.lineStyle", "value": dashes}),
            json!({"id": "links", "value": []}),
        ];
        by_name(name, properties)
    });
    colors.chain(columns).chain(lines).collect()
}

fn by_name(name: &str, properties: Vec<Value>) -> Value {
    json!({"matcher": {"id": "byName", "options": name}, "properties": properties})
}

fn properties(column: &Column) -> Vec<Value> {
    if column.hidden {
        return vec![json!({"id": "custom.hideFrom.viz", "value": true})];
    }
    let links: Vec<_> = column.links.iter().map(link).collect();
    let mut properties = vec![
        json!({"id": "unit", "value": column.unit}),
        json!({"id": "custom.width", "value": column.width}),
        json!({"id": "links", "value": links}),
        json!({"id": "thresholds", "value": thresholds(column.base, &column.steps)}),
        json!({"id": "noValue", "value": column.empty}),
        // The color of a value that is not there would be that of the least one.
        json!({"id": "mappings", "value": [{
            "type": "special",
            "options": {
                "match": "null+nan",
                "result": {"text": column.empty, "color": GRAY, "index": 0},
            },
        }]}),
    ];
    if column.base != GRAY {
        properties.push(json!({"id": "custom.cellOptions", "value": {"type": "color-text"}}));
    }
    properties
}

fn transformations(columns: &[Column], queries: usize) -> Value {
    let mut renamed = Map::new();
    let mut order = Map::new();
    for (column, at) in columns.iter().zip(0..) {
        let field = match column.query {
            None => column.name.to_owned(),
            // Grafana numbers values only where there are several.
            Some(_) if queries == 1 => "Value".to_owned(),
            Some(query) => format!("Value #{}", refs(query)),
        };
        order.insert(field.clone(), json!(at));
        if column.query.is_some() {
            renamed.insert(field, json!(column.name));
        }
    }
    json!([
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {
            "excludeByName": {"Time": true}, "includeByName": {},
            "indexByName": order, "renameByName": renamed,
        }},
    ])
}

fn refs(query: usize) -> char {
    ('A'..='Z').nth(query).expect("a table has few queries")
}

// === Options ===

fn options(kind: &Kind, unit: &str) -> Value {
    let last = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
    let tooltip = json!({"mode": "multi", "sort": "desc", "hideZeros": false});
    let legend =
        json!({"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": true});
    match kind {
        Kind::Stat | Kind::Spark => json!({
            "colorMode": "background",
            "graphMode": if matches!(kind, Kind::Spark) { "area" } else { "none" },
            "justifyMode": "auto",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": last,
            "showPercentChange": false,
            "textMode": "auto",
            "wideLayout": true,
        }),
        Kind::Lines | Kind::Ages | Kind::Stacked | Kind::Bars => {
            json!({"legend": legend, "tooltip": tooltip})
        }
        Kind::Timeline => json!({
            "alignValue": "left", "mergeValues": true, "rowHeight": 0.8, "showValue": "auto",
            "legend": legend, "tooltip": {"mode": "single", "sort": "none"},
        }),
        Kind::Heatmap => heatmap(unit),
        Kind::Gauge => json!({
            "displayMode": "basic", "valueMode": "color", "namePlacement": "auto",
            "showUnfilled": true, "sizing": "auto", "minVizHeight": 16, "maxVizHeight": 300,
            "minVizWidth": 8, "orientation": "horizontal", "reduceOptions": last,
            "legend": {
                "calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": false,
            },
        }),
        Kind::Table {
            sort: (column, descending),
            ..
        } => json!({
            "cellHeight": "sm", "frameIndex": 0, "showHeader": true,
            "sortBy": [{"displayName": column, "desc": descending}],
        }),
    }
}

fn heatmap(unit: &str) -> Value {
    json!({
        "calculate": false,
        "cellGap": 1,
        "cellValues": {"unit": "cps", "decimals": 2},
        "color": {
            "mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "scale": "exponential",
            "exponent": 0.5, "reverse": false, "steps": 64,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": true},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "showColorScale": true, "yHistogram": false},
        "yAxis": {"axisPlacement": "left", "reverse": false, "unit": unit},
    })
}
