//! Which call an actor was born in.

use mixvideo::domain::Timestamp;
use mixvideo::runtime::journal::{Origin, Unit};
use mixvideo::runtime::trace::Trace;

use super::fixture::{Backend, Fixture, harbour, on_both, unit, vessel};

on_both!(the_trace_of_a_call_is_found_at_all_that_was_born_because_of_it);

async fn the_trace_of_a_call_is_found_at_all_that_was_born_because_of_it(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let trace = Trace::parse("0af7651916cd43dd8448eb211c80319c").unwrap();
    let born = |actor, origin| Unit { origin: Some(origin), ..unit(&actor, 0, &["birth"]) };
    // In one commit with one that is not traced.
    let units = [born(vessel("called"), Origin::Call(trace.clone())), unit(&vessel("silent"), 0, &["birth"])];
    fixture.commit(units).await;
    let told = [
        born(harbour("child"), Origin::Actor(vessel("called"))),
        born(harbour("of nobody"), Origin::Actor(vessel("silent"))),
    ];
    fixture.commit(told).await;
    fixture.win(born(vessel("grandchild"), Origin::Actor(harbour("child")))).await;
    let journal = &fixture.journal;
    for (actor, wanted) in [
        (vessel("called"), Some(&trace)),
        (harbour("child"), Some(&trace)),
        (vessel("grandchild"), Some(&trace)),
        (vessel("silent"), None),
        (harbour("of nobody"), None),
    ] {
        assert_eq!(journal.trace_of(&actor).await.unwrap().as_ref(), wanted, "{actor}");
    }
    assert_eq!(journal.traced(&trace, 10).await.unwrap(), [harbour("child"), vessel("called"), vessel("grandchild")]);
    assert_eq!(journal.traced(&trace, 2).await.unwrap().len(), 2);
    assert_eq!(journal.prune_traces(Timestamp(1_001), 10).await.unwrap(), 0);
    assert_eq!(journal.prune_traces(Timestamp(i64::MAX), 2).await.unwrap(), 2);
    assert_eq!(journal.traced(&trace, 10).await.unwrap().len(), 1);
}
