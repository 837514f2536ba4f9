//! A real node with a chain of its own (anvil), which obeys: blocks come when they are asked for, and go away again.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The chain's number, unless an argument names another.
pub const CHAIN: u64 = 31_337;
/// An address with 10,000 coins.
pub const RICH: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
/// Its key, which everybody knows.
pub const RICH_KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A token (ERC-20) that does no more than it must: whoever puts it on the chain has 10^12 units, a balance is kept under its
/// holder's address, a transfer of more than there is is undone, and each transfer is logged.
const TOKEN: &str = concat!(
    "0x",
    "67000000e8d4a51000335560808060166000396000f360003560e01c806370a0823114601e5763a9059cbb14602b5760006000fd5b6004",
    "355460005260206000f35b3354602435808210607a57809103335560043580548201815590600052337fddf252ad1be2c89b69c2b068fc",
    "378daa952ba7f163c4a11628f55a4df523b3ef60206000a3600160005260206000f35b60006000fd",
);

/// A node; it ends with this.
pub struct Anvil {
    url: String,
    http: reqwest::Client,
    child: Child,
}

impl Anvil {
    /// A node that makes no block by itself.
    pub async fn start() -> Self {
        Self::start_with(&["--no-mining"]).await
    }

    /// A node with arguments of its own.
    pub async fn start_with(arguments: &[&str]) -> Self {
        let modules =
            Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("tests/anvil/node_modules"));
        let program = modules
            .map(|modules| modules.join("@foundry-rs/anvil-linux-amd64/bin/anvil"))
            .find(|program| program.exists())
            .expect("run `bash tests/run.sh`: it installs the node");
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--port", "0"]).args(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = tokio::time::timeout(PATIENCE, async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it says where it listens");
                if let Some(address) = line.strip_prefix("Listening on ") {
                    return address.to_owned();
                }
            }
        });
        let address = address.await.expect("it listens in time");
        // What it goes on to say is taken, so that it never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { url: format!("http://{address}"), http: reqwest::Client::new(), child }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends it.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it something, and has its result.
    pub async fn call(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = self.http.post(&self.url).body(body.to_string()).header("content-type", "application/json");
        let answer = answer.send().await.unwrap().text().await.unwrap();
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Makes so many blocks.
    pub async fn mine(&self, blocks: u64) {
        self.call("anvil_mine", json!([format!("{blocks:#x}")])).await;
    }

    /// Replaces the newest blocks by empty ones: what was in them is gone.
    pub async fn reorg(&self, depth: u64) {
        self.call("anvil_reorg", json!([depth, []])).await;
    }

    /// Forgets a transaction that is in no block.
    pub async fn drop_transaction(&self, hash: &str) {
        self.call("anvil_dropTransaction", json!([hash])).await;
    }

    /// What the next block takes for a unit of gas, in wei.
    pub async fn price(&self, wei: u64) {
        self.call("anvil_setNextBlockBaseFeePerGas", json!([format!("{wei:#x}")])).await;
    }

    /// What an address has, in wei.
    pub async fn balance(&self, address: &str) -> u128 {
        let balance = self.call("eth_getBalance", json!([address, "latest"])).await;
        u128::from_str_radix(balance.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    /// Puts a token on the chain, all of it [`RICH`]'s, and has its contract's address.
    pub async fn token(&self) -> String {
        let order = json!([{ "from": RICH, "data": TOKEN, "gas": "0x100000" }]);
        let hash = self.call("eth_sendTransaction", order).await;
        self.mine(1).await;
        let receipt = self.call("eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        receipt["contractAddress"].as_str().unwrap().to_owned()
    }
}
