//! Videos, looked at with ffprobe and ffmpeg (Debian's package `ffmpeg`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use image::ImageFormat::Jpeg;
use mixvideo::domain::workflow::Activity;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Studio, call, data_url, encoded, painting};

fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| {
        panic!("this test needs {program}: apt-get install -y --no-install-recommends ffmpeg ({error})")
    });
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What ffprobe says of a film.
pub fn probe(film: &Path) -> Value {
    let arguments = ["-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json"];
    serde_json::from_slice(&run("ffprobe", &[&arguments[..], &[film.to_str().unwrap()]].concat())).unwrap()
}

/// The brightness of every pixel of the film, frame after frame.
fn brightness(film: &Path) -> Vec<u8> {
    let film = film.to_str().unwrap();
    run("ffmpeg", &["-v", "error", "-i", film, "-f", "rawvideo", "-pix_fmt", "gray", "pipe:1"])
}

/// How much two frames differ, in steps of brightness a pixel.
fn difference(one: &[u8], other: &[u8]) -> f64 {
    let sum: u64 = one.iter().zip(other).map(|(one, other)| u64::from(one.abs_diff(*other))).sum();
    sum as f64 / one.len() as f64
}

/// A film of the painting, as the step leaves it.
async fn film(studio: &Studio, mut with: Value) -> (Value, PathBuf) {
    let picture = studio.take(&encoded(&painting(800, 600), Jpeg)).await.unwrap();
    with["picture"] = picture["file"].clone();
    let made = studio.run("render", Activity::Render, with).await.unwrap();
    let path = studio.directory.path().join("files").join(made["file"].as_str().unwrap());
    (made, path)
}

#[tokio::test]
async fn a_picture_becomes_an_mp4_that_players_accept() {
    let studio = Studio::open();
    let (made, path) = film(&studio, json!({ "seconds": 1, "fps": 15 })).await;
    let expected = json!({ "file": "work/task_1/render.mp4", "type": "video/mp4", "seconds": 1.0, "frames": 15 });
    assert_eq!(made, expected);
    let found = probe(&path);
    let stream = &found["streams"][0];
    assert_eq!(found["streams"].as_array().unwrap().len(), 1);
    for (key, value) in [
        ("codec_name", json!("h264")),
        ("profile", json!("High")),
        ("width", json!(1280)),
        ("height", json!(720)),
        ("pix_fmt", json!("yuv420p")),
        ("color_space", json!("bt709")),
        ("r_frame_rate", json!("15/1")),
        ("nb_read_frames", json!("15")),
    ] {
        assert_eq!(stream[key], value, "{key} of {stream}");
    }
    let seconds: f64 = found["format"]["duration"].as_str().unwrap().parse().unwrap();
    assert!((seconds - 1.0).abs() < 0.05, "{seconds} s");
    // Fast start: the index comes before the frames.
    let bytes = std::fs::read(&path).unwrap();
    let place = |name: &[u8]| bytes.windows(4).position(|window| window == name).unwrap();
    assert!(place(b"moov") < place(b"mdat"));
}

#[tokio::test]
async fn the_camera_moves_smoothly_from_first_to_last_frame() {
    let studio = Studio::open();
    for movement in ["zoom_in", "zoom_out", "pan_left", "pan_right", "pan_up", "pan_down"] {
        let with = json!({ "seconds": 1, "width": 320, "height": 180, "move": movement });
        let (_, path) = film(&studio, with).await;
        let all = brightness(&path);
        let frames: Vec<&[u8]> = all.chunks_exact(320 * 180).collect();
        assert_eq!(frames.len(), 30, "{movement}");
        let whole = difference(frames[0], frames[29]);
        assert!(whole > 4.0, "{movement}: first and last frame differ by {whole:.2} only");
        let jolt = frames.windows(2).map(|pair| difference(pair[0], pair[1])).fold(0.0, f64::max);
        assert!(jolt < 8.0, "{movement}: a jump of {jolt:.2} between two frames");
    }
}

#[tokio::test]
async fn an_upright_film_and_the_smallest_picture_work() {
    let studio = Studio::open();
    let (_, path) = film(&studio, json!({ "seconds": 1, "fps": 10, "width": 180, "height": 320 })).await;
    assert_eq!(probe(&path)["streams"][0]["height"], 320);
    let picture = studio.take(&encoded(&painting(1, 1), Jpeg)).await.unwrap();
    let with = json!({ "picture": picture["file"], "seconds": 1, "fps": 10, "width": 64, "height": 64 });
    assert_eq!(studio.run("render", Activity::Render, with).await.unwrap()["frames"], 10);
}

