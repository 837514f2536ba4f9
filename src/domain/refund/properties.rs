//! Whatever comes, in whatever order and however often: the gateway refunds once, and the payment is told once.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::table::{Run, busy, promised, rejected, told, unknown, usd};
use super::*;
use crate::domain::rail::{Ask, Fact, RefundStatus};

#[derive(Clone, Debug)]
enum Event {
    /// The call is carried out and its answer arrives, or is lost; or it never arrives there.
    Answered,
    Lost,
    Silent,
    /// Nobody hears of it, and it arrives much later, perhaps after the gateway was asked for it.
    Delayed,
    Arrives,
    /// The gateway is busy, or refuses.
    Busy,
    Rejected,
    /// The timer rings.
    Rings,
    /// The gateway decides about what is pending there.
    Decides(bool),
    /// The payment passes on how it stands there.
    Seen,
    Yield,
    /// The payment's promise comes once more.
    Reserved,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    use Event::*;
    let event = prop_oneof![
        6 => Just(Answered), 4 => Just(Lost), 4 => Just(Silent),
        4 => Just(Delayed), 2 => Just(Arrives), 2 => Just(Busy), 1 => Just(Rejected), 8 => Just(Rings),
        2 => any::<bool>().prop_map(Decides), 3 => Just(Seen), 2 => Just(Yield), 2 => Just(Reserved),
    ];
    proptest::collection::vec(event, 0..40)
}

/// The gateway: what it has, by key.
#[derive(Default)]
struct Gateway {
    made: BTreeMap<String, RefundStatus>,
    /// What is still on its way to it.
    delayed: Vec<Call>,
}

impl Gateway {
    fn carry_out(&mut self, call: &Call) -> Fact {
        match &call.ask {
            Ask::Refund { amount, .. } => {
                assert_eq!(*amount, usd(400));
                Fact::Refund(told(*self.made.entry(call.key.clone()).or_insert(RefundStatus::Pending)))
            }
            Ask::ListRefunds { .. } => Fact::Refunds(self.made.values().map(|status| told(*status)).collect()),
            Ask::OpenSession(_) | Ask::ReadSession { .. } | Ask::ExpireSession { .. } => unreachable!(),
        }
    }
}

fn call(run: &Run) -> Option<Call> {
    run.state().under_way?;
    run.effects.iter().rev().find_map(|effect| if let Effect::Call(call) = effect { Some(call.clone()) } else { None })
}

fn happens(mut run: Run, gateway: &mut Gateway, event: &Event) -> Run {
    match (event, call(&run)) {
        (Event::Answered, Some(call)) => {
            let fact = gateway.carry_out(&call);
            run.hears(fact)
        }
        (Event::Lost, Some(call)) => {
            gateway.carry_out(&call);
            run.hears(unknown())
        }
        (Event::Silent, Some(_)) => run.hears(unknown()),
        (Event::Delayed, Some(call)) => {
            gateway.delayed.push(call);
            run.hears(unknown())
        }
        (Event::Arrives, _) => {
            for call in std::mem::take(&mut gateway.delayed) {
                gateway.carry_out(&call);
            }
            run
        }
        (Event::Busy, Some(_)) => run.hears(busy()),
        // A gateway never refuses what it has taken under the same key.
        (Event::Rejected, Some(_)) if gateway.made.is_empty() && gateway.delayed.is_empty() => run.hears(rejected()),
        (Event::Rings, None) if run.state().timer.is_some() => run.rings(),
        (Event::Decides(well), _) => {
            for status in gateway.made.values_mut().filter(|status| **status == RefundStatus::Pending) {
                *status = if *well { RefundStatus::Succeeded } else { RefundStatus::Failed };
            }
            run
        }
        (Event::Seen, _) => match gateway.made.values().next() {
            Some(status) => run.then(Message::Seen { told: told(*status) }),
            None => run,
        },
        (Event::Yield, _) => run.then(Message::Yield),
        (Event::Reserved, _) => {
            run.say(promised(Rail::Stripe));
            run
        }
        _ => run,
    }
}

fn times(run: &Run, what: fn(&payment::Message) -> bool) -> usize {
    let is = |effect: &&Effect| matches!(effect, Effect::TellPayment { message, .. } if what(message));
    run.effects.iter().filter(is).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_gateway_refunds_once_and_the_payment_is_told_once(events in events(), well: bool) {
        let mut gateway = Gateway::default();
        let mut run = Run::sent();
        for event in &events {
            run = happens(run, &mut gateway, event);
            let waits = run.state().under_way.is_some() || run.state().timer.is_some();
            prop_assert!(run.state().status.is_settled() || waits, "nobody would ever look again: {:?}", run.state());
        }
        // From here on what is on its way arrives, and the gateway answers and decides.
        run = happens(run, &mut gateway, &Event::Arrives);
        for _ in 0..60 {
            if run.state().status.is_settled() && run.state().under_way.is_none() {
                break;
            }
            run = happens(run, &mut gateway, &Event::Answered);
            run = happens(run, &mut gateway, &Event::Rings);
            run = happens(run, &mut gateway, &Event::Decides(well));
        }
        prop_assert!(run.state().status.is_settled(), "{:?}", run.state());
        prop_assert!(gateway.made.len() <= 1, "two refunds: {:?}", gateway.made);
        let at_the_gateway = gateway.made.values().next().copied();
        let told = (
            times(&run, |told| matches!(told, payment::Message::RefundSucceeded { minor: 400, booked: true, .. })),
            times(&run, |told| matches!(told, payment::Message::RefundReleased { .. })),
        );
        match at_the_gateway {
            Some(RefundStatus::Succeeded) => prop_assert_eq!((run.state().status, told), (Status::Succeeded, (1, 0))),
            Some(RefundStatus::Failed) => prop_assert_eq!((run.state().status, told), (Status::Failed, (0, 1))),
            Some(RefundStatus::Pending) => prop_assert!(false, "everything is decided"),
            None => prop_assert_eq!(told, (0, 1), "nothing was taken: {:?}", run.state().status),
        }
    }
}
