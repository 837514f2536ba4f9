//! A script that runs within the server: its steps happen together or not at all.

use redis::{Cmd, ToRedisArgs};

use super::error::Error;
use super::{FromRedisValue, Redis};

/// A script in Lua. It is known to a server by its digest; one that does not know it, for having been restarted or taken
/// the place of another, is given the text.
///
/// The keys it is given lie in one slot, and so must those that it makes of them.
pub struct Script {
    inner: redis::Script,
    text: &'static str,
}

impl Script {
    /// The script of this text.
    #[must_use]
    pub fn new(text: &'static str) -> Self {
        Self { inner: redis::Script::new(text), text }
    }

    /// Runs the script with one key and these arguments.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_certain`] tells whether it may have run all the same.
    pub async fn run<T: FromRedisValue>(&self, redis: &Redis, key: &str, args: &Args) -> Result<T, Error> {
        let known = redis.query(&args.command("EVALSHA", self.inner.get_hash(), key)).await;
        match known {
            Err(error) if error.is_unknown_script() => redis.query(&args.command("EVAL", self.text, key)).await,
            answer => answer,
        }
    }
}

/// The arguments of a script, in turn.
#[derive(Default)]
pub struct Args(Vec<Vec<u8>>);

impl Args {
    /// Adds one.
    pub fn push(&mut self, arg: impl ToRedisArgs) {
        arg.write_redis_args(&mut self.0);
    }

    /// Adds one and goes on.
    #[must_use]
    pub fn with(mut self, arg: impl ToRedisArgs) -> Self {
        self.push(arg);
        self
    }

    fn command(&self, verb: &str, script: &str, key: &str) -> Cmd {
        let mut command = redis::cmd(verb);
        command.arg(script).arg(1).arg(key).arg(&self.0);
        command
    }
}
