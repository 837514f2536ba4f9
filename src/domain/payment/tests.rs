//! The means to walk a payment through its life, and single promises about it.

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::domain::machine::Verdict;
use crate::domain::money::Currency;
use crate::domain::rail::{DisputeStanding, Fact, RefundStatus, SessionStatus};

pub(super) fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("usd").unwrap())
}

pub(super) fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::parse("eur").unwrap())
}

pub(super) fn id() -> PaymentId {
    PaymentId::new(Uuid::from_u128(7))
}

pub(super) fn refund(number: u128) -> RefundId {
    RefundId::new(Uuid::from_u128(100 + number))
}

pub(super) fn asker() -> Address {
    Address::new("input", "in_1")
}

pub(super) fn checkout(price: Money) -> Message {
    let execution = json!({
        "id": "task_1",
        "request": {
            "type": "video_generation", "template_code": "film", "user_id": "ada", "owner": "client:shop",
            "payment": id(), "parameters": {},
        },
        "workflow": { "name": "noop", "digest": "d" },
    });
    Message::Checkout(Box::new(Checkout {
        id: id(),
        name: "A film".into(),
        price,
        receiver: "platform".into(),
        rail: Rail::Stripe,
        execution: serde_json::from_value(execution).unwrap(),
        success_url: "https://x/success".into(),
        cancel_url: "https://x/cancel".into(),
        open_ms: 3_600_000,
    }))
}

pub(super) fn receipt(paid: Money) -> Message {
    Message::ReceivedElsewhere(Box::new(Receipt {
        id: id(),
        paid,
        receiver: "platform".into(),
        reference: "0xabc".into(),
        owner: "client:shop".into(),
        user_id: "ada".into(),
    }))
}

pub(super) fn session(status: SessionStatus, paid: Option<Money>) -> Session {
    let url = (status == SessionStatus::Open).then(|| "https://pay/cs_1".to_owned());
    Session { id: "cs_1".into(), url, status, paid, intent: paid.map(|_| "pi_1".to_owned()) }
}

pub(super) fn told(news: News) -> Message {
    Message::Told { news, input: asker() }
}

pub(super) fn paid_news() -> Message {
    told(News::Session(session(SessionStatus::Complete, Some(usd(1000)))))
}

pub(super) fn listed(number: u32, ours: Option<RefundId>, minor: i64, status: RefundStatus) -> GatewayRefund {
    GatewayRefund { id: format!("re_gw_{number}"), refund: ours, amount: usd(minor), status, reason: None }
}

pub(super) fn dispute(standing: DisputeStanding) -> Message {
    told(News::Dispute(Dispute { id: "dp_1".into(), amount: usd(1000), standing }))
}

use crate::domain::rail::GatewayRefund;

/// A payment on its way through its life.
#[derive(Clone)]
pub(super) struct Run {
    pub state: Option<State>,
    pub version: u64,
    pub now: Timestamp,
    pub effects: Vec<(EffectNo, Effect)>,
}

impl Run {
    pub fn unborn() -> Self {
        Self { state: None, version: 0, now: Timestamp(1_000_000), effects: Vec::new() }
    }

    pub fn born() -> Self {
        Self::unborn().then(checkout(usd(1000)))
    }

    pub fn open() -> Self {
        Self::born().hears(Fact::Session(session(SessionStatus::Open, None)))
    }

    pub fn paid() -> Self {
        Self::open().then(paid_news()).then(Message::Credited)
    }

    pub fn moment(&self) -> Moment {
        Moment { now: self.now, version: self.version + 1 }
    }

    pub fn state(&self) -> &State {
        self.state.as_ref().unwrap()
    }

    pub fn say(&mut self, message: Message) -> Decision<State, Effect> {
        let moment = self.moment();
        let decision = PaymentMachine.apply(self.state.as_ref(), message, moment).unwrap();
        self.version += 1;
        let numbers = (0..).map(|index| moment.effect(index));
        self.effects.extend(numbers.zip(decision.effects.iter().cloned()));
        if let Some(state) = decision.state.clone() {
            self.state = Some(state);
        }
        decision
    }

    pub fn then(mut self, message: Message) -> Self {
        self.say(message);
        self
    }

