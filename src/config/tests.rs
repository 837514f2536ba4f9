use super::*;

fn sources(environment: &[(&str, &str)]) -> Sources {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sources { environment, ..Sources::default() }
}

fn with_file(text: &str) -> (tempfile::TempDir, Sources) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.toml");
    std::fs::write(&path, text).unwrap();
    (directory, Sources { file: Some(path), ..Sources::default() })
}

fn faults(sources: &Sources) -> Vec<String> {
    Config::load(sources).unwrap_err().0
}

#[test]
fn the_shipped_file_equals_the_defaults() {
    let built_in = Config::load(&Sources::default()).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(DEFAULT_FILE);
    let from_file = Config::load(&Sources { file: Some(shipped), ..Sources::default() }).unwrap();
    assert_eq!(format!("{built_in:?}"), format!("{from_file:?}"));
}

#[test]
fn the_names_that_users_rely_on_have_their_documented_defaults() {
    let config = Config::load(&Sources::default()).unwrap();
    assert_eq!(config.server.bind.to_string(), "127.0.0.1:8080");
    assert_eq!(config.database.address(), "sqlite://data/mixvideo.db");
    assert_eq!(config.database.sqlite_file(), Some(Path::new("data/mixvideo.db")));
    assert_eq!(config.mailbox.backend, Backend::Memory);
    assert_eq!(config.storage.url, "file://data/files");
    assert_eq!(config.engine.partitions, 16);
    assert_eq!(config.journal.retention_days, 30);
    assert_eq!((config.payments.gateway, config.payments.credit_price), (Rail::Sandbox, 100));
    assert_eq!((&*config.payments.currency, &*config.payments.receiver), ("usd", "platform"));
    assert_eq!(config.stripe.api_base, "https://api.stripe.com");
    assert_eq!(config.lanes.media(), cores());
    assert_eq!(config.server.public_url(config.server.bind), "http://127.0.0.1:8080");
}

#[test]
fn every_key_has_a_comment() {
    let mut comment = false;
    for line in DEFAULTS.lines() {
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(comment, "{line} has no comment");
        }
        comment = line.starts_with('#');
    }
}

#[test]
fn a_later_source_wins() {
    let (_directory, mut sources) = with_file("[server]\nbind = \"127.0.0.1:1\"\nworkers = 2\ndrain_seconds = 3\n");
    sources.environment =
        vec![("MIXVIDEO__SERVER__BIND".into(), "127.0.0.1:2".into()), ("MIXVIDEO__SERVER__WORKERS".into(), "4".into())];
    sources.flags = vec![Flag { name: "--bind", key: "server.bind", value: "127.0.0.1:3".into() }];
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.server.bind.port(), 3);
    assert_eq!(config.server.workers, 4);
    assert_eq!(config.server.drain_seconds, 3);
}

#[test]
fn other_variables_of_the_environment_are_not_ours() {
    Config::load(&sources(&[("MIXVIDEO_SERVER", "http://127.0.0.1:1"), ("PATH", "/bin")])).unwrap();
}

#[test]
fn unknown_keys_are_refused_with_those_that_exist() {
    let (_directory, sources) = with_file("[files]\nurl_expiri_seconds = 5\n[strip]\nsecret_key = \"sk\"\n");
    let faults = faults(&sources);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("`files.url_expiri_seconds`"), "{faults:?}");
    assert!(faults[0].ends_with("mine.toml is not known; [files] has url_expiry_seconds"), "{faults:?}");
    assert!(faults[1].contains("`strip.secret_key`") && faults[1].contains("the sections are"), "{faults:?}");
}

