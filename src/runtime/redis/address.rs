//! Where Redis is: one server, a master that Sentinels know, or a Cluster.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, TlsMode};
use url::Url;

/// The port of Redis where none is named.
const PORT: u16 = 6_379;
/// The port of Sentinel where none is named.
const SENTINEL_PORT: u16 = 26_379;

/// How Redis is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One server.
    Single,
    /// The master of this name, as the Sentinels know it.
    Sentinel {
        /// The master's name.
        master: String,
    },
    /// A Cluster.
    Cluster,
}

impl Mode {
    /// The mode in a word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Single => "single server",
            Self::Sentinel { .. } => "Sentinel",
            Self::Cluster => "Cluster",
        }
    }
}

/// The address of a Redis, as `redis.url` says it:
///
/// - `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, one server
/// - `redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT],.../MASTER[/DATABASE]`, the Sentinels; user and password are
///   for the master, those of the Sentinels follow as `?sentinel_user=USER&sentinel_password=PASSWORD`
/// - `redis+cluster://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT],...`, some nodes of a Cluster
///
/// With `rediss` in place of `redis` every connection is encrypted. User and password are percent-encoded.
#[derive(Clone)]
pub struct Address {
    pub(super) mode: Mode,
    /// The server, the Sentinels, or the nodes that are asked for the others.
    pub(super) seeds: Vec<ConnectionInfo>,
    /// How to log in to the servers that hold data.
    pub(super) login: RedisConnectionInfo,
    pub(super) encrypted: bool,
    shown: String,
}

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressFault(pub &'static str);

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// [`AddressFault`], a sentence about what it must be.
    pub fn parse(text: &str) -> Result<Self, AddressFault> {
        let (scheme, rest) = text.split_once("://").ok_or(FORM)?;
        let (encrypted, mode) = match scheme {
            "redis" => (false, ""),
            "rediss" => (true, ""),
            "redis+sentinel" => (false, "sentinel"),
            "rediss+sentinel" => (true, "sentinel"),
            "redis+cluster" => (false, "cluster"),
            "rediss+cluster" => (true, "cluster"),
            _ => return Err(FORM),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (login, sentinel_login) = (log_in(user)?, sentinel_login(query, mode == "sentinel")?);
        let shown = if user.is_empty() { authority.to_owned() } else { format!("...@{hosts}") };
        let (mode, database, port, seed_login) = match mode {
            "sentinel" => {
                let (master, database) = path.split_once('/').unwrap_or((path, ""));
                if master.is_empty() {
                    return Err(AddressFault(
                        "must name the master after the Sentinels: redis+sentinel://HOST:PORT/MASTER",
                    ));
                }
                (Mode::Sentinel { master: master.to_owned() }, database, SENTINEL_PORT, sentinel_login)
            }
            "cluster" if !path.is_empty() => {
                return Err(AddressFault("must not name a database: a Cluster has only one"));
            }
            "cluster" => (Mode::Cluster, "", PORT, login.clone()),
            _ => (Mode::Single, path, PORT, login.clone()),
        };
        let database = match database {
            "" => 0,
            number => number.parse().map_err(|_| AddressFault("must have a number as its database, such as /0"))?,
        };
        let login = login.set_db(database);
        let seed_login = if mode == Mode::Single { login.clone() } else { seed_login };
        let seeds =
            hosts.split(',').map(|host| seed(host, port, encrypted, &seed_login)).collect::<Result<Vec<_>, _>>()?;
        if mode == Mode::Single && seeds.len() > 1 {
            return Err(AddressFault("names several servers: say redis+cluster:// or redis+sentinel://"));
        }
        let shown = if path.is_empty() { format!("{scheme}://{shown}") } else { format!("{scheme}://{shown}/{path}") };
        Ok(Self { mode, seeds, login, encrypted, shown })
    }

    /// How Redis is run.
    #[must_use]
    pub const fn mode(&self) -> &Mode {
        &self.mode
    }

    pub(super) fn tls(&self) -> Option<TlsMode> {
        self.encrypted.then_some(TlsMode::Secure)
    }
}

impl std::fmt::Display for Address {
    /// Without its password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

const FORM: AddressFault = AddressFault(
    "must begin with redis:// or rediss:// (one server), redis+sentinel:// or redis+cluster://, also with rediss",
);
const LOGIN: AddressFault = AddressFault("must have its user and password as USER:PASSWORD@, percent-encoded");

/// `USER:PASSWORD`, either of which may be empty.
fn log_in(text: &str) -> Result<RedisConnectionInfo, AddressFault> {
    if text.is_empty() {
        return Ok(RedisConnectionInfo::default());
    }
    let (user, password) = text.split_once(':').ok_or(LOGIN)?;
    Ok(credentials(&decoded(user)?, &decoded(password)?))
}

fn credentials(user: &str, password: &str) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default();
    if !user.is_empty() {
        login = login.set_username(user);
    }
    if !password.is_empty() {
        login = login.set_password(password);
    }
    login
}

fn sentinel_login(query: &str, allowed: bool) -> Result<RedisConnectionInfo, AddressFault> {
    let (mut user, mut password) = (String::new(), String::new());
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "sentinel_user" if allowed => user = value.into_owned(),
            "sentinel_password" if allowed => password = value.into_owned(),
            _ => {
                return Err(AddressFault(
                    "has a query that is not known: only sentinel_user and sentinel_password are",
                ));
            }
        }
    }
    Ok(credentials(&user, &password))
}

