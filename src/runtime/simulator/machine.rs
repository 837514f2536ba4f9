//! Toy machines that use everything the engine offers: a bank whose money must not change, and chains that crowd a
//! counter.

use serde::{Deserialize, Serialize};

use crate::domain::{Address, Broken, Decision, EffectNo, Machine, Moment, Order, Report, Turn};
use crate::runtime::journal::StateTable;
use crate::runtime::kind::{Hosted, Kind};

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// The machine panics.
    Panics,
    /// The machine finds an invariant broken.
    Breaks,
    /// The decision never ends.
    Hangs,
    /// The process dies.
    Kills,
    /// The database refuses what was decided.
    Rejected,
}

impl Trouble {
    pub const ALL: [Self; 5] = [Self::Panics, Self::Breaks, Self::Hangs, Self::Kills, Self::Rejected];

    /// Whether `body` is a message with this trouble.
    fn marks(self, body: &str) -> bool {
        body.contains(match self {
            Self::Panics => "\"Panics\"",
            Self::Breaks => "\"Breaks\"",
            Self::Hangs => "\"Hangs\"",
            Self::Kills => "\"Kills\"",
            Self::Rejected => "\"Rejected\"",
        })
    }

    /// What is wrong with `body`, if anything. A birth only announces trouble.
    pub fn of(body: &str) -> Option<Self> {
        if !body.starts_with("{\"Note\"") {
            return None;
        }
        Self::ALL.into_iter().find(|trouble| trouble.marks(body))
    }
}

/// The lane of the toy provider.
pub const LANE: &str = "clear";

fn tell(to: &Address, message: &impl Serialize) -> Order {
    Order::Tell { to: to.clone(), message: text(message), schema: 1 }
}

fn timer(moment: Moment, ms: i64, message: &impl Serialize) -> Order {
    Order::Timer { due: moment.now.plus_ms(ms), message: text(message) }
}

/// A message as JSON.
pub fn text(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("toy messages are plain data")
}

type Made<S> = Result<Decision<S, Order>, Broken>;

/// An account of the bank.
pub struct Account;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountState {
    pub balance: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AccountMessage {
    Open { balance: i64 },
    Withdraw { transfer: Address, amount: i64 },
    Deposit { transfer: Address, amount: i64, opens: bool },
    Note(Trouble),
    Reported,
}

impl Machine for Account {
    const KIND: &'static str = "account";
    const SCHEMA: u32 = 1;
    type State = AccountState;
    type Message = AccountMessage;
    type Effect = Order;

    fn apply(&self, state: Option<&AccountState>, message: AccountMessage, _moment: Moment) -> Made<AccountState> {
        let balance = state.map_or(0, |state| state.balance);
        Ok(match message {
            AccountMessage::Open { balance } if state.is_none() => {
                Decision::applied(AccountState { balance }, Vec::new())
            }
            AccountMessage::Open { .. } | AccountMessage::Reported => Decision::refused("the account is open"),
            AccountMessage::Withdraw { transfer, amount } if amount <= balance => Decision::applied(
                AccountState { balance: balance - amount },
                vec![tell(&transfer, &TransferMessage::Withdrawn)],
            ),
            AccountMessage::Withdraw { transfer, .. } => {
                Decision::refused("too little").and([tell(&transfer, &TransferMessage::Declined)])
            }
            AccountMessage::Deposit { transfer, amount, .. } => Decision::applied(
                AccountState { balance: balance + amount },
                vec![tell(&transfer, &TransferMessage::Deposited)],
            ),
            // Without the hook's noise: the engine must survive it all the same.
            AccountMessage::Note(Trouble::Panics) => std::panic::resume_unwind(Box::new("toy panic")),
            AccountMessage::Note(Trouble::Breaks) => return Err(Broken("toy invariant".to_owned())),
            AccountMessage::Note(_) => Decision::ignored(),
        })
    }

    fn is_birth(message: &AccountMessage) -> bool {
        matches!(message, AccountMessage::Open { .. } | AccountMessage::Deposit { opens: true, .. })
    }

    fn reported(_: Report) -> AccountMessage {
        AccountMessage::Reported
    }

    fn status(_: &AccountState) -> &'static str {
        "open"
    }

    fn is_final(_: &AccountState) -> bool {
        false
    }
}

