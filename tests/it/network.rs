//! A network of its own for one process, whose links can be cut: a namespace with a pair of virtual cables for each thing it
//! talks to. What is sent into a cut cable vanishes without a word, as on a real network.
//!
//! Servers under test listen on 127.0.0.1, which is another one inside of the namespace: at the near end of each cable a
//! forwarder hands on what arrives.

use std::process::Command;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("`ip` cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`ip {}`: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

fn must(arguments: &[&str]) {
    ip(arguments).unwrap_or_else(|reason| panic!("this test needs root and the package iproute2: {reason}"));
}

/// A pair of virtual cables ends, and who is reached through it.
#[derive(Debug)]
pub struct Cable {
    near_name: String,
    near_address: String,
    far_address: String,
    _forwarder: Option<AbortOnDropHandle<()>>,
}

impl Cable {
    /// What is sent from now on vanishes, in both directions.
    pub fn cut(&self) {
        must(&["link", "set", &self.near_name, "down"]);
    }

    /// What is sent from now on arrives again.
    pub fn mend(&self) {
        must(&["link", "set", &self.near_name, "up"]);
    }

    /// The address of this end.
    pub fn near(&self) -> &str {
        &self.near_address
    }

    /// The address of the end in the namespace.
    pub fn far(&self) -> &str {
        &self.far_address
    }
}

/// A namespace, gone with its value.
#[derive(Debug)]
pub struct Network {
    name: String,
    cables: u8,
    /// Two parts of the addresses of all cables.
    block: (u8, u8),
}

impl Network {
    /// An empty one.
    pub fn new() -> Self {
        let block: (u8, u8) = (rand::random_range(64..128), rand::random());
        let name = format!("mv{:x}n{:02x}{:02x}", std::process::id(), block.0, block.1);
        must(&["netns", "add", &name]);
        let network = Self { name, cables: 0, block };
        must(&["-n", &network.name, "link", "set", "lo", "up"]);
        network
    }

    /// The namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A cable to nobody in particular: this test reaches the process through it.
    pub fn cable(&mut self) -> Cable {
        let number = self.cables;
        self.cables += 1;
        let (near, far) = (format!("mv{:02x}{:02x}c{number}", self.block.0, self.block.1), format!("far{number}"));
        let address = |last: u8| format!("10.{}.{}.{}", self.block.0, self.block.1, number * 4 + last);
        let (near_address, far_address) = (address(1), address(2));
        must(&["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", &self.name]);
        must(&["addr", "add", &format!("{near_address}/30"), "dev", &near]);
        must(&["link", "set", &near, "up"]);
        must(&["-n", &self.name, "addr", "add", &format!("{far_address}/30"), "dev", &far]);
        must(&["-n", &self.name, "link", "set", &far, "up"]);
        Cable { near_name: near, near_address, far_address, _forwarder: None }
    }

    /// A cable to the server on this port of 127.0.0.1, which the process finds at the near end under the same port.
    pub async fn cable_to(&mut self, port: u16) -> Cable {
        let cable = self.cable();
        let listener = TcpListener::bind((cable.near(), port)).await.unwrap();
        let forwarder = tokio::spawn(async move {
            loop {
                let (mut inner, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    if let Ok(mut outer) = TcpStream::connect(("127.0.0.1", port)).await {
                        // Either end may go at any time.
                        let _ = copy_bidirectional(&mut inner, &mut outer).await;
                    }
                });
            }
        });
        Cable { _forwarder: Some(AbortOnDropHandle::new(forwarder)), ..cable }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The cables go with it.
        if let Err(reason) = ip(&["netns", "delete", &self.name]) {
            eprintln!("a namespace is left behind: {reason}");
        }
    }
}
