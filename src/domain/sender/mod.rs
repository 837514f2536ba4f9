//! A sender: one Ethereum address that coins go out from, and the nonces of it.
//!
//! Refunds ask it to send. Each gets one nonce for ever, and nonces have no hole: so whatever is signed for a refund, at
//! whatever fee and however often it is broadcast, the chain takes at most one of it. What is signed is in the journal
//! before it is broadcast. The chain is believed as it is looked at, again and again: what is mined deep enough is told to
//! its refund; what vanished is broadcast again as it was; what is stuck is signed again under the same nonce with a higher
//! fee. A node that is down, behind or contradicts what is known changes nothing.

mod chain;
mod decide;
mod look;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::ids::RefundId;
use super::machine::json;
use super::money::Money;
use super::{Address, Broken, Decision, EffectNo, Machine, Moment, Order, Report, Timestamp, refund};

pub use chain::{Account, Ask, Asset, At, Call, Fact, Fees, Found, Signed, Transfer, Units, View};

/// The lane in which calls to the chain's node wait for their turn.
pub const LANE: &str = "ethereum";
/// Transfers that are signed and not mined, at most: nodes keep so many of one address and drop what is beyond.
pub const IN_FLIGHT_MAX: usize = 16;
/// A look may contradict itself because blocks came between its questions: so many in a row are believed.
const DOUBTS_MAX: u32 = 2;

/// How a sender works; configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Blocks, its own included, after which a transfer counts. What is mined twice as deep is forgotten.
    pub confirmations: u64,
    /// The rest between two looks at the chain, in milliseconds.
    pub look_ms: i64,
    /// How long a transfer may wait for a block before its fee is raised, in milliseconds.
    pub stuck_ms: i64,
    /// What is paid for a unit of gas at most, in wei.
    pub fee_max: u64,
}

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// For which refund.
    pub refund: RefundId,
    /// What the refund calls it.
    pub amount: Money,
    /// What the chain calls it.
    pub transfer: Transfer,
}

/// One attempt to have a transfer mined: all of a nonce differ in nothing but their fees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What is paid for it.
    pub fees: Fees,
    /// When it was ordered.
    pub since: Timestamp,
    /// Its bytes, once it is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}

/// Where a transfer is in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mined {
    /// Which of its attempts.
    pub hash: String,
    /// In which block.
    pub block: u64,
    /// Whether it was carried out; a transfer that was not has used its nonce all the same.
    pub succeeded: bool,
}

/// A transfer that has its nonce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sending {
    /// What is sent.
    pub wish: Wish,
    /// At least one; the last is the dearest.
    pub attempts: Vec<Attempt>,
    /// The order to sign or broadcast that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<EffectNo>,
    /// Where the chain had it at the last look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mined: Option<Mined>,
    /// What its refund was told last: whether it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<bool>,
    /// The node's words when it did not take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Sending {
    /// The hashes by which the chain may know it.
    pub fn hashes(&self) -> impl Iterator<Item = &str> {
        self.attempts.iter().filter_map(|attempt| attempt.signed.as_ref()).map(|signed| signed.hash.as_str())
    }

    /// How deep it lies under `head`: 1 in the newest block, 0 when it is not mined.
    fn depth(&self, head: u64) -> u64 {
        self.mined.as_ref().map_or(0, |mined| head.saturating_sub(mined.block).saturating_add(1))
    }
}

/// Why nothing goes on. Each passes by itself once a look finds it otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Trouble {
    /// The node does not answer, or with what cannot be used.
    Down {
        /// Why.
        why: String,
    },
    /// The node has another chain.
    OtherChain {
        /// Which.
        chain_id: u64,
    },
    /// The node has fewer blocks than were seen already.
    Behind {
        /// The newest that it has.
        head: u64,
    },
    /// The node says that fewer transfers are mined than it, or another, has shown.
    NonceLow {
        /// The next nonce, as the node has it.
        nonce: u64,
    },
    /// A nonce is used, and not by us: somebody else has the key.
    KeyUsedElsewhere {
        /// The next nonce, as the node has it.
        nonce: u64,
    },
    /// The treasury has not enough of something.
    Short {
        /// Of what.
        asset: Asset,
        /// How much more is needed for the next transfer.
        missing: Units,
        /// How many transfers wait for it.
        waiting: u64,
    },
    /// A transfer waits for a block although it offers as much as it may.
    Dear {
        /// Its nonce.
        nonce: u64,
        /// What it offers for a unit of gas, in wei.
        fee: u64,
    },
}

/// Everything a sender knows: what waits, what is under way, and what a reorganisation could still take back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Which address it sends from, and on which chain.
    pub account: Account,
    /// The nonce that is handed out next; unknown until the chain was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// What has no nonce yet, oldest first.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub queue: VecDeque<Wish>,
    /// What has one, by nonce: all from the oldest that is not deep in the chain up to `next`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sendings: BTreeMap<u64, Sending>,
    /// The newest block that was seen.
    #[serde(default)]
    pub head: u64,
    /// Looks in a row that contradicted what is known.
    #[serde(default)]
    pub doubts: u32,
    /// Looks in a row that told nothing: the next rest follows from them.
    #[serde(default)]
    pub tries: u32,
    /// The look that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looking: Option<EffectNo>,
    /// The timer of the next look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<EffectNo>,
    /// Why nothing goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

