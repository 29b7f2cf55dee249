//! What a dashboard is made of, without Grafana's spelling of it.

/// One screen. `from` is how far back it looks when it is opened.
#[derive(Debug)]
pub(crate) struct Dashboard {
    pub(crate) uid: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) from: &'static str,
    /// The variables that its queries use; the others are carried along unseen.
    pub(crate) shows: &'static [&'static str],
    pub(crate) panels: Vec<Panel>,
}

#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) kind: Kind,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    /// x, y, width and height, in 24 columns.
    pub(crate) at: [u32; 4],
    pub(crate) unit: &'static str,
    /// What stands there in place of data, and why.
    pub(crate) empty: &'static str,
    pub(crate) base: &'static str,
    pub(crate) steps: Vec<Step>,
    pub(crate) names: Vec<(f64, &'static str, &'static str)>,
    /// The axis reaches this far even if no value does, so that a line is seen.
    pub(crate) reach: Option<f64>,
    /// Lines across, by value, name and color: series of their own, where an axis
    /// reaches no further than its values.
    pub(crate) lines: Vec<(f64, &'static str, &'static str)>,
    /// By the name of a series, or by a pattern between slashes.
    pub(crate) colors: Vec<(&'static str, &'static str)>,
    pub(crate) links: Vec<Link>,
    pub(crate) queries: Vec<Query>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Stat,
    /// A number with its course behind it.
    Spark,
    Lines,
    /// Lines on a scale where a second and eight hours both show.
    Ages,
    Stacked,
    Bars,
    Timeline,
    Heatmap,
    Gauge,
    Table {
        columns: Vec<Column>,
        /// The column that it is sorted by, and whether the greatest comes first.
        sort: (&'static str, bool),
    },
}

/// From this value on, this color. The number is that of the alert, if one is named.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) value: f64,
    pub(crate) color: &'static str,
    pub(crate) alert: Option<&'static str>,
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) title: &'static str,
    pub(crate) url: String,
    pub(crate) elsewhere: bool,
}

#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) expr: String,
    pub(crate) legend: &'static str,
}

/// A column of a table: a label, or the value of the query at that index.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) query: Option<usize>,
    pub(crate) unit: &'static str,
    pub(crate) width: u32,
    /// What stands in a cell without a value, and is not a fault.
    pub(crate) empty: &'static str,
    /// Links read it, nobody else does.
    pub(crate) hidden: bool,
    pub(crate) base: &'static str,
    pub(crate) steps: Vec<Step>,
    pub(crate) links: Vec<Link>,
}

pub(crate) const GREEN: &str = "green";
pub(crate) const BLUE: &str = "blue";
pub(crate) const YELLOW: &str = "yellow";
pub(crate) const ORANGE: &str = "orange";
pub(crate) const RED: &str = "red";
pub(crate) const PURPLE: &str = "purple";
pub(crate) const GRAY: &str = "text";

// === impl Panel ===

impl Panel {
    pub(crate) fn new(kind: Kind, title: &'static str, description: &'static str) -> Self {
        Self {
            kind,
            title,
            description,
            at: [0; 4],
            unit: "",
            empty: "",
            base: GREEN,
            steps: Vec::new(),
            names: Vec::new(),
            reach: None,
            lines: Vec::new(),
            colors: Vec::new(),
            links: Vec::new(),
            queries: Vec::new(),
        }
    }

    pub(crate) fn at(self, x: u32, y: u32, width: u32, height: u32) -> Self {
        let at = [x, y, width, height];
        Self { at, ..self }
    }

    /// The unit, and what an empty panel says.
    pub(crate) fn unit(self, unit: &'static str, empty: &'static str) -> Self {
        Self {
            unit,
            empty,
            ..self
        }
    }

    /// The color below the first step.
    pub(crate) fn base(self, base: &'static str) -> Self {
        Self { base, ..self }
    }

    pub(crate) fn step(mut self, value: f64, color: &'static str) -> Self {
        self.steps.push(Step::new(value, color, None));
        self
    }

    pub(crate) fn alert(mut self, value: f64, color: &'static str, alert: &'static str) -> Self {
        self.steps.push(Step::new(value, color, Some(alert)));
        self
    }

    /// This value is shown as that text, in that color.
    pub(crate) fn name(mut self, value: f64, text: &'static str, color: &'static str) -> Self {
        self.names.push((value, text, color));
        self
    }

    pub(crate) fn line(mut self, value: f64, name: &'static str, color: &'static str) -> Self {
        self.lines.push((value, name, color));
        self
    }

    pub(crate) fn reach(self, value: f64) -> Self {
        let reach = Some(value);
        Self { reach, ..self }
    }

    /// Series of this name have that color.
    pub(crate) fn color(mut self, series: &'static str, color: &'static str) -> Self {
        self.colors.push((series, color));
        self
    }

    pub(crate) fn link(mut self, link: Link) -> Self {
        self.links.push(link);
        self
    }

    pub(crate) fn query(mut self, expr: &str, legend: &'static str) -> Self {
        self.queries.push(Query {
            expr: spelled_out(expr),
            legend,
        });
        self
    }
}

// === impl Step ===

impl Step {
    pub(crate) fn new(value: f64, color: &'static str, alert: Option<&'static str>) -> Self {
        Self {
            value,
            color,
            alert,
        }
    }
}

// === impl Column ===

impl Column {
    pub(crate) fn label(name: &'static str, width: u32) -> Self {
        Self {
            name,
            query: None,
            unit: "string",
            width,
            empty: "–",
            hidden: false,
            base: GRAY,
            steps: Vec::new(),
            links: Vec::new(),
        }
    }

    pub(crate) fn value(name: &'static str, query: usize, unit: &'static str, width: u32) -> Self {
        Self {
            query: Some(query),
            unit,
            ..Self::label(name, width)
        }
    }

    pub(crate) fn hidden(name: &'static str, query: usize) -> Self {
        Self {
            hidden: true,
            ..Self::value(name, query, "none", 0)
        }
    }

    pub(crate) fn empty(self, empty: &'static str) -> Self {
        Self { empty, ..self }
    }

    pub(crate) fn base(self, base: &'static str) -> Self {
        Self { base, ..self }
    }

    pub(crate) fn alert(
        mut self,
        value: f64,
        color: &'static str,
        alert: Option<&'static str>,
    ) -> Self {
        self.steps.push(Step::new(value, color, alert));
        self
    }

    pub(crate) fn link(mut self, link: Link) -> Self {
        self.links.push(link);
        self
    }
}

/// `OWN`, `NAMED` and `COLLECTOR` at the start of a selector stand for the matchers
/// that every selector has: of taskpulse, of the task names chosen, of the collector.
pub(crate) fn spelled_out(expr: &str) -> String {
    let own = r#"job="$job",instance=~"$instance""#;
    let words: Vec<&str> = expr.split_whitespace().collect();
    words
        .join(" ")
        .replace("{ ", "{")
        .replace("{NAMED", &format!(r#"{{{own},task_name=~"$task_name""#))
        .replace("{OWN", &format!("{{{own}"))
        .replace("{COLLECTOR", r#"{job="$collector_job""#)
}
