//! A node, asked over JSON-RPC. Each question has a time limit; what it answers is told as it is.

use std::fmt;
use std::time::Duration;

use alloy::primitives::{Address, B256, U64, U128, U256};
use alloy::rpc::client::{BatchRequest, ClientBuilder, RpcClient};
use alloy::sol_types::{SolCall as _, SolEvent as _};
use alloy::transports::http::reqwest;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::token;

/// Questions in one request, at most: nodes refuse longer ones.
const BATCH_MAX: usize = 50;

/// A node.
#[derive(Clone)]
pub struct Node {
    client: RpcClient,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The node does not know of it.
    Nowhere,
    /// The node has it, and no block up to the one that was looked at does.
    Waiting,
    /// In a block.
    Mined {
        /// Which.
        block: u64,
        /// Whether it was carried out.
        succeeded: bool,
    },
}

/// How an address stands at one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The chain's number.
    pub chain_id: u64,
    /// The newest block; everything else is as of it.
    pub head: u64,
    /// The next nonce, by what blocks have.
    pub nonce: u64,
    /// The next nonce, by what the node has besides.
    pub pending_nonce: u64,
    /// What the block took for a unit of gas, in wei.
    pub base_fee: u64,
    /// What the node thinks others give to whoever makes a block, in wei.
    pub tip: u64,
    /// What the address has of the chain's own coin, in wei.
    pub balance: U256,
    /// What it has of each token that was asked for, in its order.
    pub tokens: Vec<U256>,
}

/// Units of a token that an address received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Who.
    pub to: Address,
    /// How much.
    pub units: U256,
    /// In which block.
    pub block: u64,
    /// By which transaction.
    pub transaction: B256,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    number: U64,
    hash: B256,
    #[serde(default)]
    base_fee_per_gas: U64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    block_number: U64,
    status: U64,
}

#[derive(Clone, Debug, Deserialize)]
struct Known {}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    topics: Vec<B256>,
    data: alloy::primitives::Bytes,
    block_number: U64,
    transaction_hash: B256,
}

/// A block, named so that another one in its place is no answer (EIP-1898).
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Exactly {
    block_hash: B256,
}

#[derive(Clone, Debug, Serialize)]
struct Question {
    to: Address,
    data: alloy::primitives::Bytes,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    from_block: U64,
    to_block: U64,
    address: Address,
    topics: (B256, (), Vec<B256>),
}

impl Node {
    /// The node at `url`; each of its answers has `limit` to come.
    ///
    /// # Errors
    /// When `url` is none, or no client can be made: a sentence without the address, which may hold a key.
    pub fn new(url: &str, limit: Duration) -> Result<Self, String> {
        let url = reqwest::Url::parse(url).map_err(|error| format!("is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("must begin with http:// or https://".to_owned());
        }
        let client = reqwest::Client::builder().timeout(limit).redirect(reqwest::redirect::Policy::none());
        let client = client.build().map_err(|error| error.to_string())?;
        Ok(Self { client: ClientBuilder::default().http_with_client(client, url) })
    }

    /// The chain's number.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn chain_id(&self) -> Result<u64, Error> {
        Ok(self.client.request_noparams::<U64>("eth_chainId").await?.to())
    }

    async fn newest(&self) -> Result<Block, Error> {
        let block: Option<Block> = self.client.request("eth_getBlockByNumber", ("latest", false)).await?;
        block.ok_or_else(|| Error::unreadable("no newest block"))
    }

    /// How `address` stands, and what it has of `tokens`.
    ///
    /// # Errors
    /// [`Error`]; [`Error::BlockGone`] when a block was replaced between two questions.
    pub async fn standing(&self, address: Address, tokens: &[Address]) -> Result<Standing, Error> {
        let Block { number, hash, base_fee_per_gas } = self.newest().await?;
        let at = Exactly { block_hash: hash };
        let mut batch = BatchRequest::new(&self.client);
        let chain_id = batch.add_call::<_, U64>("eth_chainId", &())?;
        let nonce = batch.add_call::<_, U64>("eth_getTransactionCount", &(address, at))?;
        let pending = batch.add_call::<_, U64>("eth_getTransactionCount", &(address, "pending"))?;
        let tip = batch.add_call::<_, U128>("eth_maxPriorityFeePerGas", &())?;
        let balance = batch.add_call::<_, U256>("eth_getBalance", &(address, at))?;
        let mut held = Vec::new();
        for token in tokens {
            let data = token::balanceOfCall { holder: address }.abi_encode().into();
            held.push(batch.add_call::<_, U256>("eth_call", &(Question { to: *token, data }, at))?);
        }
        batch.send().await?;
        let mut units = Vec::new();
        for held in held {
            units.push(held.await?);
        }
        Ok(Standing {
            chain_id: chain_id.await?.to(),
            head: number.to(),
            nonce: nonce.await?.to(),
            pending_nonce: pending.await?.to(),
            base_fee: base_fee_per_gas.to(),
            tip: u64::try_from(tip.await?.to::<u128>()).map_err(|_| Error::unreadable("a tip beyond 64 bits"))?,
            balance: balance.await?,
            tokens: units,
        })
    }

    /// Where each of `hashes` is, as of the block `head`: what a later block has still waits.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn find(&self, hashes: &[B256], head: u64) -> Result<Vec<At>, Error> {
        let mut all = Vec::with_capacity(hashes.len());
        for some in hashes.chunks(BATCH_MAX) {
            let mut batch = BatchRequest::new(&self.client);
            let mut answers = Vec::new();
            for hash in some {
                let known = batch.add_call::<_, Option<Known>>("eth_getTransactionByHash", &(hash,))?;
                let receipt = batch.add_call::<_, Option<Receipt>>("eth_getTransactionReceipt", &(hash,))?;
                answers.push((known, receipt));
            }
            batch.send().await?;
            for (known, receipt) in answers {
                all.push(match (known.await?, receipt.await?) {
                    (_, Some(receipt)) if receipt.block_number.to::<u64>() <= head => {
                        At::Mined { block: receipt.block_number.to(), succeeded: receipt.status.to::<u64>() == 1 }
                    }
                    (_, Some(_)) | (Some(_), None) => At::Waiting,
                    (None, None) => At::Nowhere,
                });
            }
        }
        Ok(all)
    }

    /// Gives the bytes of a transaction to the node.
    ///
    /// # Errors
    /// [`Error::Refused`] when it does not take them; one that it has already is refused too. After [`Error::Down`] it may
    /// have them.
    pub async fn broadcast(&self, raw: &str) -> Result<(), Error> {
        self.client.request::<_, B256>("eth_sendRawTransaction", (raw,)).await?;
        Ok(())
    }

    /// What `addresses` received of a token in the blocks from `first` to `last`, oldest first.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn received(
        &self,
        token: Address,
        addresses: &[Address],
        first: u64,
        last: u64,
    ) -> Result<Vec<Received>, Error> {
        let topics = (token::Transfer::SIGNATURE_HASH, (), addresses.iter().map(Address::into_word).collect());
        let filter = Filter { from_block: U64::from(first), to_block: U64::from(last), address: token, topics };
        let logs: Vec<Log> = self.client.request("eth_getLogs", (filter,)).await?;
        let read = |log: Log| {
            let event = token::Transfer::decode_raw_log(log.topics, &log.data);
            let event = event.map_err(|error| Error::unreadable(&error.to_string()))?;
            let (block, transaction) = (log.block_number.to(), log.transaction_hash);
            Ok(Received { to: event.to, units: event.units, block, transaction })
        };
        logs.into_iter().map(read).collect()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node")
    }
}
