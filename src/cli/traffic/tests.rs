use std::{fmt, sync::Mutex};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
};

use super::{behaviours::BEHAVIOURS, *};

/// What is logged, as `name=value`.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Said {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut &*self);
    }
}

impl Visit for &Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.lock().unwrap().push(format!("{field}={value:?}"));
    }
}

impl Said {
    /// What of it is about this field.
    fn of(&self, name: &str) -> Vec<String> {
        let start = format!("{name}=");
        let mut said = self.0.lock().unwrap().clone();
        said.retain(|pair| pair.starts_with(&start));
        said
    }
}

#[tokio::test(start_paused = true)]
async fn a_minute_is_told_when_it_is_over() {
    let said = Said::default();
    let _guard =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(said.clone()));
    let tally = Tally::default();
    let work = async {
        for requests in [3, 2, 0] {
            for _ in 0..requests {
                tally.sends(&BEHAVIOURS[1]);
            }
            let before = said.of("message").len();
            sleep(MINUTE - Duration::from_millis(10)).await;
            assert_eq!(said.of("message").len(), before);
            sleep(Duration::from_millis(11)).await;
            assert_eq!(said.of("message").len(), before + 1);
        }
    };
    tokio::select! {
        () = tell(&tally) => {}
        () = work => {}
    }
    assert_eq!(
        said.of("requests"),
        ["requests=3", "requests=2", "requests=0"]
    );
    assert_eq!(said.of("message"), ["message=traffic of a minute"; 3]);
    assert_eq!(said.of("seconds"), ["seconds=60"; 3]);
}
