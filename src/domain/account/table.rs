//! What an account is told, and which postings follow. The snapshot is the specification: read it before accepting a change.

use std::fmt::Write as _;

use strum::IntoEnumIterator as _;
use uuid::Uuid;

use super::*;
use crate::domain::{EffectNo, Verdict};

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("usd").unwrap())
}

fn moved(moved: Moved) -> Message {
    Message::PaymentMoved { payment: payment(), currency: usd(0).currency, moved }
}

fn payment() -> PaymentId {
    PaymentId::new(Uuid::from_u128(7))
}

fn messages() -> Vec<(&'static str, Message)> {
    let (refund, payment) = (RefundId::new(Uuid::from_u128(9)), payment());
    let amount = usd(400);
    let effect = EffectNo { version: 1, index: 0 };
    let succeeded = |held, marked| Message::RefundSucceeded { refund, payment, amount, held, marked };
    vec![
        ("captured", moved(Moved { captured: 1000, ..Moved::default() })),
        ("refunded by others", moved(Moved { refunded: 1200, over: 200, ..Moved::default() })),
        ("less refunded by others", moved(Moved { refunded: -1200, over: -200, ..Moved::default() })),
        ("dispute opened", moved(Moved { disputed: 1000, ..Moved::default() })),
        ("dispute lost", moved(Moved { lost: 1000, ..Moved::default() })),
        ("dispute lost at once", moved(Moved { disputed: 1000, lost: 1000, ..Moved::default() })),
        ("dispute won", moved(Moved { disputed: -1000, ..Moved::default() })),
        ("withdrawn", moved(Moved { withdrawn: 600, ..Moved::default() })),
        ("beyond 64 bits", moved(Moved { captured: i64::MIN, ..Moved::default() })),
        ("reserve", Message::ReserveRefund { refund, payment, amount }),
        ("reserve everything", Message::ReserveRefund { refund, payment, amount: usd(1000) }),
        ("reserve too much", Message::ReserveRefund { refund, payment, amount: usd(1001) }),
        ("reserve nothing", Message::ReserveRefund { refund, payment, amount: usd(0) }),
        ("released", Message::RefundReleased { refund, payment, amount }),
        ("succeeded", succeeded(true, false)),
        ("succeeded, marked", succeeded(true, true)),
        ("succeeded, never promised", succeeded(false, false)),
        ("reversed", Message::RefundReversed { refund, payment, amount, marked: false }),
        ("reversed, marked", Message::RefundReversed { refund, payment, amount, marked: true }),
        ("reported", Message::Reported(Report { effect, outcome: Ok(serde_json::Value::Null) })),
    ]
}

fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Post(Posting { debit, credit, amount, cause, .. }) => {
            let (debit, credit, cause): (&str, &str, &str) = ((*debit).into(), (*credit).into(), (*cause).into());
            format!("{debit} -> {credit} {amount} ({cause})")
        }
        Effect::TellPayment(_, message) => format!("tell payment {}", <&str>::from(message)),
        Effect::TellRefund(_, message) => format!("tell refund {}", <&str>::from(message)),
    }
}

#[test]
fn every_message_has_its_postings() {
    let mut table = String::new();
    let opened = State {
        balances: [(usd(0).currency, Balances { available: 1000, clearing: -1000, ..Balances::default() })].into(),
        ..State::default()
    };
    for (name, state) in [("new", None), ("1000 available", Some(&opened))] {
        writeln!(table, "\n== {name}").unwrap();
        for (said, message) in messages() {
            let moment = Moment { now: Timestamp(5), version: 1 };
            let cell = match AccountMachine.apply(state, message, moment) {
                Err(broken) => format!("broken: {broken}"),
                Ok(Decision { verdict: Verdict::Refused(why), .. }) => format!("refused: {why}"),
                Ok(decision) => decision.effects.iter().map(effect).collect::<Vec<_>>().join("; "),
            };
            writeln!(table, "{said:<26} {cell}").unwrap();
        }
    }
    insta::assert_snapshot!(table.trim_start());
}

/// These texts are in databases: a change of one loses what is stored.
#[test]
fn durable_names_are_as_written_down() {
    let buckets: Vec<&str> = Bucket::iter().map(Into::into).collect();
    assert_eq!(buckets, ["available", "reserved", "disputed", "withdrawn", "suspense", "clearing", "external"]);
    let causes: Vec<&str> = Cause::iter().map(Into::into).collect();
    assert_eq!(
        causes.join(" "),
        "capture foreign_refund dispute dispute_lost over withdrawal reservation release refund reversal"
    );
    let state = r#"{"balances":{"usd":{"available":1,"reserved":2,"disputed":0,"withdrawn":0,"suspense":0,"clearing":-3,"external":0}},"opened_at":5}"#;
    let read: State = serde_json::from_str(state).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), state);
    assert_eq!(read.of(usd(0).currency).reserved, 2);
}
