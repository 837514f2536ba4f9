//! What a real node makes of what is signed here, and what is seen of it.

use std::time::Duration;

use mixvideo_ethereum::{Address, At, B256, Error, Fees, Key, Node, Received, Signed, Transfer, U256};

use crate::anvil::{Anvil, CHAIN, RICH, RICH_KEY};

const LIMIT: Duration = Duration::from_secs(30);
const GWEI: u64 = 1_000_000_000;
/// Somebody without anything.
const POOR: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

fn key() -> Key {
    Key::of_digits(&RICH_KEY.into()).unwrap()
}

fn poor() -> Address {
    POOR.parse().unwrap()
}

fn node(anvil: &Anvil) -> Node {
    Node::new(anvil.url(), LIMIT).unwrap()
}

fn transfer(nonce: u64, units: u64) -> Transfer {
    let fees = Fees { max: 20 * GWEI, tip: GWEI };
    Transfer { chain_id: CHAIN, nonce, gas: 100_000, fees, to: poor(), token: None, units: U256::from(units) }
}

async fn sent(node: &Node, transfer: &Transfer) -> Signed {
    let signed = transfer.sign(&key()).unwrap();
    node.broadcast(&signed.raw).await.unwrap();
    signed
}

async fn at(node: &Node, signed: &Signed) -> At {
    let head = node.standing(key().address(), &[]).await.unwrap().head;
    node.find(&[hash(signed)], head).await.unwrap()[0]
}

fn hash(signed: &Signed) -> B256 {
    signed.hash.parse().unwrap()
}

#[tokio::test]
async fn a_transfer_waits_is_mined_and_arrives() {
    let anvil = Anvil::start().await;
    let node = node(&anvil);
    assert_eq!((node.chain_id().await, key().address().to_string()), (Ok(CHAIN), RICH.to_owned()));
    let before = node.standing(key().address(), &[]).await.unwrap();
    assert_eq!((before.chain_id, before.head, before.nonce, before.pending_nonce), (CHAIN, 0, 0, 0));
    assert_eq!(before.balance, U256::from(10_000) * U256::from(10).pow(U256::from(18)));
    assert!(before.base_fee > 0 && before.tip > 0, "{before:?}");

    let signed = sent(&node, &transfer(0, 5)).await;
    assert_eq!(at(&node, &signed).await, At::Waiting);
    let waits = node.standing(key().address(), &[]).await.unwrap();
    assert_eq!((waits.nonce, waits.pending_nonce), (0, 1));
    anvil.mine(1).await;
    assert_eq!(at(&node, &signed).await, At::Mined { block: 1, succeeded: true });
    let after = node.standing(key().address(), &[]).await.unwrap();
    assert_eq!((after.head, after.nonce, anvil.balance(POOR).await), (1, 1, 5));
    // As of the block before, it still waits.
    assert_eq!(node.find(&[hash(&signed)], 0).await, Ok(vec![At::Waiting]));
}

#[tokio::test]
async fn a_token_is_sent_counted_and_seen_and_more_than_there_is_is_undone() {
    let anvil = Anvil::start().await;
    let node = node(&anvil);
    let token: Address = anvil.token().await.parse().unwrap();
    let of = |nonce, units| Transfer { token: Some(token), ..transfer(nonce, units) };
    let signed = sent(&node, &of(1, 700)).await;
    let too_much = sent(&node, &of(2, 1_000_000_000_000)).await;
    anvil.mine(1).await;
    assert_eq!(at(&node, &signed).await, At::Mined { block: 2, succeeded: true });
    assert_eq!(at(&node, &too_much).await, At::Mined { block: 2, succeeded: false });
    let has = async |address| node.standing(address, &[token]).await.unwrap().tokens;
    assert_eq!(
        (has(poor()).await, has(key().address()).await[0]),
        (vec![U256::from(700)], U256::from(999_999_999_300_u64))
    );
    let seen = Received { to: poor(), units: U256::from(700), block: 2, transaction: hash(&signed) };
    assert_eq!(node.received(token, &[poor()], 0, 2).await, Ok(vec![seen]));
    assert_eq!(node.received(token, &[key().address()], 0, 2).await, Ok(vec![]), "it only gave");
}

