//! The life of a transfer, told one thing at a time.

use super::table::*;
use super::*;

type IsTold = fn(&Trouble) -> bool;

#[test]
fn nothing_is_broadcast_before_its_bytes_are_kept() {
    let run = Run::opened().then(Message::Send(Box::new(wish(1)))).sees(view());
    assert!(run.broadcasts().is_empty(), "it is only being signed");
    let run = run.signs(FIRST);
    let kept = run.sending(FIRST).attempts[0].signed.clone().unwrap();
    assert_eq!(run.broadcasts(), [kept]);
}

#[test]
fn what_vanished_is_broadcast_again_as_it_was() {
    let run = Run::sent().sees(mined(101, true)).later(POLICY.stuck_ms).sees(View { head: 102, ..view() });
    let sent = run.broadcasts();
    assert_eq!((sent.len(), &sent[0]), (2, &sent[1]));
    let run = run.hears(FIRST, Fact::Taken).sees(View { head: 102, ..waiting() });
    assert_eq!(run.sending(FIRST).attempts.len(), 1, "taken back by a reorganisation: its fee was good enough");
}

#[test]
fn what_is_stuck_offers_an_eighth_more_under_its_nonce_and_every_hash_counts() {
    let run = Run::sent().later(POLICY.stuck_ms).sees(waiting()).signs(FIRST);
    let [first, second] = &run.sending(FIRST).attempts[..] else { panic!("{:?}", run.state()) };
    assert!(second.fees.max * 8 >= first.fees.max * 9 && second.fees.tip * 8 >= first.fees.tip * 9, "{second:?}");
    assert_eq!(run.state().next, Some(FIRST + 1));
    // The cheap one is mined after all.
    let run = run.hears(FIRST, Fact::Taken).sees(mined(103, true));
    assert_eq!(run.told(), [(refund(1), true)]);
}

#[test]
fn a_fee_is_not_raised_beyond_the_ceiling_and_a_person_is_told() {
    let mut run = Run::sent();
    for _ in 0..60 {
        if run.state().trouble.is_some() {
            break;
        }
        let fees = run.sending(FIRST).attempts.last().unwrap().fees;
        let found = vec![Found { hash: signed(FIRST, fees).hash, at: At::Waiting }];
        run = run.later(POLICY.stuck_ms).sees(View { found, ..waiting() });
        if run.sending(FIRST).attempts.last().unwrap().signed.is_none() {
            run = run.signs(FIRST).hears(FIRST, Fact::Taken);
        }
    }
    let dearest = run.sending(FIRST).attempts.iter().map(|attempt| attempt.fees.max).max();
    assert!(dearest <= Some(POLICY.fee_max), "{dearest:?}");
    assert!(matches!(run.state().trouble, Some(Trouble::Dear { nonce: FIRST, .. })), "{:?}", run.state().trouble);
}

#[test]
fn a_refund_is_told_once_its_transfer_is_deep_enough_and_forgotten_when_it_is_twice_as_deep() {
    let run = Run::sent().sees(mined(102, true));
    assert_eq!(run.told(), [], "two blocks are not three");
    let run = run.sees(mined(103, true));
    assert_eq!(run.told(), [(refund(1), true)]);
    let run = run.sees(mined(104, true)).sees(mined(105, true));
    assert_eq!(run.told().len(), 1, "it is told once");
    assert_eq!(run.state().sendings.len(), 1);
    let run = run.sees(mined(106, true));
    assert_eq!((run.state().sendings.len(), run.state().timer), (0, None), "nothing is left to look for");
}

#[test]
fn a_transfer_that_the_chain_undid_has_used_its_nonce() {
    let run = Run::sent().sees(mined(103, false)).then(Message::Send(Box::new(wish(2))));
    let run = run.sees(mined(104, false));
    assert_eq!(run.told(), [(refund(1), false)]);
    assert_eq!(run.sending(FIRST + 1).wish, wish(2));
}

#[test]
fn a_short_treasury_waits_visibly_and_goes_on_when_money_has_come() {
    let poor = View { balance: Units(1_000_000_000_000_000_000), ..view() };
    let run = Run::opened().then(Message::Send(Box::new(wish(1)))).sees(poor);
    assert!(run.state().sendings.is_empty());
    // The coin itself is there, and not the gas: 100,000 units of it at 21 gwei.
    let attention = run.state().attention().unwrap();
    assert!(attention.starts_with("1 refunds wait") && attention.contains("2100000000000000 more wei"), "{attention}");
    let run = run.sees(view());
    assert_eq!((run.state().sendings.len(), run.state().attention()), (1, None));
}

#[test]
fn what_is_short_of_a_token_does_not_hold_up_the_coin() {
    let run = Run::opened().then(Message::Send(Box::new(token_wish(1))));
    let run = run.then(Message::Send(Box::new(token_wish(2)))).then(Message::Send(Box::new(wish(3)))).sees(view());
    let sent: Vec<_> = run.state().sendings.values().map(|sending| sending.wish.refund).collect();
    assert_eq!(sent, [refund(1), refund(3)], "8 units of the token are there: 5 for the first, too few for the second");
    let missing = Trouble::Short { asset: Asset::Token(ethereum('9')), missing: Units(2_000_000), waiting: 1 };
    assert_eq!(run.state().trouble, Some(missing));
}

