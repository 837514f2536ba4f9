//! What customers send, and stills made of it.

use image::ImageFormat::{Jpeg, Png, WebP};
use mixvideo::activity::worker::Limits;
use mixvideo::domain::workflow::Activity;
use serde_json::{Value, json};

use super::{Studio, data_url, encoded, painting};

fn decoded(bytes: &[u8]) -> image::RgbImage {
    image::load_from_memory_with_format(bytes, Jpeg).unwrap().into_rgb8()
}

/// The JPEG with a camera's note that it must be turned: EXIF orientation `value`.
fn turned(jpeg: &[u8], value: u8) -> Vec<u8> {
    let tiff = [b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[value], &[0; 6]].concat();
    let length = (tiff.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &tiff, &jpeg[2..]].concat()
}

#[tokio::test]
async fn each_kind_of_picture_becomes_a_jpeg_working_copy() {
    let studio = Studio::open();
    for format in [Jpeg, Png, WebP] {
        let taken = studio.take(&encoded(&painting(300, 200), format)).await.unwrap();
        let expected = json!({ "file": "work/task_1/picture.jpg", "type": "image/jpeg", "width": 300, "height": 200 });
        assert_eq!(taken, expected, "{format:?}");
        let copy = decoded(&studio.bytes(&taken).await);
        let (left, right) = (copy.get_pixel(5, 100).0, copy.get_pixel(295, 100).0);
        assert!(left[0] < 40 && right[0] > 215, "{format:?}: {left:?} {right:?}");
    }
}

#[tokio::test]
async fn a_picture_is_taken_from_a_file_by_its_digest_and_from_no_other_place() {
    let studio = Studio::open();
    let storage = studio.activities.storage();
    let key = storage.put_input(encoded(&painting(64, 48), Png)).await.unwrap();
    storage.put("results/task_2/image.jpg", encoded(&painting(64, 48), Jpeg)).await.unwrap();
    let source = |source: Value| studio.run("picture", Activity::Picture, json!({ "source": source }));
    assert_eq!(source(json!({ "file": key })).await.unwrap()["width"], 64);
    for wrong in [json!({ "file": "results/task_2/image.jpg" }), json!({}), json!(5), json!(null)] {
        let failure = source(wrong.clone()).await.unwrap_err();
        assert_eq!(failure.code, "step_settings_invalid", "{wrong}");
        assert!(failure.message.contains("`source`"), "{failure}");
    }
    let climbing = source(json!({ "file": "inputs/../results/task_2/image.jpg" })).await.unwrap_err();
    assert_eq!(climbing.code, "file_key_invalid");
    let gone = source(json!({ "file": "inputs/0000" })).await.unwrap_err();
    assert_eq!((gone.code.as_str(), gone.retryable), ("file_not_found", false));
}

#[tokio::test]
async fn a_picture_from_a_turned_camera_is_set_upright() {
    let studio = Studio::open();
    let taken = studio.take(&turned(&encoded(&painting(300, 200), Jpeg), 6)).await.unwrap();
    assert_eq!((&taken["width"], &taken["height"]), (&json!(200), &json!(300)));
    // A quarter turn clockwise: what grew to the right now grows downwards.
    let copy = decoded(&studio.bytes(&taken).await);
    assert!(copy.get_pixel(100, 5).0[0] < 40 && copy.get_pixel(100, 295).0[0] > 215);
}

