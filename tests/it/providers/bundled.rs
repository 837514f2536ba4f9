//! The bundled templates that need a provider: offered once it is configured, and making what they say.

use serde_json::{Value, json};

use super::aimock::{Aimock, pictures};
use super::double::{Replicate, film};
use super::{KEY, SECRET};
use crate::crash::service::{Service, data_url, png};
use crate::site::{Site, file};

const CODES: [&str; 4] = ["ai-picture", "ai-picture-storybook", "ai-video", "ai-living-photo"];

#[tokio::test]
async fn templates_wait_for_their_providers_and_then_make_what_they_say() {
    let replicate = Replicate::open().await;
    let site = Site::open(|_, _| file(&film())).await;
    let video = json!({ "id": "video_1", "status": "completed", "url": site.link("/film.mp4") });
    let videos = json!([{ "match": { "userMessage": "cat" }, "response": { "video": video } }]);
    let (painter, filmer) = (Aimock::start(pictures()).await, Aimock::start(videos).await);

    let mut service = Service::sqlite().await;
    service.start_with_templates().await;
    for code in CODES {
        let found = service.caller.get(&format!("/templates/get/{code}")).await;
        assert_eq!(found.data()["isActive"], false, "{code}");
    }
    service.terminate().await;

    for (name, preset, base) in [
        ("OPENAI_IMAGES", "openai_images", format!("{}/v1", painter.base)),
        ("OPENAI_VIDEOS", "openai_videos", format!("{}/v1", filmer.base)),
        ("REPLICATE", "replicate", replicate.base()),
    ] {
        service.set(format!("PROVIDERS__{name}__PRESET"), preset);
        service.set(format!("PROVIDERS__{name}__BASE_URL"), base);
        service.set(format!("PROVIDERS__{name}__MODEL"), "owner/own");
        service.set(format!("PROVIDERS__{name}__KEY_ENV"), "PROVIDER_KEY");
        service.set(format!("PROVIDERS__{name}__POLL_MS"), 20);
    }
    service.set("PROVIDERS__REPLICATE__WEBHOOK_SECRET_ENV", "PROVIDER_SECRET");
    service.set("FETCH__ALLOW_HOSTS", format!("{},{}", replicate.address, site.address));
    service.tell("PROVIDER_KEY", KEY);
    service.tell("PROVIDER_SECRET", SECRET);
    service.start().await;
    for code in CODES {
        let caller = &service.caller;
        let activated = caller.ask(caller.request(reqwest::Method::POST, &format!("/templates/activate/{code}"))).await;
        assert_eq!(activated.unwrap().data()["isActive"], true, "{code}");
        let template = caller.get(&format!("/templates/get/{code}")).await.data().clone();
        let kind = if template["templateType"] == "VIDEO" { "video_generation" } else { "image_generation" };
        let parameters = json!({ "prompt": "a cat", "imageUrl": data_url(&png()) });
        caller.make(code, &json!({ "type": kind, "templateCode": code, "parameters": parameters })).await;
        let result = &caller.until_completed(code).await["result"];
        let name = if kind == "video_generation" { "videoUrl" } else { "imageUrl" };
        assert!(result[name].is_string(), "{code}: {result}");
    }
    let asked: Value = serde_json::from_slice(&replicate.world().arrivals[0].body).unwrap();
    assert_eq!(asked["version"], "owner/own");
    let prompt = asked["input"]["prompt"].as_str().unwrap();
    assert!(prompt.starts_with("The photo comes to life") && prompt.ends_with("a cat"), "{prompt}");
}

#[tokio::test]
async fn a_template_chooses_the_model_and_a_customer_does_not() {
    let replicate = Replicate::open().await;
    let mut service = super::service(&replicate).await;
    let definition = super::FILM
        .replace("[[steps]]\nname = \"film\"", "[parameters.model]\nkind = \"text\"\n\n[[steps]]\nname = \"film\"");
    service.define(
        "film.toml",
        &definition.replace("provider = \"films\",", "provider = \"films\", model = \"{parameters.model}\","),
    );
    service.start().await;
    let template = json!({
        "code": "film", "name": "Film", "description": "A film", "workflow": "video-generation-workflow",
        "creditCost": 1, "version": "1.0.0", "templateType": "VIDEO", "tags": [], "videoModel": "owner/other"
    });
    let caller = &service.caller;
    let post = |path: &str, body: &Value| caller.ask(caller.request(reqwest::Method::POST, path).json(body));
    assert_eq!(post("/templates", &template).await.unwrap().status, 200);
    let mut task = json!({ "type": "video_generation", "templateCode": "film", "parameters": { "prompt": "a cat" } });
    caller.make("film", &task).await;
    caller.until_completed("film").await;
    let asked: Value = serde_json::from_slice(&replicate.world().arrivals[0].body).unwrap();
    assert_eq!(asked["version"], "owner/other");
    task["parameters"]["model"] = json!("owner/dear");
    let refused = post("/task/dear", &task).await.unwrap();
    assert_eq!((refused.status.as_u16(), &refused.body["errors"][0]["field"]), (400, &json!("parameters.model")));
}
