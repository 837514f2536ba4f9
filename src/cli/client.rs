//! Talking to a running server: every command that does goes through here.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Method, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::exit::Code;

/// How long the server may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long one answer may take; longer than any wait that is asked for.
const ANSWER_LIMIT: Duration = Duration::from_secs(90);

/// Why the server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its address is no address.
    #[error("`{0}` is not a server's address such as http://127.0.0.1:8080")]
    Address(String),
    /// It is not there.
    #[error("no server answers at {server}: start one with `mixvideo serve`, or name another with --server")]
    Unreachable {
        /// The address.
        server: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It is there and answers in another language.
    #[error("{server} does not answer as Mixvideo does ({what})")]
    Foreign {
        /// The address.
        server: String,
        /// What it answered.
        what: String,
    },
    /// It refuses.
    #[error("{}", refusal(*.status, .message, .fields, .trace.as_deref()))]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// Its message.
        message: String,
        /// Its words on single fields.
        fields: Vec<(String, String)>,
        /// The id under which its log knows the call.
        trace: Option<String>,
    },
    /// A link of the user's leads nowhere.
    #[error("{link} could not be fetched: {what}")]
    Link {
        /// The link.
        link: String,
        /// Why not.
        what: String,
    },
    /// A result could not be saved.
    #[error("{path} could not be written")]
    Save {
        /// Where to.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// The exit code for scripts.
    pub(super) fn exit_code(&self) -> Code {
        match self {
            Self::Address(_) => Code::Usage,
            Self::Unreachable { .. } => Code::Unreachable,
            Self::Refused { status, .. } if status.is_client_error() => Code::Refused,
            Self::Refused { .. } | Self::Foreign { .. } | Self::Link { .. } | Self::Save { .. } => Code::Failed,
        }
    }
}

/// What the server's refusal means, and what to do about it.
fn refusal(status: StatusCode, message: &str, fields: &[(String, String)], trace: Option<&str>) -> String {
    let mut text = match status {
        StatusCode::UNAUTHORIZED => format!(
            "the server wants a key ({message}): give --key or set MIXVIDEO_KEY; `mixvideo keys create --role \
             operator` makes one"
        ),
        StatusCode::FORBIDDEN => format!("this key may not do that: {message}"),
        StatusCode::TOO_MANY_REQUESTS => format!("the server asks to slow down: {message}"),
        StatusCode::SERVICE_UNAVAILABLE => format!("the server is busy or ending; try again: {message}"),
        status if status.is_server_error() => format!("the server failed: {message}"),
        _ => format!("the server refuses: {message}"),
    };
    for (field, reason) in fields {
        text.push_str(&format!("\n  - {field}: {reason}"));
    }
    if let Some(trace) = trace
        && status.is_server_error()
    {
        text.push_str(&format!(" (look for {trace} in its log)"));
    }
    text
}

/// A server, and as whom to talk to it.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    key: Option<SecretString>,
}

