//! Records: rows that come with a decision, for good.

use mixvideo::runtime::journal::{Cell, Outcome, Unit};

use super::fixture::{Backend, Fixture, harbour, on_both, record, unit, vessel};

on_both!(
    records_are_written_with_their_decision,
    losers_leave_no_records,
    a_record_that_the_database_refuses_undoes_its_unit_alone,
    a_record_without_a_table_or_of_another_shape_is_refused,
    the_ledger_is_only_added_to,
);

async fn logbook(fixture: &Fixture) -> Vec<String> {
    fixture
        .texts(
            "SELECT id || ' ' || actor || ' ' || at || ' ' || COALESCE(port, '-') || ' ' \
             || COALESCE(CAST(cargo AS TEXT), '-') FROM logbook ORDER BY id",
        )
        .await
}

fn sails(expected: u64, message: &str, cargo: i64) -> Unit {
    let mut unit = unit(&vessel("a"), expected, &[message]);
    unit.records = vec![record(&unit, 0, Some("it's = Hull"), Some(cargo)), record(&unit, 1, None, None)];
    unit
}

async fn records_are_written_with_their_decision(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let beside = unit(&harbour("b"), 0, &["born"]);
    assert_eq!(fixture.commit([sails(0, "born", 7), beside]).await, [Outcome::Won, Outcome::Won]);
    assert_eq!(logbook(&fixture).await, ["vessel/a:1:0 a 1001 it's = Hull 7", "vessel/a:1:1 a 1001 - -"]);
}

async fn losers_leave_no_records(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    fixture.win(sails(0, "born", 7)).await;
    let late = sails(0, "born again", 8);
    let again = sails(1, "born", 9);
    assert_eq!(fixture.commit([late]).await, [Outcome::Stale]);
    assert!(matches!(fixture.commit([again]).await[..], [Outcome::Duplicate(_)]));
    assert_eq!(logbook(&fixture).await.len(), 2);
}

async fn a_record_that_the_database_refuses_undoes_its_unit_alone(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let neighbour = unit(&vessel("b"), 0, &["born"]);
    let outcomes = fixture.commit([sails(0, "born", 1_000), neighbour]).await;
    assert!(matches!(outcomes[..], [Outcome::Rejected(_), Outcome::Won]), "{outcomes:?}");
    assert_eq!(fixture.version(&vessel("a")).await, None);
    assert!(logbook(&fixture).await.is_empty());
}

async fn a_record_without_a_table_or_of_another_shape_is_refused(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let mut homeless = unit(&harbour("a"), 0, &["born"]);
    homeless.records = vec![record(&homeless, 0, None, None)];
    let mut askew = sails(0, "born", 7);
    askew.records[0].cells = vec![Cell::Integer(Some(1)), Cell::Integer(Some(1))];
    let outcomes = fixture.commit([homeless, askew]).await;
    assert!(matches!(outcomes[..], [Outcome::Rejected(_), Outcome::Rejected(_)]), "{outcomes:?}");
}

async fn the_ledger_is_only_added_to(backend: Backend) {
    use sea_orm::ConnectionTrait as _;
    let fixture = Fixture::new(backend).await;
    let database = fixture.beside().await;
    let row = |id: &str, amount: i64, credit: &str| {
        format!(
            "INSERT INTO ledger (id, actor, at, debit, credit, currency, amount, cause, payment_id) \
             VALUES ('{id}', 'platform', 1, 'clearing', '{credit}', 'usd', {amount}, 'capture', 'pay_1')"
        )
    };
    database.execute_unprepared(&row("a", 5, "available")).await.unwrap();
    for refused in [
        row("b", 0, "available"),
        row("c", -5, "available"),
        row("d", 5, "clearing"),
        "UPDATE ledger SET amount = 6".to_owned(),
        "DELETE FROM ledger".to_owned(),
    ] {
        assert!(database.execute_unprepared(&refused).await.is_err(), "{refused}");
    }
    assert_eq!(fixture.texts("SELECT CAST(amount AS TEXT) FROM ledger").await, ["5"]);
}
