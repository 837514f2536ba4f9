//! Money that is held: an operator executes it anyway, or gives it back, once.

use mixvideo::gateway::webhook::WEBHOOK_PATH;
use serde_json::{Value, json};

use super::{Bought, actor, buy, event, quiet, session_of, tasks, tell};
use crate::server::{Server, served};
use crate::stripe::double::Double;
use crate::stripe::selling;

/// A payment of which 9.99 came instead of 10.00.
async fn held(server: &Server, double: &Double) -> Bought {
    let bought = buy(server, "noop").await;
    {
        let mut world = double.world();
        world.set(&bought.session, "amount_total", json!(999));
        world.pay(&bought.session);
    }
    double.tell(&format!("{}{WEBHOOK_PATH}", server.base)).await;
    server.until(&bought.path(), |data| data["attention"] == true).await;
    bought
}

fn order(bought: &Bought, what: &str) -> String {
    format!("/ops/payments/{}/{what}", bought.id)
}

#[test]
fn what_is_held_is_executed_when_an_operator_says_so_and_that_is_audited() {
    selling(async |server, double| {
        let bought = held(&server, &double).await;
        assert_eq!(server.post(&order(&bought, "release"), json!({})).await.status, 403);
        let released = server.post_as(&server.operator, &order(&bought, "release"), json!({})).await;
        assert_eq!((&released.data()["status"], &released.data()["attention"]), (&json!("completed"), &json!(false)));
        let task = released.data()["taskId"].as_str().unwrap().to_owned();
        server.until(&format!("/task/{task}"), |data| data["status"] == "completed").await;
        for what in ["release", "give-back"] {
            let again = server.post_as(&server.operator, &order(&bought, what), json!({})).await;
            assert_eq!(again.status, 409, "{what}: {}", again.body);
            assert!(again.message().contains("only money that is held"), "{}", again.body);
        }
        quiet(&server).await;
        assert_eq!((tasks(&server).await, double.world().all("refund").len()), (1, 0));
        let audit = server.get_as(&server.operator, "/ops/audit").await;
        let actions = audit.data()["actions"].as_array().unwrap();
        let done: Vec<(&Value, &Value)> = actions.iter().map(|row| (&row["action"], &row["status"])).collect();
        let release = json!(format!("POST {}", order(&bought, "release")));
        assert!(done.contains(&(&release, &json!(200))) && done.contains(&(&release, &json!(409))), "{done:?}");
    });
}

#[test]
fn what_is_held_goes_back_when_an_operator_says_so_and_nothing_is_executed() {
    selling(async |server, double| {
        let bought = held(&server, &double).await;
        let back = server.post_as(&server.operator, &order(&bought, "give-back"), json!({})).await;
        assert_eq!((back.message(), &back.data()["attention"]), ("Payment goes back", &json!(false)));
        double.tell(&format!("{}{WEBHOOK_PATH}", server.base)).await;
        let shown = server.until(&bought.path(), |data| data["status"] == "refunded").await;
        assert_eq!((&shown["refundedAmount"], &shown["executionId"]), (&json!(999), &Value::Null));
        let again = server.post_as(&server.operator, &order(&bought, "release"), json!({})).await;
        assert_eq!(again.status, 409, "{}", again.body);
        quiet(&server).await;
        let refunds = double.world().all("refund");
        assert_eq!((refunds.len(), &refunds[0]["amount"], tasks(&server).await), (1, &json!(999), 0));
        assert_eq!(actor(&server, "payment", &bought.id).await["state"]["amounts"]["reserved"], 0);
    });
}

#[test]
fn money_of_another_currency_can_be_executed_and_not_given_back_from_here() {
    served(async |server| {
        let bought = buy(&server, "noop").await;
        let mut object = session_of(&bought, "complete", "paid");
        object["currency"] = json!("eur");
        tell(&server, &event("evt_1", "checkout.session.completed", object)).await.data_free();
        server.until(&bought.path(), |data| data["attention"] == true).await;
        let back = server.post_as(&server.operator, &order(&bought, "give-back"), json!({})).await;
        assert_eq!(back.status, 409);
        assert!(back.message().contains("refund it there"), "{}", back.body);
        server.post_as(&server.operator, &order(&bought, "release"), json!({})).await.data();
        server.until(&bought.path(), |data| data["status"] == "completed").await;
        for what in ["release", "give-back"] {
            let none = server.post_as(&server.operator, &format!("/ops/payments/pay_x/{what}"), json!({})).await;
            assert_eq!(none.status, 404, "{what}");
        }
    });
}
