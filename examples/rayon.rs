//! A parallel computation on rayon's threads, as one task.
//!
//! ```text
//! cargo run --release --example rayon
//! curl -X POST http://127.0.0.1:8080/invocations -d '{"below": 2000000}'
//! curl http://127.0.0.1:8080/tasks
//! ```
//!
//! The task's result is how many primes there are.

use axum::Json;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use serde::Deserialize;
use serde_json::{Value, json};
use taskpulse::{App, Error, Payload, TaskHandle, Tasks};
use tracing::info;

#[derive(Deserialize)]
struct Range {
    below: u64,
}

async fn handler(tasks: Tasks, Payload(range): Payload<Range>) -> Result<Json<Value>, Error> {
    let task = tasks.begin("primes").metadata("below", range.below);
    let task = task.start()?;
    let id = task.id();
    rayon::spawn(move || count(task, range.below));
    Ok(Json(json!({ "task_id": id })))
}

/// Holds the handle: a panic in here ends the task as `failed`.
fn count(task: TaskHandle, below: u64) {
    let primes = (2..below).into_par_iter().filter(|n| is_prime(*n)).count();
    task.in_scope(|| info!("{primes} primes below {below}"));
    task.succeed_with(primes);
}

fn is_prime(n: u64) -> bool {
    let mut divisors = (2..).take_while(|divisor| divisor * divisor <= n);
    divisors.all(|divisor| !n.is_multiple_of(divisor))
}

fn main() -> Result<(), Error> {
    App::new().entrypoint(handler).run()
}