/// Money on its way from one account to another, by way of a provider.
pub struct Transfer;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Terms {
    pub from: Address,
    pub to: Address,
    pub amount: i64,
    /// Whether the deposit may open the account.
    pub opens: bool,
    /// How long the withdrawal, and then the provider, may take.
    pub patience_ms: i64,
    /// How the provider's work waits for room.
    pub turn: Option<Turn>,
    /// A message with which the giver's account is bothered.
    pub trouble: Option<Trouble>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransferState {
    pub terms: Terms,
    pub stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    Waiting { expiry: EffectNo, expired: bool },
    Clearing { activity: EffectNo, deadline: EffectNo, attempt: u32 },
    Pausing { attempt: u32 },
    Settling,
    Done,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum TransferMessage {
    Begin(Terms),
    Withdrawn,
    Declined,
    Deposited,
    Expire,
    Deadline { attempt: u32 },
    Again,
    Ended(Report),
}

impl TransferState {
    fn clear(mut self, attempt: u32, moment: Moment, mut first: Vec<Order>) -> Decision<Self, Order> {
        let index = u32::try_from(first.len()).unwrap_or(0);
        let turn = self.terms.turn.clone();
        first.push(Order::Start { lane: LANE, input: format!("{{\"attempt\":{attempt}}}"), turn });
        first.push(timer(moment, self.terms.patience_ms, &TransferMessage::Deadline { attempt }));
        let (activity, deadline) = (moment.effect(index), moment.effect(index + 1));
        self.stage = Stage::Clearing { activity, deadline, attempt };
        Decision::applied(self, first)
    }

    fn deposit(mut self, back: bool, me: &Address, mut first: Vec<Order>) -> Decision<Self, Order> {
        let to = if back { &self.terms.from } else { &self.terms.to };
        let opens = !back && self.terms.opens;
        first.push(tell(to, &AccountMessage::Deposit { transfer: me.clone(), amount: self.terms.amount, opens }));
        self.stage = Stage::Settling;
        Decision::applied(self, first)
    }

    fn done(mut self, orders: Vec<Order>) -> Decision<Self, Order> {
        self.stage = Stage::Done;
        Decision::applied(self, orders)
    }
}

fn begin(terms: Terms, moment: Moment) -> Decision<TransferState, Order> {
    let me = Address::new(Transfer::KIND, &transfer_key(&terms));
    let mut orders = vec![
        tell(&terms.from, &AccountMessage::Withdraw { transfer: me, amount: terms.amount }),
        timer(moment, terms.patience_ms, &TransferMessage::Expire),
    ];
    if let Some(trouble) = terms.trouble {
        orders.push(tell(&terms.from, &AccountMessage::Note(trouble)));
    }
    let stage = Stage::Waiting { expiry: moment.effect(1), expired: false };
    Decision::applied(TransferState { terms, stage }, orders)
}

/// Transfers are named by their amounts, which the scenario makes unique.
pub fn transfer_key(terms: &Terms) -> String {
    terms.amount.to_string()
}

impl Machine for Transfer {
    const KIND: &'static str = "transfer";
    const SCHEMA: u32 = 1;
    type State = TransferState;
    type Message = TransferMessage;
    type Effect = Order;

    fn apply(&self, state: Option<&TransferState>, message: TransferMessage, moment: Moment) -> Made<TransferState> {
        use TransferMessage as Said;
        let Some(state) = state.cloned() else {
            return match message {
                Said::Begin(terms) => Ok(begin(terms, moment)),
                _ => Err(Broken("not a birth".to_owned())),
            };
        };
        let me = Address::new(Self::KIND, &transfer_key(&state.terms));
        let cancel = |effect| Order::Cancel { effect };
        Ok(match (state.stage.clone(), message) {
            (_, Said::Begin(_)) => Decision::refused("it began"),
            (Stage::Waiting { expiry, expired: false }, Said::Withdrawn) => {
                state.clear(1, moment, vec![cancel(expiry)])
            }
            (Stage::Waiting { .. }, Said::Withdrawn) => state.deposit(true, &me, Vec::new()),
            (Stage::Waiting { expiry, .. }, Said::Declined) => state.done(vec![cancel(expiry)]),
            (Stage::Waiting { expiry, expired: false }, Said::Expire) => {
                let stage = Stage::Waiting { expiry, expired: true };
                Decision::applied(TransferState { stage, ..state }, Vec::new())
            }
            (Stage::Clearing { activity, deadline, attempt }, Said::Ended(report)) if report.effect == activity => {
                match report.outcome {
                    Ok(_) => state.deposit(false, &me, vec![cancel(deadline)]),
                    Err(failure) if failure.retryable && attempt < 3 => Decision::applied(
                        TransferState { stage: Stage::Pausing { attempt }, ..state },
                        vec![cancel(deadline), timer(moment, 30, &Said::Again)],
                    ),
                    Err(_) => state.deposit(true, &me, vec![cancel(deadline)]),
                }
            }
            (Stage::Clearing { activity, attempt, .. }, Said::Deadline { attempt: late }) if late == attempt => {
                state.deposit(true, &me, vec![cancel(activity)])
            }
            (Stage::Pausing { attempt }, Said::Again) => state.clear(attempt + 1, moment, Vec::new()),
            (Stage::Settling, Said::Deposited) => state.done(Vec::new()),
            _ => Decision::ignored(),
        })
    }

    fn is_birth(message: &TransferMessage) -> bool {
        matches!(message, TransferMessage::Begin(_))
    }

    fn reported(report: Report) -> TransferMessage {
        TransferMessage::Ended(report)
    }

    fn status(_: &TransferState) -> &'static str {
        "any"
    }

    fn is_final(state: &TransferState) -> bool {
        state.stage == Stage::Done
    }
}

/// Counts what the links of a chain tell it, and notes when it was left alone for a while.
pub struct Counter;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CounterState {
    pub count: u64,
    pub flushed: u64,
    pub armed: Option<EffectNo>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum CounterMessage {
    Open,
    Count,
    Flush,
    Reported,
}

impl Machine for Counter {
    const KIND: &'static str = "counter";
    const SCHEMA: u32 = 1;
    type State = CounterState;
    type Message = CounterMessage;
    type Effect = Order;

