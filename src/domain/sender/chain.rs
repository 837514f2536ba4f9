//! What a sender asks of the chain's node and of its key, and what it hears: the chain's own words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::domain::Failure;
use crate::domain::ethereum_address::EthereumAddress;

/// The gas that a transfer of the chain's own coin may use: more than the 21,000 that it costs to an address without code,
/// so that a wallet which is a contract can take it too. What is not used is not paid.
const GAS_NATIVE: u64 = 100_000;
/// The gas that a transfer of a token may use: the common ones take 35,000 to 90,000.
const GAS_TOKEN: u64 = 150_000;

/// How much of something, in its smallest unit (wei); written as a decimal text, because JSON's numbers end at 53 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Units(pub u128);

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Units {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// An address on one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The chain's number (EIP-155).
    pub chain_id: u64,
    /// The address.
    pub address: EthereumAddress,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asset {
    /// The chain's own coin.
    Native,
    /// A token (ERC-20), by the address of its contract.
    Token(EthereumAddress),
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => f.write_str("wei of the chain's own coin"),
            Self::Token(contract) => write!(f, "units of the token {contract}"),
        }
    }
}

/// One transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// To whom.
    pub to: EthereumAddress,
    /// Of what.
    pub asset: Asset,
    /// How much.
    pub units: Units,
}

impl Transfer {
    /// The gas that it may use.
    #[must_use]
    pub const fn gas(&self) -> u64 {
        match self.asset {
            Asset::Native => GAS_NATIVE,
            Asset::Token(_) => GAS_TOKEN,
        }
    }
}

/// What is paid for a unit of gas (EIP-1559), in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    /// At most, in all.
    pub max: u64,
    /// Of that, to whoever makes the block.
    pub tip: u64,
}

impl Fees {
    /// What is offered when a block's own fee is `base` and others tip `tip`: enough for a base fee twice as high.
    pub(super) fn offer(base: u64, tip: u64, ceiling: u64) -> Self {
        let max = base.saturating_mul(2).saturating_add(tip).min(ceiling);
        Self { max, tip: tip.min(max) }
    }

    /// An offer that nodes take in place of this one: each part is an eighth higher at least (geth's rule is 10 %, others'
    /// 12.5 %). `None` when that is beyond the ceiling.
    pub(super) fn raised(self, base: u64, tip: u64, ceiling: u64) -> Option<Self> {
        let eighth = |fee: u64| fee.saturating_add(fee.div_ceil(8)).saturating_add(1);
        let (max, least_tip) = (eighth(self.max), eighth(self.tip));
        let wanted = Self::offer(base, tip.max(least_tip), ceiling);
        (max <= ceiling).then(|| Self { max: wanted.max.max(max), tip: wanted.tip.max(least_tip) })
    }
}

/// What was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The bytes as they are broadcast: `0x` and hexadecimal digits.
    pub raw: String,
    /// By what the chain knows them.
    pub hash: String,
}

/// One call, as it is ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// For which account.
    pub account: Account,
    /// What is asked for.
    pub ask: Ask,
}

/// What is asked for. The tags are durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Ask {
    /// How the chain stands.
    Look {
        /// Transactions to look for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hashes: Vec<String>,
        /// Tokens whose balance matters.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tokens: Vec<EthereumAddress>,
    },
    /// The bytes of a transfer. The same order gives the same bytes.
    Sign {
        /// Under which nonce.
        nonce: u64,
        /// What.
        transfer: Transfer,
        /// The gas that it may use.
        gas: u64,
        /// What is paid for it.
        fees: Fees,
    },
    /// Give bytes to the node.
    Broadcast {
        /// Them.
        signed: Signed,
    },
}

/// Where a transaction is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// The node has it, and no block does.
    Waiting,
    /// In a block.
    Mined {
        /// Which.
        block: u64,
        /// Whether it was carried out.
        succeeded: bool,
    },
}

/// A transaction that the node knows of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its hash.
    pub hash: String,
    /// Where it is.
    pub at: At,
}

/// How the chain stands, as its node has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The chain's number.
    pub chain_id: u64,
    /// The newest block.
    pub head: u64,
    /// Transactions of the address in blocks up to the newest: its next nonce.
    pub nonce: u64,
    /// The same, with those that wait at the node.
    pub pending_nonce: u64,
    /// What the next block takes for a unit of gas, in wei.
    pub base_fee: u64,
    /// What others give to whoever makes a block, in wei.
    pub tip: u64,
    /// What the address has of the chain's own coin.
    pub balance: Units,
    /// What it has of each token that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<(EthereumAddress, Units)>,
    /// Those of the transactions asked for that the node knows of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
}

/// What a call found out. The tags are durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// How the chain stands.
    Seen(Box<View>),
    /// It is signed.
    Signed(Signed),
    /// The node has the bytes.
    Taken,
    /// The node does not take the bytes, now.
    Refused {
        /// Its words.
        why: String,
    },
    /// Nothing is known: nobody answered, or not so that it could be read.
    Silent {
        /// What happened on our side of it.
        why: String,
    },
}

impl Fact {
    /// The fact that an activity's end tells; what cannot be read says nothing, and so does a failure.
    pub(super) fn of(outcome: Result<Value, Failure>) -> Self {
        match outcome {
            Ok(value) => serde_json::from_value(value)
                .unwrap_or_else(|error| Self::Silent { why: format!("the call's end cannot be read: {error}") }),
            Err(failure) => Self::Silent { why: failure.to_string() },
        }
    }
}
