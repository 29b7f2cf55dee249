//! The "Async Processing" agent of the AgentCore documentation, on port 8080.
use axum::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use taskpulse::{App, Error, Payload, Tasks};
use tracing::info;
mod work;

#[derive(Debug, Deserialize)]
#[serde(expecting = "a JSON object such as {\"action\": \"process\"}")]
pub struct Event {
    #[serde(default = "work::info")]
    pub action: String,
    #[serde(default = "work::default_data")]
    data_id: String,
    #[serde(flatten)]
    pub work: work::Work,
}

pub async fn handler(tasks: Tasks, Payload(event): Payload<Event>) -> Result<Json<Value>, Error> {
    Ok(Json(match event.action.as_str() {
        "process" => {
            let message = format!("Started processing {}", event.data_id);
            let task = tasks.begin("data_processing");
            let task = task.metadata("data_id", &event.data_id).spawn(async move {
                info!("Processing data: {}", event.data_id);
                event.work.run(30.0).await?; // Simulate processing work.
                info!("Completed processing: {}", event.data_id);
                Ok::<_, String>(format!("Processed {}", event.data_id))
            })?;
            json!({ "message": message, "task_id": task.id(), "status": "processing" })
        }
        "cleanup" => {
            let task = tasks.begin("cleanup").spawn(async move {
                info!("Starting cleanup...");
                event.work.run(10.0).await?;
                info!("Cleanup completed");
                Ok::<_, String>("Cleanup done")
            })?;
            json!({ "message": "Started cleanup", "task_id": task.id() })
        }
        "status" => {
            let (info, status) = (tasks.get_async_task_info(), tasks.get_current_ping_status());
            json!({ "ping_status": status, "active_tasks": info.active_count, "running_jobs": info.running_jobs })
        }
        _ => json!({ "message": "Simple BedrockAgentCore Agent",
            "available_actions": ["process", "cleanup", "status"],
            "usage": "Send {'action': 'process', 'data_id': 'my_data'}" }),
    }))
}

pub fn starting(_: Tasks) {
    info!("Starting simple BedrockAgentCore agent...");
    info!("The agent will automatically report 'HealthyBusy' when processing tasks");
}

fn main() -> Result<(), Error> {
    App::new().entrypoint(handler).on_start(starting).run()
}