#[test]
fn what_a_look_was_not_asked_for_is_not_taken_for_lacking() {
    let run = Run::opened().then(Message::Send(Box::new(wish(1)))).then(Message::Send(Box::new(token_wish(2))));
    let run = run.sees(View { tokens: Vec::new(), ..view() });
    assert_eq!((run.state().sendings.len(), run.state().queue.len(), run.state().attention()), (1, 1, None));
    assert_eq!(run.sees(view()).state().sendings.len(), 2);
}

#[test]
fn a_node_that_contradicts_what_is_known_changes_nothing_but_what_a_person_is_told() {
    let lies: [(View, IsTold); 5] = [
        (View { chain_id: 1, ..waiting() }, |trouble| matches!(trouble, Trouble::OtherChain { chain_id: 1 })),
        (View { head: 99, ..waiting() }, |trouble| matches!(trouble, Trouble::Behind { head: 99 })),
        (View { nonce: FIRST - 1, ..waiting() }, |trouble| matches!(trouble, Trouble::NonceLow { .. })),
        (View { nonce: FIRST + 1, ..waiting() }, |trouble| matches!(trouble, Trouble::KeyUsedElsewhere { .. })),
        (View { nonce: FIRST + 2, ..waiting() }, |trouble| matches!(trouble, Trouble::KeyUsedElsewhere { .. })),
    ];
    for (lie, is_told) in lies {
        let before = Run::sent().then(Message::Send(Box::new(wish(2))));
        let after = before.clone().sees(lie.clone());
        assert_eq!(after.state().trouble, None, "blocks may have come between its questions: {lie:?}");
        let after = after.sees(lie);
        assert!(after.state().trouble.as_ref().is_some_and(is_told), "{:?}", after.state().trouble);
        assert!(after.state().attention().is_some());
        let of = |run: &Run| (run.state().sendings.clone(), run.state().queue.clone(), run.state().next);
        assert_eq!(of(&before), of(&after));
        assert_eq!(before.broadcasts(), after.broadcasts());
        // An honest answer, and all goes on.
        let after = after.sees(waiting());
        assert_eq!((after.state().attention(), after.state().sendings.len()), (None, 2));
    }
}

#[test]
fn an_address_with_transfers_of_others_on_their_way_is_not_begun_with() {
    let busy = View { pending_nonce: FIRST + 1, ..view() };
    let run = Run::unborn().then(Message::Open(account())).then(Message::Send(Box::new(wish(1))));
    let run = run.sees(busy.clone()).sees(busy);
    assert_eq!(run.state().next, None);
    assert!(matches!(run.state().trouble, Some(Trouble::KeyUsedElsewhere { .. })));
    let run = run.sees(View { nonce: FIRST + 1, pending_nonce: FIRST + 1, ..view() });
    assert_eq!(run.state().next, Some(FIRST + 2), "they are mined, and ours has the next nonce");
}

#[test]
fn no_more_are_in_flight_than_nodes_keep() {
    let mut run = Run::opened();
    for number in 0..40 {
        run = run.then(Message::Send(Box::new(wish(number))));
    }
    let run = run.sees(view());
    assert_eq!((run.state().sendings.len(), run.state().queue.len()), (IN_FLIGHT_MAX, 40 - IN_FLIGHT_MAX));
}

#[test]
fn a_sender_that_waits_is_always_woken() {
    let down = Fact::Silent { why: "connection refused".into() };
    let run = Run::opened().then(Message::Open(account())).looks(down);
    assert!(run.state().timer.is_some(), "an idle sender whose node is down looks again until it is not");
    assert_eq!(run.sees(view()).state().timer, None);
}

/// These texts are in databases: a change of one loses what is stored.
#[test]
fn durable_names_are_as_written_down() {
    let text = concat!(
        r#"{"send":{"refund":"re_00000000000000000000000000000001","amount":{"minor":1000000000,"currency":"eth"},"#,
        r#""transfer":{"to":"0x2222222222222222222222222222222222222222","asset":"native","units":"1000000000000000000"}}}"#
    );
    assert_eq!(serde_json::to_string(&Message::Send(Box::new(wish(1)))).unwrap(), text);
    let state = serde_json::to_value(Run::sent().sees(mined(103, true)).state()).unwrap();
    assert_eq!(state["sendings"]["7"]["attempts"][0]["signed"]["hash"], "0xhash-7-21000000000");
    assert_eq!(state["sendings"]["7"]["mined"]["block"], 101);
    assert_eq!(state["next"], 8);
    assert_eq!(address(account()).as_str(), "sender/31337-0x1111111111111111111111111111111111111111");
}
