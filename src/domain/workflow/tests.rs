//! Each fault of a definition by its message, and what a checked one gives.

use serde_json::{Map, Value, json};

use super::*;

const VIDEO: &str = BUNDLED[0].1;
const IMAGE: &str = BUNDLED[1].1;
const SLIDESHOW: &str = BUNDLED[4].1;
const NOOP: &str = BUNDLED[2].1;

pub const HEAD: &str = "name = \"w\"\ndescription = \"d\"\nproduces = \"nothing\"\n";

pub fn parse(source: &str) -> Result<Definition, InvalidDefinition> {
    Definition::parse("w.toml", source)
}

/// The faults of a whole text, one line each.
pub fn faults_of(source: &str) -> Vec<String> {
    match parse(source) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.faults.iter().map(ToString::to_string).collect(),
    }
}

/// The faults of a definition whose head is in order and whose rest is `body`.
pub fn faults(body: &str) -> Vec<String> {
    faults_of(&format!("{HEAD}{body}"))
}

/// The faults of a definition with one noop step `a` that has these lines too.
pub fn step_faults(lines: &str) -> Vec<String> {
    faults(&format!("[[steps]]\nname = \"a\"\nactivity = \"noop\"\n{lines}"))
}

pub fn steps(steps: &[(&str, &str)]) -> String {
    steps.iter().map(|(name, more)| format!("[[steps]]\nname = \"{name}\"\nactivity = \"noop\"\n{more}\n")).collect()
}

pub fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn the_bundled_definitions_are_valid() {
    for (source, name, produces, result, activities) in [
        (
            VIDEO,
            "video-generation-workflow",
            Produces::Video,
            &["store".to_owned()][..],
            &[Activity::Picture, Activity::Render, Activity::Store][..],
        ),
        (
            IMAGE,
            "image-generation-workflow",
            Produces::Image,
            &["store".to_owned()][..],
            &[Activity::Picture, Activity::Image, Activity::Store],
        ),
        (NOOP, "noop", Produces::Nothing, &[], &[Activity::Noop]),
        (
            BUNDLED[3].1,
            "photo-set-workflow",
            Produces::Video,
            &["store_film".to_owned(), "store_cover".to_owned()],
            &[Activity::Picture, Activity::Render, Activity::Image, Activity::Store],
        ),
        (
            SLIDESHOW,
            "slideshow-workflow",
            Produces::Video,
            &["store".to_owned()],
            &[Activity::Picture, Activity::Render, Activity::Store],
        ),
    ] {
        let definition = Definition::parse(name, source).unwrap();
        assert_eq!((definition.name(), definition.produces(), definition.result_steps()), (name, produces, result));
        assert_eq!(definition.activities(), activities);
        assert!(!definition.description().is_empty());
    }
}

#[test]
fn the_definition_in_the_description_of_the_format_is_valid() {
    let description = include_str!("../../../workflows/README.md");
    let (_, example) = description.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    assert_eq!(faults_of(example), [""; 0]);
}

#[test]
fn a_definition_is_known_by_the_digest_of_its_text() {
    let noop = parse(NOOP).unwrap();
    assert_eq!(noop.digest().len(), 64);
    assert_eq!(noop.digest(), parse(NOOP).unwrap().digest());
    assert_ne!(noop.digest(), parse(&format!("{NOOP}\n# another text")).unwrap().digest());
    assert_eq!(noop.source(), NOOP);
    assert_eq!(
        parse(&format!("{HEAD}{}", steps(&[("a", "")]))).unwrap().digest(),
        "3794d11e8efbaf6f31dd1051ecea4b2d730367778c8df9f6fe92b06f778dc9eb"
    );
}

