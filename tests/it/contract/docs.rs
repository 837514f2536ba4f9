//! The pages at `/docs`, in a real browser.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use super::api::Api;
use crate::oidc::provider::directory;
use crate::server::{send, served};

/// Far longer than a browser takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn the_pages_list_every_operation_and_ask_nobody_else() {
    served(async |server| {
        let mut run = Command::new("node");
        run.arg("docs.mjs").arg(format!("{}/docs", server.base)).current_dir(directory()).kill_on_drop(true);
        let output = tokio::time::timeout(LIMIT, run.output()).await.unwrap().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let seen: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("the browser failed: {out} {err}"));
        assert_eq!((&seen["complaints"], &seen["elsewhere"]), (&json!([]), &json!([])), "{seen}");
        let api = Api::read();
        let described: BTreeSet<String> = api
            .operations()
            .map(|operation| format!("{} {}", operation.method.to_lowercase(), operation.path))
            .collect();
        let listed = seen["operations"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned());
        assert_eq!(listed.collect::<BTreeSet<_>>(), described);
        let opened = seen["opened"].as_str().unwrap();
        for word in ["Idempotency-Key", "templateCode", "photo-to-video", "x-error-code", "422"] {
            assert!(opened.contains(word), "{word}: {opened}");
        }
    });
}

#[test]
fn the_pages_may_load_nothing_from_elsewhere_and_have_no_other_files() {
    served(async |server| {
        let door = send(server.bare(Method::GET, "/docs")).await;
        assert_eq!((door.status.as_u16(), door.header("location")), (308, "docs/"));
        for (file, kind) in [("", "text/html"), ("index.html", "text/html"), ("swagger-ui.css", "text/css")] {
            let page = send(server.bare(Method::GET, &format!("/docs/{file}"))).await;
            assert_eq!(page.status, 200, "{file}");
            assert!(page.header("content-type").starts_with(kind), "{file}");
            let policy = page.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        }
        for path in ["/docs/nothing", "/docs/../health", "/docs/%2e%2e/Cargo.toml", "/docs//etc/passwd"] {
            let status = send(server.bare(Method::GET, path)).await.status;
            assert!(status == 404 || path.contains("health"), "{path}: {status}");
        }
    });
}
