//! The step that publishes a working file as the task's result.
//!
//! `{ "file": key, "kind": "video" | "image" }` -> `{ "kind", "file", "type", "bytes" }`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::settings::Settings;
use super::storage::media_type;
use super::{Activities, Running};
use crate::domain::Failure;

/// What a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
enum Kind {
    Video,
    Image,
}

pub(super) async fn run(activities: &Activities, running: Running<'_>) -> Result<Value, Failure> {
    let settings = Settings::of(running.call, &["file", "kind"])?;
    let names = "video, image";
    let kind: Kind =
        settings.choice("kind", names)?.ok_or_else(|| settings.fault("kind", &format!("one of {names}")))?;
    let file = settings.working_file("file")?;
    let ending = match kind {
        Kind::Video => "mp4",
        Kind::Image => "jpg",
    };
    if file.rsplit_once('.').map(|(_, found)| found) != Some(ending) {
        return Err(settings.fault("file", &format!("a file that ends in .{ending}")));
    }
    let name: &str = kind.into();
    let published = format!("results/{}/{name}.{ending}", running.call.task);
    activities.storage.copy(file, &published).await?;
    let bytes = activities.storage.size(&published).await?;
    Ok(json!({ "kind": kind, "file": published, "type": media_type(&published), "bytes": bytes }))
}
