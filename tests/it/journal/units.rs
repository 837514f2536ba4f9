//! Units that win, lose and repeat.

use mixvideo::domain::{Timestamp, Verdict};
use mixvideo::runtime::journal::{Cell, Error, Journal, Outcome, Reaction, migrate};
use sea_orm::ConnectionTrait;

use super::fixture::{Backend, Fixture, HARBOURS, VESSELS, claim, harbour, id, on_both, open, unit, vessel};

on_both!(
    a_birth_is_on_disk,
    a_transition_takes_the_next_version,
    every_verdict_reads_back_as_it_was,
    every_cell_reads_back_as_it_was,
    a_message_twice_is_a_duplicate,
    a_decision_on_an_old_version_is_stale,
    a_decision_about_an_actor_that_does_not_exist_is_stale,
    a_birth_twice_with_the_same_message_is_a_duplicate,
    a_birth_twice_with_another_message_is_stale,
    a_name_is_claimed_once,
    two_claims_of_one_name_in_one_call_have_one_winner,
    many_decisions_fold_into_one_state,
    several_kinds_commit_together,
    units_of_one_actor_in_one_call_follow_each_other,
    losers_do_not_take_winners_down,
    a_thousand_units_commit_in_one_call,
    nobody_wins_without_units,
    another_number_of_partitions_is_refused,
    a_newer_migration_is_refused,
    opening_twice_changes_nothing,
    old_journals_are_dropped_and_their_states_stay,
    expired_claims_are_forgotten,
    every_entity_reads_its_table,
);

async fn a_birth_is_on_disk(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let actor = vessel("a");
    fixture.win(unit(&actor, 0, &["born"])).await;
    let again = open(&fixture.options).await;
    let stored = &again.load(std::slice::from_ref(&actor)).await.unwrap()[&actor];
    assert_eq!((stored.version, stored.status.as_str(), stored.schema), (1, "afloat", 1));
    assert_eq!(stored.state, "{\"version\":1}");
    assert_eq!(fixture.history(&actor).await, [(1, "born".to_owned())]);
    assert_eq!(again.load(&[vessel("b")]).await.unwrap().len(), 0);
    assert_eq!(again.counts("vessel").await.unwrap().into_iter().collect::<Vec<_>>(), [("afloat".to_owned(), 1)]);
}

async fn a_transition_takes_the_next_version(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let actor = vessel("a");
    fixture.win(unit(&actor, 0, &["born"])).await;
    fixture.win(unit(&actor, 1, &["sailed"])).await;
    assert_eq!(fixture.version(&actor).await, Some(2));
    let times = fixture.texts("SELECT created_at || ' ' || updated_at FROM vessels").await;
    assert_eq!(times, ["1001 1002"]);
    let late = fixture.journal.history(&actor, 1, 10).await.unwrap();
    assert_eq!((late.len(), late[0].entry.now, late[0].schema), (1, Timestamp(1_002), 1));
}

async fn every_verdict_reads_back_as_it_was(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let actor = vessel("a");
    let verdicts = [
        Verdict::Applied,
        Verdict::Refused("it's \"no\" = \\n\n\u{1}🚢".to_owned()),
        Verdict::Refused(String::new()),
        Verdict::Ignored,
    ];
    let mut unit = unit(&actor, 0, &["a", "b", "c", "d"]);
    for (entry, verdict) in unit.entries.iter_mut().zip(&verdicts) {
        entry.verdict = verdict.clone();
    }
    let entries = unit.entries.clone();
    fixture.win(unit).await;
    let read = fixture.journal.history(&actor, 0, 10).await.unwrap();
    assert_eq!(read.into_iter().map(|past| past.entry).collect::<Vec<_>>(), entries);
}

