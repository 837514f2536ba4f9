//! What the product asks of an Ethereum node, and of the keys that coins move under: signed transfers of the chain's own
//! coin and of tokens (ERC-20), and how the chain stands. It knows of no payment, and decides nothing.

mod error;
mod key;
mod node;
mod token;
mod transfer;

pub use alloy::primitives::{Address, B256, U256};
pub use error::Error;
pub use key::{Deposits, Key, KeyError};
pub use node::{At, Node, Received, Standing};
pub use transfer::{Fees, Signed, Transfer};