    /// The call under way comes back with `fact`.
    pub fn hears(mut self, fact: Fact) -> Self {
        let effect = self.state().under_way.expect("a call is under way").effect;
        self.say(Message::GatewayReported(Report { effect, outcome: Ok(serde_json::to_value(fact).unwrap()) }));
        self
    }

    /// The timer rings.
    pub fn rings(mut self) -> Self {
        let timer = self.state().timer.expect("a timer is armed");
        let due = self.effects.iter().rev().find_map(|(number, effect)| match effect {
            Effect::Arm { due, .. } if *number == timer => Some(*due),
            _ => None,
        });
        self.now = due.unwrap();
        self.say(Message::Due { timer });
        self
    }

    fn calls(&self) -> Vec<&Call> {
        self.effects
            .iter()
            .filter_map(|(_, effect)| if let Effect::Call(call) = effect { Some(call) } else { None })
            .collect()
    }

    fn executions(&self) -> usize {
        self.effects.iter().filter(|(_, effect)| matches!(effect, Effect::Execute(_))).count()
    }
}

pub(super) fn unknown() -> Fact {
    Fact::Unknown { why: "silence".into(), spent: false }
}

#[test]
fn a_session_whose_answer_is_lost_is_asked_for_again_under_the_same_key() {
    let run = Run::born().hears(unknown()).rings();
    let calls = run.calls();
    assert_eq!((calls.len(), &calls[0].key), (2, &calls[1].key));
    assert_eq!((calls[0].first_sent_at, calls[0].again), (calls[1].first_sent_at, false));
    assert!(calls[1].again);
}

#[test]
fn a_key_that_is_spent_is_followed_by_another() {
    let run = Run::born().hears(Fact::Unknown { why: "a stored failure".into(), spent: true }).rings();
    assert_ne!(run.calls()[0].key, run.calls()[1].key);
}

#[test]
fn a_session_that_nobody_ever_heard_of_ends_without_another_send() {
    let mut run = Run::born().hears(unknown());
    run.now = run.now.plus_ms(rail::KEY_AGE_MS_MAX + 1);
    let timer = run.state().timer.unwrap();
    run.say(Message::Due { timer });
    assert_eq!((run.state().status, run.calls().len()), (Status::Expired, 1));
}

#[test]
fn what_is_paid_is_executed_once_however_often_it_is_told() {
    let run = Run::open().then(paid_news()).then(paid_news()).then(Message::Sync { input: asker() });
    assert_eq!((run.state().status, run.executions()), (Status::Completed, 1));
}

#[test]
fn a_payment_that_was_cancelled_and_paid_at_the_same_time_is_paid() {
    let run = Run::open()
        .then(Message::Cancel { input: asker() })
        .hears(Fact::Rejected { code: "not_open".into(), message: "It is complete.".into() })
        .hears(Fact::Session(session(SessionStatus::Complete, Some(usd(1000)))));
    assert_eq!((run.state().status, run.executions()), (Status::Completed, 1));
    assert!(run.state().askers.is_empty(), "whoever asked was told");
}

#[test]
fn more_than_is_left_is_never_promised() {
    let mut run = Run::paid();
    let reserve = |number, minor| Message::ReserveRefund { refund: refund(number), minor, marked: false };
    assert_eq!(run.say(reserve(1, Some(600))).verdict, Verdict::Applied);
    assert!(matches!(run.say(reserve(2, Some(600))).verdict, Verdict::Refused(_)));
    assert_eq!(run.say(reserve(3, None)).verdict, Verdict::Applied);
    assert_eq!(run.state().reservations, [(refund(1), 600), (refund(3), 400)].into());
    for minor in [0, -1, i64::MIN] {
        assert!(matches!(Run::paid().say(reserve(1, Some(minor))).verdict, Verdict::Refused(_)));
    }
}

