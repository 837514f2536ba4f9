//! An envelope as it lies in Redis: a line of JSON, and the body as it is.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{Address, Timestamp};
use crate::runtime::journal::{Envelope, MessageId};

/// What stands on the first line. Short names: it is written and read for every message.
#[derive(Serialize, Deserialize)]
struct Head<'a> {
    #[serde(rename = "i", borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "a")]
    to: Address,
    #[serde(rename = "d")]
    due: i64,
    #[serde(rename = "s", default)]
    schema: u32,
    #[serde(rename = "n", default, skip_serializing_if = "is_zero")]
    deaths: u32,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    turn: Option<Arc<str>>,
    #[serde(rename = "r", default, skip_serializing_if = "std::ops::Not::not")]
    recovered: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A letter cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a letter in the mailbox cannot be read: {0}")]
pub struct Unreadable(String);

/// Writes an envelope. Its lane is where it is put.
pub fn write(envelope: &Envelope) -> Result<Vec<u8>, serde_json::Error> {
    let head = Head {
        id: envelope.id.as_str().into(),
        to: envelope.to.clone(),
        due: envelope.due.0,
        schema: envelope.schema,
        deaths: envelope.deaths,
        turn: envelope.turn.clone(),
        recovered: envelope.recovered,
    };
    let mut letter = Vec::with_capacity(160 + envelope.body.len());
    serde_json::to_writer(&mut letter, &head)?;
    letter.push(b'\n');
    letter.extend_from_slice(envelope.body.as_bytes());
    Ok(letter)
}

/// Reads an envelope that lay in `lane`.
pub fn read(letter: &[u8], lane: &Arc<str>) -> Result<Envelope, Unreadable> {
    let text = std::str::from_utf8(letter).map_err(|error| Unreadable(error.to_string()))?;
    let (head, body) = text.split_once('\n').ok_or_else(|| Unreadable("it has one line only".to_owned()))?;
    let head: Head<'_> = serde_json::from_str(head).map_err(|error| Unreadable(error.to_string()))?;
    Ok(Envelope {
        id: MessageId::from(&*head.id),
        to: head.to,
        lane: lane.clone(),
        due: Timestamp(head.due),
        body: body.into(),
        schema: head.schema,
        deaths: head.deaths,
        turn: head.turn,
        recovered: head.recovered,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letter_says_all_that_the_envelope_said() {
        let lane: Arc<str> = "media".into();
        let bare = Envelope {
            id: "task/1:2:0".into(),
            to: Address::new("task", "a/\"b\"\n"),
            lane: lane.clone(),
            due: Timestamp(1_700_000_000_123),
            body: "{\"a\":\"two\\nlines\"}\n{}".into(),
            schema: 1,
            deaths: 0,
            turn: None,
            recovered: false,
        };
        let full =
            Envelope { schema: 3, deaths: 2, turn: Some("{\"group\":\"x\"}".into()), recovered: true, ..bare.clone() };
        for envelope in [bare, full] {
            assert_eq!(read(&write(&envelope).unwrap(), &lane).unwrap(), envelope);
        }
    }

    #[test]
    fn what_is_no_letter_is_refused() {
        for text in ["", "{}", "{}\n{}", "not json\n{}"] {
            assert!(read(text.as_bytes(), &"decide".into()).is_err(), "{text:?}");
        }
        assert!(read(b"\xff\n{}", &"decide".into()).is_err());
    }
}
