//! Units that no database takes, among units that are fine.

use mixvideo::runtime::journal::{Cell, Outcome, Unit};

use super::fixture::{Backend, Fixture, harbour, on_both, unit, vessel};

on_both!(
    a_poison_row_falls_alone_wherever_it_stands,
    two_poison_rows_fall_alone,
    the_character_nul_falls_alone_wherever_it_stands,
    a_unit_that_makes_no_sense_falls_alone,
);

/// The database refuses the name: it is too long for the table's own rule.
fn poison(key: &str) -> Unit {
    let mut unit = unit(&vessel(key), 0, &["born"]);
    unit.state.cells[0] = Cell::Text(Some("far too long a name for a vessel".to_owned()));
    unit
}

/// Commits `units`, of which those at `poisoned` must fall and all others win.
async fn falls_alone(fixture: &Fixture, units: Vec<Unit>, poisoned: &[usize]) {
    let actors: Vec<_> = units.iter().map(|unit| unit.actor.clone()).collect();
    let outcomes = fixture.commit(units).await;
    for (index, (outcome, actor)) in outcomes.iter().zip(&actors).enumerate() {
        if poisoned.contains(&index) {
            assert!(matches!(outcome, Outcome::Rejected(_)), "{index}: {outcome:?}");
            assert_eq!(fixture.history(actor).await, []);
        } else {
            assert_eq!(*outcome, Outcome::Won, "{index}");
            assert_eq!(fixture.version(actor).await, Some(1));
        }
    }
}

async fn a_poison_row_falls_alone_wherever_it_stands(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    for place in 0..7 {
        let mut units: Vec<Unit> = (0..7).map(|n| unit(&vessel(&format!("{place}-{n}")), 0, &["born"])).collect();
        units[place] = poison(&format!("{place}-poison"));
        falls_alone(&fixture, units, &[place]).await;
    }
}

async fn two_poison_rows_fall_alone(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let mut units: Vec<Unit> = (0..20).map(|n| unit(&harbour(&format!("h{n}")), 0, &["born"])).collect();
    units.insert(3, poison("p1"));
    units.insert(4, poison("p2"));
    falls_alone(&fixture, units, &[3, 4]).await;
}

async fn the_character_nul_falls_alone_wherever_it_stands(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let nul = |key: &str, spoil: &dyn Fn(&mut Unit)| {
        let mut unit = unit(&vessel(key), 0, &["born"]);
        spoil(&mut unit);
        unit
    };
    let units = vec![
        nul("body", &|unit| unit.entries[0].body = "\"\0\"".into()),
        nul("message", &|unit| unit.entries[0].message = "m\0".into()),
        nul("state", &|unit| unit.state.state = "\0".to_owned()),
        nul("cell", &|unit| unit.state.cells[0] = Cell::Text(Some("\0".to_owned()))),
        nul("settled", &|unit| unit.settled = vec!["\0".into()]),
        nul("k\0ey", &|_| {}),
        unit(&vessel("fine"), 0, &["born"]),
        // Escaped, it is a text like any other.
        nul("escaped", &|unit| unit.entries[0].body = "\"\\u0000\"".into()),
    ];
    let outcomes = fixture.commit(units).await;
    let (poisoned, fine) = outcomes.split_at(6);
    assert!(poisoned.iter().all(|outcome| matches!(outcome, Outcome::Rejected(_))), "{poisoned:?}");
    assert_eq!(fine, [Outcome::Won, Outcome::Won]);
    let body = &fixture.journal.history(&vessel("escaped"), 0, 1).await.unwrap()[0].entry.body;
    assert_eq!(&**body, "\"\\u0000\"");
}

async fn a_unit_that_makes_no_sense_falls_alone(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let mut empty = unit(&vessel("empty"), 0, &["born"]);
    empty.entries.clear();
    let mut hole = unit(&vessel("hole"), 0, &["a", "b"]);
    hole.entries[1].version = 3;
    let mut cells = unit(&vessel("cells"), 0, &["born"]);
    cells.state.cells.pop();
    let mut swapped = unit(&vessel("swapped"), 0, &["born"]);
    swapped.state.cells.reverse();
    let mut foreign = unit(&vessel("foreign"), 0, &["born"]);
    foreign.actor = harbour("foreign");
    let mut unknown = unit(&vessel("unknown"), 0, &["born"]);
    unknown.table = &mixvideo::store::tables::INPUTS;
    let mut huge = unit(&vessel("huge"), 0, &["born"]);
    huge.expected = u64::MAX;
    let units = vec![empty, hole, cells, swapped, foreign, unknown, huge, unit(&vessel("fine"), 0, &["born"])];
    falls_alone(&fixture, units, &[0, 1, 2, 3, 4, 5, 6]).await;
}
