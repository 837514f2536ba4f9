//! What stands behind the `?`.

use std::collections::HashMap;

use actix_web::{HttpRequest, web};

use super::error::Error;

/// Entries of a page unless the caller says otherwise.
const PAGE_DEFAULT: u64 = 50;
/// Entries of a page at most.
const PAGE_MAX: u64 = 100;

/// The query of a request.
pub struct Query(HashMap<String, String>);

impl Query {
    /// Reads it.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when it is not written as a query.
    pub fn of(request: &HttpRequest) -> Result<Self, Error> {
        let pairs = web::Query::<HashMap<String, String>>::from_query(request.query_string())
            .map_err(|_| Error::BadRequest("the query cannot be read".into()))?;
        Ok(Self(pairs.into_inner()))
    }

    /// A parameter that is not empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A whole number within bounds.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn whole(&self, name: &str, from: u64, to: u64) -> Result<Option<u64>, Error> {
        let Some(text) = self.0.get(name) else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number| (from..=to).contains(number));
        number.map(Some).ok_or_else(|| Error::field(name, format!("must be a whole number from {from} to {to}")))
    }

    /// How many entries a page may have.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn limit(&self) -> Result<u64, Error> {
        Ok(self.whole("limit", 1, PAGE_MAX)?.unwrap_or(PAGE_DEFAULT))
    }
}
