//! From a host's name to addresses, checked in the moment in which they are used.
//!
//! The check stands inside the connector: it connects to the very answer that was checked, and there is no second
//! question that another answer could be given to.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Who knows the addresses of a name.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// All addresses of `host`.
    ///
    /// # Errors
    /// When there is none, or nobody could be asked.
    async fn addresses(&self, host: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// The machine's own resolver.
#[derive(Debug)]
pub(super) struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn addresses(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Why a name leads nowhere. Travels through the HTTP library as the cause of its error.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("the name is not known")]
    Unknown(#[source] Option<std::io::Error>),
    #[error("one of its addresses, {address}, is {what}")]
    NotPublic { address: IpAddr, what: &'static str },
}

/// The resolver of a connector. One address that is not public is enough to refuse them all: whoever gives such an
/// answer means no good.
pub(super) struct Checked {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) not_public: fn(IpAddr) -> Option<&'static str>,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, not_public) = (self.resolver.clone(), self.not_public);
        Box::pin(async move {
            let addresses = resolver.addresses(name.as_str()).await.map_err(|error| Fault::Unknown(Some(error)))?;
            if addresses.is_empty() {
                return Err(Fault::Unknown(None).into());
            }
            for address in &addresses {
                if let Some(what) = not_public(*address) {
                    return Err(Fault::NotPublic { address: *address, what }.into());
                }
            }
            // Port 0 stands for the link's own.
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}