#[test]
fn all_faults_are_named_at_once_with_file_step_and_key() {
    let source =
        "nmae = \"w\"\nproduces = \"song\"\n[[steps]]\nname = \"a\"\nactivity = \"dance\"\ntimeout = \"soon\"\n";
    assert_eq!(
        parse(source).unwrap_err().to_string(),
        "w.toml is no valid workflow\n  \
         w.toml: name: is missing\n  \
         w.toml: description: is missing\n  \
         w.toml: produces: `song` is unknown; known are video, image, nothing\n  \
         w.toml: nmae: is unknown; known are name, description, produces, priority, parameters, steps\n  \
         w.toml: steps.a.activity: `dance` is unknown; known are noop, picture, render, image, store, provider\n  \
         w.toml: steps.a.timeout: `soon` is no duration; write 500ms, 120s, 5m or 1h"
    );
}

#[test]
fn broken_toml_is_named_with_its_line() {
    let faults = faults_of("name = \"w\"\ndescription = \n");
    assert_eq!(faults.len(), 1);
    assert!(faults[0].starts_with("line 2: "), "{faults:?}");
}

#[test]
fn a_huge_text_is_refused_unread() {
    let source = "#".repeat(limits::SOURCE_BYTES_MAX + 1);
    assert_eq!(faults_of(&source), ["has 65537 bytes; at most 65536"]);
}

#[test]
fn a_name_has_letters_digits_and_dashes() {
    let source = format!("{}{}", HEAD.replace("\"w\"", "\"a/b\""), steps(&[("a.b", "")]));
    assert_eq!(
        faults_of(&source),
        [
            "name: `a/b` is no name; it has 1 to 64 letters, digits, `_` and `-`",
            "steps.a.b.name: `a.b` is no name; it has 1 to 64 letters, digits, `_` and `-`",
        ]
    );
}

#[test]
fn an_unknown_key_of_a_step_is_a_fault() {
    let [fault] = &step_faults("time_out = \"1s\"")[..] else { panic!() };
    assert_eq!(
        fault,
        "steps.a.time_out: is unknown; known are name, activity, needs, timeout, weight, with, result, retry, when, concurrency"
    );
}

