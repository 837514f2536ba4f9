//! `mixvideo keys`: on the database itself, also while a server runs on it.

use clap::Subcommand;
use sea_orm::DatabaseConnection;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::table::print_list;
use super::{Error, database, print_json};
use crate::auth::api_key::{self, NewKey, Role};
use crate::config::Config;
use crate::domain::Timestamp;
use crate::runtime::clock::{Clock, SystemClock};
use crate::runtime::journal;
use crate::store::audit::{self, AuditRow};

/// What to do with keys.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes a key and prints it alone; it is shown this once
    Create {
        /// What it may do
        #[arg(long)]
        role: Role,
        /// The client it acts for, with --role client
        #[arg(long)]
        client_id: Option<String>,
        /// A receiver that it may act for, with --role client; may be given again
        #[arg(long = "receiver", value_name = "RECEIVER")]
        receivers: Vec<String>,
        /// A name for people
        #[arg(long, default_value = "")]
        name: String,
        /// How long it works, such as 12h, 30d or 52w [default: for ever]
        #[arg(long, value_name = "DURATION", value_parser = milliseconds)]
        expires: Option<i64>,
    },
    /// Lists keys, without the keys themselves
    List,
    /// Makes a key that takes another one's place and prints it alone; the old one works on for a while
    Rotate {
        /// Its id, from `keys list`
        id: String,
        /// For how long the old one works beside the new one
        #[arg(long, value_name = "DURATION", value_parser = milliseconds, default_value = "24h")]
        overlap: i64,
    },
    /// Ends a key
    Revoke {
        /// Its id, from `keys list`
        id: String,
    },
}

/// Reads and writes keys.
pub(super) async fn run(args: Args, config: &Config) -> Result<(), Error> {
    if let Action::Create { role: Role::Operator, client_id, receivers, .. } = &args.action
        && (client_id.is_some() || !receivers.is_empty())
    {
        let why = "an operator acts for everybody: leave out --client-id and --receiver, or make a --role client key";
        return Err(Error::Usage(why.to_owned()));
    }
    let now = SystemClock.now();
    journal::migrate(config.database.address()).await?;
    let db = database::connect(&config.database).await?;
    match args.action {
        Action::Create { role, client_id, receivers, name, expires } => {
            let expires_at = expires.map(|lifetime| now.plus_ms(lifetime));
            let made = api_key::create(&db, NewKey { role, client_id, name, expires_at, receivers }, now).await?;
            note(&db, "keys create", &made.0, now).await?;
            show(made, args.json);
        }
        Action::Rotate { id, overlap } => {
            if overlap > api_key::OVERLAP_MS_MAX {
                return Err(Error::Usage("--overlap is at most 30d".to_owned()));
            }
            let made = api_key::rotate(&db, &id, overlap, now).await?;
            let made = made.ok_or_else(|| Error::Missing(format!("working key {id}")))?;
            note(&db, &format!("keys rotate {id}"), &made.0, now).await?;
            show(made, args.json);
        }
        Action::List => {
            let time = |at: Option<i64>| at.map(|at| rfc3339(Timestamp(at)));
            let rows = api_key::list(&db).await?.into_iter().map(|key| {
                json!({ "id": key.id, "role": key.role, "clientId": key.client_id, "name": key.name,
                    "receivers": api_key::receivers(&key),
                    "createdAt": time(Some(key.created_at)), "expiresAt": time(key.expires_at),
                    "revokedAt": time(key.revoked_at), "lastUsedAt": time(key.last_used_at) })
            });
            let columns = ["id", "role", "clientId", "name", "createdAt", "expiresAt"];
            print_list(
                &rows.collect(),
                args.json,
                "no keys; `mixvideo keys create --role operator` makes one",
                &columns,
            );
        }
        Action::Revoke { id } => {
            if !api_key::revoke(&db, &id, now).await? {
                return Err(Error::Missing(format!("key {id}")));
            }
            note(&db, "keys revoke", &id, now).await?;
            if args.json {
                print_json(&json!({ "id": id, "revoked": true }));
            } else {
                say!("{id} no longer works");
            }
        }
    }
    Ok(())
}

fn show((id, key): (String, SecretString), as_json: bool) {
    if as_json {
        print_json(&json!({ "id": id, "key": key.expose_secret() }));
    } else {
        say!("{}", key.expose_secret());
    }
}

/// What is done here lands in the audit log as what is done over HTTP does.
async fn note(db: &DatabaseConnection, what: &str, target: &str, now: Timestamp) -> Result<(), Error> {
    let row = AuditRow {
        id: format!("audit_{}", uuid::Uuid::now_v7().simple()),
        at: now.0,
        by_id: "command line".to_owned(),
        action: format!("mixvideo {what}"),
        target: Some(target.to_owned()),
        trace_id: String::new(),
        status: Some(200),
    };
    Ok(audit::note(db, row).await?)
}

/// `30d` in milliseconds.
fn milliseconds(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is not a duration such as 90m, 12h, 30d or 52w");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong()),
    };
    let count: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    if count == 0 { Err(wrong()) } else { Ok(i64::from(count) * seconds * 1_000) }
}

fn rfc3339(time: Timestamp) -> String {
    chrono::DateTime::from_timestamp_millis(time.0)
        .map_or_else(|| time.0.to_string(), |time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        assert_eq!(milliseconds("90s"), Ok(90_000));
        assert_eq!(milliseconds("30d"), Ok(30 * 86_400_000));
        assert_eq!(milliseconds("2w"), Ok(14 * 86_400_000));
        for text in ["", "d", "30", "0d", "-1d", "1y", "3ä", "99999999999d"] {
            assert!(milliseconds(text).is_err(), "{text}");
        }
    }
}
