//! The templates that come with the product, each run once as a customer would.

use std::path::Path;

use serde_json::{Value, json};

use super::films::probe;
use crate::crash::service::{Caller, Service, data_url, png};

/// A task that follows the template, as short as it can be; its id is the template's code.
async fn run(caller: &Caller, template: &Value) {
    let picture = data_url(&png());
    let mut parameters = match template["workflow"].as_str().unwrap() {
        "slideshow-workflow" => json!({ "pictures": [picture, picture] }),
        _ => json!({ "imageUrl": picture }),
    };
    if template["settings"].get("seconds").is_some() {
        parameters["seconds"] = json!(1);
    }
    let kind = if template["templateType"] == "VIDEO" { "video_generation" } else { "image_generation" };
    let code = template["code"].as_str().unwrap();
    caller.make(code, &json!({ "type": kind, "templateCode": code, "parameters": parameters })).await;
}

/// The size of what a link leads to, in pixels.
async fn size(link: &str, directory: &Path) -> (u64, u64) {
    let bytes = reqwest::get(link).await.unwrap().bytes().await.unwrap();
    if link.contains("image") {
        let picture = image::load_from_memory(&bytes).unwrap();
        return (picture.width().into(), picture.height().into());
    }
    let film = directory.join("film.mp4");
    std::fs::write(&film, bytes).unwrap();
    let found = probe(&film);
    let stream = &found["streams"][0];
    (stream["width"].as_u64().unwrap(), stream["height"].as_u64().unwrap())
}

#[tokio::test]
async fn every_bundled_template_that_is_offered_makes_what_it_says() {
    let mut service = Service::sqlite().await;
    service.start_with_templates().await;
    let caller = service.caller.clone();
    let list = caller.get("/templates?limit=100").await;
    let codes = list.data()["templates"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap());
    let codes: Vec<&str> = codes.filter(|code| *code != "noop").collect();
    assert!(codes.len() >= 9, "{codes:?}");
    let mut templates = Vec::new();
    for code in codes {
        let template = caller.get(&format!("/templates/get/{code}")).await.data().clone();
        run(&caller, &template).await;
        templates.push(template);
    }
    let directory = tempfile::tempdir().unwrap();
    for template in templates {
        let code = template["code"].as_str().unwrap();
        let result = caller.until_completed(code).await["result"].clone();
        let name = if template["templateType"] == "VIDEO" { "videoUrl" } else { "imageUrl" };
        let made = size(result[name].as_str().unwrap_or_else(|| panic!("{code}: {result}")), directory.path()).await;
        let expected = match (template["settings"]["format"].as_str(), name) {
            (Some("portrait"), _) => (720, 1280),
            (Some("square"), _) => (1080, 1080),
            (None, "videoUrl") => (1280, 720),
            _ if code == "square-avatar" => (512, 512),
            // As large as the picture that was sent, and as small as results get.
            _ => (64, 64),
        };
        assert_eq!(made, expected, "{code}");
    }
}
