//! Pictures in a request: taken out, checked, and kept before the task is born.
//!
//! The one place that knows which ways of giving a picture are open.

use serde_json::{Map, Value, json};

use super::State;
use super::error::{Error, Fault};
use crate::activity::media::{inspect, parse_data_url};
use crate::domain::workflow::{Definition, ParameterKind};

/// What the caller of a route that fetches reads until there is one.
const NO_FETCHING: &str = "is an http or https URL: fetching pictures arrives with a later release; send the picture \
                           as a data URL (data:image/jpeg;base64,...), which works";

/// Checks the pictures among `parameters`, keeps them under their digest, and puts `{ "file": key }` in their place.
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
    let mut pictures = Vec::new();
    for (name, parameter) in definition.parameters() {
        let given = parameters.get(name).filter(|value| parameter.kind == ParameterKind::Picture && !value.is_null());
        match given.map(bytes_of) {
            None => {}
            Some(Ok(bytes)) => pictures.push((name, bytes)),
            Some(Err(reason)) => faults.push(Fault::new(field_of(name), reason)),
        }
    }
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    for (name, bytes) in pictures {
        let key = state.storage.put_input(bytes).await.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "a picture could not be kept");
            Error::unavailable("the picture could not be stored", 2)
        })?;
        parameters.insert(name.clone(), json!({ "file": key }));
    }
    Ok(())
}

/// The bytes of a picture as it was given, or why it is not taken.
fn bytes_of(given: &Value) -> Result<Vec<u8>, String> {
    let Value::String(text) = given else {
        return Err("must be a text: a data URL (data:image/jpeg;base64,...)".into());
    };
    let scheme = text.split(':').next().unwrap_or_default();
    if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
        return Err(NO_FETCHING.into());
    }
    let taken = parse_data_url(text).and_then(|(_, bytes)| inspect(&bytes).map(|_| bytes));
    taken.map_err(|fault| format!("is not taken: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_answered_with_what_works_instead() {
        for url in ["https://example.com/input.jpg", "HTTP://example.com/x.png"] {
            assert!(bytes_of(&json!(url)).unwrap_err().contains("data URL"), "{url}");
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
