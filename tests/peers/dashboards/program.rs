//! A program of a user's own, whose task begins another every now and then, while
//! it shuts down as well. The example agent never does.

use std::{env, time::Duration};

use taskpulse::{App, Error, Tasks};

/// This test, as a program of its own.
pub(crate) const NAME: &str = "dashboards::program::steps";

/// The variable without which it does nothing, and its value.
pub(crate) const ASKED: (&str, &str) = ("TASKPULSE_TEST_STEPS", "1");

#[test]
fn steps() {
    if env::var(ASKED.0).is_ok_and(|value| value == ASKED.1) {
        let app = App::new().entrypoint(begin);
        app.on_start(|tasks| drop(begin_one(&tasks)))
            .run()
            .expect("it ends well");
    }
}

async fn begin(tasks: Tasks) -> Result<String, Error> {
    begin_one(&tasks).map(|()| "begun".to_owned())
}

fn begin_one(tasks: &Tasks) -> Result<(), Error> {
    let more = tasks.clone();
    let steps = tasks.begin("steps").spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if let Ok(step) = more.begin("step").start() {
                step.succeed();
            }
        }
        #[expect(unreachable_code, reason = "says what the task gives")]
        Ok::<(), String>(())
    });
    steps.map(drop)
}
