//! Which bucket a call takes from: the kind of route, and who calls.

use std::net::{IpAddr, Ipv6Addr};

use crate::auth::roles::{Access, Method, Route};

/// A kind of route. Each caller has a bucket for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Class {
    /// Reads, by a key or a person.
    Reading,
    /// Makes or changes something.
    Creating,
    /// Begins a checkout or a refund.
    Money,
    /// Needs no key: probes, descriptions, pages, files; and what is no route at all.
    Open,
    /// Signing in.
    SignIn,
    /// What gateways and providers send.
    Webhook,
    /// Calls of whom no key and no token is known.
    Failed,
}

/// What begins a movement of money.
const MONEY: [&str; 6] =
    ["/payment/checkout/", "/payment/refund/", "/api/v2/payment/", "/v2/payment/", "/merchant/invoice/", "/refunds"];
/// What others send by themselves.
const WEBHOOKS: [&str; 2] = ["/payment/webhook", "/providers/"];
/// Signing in.
const SIGN_IN: &str = "/auth/google/";

impl Class {
    /// The class of a route.
    #[must_use]
    pub fn of(route: &Route) -> Self {
        let begins = |with: &&str| route.path.starts_with(*with);
        if route.access == Access::Open {
            return match route.path {
                path if path.starts_with(SIGN_IN) => Self::SignIn,
                _ if WEBHOOKS.iter().any(&begins) => Self::Webhook,
                _ => Self::Open,
            };
        }
        match route.method {
            Method::Post if MONEY.iter().any(begins) => Self::Money,
            Method::Get => Self::Reading,
            Method::GetOnce | Method::Post | Method::Put | Method::Delete => Self::Creating,
        }
    }
}

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A key's, by its public id.
    Key(&'a str),
    /// A person's, by the user's id.
    User(&'a str),
    /// An address's.
    Address(IpAddr),
}

impl Subject<'_> {
    /// The bucket's name.
    #[must_use]
    pub fn bucket(self, class: Class) -> String {
        let class: &str = class.into();
        match self {
            Self::Key(id) => format!("{class}:key:{id}"),
            Self::User(id) => format!("{class}:user:{id}"),
            Self::Address(ip) => format!("{class}:address:{}", household(ip)),
        }
    }
}

/// Who has an IPv6 address has its whole /64: those share a bucket.
fn household(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        ip @ IpAddr::V4(_) => ip,
    }
}

/// Whose call it is, where `proxies` of ours stand before the server and each adds to `X-Forwarded-For` whom it heard:
/// what callers themselves wrote in front of that is worth nothing. `lines` are the header's.
#[must_use]
pub fn address_of<'a>(peer: IpAddr, lines: impl Iterator<Item = &'a str>, proxies: usize) -> IpAddr {
    let Some(back) = proxies.checked_sub(1) else { return peer };
    let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let named = hops.len().checked_sub(1 + back).map(|at| hops[at]);
    named.and_then(|text| text.parse().ok()).unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::roles::ROUTES;

    fn class(method: &str, path: &str) -> Class {
        let found = ROUTES.iter().find(|route| route.path == path && route.method.names().contains(&method));
        Class::of(found.unwrap_or_else(|| panic!("{method} {path}")))
    }

    #[test]
    fn each_route_has_the_class_of_what_it_does() {
        for (method, path, wanted) in [
            ("GET", "/task/{taskId}", Class::Reading),
            ("POST", "/task/{taskId}", Class::Creating),
            ("GET", "/templates/init", Class::Creating),
            ("DELETE", "/templates/delete/{code}", Class::Creating),
            ("POST", "/payment/checkout/{templateCode}", Class::Money),
            ("POST", "/payment/refund/{paymentId}", Class::Money),
            ("POST", "/v2/payment/refunds", Class::Money),
            ("POST", "/refunds/partial", Class::Money),
            ("GET", "/refunds", Class::Reading),
            ("GET", "/payment/{paymentId}", Class::Reading),
            ("POST", "/payment/webhook", Class::Webhook),
            ("POST", "/providers/{provider}/callback/{capability}", Class::Webhook),
            ("GET", "/auth/google/authorize", Class::SignIn),
            ("POST", "/auth/google/exchange", Class::SignIn),
            ("POST", "/auth/google/refresh", Class::Creating),
            ("GET", "/health", Class::Open),
            ("POST", "/sandbox/checkout/{sessionId}/pay", Class::Open),
        ] {
            assert_eq!(class(method, path), wanted, "{method} {path}");
        }
    }

    #[test]
    fn a_bucket_is_of_one_class_and_one_caller_and_an_ipv6_household_is_one() {
        assert_eq!(Subject::Key("key_1").bucket(Class::Reading), "reading:key:key_1");
        assert_eq!(Subject::User("key_1").bucket(Class::SignIn), "sign_in:user:key_1");
        let bucket = |ip: &str| Subject::Address(ip.parse().unwrap()).bucket(Class::Open);
        assert_eq!(bucket("::ffff:192.0.2.1"), "open:address:192.0.2.1");
        assert_eq!(bucket("2001:db8:1:2:3::4"), bucket("2001:db8:1:2::"));
        assert_ne!(bucket("2001:db8:1:2::"), bucket("2001:db8:1:3::"));
    }

    #[test]
    fn only_what_our_own_proxies_wrote_is_believed() {
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        let of = |lines: &[&str], proxies| address_of(peer, lines.iter().copied(), proxies).to_string();
        assert_eq!(of(&["192.0.2.9"], 0), "10.0.0.1");
        assert_eq!(of(&["192.0.2.9"], 1), "192.0.2.9");
        assert_eq!(of(&["1.1.1.1, 192.0.2.9"], 1), "192.0.2.9", "a caller's own line");
        assert_eq!(of(&["1.1.1.1", "192.0.2.9, 10.0.0.2"], 2), "192.0.2.9");
        assert_eq!(of(&[], 1), "10.0.0.1");
        assert_eq!(of(&["nonsense"], 1), "10.0.0.1");
    }
}
