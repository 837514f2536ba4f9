//! What follows from a look at the chain.

use std::collections::BTreeMap;

use super::decide::Turn;
use super::{Asset, At, Attempt, DOUBTS_MAX, Effect, Fees, IN_FLIGHT_MAX, Mined, Sending, Trouble, Units, View, Wish};
use crate::domain::rail::{GatewayRefund, RefundStatus};
use crate::domain::refund;

impl Turn {
    /// A look that contradicts what is known changes nothing but what a person is told.
    pub fn seen(&mut self, view: &View) {
        match self.contradiction(view) {
            Some(trouble) => {
                // Blocks may come between the questions of one look.
                self.state.doubts = self.state.doubts.saturating_add(1);
                if self.state.doubts >= DOUBTS_MAX {
                    self.state.trouble = Some(trouble);
                }
            }
            None => {
                self.state.doubts = 0;
                self.state.trouble = None;
                self.state.head = view.head;
                self.state.next.get_or_insert(view.nonce);
                self.find(view);
                self.tell();
                self.forget();
                self.push(view);
                self.start(view);
            }
        }
    }

    fn contradiction(&self, view: &View) -> Option<Trouble> {
        let state = &self.state;
        let View { chain_id, head, nonce, pending_nonce, .. } = *view;
        if chain_id != state.account.chain_id {
            return Some(Trouble::OtherChain { chain_id });
        }
        if head < state.head {
            return Some(Trouble::Behind { head });
        }
        let (Some(next), Some(floor)) = (state.next, state.floor()) else {
            // Before the first transfer nothing may be on its way: its nonce would be taken.
            return (pending_nonce > nonce).then_some(Trouble::KeyUsedElsewhere { nonce: pending_nonce });
        };
        let is_mined = |sending: &Sending| mined(sending, view).is_some();
        if nonce < floor || state.sendings.range(nonce..).any(|(_, sending)| is_mined(sending)) {
            return Some(Trouble::NonceLow { nonce });
        }
        let is_used = nonce > next || state.sendings.range(..nonce).any(|(_, sending)| !is_mined(sending));
        is_used.then_some(Trouble::KeyUsedElsewhere { nonce })
    }

    /// Where each transfer is now: what a reorganisation took back is in no block any more.
    fn find(&mut self, view: &View) {
        let now = self.moment.now;
        for sending in self.state.sendings.values_mut() {
            let is_mined = mined(sending, view);
            let was_mined = std::mem::replace(&mut sending.mined, is_mined).is_some();
            if sending.mined.is_some() {
                sending.refused = None;
            } else if was_mined && let Some(last) = sending.attempts.last_mut() {
                // Its fee was good enough once.
                last.since = now;
            }
        }
    }

    /// Tells refunds what counts, and tells again what a reorganisation, deeper than was thought of, turned round.
    fn tell(&mut self) {
        let (head, confirmations) = (self.state.head, self.policy.confirmations);
        let mut told = Vec::new();
        for sending in self.state.sendings.values_mut() {
            let Some(mined) = sending.mined.clone().filter(|_| sending.depth(head) >= confirmations) else { continue };
            if sending.told != Some(mined.succeeded) {
                sending.told = Some(mined.succeeded);
                told.push((sending.wish.clone(), mined));
            }
        }
        for (Wish { refund, amount, .. }, Mined { hash, succeeded, block }) in told {
            let (status, reason) = if succeeded {
                (RefundStatus::Succeeded, None)
            } else {
                let why =
                    format!("the chain undid the transfer {hash} in block {block}: the receiver does not take it");
                (RefundStatus::Failed, Some(why))
            };
            let told = GatewayRefund { id: hash, refund: Some(refund), amount, status, reason };
            self.order(Effect::TellRefund { refund, message: refund::Message::Seen { told } });
        }
    }

    /// Lets go of what no reorganisation takes back, oldest first.
    fn forget(&mut self) {
        let deep = self.policy.confirmations.saturating_mul(2);
        while let Some(oldest) = self.state.sendings.first_entry() {
            let sending = oldest.get();
            if sending.depth(self.state.head) < deep || sending.under_way.is_some() || sending.told.is_none() {
                break;
            }
            oldest.remove();
        }
    }

    /// Does what brings each transfer into a block that is in none.
    fn push(&mut self, view: &View) {
        let waits = |sending: &Sending| sending.mined.is_none() && sending.under_way.is_none();
        let nonces: Vec<u64> =
            self.state.sendings.iter().filter(|(_, sending)| waits(sending)).map(|(&nonce, _)| nonce).collect();
        for nonce in nonces {
            let sending = &self.state.sendings[&nonce];
            let Some(last) = sending.attempts.last() else { continue };
            let Some(signed) = &last.signed else {
                self.sign(nonce);
                continue;
            };
            let is_at_node = view.found.iter().any(|found| found.hash == signed.hash);
            let is_old = self.moment.now.since_ms(last.since) >= self.policy.stuck_ms;
            // Only the oldest holds the others up. What merely vanished goes out as it was.
            if nonce == view.nonce && is_old && (is_at_node || sending.refused.is_some()) {
                self.raise(nonce, view);
            } else if !is_at_node {
                self.broadcast(nonce);
            }
        }
    }

