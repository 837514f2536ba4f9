//! Ids: a prefix that says what it names, and a UUIDv7 in 32 lower-case hexadecimal digits.
//!
//! Nothing here makes a UUID: the caller gives one, so that the domain stays free of randomness and clocks. Ids are
//! time-ordered because random keys cost a database's index its speed.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Characters in a caller's own task id, at most.
pub const TASK_ID_CHARS_MAX: usize = 64;

/// A text that is not the id it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {kind}; it reads {form}")]
pub struct MalformedId {
    text: String,
    kind: &'static str,
    form: &'static str,
}

/// Reads 32 lower-case hexadecimal digits; other spellings are refused, so that one id has one text.
fn uuid_of_digits(digits: &str) -> Option<Uuid> {
    let plain = digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if plain { Uuid::try_parse(digits).ok() } else { None }
}

/// `Display`, `Debug`, `FromStr` and serde of an id type that has `PREFIX`, `parse` and a way to be written.
macro_rules! id_as_text {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// An id that is a prefix and a UUID, and nothing else.
macro_rules! prefixed_uuid {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// The id of `uuid`.
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The digits alone, for ids that share them.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// Reads the prefix and 32 lower-case hexadecimal digits.
            ///
            /// # Errors
            /// [`MalformedId`] for any other text.
            pub fn parse(text: &str) -> Result<Self, MalformedId> {
                text.strip_prefix($prefix).and_then(uuid_of_digits).map(Self).ok_or_else(|| MalformedId {
                    text: text.to_owned(),
                    kind: $kind,
                    form: concat!($prefix, " and 32 hexadecimal digits"),
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        id_as_text!($name);
    };
}

prefixed_uuid!(
    /// One execution of a template: what clients see beside the task.
    ExecutionId, "exec_", "an execution's id"
);
prefixed_uuid!(
    /// A payment.
    PaymentId, "pay_", "a payment's id"
);
prefixed_uuid!(
    /// A refund.
    RefundId, "re_", "a refund's id"
);
prefixed_uuid!(
    /// The invoice of a payment; it shares the payment's digits.
    InvoiceId, "inv_", "an invoice's id"
);
prefixed_uuid!(
    /// A payment attempt; it shares the payment's digits.
    AttemptId, "att_", "a payment attempt's id"
);
prefixed_uuid!(
    /// Something said from outside: a webhook, a cancel, an operator's command.
    InputId, "in_", "an input's id"
);

impl ExecutionId {
    /// The execution that a task stands for: the same digits for an id of ours, a digest of a caller's own id.
    ///
    /// Derived and not chosen, so that a repeated request names the same execution without anything being stored.
    #[must_use]
    pub fn of_task(task: &TaskId) -> Self {
        let ours = task.as_str().strip_prefix(TaskId::PREFIX).and_then(uuid_of_digits);
        Self(ours.unwrap_or_else(|| {
            let digest = Sha256::digest(task.as_str());
            let mut half = [0; 16];
            half.copy_from_slice(&digest[..16]);
            Uuid::from_bytes(half)
        }))
    }
}

impl InputId {
    /// The input that a webhook of `sender` with the sender's id `webhook` is: the same for one that comes twice.
    #[must_use]
    pub fn of_webhook(sender: &str, webhook: &str) -> Self {
        let digest = Sha256::digest(format!("{sender}\n{webhook}"));
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Self(Uuid::from_bytes(half))
    }
}

/// A task: ours (`task_` and 32 hexadecimal digits), or a text the caller chose, of 1 to [`TASK_ID_CHARS_MAX`]
/// letters, digits, `_` and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(Arc<str>);

impl TaskId {
    /// What every task id of ours begins with.
    pub const PREFIX: &'static str = "task_";

    /// The id of `uuid`.
    #[must_use]
    pub fn new(uuid: Uuid) -> Self {
        Self(format!("{}{}", Self::PREFIX, uuid.simple()).into())
    }

    /// Reads an id of ours or of the caller's.
    ///
    /// # Errors
    /// [`MalformedId`] when it is empty, too long, or holds another character.
    pub fn parse(text: &str) -> Result<Self, MalformedId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=TASK_ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.into()));
        }
        Err(MalformedId {
            text: text.chars().take(2 * TASK_ID_CHARS_MAX).collect(),
            kind: "a task's id",
            form: "1 to 64 letters, digits, `_` and `-`",
        })
    }

    /// The id as it is written everywhere.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

id_as_text!(TaskId);

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "019a0000000070008000000000000abc";

    fn uuid() -> Uuid {
        Uuid::try_parse(DIGITS).unwrap()
    }

    #[test]
    fn every_id_has_its_prefix_and_reads_back() {
        macro_rules! reads_back {
            ($($name:ident $text:literal),*) => {$(
                let id = $name::new(uuid());
                assert_eq!(id.to_string(), format!(concat!($text, "{}"), DIGITS));
                assert_eq!($name::parse(&id.to_string()), Ok(id.clone()));
                let json = serde_json::to_string(&id).unwrap();
                assert_eq!(json, format!("\"{id}\""));
                assert_eq!(serde_json::from_str::<$name>(&json).unwrap(), id);
            )*};
        }
        reads_back!(TaskId "task_", ExecutionId "exec_", PaymentId "pay_", RefundId "re_", InvoiceId "inv_",
            AttemptId "att_", InputId "in_");
    }

    #[test]
    fn an_id_has_one_spelling() {
        for text in [
            "",
            "pay_",
            "pay_019A0000000070008000000000000ABC",
            "pay_019a0000-0000-7000-8000-000000000abc",
            "re_019a0000000070008000000000000abc",
            "pay_019a0000000070008000000000000ab",
            "pay_{019a00000000700080000000000abc}",
        ] {
            assert!(PaymentId::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            PaymentId::parse("pay_1").unwrap_err().to_string(),
            "`pay_1` is not a payment's id; it reads pay_ and 32 hexadecimal digits"
        );
    }

    #[test]
    fn a_caller_may_name_a_task() {
        for text in ["a", "my-task_01", &"x".repeat(TASK_ID_CHARS_MAX)] {
            assert_eq!(TaskId::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "a b", "a/b", "a.b", "ä", "a\0", &"x".repeat(TASK_ID_CHARS_MAX + 1)] {
            assert!(TaskId::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_execution_shares_the_digits_of_a_task_of_ours() {
        assert_eq!(ExecutionId::of_task(&TaskId::new(uuid())).to_string(), format!("exec_{DIGITS}"));
    }

    #[test]
    fn a_webhook_that_comes_twice_is_one_input_and_senders_do_not_share_them() {
        assert_eq!(InputId::of_webhook("a", "msg_1"), InputId::of_webhook("a", "msg_1"));
        assert_ne!(InputId::of_webhook("a", "msg_1"), InputId::of_webhook("b", "msg_1"));
        assert_ne!(InputId::of_webhook("a", "msg_1"), InputId::of_webhook("a", "msg_2"));
    }

    #[test]
    fn the_execution_of_a_callers_task_never_changes() {
        let of = |text| ExecutionId::of_task(&TaskId::parse(text).unwrap()).to_string();
        assert_eq!(of("order-1"), of("order-1"));
        assert_ne!(of("order-1"), of("Order-1"));
        assert_eq!(of("a"), "exec_ca978112ca1bbdcafac231b39a23dc4d");
    }
}
