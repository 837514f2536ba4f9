//! The double of Stripe against answers that were recorded from `seahaven-stripe-world`: see tests/stripe/README.md.

use serde_json::{Value, json};

use super::double::{Double, form};
use super::{paid, stripe};

const RECORDED: &str = include_str!("../../stripe/recorded.json");

/// What is compared of an object: the fields that were recorded of it.
fn shown(of: &Value, like: &Value) -> Value {
    let fields = like.as_object().unwrap().keys();
    Value::Object(fields.map(|field| (field.clone(), of.get(field).cloned().unwrap_or(json!("absent")))).collect())
}

/// Ids of the double's own by the names that they have in the recording.
fn named(text: &str, ids: &[(&str, &str)]) -> String {
    ids.iter().fold(text.to_owned(), |text, (id, name)| text.replace(id, name))
}

#[tokio::test]
async fn the_double_answers_as_was_recorded() {
    let double = Double::open().await;
    let intent = paid(&double, &stripe(&double), "pay_1").await;
    let charge = double.world().all("charge")[0]["id"].as_str().unwrap().to_owned();
    let ids = [(&*intent, "{intent}"), (&*charge, "{charge}")];
    let cases: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    assert_eq!(cases.len(), 27);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let mut sent = url::form_urlencoded::Serializer::new(String::new());
        for (field, value) in case["form"].as_object().unwrap() {
            sent.append_pair(field, &value.as_str().unwrap().replace("{intent}", &intent));
        }
        let (sent, path) = (form::parse(&sent.finish()), case["path"].as_str().unwrap());
        let (status, body, replayed) = match case["method"].as_str().unwrap() {
            "POST" => double.world().post(path, case["key"].as_str(), &sent, ""),
            _ => double.world().read(path, &sent),
        };
        let body: Value = serde_json::from_str(&named(&body.to_string(), &ids)).unwrap();
        assert_eq!(
            (json!(status), json!(replayed)),
            (case["status"].clone(), case["replayed"].clone()),
            "{name}: {body}"
        );
        if let Some(error) = case.get("error") {
            for field in ["type", "code", "message"] {
                assert_eq!(body["error"].get(field), error.get(field), "{name}: {field}");
            }
        } else {
            assert_eq!(shown(&body, &case["answer"]), case["answer"], "{name}");
            let list = case.get("list").map(|list| list.as_array().unwrap().as_slice()).unwrap_or_default();
            let answered = body["data"].as_array().map(Vec::as_slice).unwrap_or_default();
            assert_eq!(answered.len(), list.len(), "{name}");
            for (answered, recorded) in answered.iter().zip(list) {
                assert_eq!(shown(answered, recorded), *recorded, "{name}");
            }
        }
    }
}
