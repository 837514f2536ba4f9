//! What a statement commits, in words that are the same in every run.

use serde_json::Value;

use super::frames::texts;

/// What stands before the rows of the history in a script of the journal, and how they are called there.
const HISTORY: &str = "INSERT INTO journal ";
const HISTORY_ROWS: &str = "bound(actor, version, message_id, verdict, reason, body, now, schema)";
const VERDICT: usize = 3;
const BODY: usize = 5;

/// The names of what `sql` writes with `values`: for each message in the history who decided it, what it was, and how it
/// was taken when it changed nothing; for a statement without history what it changes. Empty when it only reads.
pub fn names(sql: &str, values: &[Option<Vec<u8>>]) -> Vec<String> {
    let Some(script) = sql.find(HISTORY) else { return change(sql).into_iter().collect() };
    // The rows are `(SELECT ... FROM UNNEST($5::text[], ...) AS bound(actor, ...))`.
    let rows = sql[script..].split(HISTORY_ROWS).next().unwrap();
    let first = rows.rsplit("UNNEST($").next().unwrap().split(':').next().unwrap();
    let first: usize = first.parse().unwrap_or_else(|_| panic!("the history's rows stand elsewhere in: {sql}"));
    let column = |index: usize| texts(values[first - 1 + index].as_deref().unwrap()).unwrap();
    let decided = column(0).into_iter().zip(column(VERDICT)).zip(column(BODY));
    decided.map(|((actor, verdict), body)| decision(&actor, &verdict, &body)).collect()
}

/// Verb and table, and of an update the first column.
fn change(sql: &str) -> Option<String> {
    let sql = sql.replace('"', "");
    let words: Vec<&str> = sql.split_whitespace().collect();
    match words[..] {
        ["INSERT", "INTO", table, ..] => Some(format!("insert {table}")),
        ["DELETE", "FROM", table, ..] => Some(format!("delete {table}")),
        ["UPDATE", table, "SET", column, ..] => Some(format!("update {table}.{column}")),
        ["WITH", ..] if ["INSERT INTO ", "UPDATE ", "DELETE FROM "].iter().any(|verb| sql.contains(verb)) => {
            panic!("a script without history has no name yet: {sql}")
        }
        _ => None,
    }
}

fn decision(actor: &str, verdict: &str, body: &str) -> String {
    let kind = actor.split('/').next().unwrap();
    let taken = if verdict == "applied" { String::new() } else { format!(", {verdict}") };
    format!("{kind}: {}{taken}", message(&serde_json::from_str(body).unwrap()))
}

/// The tag of a message, and what it carries.
fn message(body: &Value) -> String {
    let Some((tag, inner)) = body.as_object().and_then(|fields| fields.iter().next()) else {
        return body.as_str().unwrap_or_default().to_owned();
    };
    let carried = match inner {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| match (&**name, value) {
            ("deliver", Value::String(text)) => Some(message(&serde_json::from_str(text).unwrap())),
            ("news", news) => Some(message(news)),
            ("outcome", outcome) => Some(outcome.get("Ok").map_or_else(|| "failure".to_owned(), message)),
            ("status", Value::String(status)) => Some(status.clone()),
            _ => None,
        }),
        _ => None,
    };
    match carried {
        Some(carried) if !carried.is_empty() => format!("{tag} {carried}"),
        _ => tag.clone(),
    }
}
