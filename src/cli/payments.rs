//! `mixvideo payments`: what operators do about payments of a running server.

use clap::Subcommand;
use serde_json::json;

use super::client::Client;
use super::{Error, Remote, print_json};

/// What to do about payments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    remote: Remote,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Asks the gateway for everything its webhooks may not have told, and about payments that wait
    Reconcile,
    /// Has one payment ask the gateway how it stands
    Sync {
        /// Its id, such as pay_0193
        id: String,
    },
    /// Executes a payment that is held because other money came than was asked for
    Release {
        /// Its id
        id: String,
    },
    /// Gives the money of a payment that is held back
    GiveBack {
        /// Its id
        id: String,
    },
}

/// Asks the running server.
pub(super) async fn run(args: Args) -> Result<(), Error> {
    let client = Client::new(&args.remote.server, args.remote.key)?;
    let post = async |path: &[&str]| client.post(path, &json!({})).await;
    let answer = match &args.action {
        Action::Reconcile => post(&["ops", "payments", "reconcile"]).await?,
        Action::Sync { id } => post(&["ops", "payments", id, "sync"]).await?,
        Action::Release { id } => post(&["ops", "payments", id, "release"]).await?,
        Action::GiveBack { id } => post(&["ops", "payments", id, "give-back"]).await?,
    };
    if args.json {
        print_json(&answer);
        return Ok(());
    }
    match args.action {
        Action::Reconcile => say!(
            "{} events looked at, {} of them new, {} left for the next time; {} payments asked{}",
            answer["events"],
            answer["told"],
            answer["left"],
            answer["asked"],
            if answer["more"] == true { "; there is more: run it again" } else { "" }
        ),
        Action::Sync { id } | Action::Release { id } | Action::GiveBack { id } => {
            say!("{id} is {}", answer["status"].as_str().unwrap_or("unknown"));
        }
    }
    Ok(())
}
