//! Pictures that come as links: fetched by the step, durably, and never from a private place.

use serde_json::{Value, json};

use super::service::{SMALL_FILM, Service, data_url, png};
use crate::site::{Site, file, status};

fn film_of(link: &str) -> Value {
    json!({ "type": "video_generation", "templateCode": "photo-to-video", "parameters": { "imageUrl": link } })
}

/// A server that may fetch from `site`.
async fn service(site: &Site) -> Service {
    let mut service = Service::sqlite().await;
    service.define("film.toml", SMALL_FILM);
    service.set("FETCH__ALLOW_HOSTS", site.address);
    // A proxy that is not there: whom links lead to is not for the environment to say.
    for name in ["http_proxy", "all_proxy"] {
        service.tell(name, "http://127.0.0.1:9");
    }
    service.start_with_templates().await;
    service
}

#[tokio::test]
async fn a_picture_behind_a_link_becomes_a_video() {
    let site =
        Site::open(|_, path| if path == "/moved" { status("302 Found\r\nLocation: /a.png") } else { file(&png()) })
            .await;
    let service = service(&site).await;
    let caller = &service.caller;
    caller.make("film", &film_of(&site.link("/moved"))).await;
    caller.until_completed("film").await;
    caller.assert_playable("film").await;
    assert_eq!(site.asked(), 2);
    let kept = caller.actor("film").await["state"]["request"]["parameters"]["imageUrl"].clone();
    assert_eq!(kept, site.link("/moved"));
}

#[tokio::test]
async fn a_link_that_gives_no_picture_fails_its_task_with_a_sentence() {
    let mut huge = png();
    // The sides in a PNG's header.
    huge[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let site = Site::open(move |_, path| match path {
        "/private" => status("302 Found\r\nLocation: http://127.0.0.2/a.png"),
        "/page" => file(b"<!doctype html>"),
        "/huge" => file(&huge),
        "/large" => file(&vec![0; 10_000_001]),
        _ => status("404 Not Found"),
    })
    .await;
    let service = service(&site).await;
    let caller = &service.caller;
    let links = [
        ("localhost", "http://localhost/a.png".to_owned(), "link_address_refused", "not on the public internet"),
        ("private", site.link("/private"), "link_address_refused", "not on the public internet"),
        ("missing", site.link("/missing"), "link_not_found", "answered 404 Not Found"),
        ("page", site.link("/page"), "picture_kind_unsupported", "send a picture as JPEG, PNG or WebP"),
        ("huge", site.link("/huge"), "picture_too_many_pixels", "60000 x 60000 pixels"),
        ("large", site.link("/large"), "picture_too_large", "more than 10 MB"),
    ];
    for (id, link, _, _) in &links {
        caller.make(id, &film_of(link)).await;
    }
    for (id, _, code, sentence) in links {
        let task = caller.until_task(id, |task| task["status"] == "failed").await;
        assert_eq!(task["error"]["code"], code, "{task}");
        assert!(task["error"]["message"].as_str().unwrap().contains(sentence), "{task}");
    }
    assert_eq!(site.asked(), 5);
}

#[tokio::test]
async fn a_site_that_is_down_is_asked_again() {
    let site = Site::open(
        |asked, _| {
            if asked == 0 { status("503 Service Unavailable\r\nRetry-After: 0") } else { file(&png()) }
        },
    )
    .await;
    let service = service(&site).await;
    service.caller.make("film", &film_of(&site.link("/a.png"))).await;
    service.caller.until_completed("film").await;
    assert_eq!(site.asked(), 2);
}

#[tokio::test]
async fn pictures_of_all_origins_become_one_video() {
    let site = Site::open(|_, _| file(&png())).await;
    let service = service(&site).await;
    let caller = &service.caller;
    let pictures = json!([site.link("/a.png"), data_url(&png()), site.link("/b.png")]);
    let parameters = json!({ "pictures": pictures, "seconds": 1, "transition": "slide" });
    let body = json!({ "type": "video_generation", "templateCode": "photos-to-video", "parameters": parameters });
    caller.make("show", &body).await;
    caller.until_completed("show").await;
    caller.assert_playable("show").await;
    assert_eq!(site.asked(), 2);
}
