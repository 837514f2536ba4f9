//! Money: whole minor units of a currency. Never a fraction, never without its currency.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Currencies whose smallest unit is the unit itself, as Stripe counts them (docs.stripe.com/currencies).
///
/// Stripe counts ISK and UGX in hundredths although neither has any, so they are not here: what is kept is what is sent.
const ZERO_DECIMAL: [&str; 15] =
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"];
/// Currencies with thousandths.
const THREE_DECIMAL: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

/// Coins with an exchange rate and no ISO code: their name, and the digits of the unit that is counted here. Ether is counted in
/// gwei (10^-9 ether): its own smallest unit, the wei, would leave 64 bits no more than 9 ether.
const COINS: [(&str, u32); 1] = [("eth", 9)];

/// A currency: its three letters of ISO 4217 in lower case, or a coin's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// A text that names no currency.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no currency; it reads three letters, such as usd")]
pub struct MalformedCurrency(String);

/// A text that is no amount of its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {}", written_as(*.currency))]
pub struct MalformedAmount {
    currency: Currency,
}

fn written_as(currency: Currency) -> String {
    match currency.digits() {
        0 => format!("digits alone, such as 10: {currency} has nothing behind the point"),
        digits => {
            let example = Money::new(10_i64.pow(digits + 1) + 1, currency).decimal();
            format!("digits with at most {digits} of them behind a point, such as {example}")
        }
    }
}

impl Currency {
    /// Reads three letters, in either case.
    ///
    /// # Errors
    /// [`MalformedCurrency`] for any other text.
    pub fn parse(text: &str) -> Result<Self, MalformedCurrency> {
        match text.as_bytes() {
            [a, b, c] if text.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                Ok(Self([a, b, c].map(u8::to_ascii_lowercase)))
            }
            _ => Err(MalformedCurrency(text.chars().take(16).collect())),
        }
    }

    /// Its letters in lower case, as the API and Stripe write them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Digits behind the point of an amount in whole units.
    #[must_use]
    pub fn digits(self) -> u32 {
        match self.as_str() {
            code if ZERO_DECIMAL.contains(&code) => 0,
            code if THREE_DECIMAL.contains(&code) => 3,
            code => COINS.iter().find(|(coin, _)| *coin == code).map_or(2, |(_, digits)| *digits),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// An amount of a currency in its minor units; may be negative where a difference is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Minor units, such as cents.
    pub minor: i64,
    /// Of which currency.
    pub currency: Currency,
}

impl Money {
    /// So many minor units of `currency`.
    #[must_use]
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// The sum; `None` for two currencies, or beyond what 64 bits hold.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.with(other, i64::checked_add)
    }

    /// The difference; `None` for two currencies, or beyond what 64 bits hold.
    #[must_use]
    pub fn minus(self, other: Self) -> Option<Self> {
        self.with(other, i64::checked_sub)
    }

    /// So many times as much; `None` beyond what 64 bits hold.
    #[must_use]
    pub fn times(self, count: i64) -> Option<Self> {
        Some(Self::new(self.minor.checked_mul(count)?, self.currency))
    }

    /// The amount in whole units with exactly the currency's digits, as a decimal number: `10.00`, `1000`, `1.000`.
    #[must_use]
    pub fn decimal(self) -> String {
        let digits = self.currency.digits();
        let sign = if self.minor < 0 { "-" } else { "" };
        let minor = self.minor.unsigned_abs();
        let unit = 10_u64.pow(digits);
        match digits {
            0 => format!("{sign}{minor}"),
            digits => {
                let width = digits as usize;
                format!("{sign}{}.{:0width$}", minor / unit, minor % unit)
            }
        }
    }

    /// Reads a decimal number of whole units: digits, and behind a point at most as many as the currency has. No sign, no
    /// exponent, no spaces, and never a float on the way.
    ///
    /// # Errors
    /// [`MalformedAmount`] for any other text, and for what 64 bits do not hold.
    pub fn of_decimal(text: &str, currency: Currency) -> Result<Self, MalformedAmount> {
        let malformed = || MalformedAmount { currency };
        let (whole, part) = halves(text).ok_or_else(malformed)?;
        let missing = (currency.digits() as usize).checked_sub(part.len()).ok_or_else(malformed)?;
        let minor = format!("{whole}{part}{}", "0".repeat(missing)).parse().map_err(|_| malformed())?;
        Ok(Self::new(minor, currency))
    }

    /// Whether a text is a decimal number of some currency.
    #[must_use]
    pub fn is_decimal(text: &str) -> bool {
        halves(text).is_some()
    }

    fn with(self, other: Self, change: fn(i64, i64) -> Option<i64>) -> Option<Self> {
        let same = self.currency == other.currency;
        same.then(|| change(self.minor, other.minor)).flatten().map(|minor| Self::new(minor, self.currency))
    }
}

/// The digits before and behind the point.
fn halves(text: &str) -> Option<(&str, &str)> {
    let (whole, part) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(halves) => halves,
        None => (text, ""),
    };
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!whole.is_empty() && is_digits(whole) && is_digits(part)).then_some((whole, part))
}

