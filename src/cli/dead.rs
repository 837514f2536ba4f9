//! `mixvideo dead`: messages that were set aside.

use clap::Subcommand;
use serde_json::json;

use super::client::Client;
use super::table::print_list;
use super::{Error, Remote, print_json};

/// What to do with messages that were set aside.
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
    /// Lists them, by id
    List {
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Shows one with its body and the reason
    Show {
        /// Its id, such as task/task_0193:2:0
        id: String,
    },
    /// Puts it back under the same id, to be tried again
    Replay {
        /// Its id
        id: String,
    },
    /// Forgets it for good
    Drop {
        /// Its id
        id: String,
    },
}

/// Asks the running server.
pub(super) async fn run(args: Args) -> Result<(), Error> {
    let client = Client::new(&args.remote.server, args.remote.key)?;
    let (id, order, done) = match args.action {
        Action::List { limit } => {
            let answer = client.get(&["ops", "dead"], &[("limit", &limit.to_string())]).await?;
            let columns = ["id", "to", "lane", "deaths", "diedAt", "reason"];
            print_list(&answer, args.json, "nothing is set aside", &columns);
            return Ok(());
        }
        Action::Show { id } => {
            print_json(&client.get(&["ops", "dead", &id], &[]).await?);
            return Ok(());
        }
        Action::Replay { id } => (id, "replay", "goes on"),
        Action::Drop { id } => (id, "drop", "is forgotten"),
    };
    let answer = client.post(&["ops", "dead", &id, order], &json!({})).await?;
    if args.json {
        print_json(&answer);
    } else {
        say!("{id} {done}");
    }
    Ok(())
}
