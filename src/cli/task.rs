//! A task of a running server: made, watched to its end, and its result saved.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Error;
use super::client::Client;
use super::progress::Progress;

/// Seconds that the server is asked to hold one answer back until the task ends.
const WAIT_S: &str = "2";
/// The rest before the server is asked again after it could not be reached.
const REST: Duration = Duration::from_millis(500);
/// How often in a row the server may not be reached before a watch ends.
const TRIES: u32 = 20;

/// A picture as the API takes it: a link, or the bytes themselves.
pub(super) fn picture(bytes: &[u8]) -> Result<String, Error> {
    let kind = match bytes {
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ => return Err(Error::Failed("the picture is not a JPEG, PNG or WebP".to_owned())),
    };
    Ok(format!("data:{kind};base64,{}", STANDARD.encode(bytes)))
}

/// Sends `picture` and `parameters` to a template and returns the task's id.
pub(super) async fn execute(
    client: &Client,
    template: &str,
    picture: Option<String>,
    mut parameters: Map<String, Value>,
) -> Result<String, Error> {
    parameters.extend(picture.map(|picture| ("imageUrl".to_owned(), picture.into())));
    let answer = client.post(&["templates", "execute", template], &parameters.into()).await?;
    answer["taskId"].as_str().map(str::to_owned).ok_or_else(|| Error::Failed(format!("no task came back: {answer}")))
}

/// Watches a task to its end and returns it as the server last showed it.
pub(super) async fn watch(client: &Client, id: &str, progress: &mut Progress) -> Result<Value, Error> {
    let mut failures = 0;
    loop {
        if let Ok(mut events) = client.events(&["task", id, "events"]).await {
            while let Some(event) = events.next().await {
                progress.at(event["progress"].as_u64().unwrap_or(0));
                if is_over(&event) {
                    break;
                }
            }
        }
        // The stream is for the eye; what became of the task is asked for.
        match client.get(&["task", id], &[("wait", WAIT_S)]).await {
            Ok(task) => {
                failures = 0;
                progress.at(task["progress"].as_u64().unwrap_or(0));
                if is_over(&task) {
                    progress.end();
                    return Ok(task);
                }
            }
            Err(error @ super::client::Error::Unreachable { .. }) if failures < TRIES => {
                tracing::debug!(%error, "the server is asked again");
                failures += 1;
                tokio::time::sleep(REST).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_over(task: &Value) -> bool {
    matches!(task["status"].as_str(), Some("completed" | "failed"))
}

/// Saves the result of a task that is over; where to, and how large it is. `None` when it made no file.
pub(super) async fn save(client: &Client, task: &Value, out: Option<PathBuf>) -> Result<Option<(PathBuf, u64)>, Error> {
    let id = task["id"].as_str().unwrap_or("task");
    if task["status"] == "failed" {
        let text = |name: &str, otherwise: &str| task["error"][name].as_str().unwrap_or(otherwise).to_owned();
        return Err(Error::Task {
            id: id.to_owned(),
            code: text("code", "unknown"),
            message: text("message", "no reason"),
        });
    }
    let result = &task["result"];
    let Some(link) = result["videoUrl"].as_str().or_else(|| result["imageUrl"].as_str()) else { return Ok(None) };
    let path = out.unwrap_or_else(|| PathBuf::from(format!("{id}.{}", ending(link))));
    let size = client.download(link, &path).await?;
    Ok(Some((path, size)))
}

/// What the file behind a link ends in.
fn ending(link: &str) -> &str {
    let path = link.split(['?', '#']).next().unwrap_or(link);
    Path::new(path).extension().and_then(|ending| ending.to_str()).unwrap_or("bin")
}

/// `key=value`; numbers, `true` and `false` are sent as such.
pub(super) fn parameter(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("it must read KEY=VALUE")?;
    let value = match serde_json::from_str(value) {
        Ok(plain @ (Value::Number(_) | Value::Bool(_))) => plain,
        _ => json!(value),
    };
    Ok((key.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_sent_with_its_own_type() {
        assert_eq!(picture(&[0xff, 0xd8, 0xff, 0]).unwrap(), "data:image/jpeg;base64,/9j/AA==");
        assert!(picture(b"\x89PNG\r\n\x1a\n").unwrap().starts_with("data:image/png;base64,"));
        assert!(picture(b"<svg/>").is_err());
    }

    #[test]
    fn parameters_keep_their_kind() {
        assert_eq!(parameter("seconds=3"), Ok(("seconds".into(), json!(3))));
        assert_eq!(parameter("loud=true"), Ok(("loud".into(), json!(true))));
        assert_eq!(parameter("move=pan_left"), Ok(("move".into(), json!("pan_left"))));
        assert_eq!(parameter("text=a=b"), Ok(("text".into(), json!("a=b"))));
        assert!(parameter("seconds").is_err());
        assert!(parameter("=3").is_err());
    }

    #[test]
    fn a_result_is_named_after_its_link() {
        assert_eq!(ending("http://h/files/results/a/video.mp4?expires=1&signature=2.3"), "mp4");
        assert_eq!(ending("/files/results/a/image.jpg"), "jpg");
    }
}
