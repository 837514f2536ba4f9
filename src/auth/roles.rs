//! The one table of what may be called, and by whom. What is not in it does not exist.

use super::api_key::Role;

/// How a route is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads; HEAD works as well.
    Get,
    /// A GET that changes something: no HEAD, never stored by caches.
    GetOnce,
    /// Asks for something.
    Post,
    /// Replaces something.
    Put,
    /// Takes something away.
    Delete,
}

impl Method {
    /// The methods of HTTP that reach it.
    #[must_use]
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Get => &["GET", "HEAD"],
            Self::GetOnce => &["GET"],
            Self::Post => &["POST"],
            Self::Put => &["PUT"],
            Self::Delete => &["DELETE"],
        }
    }
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a key.
    Open,
    /// Whoever has a key. What belongs to another client is not found.
    Key,
    /// Operators.
    Operators,
}

impl Access {
    /// Whether a key of this role is enough.
    #[must_use]
    pub const fn admits(self, role: Role) -> bool {
        match (self, role) {
            (Self::Open | Self::Key, _) | (Self::Operators, Role::Operator) => true,
            (Self::Operators, Role::Client) => false,
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// How it is called.
    pub method: Method,
    /// Its path; `{name}` is one part of it, `{name:.*}` the rest.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
}

const fn route(method: Method, path: &'static str, access: Access) -> Route {
    Route { method, path, access }
}

/// Every route of the API.
pub const ROUTES: &[Route] = &[
    route(Method::Post, "/task", Access::Key),
    route(Method::Get, "/task/{taskId}", Access::Key),
    route(Method::Post, "/task/{taskId}", Access::Key),
    route(Method::Get, "/task/{taskId}/events", Access::Key),
    route(Method::Post, "/task/{taskId}/cancel", Access::Key),
    route(Method::Get, "/templates", Access::Key),
    route(Method::Post, "/templates", Access::Operators),
    route(Method::Get, "/templates/get/{code}", Access::Key),
    route(Method::Put, "/templates/update/{code}", Access::Operators),
    route(Method::Delete, "/templates/delete/{code}", Access::Operators),
    route(Method::Post, "/templates/activate/{code}", Access::Operators),
    route(Method::Post, "/templates/deactivate/{code}", Access::Operators),
    route(Method::Get, "/templates/revisions/{code}", Access::Operators),
    route(Method::Post, "/templates/bulk", Access::Operators),
    route(Method::Post, "/templates/execute/{code}", Access::Key),
    route(Method::Get, "/templates/execution/{taskId}/progress", Access::Key),
    route(Method::Get, "/templates/executions/user/{userId}", Access::Key),
    route(Method::Post, "/templates/sync/{code}", Access::Operators),
    route(Method::GetOnce, "/templates/sync-all-stripe", Access::Operators),
    route(Method::Get, "/templates/sync-status", Access::Operators),
    route(Method::Get, "/templates/verify-sync/{code}", Access::Operators),
    route(Method::Get, "/templates/diagnose-stripe", Access::Operators),
    route(Method::GetOnce, "/templates/init", Access::Operators),
    route(Method::Post, "/templates/test/create", Access::Operators),
    route(Method::Get, "/templates/health", Access::Open),
    route(Method::Post, "/payment/checkout/{templateCode}", Access::Key),
    route(Method::Post, "/payment/webhook", Access::Open),
    route(Method::GetOnce, "/payment/success", Access::Open),
    route(Method::GetOnce, "/payment/cancel", Access::Open),
    route(Method::Get, "/payment/history", Access::Key),
    route(Method::Get, "/payment/health", Access::Open),
    route(Method::Post, "/payment/refund/{paymentId}", Access::Key),
    route(Method::Get, "/payment/{paymentId}", Access::Key),
    route(Method::Get, "/files/{expires}/{signature}/{key:.*}", Access::Open),
    route(Method::Post, "/providers/{provider}/callback/{capability}", Access::Open),
    route(Method::Get, "/sandbox/checkout/{sessionId}", Access::Open),
    route(Method::Post, "/sandbox/checkout/{sessionId}/pay", Access::Open),
    route(Method::Post, "/sandbox/checkout/{sessionId}/decline", Access::Open),
    route(Method::Post, "/sandbox/checkout/{sessionId}/cancel", Access::Open),
    route(Method::Post, "/sandbox/checkout/{sessionId}/expire", Access::Open),
    route(Method::Get, "/health", Access::Open),
    route(Method::Get, "/health/live", Access::Open),
    route(Method::Get, "/health/ready", Access::Open),
    route(Method::Get, "/metrics", Access::Operators),
    route(Method::Get, "/openapi.json", Access::Open),
    route(Method::Get, "/ops/actors", Access::Operators),
    route(Method::Get, "/ops/actors/{id:.*}", Access::Operators),
    route(Method::Get, "/ops/attention", Access::Operators),
    route(Method::Post, "/ops/payments/{paymentId}/acknowledge", Access::Operators),
    route(Method::Post, "/ops/inputs/{inputId}/replay", Access::Operators),
    route(Method::Get, "/ops/dead", Access::Operators),
    route(Method::Post, "/ops/dead/{id:.*}/replay", Access::Operators),
    route(Method::Post, "/ops/dead/{id:.*}/drop", Access::Operators),
    route(Method::Get, "/ops/dead/{id:.*}", Access::Operators),
];

/// The rows of a path.
pub fn of_path(path: &str) -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(move |route| route.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_call_everything_but_what_operators_keep_to_themselves() {
        for route in ROUTES {
            assert!(route.access.admits(Role::Operator), "{}", route.path);
            assert_eq!(route.access.admits(Role::Client), route.access != Access::Operators, "{}", route.path);
        }
    }

    #[test]
    fn nothing_under_ops_is_open_to_anybody_but_operators() {
        let ops = ROUTES.iter().filter(|route| route.path.starts_with("/ops"));
        assert!(ops.clone().count() > 4);
        assert!(ops.clone().all(|route| route.access == Access::Operators));
    }

    #[test]
    fn no_route_stands_there_twice() {
        for (index, route) in ROUTES.iter().enumerate() {
            let same = |other: &&Route| {
                other.path == route.path && other.method.names().iter().any(|name| route.method.names().contains(name))
            };
            assert_eq!(ROUTES[index + 1..].iter().find(same), None);
        }
    }
}