#[test]
fn all_faults_of_all_sources_are_told_at_once() {
    let (_directory, mut sources) =
        with_file("[server]\nbind = \"here\"\nworkers = \"many\"\n[log]\nformat = \"xml\"\n");
    sources.environment = vec![("MIXVIDEO__ENGINE__PARTITIONS".into(), "0".into())];
    sources.flags = vec![Flag { name: "--storage", key: "storage.url", value: "ftp://bucket".into() }];
    let faults = faults(&sources);
    for part in [
        "`server.workers` = \"many\" from",
        "mine.toml must be a whole number",
        "`engine.partitions` = 0 from the environment variable MIXVIDEO__ENGINE__PARTITIONS must lie between 1 and 1024",
        "`server.bind` = \"here\" from",
        "`storage.url` = \"ftp://bucket\" from the flag --storage must begin with file:// or s3://",
        "`log.format` = \"xml\"",
    ] {
        assert!(faults.iter().any(|fault| fault.contains(part)), "{part} is missing in {faults:#?}");
    }
    assert_eq!(faults.len(), 5);
}

const FILMS: &str =
    "[providers.films]\npreset = \"replicate\"\nbase_url = \"https://api.replicate.com/v1\"\nmodel = \"owner/name\"\n";

#[test]
fn a_provider_has_defaults_and_a_later_source_wins() {
    let (_directory, mut sources) = with_file(FILMS);
    sources.environment = vec![
        ("MIXVIDEO__PROVIDERS__FILMS__MODEL".into(), "owner/other".into()),
        ("MIXVIDEO__PROVIDERS__FILMS__POLL_MS".into(), "50".into()),
    ];
    let providers = Config::load(&sources).unwrap().providers;
    assert_eq!(providers.keys().collect::<Vec<_>>(), ["films"]);
    let films = &providers["films"];
    assert_eq!((films.preset.as_str(), films.model.as_str()), ("replicate", "owner/other"));
    let pace = films.pace();
    assert_eq!((pace.first_ms, pace.max_ms, pace.settle_ms, films.request_seconds), (50, 30_000, 60_000, 60));
    assert!(Config::load(&Sources::default()).unwrap().providers.is_empty());
}

#[test]
fn every_fault_of_a_provider_is_told_at_once() {
    let (_directory, sources) = with_file(
        "[providers.films]\npreset = \"sora\"\nbase_url = \"here\"\npoll_ms = 1\nkey = \"sk-swordfish\"\n\
         idempotency_header = \"a b\"\nwebhook_secret_env = \"X\"\n[providers.Films]\n",
    );
    let faults = faults(&sources);
    for part in [
        "`providers.films.preset` = \"sora\" from",
        "must be one of: openai_images, openai_videos, replicate",
        "`providers.films.base_url` = \"here\"",
        "`providers.films.poll_ms` = 1",
        "[providers.films] has",
        "`providers.films.model` = \"\" from the defaults must name a model",
        "`providers.films.idempotency_header` = \"a b\"",
        "`providers.films.webhook_secret_env` = \"X\"",
    ] {
        assert!(faults.iter().any(|fault| fault.contains(part)), "{part} is missing in {faults:#?}");
    }
    assert!(!faults.concat().contains("swordfish"), "{faults:?}");
}

#[test]
fn a_redis_that_cannot_be_one_is_refused_without_its_password() {
    let found =
        faults(&sources(&[("MIXVIDEO__MAILBOX__BACKEND", "rabbit"), ("MIXVIDEO__REDIS__URL", "http://:hush@h")]));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|fault| fault.contains("must be memory or redis")), "{found:?}");
    assert!(found.iter().any(|fault| fault.contains("must begin with redis://")), "{found:?}");
    assert!(!found.concat().contains("hush"), "{found:?}");
    let set =
        sources(&[("MIXVIDEO__MAILBOX__BACKEND", "redis"), ("MIXVIDEO__REDIS__URL", "redis+sentinel://a,b/main")]);
    assert_eq!(Config::load(&set).unwrap().mailbox.backend, Backend::Redis);
}

#[test]
fn a_file_that_is_no_toml_or_missing_is_named_with_its_line() {
    let (directory, sources) = with_file("[server]\nbind = \n");
    assert!(faults(&sources)[0].contains("mine.toml is not TOML at line 2"), "{:?}", faults(&sources));
    let missing = Sources { file: Some(directory.path().join("none.toml")), ..Sources::default() };
    assert!(faults(&missing)[0].contains("none.toml cannot be read"));
}

