//! Results under links that end by themselves.

use reqwest::Method;

use crate::server::{FILM, Server, send, served};

/// A link to a result, without the server's address.
async fn link(server: &Server) -> String {
    let task = server.make("film-1", "film", "completed").await;
    let url = task["result"]["videoUrl"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(&server.base).unwrap_or_else(|| panic!("{url} is not absolute"));
    assert!(path.starts_with("/files/"), "{path}");
    path.to_owned()
}

#[test]
fn a_result_is_read_without_a_key_by_whoever_has_the_link() {
    served(async |server| {
        let path = link(&server).await;
        let response = server.bare(Method::GET, &path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "video/mp4");
        assert_eq!(response.headers()["content-length"], "10");
        assert_eq!(response.headers()["accept-ranges"], "bytes");
        assert_eq!(response.bytes().await.unwrap(), FILM);
        let head = send(server.bare(Method::HEAD, &path)).await;
        assert_eq!((head.status.as_u16(), head.header("content-length")), (200, "10"));
    });
}

#[test]
fn a_range_is_answered_as_players_ask_for_it() {
    served(async |server| {
        let path = link(&server).await;
        for (range, status, content_range, text) in [
            ("bytes=0-3", 206, "bytes 0-3/10", "0123"),
            ("bytes=7-", 206, "bytes 7-9/10", "789"),
            ("bytes=-2", 206, "bytes 8-9/10", "89"),
            ("bytes=0-1,3-4", 200, "", "0123456789"),
            ("lines=0-1", 200, "", "0123456789"),
        ] {
            let response = server.bare(Method::GET, &path).header("range", range).send().await.unwrap();
            assert_eq!(response.status(), status, "{range}");
            let shown = response.headers().get("content-range").map_or("", |value| value.to_str().unwrap()).to_owned();
            assert_eq!(shown, content_range);
            assert_eq!(response.text().await.unwrap(), text, "{range}");
        }
        let outside = send(server.bare(Method::GET, &path).header("range", "bytes=10-")).await;
        assert_eq!((outside.status.as_u16(), outside.header("content-range")), (416, "bytes */10"));
    });
}

#[test]
fn a_changed_link_opens_nothing_and_says_so() {
    served(async |server| {
        let path = link(&server).await;
        let get = |path: String| send(server.bare(Method::GET, Box::leak(path.into_boxed_str())));
        assert_eq!(get(path.replace("film-1", "film-2")).await.status, 403);
        assert_eq!(get(path.replace("video.mp4", "video.jpg")).await.status, 403);
        assert_eq!(get("/files/1/AA/results/film-1/video.mp4".into()).await.status, 403);
        assert_eq!(get("/files/x/AA/a".into()).await.status, 404);
        let (expires, rest) = path.strip_prefix("/files/").unwrap().split_once('/').unwrap();
        let later = expires.parse::<u64>().unwrap() + 1;
        assert_eq!(get(format!("/files/{later}/{rest}")).await.status, 403);
    });
}

#[test]
fn an_expired_link_and_a_missing_file_say_so() {
    use mixvideo::activity::signed_url::sign;
    use mixvideo::domain::Timestamp;
    served(async |server| {
        link(&server).await;
        let expired =
            send(server.bare(Method::GET, &sign(&[7; 32], "results/film-1/video.mp4", Timestamp(1_000)))).await;
        assert_eq!(expired.status, 403);
        assert!(expired.message().contains("expired"), "{}", expired.body);
        let later = Timestamp(32_000_000_000_000);
        let missing = send(server.bare(Method::GET, &sign(&[7; 32], "results/none/video.mp4", later))).await;
        assert_eq!(missing.status, 404);
    });
}