impl State {
    /// What a person should look at, as a sentence.
    #[must_use]
    pub fn attention(&self) -> Option<String> {
        let Account { chain_id, address } = self.account;
        Some(match self.trouble.as_ref()? {
            Trouble::Down { why } => format!("the Ethereum node gives no answer that can be used: {why}"),
            Trouble::OtherChain { chain_id: other } => format!(
                "the Ethereum node has chain {other}, and {address} sends on chain {chain_id}: point ethereum.rpc_url to that"
            ),
            Trouble::Behind { head } => {
                format!("the Ethereum node is behind: it has {head} blocks, and {} were seen already", self.head)
            }
            Trouble::NonceLow { nonce } => format!(
                "the Ethereum node says that {address} has sent {nonce} transfers, and more of them were seen in blocks: nothing is sent until it agrees"
            ),
            Trouble::KeyUsedElsewhere { nonce } => format!(
                "somebody else sends from {address}, whose next nonce is {nonce}: nothing is sent any more; find out who has its key"
            ),
            Trouble::Short { asset, missing, waiting } => format!(
                "{waiting} refunds wait because {address} has not enough: it needs {missing} more {asset} for the next"
            ),
            Trouble::Dear { nonce, fee } => format!(
                "the transfer with nonce {nonce} waits for a block although it offers the {fee} wei of gas that are allowed at most"
            ),
        })
    }

    /// The lowest nonce that the chain might not have for good.
    fn floor(&self) -> Option<u64> {
        self.sendings.keys().next().copied().or(self.next)
    }

    fn knows(&self, refund: RefundId) -> Option<&Wish> {
        let sent = self.sendings.values().map(|sending| &sending.wish);
        self.queue.iter().chain(sent).find(|wish| wish.refund == refund)
    }
}

/// What can be said to a sender. The tags are durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Message {
    /// The birth; said again, it makes the sender look at the chain.
    Open(Account),
    /// Send something for a refund, once.
    Send(Box<Wish>),
    /// A call has ended.
    Reported(Report),
    /// It is time to look.
    Due {
        /// The timer that rings.
        timer: EffectNo,
    },
}

/// That a nonce belongs to a refund, for good: a row of the sender's records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// The nonce.
    pub nonce: u64,
    /// Whose.
    pub refund_id: RefundId,
}

/// What a sender orders.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the node, or the key, for something.
    Call(Call),
    /// Write down whose a nonce is.
    Give(Given),
    /// Wake the sender.
    Arm {
        /// Not before this time.
        due: Timestamp,
        /// The number of this order.
        timer: EffectNo,
    },
    /// Forget a timer.
    Disarm(EffectNo),
    /// Tell a refund something.
    TellRefund {
        /// The refund.
        refund: RefundId,
        /// What.
        message: refund::Message,
    },
}

impl From<Effect> for Order {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Call(call) => Self::Start { lane: LANE, input: json(&call), turn: None },
            Effect::Give(given) => Self::Record { row: json(&given) },
            Effect::Arm { due, timer } => Self::Timer { due, message: json(&Message::Due { timer }) },
            Effect::Disarm(effect) => Self::Cancel { effect },
            Effect::TellRefund { refund, message } => {
                Self::tell::<refund::RefundMachine>(refund::address(refund), &message)
            }
        }
    }
}

/// The address of the sender of an account.
#[must_use]
pub fn address(account: Account) -> Address {
    let Account { chain_id, address } = account;
    Address::new(SenderMachine::KIND, &format!("{chain_id}-{}", address.to_string().to_ascii_lowercase()))
}

/// The machine of senders.
#[derive(Clone, Copy, Debug)]
pub struct SenderMachine {
    /// How it works.
    pub policy: Policy,
}

impl Machine for SenderMachine {
    const KIND: &'static str = "sender";
    const SCHEMA: u32 = 1;
    type State = State;
    type Message = Message;
    type Effect = Effect;

    fn apply(
        &self,
        state: Option<&State>,
        message: Message,
        moment: Moment,
    ) -> Result<Decision<State, Effect>, Broken> {
        match (state, message) {
            (None, Message::Open(account)) => Ok(decide::born(self.policy, account, moment)),
            (None, other) => {
                let tag: &str = (&other).into();
                Err(Broken(format!("`{tag}` reached a sender that was never opened")))
            }
            (Some(state), message) => decide::decide(self.policy, state, message, moment),
        }
    }

    fn is_birth(message: &Message) -> bool {
        matches!(message, Message::Open(_))
    }

    fn reported(report: Report) -> Message {
        Message::Reported(report)
    }

    fn status(state: &State) -> &'static str {
        match (&state.trouble, state.queue.is_empty() && state.sendings.is_empty()) {
            (Some(trouble), _) => trouble.into(),
            (None, true) => "idle",
            (None, false) => "sending",
        }
    }

    fn is_final(_: &State) -> bool {
        false
    }
}
