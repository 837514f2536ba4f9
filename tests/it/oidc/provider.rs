//! The provider's process.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const LIMIT: Duration = Duration::from_secs(60);

/// Where the scripts are, and what they need.
pub fn directory() -> std::path::PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc");
    assert!(directory.join("node_modules/oidc-provider").exists(), "run `bash tests/run.sh`: it installs the provider");
    directory
}

/// A running provider; it ends with the test.
pub struct Oidc {
    pub base: String,
    http: reqwest::Client,
    child: tokio::sync::Mutex<Child>,
}

impl Oidc {
    pub async fn start(callback: &str) -> Self {
        let mut command = Command::new("node");
        command.arg("provider.mjs").arg(callback).current_dir(directory()).kill_on_drop(true);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(LIMIT, lines.next_line()).await.expect("it listens in time");
        let line = line.unwrap().expect("it says where it listens");
        let base = line.strip_prefix("listens on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { base, http: reqwest::Client::new(), child: tokio::sync::Mutex::new(child) }
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// How often a path was called.
    pub async fn calls(&self, path: &str) -> u64 {
        let counts: Value = self.http.get(self.at("/counts")).send().await.unwrap().json().await.unwrap();
        counts[path].as_u64().unwrap_or(0)
    }

    /// Revokes a token at the provider, as its application, behind our back.
    pub async fn revoke(&self, token: &str) {
        let form = [("token", token), ("client_id", "mixvideo"), ("client_secret", "mixvideo-secret")];
        let answer = self.http.post(self.at("/revoke")).form(&form).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// The tokens of a code, as the application that asked for it.
    pub async fn exchange(&self, form: &[(&str, &str)]) -> Value {
        self.http.post(self.at("/token")).form(form).send().await.unwrap().json().await.unwrap()
    }

    /// Ends it, as a provider that is down.
    pub async fn stop(&self) {
        self.child.lock().await.kill().await.unwrap();
    }
}
