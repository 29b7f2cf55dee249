//! What every service may do, what it may take, and how it is known to be well.

use std::collections::BTreeSet;

use serde_json::json;

use super::{COMPOSE, bytes, list, place, services, string, yaml};

/// What cannot be asked how it is: the image has neither a shell nor a client.
const WITHOUT_A_CHECK: &str = "otel-collector";

/// Those of our own image, whose `HEALTHCHECK` they have.
const OURS: [&str; 3] = ["taskpulse", "demo", "traffic"];

/// The others, and what they are pinned to.
const THEIRS: [(&str, &str); 4] = [
    (
        "otel-collector",
        "otel/opentelemetry-collector-contrib:0.155.0",
    ),
    ("jaeger", "jaegertracing/jaeger:2.19.0"),
    ("prometheus", "prom/prometheus:v3.13.3"),
    ("grafana", "grafana/grafana:13.2.3"),
];

#[test]
fn there_is_nothing_but_what_is_known() {
    let known: BTreeSet<_> = OURS
        .into_iter()
        .chain(THEIRS.map(|(name, _)| name))
        .collect();
    let services = services();
    let there: BTreeSet<_> = services.keys().map(String::as_str).collect();
    assert_eq!(there, known);
    for (name, image) in THEIRS {
        assert_eq!(services[name]["image"], image);
    }
    for name in OURS {
        let image = string(&services[name]["image"]);
        assert_eq!(image, "${TASKPULSE_IMAGE:-taskpulse:local}", "{name}");
    }
}

#[test]
fn every_service_is_closed_and_bounded() {
    for (name, service) in services() {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], json!(["ALL"]), "{name}");
        let options = json!(["no-new-privileges:true"]);
        assert_eq!(service["security_opt"], options, "{name}");
        assert!(bytes(&service["mem_limit"]) <= 1 << 30, "{name}");
        assert_eq!(service["stop_grace_period"], "20s", "{name}");
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        let logging = &service["logging"]["options"];
        assert!(
            logging["max-size"].is_string() && logging["max-file"].is_string(),
            "{name}"
        );
        for open in [
            "privileged",
            "network_mode",
            "pid",
            "ipc",
            "cap_add",
            "devices",
            "user",
        ] {
            assert!(service.get(open).is_none(), "{name} has {open}");
        }
    }
}

#[test]
fn ports_are_for_this_machine_alone() {
    let mut published = BTreeSet::new();
    for (name, service) in services() {
        for port in service.get("ports").map(list).into_iter().flatten() {
            let port = string(port);
            assert!(port.starts_with("127.0.0.1:${"), "{name} publishes {port}");
            published.insert(name.clone());
        }
    }
    // The demonstration has no way in but through the traffic's.
    assert!(!published.contains("demo") && !published.contains("traffic"));
    assert_eq!(published.len(), 5, "{published:?}");
}

#[test]
fn every_service_that_can_be_asked_is() {
    for (name, service) in services() {
        let built_in = OURS.contains(&name.as_str());
        match service.get("healthcheck") {
            None => assert!(built_in || name == WITHOUT_A_CHECK, "{name} has no check"),
            Some(check) => {
                // A shell may not be there, and `up --wait` takes no `disable`.
                assert_eq!(check["test"][0], "CMD", "{name}");
                assert!(
                    check["interval"].is_string() && check["retries"].is_u64(),
                    "{name}"
                );
            }
        }
    }
}

/// One waits for what it needs, and never for a check that there is not.
#[test]
fn who_waits_for_whom() {
    let services = services();
    let mut waits = Vec::new();
    for (name, service) in &services {
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let healthy = how["condition"] == "service_healthy";
            assert_eq!(
                healthy,
                other != WITHOUT_A_CHECK,
                "{name} waits for {other}"
            );
            waits.push(format!("{name} {other}"));
        }
    }
    waits.sort();
    assert_eq!(
        waits,
        [
            "demo otel-collector",
            "grafana jaeger",
            "grafana prometheus",
            "otel-collector jaeger",
            "taskpulse otel-collector",
            "traffic demo",
        ]
    );
}

#[test]
fn what_is_mounted_is_there_and_cannot_be_written() {
    let declared = yaml(COMPOSE)["volumes"].take();
    for (name, service) in services() {
        for volume in service.get("volumes").map(list).into_iter().flatten() {
            let parts: Vec<_> = string(volume).split(':').collect();
            match parts[..] {
                [source, target, "ro"] if source.starts_with("./") => {
                    assert!(
                        place(source).exists(),
                        "{name} mounts {source}, which is not there"
                    );
                    assert!(target.starts_with('/'), "{name}: {target}");
                }
                [volume, _] => assert!(declared.get(volume).is_some(), "{name}: {volume}"),
                _ => panic!("{name} mounts {volume}"),
            }
        }
    }
}

/// Built once, and never looked for at a registry.
#[test]
fn the_image_is_built_here() {
    let services = services();
    assert_eq!(services["taskpulse"]["build"]["context"], ".");
    for name in ["demo", "traffic"] {
        assert!(services[name].get("build").is_none(), "{name}");
        assert_eq!(services[name]["pull_policy"], "never", "{name}");
    }
    assert_eq!(services["traffic"]["command"], json!(["traffic"]));
}