#[tokio::test]
async fn progress_grows_to_the_end_and_the_same_step_gives_the_same_film() {
    let studio = Studio::open();
    let (_, path) = film(&studio, json!({ "seconds": 1, "width": 320, "height": 180 })).await;
    let first = std::fs::read(&path).unwrap();
    let heard = Mutex::new(Vec::new());
    let with = json!({ "picture": "work/task_1/picture.jpg", "seconds": 1, "width": 320, "height": 180 });
    let hear = |part| heard.lock().unwrap().push(part);
    let again = call("render", Activity::Render, with);
    studio.activities.run(&again, &hear, &CancellationToken::new()).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), first);
    let heard = heard.into_inner().unwrap();
    assert_eq!(heard.len(), 30);
    assert!(heard.is_sorted() && heard.last() == Some(&1.0), "{heard:?}");
    assert_eq!(studio.files("files"), ["files/work/task_1/picture.jpg", "files/work/task_1/render.mp4"]);
}

#[tokio::test]
async fn a_film_is_published_under_the_tasks_results() {
    let studio = Studio::open();
    let (made, _) = film(&studio, json!({ "seconds": 1, "fps": 10, "width": 64, "height": 64 })).await;
    let with = json!({ "file": made["file"], "kind": "video" });
    let stored = studio.run("store", Activity::Store, with).await.unwrap();
    let size = studio.bytes(&made).await.len();
    let expected = json!({ "kind": "video", "file": "results/task_1/video.mp4", "type": "video/mp4", "bytes": size });
    assert_eq!(stored, expected);
    let wrong = studio.run("store", Activity::Store, json!({ "file": made["file"], "kind": "image" })).await;
    assert!(wrong.unwrap_err().message.contains("`file`"));
}

#[tokio::test]
async fn settings_out_of_bounds_are_refused_by_name() {
    let studio = Studio::open();
    for (key, value) in [
        ("seconds", json!(31)),
        ("seconds", json!(0)),
        ("fps", json!(61)),
        ("width", json!(1281)),
        ("height", json!(4000)),
        ("move", json!("spin")),
        ("picture", json!("work/task_2/picture.jpg")),
        ("picture", json!(null)),
        ("speed", json!(1)),
    ] {
        let mut with = json!({ "picture": "work/task_1/picture.jpg" });
        with[key] = value.clone();
        let failure = studio.run("render", Activity::Render, with).await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retryable), ("step_settings_invalid", false), "{key} {value}");
        assert!(failure.message.contains(&format!("`{key}`")), "{failure}");
    }
    let large = json!({ "picture": "work/task_1/picture.jpg", "width": 1920, "height": 1920 });
    assert!(studio.run("render", Activity::Render, large).await.unwrap_err().message.contains("1920 x 1080"));
}

/// A picture of one colour.
fn plain(colour: [u8; 3]) -> Vec<u8> {
    encoded(&image::RgbImage::from_pixel(400, 300, image::Rgb(colour)), Jpeg)
}