#[test]
fn the_databases_password_is_never_shown() {
    let url = "postgres://mixvideo:hunter2@db.example/mixvideo";
    let config = Config::load(&sources(&[("MIXVIDEO__DATABASE__URL", url)])).unwrap();
    assert_eq!(config.database.shown(), "postgres://...@db.example/mixvideo");
    assert!(!format!("{config:?}").contains("hunter2"));
    let wrong = faults(&sources(&[("MIXVIDEO__DATABASE__URL", "mysql://mixvideo:hunter2@db.example/mixvideo")]));
    assert!(wrong[0].starts_with("`database.url` from the environment variable"), "{wrong:?}");
    assert!(!wrong[0].contains("hunter2"));
}

#[test]
fn hosts_that_links_may_lead_to_are_a_list_in_a_file_and_a_text_with_commas_elsewhere() {
    let (_directory, mut sources) = with_file("[fetch]\nallow_hosts = [\"images.local\"]\n");
    let hosts = |sources: &Sources| Config::load(sources).unwrap().fetch.allow_hosts;
    assert_eq!(hosts(&sources), ["images.local".parse().unwrap()]);
    sources.environment = vec![("MIXVIDEO__FETCH__ALLOW_HOSTS".into(), "127.0.0.1:9000, [::1]".into())];
    assert_eq!(hosts(&sources), ["127.0.0.1:9000".parse().unwrap(), "[::1]".parse().unwrap()]);
    sources.environment[0].1 = "http://images.local".into();
    assert!(faults(&sources)[0].contains("`http://images.local` is not a host such as"), "{:?}", faults(&sources));
    let (_directory, wrong) = with_file("[fetch]\nallow_hosts = [1]\n");
    assert!(faults(&wrong)[0].ends_with("must be a list of texts"), "{:?}", faults(&wrong));
}

#[test]
fn keys_in_the_storages_address_are_refused_and_not_shown() {
    let faults = faults(&sources(&[("MIXVIDEO__STORAGE__URL", "s3://AKIA:hunter2@films/a")]));
    assert!(faults[0].contains("\"s3://...@films/a\"") && faults[0].contains("AWS_SECRET_ACCESS_KEY"), "{faults:?}");
    assert!(!faults[0].contains("hunter2"), "{faults:?}");
}

#[test]
fn stripe_needs_its_secrets_and_they_are_never_shown() {
    let stripe = [("MIXVIDEO__PAYMENTS__GATEWAY", "stripe"), ("MIXVIDEO__STRIPE__SECRET_KEY", "sk_test_swordfish")];
    let missing = faults(&sources(&stripe));
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].contains("`stripe.webhook_secret`") && missing[0].contains("must be set"), "{missing:?}");
    let mut both = stripe.to_vec();
    both.push(("MIXVIDEO__STRIPE__WEBHOOK_SECRET", "whsec_swordfish"));
    let config = Config::load(&sources(&both)).unwrap();
    assert!(!format!("{config:?}").contains("swordfish"));
    both.push(("MIXVIDEO__STRIPE__NONE", "sk_test_swordfish"));
    assert!(!faults(&sources(&both)).concat().contains("swordfish"));
}

#[test]
fn what_selling_needs_is_checked() {
    for (key, value, reason) in [
        ("PAYMENTS__GATEWAY", "paypal", "must be sandbox or stripe"),
        ("PAYMENTS__CURRENCY", "USD", "three lower-case letters"),
        ("PAYMENTS__CREDIT_PRICE", "0", "must lie between 1"),
        ("PAYMENTS__RECEIVER", " ", "must not be blank"),
        ("PAYMENTS__SANDBOX_FAULTS", "slow,on_fire", "may hold slow, lost_answers"),
        ("STRIPE__API_BASE", "api.stripe.com", "is not an address"),
    ] {
        let name = format!("MIXVIDEO__{key}");
        let found = faults(&sources(&[(&name, value)]));
        assert!(found.len() == 1 && found[0].contains(reason), "{key}: {found:?}");
    }
    let faulty = Config::load(&sources(&[("MIXVIDEO__PAYMENTS__SANDBOX_FAULTS", "slow, declined")])).unwrap();
    assert_eq!(faulty.payments.sandbox_faults, [Fault::Slow, Fault::Declined]);
}
