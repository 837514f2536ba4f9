//! What a provider made: fetched at once, because its links end, and believed by its content alone.

use bytes::Bytes;
use serde_json::{Value, json};

use super::Errand;
use crate::activity::media::{inspect, parse_data_url};
use crate::activity::worker::Job;
use crate::activity::{FILE_BYTES_MAX, work_prefix};
use crate::domain::Failure;
use crate::domain::job::Fact;

/// Major brands of files that are built like an MP4 and are none: pictures (AVIF, HEIC).
const PICTURE_BRANDS: [&[u8]; 8] = [b"avif", b"avis", b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1"];

/// What a finished job gives: the result is kept, or it is known why not, or it can be tried again.
pub(super) fn told(kept: Result<Value, Failure>) -> Fact {
    match kept {
        Ok(result) => Fact::Done { result },
        Err(failure) if failure.retryable => {
            Fact::Silent { why: failure.to_string(), after_ms: failure.retry_after_ms }
        }
        Err(failure) => Fact::Failed(failure),
    }
}

/// Fetches the file behind a link that the provider gave and keeps it.
pub(super) async fn fetch(errand: Errand<'_>, link: &str) -> Result<Value, Failure> {
    if link.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
        return keep(errand, parse_data_url(link)?.1.into()).await;
    }
    let limit = errand.provider.fetch_limit;
    let fetched = errand.activities.fetcher.fetch(link, FILE_BYTES_MAX, limit).await.map_err(|error| {
        let failure = Failure::from(error);
        Failure { message: format!("the provider's result could not be fetched: {}", failure.message), ..failure }
    })?;
    keep(errand, fetched.bytes).await
}

/// Keeps what the provider made as the step's working file: a video as it is, a picture decoded by a worker.
pub(super) async fn keep(errand: Errand<'_>, bytes: Bytes) -> Result<Value, Failure> {
    let running = errand.running;
    if is_mp4(&bytes) {
        let file = format!("{}{}.mp4", work_prefix(running.call), running.call.step);
        errand.activities.storage().put(&file, bytes).await?;
        return Ok(json!({ "file": file, "type": "video/mp4" }));
    }
    inspect(&bytes).map_err(|fault| {
        Failure::fatal("provider_result_unusable", format!("what the provider made is not taken: {fault}"))
    })?;
    let desk = errand.activities.desk()?;
    desk.lay(0, bytes).await?;
    let name = format!("{}.jpg", running.call.step);
    let (file, report) = errand.activities.work(running, &Job::Picture, desk, &name).await?;
    Ok(json!({ "file": file, "type": "image/jpeg", "width": report["width"], "height": report["height"] }))
}

/// Whether these are the first bytes of an MP4 (ISO 14496-12: a box `ftyp` with its brand).
fn is_mp4(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"ftyp") && bytes.get(8..12).is_some_and(|brand| !PICTURE_BRANDS.contains(&brand))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_mp4_is_known_by_its_first_bytes() {
        assert!(is_mp4(b"\0\0\0\x18ftypisom\0\0\0\0"));
        assert!(is_mp4(b"\0\0\0\x18ftypmp42"));
        for other in [&b"\0\0\0\x18ftypavif"[..], b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftyp", b"<html>", b"", b"ftypisom"]
        {
            assert!(!is_mp4(other), "{other:?}");
        }
    }
}
