//! A call that is traced is found again: in the journal, and at whoever was called because of it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::crash::service::Service;
use crate::payments::{Bought, does, order};
use crate::providers::double::Replicate;
use crate::providers::{film_of, set_up};
use crate::server::{Guards, guarded, send};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn parent() -> String {
    format!("00-{TRACE}-b7ad6b7169203331-01")
}

/// The ids of the actors that operators find.
fn ids(list: &Value) -> Vec<String> {
    let actors = list["actors"].as_array().unwrap();
    actors.iter().map(|actor| actor["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_provider_hears_of_the_trace_of_the_call_that_made_the_task() {
    let replicate = Replicate::open().await;
    let mut service = Service::sqlite().await;
    set_up(&mut service, &replicate);
    service.start_with_templates().await;
    let caller = &service.caller;
    let traced = caller.request(Method::POST, "/task/traced").header("traceparent", parent());
    let answer = caller.ask(traced.json(&film_of("a cat"))).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("x-trace-id")), (200, TRACE));
    caller.until_completed("traced").await;
    let heads: Vec<String> = replicate.world().arrivals.drain(..).map(|arrival| arrival.head.to_lowercase()).collect();
    assert!(
        !heads.is_empty() && heads.iter().all(|head| head.contains(&format!("traceparent: 00-{TRACE}-"))),
        "{heads:?}"
    );
    caller.make("untraced", &film_of("a dog")).await;
    caller.until_completed("untraced").await;
    let heads: Vec<String> = replicate.world().arrivals.drain(..).map(|arrival| arrival.head.to_lowercase()).collect();
    assert!(!heads.is_empty() && heads.iter().all(|head| !head.contains("traceparent")), "{heads:?}");
    assert_eq!(caller.actor("traced").await["trace"], TRACE);
    assert!(caller.actor("untraced").await["trace"].is_null());
    let found = caller.get(&format!("/ops/actors?trace={TRACE}")).await;
    // The provider's webhook is a call of its own.
    assert_eq!(ids(found.data()), ["task/traced"]);
}

#[test]
fn whoever_is_born_because_of_a_traced_call_has_its_trace() {
    guarded(
        async || Guards::default(),
        async |server| {
            let request = server.request(Method::POST, "/payment/checkout/noop").header("traceparent", parent());
            let bought = Bought::of(&send(request.json(&order())).await);
            does(&server, &bought, "pay").await;
            server.until(&bought.path(), |data| data["status"] == "completed").await;
            let find = format!("/ops/actors?trace={TRACE}");
            let found =
                server.until(&find, |data| data["actors"].as_array().is_some_and(|actors| actors.len() > 2)).await;
            let found = ids(&found);
            // The first payment of a receiver makes its account.
            assert_eq!(found[..2], ["account/platform".to_owned(), format!("payment/{}", bought.id)]);
            assert!(found.len() == 3 && found[2].starts_with("task/"), "{found:?}");
            let kinds = server.get_as(&server.operator, &format!("{find}&kind=task")).await;
            assert_eq!(ids(kinds.data()).len(), 1);
            let nobody =
                server.get_as(&server.operator, &format!("/ops/actors?trace={}", TRACE.replace('0', "1"))).await;
            assert_eq!((ids(nobody.data()).len(), &nobody.data()["total"]), (0, &json!(0)));
            let wrong = server.get_as(&server.operator, "/ops/actors?trace=x").await;
            assert_eq!(wrong.faults(), ["trace must be 32 hexadecimal digits in lower case"]);
        },
    );
}
