//! The one table of what may be called, and by whom. What is not in it does not exist.

/// What a caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Runs the service: may do everything.
    Operator,
    /// An application: sees what it asked for itself.
    Client,
    /// A person who signed in: sees what is theirs. Keys are never a person's.
    #[value(skip)]
    User,
}

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
    /// Whoever has a key or signed in. What belongs to another is not found.
    Key,
    /// Whoever has a key: applications and operators.
    Clients,
    /// People who signed in, about themselves.
    Users,
    /// Operators.
    Operators,
}

impl Access {
    /// Whether a caller of this role is let in.
    #[must_use]
    pub const fn admits(self, role: Role) -> bool {
        match (self, role) {
            (Self::Open | Self::Key, _)
            | (Self::Clients, Role::Client | Role::Operator)
            | (Self::Users, Role::User)
            | (Self::Operators, Role::Operator) => true,
            (Self::Clients, Role::User)
            | (Self::Users, Role::Client | Role::Operator)
            | (Self::Operators, Role::Client | Role::User) => false,
        }
    }
}

/// What makes a task: who asked stands in the task's own history, and it may be asked for thousands of times a second.
const SPEAKS_FOR_ITSELF: [&str; 3] = ["/task", "/task/{taskId}", "/templates/execute/{code}"];

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

impl Route {
    /// Whether it is written down when an operator calls it: whatever changes something.
    #[must_use]
    pub fn is_audited(&self) -> bool {
        self.method != Method::Get && self.access != Access::Open && !SPEAKS_FOR_ITSELF.contains(&self.path)
    }
}

const fn route(method: Method, path: &'static str, access: Access) -> Route {
    Route { method, path, access }
}

/// Every route of the API.
pub const ROUTES: &[Route] = &[
    route(Method::GetOnce, "/auth/google/authorize", Access::Open),
    route(Method::GetOnce, "/auth/google/callback", Access::Open),
    route(Method::Post, "/auth/google/exchange", Access::Open),
    route(Method::Post, "/auth/google/refresh", Access::Key),
    route(Method::Get, "/auth/google/userinfo", Access::Users),
    route(Method::Post, "/auth/google/revoke", Access::Key),
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
    route(Method::Post, "/payment/refund/{paymentId}", Access::Clients),
    route(Method::Get, "/payment/{paymentId}", Access::Key),
    route(Method::Post, "/api/v2/payment/refunds", Access::Clients),
    route(Method::Post, "/v2/payment/refunds", Access::Clients),
    route(Method::Post, "/merchant/invoice/mark_refund", Access::Clients),
    route(Method::Get, "/refunds", Access::Key),
    route(Method::Post, "/refunds", Access::Clients),
    route(Method::Post, "/refunds/partial", Access::Clients),
    route(Method::Get, "/refunds/{id}", Access::Key),
    route(Method::Get, "/files/{expires}/{signature}/{key:.*}", Access::Open),
    route(Method::Post, "/providers/{provider}/callback/{capability}", Access::Open),
    route(Method::Get, "/sandbox/shop", Access::Open),
    route(Method::Post, "/sandbox/shop/{templateCode}", Access::Open),
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
    route(Method::Get, "/docs", Access::Open),
    route(Method::Get, "/docs/{file:.*}", Access::Open),
    route(Method::Get, "/ops/actors", Access::Operators),
    route(Method::Get, "/ops/actors/{id:.*}", Access::Operators),
    route(Method::Get, "/ops/attention", Access::Operators),
    route(Method::Post, "/ops/payments", Access::Operators),
    route(Method::Post, "/ops/payments/reconcile", Access::Operators),
    route(Method::Post, "/ops/payments/{paymentId}/sync", Access::Operators),
    route(Method::Post, "/ops/payments/{paymentId}/release", Access::Operators),
    route(Method::Post, "/ops/payments/{paymentId}/give-back", Access::Operators),
    route(Method::Post, "/ops/payments/{paymentId}/acknowledge", Access::Operators),
    route(Method::Post, "/ops/payments/{paymentId}/withdraw", Access::Operators),
    route(Method::Post, "/ops/refunds/{refundId}/sync", Access::Operators),
    route(Method::Post, "/ops/refunds/{refundId}/paid", Access::Operators),
    route(Method::Post, "/ops/refunds/{refundId}/failed", Access::Operators),
    route(Method::Post, "/ops/inputs/{inputId}/replay", Access::Operators),
    route(Method::Get, "/ops/dead", Access::Operators),
    route(Method::Post, "/ops/dead/{id:.*}/replay", Access::Operators),
    route(Method::Post, "/ops/dead/{id:.*}/drop", Access::Operators),
    route(Method::Get, "/ops/dead/{id:.*}", Access::Operators),
    route(Method::Get, "/ops/keys", Access::Operators),
    route(Method::Post, "/ops/keys", Access::Operators),
    route(Method::Post, "/ops/keys/{id}/rotate", Access::Operators),
    route(Method::Post, "/ops/keys/{id}/revoke", Access::Operators),
    route(Method::Get, "/ops/audit", Access::Operators),
];

/// The rows of a path.
pub fn of_path(path: &str) -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(move |route| route.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_is_let_in_where_its_row_says() {
        let admitted = |access: Access| [Role::Operator, Role::Client, Role::User].map(|role| access.admits(role));
        assert_eq!(admitted(Access::Open), [true, true, true]);
        assert_eq!(admitted(Access::Key), [true, true, true]);
        assert_eq!(admitted(Access::Clients), [true, true, false]);
        assert_eq!(admitted(Access::Users), [false, false, true]);
        assert_eq!(admitted(Access::Operators), [true, false, false]);
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let documented = include_str!("ROLES.md");
        let rows = ROUTES.iter().map(|route| {
            let method = route.method.names()[0];
            let may = |role| if route.access.admits(role) { "yes" } else { "-" };
            let nobody = if route.access == Access::Open { "yes" } else { "-" };
            let [user, client, operator] = [Role::User, Role::Client, Role::Operator].map(may);
            format!("| `{method} {}` | {nobody} | {user} | {client} | {operator} |", route.path.replace(":.*", ""))
        });
        let rows: Vec<String> = rows.collect();
        let shown: Vec<&str> = documented.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(shown, rows, "put these rows into src/auth/ROLES.md:\n{}", rows.join("\n"));
    }

    #[test]
    fn what_operators_change_is_written_down_and_what_is_read_is_not() {
        let audited = |method, path| {
            let found = ROUTES.iter().find(|route| route.method == method && route.path == path);
            found.unwrap_or_else(|| panic!("{path}")).is_audited()
        };
        assert!(audited(Method::Post, "/ops/dead/{id:.*}/drop"));
        assert!(audited(Method::Post, "/task/{taskId}/cancel"));
        assert!(audited(Method::GetOnce, "/templates/init"));
        assert!(!audited(Method::Get, "/ops/dead"));
        assert!(!audited(Method::Post, "/task"));
        assert!(!audited(Method::Post, "/auth/google/exchange"));
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