/// The URL parser decodes what stands before the `@` of an ordinary address.
fn decoded(text: &str) -> Result<String, AddressFault> {
    let pair = format!("a={}", text.replace('+', "%2B"));
    let (_, decoded) = url::form_urlencoded::parse(pair.as_bytes()).next().ok_or(LOGIN)?;
    Ok(decoded.into_owned())
}

fn seed(host: &str, port: u16, encrypted: bool, login: &RedisConnectionInfo) -> Result<ConnectionInfo, AddressFault> {
    const HOST: AddressFault = AddressFault("must name its servers as HOST or HOST:PORT, separated by commas");
    let url = Url::parse(&format!("redis://{host}")).map_err(|_| HOST)?;
    let name = url.host_str().filter(|name| !name.is_empty()).ok_or(HOST)?;
    // As the resolver wants it, not as an address writes it.
    let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port().unwrap_or(port);
    let addr = if encrypted {
        ConnectionAddr::TcpTls { host: name, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(name, port)
    };
    let info = addr.into_connection_info().map_err(|_| HOST)?;
    Ok(info.set_redis_settings(login.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(text: &str) -> Vec<String> {
        Address::parse(text).unwrap().seeds.iter().map(|seed| seed.addr().to_string()).collect()
    }

    fn fault(text: &str) -> &'static str {
        Address::parse(text).unwrap_err().0
    }

    #[test]
    fn one_server_has_a_port_a_login_and_a_database() {
        let address = Address::parse("redis://me:a%40b@cache.local/3").unwrap();
        assert_eq!(address.mode(), &Mode::Single);
        assert_eq!(seeds("redis://me:a%40b@cache.local/3"), ["cache.local:6379"]);
        let login = address.seeds[0].redis_settings();
        assert_eq!((login.username(), login.password(), login.db()), (Some("me"), Some("a@b"), 3));
        assert_eq!(seeds("redis://[::1]:7000"), ["::1:7000"]);
    }

    #[test]
    fn sentinels_know_a_master_and_have_a_login_of_their_own() {
        let text = "redis+sentinel://:secret@one:1,two/main/2?sentinel_password=other";
        let address = Address::parse(text).unwrap();
        assert_eq!(address.mode(), &Mode::Sentinel { master: "main".to_owned() });
        assert_eq!(seeds(text), ["one:1", "two:26379"]);
        assert_eq!((address.login.password(), address.login.db()), (Some("secret"), 2));
        let login = address.seeds[1].redis_settings();
        assert_eq!((login.password(), login.db()), (Some("other"), 0));
    }

    #[test]
    fn nodes_of_a_cluster_are_separated_by_commas() {
        assert_eq!(seeds("redis+cluster://a:7000,b:7001"), ["a:7000", "b:7001"]);
        assert!(Address::parse("rediss+cluster://a").unwrap().encrypted);
    }

    #[test]
    fn password_is_not_shown() {
        for text in
            ["redis://me:hush@h/1", "redis+sentinel://:hush@h/main?sentinel_password=hush", "redis+cluster://:hush@h"]
        {
            let address = Address::parse(text).unwrap();
            assert!(!format!("{address} {address:?}").contains("hush"), "{address}");
        }
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_with_a_sentence() {
        assert_eq!(fault("http://h"), FORM.0);
        assert_eq!(fault("h:6379"), FORM.0);
        assert!(fault("redis://a,b").contains("several servers"));
        assert!(fault("redis://h/x").contains("a number"));
        assert!(fault("redis://").contains("HOST"));
        assert!(fault("redis://h:99999").contains("HOST"));
        assert!(fault("redis+sentinel://h").contains("master"));
        assert!(fault("redis+cluster://h/1").contains("database"));
        assert!(fault("redis://h?x=1").contains("query"));
        assert!(fault("redis://only-a-user@h").contains("USER:PASSWORD"));
    }
}
