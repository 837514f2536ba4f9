//! `GET /files/...`: results under links that end by themselves. Whoever has the link may read the file.

use std::ops::Range;

use actix_web::body::SizedStream;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{StreamExt as _, stream};

use super::error::Error;
use super::guard::{get_and_head, resource};
use super::{State, openapi};
use crate::activity::signed_url::{self, Refused};
use crate::activity::storage;

/// Adds the route.
pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(resource("/files/{expires}/{signature}/{key:.*}", |at| at.route(get_and_head().to(read))));
}

/// A file. Ranges of bytes are answered, so that players can jump.
#[utoipa::path(get, path = "/files/{expires}/{signature}/{key}", tag = "files", security(()),
    params(("expires" = u64, Path), ("signature" = String, Path), ("key" = String, Path),
        ("Range" = Option<String>, Header, description = "One range of bytes, such as bytes=0-1023")),
    responses((status = 200, description = "The file", content_type = "application/octet-stream"),
        (status = 206, description = "The range of the file", content_type = "application/octet-stream"),
        (status = 403, description = "The link has expired, or was changed", body = openapi::Failure),
        (status = 404, description = "No such file", body = openapi::Failure),
        (status = 416, description = "No byte of the file is in the range", body = openapi::Failure)))]
pub(super) async fn read(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Error> {
    let key = signed_url::verify(&state.link_secret, request.path(), state.now()).map_err(refused)?;
    let size = state.storage.size(key).await.map_err(unreadable)?;
    let wanted = wanted(request.headers(), size);
    if let Wanted::Nothing = wanted {
        return Err(Error::RangeNotSatisfiable { size });
    }
    let range = if let Wanted::Part(range) = wanted { Some(range) } else { None };
    let reading = state.storage.read(key, range.clone()).await.map_err(unreadable)?;
    let mut response = if range.is_some() { HttpResponse::PartialContent() } else { HttpResponse::Ok() };
    if range.is_some() {
        let Range { start, end } = reading.range;
        response.insert_header((header::CONTENT_RANGE, format!("bytes {start}-{}/{size}", end - 1)));
    }
    let name = key.rsplit('/').next().unwrap_or(key);
    let length = reading.range.end - reading.range.start;
    // What HEAD does not send need not be read.
    let whole = request.method() != Method::HEAD;
    Ok(response
        .content_type(storage::media_type(key))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::CACHE_CONTROL, "private, max-age=3600"))
        .insert_header((header::CONTENT_DISPOSITION, format!("inline; filename=\"{name}\"")))
        .body(SizedStream::new(length, if whole { reading.stream } else { stream::empty().boxed() })))
}

fn refused(refused: Refused) -> Error {
    match refused {
        Refused::Malformed => Error::NotFound("there is no such file: the link is not complete".into()),
        Refused::Forged => Error::Forbidden("this link was changed, or is not ours".into()),
        Refused::Expired => Error::Forbidden("this link has expired; read the task again for a fresh one".into()),
    }
}

fn unreadable(error: storage::Error) -> Error {
    match error {
        storage::Error::NotFound(_) | storage::Error::InvalidKey(_) => {
            Error::NotFound("there is no such file (any more)".into())
        }
        storage::Error::OutOfRange { size, .. } => Error::RangeNotSatisfiable { size },
        error => Error::internal(error),
    }
}

/// What a request wants of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part(Range<u64>),
    Nothing,
}

/// Reads the `Range` header (RFC 9110, section 14): one range is answered; several, another unit or a broken header
/// count as none, and so does one that depends on a validator, because none is sent.
fn wanted(headers: &HeaderMap, size: u64) -> Wanted {
    if headers.contains_key(header::IF_RANGE) {
        return Wanted::All;
    }
    let line = headers.get(header::RANGE).and_then(|line| line.to_str().ok());
    line.and_then(|line| line.trim().strip_prefix("bytes=")).map_or(Wanted::All, |set| range(set.trim(), size))
}

fn range(set: &str, size: u64) -> Wanted {
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let Some((first, last)) = set.split_once('-') else {
        return Wanted::All;
    };
    let range = match (number(first), number(last)) {
        (None, Some(length)) if first.is_empty() => size.saturating_sub(length)..size,
        (Some(from), None) if last.is_empty() => from..size,
        (Some(from), Some(to)) if from <= to => from..to.saturating_add(1).min(size),
        _ => return Wanted::All,
    };
    if range.start < range.end { Wanted::Part(range) } else { Wanted::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_read_as_http_has_it() {
        for (set, wanted) in [
            ("0-4", Wanted::Part(0..5)),
            ("5-", Wanted::Part(5..10)),
            ("-3", Wanted::Part(7..10)),
            ("-99", Wanted::Part(0..10)),
            ("0-99", Wanted::Part(0..10)),
            ("9-9", Wanted::Part(9..10)),
            ("10-", Wanted::Nothing),
            ("10-12", Wanted::Nothing),
            ("-0", Wanted::Nothing),
        ] {
            assert_eq!(range(set, 10), wanted, "{set}");
        }
    }

    #[test]
    fn what_is_no_single_range_gets_the_whole_file() {
        for set in ["", "-", "a-b", "4-2", "0-1,3-4", "+1-2", "1", "-1-2"] {
            assert_eq!(range(set, 10), Wanted::All, "{set}");
        }
        assert_eq!(range("-5", 0), Wanted::Nothing);
    }
}