    /// Signs the same transfer under the same nonce with a higher fee.
    fn raise(&mut self, nonce: u64, view: &View) {
        let now = self.moment.now;
        let Some(sending) = self.state.sendings.get_mut(&nonce) else { return };
        let Some(Fees { max: fee, tip }) = sending.attempts.last().map(|attempt| attempt.fees) else { return };
        match (Fees { max: fee, tip }).raised(view.base_fee, view.tip, self.policy.fee_max) {
            Some(fees) => {
                sending.attempts.push(Attempt { fees, since: now, signed: None });
                self.sign(nonce);
            }
            None => {
                self.state.trouble = Some(Trouble::Dear { nonce, fee });
                self.broadcast(nonce);
            }
        }
    }

    /// Gives nonces to what waits, as far as there is room and the treasury reaches. What is short of one thing does not
    /// hold up what needs another; of the same, the oldest is first.
    fn start(&mut self, view: &View) {
        let Some(mut nonce) = self.state.next else { return };
        let fees = Fees::offer(view.base_fee, view.tip, self.policy.fee_max);
        let mut purse = Purse::of(view);
        for sending in self.state.sendings.values().filter(|sending| sending.mined.is_none()) {
            let dearest = sending.attempts.last().map_or(fees, |attempt| attempt.fees);
            purse.spend(&sending.wish, dearest);
        }
        let mut room = IN_FLIGHT_MAX.saturating_sub(self.in_flight());
        let mut short: BTreeMap<Asset, (Units, u64)> = BTreeMap::new();
        for wish in std::mem::take(&mut self.state.queue) {
            let asset = wish.transfer.asset;
            if !purse.knows(asset) {
                // It was asked for after this look was ordered.
            } else if let Some((_, waiting)) = short.get_mut(&asset) {
                *waiting = waiting.saturating_add(1);
            } else if let Some((of, missing)) = purse.missing(&wish, fees) {
                // What lacks the coin for its gas waits with its own asset, and is told as what is lacking.
                short.insert(asset, (missing, 1));
                self.state.trouble.get_or_insert(Trouble::Short { asset: of, missing, waiting: 0 });
            } else if room > 0 {
                room -= 1;
                purse.spend(&wish, fees);
                self.give(nonce, wish, Attempt { fees, since: self.moment.now, signed: None });
                nonce = nonce.saturating_add(1);
                continue;
            }
            self.state.queue.push_back(wish);
        }
        if let Some(Trouble::Short { waiting, .. }) = &mut self.state.trouble {
            *waiting = short.values().map(|(_, waiting)| waiting).sum();
        }
    }
}

/// Where a look has a transfer, by any of its attempts.
fn mined(sending: &Sending, view: &View) -> Option<Mined> {
    sending.hashes().find_map(|hash| {
        let found = view.found.iter().find(|found| found.hash == hash)?;
        match found.at {
            At::Mined { block, succeeded } => Some(Mined { hash: hash.to_owned(), block, succeeded }),
            At::Waiting => None,
        }
    })
}

/// What the address has, less what is on its way.
struct Purse {
    native: u128,
    tokens: BTreeMap<Asset, u128>,
}

impl Purse {
    fn of(view: &View) -> Self {
        let tokens = view.tokens.iter().map(|(contract, units)| (Asset::Token(*contract), units.0));
        Self { native: view.balance.0, tokens: tokens.collect() }
    }

    fn knows(&self, asset: Asset) -> bool {
        asset == Asset::Native || self.tokens.contains_key(&asset)
    }

    /// What a transfer costs of the chain's own coin, at most.
    fn native(wish: &Wish, fees: Fees) -> u128 {
        let gas = u128::from(wish.transfer.gas()) * u128::from(fees.max);
        match wish.transfer.asset {
            Asset::Native => gas.saturating_add(wish.transfer.units.0),
            Asset::Token(_) => gas,
        }
    }

    fn spend(&mut self, wish: &Wish, fees: Fees) {
        self.native = self.native.saturating_sub(Self::native(wish, fees));
        if let Some(units) = self.tokens.get_mut(&wish.transfer.asset) {
            *units = units.saturating_sub(wish.transfer.units.0);
        }
    }

    /// What is lacking for a transfer, and of what.
    fn missing(&self, wish: &Wish, fees: Fees) -> Option<(Asset, Units)> {
        let lacks = |asset, needed: u128, has: u128| (needed > has).then(|| (asset, Units(needed - has)));
        let asset = wish.transfer.asset;
        let of_token = match asset {
            Asset::Native => None,
            Asset::Token(_) => lacks(asset, wish.transfer.units.0, self.tokens.get(&asset).copied().unwrap_or(0)),
        };
        of_token.or_else(|| lacks(Asset::Native, Self::native(wish, fees), self.native))
    }
}
