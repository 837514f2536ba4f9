//! A form with a file in it (RFC 7578), written so that the same form is the same bytes: reqwest draws its boundaries
//! at random, and a repeated request must be the same one.

use serde_json::{Map, Value};

/// A form being written.
pub(super) struct Form<'a> {
    boundary: &'a str,
    body: Vec<u8>,
}

impl<'a> Form<'a> {
    /// A form whose parts are kept apart by `boundary`, which no content may hold: a token nobody can guess.
    pub fn new(boundary: &'a str) -> Self {
        Self { boundary, body: Vec::new() }
    }

    fn part(&mut self, headers: &str, content: &[u8]) {
        self.body.extend_from_slice(format!("--{}\r\n{headers}\r\n\r\n", self.boundary).as_bytes());
        self.body.extend_from_slice(content);
        self.body.extend_from_slice(b"\r\n");
    }

    /// A field for each of `values`; texts as they are, other values as JSON.
    pub fn fields(mut self, values: &Map<String, Value>) -> Self {
        for (name, value) in values {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            self.part(&format!("Content-Disposition: form-data; name=\"{}\"", quoted(name)), text.as_bytes());
        }
        self
    }

    /// A JPEG.
    pub fn jpeg(mut self, name: &str, bytes: &[u8]) -> Self {
        let name = quoted(name);
        let headers = format!(
            "Content-Disposition: form-data; name=\"{name}\"; filename=\"picture.jpg\"\r\nContent-Type: image/jpeg"
        );
        self.part(&headers, bytes);
        self
    }

    /// The media type and the body.
    pub fn finish(mut self) -> (String, Vec<u8>) {
        self.body.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        (format!("multipart/form-data; boundary={}", self.boundary), self.body)
    }
}

/// A name as browsers write it: what would end the name is escaped.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_written_as_rfc_7578_has_it() {
        let Value::Object(values) = serde_json::json!({ "model": "m", "seconds": 4, "a\"b": "c" }) else { panic!() };
        let (kind, body) = Form::new("x1").fields(&values).jpeg("image", b"\xff\xd8").finish();
        assert_eq!(kind, "multipart/form-data; boundary=x1");
        let text = body.iter().map(|byte| char::from(*byte)).collect::<String>();
        for part in [
            "--x1\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n",
            "--x1\r\nContent-Disposition: form-data; name=\"seconds\"\r\n\r\n4\r\n",
            "name=\"a%22b\"\r\n\r\nc\r\n",
            "--x1\r\nContent-Disposition: form-data; name=\"image\"; filename=\"picture.jpg\"\r\n\
             Content-Type: image/jpeg\r\n\r\n\u{ff}\u{d8}\r\n--x1--\r\n",
        ] {
            assert!(text.contains(part), "{part:?} is missing in {text:?}");
        }
    }
}
