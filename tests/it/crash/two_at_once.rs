//! What runs beside a server: another server is refused, the command line is not.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::service::{Service, noop};

#[tokio::test]
async fn a_second_server_on_the_same_file_is_refused_at_once_with_a_sentence() {
    let mut service = Service::sqlite().await;
    service.start_with_templates().await;
    let begun = Instant::now();
    let second = service.run(&["serve"]).await;
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("data/mixvideo.db already: stop it first"), "{said}");
    assert!(second.stdout.is_empty());
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
    // The first one takes no harm.
    service.caller.make("after", &noop()).await;
    service.caller.until_completed("after").await;
    // A lock of the dead is no lock.
    service.kill().await;
    service.start().await;
    assert_eq!(service.caller.task("after").await["status"], "completed");
}

#[tokio::test]
async fn the_command_line_works_beside_a_running_server() {
    let mut service = Service::sqlite().await;
    service.start_with_templates().await;
    service.caller.make("listed", &noop()).await;
    service.caller.until_completed("listed").await;
    let json = async |arguments: &[&str]| -> Value { serde_json::from_str(&service.told(arguments).await).unwrap() };

    let key = service.told(&["keys", "create", "--role", "client", "--client-id", "shop"]).await;
    let seen = service.caller.clone().with_key(key.trim()).get("/templates").await;
    assert_eq!(seen.status, 200, "a key made beside the server does not work: {}", seen.body);
    let keys = json(&["keys", "list", "--json"]).await;
    assert_eq!(keys.as_array().unwrap().len(), 2, "{keys}");

    let actors = json(&["actors", "list", "--kind", "task", "--json"]).await;
    assert_eq!(actors["actors"][0]["id"], "task/listed", "{actors}");
    let actor = json(&["actors", "show", "task/listed"]).await;
    assert_eq!((&actor["status"], &actor["version"]), (&"completed".into(), &2.into()), "{actor}");
    assert_eq!(service.told(&["dead", "list"]).await.trim(), "nothing is set aside");
    let doctor = json(&["doctor", "--json"]).await;
    assert_eq!(doctor["ok"], true, "{doctor:#}");
}