/// In whole units with exactly the currency's digits: `10.00 usd`, `1000 jpy`, `1.000 kwd`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::parse(code).unwrap())
    }

    #[test]
    fn every_currency_shows_its_own_digits() {
        for (minor, code, shown) in [
            (1000, "usd", "10.00 usd"),
            (5, "EUR", "0.05 eur"),
            (-1005, "usd", "-10.05 usd"),
            (1000, "jpy", "1000 jpy"),
            (-7, "krw", "-7 krw"),
            (1000, "kwd", "1.000 kwd"),
            (12, "bhd", "0.012 bhd"),
            (1_500_000_001, "eth", "1.500000001 eth"),
            (1, "ETH", "0.000000001 eth"),
            (i64::MIN, "jpy", "-9223372036854775808 jpy"),
            (100, "isk", "1.00 isk"),
        ] {
            assert_eq!(money(minor, code).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_currency_is_refused() {
        for text in ["", "us", "usdd", "us1", "u d", "äb", "$$$"] {
            assert!(Currency::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn two_currencies_never_mix() {
        assert_eq!(money(1, "usd").plus(money(1, "eur")), None);
        assert_eq!(money(1, "usd").minus(money(1, "eur")), None);
    }

    #[test]
    fn a_decimal_number_is_read_as_its_currency_counts() {
        for (text, code, minor) in [
            ("10.01", "usd", 1001),
            ("10", "usd", 1000),
            ("10.5", "usd", 1050),
            ("0.00", "usd", 0),
            ("0.29", "usd", 29),
            ("1000", "jpy", 1000),
            ("1.234", "kwd", 1234),
            ("1.2", "kwd", 1200),
            ("92233720368547758.07", "usd", i64::MAX),
        ] {
            assert_eq!(
                Money::of_decimal(text, Currency::parse(code).unwrap()),
                Ok(money(minor, code)),
                "{text} {code}"
            );
        }
    }

    #[test]
    fn what_is_no_decimal_number_of_a_currency_is_refused() {
        for (text, code) in [
            ("", "usd"),
            (".", "usd"),
            (".5", "usd"),
            ("5.", "usd"),
            ("1.005", "usd"),
            ("1.000", "usd"),
            ("1.2.3", "usd"),
            ("-1", "usd"),
            ("+1", "usd"),
            ("1e2", "usd"),
            ("1,00", "usd"),
            (" 1", "usd"),
            ("1 ", "usd"),
            ("\u{661}", "usd"),
            ("0x1", "usd"),
            ("NaN", "usd"),
            ("1.0", "jpy"),
            ("1.2345", "kwd"),
            ("92233720368547758.08", "usd"),
            ("99999999999999999999999999", "jpy"),
        ] {
            assert!(Money::of_decimal(text, Currency::parse(code).unwrap()).is_err(), "{text:?} {code}");
        }
    }

    #[test]
    fn who_writes_an_amount_wrongly_is_told_how() {
        let said = |code| Money::of_decimal("x", Currency::parse(code).unwrap()).unwrap_err().to_string();
        assert_eq!(said("usd"), "must be digits with at most 2 of them behind a point, such as 10.01");
        assert_eq!(said("jpy"), "must be digits alone, such as 10: jpy has nothing behind the point");
    }

    #[test]
    fn what_does_not_fit_is_no_amount() {
        assert_eq!(money(i64::MAX, "usd").plus(money(1, "usd")), None);
        assert_eq!(money(i64::MIN, "usd").minus(money(1, "usd")), None);
        assert_eq!(money(i64::MAX, "usd").times(2), None);
    }

    proptest! {
        #[test]
        fn what_is_added_can_be_taken_away(a in -1_000_000_000_000_i64.., b in -1_000_000_000_i64..1_000_000_000) {
            let (a, b) = (money(a / 2, "usd"), money(b, "usd"));
            prop_assert_eq!(a.plus(b).and_then(|sum| sum.minus(b)), Some(a));
        }

        #[test]
        fn an_amount_reads_back_from_its_decimal_number(minor in 0..=i64::MAX, at in 0..4_usize) {
            let amount = money(minor, ["usd", "jpy", "kwd", "isk"][at]);
            prop_assert_eq!(Money::of_decimal(&amount.decimal(), amount.currency), Ok(amount));
        }

        #[test]
        fn no_text_is_read_as_an_amount_that_is_written_otherwise(text in "[0-9.eE+ -]{0,12}") {
            let usd = Currency::parse("usd").unwrap();
            if let Ok(amount) = Money::of_decimal(&text, usd) {
                // Up to zeros in front and behind, the two spellings are one.
                let bare = |text: &str| {
                    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
                    (whole.trim_start_matches('0').to_owned(), part.trim_end_matches('0').to_owned())
                };
                prop_assert_eq!(bare(&amount.decimal()), bare(&text));
            }
        }

        #[test]
        fn an_amount_is_stored_as_it_is(minor: i64) {
            let amount = money(minor, "jpy");
            let text = serde_json::to_string(&amount).unwrap();
            prop_assert_eq!(serde_json::from_str::<Money>(&text).unwrap(), amount);
        }
    }
}
