//! What may be fetched, as far as the link itself tells. No name is looked up here.

use std::net::IpAddr;

use reqwest::Url;
use serde::Deserialize;
use url::Host;

use super::address;

/// The longest link, in bytes.
const LENGTH_MAX: usize = 2_048;
/// The ports that are fetched from: a link must not make the server talk to mail or database servers.
const PORTS: [u16; 4] = [80, 443, 8_080, 8_443];

/// Why a link is not followed: each a sentence that its sender can act on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// Longer than any sensible link.
    #[error("the link has more than {LENGTH_MAX} characters")]
    TooLong,
    /// Not a URL.
    #[error("the link is no valid URL: {0}")]
    Malformed(String),
    /// Another scheme.
    #[error("the link begins with `{0}:`; only http and https links are followed")]
    Scheme(String),
    /// A name or password before the host.
    #[error("the link holds a user name or a password; send one that works without")]
    Credentials,
    /// Another port.
    #[error("the link names port {0}; only 80, 443, 8080 and 8443 are followed")]
    Port(u16),
    /// An address that is not of the public internet, written as such or found behind the name.
    #[error("the link leads to `{host}`, which is not on the public internet")]
    NotPublic {
        /// The host, as the link names it. What its name leads to is nobody's business outside.
        host: String,
    },
}

impl LinkFault {
    /// The stable code of the failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong | Self::Malformed(_) => "link_malformed",
            Self::Scheme(_) => "link_scheme_unsupported",
            Self::Credentials => "link_with_credentials",
            Self::Port(_) => "link_port_refused",
            Self::NotPublic { .. } => "link_address_refused",
        }
    }
}

/// A host of `fetch.allow_hosts`: any port, or one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AllowedHost {
    host: Host,
    port: Option<u16>,
}

impl std::str::FromStr for AllowedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a host such as `images.local`, or a host and port such as `127.0.0.1:9000`");
        // A colon within brackets belongs to an IPv6 address.
        let (host, port) = match text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        // A star would be a name that no link has.
        if host.contains('*') {
            return Err(wrong());
        }
        Ok(Self { host: Host::parse(host).map_err(|_| wrong())?, port })
    }
}

impl TryFrom<String> for AllowedHost {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What is followed.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) allowed: Vec<AllowedHost>,
    /// What an address is when it must not be talked to.
    pub(super) not_public: fn(IpAddr) -> Option<&'static str>,
    /// Which ports are fetched from.
    pub(super) port: fn(u16) -> bool,
}

impl Rules {
    pub(super) fn new(allowed: Vec<AllowedHost>) -> Self {
        Self { allowed, not_public: address::not_public, port: |port| PORTS.contains(&port) }
    }

    /// The URL that `text` is, when it may be followed.
    pub(super) fn read(&self, text: &str) -> Result<Url, LinkFault> {
        if text.len() > LENGTH_MAX {
            return Err(LinkFault::TooLong);
        }
        let url = Url::parse(text).map_err(|error| LinkFault::Malformed(error.to_string()))?;
        self.check(&url)?;
        Ok(url)
    }

    /// Whether `url` may be followed, as far as it tells by itself.
    pub(super) fn check(&self, url: &Url) -> Result<(), LinkFault> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(LinkFault::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(LinkFault::Credentials);
        }
        if self.allows(url) {
            return Ok(());
        }
        if let Some(port) = url.port_or_known_default().filter(|port| !(self.port)(*port)) {
            return Err(LinkFault::Port(port));
        }
        // The library has read every spelling of an address (127.1, 0x7f000001, 2130706433) by now.
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(LinkFault::Malformed("it names no host".into())),
        };
        match (self.not_public)(address) {
            Some(_) => Err(LinkFault::NotPublic { host: host_of(url) }),
            None => Ok(()),
        }
    }

    /// Whether the configuration lets `url` through, wherever it leads.
    pub(super) fn allows(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        let host = url.host().map(|host| host.to_owned());
        self.allowed
            .iter()
            .any(|entry| Some(&entry.host) == host.as_ref() && (entry.port.is_none() || entry.port == port))
    }
}

