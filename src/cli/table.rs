//! Tables in a terminal.

use serde_json::Value;

/// The longest text in a cell; longer ones are cut, and `--json` has them whole.
const CELL_CHARS_MAX: usize = 60;

/// `rows` (objects) as aligned columns: `first` in this order where they occur, then the others by name.
pub(super) fn table(rows: &[Value], first: &[&str]) -> String {
    let mut columns: Vec<&str> =
        first.iter().copied().filter(|name| rows.iter().any(|row| !row[name].is_null())).collect();
    for name in rows.iter().filter_map(Value::as_object).flat_map(serde_json::Map::keys) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let mut lines = vec![columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|name| cell(&row[name])).collect()));
    aligned(&lines)
}

/// Prints the list in `answer`: whole in JSON, or as a table with `first` in front, or `none` when it is empty.
pub(super) fn print_list(answer: &Value, json: bool, none: &str, first: &[&str]) {
    let rows = list(answer);
    if json {
        super::print_json(answer);
    } else if rows.is_empty() {
        say!("{none}");
    } else {
        say!("{}", table(&rows, first));
    }
}

/// Lines of cells, each column as wide as its widest cell.
pub(super) fn aligned(lines: &[Vec<String>]) -> String {
    let width =
        |column: usize| lines.iter().filter_map(|line| Some(line.get(column)?.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines.iter().map(Vec::len).max().unwrap_or(0)).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.replace('\n', " "),
        other => other.to_string(),
    };
    if text.chars().count() <= CELL_CHARS_MAX {
        return text;
    }
    text.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect()
}

/// The first list of objects in an answer, whatever it is called.
fn list(answer: &Value) -> Vec<Value> {
    let lists = answer.as_object().into_iter().flat_map(serde_json::Map::values);
    std::iter::once(answer).chain(lists).find_map(Value::as_array).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_aligned_and_named() {
        let rows =
            [json!({ "id": "task/a", "status": "running", "age": 3 }), json!({ "id": "task/bcd", "status": null })];
        let expected = "id        status   age\ntask/a    running  3\ntask/bcd  -        -\n";
        assert_eq!(table(&rows, &["id", "status"]), expected);
    }

    #[test]
    fn a_long_text_is_cut() {
        let text = table(&[json!({ "reason": "x".repeat(500) })], &[]);
        assert!(text.lines().all(|line| line.chars().count() <= CELL_CHARS_MAX), "{text}");
    }

    #[test]
    fn a_list_is_found_under_any_name() {
        assert_eq!(list(&json!({ "total": 1, "actors": [{ "id": 1 }] })).len(), 1);
        assert_eq!(list(&json!([1, 2])).len(), 2);
        assert!(list(&json!({ "total": 0 })).is_empty());
    }
}
