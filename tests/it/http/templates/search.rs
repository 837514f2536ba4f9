//! Finding templates, page by page.

use serde_json::{Value, json};

use super::{body, codes, create, delete, update};
use crate::server::{Server, served};

async fn found(server: &Server, query: &str) -> Value {
    server.get(&format!("/templates?{query}")).await.data().clone()
}

async fn catalogue(server: &Server) {
    for (code, name, tags) in [
        ("alps", "100% Panorama", json!(["Travel", "wide_view"])),
        ("beach", "Ärmelkanal", json!(["travel", "sea"])),
        ("city", "Night walk", json!(["traveller", "widexview"])),
    ] {
        let more = json!({ "name": name, "tags": tags, "description": format!("About {code}\\s") });
        create(server, body(code, more)).await.data();
    }
}

#[test]
fn templates_are_found_by_type_tag_and_text_in_either_case() {
    served(async |server| {
        catalogue(&server).await;
        for (query, expected) in [
            ("type=IMAGE", vec!["still"]),
            ("tag=travel", vec!["alps", "beach"]),
            ("tag=TRAVEL&search=panorama", vec!["alps"]),
            ("tag=trav", vec![]),
            ("tag=wide_view", vec!["alps"]),
            ("search=%C3%A4RMEL", vec!["beach"]),
            ("search=100%25", vec!["alps"]),
            ("search=25%25", vec![]),
            ("search=_view", vec!["alps"]),
            ("search=city%5Cs", vec!["city"]),
            ("search=wide", vec!["alps", "city"]),
            ("search=%1Ftravel%1F", vec![]),
            ("type=VIDEO&tag=ai", vec!["film", "lost", "noop"]),
            ("tag=%27%20OR%201=1", vec![]),
        ] {
            let list = found(&server, query).await;
            assert_eq!(codes(&list), expected, "{query}");
            assert_eq!(list["total"], expected.len(), "{query}");
        }
    });
}

#[test]
fn inactive_and_deleted_templates_are_not_listed() {
    served(async |server| {
        catalogue(&server).await;
        update(&server, "alps", json!({ "isActive": false })).await.data();
        delete(&server, "beach").await.data();
        assert_eq!(codes(&found(&server, "").await), ["city", "film", "lost", "noop", "still"]);
        update(&server, "city", json!({ "tags": ["new"], "name": "Another" })).await.data();
        assert_eq!(codes(&found(&server, "tag=traveller").await), [""; 0]);
        assert_eq!(codes(&found(&server, "tag=new&search=another").await), ["city"]);
    });
}

#[test]
fn a_page_leads_to_the_next_and_total_counts_all() {
    served(async |server| {
        let first = found(&server, "limit=2").await;
        assert_eq!(
            (codes(&first), &first["total"], &first["nextCursor"]),
            (vec!["film", "lost"], &json!(4), &json!("lost"))
        );
        let second = found(&server, "limit=2&cursor=lost").await;
        assert_eq!((codes(&second), &second["total"]), (vec!["noop", "still"], &json!(4)));
        assert!(second.get("nextCursor").is_none(), "{second}");
    });
}

#[test]
fn every_list_reads_its_page_by_the_same_rule() {
    served(async |server| {
        for path in [
            "/templates",
            "/templates/executions/user/u",
            "/templates/sync-status",
            "/templates/revisions/film",
            "/ops/actors",
            "/ops/dead",
        ] {
            for limit in ["", "0", "101", "x", "-1", "1.5"] {
                let answer = server.get_as(&server.operator, &format!("{path}?limit={limit}")).await;
                assert_eq!(answer.faults(), ["limit must be a whole number from 1 to 100"], "{path} {limit}");
            }
            for limit in ["1", "100"] {
                server.get_as(&server.operator, &format!("{path}?limit={limit}&cursor=")).await.data();
            }
        }
        for path in ["/templates/executions/user/u", "/templates/revisions/film", "/ops/actors"] {
            let answer = server.get_as(&server.operator, &format!("{path}?cursor=nonsense")).await;
            assert_eq!(answer.faults(), ["cursor is none of ours"], "{path}");
        }
        assert_eq!(server.get("/templates?type=FILM").await.faults(), ["type must be IMAGE or VIDEO"]);
        let long = server.get(&format!("/templates?search={}", "x".repeat(101))).await;
        assert_eq!(long.faults(), ["search must have at most 100 characters"]);
    });
}