pub(super) fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allowed: &[&str]) -> Rules {
        Rules::new(allowed.iter().map(|entry| entry.parse().unwrap()).collect())
    }

    fn code(link: &str) -> &'static str {
        rules(&[]).read(link).unwrap_err().code()
    }

    #[test]
    fn an_address_that_is_not_public_is_refused_in_every_spelling() {
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0x7F.0x0.0x0.0x1",
            "017700000001",
            "0177.0.0.1",
            "0177.0x0.1",
            "127.0.0.1.",
            "0",
            "0.0.0.0",
            "0x0",
            "00.00.00.00",
            "%31%32%37.0.0.1",
            "127%2e0%2e0%2e1",
            "①②⑦.⓪.⓪.①",
            "１２７.０.０.１",
            "127。0。0。1",
            "127．0.0.1",
            "169.254.169.254",
            "2852039166",
            "0xA9FEA9FE",
            "0xa9.0xfe.0xa9.0xfe",
            "0251.0376.0251.0376",
            "169.254.43518",
            "10.1",
            "192.168.1",
            "172.16.1",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "4294967295",
            "[::]",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[0000::0001]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:FFFF:7F00:0001]",
            "[::FFFF:169.254.169.254]",
            "[::127.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:7f00:1::]",
            "[2001::1]",
            "[fd00:ec2::254]",
            "[FD00:EC2::254]",
            "[fe80::1]",
            "[fec0::1]",
            "[fc00::1]",
            "[ff02::1]",
            "[2001:db8::1]",
        ] {
            assert_eq!(code(&format!("http://{host}/a.jpg")), "link_address_refused", "{host}");
            assert_eq!(code(&format!("HTTPS://{host}:443/a.jpg")), "link_address_refused", "{host}");
            assert_eq!(code(&format!("http://{host}\\@example.com/")), "link_address_refused", "{host}");
        }
    }

    #[test]
    fn what_is_no_plain_link_is_refused_by_its_own_name() {
        for (link, expected) in [
            ("file:///etc/passwd", "link_scheme_unsupported"),
            ("FILE://127.0.0.1/etc/passwd", "link_scheme_unsupported"),
            ("ftp://example.com/a.jpg", "link_scheme_unsupported"),
            ("gopher://127.0.0.1:6379/_x", "link_scheme_unsupported"),
            ("data:image/png;base64,AAAA", "link_scheme_unsupported"),
            ("http://user@example.com/", "link_with_credentials"),
            ("http://:secret@example.com/", "link_with_credentials"),
            ("http://example.com@127.0.0.1/", "link_with_credentials"),
            ("http://example.com:80@127.0.0.1/", "link_with_credentials"),
            ("http://example.com:25/", "link_port_refused"),
            ("https://example.com:6379/", "link_port_refused"),
            ("http://example.com:0/", "link_port_refused"),
            ("http://127.0.0.1:5432/", "link_port_refused"),
            ("", "link_malformed"),
            ("a.jpg", "link_malformed"),
            ("http://", "link_malformed"),
            ("http://[fe80::1%25eth0]/", "link_malformed"),
            ("http://[fe80::1%eth0]/", "link_malformed"),
            ("http://256.256.256.256/", "link_malformed"),
            ("http://1.2.3.4.5/", "link_malformed"),
            ("http://0x7g.1/", "link_malformed"),
            ("http://exa mple.com/", "link_malformed"),
            ("http://example.com:99999/", "link_malformed"),
            (&format!("http://example.com/{}", "a".repeat(LENGTH_MAX)), "link_malformed"),
        ] {
            assert_eq!(code(link), expected, "{link}");
        }
    }

    #[test]
    fn public_links_are_read() {
        for link in [
            "http://example.com/a.jpg",
            "https://EXAMPLE.com:443/a.jpg?x=http://127.0.0.1/#part",
            "https://example.com:8443",
            "http://8.8.8.8:8080/",
            "https://[2606:4700::1111]/a.jpg",
            "https://bücher.example/ä.jpg",
            "https://127.0.0.1.example.com/",
        ] {
            rules(&[]).read(link).unwrap_or_else(|fault| panic!("{link}: {fault}"));
        }
    }

    #[test]
    fn a_host_that_is_allowed_is_let_through_on_its_port_alone() {
        let rules = rules(&["127.0.0.1:9000", "Images.LOCAL", "[::1]", "[::1]:9000", "https.local:443"]);
        for link in [
            "http://127.0.0.1:9000/",
            "http://127.1:9000/",
            "http://images.local:6379/",
            "https://images.local/",
            "http://[::1]:1/",
            "https://https.local/",
        ] {
            assert!(rules.read(link).is_ok_and(|url| rules.allows(&url)), "{link}");
        }
        for link in ["http://127.0.0.1:9001/", "http://127.0.0.1/", "http://[::2]/", "http://a.images.local:9000/"] {
            assert!(rules.read(link).is_err(), "{link}");
        }
        assert_eq!(rules.read("ftp://images.local/").unwrap_err().code(), "link_scheme_unsupported");
        assert_eq!(rules.read("http://me@images.local/").unwrap_err().code(), "link_with_credentials");
        for wrong in ["", "http://images.local", "images.local:", "images.local:x", "a b", "::1", "10.0.0.0/8", "*"] {
            assert!(wrong.parse::<AllowedHost>().is_err(), "{wrong}");
        }
    }
}
