//! The language in which refunds are looked for: `query=key:value,key=value` and `sort=field` or `sort=-field`.

use chrono::DateTime;
use strum::IntoEnumIterator as _;

use crate::domain::refund::Status;
use crate::http::error::Error;
use crate::store::refunds::{Field, Sort, Wanted};

/// The fields of a refund by their names in the document.
const FIELDS: [(&str, Field); 10] = [
    ("_id", Field::Id),
    ("paymentIntentId", Field::Intent),
    ("paymentId", Field::Payment),
    ("userId", Field::User),
    ("receiverId", Field::Receiver),
    ("refundTo", Field::RefundTo),
    ("amount", Field::Amount),
    ("status", Field::Status),
    ("createdAt", Field::CreatedAt),
    ("updatedAt", Field::UpdatedAt),
];

/// Conditions of one query, at most.
const CONDITIONS_MAX: usize = 10;
/// Characters of a name that are repeated in an answer.
const SHOWN_CHARS: usize = 40;

/// The newest first.
const NEWEST: Sort = Sort { by: Field::CreatedAt, descending: true };

/// What `query` asks for: nothing in particular when it is empty.
///
/// # Errors
/// [`Error::Invalid`].
pub fn conditions(query: Option<&str>) -> Result<Vec<Wanted>, Error> {
    let pairs: Vec<&str> = query.map_or_else(Vec::new, |query| query.split(',').collect());
    if pairs.len() > CONDITIONS_MAX {
        return Err(Error::field("query", format!("must have at most {CONDITIONS_MAX} conditions")));
    }
    pairs.into_iter().map(condition).collect()
}

/// How the list is sorted: the newest first unless `sort` says otherwise.
///
/// # Errors
/// [`Error::Invalid`].
pub fn sort(sort: Option<&str>) -> Result<Sort, Error> {
    let Some(sort) = sort else { return Ok(NEWEST) };
    let (name, descending) = match sort.strip_prefix('-') {
        Some(name) => (name, true),
        None => (sort, false),
    };
    Ok(Sort { by: field("sort", name)?, descending })
}

fn field(parameter: &str, name: &str) -> Result<Field, Error> {
    let found = FIELDS.iter().find(|(known, _)| *known == name).map(|(_, field)| *field);
    found.ok_or_else(|| {
        let known: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
        let shown: String = name.chars().take(SHOWN_CHARS).collect();
        Error::field(
            parameter,
            format!("names `{shown}`, which is no field of a refund; they are {}", known.join(", ")),
        )
    })
}

/// One pair; a value may hold what separates a name from it, such as a time does.
fn condition(pair: &str) -> Result<Wanted, Error> {
    let Some((name, value)) = pair.split_once([':', '=']) else {
        let shown: String = pair.chars().take(SHOWN_CHARS).collect();
        return Err(Error::field("query", format!("must be pairs such as status:SUCCEEDED; `{shown}` is none")));
    };
    let (name, value) = (name.trim(), value.trim());
    let field = field("query", name)?;
    let shown: String = value.chars().take(SHOWN_CHARS).collect();
    let malformed = |wanted: &str| Error::field("query", format!("has `{shown}` as {name}, which is no {wanted}"));
    Ok(match field {
        Field::Id | Field::Intent | Field::Payment | Field::User | Field::Receiver | Field::RefundTo => {
            Wanted::Text(field, value.to_owned())
        }
        Field::Amount => Wanted::Number(field, value.parse().map_err(|_| malformed("whole number"))?),
        Field::CreatedAt | Field::UpdatedAt => {
            // A `+` of an offset reaches us as a space when it was not escaped.
            let at = DateTime::parse_from_rfc3339(&value.replace(' ', "+"));
            Wanted::Number(field, at.map_err(|_| malformed("time as RFC 3339 writes it"))?.timestamp_millis())
        }
        Field::Status => {
            let named: Vec<Status> = Status::iter().filter(|status| status.shown().crypto == value).collect();
            if named.is_empty() {
                return Err(malformed("status of a refund"));
            }
            Wanted::Status(named)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: Error) -> String {
        error.to_string()
    }

    #[test]
    fn pairs_are_read_in_both_spellings() {
        assert_eq!(
            conditions(Some("paymentId:pay_1,amount=100,status=CANCELLED,createdAt:2024-01-01T00:00:00.000Z")).unwrap(),
            [
                Wanted::Text(Field::Payment, "pay_1".into()),
                Wanted::Number(Field::Amount, 100),
                Wanted::Status(vec![Status::Cancelled]),
                Wanted::Number(Field::CreatedAt, 1_704_067_200_000),
            ]
        );
        assert_eq!(conditions(None).unwrap(), []);
        assert_eq!(conditions(Some(" userId : user_1 ")).unwrap(), [Wanted::Text(Field::User, "user_1".into())]);
    }

    #[test]
    fn every_name_of_the_document_is_known() {
        for (name, field) in FIELDS {
            assert_eq!(sort(Some(name)).unwrap(), Sort { by: field, descending: false });
            assert_eq!(sort(Some(&format!("-{name}"))).unwrap(), Sort { by: field, descending: true });
        }
        assert_eq!(sort(None).unwrap(), NEWEST);
    }

    #[test]
    fn one_name_may_stand_for_many_states() {
        let Wanted::Status(statuses) = &conditions(Some("status:PROCESSING")).unwrap()[0] else { panic!("no status") };
        assert!(statuses.contains(&Status::Requested) && statuses.contains(&Status::OutcomeUnknown));
        assert!(!statuses.contains(&Status::Succeeded));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (query, wanted) in [
            ("color:red", "query names `color`, which is no field of a refund"),
            ("_ID:1", "query names `_ID`"),
            ("status", "query must be pairs such as status:SUCCEEDED; `status` is none"),
            ("amount:1.5", "query has `1.5` as amount, which is no whole number"),
            ("createdAt:yesterday", "query has `yesterday` as createdAt, which is no time"),
            ("status:succeeded", "query has `succeeded` as status, which is no status of a refund"),
            ("amount:1,", "query must be pairs"),
        ] {
            let told = said(conditions(Some(query)).unwrap_err());
            assert!(told.contains(wanted), "{query}: {told}");
        }
        let many = ["amount:1"; CONDITIONS_MAX + 1].join(",");
        assert!(said(conditions(Some(&many)).unwrap_err()).contains("at most 10 conditions"));
        assert!(said(sort(Some("color")).unwrap_err()).contains("sort names `color`"));
        assert!(said(sort(Some("--amount")).unwrap_err()).contains("sort names `-amount`"));
    }
}
