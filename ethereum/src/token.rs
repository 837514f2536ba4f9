//! What is said to a token's contract (ERC-20, eips.ethereum.org/EIPS/eip-20).

#![allow(missing_docs, reason = "the macro makes public items that cannot carry documentation of their own")]

alloy::sol! {
    function transfer(address to, uint256 units) external returns (bool);
    function balanceOf(address holder) external view returns (uint256);
    event Transfer(address indexed from, address indexed to, uint256 units);
}
