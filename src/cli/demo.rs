//! `mixvideo demo`: the whole service in this process, and one picture through it.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Map, json};

use super::client::Client;
use super::progress::Progress;
use super::{Error, database, print_json, task};
use crate::app::App;
use crate::auth::api_key::{self, NewKey, Role};
use crate::config::{Config, Flag, Sources};
use crate::runtime::clock::{Clock, SystemClock};

/// The picture that comes with the program.
pub(super) const PICTURE: &[u8] = include_bytes!("../../assets/demo.jpg");
/// The bundled template that is shown.
const TEMPLATE: &str = "photo-to-video";
/// How long the demonstration's key works, in milliseconds.
const KEY_LIFETIME_MS: i64 = 3_600_000;

/// Where things go.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the video goes
    #[arg(long, value_name = "FILE", default_value = "mixvideo-demo.mp4")]
    out: PathBuf,
    /// Where the service keeps its data
    #[arg(long, value_name = "DIRECTORY", default_value = "data/demo")]
    data: PathBuf,
    /// Answer in JSON, without a bar
    #[arg(long)]
    json: bool,
}

/// Starts the service, sends the picture through its HTTP API, and leaves the video.
pub(super) async fn run(args: Args) -> Result<(), Error> {
    let began = Instant::now();
    let config = configuration(&args)?;
    super::log(&config)?;
    let app = App::start(config.clone()).await?;
    let made = make(app.base_url(), &config, &args).await;
    app.drain().await;
    let (id, bytes) = made?;
    let seconds = began.elapsed().as_secs_f64();
    if args.json {
        print_json(&json!({ "taskId": id, "path": args.out, "bytes": bytes, "seconds": seconds }));
    } else {
        say!("{} is a video of {} KB, made in {seconds:.1} s", args.out.display(), bytes.div_ceil(1_024));
    }
    Ok(())
}

/// The embedded defaults, whatever else is configured here.
fn configuration(args: &Args) -> Result<Config, Error> {
    let mut flags = super::kept_in(&args.data, "--data");
    for (key, value) in [("server.bind", "127.0.0.1:0"), ("log.level", "warn")] {
        flags.push(Flag { name: "demo", key, value: value.to_owned() });
    }
    Ok(Config::load(&Sources { flags, ..Sources::default() })?)
}

async fn make(server: &str, config: &Config, args: &Args) -> Result<(String, u64), Error> {
    let now = SystemClock.now();
    let db = database::connect(&config.database).await?;
    let key = NewKey {
        role: Role::Operator,
        client_id: None,
        name: "demo".to_owned(),
        expires_at: Some(now.plus_ms(KEY_LIFETIME_MS)),
        receivers: Vec::new(),
    };
    let (_, key) = api_key::create(&db, key, now).await?;
    db.close().await?;
    let client = Client::new(server, Some(key))?;
    // Templates that an earlier run imported are reported there and stay as they are.
    client.get(&["templates", "init"], &[]).await?;
    if !args.json {
        eprintln!("the service runs at {server}; a bundled picture goes to the template `{TEMPLATE}`");
    }
    let id = task::execute(&client, TEMPLATE, Some(task::picture(PICTURE)?), Map::new()).await?;
    let ended = task::watch(&client, &id, &mut Progress::new(TEMPLATE, args.json)).await?;
    let saved = task::save(&client, &ended, Some(args.out.clone())).await?;
    let (_, bytes) = saved.ok_or_else(|| Error::Failed("the template made no file".to_owned()))?;
    Ok((id, bytes))
}
