//! A definition that changes between two starts.

use super::service::{Service, film_of, longer_film, noop, png};

/// Other steps under the same name, and far less to do.
const NEW: &str = r#"
name = "video-generation-workflow"
description = "Nothing to see."
produces = "nothing"

[parameters.imageUrl]
kind = "picture"

[[steps]]
name = "ponder"
activity = "noop"
timeout = "30s"
"#;

#[tokio::test]
async fn a_task_under_way_ends_with_the_steps_it_began_with_and_a_new_one_takes_the_new() {
    let mut service = Service::sqlite().await;
    service.define("film.toml", &longer_film());
    service.start_with_templates().await;
    let caller = service.caller.clone();
    caller.make("old", &film_of(&png())).await;
    service.hold("old").await;
    service.kill().await;

    service.define("film.toml", NEW);
    service.start().await;
    caller.make("new", &film_of(&png())).await;
    caller.make("noop", &noop()).await;
    for id in ["new", "noop", "old"] {
        caller.until_completed(id).await;
    }
    assert_eq!(caller.steps("old").await, ["picture", "render", "store"]);
    assert_eq!(caller.steps("new").await, ["ponder"]);
    caller.assert_playable("old").await;
    let (old, new) = (caller.actor("old").await, caller.actor("new").await);
    let digest = |actor: &serde_json::Value| actor["state"]["workflow"]["digest"].as_str().unwrap().to_owned();
    assert_ne!(digest(&old), digest(&new));
    assert_eq!(caller.task("old").await["progress"], 100);
}

#[tokio::test]
async fn a_definition_that_cannot_be_read_stops_the_start_with_file_step_and_key() {
    let mut service = Service::sqlite().await;
    service.start_with_templates().await;
    assert_eq!(service.terminate().await, Some(0));
    service.define("broken.toml", &NEW.replace("timeout = \"30s\"", "timeout = \"soon\""));
    let output = service.run(&["serve"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["broken.toml", "ponder", "timeout", "soon"] {
        assert!(said.contains(part), "`{part}` is missing in {said}");
    }
}