    fn apply(&self, state: Option<&CounterState>, message: CounterMessage, moment: Moment) -> Made<CounterState> {
        let Some(state) = state else { return Ok(Decision::applied(CounterState::default(), Vec::new())) };
        let flushed = state.flushed;
        Ok(match message {
            CounterMessage::Count => {
                let mut orders: Vec<Order> = state.armed.map(|effect| Order::Cancel { effect }).into_iter().collect();
                let armed = Some(moment.effect(u32::try_from(orders.len()).unwrap_or(0)));
                orders.push(timer(moment, 40, &CounterMessage::Flush));
                Decision::applied(CounterState { count: state.count + 1, flushed, armed }, orders)
            }
            CounterMessage::Flush if state.armed.is_some() => Decision::applied(
                CounterState { count: state.count, flushed: flushed + 1, armed: None },
                state.armed.map(|effect| Order::Cancel { effect }).into_iter().collect(),
            ),
            CounterMessage::Flush => Decision::ignored(),
            CounterMessage::Open | CounterMessage::Reported => Decision::refused("it counts"),
        })
    }

    fn is_birth(message: &CounterMessage) -> bool {
        matches!(message, CounterMessage::Open)
    }

    fn reported(_: Report) -> CounterMessage {
        CounterMessage::Reported
    }

    fn status(_: &CounterState) -> &'static str {
        "counting"
    }

    fn is_final(_: &CounterState) -> bool {
        false
    }
}

/// A link of a chain: tells the counter, begets the next link, and is done.
pub struct Link;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LinkMessage {
    pub key: String,
    pub hops: u32,
    /// How often it tells the counter.
    pub burst: u32,
}

impl Machine for Link {
    const KIND: &'static str = "link";
    const SCHEMA: u32 = 1;
    type State = u32;
    type Message = LinkMessage;
    type Effect = Order;

    fn apply(&self, state: Option<&u32>, message: LinkMessage, _moment: Moment) -> Made<u32> {
        if state.is_some() {
            return Ok(Decision::refused("it is linked"));
        }
        let counter = Address::new(Counter::KIND, "hub");
        let mut orders: Vec<Order> = (0..message.burst).map(|_| tell(&counter, &CounterMessage::Count)).collect();
        if let Some(hops) = message.hops.checked_sub(1) {
            let key = format!("{}.{hops}", message.key);
            orders.push(tell(&Address::new(Self::KIND, &key), &LinkMessage { key, hops, burst: message.burst }));
        }
        Ok(Decision::applied(message.hops, orders))
    }

    fn is_birth(_: &LinkMessage) -> bool {
        true
    }

    fn reported(_: Report) -> LinkMessage {
        LinkMessage { key: String::new(), hops: 0, burst: 0 }
    }

    fn status(_: &u32) -> &'static str {
        "linked"
    }

    fn is_final(_: &u32) -> bool {
        true
    }
}

static ACCOUNTS: StateTable = StateTable { kind: "account", table: "accounts", columns: &[], records: None };
static TRANSFERS: StateTable = StateTable { kind: "transfer", table: "transfers", columns: &[], records: None };
static COUNTERS: StateTable = StateTable { kind: "counter", table: "counters", columns: &[], records: None };
static LINKS: StateTable = StateTable { kind: "link", table: "links", columns: &[], records: None };

/// The kind of `actor`.
pub fn kind_of(actor: &Address) -> &'static dyn Kind {
    static ACCOUNT: Hosted<Account> = Hosted { machine: Account, table: &ACCOUNTS, cells: |_| Vec::new() };
    static TRANSFER: Hosted<Transfer> = Hosted { machine: Transfer, table: &TRANSFERS, cells: |_| Vec::new() };
    static COUNTER: Hosted<Counter> = Hosted { machine: Counter, table: &COUNTERS, cells: |_| Vec::new() };
    static LINK: Hosted<Link> = Hosted { machine: Link, table: &LINKS, cells: |_| Vec::new() };
    match actor.kind() {
        Account::KIND => &ACCOUNT,
        Transfer::KIND => &TRANSFER,
        Counter::KIND => &COUNTER,
        _ => &LINK,
    }
}