#[test]
fn a_step_needs_a_name_and_an_activity() {
    let faults = faults("[[steps]]\nweight = 1\n");
    assert_eq!(faults, ["steps.1.name: is missing", "steps.1.activity: is missing"]);
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_what_it_must_be() {
    assert_eq!(step_faults("needs = \"b\""), ["steps.a.needs: must be a list of texts, not a text"]);
    assert_eq!(step_faults("weight = \"much\""), ["steps.a.weight: must be a whole number, not a text"]);
    assert_eq!(step_faults("timeout = 5"), ["steps.a.timeout: must be a text, not a number"]);
    assert_eq!(step_faults("result = 1"), ["steps.a.result: must be true or false, not a number"]);
    assert_eq!(step_faults("retry = 3"), ["steps.a.retry: must be a table, not a number"]);
    assert_eq!(step_faults("with = 3"), ["steps.a.with: must be a table"]);
    assert_eq!(
        step_faults("with = { x = 1979-05-27 }"),
        ["steps.a.with: holds a date or an endless number, which JSON does not know"]
    );
    assert_eq!(faults("steps = 3"), ["steps: must be a list of tables, not a number"]);
}

#[test]
fn a_setting_that_the_activity_does_not_know_or_misses_is_a_fault() {
    let body = "[[steps]]\nname = \"a\"\nactivity = \"render\"\nwith = { secs = 5 }\n";
    assert_eq!(
        faults(body),
        [
            "steps.a.with.picture: is missing: `render` needs it",
            "steps.a.with.secs: is unknown; `render` knows picture, seconds, fps, format, width, height, move, transition, transition_ms",
        ]
    );
    assert_eq!(step_faults("with = { anything = 5 }"), [""; 0], "a noop takes whatever it is given");
}

#[test]
fn an_unknown_need_is_a_fault() {
    assert_eq!(step_faults("needs = [\"b\"]"), ["steps.a.needs: there is no step `b`"]);
}

#[test]
fn a_need_that_stands_there_twice_is_a_fault() {
    assert_eq!(
        faults(&steps(&[("a", ""), ("b", "needs = [\"a\", \"a\"]")])),
        ["steps.b.needs: `a` stands there twice"]
    );
}

#[test]
fn two_steps_of_one_name_are_a_fault() {
    assert_eq!(faults(&steps(&[("a", ""), ("a", "")])), ["steps.a.name: `a` names two steps"]);
}

#[test]
fn a_circle_of_needs_is_named() {
    let circle = steps(&[
        ("start", ""),
        ("a", "needs = [\"start\", \"c\"]"),
        ("b", "needs = [\"a\"]"),
        ("c", "needs = [\"b\"]"),
        ("end", "needs = [\"c\"]"),
    ]);
    assert_eq!(faults(&circle), ["steps: wait for each other in a circle: a -> c -> b -> a"]);
    let itself = steps(&[("a", "needs = [\"a\"]")]);
    assert_eq!(faults(&itself), ["steps: wait for each other in a circle: a -> a"]);
}

#[test]
fn a_placeholder_of_a_step_that_may_not_be_done_is_a_fault() {
    let beside = steps(&[("a", ""), ("b", "with = { x = \"{steps.a.file}\" }")]);
    assert_eq!(
        faults(&beside),
        ["steps.b.with.x: step `a` need not be done by then: it is not among what this step needs"]
    );
    let through =
        steps(&[("a", ""), ("b", "needs = [\"a\"]"), ("c", "needs = [\"b\"]\nwith = { x = \"{steps.a.f}\" }")]);
    assert_eq!(faults(&through), [""; 0]);
}

#[test]
fn a_placeholder_of_nothing_known_is_a_fault() {
    assert_eq!(step_faults("with = { x = \"{steps.b.file}\" }"), ["steps.a.with.x: there is no step `b`"]);
    assert_eq!(step_faults("with = { x = [\"{parameters.y}\"] }"), ["steps.a.with.x: parameter `y` is not declared"]);
}

#[test]
fn a_malformed_placeholder_is_a_fault() {
    for text in ["{}", "{parameters}", "{parameters.}", "{steps.a}", "{a.b.c.d}"] {
        assert_eq!(
            step_faults(&format!("with = {{ x = \"{text}\" }}")),
            [format!("steps.a.with.x: `{text}` is no placeholder: write {{parameters.KEY}} or {{steps.STEP.KEY}}")]
        );
    }
    for text in ["{parameters.x", "a } b", "}"] {
        assert_eq!(
            step_faults(&format!("with = {{ x = \"{text}\" }}")),
            [format!("steps.a.with.x: `{text}` has a brace without its partner")]
        );
    }
}

#[test]
fn timeouts_have_limits() {
    assert_eq!(step_faults("timeout = \"99ms\""), ["steps.a.timeout: must be from 100ms to 86400s, not 99ms"]);
    assert_eq!(step_faults("timeout = \"25h\""), ["steps.a.timeout: must be from 100ms to 86400s, not 25h"]);
    for text in ["", "5", "s", "5 s", "-5s", "5d", "99999999999999999999s", "9999999999999999999h"] {
        assert_eq!(
            step_faults(&format!("timeout = \"{text}\"")),
            [format!("steps.a.timeout: `{text}` is no duration; write 500ms, 120s, 5m or 1h")]
        );
    }
}

#[test]
fn weights_have_limits_and_one_must_count() {
    assert_eq!(step_faults("weight = 1001"), ["steps.a.weight: must be from 0 to 1000, not 1001"]);
    assert_eq!(step_faults("weight = -1"), ["steps.a.weight: must be from 0 to 1000, not -1"]);
    assert_eq!(step_faults("weight = 0"), ["steps: have no weight at all"]);
}

#[test]
fn retries_have_limits() {
    let retry = |keys: &str| step_faults(&format!("retry = {{ {keys} }}"));
    assert_eq!(retry("attempts = 0"), ["steps.a.retry.attempts: must be from 1 to 20, not 0"]);
    assert_eq!(retry("factor = 11"), ["steps.a.retry.factor: must be from 1 to 10, not 11"]);
    assert_eq!(retry("first_delay = \"2h\""), ["steps.a.retry.first_delay: must be from 10ms to 3600s, not 2h"]);
    assert_eq!(
        retry("first_delay = \"9s\", max_delay = \"8s\""),
        ["steps.a.retry.first_delay: is longer than max_delay"]
    );
    assert_eq!(
        retry("tries = 3"),
        ["steps.a.retry.tries: is unknown; known are first_delay, max_delay, attempts, factor"]
    );
}

#[test]
fn the_number_of_steps_and_parameters_has_limits() {
    assert_eq!(faults("steps = []"), ["steps: are 0; must be from 1 to 50"]);
    let many: String = (0..51).map(|n| format!("[[steps]]\nname = \"s{n}\"\nactivity = \"noop\"\n")).collect();
    assert_eq!(faults(&many), ["steps: are 51; must be from 1 to 50"]);
    let many: String = (0..51).map(|n| format!("[parameters.p{n}]\nkind = \"text\"\n")).collect();
    assert_eq!(faults(&format!("{many}{}", steps(&[("a", "")]))), ["parameters: are 51; at most 50"]);
}

#[test]
fn a_workflow_that_produces_something_publishes_it() {
    let source = format!("{}{}", HEAD.replace("nothing", "video"), steps(&[("a", "")]));
    assert_eq!(
        faults_of(&source),
        ["produces: no step publishes it: there is neither a `store` nor a step with result = true"]
    );
    let marked = format!("{}{}", HEAD.replace("nothing", "video"), steps(&[("a", "result = true"), ("b", "")]));
    assert_eq!(parse(&marked).unwrap().result_steps(), ["a"]);
}

#[test]
fn a_parameter_declaration_is_checked() {
    let declared = |lines: &str| faults(&format!("[parameters.p]\n{lines}\n{}", steps(&[("a", "")])));
    assert_eq!(declared("required = true"), ["parameters.p.kind: is missing"]);
    assert_eq!(
        declared("kind = \"song\""),
        ["parameters.p.kind: `song` is unknown; known are picture, pictures, text, number, flag"]
    );
    assert_eq!(declared("kind = \"flag\"\ndefault = 3"), ["parameters.p.default: must be true or false"]);
    assert_eq!(
        declared("kind = \"flag\"\nrequired = true\ndefault = true"),
        ["parameters.p.default: makes no sense for a required parameter"]
    );
    assert_eq!(
        declared("kind = \"number\"\nmin = 1\nmax = 3\ndefault = 4"),
        ["parameters.p.default: must be from 1 to 3"]
    );
    assert_eq!(declared("kind = \"number\"\nmin = 3\nmax = 1"), ["parameters.p.min: is greater than max"]);
    assert_eq!(declared("kind = \"text\"\nmin = 3"), ["parameters.p.min: is for numbers only"]);
    assert_eq!(declared("kind = \"number\"\nmin = nan"), ["parameters.p.min: must be a finite number, not a number"]);
    assert_eq!(declared("kind = \"flag\"\none_of = []"), ["parameters.p.one_of: is for texts only"]);
    assert_eq!(
        declared("kind = \"text\"\nmaximum = 1"),
        ["parameters.p.maximum: is unknown; known are kind, required, default, min, max, one_of"]
    );
    let bad = faults(&format!("[parameters]\n\"a.b\" = {{ kind = \"text\" }}\nq = 3\n{}", steps(&[("a", "")])));
    assert_eq!(
        bad,
        [
            "parameters.a.b: `a.b` is no name; it has 1 to 64 letters, digits, `_` and `-`",
            "parameters.q: must be a table",
        ]
    );
}

#[test]
fn a_request_is_checked_field_by_field() {
    let video = parse(VIDEO).unwrap();
    let faults = |given: Value| -> Vec<String> {
        let faults = video.check_parameters(&object(given)).into_iter();
        faults.map(|fault| format!("{} {}", fault.field, fault.reason)).collect()
    };
    let good = [""; 0];
    assert_eq!(faults(json!({})), ["imageUrl is required"]);
    assert_eq!(faults(json!({ "imageUrl": null })), ["imageUrl is required"]);
    for picture in [
        json!("https://example.com/input.jpg"),
        json!("HTTP://example.com/input.jpg"),
        json!("data:image/png;base64,iVBORw0KGgo="),
        json!({ "file": "pictures/1" }),
    ] {
        assert_eq!(faults(json!({ "imageUrl": picture, "unknown": [1, 2] })), good);
    }
    for picture in
        [json!("ftp://example.com"), json!("https://"), json!("äöü"), json!(""), json!(7), json!({ "file": "" })]
    {
        assert_eq!(
            faults(json!({ "imageUrl": picture })),
            ["imageUrl must be a picture: a data URL (data:image/jpeg;base64,...) or an http or https link"],
        );
    }
    let with = |key: &str, value: Value| faults(json!({ "imageUrl": "https://a/b", key: value }));
    assert_eq!(with("seconds", json!(30)), good);
    assert_eq!(with("seconds", json!(30.5)), ["seconds must be from 1 to 30"]);
    assert_eq!(with("seconds", json!("5")), ["seconds must be a number"]);
    assert_eq!(with("move", json!("pan_left")), good);
    assert_eq!(
        with("move", json!("spin")),
        ["move must be one of: zoom_in, zoom_out, pan_left, pan_right, pan_up, pan_down"]
    );
    assert_eq!(with("move", json!(1)), ["move must be a text"]);
}

#[test]
fn placeholders_take_values_as_they_are_or_as_text() {
    let source = format!(
        "{HEAD}[parameters.who]\nkind = \"text\"\n[parameters.n]\nkind = \"number\"\ndefault = 3\n[[steps]]\nname = \"a\"\n\
         activity = \"noop\"\n[[steps]]\nname = \"b\"\nactivity = \"noop\"\nneeds = [\"a\"]\n[steps.with]\n\
         whole = \"{{steps.a.list}}\"\nnumber = \"{{parameters.n}}\"\ntext = \"n={{parameters.n}}, {{steps.a.list}} by {{parameters.who}}.\"\n\
         missing = \"{{parameters.who}}\"\nnothing = \"{{steps.a.none}}\"\ndeep = {{ list = [\"{{parameters.n}}\", 1, true] }}\nplain = \"x\"\n"
    );
    let definition = parse(&source).unwrap();
    let given = Map::new();
    let result = json!({ "list": [1, "two"], "none": null });
    let filled = definition.fill(definition.step("b").unwrap(), &given, |step| (step == "a").then_some(&result));
    assert_eq!(
        Value::Object(filled),
        json!({
            "whole": [1, "two"],
            "number": 3,
            "text": "n=3, [1,\"two\"] by .",
            "deep": { "list": [3, 1, true] },
            "plain": "x",
        })
    );
    let given = object(json!({ "n": 9, "who": "{parameters.n}" }));
    let filled = definition.fill(definition.step("b").unwrap(), &given, |_| None);
    assert_eq!(filled["number"], json!(9));
    assert_eq!(filled["missing"], json!("{parameters.n}"), "what a customer wrote is not filled in again");
}

#[test]
fn the_render_step_of_the_bundled_video_takes_the_templates_settings() {
    let video = parse(VIDEO).unwrap();
    let given = object(json!({ "imageUrl": "https://a/b", "seconds": 2, "move": "pan_up" }));
    let picture = json!({ "file": "work/1.png" });
    let filled = video.fill(video.step("render").unwrap(), &given, |_| Some(&picture));
    assert_eq!(
        Value::Object(filled),
        json!({ "picture": "work/1.png", "seconds": 2, "move": "pan_up", "fps": 30, "format": "landscape" })
    );
    let image = parse(IMAGE).unwrap();
    let filled = image.fill(image.step("image").unwrap(), &Map::new(), |_| Some(&picture));
    assert_eq!(Value::Object(filled), json!({ "picture": "work/1.png", "style": "vivid" }));
}

#[test]
fn rests_grow_to_their_limit() {
    let retry = Retry { attempts: 20, first_delay_ms: 1_000, max_delay_ms: 10_000, factor: 3 };
    let delays: Vec<u64> = [1, 2, 3, 4, u32::MAX].map(|attempt| retry.delay_ms(attempt)).into();
    assert_eq!(delays, [1_000, 3_000, 9_000, 10_000, 10_000]);
    let noop = parse(NOOP).unwrap();
    let step = noop.step("noop").unwrap();
    assert_eq!((step.timeout_ms, step.weight, step.retry.attempts), (30_000, 1, 3));
}

#[test]
fn the_library_gives_new_tasks_the_current_definition_and_old_tasks_theirs() {
    let old = parse(NOOP).unwrap();
    let new = parse(&format!("{NOOP}# newer\n")).unwrap();
    let library = Library::new([new.clone(), parse(VIDEO).unwrap()]).unwrap().with_old([old.clone(), new.clone()]);
    assert_eq!(library.current("noop").map(|found| found.digest()), Some(new.digest()));
    assert_eq!(library.by_digest(old.digest()).map(|found| found.source()), Some(NOOP));
    assert_eq!(library.by_digest(new.digest()).map(|found| found.digest()), Some(new.digest()));
    assert!(library.current("nothing").is_none() && library.by_digest("0").is_none());
    let names: Vec<&str> = library.all_current().into_iter().map(|definition| definition.name()).collect();
    assert_eq!(names, ["noop", "video-generation-workflow"]);
    assert_eq!(Library::new([new, old]).unwrap_err(), DuplicateName("noop".into()));
}

/// These texts are in outboxes and definitions: a change of one loses what is stored.
#[test]
fn durable_names_are_as_written_down() {
    use strum::IntoEnumIterator;
    let activities: Vec<&str> = Activity::iter().map(Into::into).collect();
    assert_eq!(activities, ["noop", "picture", "render", "image", "store", "provider"]);
    let call = StepCall {
        task: "task_1".into(),
        step: "a".into(),
        attempt: 1,
        activity: Activity::Noop,
        timeout_ms: 100,
        with: Map::new(),
        job: None,
    };
    assert_eq!(
        serde_json::to_string(&call).unwrap(),
        r#"{"task":"task_1","step":"a","attempt":1,"activity":"noop","timeout_ms":100,"with":{}}"#
    );
    let pinned = Pinned { name: "noop".into(), digest: "d".into() };
    assert_eq!(serde_json::to_string(&pinned).unwrap(), r#"{"name":"noop","digest":"d"}"#);
}

#[test]
fn several_pictures_are_a_list_of_pictures() {
    let definition = parse(SLIDESHOW).unwrap();
    let reason = |pictures: Value| {
        let faults = definition.check_parameters(&object(json!({ "pictures": pictures })));
        faults.into_iter().next().map(|fault| format!("{} {}", fault.field, fault.reason))
    };
    let (link, data) = ("https://example.com/a.jpg", "data:image/png;base64,iVBORw0KGgo=");
    assert_eq!(reason(json!([link, data, { "file": "inputs/1" }])), None);
    assert_eq!(reason(json!(vec![link; 20])), None);
    for wrong in [json!(link), json!([]), json!([link]), json!(vec![link; 21]), json!({ "file": "inputs/1" })] {
        let said = reason(wrong).unwrap();
        assert!(said.starts_with("pictures must be a list of 2 to 20 pictures"), "{said}");
    }
    let said = reason(json!([link, [link], data])).unwrap();
    assert!(said.starts_with("pictures must hold pictures alone") && said.ends_with("number 2 is none"), "{said}");
    assert_eq!(reason(json!(null)), Some("pictures is required".into()));
}