/// The frame at `seconds`, as rows of red, green and blue.
fn frame_at(film: &Path, seconds: f64) -> image::RgbImage {
    let (film, seconds) = (film.to_str().unwrap(), seconds.to_string());
    let arguments =
        ["-v", "error", "-ss", &seconds, "-i", film, "-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "-"];
    image::load_from_memory(&run("ffmpeg", &arguments)).unwrap().into_rgb8()
}

/// Which of red (0), green (1) and blue (2) a pixel shows, if it shows one alone.
fn shown(frame: &image::RgbImage, x: u32) -> Option<usize> {
    let pixel = frame.get_pixel(x, frame.height() / 2).0;
    (0..3).find(|channel| (0..3).all(|other| if other == *channel { pixel[other] > 200 } else { pixel[other] < 60 }))
}

/// Three pictures, red, green and blue, each for 2 s, half a second of which it shares with its neighbour.
async fn three(studio: &Studio, transition: &str) -> (Value, PathBuf) {
    let sources = [[255, 0, 0], [0, 255, 0], [0, 0, 255]].map(|colour| data_url(&plain(colour)));
    let taken = studio.run("pictures", Activity::Picture, json!({ "source": sources })).await.unwrap();
    let files: Vec<String> = (1..=3).map(|number| format!("work/task_1/pictures-{number}.jpg")).collect();
    assert_eq!(taken, json!({ "files": files, "type": "image/jpeg" }));
    let with = json!({ "picture": taken["files"], "seconds": 2, "fps": 20, "width": 320, "height": 180,
        "transition": transition, "transition_ms": 500 });
    let made = studio.run("render", Activity::Render, with).await.unwrap();
    let path = studio.directory.path().join("files").join(made["file"].as_str().unwrap());
    (made, path)
}

#[tokio::test]
async fn several_pictures_follow_one_another_in_one_film() {
    let studio = Studio::open();
    for transition in ["fade", "slide"] {
        let (made, path) = three(&studio, transition).await;
        let expected = json!({ "file": "work/task_1/render.mp4", "type": "video/mp4", "seconds": 5.0, "frames": 100 });
        assert_eq!(made, expected);
        let found = probe(&path);
        assert_eq!(found["streams"][0]["codec_name"], "h264");
        assert_eq!(found["streams"][0]["nb_read_frames"], "100");
        let seconds: f64 = found["format"]["duration"].as_str().unwrap().parse().unwrap();
        assert!((seconds - 5.0).abs() < 0.05, "{transition}: {seconds} s");
        // Each begins 1.5 s after the one before it, and is there alone half a second later.
        for (at, colour) in [(0.0, 0), (1.4, 0), (2.1, 1), (2.9, 1), (3.6, 2), (4.9, 2)] {
            let frame = frame_at(&path, at);
            for x in [8, 160, 312] {
                assert_eq!(shown(&frame, x), Some(colour), "{transition} at {at} s, column {x}");
            }
        }
        let between = frame_at(&path, 1.75);
        let seen = [8, 160, 312].map(|x| shown(&between, x));
        match transition {
            "fade" => assert_eq!(seen, [None; 3], "half way both shine through"),
            _ => assert_eq!((seen[0], seen[2]), (Some(0), Some(1)), "half way both are side by side"),
        }
    }
}

#[tokio::test]
async fn a_film_of_several_pictures_tells_its_progress_and_is_the_same_again() {
    let studio = Studio::open();
    let (_, path) = three(&studio, "fade").await;
    let first = std::fs::read(&path).unwrap();
    three(&studio, "fade").await;
    assert_eq!(std::fs::read(&path).unwrap(), first);
    let heard = Mutex::new(Vec::new());
    let hear = |part| heard.lock().unwrap().push(part);
    let sources = [plain([9, 9, 9]), plain([99, 99, 99])].map(|picture| data_url(&picture));
    let take = call("pictures", Activity::Picture, json!({ "source": sources }));
    studio.activities.run(&take, &hear, &CancellationToken::new()).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), [0.5, 1.0]);
    assert_eq!(studio.files("scratch"), [""; 0], "a worker's directory was left behind");
}

#[tokio::test]
async fn one_bad_picture_among_several_is_named_by_its_number() {
    let studio = Studio::open();
    let sources = json!([data_url(&plain([0; 3])), data_url(b"%PDF-1.7")]);
    let failure = studio.run("pictures", Activity::Picture, json!({ "source": sources })).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retryable), ("picture_kind_unsupported", false));
    assert!(failure.message.starts_with("picture 2 of 2: this is a PDF"), "{failure}");
    for source in [json!([]), json!(vec![data_url(&plain([0; 3])); 21])] {
        let failure = studio.run("pictures", Activity::Picture, json!({ "source": source })).await.unwrap_err();
        assert_eq!(failure.code, "step_settings_invalid");
    }
}

#[tokio::test]
async fn a_film_of_too_much_is_refused_before_anything_is_read() {
    let studio = Studio::open();
    let files = |count: usize| vec!["work/task_1/picture.jpg"; count];
    for (with, word) in [
        (json!({ "picture": files(21) }), "up to 20"),
        (json!({ "picture": [] }), "up to 20"),
        (json!({ "picture": ["work/task_1/a.jpg", "work/task_2/a.jpg"] }), "up to 20"),
        (json!({ "picture": files(5), "seconds": 25 }), "5 pictures make a film of at most 120 s"),
        (json!({ "picture": files(2), "transition": "explode" }), "one of fade, slide"),
        (json!({ "picture": files(2), "transition_ms": -1 }), "a whole number from 0"),
    ] {
        let failure = studio.run("render", Activity::Render, with.clone()).await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retryable), ("step_settings_invalid", false), "{with}");
        assert!(failure.message.contains(word), "{failure}");
    }
}
