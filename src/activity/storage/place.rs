//! Where a storage is, by its URL.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use reqwest::Url;

use super::{Error, is_key};

/// How often a call to S3 is repeated before whoever made it hears of the failure; a step is tried again later anyway.
const RETRIES: usize = 3;
/// After this long no call is repeated.
const RETRY_LIMIT: Duration = Duration::from_secs(15);
/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long S3 may be silent. A whole transfer has no limit: a customer may read a video as slowly as his line is.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// A place for files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory of this machine, absolute or relative to the working directory.
    Directory(PathBuf),
    /// A part of a bucket of S3, or of what speaks like it.
    Bucket {
        /// The bucket.
        name: String,
        /// What all keys begin with, without a slash at its end; may be empty.
        prefix: String,
        /// The region; the environment's when it is not named.
        region: Option<String>,
        /// Where S3 is spoken, when it is not Amazon's.
        endpoint: Option<String>,
    },
}

/// Why a URL names no place. The text completes a sentence that begins with the setting's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlaceFault(pub &'static str);

impl Place {
    /// Reads `file://DIRECTORY` or `s3://BUCKET/PREFIX?region=REGION&endpoint=URL`.
    ///
    /// # Errors
    /// [`PlaceFault`].
    pub fn parse(url: &str) -> Result<Self, PlaceFault> {
        if let Some(directory) = url.strip_prefix("file://") {
            return match directory {
                "" => Err(PlaceFault("must name a directory, such as file://data/files")),
                directory => Ok(Self::Directory(directory.into())),
            };
        }
        let url = Url::parse(url).ok().filter(|url| url.scheme() == "s3");
        let url = url.ok_or(PlaceFault("must begin with file:// or s3://, such as file://data/files"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(PlaceFault("must not hold keys: they come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
        }
        let name =
            url.host_str().filter(|name| is_key(name)).ok_or(PlaceFault("must name a bucket: s3://BUCKET/PREFIX"))?;
        let prefix = url.path().trim_matches('/');
        if !prefix.is_empty() && !is_key(prefix) {
            return Err(PlaceFault("must have a prefix of names joined by /, of letters, digits, `.`, `_` and `-`"));
        }
        let (mut region, mut endpoint) = (None, None);
        for (key, value) in url.query_pairs() {
            match &*key {
                "region" => region = Some(value.into_owned()),
                "endpoint" => endpoint = Some(value.into_owned()),
                _ => return Err(PlaceFault("takes region and endpoint after the question mark, and nothing else")),
            }
        }
        let spoken = |endpoint: &String| Url::parse(endpoint).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if endpoint.as_ref().is_some_and(|endpoint| !spoken(endpoint)) {
            return Err(PlaceFault("must have an endpoint that is an http or https address"));
        }
        Ok(Self::Bucket { name: name.to_owned(), prefix: prefix.to_owned(), region, endpoint })
    }

    /// Opens it; a directory is made when it is missing. S3 is not asked yet.
    pub(super) fn open(self) -> Result<Arc<dyn ObjectStore>, Error> {
        match self {
            Self::Directory(directory) => {
                let shown = directory.display().to_string();
                let failed = |source| Error::Directory { directory: shown.clone(), source };
                std::fs::create_dir_all(&directory).map_err(failed)?;
                let absolute = directory.canonicalize().map_err(failed)?;
                let store =
                    LocalFileSystem::new_with_prefix(absolute).map_err(|source| Error::of("open", &shown, source))?;
                Ok(Arc::new(store.with_fsync(true).with_automatic_cleanup(true)))
            }
            Self::Bucket { name, prefix, region, endpoint } => {
                let in_the_clear = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http:"));
                let client = ClientOptions::new()
                    .with_connect_timeout(CONNECT_LIMIT)
                    .with_read_timeout(SILENCE_LIMIT)
                    .with_timeout_disabled()
                    .with_allow_http(in_the_clear);
                let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_LIMIT, ..RetryConfig::default() };
                let mut builder =
                    AmazonS3Builder::from_env().with_bucket_name(&name).with_client_options(client).with_retry(retry);
                if let Some(region) = region {
                    builder = builder.with_region(region);
                }
                if let Some(endpoint) = endpoint {
                    builder = builder.with_endpoint(endpoint);
                }
                let store = builder.build().map_err(|source| Error::of("open", &name, source))?;
                Ok(if prefix.is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix)) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(name: &str, prefix: &str, region: Option<&str>, endpoint: Option<&str>) -> Result<Place, PlaceFault> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let (name, prefix) = (name.to_owned(), prefix.to_owned());
        Ok(Place::Bucket { name, prefix, region: owned(region), endpoint: owned(endpoint) })
    }

    #[test]
    fn a_directory_or_a_part_of_a_bucket_is_a_place() {
        assert_eq!(Place::parse("file://data/files"), Ok(Place::Directory("data/files".into())));
        assert_eq!(Place::parse("file:///var/files"), Ok(Place::Directory("/var/files".into())));
        assert_eq!(Place::parse("s3://films"), bucket("films", "", None, None));
        assert_eq!(Place::parse("s3://films/"), bucket("films", "", None, None));
        assert_eq!(
            Place::parse("s3://my.films/a/b/?region=eu-central-1"),
            bucket("my.films", "a/b", Some("eu-central-1"), None)
        );
        let minio = "s3://films/a?region=x&endpoint=http://127.0.0.1:9000";
        assert_eq!(Place::parse(minio), bucket("films", "a", Some("x"), Some("http://127.0.0.1:9000")));
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_would_be_one() {
        for (url, word) in [
            ("", "must begin with file:// or s3://"),
            ("data/files", "must begin with"),
            ("ftp://files", "must begin with"),
            ("file://", "must name a directory"),
            ("s3://", "must name a bucket"),
            ("s3:///prefix", "must name a bucket"),
            ("s3://key:secret@films", "must not hold keys"),
            ("s3://key@films", "must not hold keys"),
            ("s3://films?secret_access_key=x", "region and endpoint"),
            ("s3://films/a//b", "a prefix of names"),
            ("s3://films/a%20b", "a prefix of names"),
            ("s3://films?endpoint=127.0.0.1:9000", "an http or https address"),
        ] {
            let fault = Place::parse(url).unwrap_err().to_string();
            assert!(fault.contains(word), "{url}: {fault}");
        }
    }
}
