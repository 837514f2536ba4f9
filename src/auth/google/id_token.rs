//! ID tokens (OpenID Connect Core 1.0, section 3.1.3.7): signature, issuer and audience by `jsonwebtoken`, times by the
//! clock that everything here is given, and the nonce of the sign-in.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use crate::domain::Timestamp;

/// How far Google's clock and ours may differ, in seconds.
const LEEWAY_S: i64 = 60;
/// How old an ID token may be, in seconds: it is checked as soon as it is issued.
const AGE_S_MAX: i64 = 600;
/// What Google signs with, and what may replace it; never a shared secret, never nothing.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::RS256, Algorithm::ES256];

/// What an ID token must say.
pub(super) struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    /// `None` for one that came with a refresh: no sign-in, no nonce.
    pub nonce: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    exp: i64,
    iat: i64,
    aud: Audience,
    azp: Option<String>,
    nonce: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(#[expect(dead_code, reason = "the library compares it")] String),
    Many(Vec<String>),
}

/// Why an ID token proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Worthless {
    #[error("it is signed with a key that is not known")]
    UnknownKey,
    #[error("it does not hold: {0}")]
    Invalid(String),
    #[error("it is for another application")]
    Audience,
    #[error("its time is over, or has not come")]
    Time,
    #[error("it is of another sign-in")]
    Nonce,
}

/// Whose the ID token is.
pub(super) fn subject(
    token: &str,
    keys: &JwkSet,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<String, Worthless> {
    let invalid = |error: jsonwebtoken::errors::Error| Worthless::Invalid(error.to_string());
    let header = decode_header(token).map_err(invalid)?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(Worthless::Invalid("the algorithm is not allowed".into()));
    }
    let key = header.kid.as_deref().and_then(|kid| keys.find(kid)).ok_or(Worthless::UnknownKey)?;
    let key = DecodingKey::from_jwk(key).map_err(invalid)?;
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.set_audience(&[expected.client_id]);
    // Google writes its name with and without the scheme.
    validation.set_issuer(&[expected.issuer, expected.issuer.trim_start_matches("https://")]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let claims: Claims = decode(token, &key, &validation).map_err(invalid)?.claims;
    // The audience holds us by now; who else is in it, and for whom it was made, must not be another.
    let anothers = match (&claims.azp, &claims.aud) {
        (Some(azp), _) => azp != expected.client_id,
        (None, Audience::Many(all)) => all.len() > 1,
        (None, Audience::One(_)) => false,
    };
    if anothers {
        return Err(Worthless::Audience);
    }
    let now_s = now.0.div_euclid(1_000);
    let issued = claims.iat.saturating_sub(LEEWAY_S)..=claims.iat.saturating_add(AGE_S_MAX);
    if now_s >= claims.exp.saturating_add(LEEWAY_S) || !issued.contains(&now_s) {
        return Err(Worthless::Time);
    }
    if let Some(nonce) = expected.nonce
        && !bool::from(claims.nonce.unwrap_or_default().as_bytes().ct_eq(nonce.as_bytes()))
    {
        return Err(Worthless::Nonce);
    }
    if claims.sub.is_empty() {
        return Err(Worthless::Invalid("it names nobody".into()));
    }
    Ok(claims.sub)
}

#[cfg(test)]
#[path = "id_token_tests.rs"]
mod tests;
