//! Pictures in a request: checked before the task is born, and kept, unless they are links, which a step follows.
//!
//! The one place that knows which ways of giving a picture are open.

use serde_json::{Map, Value, json};

use super::State;
use super::error::{Error, Fault};
use crate::activity::Fetcher;
use crate::activity::media::{inspect, parse_data_url};
use crate::domain::workflow::{Definition, ParameterKind};

/// Checks the pictures among `parameters`, keeps those that bring their bytes under their digest, and puts
/// `{ "file": key }` in their place.
///
/// # Errors
/// [`Error::Invalid`] with every picture that is not taken; [`Error::Unavailable`] when storage fails.
pub async fn keep(
    state: &State,
    definition: &Definition,
    parameters: &mut Map<String, Value>,
    field_of: impl Fn(&str) -> String,
) -> Result<(), Error> {
    let mut faults = Vec::new();
    let mut brought = Vec::new();
    for (name, given) in parameters {
        let kind = definition.parameters().get(name).map(|parameter| parameter.kind);
        if kind != Some(ParameterKind::Picture) || given.is_null() {
            continue;
        }
        match bytes_of(&state.fetcher, given) {
            Ok(Some(bytes)) => brought.push((given, bytes)),
            Ok(None) => {}
            Err(reason) => faults.push(Fault::new(field_of(name), reason)),
        }
    }
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    for (given, bytes) in brought {
        let key = state.storage.put_input(bytes).await.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "a picture could not be kept");
            Error::unavailable("the picture could not be stored", 2)
        })?;
        *given = json!({ "file": key });
    }
    Ok(())
}

/// The bytes of a picture as it was given, none when it is a link, or why it is not taken.
fn bytes_of(fetcher: &Fetcher, given: &Value) -> Result<Option<Vec<u8>>, String> {
    let Value::String(text) = given else {
        return Err("must be a text: a data URL (data:image/jpeg;base64,...) or an http or https link".into());
    };
    let scheme = text.split(':').next().unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("data") {
        return fetcher.check(text).map(|()| None).map_err(|fault| format!("is not taken: {fault}"));
    }
    let taken = parse_data_url(text).and_then(|(_, bytes)| inspect(&bytes).map(|_| bytes));
    taken.map(Some).map_err(|fault| format!("is not taken: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(given: &Value) -> Result<Option<Vec<u8>>, String> {
        super::bytes_of(&Fetcher::new(Vec::new()).unwrap(), given)
    }

    #[test]
    fn a_link_is_taken_as_it_is_unless_it_shows_that_it_will_not_be_followed() {
        for link in ["https://example.com/input.jpg", "HTTP://example.com/x.png"] {
            assert_eq!(bytes_of(&json!(link)), Ok(None), "{link}");
        }
        for (link, word) in [
            ("http://127.1/x.png", "`127.0.0.1`, which is not on the public internet"),
            ("http://me:secret@example.com/", "password"),
            ("http://example.com:22/", "port 22"),
            ("ftp://example.com/", "`ftp:`"),
            ("http://", "no valid URL"),
        ] {
            let reason = bytes_of(&json!(link)).unwrap_err();
            assert!(reason.starts_with("is not taken: ") && reason.contains(word), "{link}: {reason}");
        }
    }

    #[test]
    fn a_file_of_storage_cannot_be_named_by_a_caller() {
        assert!(bytes_of(&json!({ "file": "inputs/ab" })).is_err());
    }

    #[test]
    fn a_data_url_is_believed_by_its_content_alone() {
        assert!(bytes_of(&json!("data:image/png;base64,SGVsbG8=")).unwrap_err().contains("send a picture"));
        assert!(bytes_of(&json!("data:image/png;base64,@@")).unwrap_err().contains("damaged"));
    }
}