#[test]
fn a_refund_that_others_made_is_counted_and_unsent_promises_are_asked_back() {
    let moved = || told(News::RefundsMoved { intent: "pi_1".into() });
    let run =
        Run::paid().then(Message::ReserveRefund { refund: refund(1), minor: Some(800), marked: false }).then(moved());
    let mut run = run.hears(Fact::Refunds(vec![listed(1, None, 500, RefundStatus::Succeeded)]));
    let amounts = run.state().amounts;
    assert_eq!((amounts.refunded, amounts.reserved, amounts.over), (500, 800, 300));
    assert!(
        run.effects
            .iter()
            .any(|(_, effect)| matches!(effect, Effect::TellRefund { message: refund::Message::Yield, .. }))
    );
    assert_eq!(run.state().attention.len(), 1);
    run.say(Message::RefundReleased { refund: refund(1), as_of: 1 });
    let amounts = run.state().amounts;
    assert_eq!((amounts.refunded, amounts.reserved, amounts.over), (500, 0, 0));
    // Listed once more, and failed in the end.
    let run = run.then(moved()).hears(Fact::Refunds(vec![listed(1, None, 500, RefundStatus::Failed)]));
    assert_eq!(run.state().amounts.refunded, 0);
}

#[test]
fn money_that_goes_back_stops_an_execution_that_waits() {
    let stopped = |run: &Run| run.effects.iter().filter(|(_, e)| matches!(e, Effect::StopExecution { .. })).count();
    let refunded = Run::paid()
        .then(Message::ReserveRefund { refund: refund(1), minor: None, marked: false })
        .then(Message::RefundSucceeded { refund: refund(1), minor: 1000, as_of: 1, booked: true });
    assert_eq!((stopped(&refunded), refunded.state().standing), (1, Standing::Stopping));
    let disputed = Run::paid().then(dispute(DisputeStanding::Open)).then(dispute(DisputeStanding::Lost));
    assert_eq!(stopped(&disputed), 1);
    let part = Run::paid()
        .then(Message::ReserveRefund { refund: refund(1), minor: Some(1), marked: false })
        .then(Message::RefundSucceeded { refund: refund(1), minor: 1, as_of: 1, booked: true });
    assert_eq!(stopped(&part), 0);
    // It was stopped because the money is gone: it is not paid back again.
    let back = |run: Run| run.then(Message::TaskEnded { end: TaskEnd::Cancelled { begun: false } });
    assert!(!back(disputed).effects.iter().any(|(_, effect)| matches!(effect, Effect::GiveBack(_))));
}

#[test]
fn money_that_is_held_is_executed_or_given_back_once_as_a_person_says() {
    let held = || Run::open().then(told(News::Session(session(SessionStatus::Complete, Some(usd(999))))));
    let resolve = |how| Message::Resolve { how, input: asker() };
    let backs = |run: &Run| run.effects.iter().filter(|(_, effect)| matches!(effect, Effect::GiveBack(_))).count();
    let mut executed = held().then(resolve(Resolution::Execute));
    assert_eq!((executed.state().status, executed.executions(), backs(&executed)), (Status::Completed, 1, 0));
    assert!(executed.state().attention.is_empty());
    assert!(matches!(executed.say(resolve(Resolution::GiveBack)).verdict, Verdict::Refused(_)));
    let mut back = held().then(resolve(Resolution::GiveBack));
    assert_eq!((back.state().status, back.executions(), backs(&back)), (Status::Cancelled, 0, 1));
    assert!(matches!(back.say(resolve(Resolution::Execute)).verdict, Verdict::Refused(_)));
    assert_eq!(back.state().execution, None, "nothing can be executed any more");
    // Disputed money is nobody's to decide about, and a currency that we do not keep is not ours to send.
    let mut disputed = held().then(dispute(DisputeStanding::Open));
    assert!(matches!(disputed.say(resolve(Resolution::Execute)).verdict, Verdict::Refused(_)));
    let mut euros = Run::open().then(told(News::Session(session(SessionStatus::Complete, Some(eur(1000))))));
    assert!(matches!(euros.say(resolve(Resolution::GiveBack)).verdict, Verdict::Refused(_)));
    assert_eq!(euros.say(resolve(Resolution::Execute)).verdict, Verdict::Applied);
}

