use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const ISSUER: &str = "https://accounts.google.com";

struct Signer {
    key: EncodingKey,
    keys: JwkSet,
}

fn signer() -> Signer {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    let point = pair.public_key().as_ref();
    let [x, y] = [&point[1..33], &point[33..65]].map(|half| URL_SAFE_NO_PAD.encode(half));
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "k", "alg": "ES256", "use": "sig" });
    let keys = serde_json::from_value(json!({ "keys": [jwk] })).unwrap();
    Signer { key: EncodingKey::from_ec_der(pkcs8.as_ref()), keys }
}

fn claims() -> Value {
    let now_s = NOW.0 / 1_000;
    json!({ "iss": ISSUER, "aud": "us", "sub": "ada", "iat": now_s, "exp": now_s + 3_600, "nonce": "n" })
}

impl Signer {
    fn sign(&self, kid: &str, claims: &Value) -> String {
        let header = Header { kid: Some(kid.into()), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &self.key).unwrap()
    }

    fn subject(&self, token: &str) -> Result<String, Worthless> {
        let expected = Expected { issuer: ISSUER, client_id: "us", nonce: Some("n") };
        super::subject(token, &self.keys, &expected, NOW)
    }

    fn with(&self, changes: &Value) -> Result<String, Worthless> {
        let mut claims = claims();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.subject(&self.sign("k", &claims))
    }
}

#[test]
fn a_token_of_google_for_us_and_this_sign_in_names_its_person() {
    let signer = signer();
    assert_eq!(signer.with(&json!({})), Ok("ada".into()));
    assert_eq!(signer.with(&json!({ "iss": "accounts.google.com" })), Ok("ada".into()));
    assert_eq!(signer.with(&json!({ "aud": ["us"], "azp": "us" })), Ok("ada".into()));
}

#[test]
fn a_token_for_somebody_else_is_worth_nothing() {
    let signer = signer();
    for changes in [
        json!({ "aud": "them" }),
        json!({ "aud": ["us", "them"] }),
        json!({ "aud": ["us", "them"], "azp": "them" }),
        json!({ "azp": "them" }),
        json!({ "iss": "https://evil.example" }),
        json!({ "iss": "https://accounts.google.com.evil.example" }),
        json!({ "nonce": "m" }),
        json!({ "nonce": null }),
        json!({ "nonce": "" }),
        json!({ "sub": "" }),
        json!({ "aud": null }),
        json!({ "iss": null }),
        json!({ "exp": null }),
    ] {
        assert!(signer.with(&changes).is_err(), "{changes}");
    }
}

#[test]
fn a_token_holds_in_its_time_alone() {
    let (signer, now_s) = (signer(), NOW.0 / 1_000);
    assert!(signer.with(&json!({ "exp": now_s - 59 })).is_ok(), "clocks differ a little");
    assert_eq!(signer.with(&json!({ "exp": now_s - 60 })), Err(Worthless::Time));
    assert!(signer.with(&json!({ "iat": now_s + 60 })).is_ok());
    assert_eq!(signer.with(&json!({ "iat": now_s + 61 })), Err(Worthless::Time));
    assert!(signer.with(&json!({ "iat": now_s - 600 })).is_ok());
    assert_eq!(signer.with(&json!({ "iat": now_s - 601 })), Err(Worthless::Time));
    assert_eq!(signer.with(&json!({ "exp": i64::MAX, "iat": i64::MIN })), Err(Worthless::Time));
}

#[test]
fn a_signature_by_another_key_or_by_none_is_worth_nothing() {
    let (google, other) = (signer(), signer());
    assert!(google.subject(&other.sign("k", &claims())).is_err());
    assert_eq!(google.subject(&google.sign("unknown", &claims())), Err(Worthless::UnknownKey));
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}.", part(&json!({ "alg": "none", "kid": "k" })), part(&claims()));
    assert!(google.subject(&unsigned).is_err());
    // The public key taken for a shared secret.
    let header = Header { kid: Some("k".into()), ..Header::new(Algorithm::HS256) };
    let public = serde_json::to_vec(&google.keys.keys[0]).unwrap();
    let confused = encode(&header, &claims(), &EncodingKey::from_secret(&public)).unwrap();
    assert!(google.subject(&confused).is_err());
    for text in ["", ".", "a.b.c"] {
        assert!(google.subject(text).is_err(), "{text}");
    }
}