#[tokio::test]
async fn a_transparent_picture_is_laid_on_white() {
    let studio = Studio::open();
    let clear = image::RgbaImage::from_pixel(32, 32, image::Rgba([0, 0, 0, 0]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    clear.write_to(&mut bytes, Png).unwrap();
    let taken = studio.take(bytes.get_ref()).await.unwrap();
    assert!(decoded(&studio.bytes(&taken).await).pixels().all(|pixel| pixel.0.iter().all(|channel| *channel > 250)));
}

#[tokio::test]
async fn a_large_picture_is_made_smaller_and_the_smallest_is_taken() {
    let studio = Studio::open();
    let taken = studio.take(&encoded(&painting(5000, 1000), Jpeg)).await.unwrap();
    assert_eq!((&taken["width"], &taken["height"]), (&json!(4096), &json!(819)));
    assert_eq!(studio.take(&encoded(&painting(1, 1), Png)).await.unwrap()["width"], 1);
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_for_good_with_its_reason() {
    let studio = Studio::open();
    let whole = encoded(&painting(300, 200), Png);
    let mut bomb = whole[..33].to_vec();
    bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let mut garbage = whole.clone();
    garbage[60..].fill(0x55);
    let jpeg = encoded(&painting(300, 200), Jpeg);
    for (bytes, code) in [
        (bomb.as_slice(), "picture_too_many_pixels"),
        (&whole[..whole.len() / 2], "picture_damaged"),
        (&garbage, "picture_damaged"),
        (&jpeg[..100], "picture_damaged"),
        (b"PK\x03\x04 not a picture", "picture_kind_unsupported"),
        (&vec![0xff; 10_000_001], "picture_too_large"),
    ] {
        let failure = studio.take(bytes).await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retryable), (code, false), "{failure}");
    }
    for (source, code) in [
        ("data:image/png;base64,@@", "data_url_malformed"),
        ("http://10.0.0.1/a.png", "link_address_refused"),
        ("a.png", "link_malformed"),
    ] {
        let failure = studio.run("picture", Activity::Picture, json!({ "source": source })).await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retryable), (code, false), "{failure}");
    }
    assert_eq!(studio.files("scratch"), [""; 0], "a worker's directory was left behind");
}

#[tokio::test]
async fn a_quarter_of_the_most_pixels_fits_a_quarter_of_a_workers_memory() {
    let whole = Limits::default();
    let studio = Studio::within(Limits { memory_bytes: whole.memory_bytes / 4, ..whole });
    // One colour of 16 bits and transparency: the largest a decoder has to hold, in few bytes.
    let picture = image::ImageBuffer::from_pixel(5_000, 2_500, image::Rgba([30_000_u16, 20_000, 10_000, 65_535]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::DynamicImage::ImageRgba16(picture).write_to(&mut bytes, Png).unwrap();
    let taken = studio.take(bytes.get_ref()).await.unwrap();
    assert_eq!((&taken["width"], &taken["height"]), (&json!(4096), &json!(2048)));
}

#[tokio::test]
async fn each_style_makes_its_own_picture_of_the_size_asked_for() {
    let studio = Studio::open();
    let picture = studio.take(&encoded(&painting(400, 300), Jpeg)).await.unwrap();
    let mut seen = Vec::new();
    for style in ["poster", "sepia", "mono", "vivid"] {
        let with = json!({ "picture": picture["file"], "style": style, "width": 320, "height": 320 });
        let made = studio.run(style, Activity::Image, with).await.unwrap();
        assert_eq!(made["file"], format!("work/task_1/{style}.jpg"));
        let bytes = studio.bytes(&made).await;
        assert_eq!(decoded(&bytes).dimensions(), (320, 320));
        assert!(!seen.contains(&bytes), "{style} looks like another style");
        seen.push(bytes);
    }
    let wrong = studio.run("image", Activity::Image, json!({ "picture": picture["file"], "style": "cubist" })).await;
    let failure = wrong.unwrap_err();
    assert!(failure.message.contains("`style`") && failure.message.contains("poster"), "{failure}");
}

#[tokio::test]
async fn a_step_that_runs_twice_gives_the_same_and_leaves_one_file() {
    let studio = Studio::open();
    let source = data_url(&encoded(&painting(400, 300), Jpeg));
    let mut before = Vec::new();
    for _ in 0..2 {
        let picture = studio.run("picture", Activity::Picture, json!({ "source": source })).await.unwrap();
        let with = json!({ "picture": picture["file"], "style": "poster" });
        let image = studio.run("image", Activity::Image, with).await.unwrap();
        let with = json!({ "file": image["file"], "kind": "image" });
        let stored = studio.run("store", Activity::Store, with).await.unwrap();
        let bytes = studio.bytes(&stored).await;
        assert_eq!(stored["bytes"], bytes.len());
        let now = vec![picture.to_string(), image.to_string(), stored.to_string(), format!("{bytes:?}")];
        assert!(before.is_empty() || before == now, "the second run differs");
        before = now;
    }
    let expected = ["files/results/task_1/image.jpg", "files/work/task_1/image.jpg", "files/work/task_1/picture.jpg"];
    assert_eq!(studio.files("files"), expected);
}
