//! Forms as Stripe takes them: `a[0][b]=c` is `{"a": {"0": {"b": "c"}}}`, every value a text.

use serde_json::{Map, Value};

pub fn parse(form: &str) -> Value {
    let mut root = Map::new();
    for (name, value) in url::form_urlencoded::parse(form.as_bytes()) {
        let parts: Vec<&str> = name.split(['[', ']']).filter(|part| !part.is_empty()).collect();
        set(&mut root, &parts, &value);
    }
    Value::Object(root)
}

fn set(object: &mut Map<String, Value>, parts: &[&str], value: &str) {
    match parts {
        [] => {}
        [last] => drop(object.insert((*last).to_owned(), Value::String(value.to_owned()))),
        [first, rest @ ..] => {
            let inner = object.entry((*first).to_owned()).or_insert_with(|| Value::Object(Map::new()));
            set(inner.as_object_mut().unwrap(), rest, value);
        }
    }
}