async fn every_cell_reads_back_as_it_was(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let cells = [
        vec![Cell::Text(None), Cell::Integer(None)],
        vec![Cell::Text(Some(String::new())), Cell::Integer(Some(0))],
        vec![Cell::Text(Some("=null".to_owned())), Cell::Integer(Some(i64::MIN))],
        vec![Cell::Text(Some("'; -- 🚢".to_owned())), Cell::Integer(Some(i64::MAX))],
    ];
    let units = cells.into_iter().enumerate().map(|(number, cells)| {
        let mut unit = unit(&vessel(&format!("v{number}")), 0, &["born"]);
        unit.state.cells = cells;
        unit
    });
    assert_eq!(fixture.commit(units).await, vec![Outcome::Won; 4]);
    let read = fixture
        .texts("SELECT coalesce('>' || name, 'null') || ' ' || coalesce(CAST(weight AS TEXT), 'null') FROM vessels ORDER BY id")
        .await;
    let expected = ["null null", "> 0", ">=null -9223372036854775808", ">'; -- 🚢 9223372036854775807"];
    assert_eq!(read, expected);
}

async fn a_message_twice_is_a_duplicate(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let actor = vessel("a");
    fixture.win(unit(&actor, 0, &["born"])).await;
    fixture.win(unit(&actor, 1, &["sailed"])).await;
    let outcomes = fixture.commit([unit(&actor, 2, &["moored", "sailed"])]).await;
    assert_eq!(outcomes, [Outcome::Duplicate(vec![id("sailed")])]);
    let outcomes = fixture.commit([unit(&actor, 1, &["sailed"])]).await;
    assert_eq!(outcomes, [Outcome::Duplicate(vec![id("sailed")])]);
    assert_eq!(fixture.version(&actor).await, Some(2));
    // Another actor may know the same message.
    fixture.win(unit(&vessel("b"), 0, &["sailed"])).await;
}

async fn a_decision_on_an_old_version_is_stale(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let actor = vessel("a");
    fixture.win(unit(&actor, 0, &["born"])).await;
    fixture.win(unit(&actor, 1, &["sailed"])).await;
    assert_eq!(fixture.commit([unit(&actor, 1, &["sank"])]).await, [Outcome::Stale]);
    assert_eq!(fixture.commit([unit(&actor, 5, &["sank"])]).await, [Outcome::Stale]);
    assert_eq!(fixture.history(&actor).await.len(), 2);
}

async fn a_decision_about_an_actor_that_does_not_exist_is_stale(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let actor = vessel("a");
    assert_eq!(fixture.commit([unit(&actor, 3, &["sailed"])]).await, [Outcome::Stale]);
    assert_eq!(fixture.history(&actor).await, []);
}

async fn a_birth_twice_with_the_same_message_is_a_duplicate(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let actor = vessel("a");
    fixture.win(unit(&actor, 0, &["born"])).await;
    assert_eq!(fixture.commit([unit(&actor, 0, &["born"])]).await, [Outcome::Duplicate(vec![id("born")])]);
}

async fn a_birth_twice_with_another_message_is_stale(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let actor = vessel("a");
    fixture.win(unit(&actor, 0, &["born"])).await;
    assert_eq!(fixture.commit([unit(&actor, 0, &["born again"])]).await, [Outcome::Stale]);
    assert_eq!(fixture.history(&actor).await, [(1, "born".to_owned())]);
}

async fn a_name_is_claimed_once(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let mut first = unit(&vessel("a"), 0, &["born"]);
    first.claim = Some(claim("key 1"));
    let mut second = unit(&vessel("b"), 0, &["born"]);
    second.claim = Some(claim("key 1"));
    fixture.win(first.clone()).await;
    let claimed = Outcome::Claimed {
        fingerprint: "print of key 1".to_owned(),
        actor: vessel("a"),
        answer: "{\"code\":200}".to_owned(),
    };
    assert_eq!(fixture.commit([second]).await, [claimed]);
    assert_eq!(fixture.version(&vessel("b")).await, None);
    // The call itself repeated is a duplicate, not a rival.
    assert_eq!(fixture.commit([first]).await, [Outcome::Duplicate(vec![id("born")])]);
    assert_eq!(fixture.journal.claim("key 1").await.unwrap(), Some((claim("key 1"), vessel("a"))));
    assert_eq!(fixture.journal.claim("key 2").await.unwrap(), None);
}