impl Client {
    /// A client of the server at `server`.
    pub(super) fn new(server: &str, key: Option<SecretString>) -> Result<Self, Error> {
        let base = Url::parse(&format!("{}/", server.trim_end_matches('/')))
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| Error::Address(server.to_owned()))?;
        let http = reqwest::Client::builder().connect_timeout(CONNECT_LIMIT).read_timeout(ANSWER_LIMIT).build();
        let http = http.map_err(|source| Error::Unreachable { server: server.to_owned(), source })?;
        Ok(Self { http, base, key })
    }

    /// The `data` of what `GET path` answers; the whole answer where there is none.
    pub(super) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Error> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.answer(Method::GET, url, None).await
    }

    /// The `data` of what `POST path` with `body` answers. A call that is lost is safe to repeat.
    pub(super) async fn post(&self, path: &[&str], body: &Value) -> Result<Value, Error> {
        self.answer(Method::POST, self.url(path), Some(body)).await
    }

    /// The server-sent events of `path`, each one's data.
    pub(super) async fn events(&self, path: &[&str]) -> Result<Events, Error> {
        let response = self.send(self.http.request(Method::GET, self.url(path))).await?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        Ok(Events { body: response.bytes_stream().boxed(), buffer: Vec::new() })
    }

    /// Saves what `link` leads to as `path` and returns its size in bytes. The file appears whole or not at all.
    pub(super) async fn download(&self, link: &str, path: &Path) -> Result<u64, Error> {
        let url = self.base.join(link).map_err(|_| self.foreign(format!("the link `{link}`")))?;
        // A link carries its own permission: the key is not shown to whoever it leads to.
        let response = self.http.get(url).send().await.map_err(|source| self.unreachable(source))?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let failed = |source| Error::Save { path: path.display().to_string(), source };
        let partial = path.with_extension("part");
        let mut file = tokio::fs::File::create(&partial).await.map_err(failed)?;
        let mut size = 0;
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|source| self.unreachable(source))?;
            size += chunk.len() as u64;
            file.write_all(&chunk).await.map_err(failed)?;
        }
        file.sync_all().await.map_err(failed)?;
        tokio::fs::rename(&partial, path).await.map_err(failed)?;
        Ok(size)
    }

    /// What `link`, anywhere, leads to: at most `limit` bytes.
    pub(super) async fn fetch(&self, link: &str, limit: usize) -> Result<Vec<u8>, Error> {
        let wrong = |what: String| Error::Link { link: link.to_owned(), what };
        let response = self.http.get(link).send().await.and_then(Response::error_for_status);
        let mut body = response.map_err(|error| wrong(error.without_url().to_string()))?.bytes_stream();
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| wrong(error.without_url().to_string()))?);
            if bytes.len() > limit {
                return Err(wrong(format!("it is larger than {limit} bytes")));
            }
        }
        Ok(bytes)
    }

    /// `segments` below the server's address; a slash within one is escaped.
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    async fn answer(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Value, Error> {
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.json(body).header("idempotency-key", uuid::Uuid::new_v4().to_string());
        }
        let response = self.send(request).await?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let mut answer: Value = response.json().await.map_err(|error| self.foreign(error.to_string()))?;
        Ok(match answer.get_mut("data") {
            Some(inner) => inner.take(),
            None => answer,
        })
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, Error> {
        let request = match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        };
        request.send().await.map_err(|source| self.unreachable(source))
    }

    async fn refused(&self, response: Response) -> Error {
        let status = response.status();
        let Ok(envelope) = response.json::<Value>().await else {
            return self.foreign(format!("status {status}"));
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let Some(message) = text(&envelope["message"]) else { return self.foreign(format!("status {status}")) };
        let errors = envelope["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let fields =
            errors.iter().filter_map(|error| Some((text(&error["field"])?, text(&error["reason"])?))).collect();
        Error::Refused { status, message, fields, trace: text(&envelope["traceId"]) }
    }

    fn unreachable(&self, source: reqwest::Error) -> Error {
        Error::Unreachable { server: self.base.as_str().trim_end_matches('/').to_owned(), source: source.without_url() }
    }

    fn foreign(&self, what: String) -> Error {
        Error::Foreign { server: self.base.as_str().trim_end_matches('/').to_owned(), what }
    }
}

/// Server-sent events as they come.
pub(super) struct Events {
    body: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    buffer: Vec<u8>,
}

impl Events {
    /// The data of the next event that is JSON; `None` when the stream ends or breaks.
    pub(super) async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if let Some(data) = line.strip_prefix(b"data:")
                    && let Ok(value) = serde_json::from_slice(data)
                {
                    return Some(value);
                }
            }
            self.buffer.extend_from_slice(&self.body.next().await?.ok()?);
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{App, HttpResponse, HttpServer, web};
    use serde_json::json;

    use super::*;

    /// A server that answers every call with `status` and `body`; its address.
    fn answering(status: u16, body: Value) -> String {
        let body = body.to_string();
        let server = HttpServer::new(move || {
            let body = body.clone();
            App::new().default_service(web::to(move || {
                let status = actix_web::http::StatusCode::from_u16(status).unwrap();
                let answer = HttpResponse::build(status).content_type("application/json").body(body.clone());
                async move { answer }
            }))
        });
        let server = server.workers(1).bind("127.0.0.1:0").unwrap();
        let address = server.addrs()[0];
        actix_web::rt::spawn(server.run());
        format!("http://{address}")
    }

    async fn asked(status: u16, body: Value) -> Result<Value, Error> {
        Client::new(&answering(status, body), None)?.get(&["task", "task_1"], &[]).await
    }

    #[actix_web::test]
    async fn an_answer_is_taken_out_of_its_envelope() {
        let answer = asked(200, json!({ "code": 200, "message": "Task status retrieved", "data": { "id": "task_1" } }));
        assert_eq!(answer.await.unwrap(), json!({ "id": "task_1" }));
    }

    #[actix_web::test]
    async fn a_refusal_names_the_fields() {
        let body = json!({ "code": 400, "message": "Invalid parameters", "traceId": "t",
            "errors": [{ "field": "parameters.imageUrl", "reason": "is required" }] });
        let error = asked(400, body).await.unwrap_err();
        assert_eq!(error.to_string(), "the server refuses: Invalid parameters\n  - parameters.imageUrl: is required");
        assert_eq!(error.exit_code(), Code::Refused);
    }

    #[actix_web::test]
    async fn a_missing_key_is_explained() {
        let error = asked(401, json!({ "code": 401, "message": "Unauthorized" })).await.unwrap_err();
        assert!(error.to_string().contains("mixvideo keys create --role operator"), "{error}");
        assert_eq!(error.exit_code(), Code::Refused);
    }

    #[actix_web::test]
    async fn a_failure_of_the_server_says_where_to_look() {
        let body = json!({ "code": 500, "message": "Internal server error", "traceId": "4bf92f35" });
        let error = asked(500, body).await.unwrap_err();
        assert!(error.to_string().contains("look for 4bf92f35 in its log"), "{error}");
        assert_eq!(error.exit_code(), Code::Failed);
    }

    #[actix_web::test]
    async fn another_program_at_the_address_is_recognised() {
        let error = asked(502, json!("nope")).await.unwrap_err();
        assert!(error.to_string().contains("does not answer as Mixvideo does"), "{error}");
    }

    #[actix_web::test]
    async fn a_server_that_is_not_there_is_told_with_what_to_do() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let client = Client::new(&format!("http://{free}/"), None).unwrap();
        let error = client.get(&["health"], &[]).await.unwrap_err();
        let start = format!("no server answers at http://{free}: start one with `mixvideo serve`");
        assert!(error.to_string().starts_with(&start), "{error}");
        assert_eq!(error.exit_code(), Code::Unreachable);
    }

    #[actix_web::test]
    async fn a_link_is_followed_up_to_a_limit() {
        let link = answering(200, json!("picture"));
        let client = Client::new("http://127.0.0.1:1", None).unwrap();
        assert_eq!(client.fetch(&link, 9).await.unwrap(), b"\"picture\"");
        assert!(client.fetch(&link, 8).await.unwrap_err().to_string().ends_with("it is larger than 8 bytes"));
        assert!(matches!(client.fetch(&answering(404, json!(1)), 9).await, Err(Error::Link { .. })));
    }

    #[actix_web::test]
    async fn a_result_is_saved_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("film.mp4");
        let server = answering(200, json!("film"));
        let client = Client::new(&server, None).unwrap();
        assert_eq!(client.download("/files/1/2/film.mp4", &path).await.unwrap(), 6);
        assert_eq!(std::fs::read(&path).unwrap(), b"\"film\"");
        let missing = directory.path().join("none.mp4");
        let refusing = Client::new(&answering(403, json!({ "message": "expired" })), None).unwrap();
        assert!(refusing.download("/files/1/2/film.mp4", &missing).await.is_err());
        assert!(!missing.exists());
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        for address in ["", "localhost:8080", "ftp://host", "http://"] {
            assert!(matches!(Client::new(address, None), Err(Error::Address(_))), "{address}");
        }
    }

    #[test]
    fn an_actors_address_is_one_segment() {
        let client = Client::new("http://127.0.0.1:1", None).unwrap();
        assert_eq!(client.url(&["ops", "actors", "task/a"]).as_str(), "http://127.0.0.1:1/ops/actors/task%2Fa");
    }
}