#[tokio::test]
async fn what_a_reorganisation_took_back_is_nowhere_and_the_same_bytes_are_taken_again() {
    let anvil = Anvil::start().await;
    let node = node(&anvil);
    let signed = sent(&node, &transfer(0, 5)).await;
    anvil.mine(1).await;
    assert!(matches!(at(&node, &signed).await, At::Mined { .. }));
    anvil.reorg(1).await;
    assert_eq!((at(&node, &signed).await, anvil.balance(POOR).await), (At::Nowhere, 0));
    node.broadcast(&signed.raw).await.unwrap();
    anvil.mine(1).await;
    assert_eq!((at(&node, &signed).await, anvil.balance(POOR).await), (At::Mined { block: 2, succeeded: true }, 5));
}

#[tokio::test]
async fn what_the_node_forgot_is_nowhere() {
    let anvil = Anvil::start().await;
    let node = node(&anvil);
    let signed = sent(&node, &transfer(0, 5)).await;
    anvil.drop_transaction(&signed.hash).await;
    assert_eq!(at(&node, &signed).await, At::Nowhere);
}

#[tokio::test]
async fn of_two_under_one_nonce_the_dearer_is_mined_alone() {
    let anvil = Anvil::start().await;
    let node = node(&anvil);
    let cheap = sent(&node, &transfer(0, 5)).await;
    // As dear as the first, and so not in its place.
    let refused = node.broadcast(&transfer(0, 6).sign(&key()).unwrap().raw).await;
    assert!(matches!(&refused, Err(Error::Refused(words)) if words.contains("underpriced")), "{refused:?}");
    let dear = sent(&node, &Transfer { fees: Fees { max: 23 * GWEI, tip: 2 * GWEI }, ..transfer(0, 5) }).await;
    anvil.mine(1).await;
    assert_eq!(
        (at(&node, &cheap).await, at(&node, &dear).await),
        (At::Nowhere, At::Mined { block: 1, succeeded: true })
    );
    assert_eq!(anvil.balance(POOR).await, 5);
}

#[tokio::test]
async fn what_offers_less_than_a_block_takes_is_not_mined() {
    let anvil = Anvil::start().await;
    let node = node(&anvil);
    let signed = sent(&node, &transfer(0, 5)).await;
    anvil.price(21 * GWEI).await;
    anvil.mine(1).await;
    // This node forgets it; others keep it.
    assert_eq!((at(&node, &signed).await, anvil.balance(POOR).await), (At::Nowhere, 0));
    assert_eq!(node.standing(key().address(), &[]).await.unwrap().base_fee, 21 * GWEI);
}

#[tokio::test]
async fn what_the_node_refuses_is_told_in_its_words() {
    let anvil = Anvil::start().await;
    let node = node(&anvil);
    sent(&node, &transfer(0, 5)).await;
    anvil.mine(1).await;
    let refusal = async |transfer: Transfer| match node.broadcast(&transfer.sign(&key()).unwrap().raw).await {
        Err(Error::Refused(words)) => words,
        other => panic!("{other:?}"),
    };
    assert!(refusal(transfer(0, 6)).await.contains("nonce too low"));
    let all = Transfer { units: U256::from(10).pow(U256::from(30)), ..transfer(1, 0) };
    assert!(refusal(all).await.to_lowercase().contains("insufficient funds"));
    let elsewhere = Transfer { chain_id: 1, ..transfer(1, 5) };
    refusal(elsewhere).await;
}

#[test]
fn the_same_transfer_has_the_same_bytes() {
    let sign = |transfer: Transfer| transfer.sign(&key()).unwrap();
    assert_eq!(sign(transfer(3, 5)), sign(transfer(3, 5)));
    assert_ne!(sign(transfer(3, 5)), sign(transfer(4, 5)));
}

#[tokio::test]
async fn more_transactions_are_looked_for_than_go_into_one_request() {
    let anvil = Anvil::start().await;
    let node = node(&anvil);
    let mut hashes = vec![B256::ZERO; 120];
    let signed = sent(&node, &transfer(0, 5)).await;
    hashes.push(hash(&signed));
    let found = node.find(&hashes, 0).await.unwrap();
    assert_eq!((found.len(), found[0], found[120]), (121, At::Nowhere, At::Waiting));
}

#[tokio::test]
async fn a_node_that_has_ended_is_down() {
    let mut anvil = Anvil::start().await;
    let node = node(&anvil);
    anvil.kill().await;
    assert!(matches!(node.chain_id().await, Err(Error::Down(_))));
}