async fn two_claims_of_one_name_in_one_call_have_one_winner(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let units = ["a", "b", "c"].map(|key| {
        let mut unit = unit(&vessel(key), 0, &["born"]);
        unit.claim = Some(claim("key"));
        unit
    });
    let outcomes = fixture.commit(units).await;
    assert_eq!(outcomes[0], Outcome::Won);
    assert!(outcomes[1..].iter().all(|outcome| matches!(outcome, Outcome::Claimed { .. })), "{outcomes:?}");
}

async fn many_decisions_fold_into_one_state(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let actor = vessel("a");
    fixture.win(unit(&actor, 0, &["born"])).await;
    let messages: Vec<String> = (0..64).map(|number| format!("m{number}")).collect();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    fixture.win(unit(&actor, 1, &messages)).await;
    assert_eq!(fixture.version(&actor).await, Some(65));
    assert_eq!(fixture.history(&actor).await.len(), 65);
    assert_eq!(fixture.commit([unit(&actor, 64, &["late"])]).await, [Outcome::Stale]);
}

async fn several_kinds_commit_together(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (ship, port) = (vessel("same"), harbour("same"));
    assert_eq!(fixture.commit([unit(&ship, 0, &["born"]), unit(&port, 0, &["born"])]).await, vec![Outcome::Won; 2]);
    let units = [unit(&ship, 1, &["x"]), unit(&port, 1, &["x"]), unit(&vessel("new"), 0, &["born"])];
    assert_eq!(fixture.commit(units).await, vec![Outcome::Won; 3]);
    let loaded = fixture.journal.load(&[ship.clone(), port.clone(), vessel("none")]).await.unwrap();
    assert_eq!((loaded.len(), loaded[&ship].version, loaded[&port].version), (2, 2, 2));
}

async fn units_of_one_actor_in_one_call_follow_each_other(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let actor = vessel("a");
    let units = [unit(&actor, 0, &["born"]), unit(&actor, 1, &["x"]), unit(&actor, 1, &["y"]), unit(&actor, 2, &["z"])];
    assert_eq!(fixture.commit(units).await, [Outcome::Won, Outcome::Won, Outcome::Stale, Outcome::Won]);
    assert_eq!(fixture.version(&actor).await, Some(3));
}

async fn losers_do_not_take_winners_down(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    for key in ["stale", "duplicate", "fine"] {
        fixture.win(unit(&vessel(key), 0, &["born"])).await;
    }
    let mut claimed = unit(&vessel("claimed"), 0, &["born"]);
    claimed.claim = Some(claim("key"));
    let mut first = unit(&vessel("first"), 0, &["born"]);
    first.claim = Some(claim("key"));
    fixture.win(first).await;
    let units = [
        unit(&vessel("stale"), 7, &["x"]),
        unit(&vessel("fine"), 1, &["x"]),
        unit(&vessel("duplicate"), 0, &["born"]),
        claimed,
        unit(&vessel("new"), 0, &["born"]),
    ];
    let outcomes = fixture.commit(units).await;
    assert_eq!(outcomes[0], Outcome::Stale);
    assert_eq!(outcomes[1], Outcome::Won);
    assert_eq!(outcomes[2], Outcome::Duplicate(vec![id("born")]));
    assert!(matches!(outcomes[3], Outcome::Claimed { .. }));
    assert_eq!(outcomes[4], Outcome::Won);
    assert_eq!(fixture.version(&vessel("fine")).await, Some(2));
}

async fn a_thousand_units_commit_in_one_call(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let units = (0..1_000).map(|number| unit(&vessel(&format!("v{number}")), 0, &["born", "x"]));
    assert!(fixture.commit(units).await.iter().all(|outcome| *outcome == Outcome::Won));
    assert_eq!(fixture.journal.counts("vessel").await.unwrap()["afloat"], 1_000);
}

async fn nobody_wins_without_units(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    assert_eq!(fixture.commit([]).await, []);
}

