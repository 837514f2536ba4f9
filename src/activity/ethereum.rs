//! Calls to the node of a chain, and to the key of the treasury, as the machine of senders orders them.
//!
//! A call never fails as an activity: what was found out, silence included, is a [`Fact`]. Any of them may be carried out
//! twice: a look only reads, the same order signs the same bytes, and a chain takes the same bytes once.

use mixvideo_ethereum::{self as chain, Address, Key, Node, U256};

use crate::domain::ethereum_address::EthereumAddress;
use crate::domain::sender::{Account, Ask, Asset, At, Call, Fact, Found, Signed, Transfer, Units, View};

/// The node of a chain, and the key that coins go out under.
#[derive(Clone, Debug)]
pub struct Treasury {
    node: Node,
    key: Key,
}

impl Treasury {
    /// The treasury of `key`, on the chain of `node`.
    #[must_use]
    pub const fn new(node: Node, key: Key) -> Self {
        Self { node, key }
    }

    /// Its address.
    ///
    /// # Errors
    /// When nobody could have its key.
    pub fn address(&self) -> Result<EthereumAddress, crate::domain::ethereum_address::Malformed> {
        EthereumAddress::parse(&self.key.address().to_string())
    }

    /// Carries one call out and says what was found out.
    pub async fn carry_out(&self, call: &Call) -> Fact {
        let Account { address, chain_id } = call.account;
        if self.key.address() != written(address) {
            return Fact::Silent { why: format!("the key of {address} is not configured any more") };
        }
        match &call.ask {
            Ask::Look { hashes, tokens } => match self.look(hashes, tokens).await {
                Ok(view) => Fact::Seen(Box::new(view)),
                Err(error) => Fact::Silent { why: error.to_string() },
            },
            Ask::Sign { nonce, transfer, gas, fees } => {
                let Transfer { to, asset, units } = *transfer;
                let token = match asset {
                    Asset::Native => None,
                    Asset::Token(contract) => Some(written(contract)),
                };
                let fees = chain::Fees { max: fees.max, tip: fees.tip };
                let (nonce, gas, to, units) = (*nonce, *gas, written(to), U256::from(units.0));
                match (chain::Transfer { chain_id, nonce, gas, fees, to, token, units }).sign(&self.key) {
                    Ok(chain::Signed { raw, hash }) => Fact::Signed(Signed { raw, hash }),
                    Err(why) => Fact::Silent { why },
                }
            }
            Ask::Broadcast { signed } => match self.node.broadcast(&signed.raw).await {
                Ok(()) => Fact::Taken,
                Err(chain::Error::Refused(why)) => Fact::Refused { why },
                Err(error) => Fact::Silent { why: error.to_string() },
            },
        }
    }

    async fn look(&self, hashes: &[String], tokens: &[EthereumAddress]) -> Result<View, chain::Error> {
        let contracts: Vec<Address> = tokens.iter().copied().map(written).collect();
        let standing = self.node.standing(self.key.address(), &contracts).await?;
        let read = |hash: &String| hash.parse().map_err(|_| chain::Error::Unreadable(format!("`{hash}` is no hash")));
        let wanted = hashes.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let places = self.node.find(&wanted, standing.head).await?;
        let found = |(hash, at): (&String, chain::At)| {
            let at = match at {
                chain::At::Nowhere => return None,
                chain::At::Waiting => At::Waiting,
                chain::At::Mined { block, succeeded } => At::Mined { block, succeeded },
            };
            Some(Found { hash: hash.clone(), at })
        };
        let held = standing.tokens.iter().map(|held| Units(held.saturating_to()));
        Ok(View {
            chain_id: standing.chain_id,
            head: standing.head,
            nonce: standing.nonce,
            pending_nonce: standing.pending_nonce,
            base_fee: standing.base_fee,
            tip: standing.tip,
            balance: Units(standing.balance.saturating_to()),
            tokens: tokens.iter().copied().zip(held).collect(),
            found: hashes.iter().zip(places).filter_map(found).collect(),
        })
    }
}

fn written(address: EthereumAddress) -> Address {
    Address::from(address.bytes())
}

#[cfg(test)]
#[path = "ethereum_tests.rs"]
mod tests;
