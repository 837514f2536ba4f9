//! A transfer as it is signed: EIP-1559, of the chain's own coin or of a token.

use alloy::consensus::{SignableTransaction as _, TxEip1559};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::hex;
use alloy::primitives::{Address, Bytes, TxKind, U256};
use alloy::signers::SignerSync as _;
use alloy::sol_types::SolCall as _;

use crate::key::Key;
use crate::token::transferCall;

/// What is paid for a unit of gas, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// At most, in all.
    pub max: u64,
    /// Of that, to whoever makes the block.
    pub tip: u64,
}

/// A transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// On which chain: nowhere else are the bytes good for anything (EIP-155).
    pub chain_id: u64,
    /// The number of this transfer among all of its sender.
    pub nonce: u64,
    /// The gas that it may use.
    pub gas: u64,
    /// What is paid for it.
    pub fees: Fees,
    /// To whom.
    pub to: Address,
    /// The contract of the token; `None` for the chain's own coin.
    pub token: Option<Address>,
    /// How much, in the smallest unit.
    pub units: U256,
}

/// What was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The bytes as they are broadcast: `0x` and hexadecimal digits.
    pub raw: String,
    /// By what the chain knows them.
    pub hash: String,
}

impl Transfer {
    /// Signs it. The same transfer under the same key gives the same bytes (RFC 6979).
    ///
    /// # Errors
    /// The signer's sentence; a key in memory has none.
    pub fn sign(&self, key: &Key) -> Result<Signed, String> {
        let (to, value, input) = match self.token {
            None => (self.to, self.units, Bytes::new()),
            Some(contract) => {
                let call = transferCall { to: self.to, units: self.units };
                (contract, U256::ZERO, call.abi_encode().into())
            }
        };
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_limit: self.gas,
            max_fee_per_gas: self.fees.max.into(),
            max_priority_fee_per_gas: self.fees.tip.into(),
            to: TxKind::Call(to),
            value,
            access_list: Default::default(),
            input,
        };
        let signature = key.0.sign_hash_sync(&transaction.signature_hash()).map_err(|error| error.to_string())?;
        let signed = transaction.into_signed(signature);
        Ok(Signed { raw: hex::encode_prefixed(signed.encoded_2718()), hash: signed.hash().to_string() })
    }
}
