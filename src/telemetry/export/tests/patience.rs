//! How often a batch is sent again, and when it is given up.

use super::*;

#[test]
fn a_batch_is_sent_again_while_its_time_lasts() {
    let collector = Collector::start(Manner::RefuseFirst(2, 503));
    let way = Way::to(
        collector.address,
        &[("OTEL_EXPORTER_OTLP_TIMEOUT", "60000")],
    );
    way.end(10);
    way.provider.force_flush().unwrap();
    assert_eq!(way.fate().exported, 10);
    assert_eq!(way.failures(), 0);
    // What is wrong with the request stays wrong.
    collector.behave(Manner::RefuseFirst(1, 400));
    way.end(10);
    way.provider.force_flush().unwrap_err();
    assert_eq!(way.fate().failed, 10);
    assert_eq!(way.failures(), 1);
}

#[test]
fn a_retry_waits_as_long_as_the_collector_wants() {
    // The last of these is more than a clock can take.
    for line in ["retry-after: 60", "retry-after: 18446744073709551615"] {
        let collector = Collector::start(Manner::Refuse(429, line));
        let way = Way::to(collector.address, &[("OTEL_BSP_EXPORT_TIMEOUT", "300")]);
        way.end(10);
        way.provider.force_flush().unwrap_err();
        let waits = Fate {
            queue: 10,
            ..Fate::default()
        };
        assert_eq!(way.fate(), waits, "{line}");
        collector.received(|all| assert_eq!(all.len(), 1, "{line}"));
    }
}

#[test]
fn an_outage_that_outlasts_a_batchs_time_loses_nothing() {
    let collector = Collector::start(Manner::RefuseFirst(4, 503));
    let way = Way::to(collector.address, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "150")]);
    way.end(10);
    way.provider.force_flush().unwrap();
    let exported = Fate {
        exported: 10,
        ..Fate::default()
    };
    assert_eq!(way.fate(), exported);
    assert_eq!(way.failures(), 1, "that it took so long is counted");
}

#[test]
fn a_shutdown_cuts_retries_short() {
    let variables = [("OTEL_EXPORTER_OTLP_TIMEOUT", "600000")];
    let way = Way::to(Collector::nobody(), &variables);
    way.end(10);
    let begun = Instant::now();
    way.provider.shutdown_with_timeout(DEADLINE).unwrap();
    assert!(begun.elapsed() < DEADLINE);
    assert_eq!(way.fate(), failed(10));
}

#[test]
fn a_batch_that_may_have_arrived_is_given_up() {
    for manner in [Manner::Hang, Manner::Close, Manner::Refuse(502, "")] {
        let collector = Collector::start(manner);
        // So short that each attempt is a round.
        let way = Way::to(collector.address, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "100")]);
        way.end(10);
        way.provider.force_flush().unwrap_err();
        assert_eq!(way.fate(), failed(10), "{manner:?}");
        assert_eq!(way.failures(), 1, "counted once: {manner:?}");
        collector.received(|all| {
            assert!(all.len() <= 3, "{manner:?}: {}", all.len());
            // The same ten spans each time, so a collector can tell.
            let same = all.iter().all(|request| request.body == all[0].body);
            assert!(same && all.iter().all(|request| spans(request) == 10));
        });
        // Nothing holds up what comes after it.
        collector.behave(Manner::Accept);
        way.end(1);
        way.provider.force_flush().unwrap();
        assert_eq!(way.fate().exported, 1, "{manner:?}");
        assert_eq!(way.failures(), 1, "{manner:?}");
    }
}

#[test]
fn what_cannot_have_arrived_is_kept() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "50"),
        // Enough for more rounds than there are for what is in doubt.
        ("OTEL_BSP_EXPORT_TIMEOUT", "1000"),
    ];
    let way = Way::to(Collector::nobody(), &variables);
    way.end(10);
    way.provider.force_flush().unwrap_err();
    let waits = Fate {
        queue: 10,
        ..Fate::default()
    };
    assert_eq!((way.fate(), way.failures()), (waits, 1));
}