async fn another_number_of_partitions_is_refused(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let refused = Journal::open(&fixture.options, &[&VESSELS, &HARBOURS], 8).await.unwrap_err();
    assert!(matches!(&refused, Error::Partitions { stored, asked: 8 } if stored == "4"), "{refused}");
    assert_eq!(refused.reaction(), Reaction::Fail);
}

async fn a_newer_migration_is_refused(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let database = fixture.beside().await;
    let sql = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m2999_the_future', 0)";
    database.execute_unprepared(sql).await.unwrap();
    let refused = migrate(&fixture.options.url).await.unwrap_err();
    assert!(matches!(&refused, Error::Newer(name) if name == "m2999_the_future"), "{refused}");
}

async fn opening_twice_changes_nothing(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    fixture.win(unit(&vessel("a"), 0, &["born"])).await;
    fixture.journal.close().await;
    migrate(&fixture.options.url).await.unwrap();
    let second = open(&fixture.options).await;
    assert_eq!(second.counts("vessel").await.unwrap()["afloat"], 1);
}

async fn old_journals_are_dropped_and_their_states_stay(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let units = ["a", "b", "c", "d", "e"].map(|key| {
        let mut unit = unit(&vessel(key), 0, &["born", "ended"]);
        unit.state.status = if key == "c" { "afloat" } else { "sunk" };
        if key == "d" {
            unit.entries[1].now = Timestamp(9_000);
        }
        unit
    });
    assert_eq!(fixture.commit(units).await, vec![Outcome::Won; 5]);
    let (mut after, mut rows, mut calls) = (None, 0, 0);
    loop {
        let pruned = fixture.journal.prune("vessel", &["sunk"], Timestamp(5_000), after.as_deref(), 2).await.unwrap();
        (rows, calls) = (rows + pruned.rows, calls + 1);
        match pruned.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!((rows, calls), (6, 3));
    let left = fixture.texts("SELECT DISTINCT actor FROM journal ORDER BY actor").await;
    assert_eq!(left, ["vessel/c", "vessel/d"]);
    assert_eq!(fixture.commit([unit(&vessel("a"), 0, &["late"])]).await, [Outcome::Stale]);
}

async fn expired_claims_are_forgotten(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    for (key, expires) in [("a", 100), ("b", 200), ("c", 300)] {
        let mut unit = unit(&vessel(key), 0, &["born"]);
        unit.claim = Some(mixvideo::runtime::journal::Claim { expires: Timestamp(expires), ..claim(key) });
        fixture.win(unit).await;
    }
    assert_eq!(fixture.journal.prune_claims(Timestamp(200), 1).await.unwrap(), 1);
    assert_eq!(fixture.journal.prune_claims(Timestamp(200), 10).await.unwrap(), 1);
    assert_eq!(fixture.journal.prune_claims(Timestamp(200), 10).await.unwrap(), 0);
    assert_eq!(fixture.texts("SELECT name FROM claims").await, ["c"]);
}

async fn every_entity_reads_its_table(backend: Backend) {
    use mixvideo_entities as rows;
    use sea_orm::EntityTrait;
    let fixture = Fixture::new(backend).await;
    let database = fixture.beside().await;
    rows::journal::Entity::find().all(&database).await.unwrap();
    rows::outbox::Entity::find().all(&database).await.unwrap();
    rows::dead::Entity::find().all(&database).await.unwrap();
    rows::claim::Entity::find().all(&database).await.unwrap();
    rows::task::Entity::find().all(&database).await.unwrap();
    rows::input::Entity::find().all(&database).await.unwrap();
    rows::payment::Entity::find().all(&database).await.unwrap();
    rows::refund::Entity::find().all(&database).await.unwrap();
    rows::account::Entity::find().all(&database).await.unwrap();
    rows::posting::Entity::find().all(&database).await.unwrap();
    rows::template::Entity::find().all(&database).await.unwrap();
    rows::api_key::Entity::find().all(&database).await.unwrap();
    rows::workflow_definition::Entity::find().all(&database).await.unwrap();
    assert_eq!(rows::setting::Entity::find().all(&database).await.unwrap().len(), 1);
}
