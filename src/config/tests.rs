use super::*;

#[track_caller]
fn check(flag: &str, value: &str, said: &str) {
    let setting = SETTINGS
        .iter()
        .find(|setting| setting.flag == flag)
        .unwrap();
    let taken = setting.take(&mut Settings::default(), &format!("--{flag}"), value);
    assert_eq!(
        taken
            .err()
            .map_or_else(String::new, |error| error.to_string()),
        said
    );
}

#[test]
fn values_are_taken_or_told_what_is_allowed() {
    check("port", "0", "");
    check(
        "port",
        "65536",
        "--port is `65536`; it must be an integer from 0 to 65535",
    );
    check("drain", "1m 30s", "");
    check(
        "drain",
        "10",
        "--drain is `10`; it must be a time such as `10s`, `500ms` or `2m`",
    );
    check("body-limit", "64MiB", "");
    check(
        "body-limit",
        "lots",
        "--body-limit is `lots`; it must be a size such as `100MB` or `64MiB`",
    );
    check(
        "max-active",
        "0",
        "--max-active is `0`; it must be an integer from 1",
    );
    check(
        "log-format",
        "xml",
        "--log-format is `xml`; it must be `pretty` or `json`",
    );
    check(
        "debug-actions",
        "maybe",
        "--debug-actions is `maybe`; it must be `on` or `off`",
    );
    check(
        "admin-addr",
        "9090",
        "--admin-addr is `9090`; it must be an address and a port, such as `127.0.0.1:9090`",
    );
    check("checkpoints", "1m", "");
    check("checkpoints", "off", "");
    check(
        "checkpoints",
        "99ms",
        "--checkpoints is `99ms`; it must be a time from 100ms, such as `5s` or `1m`, or `off`",
    );
    check("idle-limit", "0", "");
    check(
        "lifetime-limit",
        "8",
        "--lifetime-limit is `8`; it must be a time such as `900s` or `8h`, or `off`",
    );
    check("host", "", "--host is ``; it must be an address or a name");
}

#[test]
fn links_are_taken_or_told_what_is_allowed() {
    check("jaeger-url", "https://jaeger.example/ui/", "");
    check(
        "jaeger-url",
        "localhost:16686",
        "--jaeger-url is `localhost:16686`; it must be an http:// or https:// URL such as `http://localhost:16686`",
    );
    check(
        "grafana-url",
        "http://localhost:99999",
        "--grafana-url is `http://localhost:99999`; it must be an http:// or https:// URL such as `http://localhost:16686`",
    );
}

#[test]
fn the_readme_lists_every_flag() {
    let rows = SETTINGS.iter().map(|setting| {
        // A bar ends a cell of a table, in code as well.
        let value = setting.value.map(|value| value.replace('|', "\\|"));
        let value = value.map(|value| format!(" {value}"));
        format!(
            "| `--{}{}` | `{}` | {} | {} |",
            setting.flag,
            value.unwrap_or_default(),
            setting.variable,
            setting.default,
            setting.help
        )
    });
    let readme = include_str!("../../README.md").lines();
    let listed = readme.filter(|line| line.starts_with("| `--") && line.contains("TASKPULSE_"));
    assert_eq!(listed.collect::<Vec<_>>(), rows.collect::<Vec<_>>());
}

#[test]
fn sizes_are_read_as_they_are_written() {
    let read = |text| {
        let setting = SETTINGS
            .iter()
            .find(|setting| setting.flag == "body-limit")
            .unwrap();
        let mut settings = Settings::default();
        setting.take(&mut settings, "--body-limit", text).unwrap();
        settings.body_limit
    };
    assert_eq!(read("100MB"), Some(100_000_000));
    assert_eq!(read("1MiB"), Some(1_048_576));
    assert_eq!(read("17"), Some(17));
}
