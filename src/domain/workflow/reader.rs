//! Reading a TOML table key by key, keeping every fault instead of stopping at the first.

use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::{Map, Value};
use strum::IntoEnumIterator;

use super::parse::Fault;

/// A table being read. What was not asked for by the time of [`Section::finish`] is an unknown key.
pub(super) struct Section<'a> {
    name: Option<String>,
    table: &'a toml::Table,
    asked: Vec<&'static str>,
    faults: Vec<Fault>,
}

impl<'a> Section<'a> {
    /// The table `table`, called `name` in faults; `None` is the document itself.
    pub fn new(name: Option<String>, table: &'a toml::Table) -> Self {
        Self { name, table, asked: Vec::new(), faults: Vec::new() }
    }

    /// Notes a fault of `key`.
    pub fn fault(&mut self, key: &str, reason: impl Into<String>) {
        self.faults.push(Fault { section: self.name.clone(), key: Some(key.to_owned()), reason: reason.into() });
    }

    fn value(&mut self, key: &'static str) -> Option<&'a toml::Value> {
        self.asked.push(key);
        self.table.get(key)
    }

    /// The value as `read` takes it; a value it does not take must be `expected`.
    fn read<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'a toml::Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let taken = read(value);
        if taken.is_none() {
            self.fault(key, format!("must be {expected}, not {}", kind_of(value)));
        }
        taken
    }

    /// Whether the key is there, whatever it holds.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes that `key` is missing, if it is.
    pub fn require(&mut self, key: &'static str) {
        if !self.has(key) {
            self.fault(key, "is missing");
        }
    }

    /// A text.
    pub fn text(&mut self, key: &'static str) -> Option<&'a str> {
        self.read(key, "a text", toml::Value::as_str)
    }

    /// A number, whole or not.
    pub fn number(&mut self, key: &'static str) -> Option<f64> {
        self.read(key, "a finite number", |value| match value {
            toml::Value::Integer(whole) => Some(*whole as f64),
            toml::Value::Float(number) if number.is_finite() => Some(*number),
            _ => None,
        })
    }

    /// A whole number within `range`.
    pub fn whole(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let number = self.read(key, "a whole number", toml::Value::as_integer)?;
        let whole = u32::try_from(number).ok().filter(|whole| range.contains(whole));
        if whole.is_none() {
            self.fault(key, format!("must be from {} to {}, not {number}", range.start(), range.end()));
        }
        whole
    }

    /// True or false.
    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.read(key, "true or false", toml::Value::as_bool)
    }

    /// A list of texts.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        self.read(key, "a list of texts", |value| {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        })
    }

    /// A table.
    pub fn table(&mut self, key: &'static str) -> Option<&'a toml::Table> {
        self.read(key, "a table", toml::Value::as_table)
    }

    /// A list of tables.
    pub fn tables(&mut self, key: &'static str) -> Option<Vec<&'a toml::Table>> {
        self.read(key, "a list of tables", |value| value.as_array()?.iter().map(toml::Value::as_table).collect())
    }

    /// Any value that JSON knows too.
    pub fn json(&mut self, key: &'static str) -> Option<Value> {
        let value = self.value(key)?;
        let json = json_of(value);
        if json.is_none() {
            self.fault(key, "holds a date or an endless number, which JSON does not know");
        }
        json
    }

    /// A table of values that JSON knows too.
    pub fn json_table(&mut self, key: &'static str) -> Option<Map<String, Value>> {
        match self.json(key)? {
            Value::Object(table) => Some(table),
            _ => {
                self.fault(key, "must be a table");
                None
            }
        }
    }

    /// One of the names of `T`.
    pub fn choice<T: FromStr + IntoEnumIterator + Into<&'static str>>(&mut self, key: &'static str) -> Option<T> {
        let text = self.text(key)?;
        let choice = text.parse().ok();
        if choice.is_none() {
            let known: Vec<&str> = T::iter().map(Into::into).collect();
            self.fault(key, format!("`{text}` is unknown; known are {}", known.join(", ")));
        }
        choice
    }

    /// A duration such as `120s`, within `range`; the range and the answer are in milliseconds.
    pub fn duration_ms(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let text = self.text(key)?;
        let Some(ms) = milliseconds(text) else {
            self.fault(key, format!("`{text}` is no duration; write 500ms, 120s, 5m or 1h"));
            return None;
        };
        if !range.contains(&ms) {
            self.fault(key, format!("must be from {}ms to {}s, not {text}", range.start(), range.end() / 1_000));
            return None;
        }
        Some(ms)
    }

    /// All faults, unknown keys among them.
    pub fn finish(mut self) -> Vec<Fault> {
        let unknown: Vec<&String> = self.table.keys().filter(|key| !self.asked.contains(&key.as_str())).collect();
        for key in unknown {
            let known = self.asked.join(", ");
            self.fault(key, format!("is unknown; known are {known}"));
        }
        self.faults
    }
}

/// `120s` as milliseconds; units are ms, s, m and h.
fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

fn kind_of(value: &toml::Value) -> &'static str {
    match value {
        toml::Value::String(_) => "a text",
        toml::Value::Integer(_) | toml::Value::Float(_) => "a number",
        toml::Value::Boolean(_) => "a flag",
        toml::Value::Datetime(_) => "a date",
        toml::Value::Array(_) => "a list",
        toml::Value::Table(_) => "a table",
    }
}

/// The same value in JSON, which knows neither dates nor infinite numbers.
fn json_of(value: &toml::Value) -> Option<Value> {
    match value {
        toml::Value::String(text) => Some(text.as_str().into()),
        toml::Value::Integer(whole) => Some((*whole).into()),
        toml::Value::Float(number) => serde_json::Number::from_f64(*number).map(Value::Number),
        toml::Value::Boolean(flag) => Some((*flag).into()),
        toml::Value::Datetime(_) => None,
        toml::Value::Array(items) => items.iter().map(json_of).collect(),
        toml::Value::Table(table) => {
            let entries = table.iter().map(|(key, value)| Some((key.clone(), json_of(value)?)));
            entries.collect::<Option<Map<_, _>>>().map(Value::Object)
        }
    }
}