/// These texts are in databases: a change of one loses what is stored.
#[test]
fn durable_names_are_as_written_down() {
    use strum::IntoEnumIterator;
    assert_eq!(PaymentMachine::KIND, "payment");
    let statuses: Vec<&str> = Status::iter().map(Into::into).collect();
    assert_eq!(statuses, ["created", "awaiting_payer", "held", "completed", "failed", "cancelled", "expired"]);
    let paid = Run::paid();
    let state = State { looked_at: Some(paid.now), ..paid.state().clone() };
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
    insta::assert_snapshot!(text);
}

/// What the release before accounts wrote down.
fn old(rest: &str) -> Run {
    let text = format!(
        r#"{{"id":"{}","status":"completed","template_code":"film","name":"A film","user_id":"ada","owner":"client:shop","receiver":"platform","price":{{"minor":1000,"currency":"usd"}},"amounts":{{"captured":1000,"reserved":200,"refunded":300,"disputed":0,"over":0}},"urls":["https://x/success","https://x/cancel"],"expires_at":4600000,"intent":"pi_1","task":"task_1","standing":"completed","created_at":1000000{rest}}}"#,
        id()
    );
    let state = Some(serde_json::from_str(&text).unwrap());
    Run { state, version: 5, now: Timestamp(2_000_000), effects: Vec::new() }
}

fn told_to_account(run: &Run) -> Vec<account::Moved> {
    let moved = |(_, effect): &(EffectNo, Effect)| match effect {
        Effect::TellAccount { message: account::Message::PaymentMoved { moved, .. }, .. } => Some(*moved),
        _ => None,
    };
    run.effects.iter().filter_map(moved).collect()
}

#[test]
fn a_payment_that_is_older_than_accounts_tells_all_of_it_once_and_promises_nothing_before() {
    let refunds = format!(r#","reservations":{{"{}":200}},"refunds":{{"{}":300}}"#, refund(1), refund(2));
    let run = old(&refunds).then(Message::Book { input: asker() });
    assert_eq!(told_to_account(&run), [account::Moved { captured: 1000, refunded: 300, ..Default::default() }]);
    let run = run.then(Message::ReserveRefund { refund: refund(3), minor: Some(400), marked: false });
    let granted = |run: &Run| {
        run.effects.iter().any(|(_, effect)| {
            let Effect::TellRefund { refund: told, message: refund::Message::Reserved { .. } } = effect else {
                return false;
            };
            *told == refund(3)
        })
    };
    assert!(!granted(&run), "the account has not said that it has the money");
    let run = run.then(Message::Credited);
    assert!(granted(&run));
    // A refund of that release does not tell the account itself.
    let run = run.then(Message::RefundSucceeded { refund: refund(1), minor: 200, as_of: 0, booked: false });
    assert_eq!(told_to_account(&run)[1..], [account::Moved { refunded: 200, ..Default::default() }]);
    let run = run.then(Message::RefundReversed { refund: refund(2), as_of: 0, booked: false });
    assert_eq!(told_to_account(&run)[2..], [account::Moved { refunded: -300, ..Default::default() }]);
}

#[test]
fn a_refund_that_is_known_here_is_never_counted_as_somebody_elses() {
    let run = Run::paid()
        .then(Message::ReserveRefund { refund: refund(1), minor: Some(400), marked: false })
        .then(Message::RefundReleased { refund: refund(1), as_of: 5 });
    let listed = Fact::Refunds(vec![listed(1, Some(refund(1)), 400, RefundStatus::Succeeded)]);
    let run = run.then(Message::Sync { input: asker() }).hears(listed);
    assert_eq!(run.state().amounts.refunded, 0, "its refund is told, and counts it");
    let run = run.then(Message::RefundSucceeded { refund: refund(1), minor: 400, as_of: 9, booked: true });
    assert_eq!(run.state().amounts.refunded, 400);
}

#[test]
fn what_a_refund_said_before_does_not_undo_what_it_said_after() {
    let run = Run::paid()
        .then(Message::ReserveRefund { refund: refund(1), minor: Some(400), marked: false })
        .then(Message::RefundReversed { refund: refund(1), as_of: 9, booked: true })
        .then(Message::RefundSucceeded { refund: refund(1), minor: 400, as_of: 7, booked: true });
    let amounts = run.state().amounts;
    assert_eq!((amounts.refunded, amounts.reserved), (0, 0));
}
