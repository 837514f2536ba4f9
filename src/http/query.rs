//! What stands behind the `?`.

use std::collections::HashMap;

use actix_web::{HttpRequest, web};

use super::error::Error;

/// Entries of a page unless the caller says otherwise.
const PAGE_DEFAULT: u64 = 50;
/// Entries of a page at most.
const PAGE_MAX: u64 = 100;

/// The query of a request.
#[derive(Default)]
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

    /// Which page of a list is meant.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn page(&self) -> Result<Page, Error> {
        let limit = self.whole("limit", 1, PAGE_MAX)?.unwrap_or(PAGE_DEFAULT);
        Ok(Page { limit, cursor: self.text("cursor").map(str::to_owned) })
    }
}

/// A page of a list: `?limit=` and `?cursor=`, read by the same rule for every list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    limit: u64,
    cursor: Option<String>,
}

impl Page {
    /// Where the page before ended, as that list writes it.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// How many entries to look for: one more than is shown, which tells whether another page follows.
    #[must_use]
    pub const fn fetch(&self) -> u64 {
        self.limit + 1
    }

    /// The entries to show of those that were found, and the cursor of the next page when there is one.
    #[must_use]
    pub fn cut<T>(&self, mut found: Vec<T>, cursor_of: impl FnOnce(&T) -> String) -> (Vec<T>, Option<String>) {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(cursor_of);
        (found, next)
    }
}

/// What is wrong with a cursor that no page gave out.
#[must_use]
pub fn no_cursor() -> Error {
    Error::field("cursor", "is none of ours")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_the_next_one_only_when_something_follows() {
        let page = Page { limit: 2, cursor: None };
        assert_eq!(page.fetch(), 3);
        let cut = |found: &[u32]| page.cut(found.to_vec(), ToString::to_string);
        assert_eq!(cut(&[1, 2, 3]), (vec![1, 2], Some("2".into())));
        assert_eq!(cut(&[1, 2]), (vec![1, 2], None));
        assert_eq!(cut(&[]), (vec![], None));
    }
}
