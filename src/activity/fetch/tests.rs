use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::domain::Failure;

/// More than enough for what should come.
const LONG: Duration = Duration::from_secs(20);
/// What a file may have in most tests, in bytes.
const LIMIT: u64 = 100;

/// What a server does after a request.
enum Answer {
    /// Sends this and hangs up.
    Whole(String),
    /// Sends this and nothing more, and keeps the line.
    Hanging(String),
    /// Sends this and then zeros without end.
    Endless(String),
}

/// A server of the internet, which answers each path in its own way.
struct Site {
    address: SocketAddr,
    /// The heads of all requests.
    heard: Arc<Mutex<Vec<String>>>,
}

impl Site {
    async fn open(address: &str, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let site = Self { address: listener.local_addr().unwrap(), heard: Arc::default() };
        let (heard, answer) = (site.heard.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((mut line, _)) = listener.accept().await {
                let (heard, answer) = (heard.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut head = vec![line.read_u8().await?];
                    if head != b"G" {
                        return Ok(());
                    }
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(line.read_u8().await?);
                    }
                    let head = String::from_utf8(head).unwrap();
                    let answer = answer(head.split(' ').nth(1).unwrap());
                    heard.lock().unwrap().push(head);
                    match answer {
                        Answer::Whole(text) => line.write_all(text.as_bytes()).await,
                        Answer::Hanging(text) => {
                            line.write_all(text.as_bytes()).await?;
                            line.read_u8().await.map(|_| ())
                        }
                        Answer::Endless(text) => {
                            line.write_all(text.as_bytes()).await?;
                            loop {
                                line.write_all(&[0; 4096]).await?;
                            }
                        }
                    }
                });
            }
        });
        site
    }

    /// A site with one file everywhere.
    async fn with_a_file(address: &str) -> Self {
        Self::open(address, |_| Answer::Whole(file("hello"))).await
    }

    fn link(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn heard(&self) -> MutexGuard<'_, Vec<String>> {
        self.heard.lock().unwrap()
    }
}

fn file(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Type: Image/PNG; x=y\r\n\r\n{body}", body.len())
}

fn redirect_to(target: &str) -> Answer {
    Answer::Whole(format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"))
}

/// DNS that answers each question with the next of its answers, and then always with the last.
#[derive(Debug)]
struct Dns {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Dns {
    /// `10.0.0.1 10.0.0.2 | 10.0.0.3`: two addresses first, then one.
    fn answering(answers: &str) -> Arc<Self> {
        let addresses = |answer: &str| answer.split_whitespace().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self { answers: Mutex::new(answers.split('|').map(addresses).collect()), asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Resolver for Dns {
    async fn addresses(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(host.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let next = answers.pop_front().unwrap();
        if answers.is_empty() {
            answers.push_back(next.clone());
        }
        Ok(next)
    }
}

/// As if 127.0.0.1 were all of the public internet, on every port.
fn fetcher(dns: Arc<Dns>) -> Fetcher {
    let not_public =
        |address| if address == IpAddr::from([127, 0, 0, 1]) { None } else { address::not_public(address) };
    Fetcher::with(Rules { allowed: Vec::new(), not_public, port: |_| true }, dns).unwrap()
}

/// What fetching `path` from a site with that answer ends with.
async fn failure_of(answer: impl Fn(&str) -> Answer + Send + Sync + 'static, path: &str) -> Failure {
    let site = Site::open("127.0.0.1:0", answer).await;
    fetcher(Dns::answering("10.0.0.1")).fetch(&site.link(path), LIMIT, LONG).await.unwrap_err().into()
}

#[tokio::test]
async fn a_file_is_fetched_by_somebody_who_tells_nothing_of_himself() {
    let site = Site::with_a_file("127.0.0.1:0").await;
    let link = format!("http://images.test:{}/a.png?b=c#part", site.address.port());
    let fetched = fetcher(Dns::answering("127.0.0.1")).fetch(&link, 5, LONG).await.unwrap();
    assert_eq!(fetched, Fetched { bytes: "hello".into(), content_type: Some("image/png".into()) });
    let head = site.heard()[0].to_lowercase();
    assert!(head.starts_with("get /a.png?b=c http/1.1\r\n"), "{head}");
    let mut names: Vec<&str> = head.lines().skip(1).filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "accept-encoding", "host", "user-agent"]);
    assert!(head.contains("accept-encoding: identity\r\n"), "{head}");
}

#[tokio::test]
async fn one_private_address_among_public_ones_is_enough_to_refuse_a_name() {
    let site = Site::with_a_file("127.0.0.1:0").await;
    let link = format!("http://images.test:{}/", site.address.port());
    for answer in ["127.0.0.1 10.0.0.1", "10.0.0.1 127.0.0.1", "127.0.0.1 ::1", "::ffff:10.0.0.1", "169.254.169.254"] {
        let error = fetcher(Dns::answering(answer)).fetch(&link, LIMIT, LONG).await.unwrap_err();
        assert_eq!((error.code(), error.may_pass()), ("link_address_refused", false), "{answer}");
        // Whoever sent the link learns nothing about the network here.
        assert_eq!(error.to_string(), "the link leads to `images.test`, which is not on the public internet");
    }
    assert!(site.heard().is_empty());
}

#[tokio::test]
async fn a_name_that_changes_between_check_and_use_is_connected_to_as_it_was_checked() {
    // It keeps its lines, as if for another request.
    let site = Site::open("127.0.0.1:0", |_| Answer::Hanging(file("hello"))).await;
    let port = site.address.port();
    let private = Site::with_a_file(&format!("127.0.0.2:{port}")).await;
    let dns = Dns::answering("127.0.0.1 | 127.0.0.2");
    let fetcher = fetcher(dns.clone());
    let link = format!("http://images.test:{port}/");
    fetcher.fetch(&link, LIMIT, LONG).await.unwrap();
    assert_eq!((dns.asked().len(), site.heard().len()), (1, 1));
    // The next fetch asks anew: nothing is kept that was good once.
    assert_eq!(fetcher.fetch(&link, LIMIT, LONG).await.unwrap_err().code(), "link_address_refused");
    assert_eq!((dns.asked().len(), site.heard().len(), private.heard().len()), (2, 1, 0));
}

#[tokio::test]
async fn a_name_that_changes_between_two_redirects_is_checked_again() {
    let site = Site::open("127.0.0.1:0", |_| redirect_to("/again")).await;
    let port = site.address.port();
    let private = Site::with_a_file(&format!("127.0.0.2:{port}")).await;
    let fetcher = fetcher(Dns::answering("127.0.0.1 | 127.0.0.2"));
    let error = fetcher.fetch(&format!("http://images.test:{port}/"), LIMIT, LONG).await.unwrap_err();
    assert_eq!(error.code(), "link_address_refused");
    assert_eq!((site.heard().len(), private.heard().len()), (1, 0));
}

#[tokio::test]
async fn every_redirect_is_checked_like_the_link() {
    for (target, code) in [
        ("http://127.0.0.2/", "link_address_refused"),
        ("//127.0.0.2/", "link_address_refused"),
        ("http://0x7f000002/", "link_address_refused"),
        ("http://2130706434/", "link_address_refused"),
        ("http://127.2/", "link_address_refused"),
        ("http://0177.0.0.2/", "link_address_refused"),
        ("http://[::1]/", "link_address_refused"),
        ("http://[::ffff:7f00:2]/", "link_address_refused"),
        ("http://169.254.169.254/latest/meta-data/", "link_address_refused"),
        ("http://[fd00:ec2::254]/latest/meta-data/", "link_address_refused"),
        ("http://10.0.0.1/", "link_address_refused"),
        ("http://private.test/", "link_address_refused"),
        ("file:///etc/passwd", "link_scheme_unsupported"),
        ("ftp://127.0.0.1/", "link_scheme_unsupported"),
        ("http://me:secret@127.0.0.1/", "link_with_credentials"),
        ("http://[", "link_redirect_nowhere"),
    ] {
        let failure = failure_of(move |_| redirect_to(target), "/").await;
        assert_eq!((failure.code.as_str(), failure.retryable), (code, false), "{target}");
    }
    let guarded = Fetcher::with(
        Rules { port: |port| port != 25, ..(*fetcher(Dns::answering("10.0.0.1")).rules).clone() },
        Dns::answering("10.0.0.1"),
    )
    .unwrap();
    let site = Site::open("127.0.0.1:0", |_| redirect_to("http://127.0.0.1:25/")).await;
    assert_eq!(guarded.fetch(&site.link("/"), LIMIT, LONG).await.unwrap_err().code(), "link_port_refused");
}

#[tokio::test]
async fn redirects_are_followed_up_to_their_limit_and_not_in_a_circle() {
    // /3 leads to /2, which leads to /1, which leads to the file /0.
    let steps = |path: &str| match path[1..].parse::<usize>().unwrap() {
        0 => Answer::Whole(file("hello")),
        more => redirect_to(&format!("{}#here", more - 1)),
    };
    let site = Site::open("127.0.0.1:0", steps).await;
    let fetcher = fetcher(Dns::answering("10.0.0.1"));
    let code = async |path: &str| fetcher.fetch(&site.link(path), LIMIT, LONG).await.map_err(|error| error.code());
    assert_eq!(code("/5").await.unwrap().bytes, "hello");
    assert_eq!(code("/6").await, Err("link_redirects_too_many"));
    assert_eq!(failure_of(|_| redirect_to("/"), "/").await.code, "link_redirect_loop");
    let circle = |path: &str| redirect_to(if path == "/a" { "/b#1" } else { "/a#2" });
    assert_eq!(failure_of(circle, "/a").await.code, "link_redirect_loop");
    let nowhere = |_: &str| Answer::Whole("HTTP/1.1 301 Gone\r\nContent-Length: 0\r\n\r\n".into());
    assert_eq!(failure_of(nowhere, "/").await.code, "link_redirect_nowhere");
}

#[tokio::test]
async fn a_file_that_is_late_endless_broken_or_packed_ends_with_its_own_code() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\n";
    let chunked = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n");
    for (answer, code, may_pass) in [
        (Answer::Endless(format!("{HEAD}\r\n")), "link_too_large", false),
        (Answer::Endless(format!("{HEAD}Content-Length: 1000000000000\r\n\r\n")), "link_too_large", false),
        (Answer::Hanging(format!("{HEAD}Content-Length: 101\r\n\r\n")), "link_too_large", false),
        (Answer::Hanging(format!("{chunked}65\r\n{}\r\n", "x".repeat(101))), "link_too_large", false),
        (Answer::Whole(format!("{HEAD}Content-Length: 50\r\n\r\nshort")), "link_broken_off", true),
        (Answer::Whole(format!("{chunked}5\r\nshort\r\n")), "link_broken_off", true),
        (Answer::Whole(format!("{chunked}zz\r\n")), "link_broken_off", true),
        (Answer::Whole(format!("{HEAD}Content-Encoding: gzip\r\n\r\nx")), "link_packed", false),
        (Answer::Whole("no HTTP at all\r\n\r\n".into()), "link_unreachable", true),
        (Answer::Whole(String::new()), "link_unreachable", true),
        (Answer::Endless(format!("{HEAD}X-Long: ")), "link_unreachable", true),
    ] {
        let answer = Mutex::new(Some(answer));
        let failure = failure_of(move |_| answer.lock().unwrap().take().unwrap(), "/").await;
        assert_eq!((failure.code.as_str(), failure.retryable), (code, may_pass), "{failure}");
    }
}

#[tokio::test]
async fn all_of_a_fetch_counts_against_its_time() {
    for answer in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"] {
        let site = Site::open("127.0.0.1:0", |_| Answer::Hanging(answer.into())).await;
        let fetching = fetcher(Dns::answering("10.0.0.1"));
        let error = fetching.fetch(&site.link("/"), LIMIT, Duration::from_millis(100)).await.unwrap_err();
        assert_eq!((error.code(), error.may_pass()), ("link_timed_out", true), "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_without_a_file_says_whether_it_may_pass_and_when() {
    for (status, code, may_pass) in [
        ("404 Not Found", "link_not_found", false),
        ("410 Gone", "link_not_found", false),
        ("403 Forbidden", "link_forbidden", false),
        ("400 Bad Request", "link_unusable", false),
        ("204 No Content", "link_unusable", false),
        ("206 Partial Content", "link_unusable", false),
        ("304 Not Modified", "link_unusable", false),
        ("408 Request Timeout", "link_unusable", true),
        ("429 Too Many Requests", "link_busy", true),
        ("500 Internal Server Error", "link_server_failed", true),
        ("503 Service Unavailable", "link_server_failed", true),
    ] {
        let failure = failure_of(move |_| Answer::Whole(format!("HTTP/1.1 {status}\r\n\r\n")), "/").await;
        assert_eq!((failure.code.as_str(), failure.retryable), (code, may_pass), "{status}");
        assert_eq!(failure.retry_after_ms, None);
    }
    for (asked, rest_ms) in [
        ("7", Some(7_000)),
        ("99999999999", Some(600_000)),
        ("Sun, 22 Nov 2026 10:00:30 GMT", Some(30_000)),
        ("Sun, 22 Nov 2026 09:00:00 GMT", None),
        ("soon", None),
        ("-1", None),
    ] {
        let head = format!("HTTP/1.1 429 Busy\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nRetry-After: {asked}\r\n\r\n");
        let failure = failure_of(move |_| Answer::Whole(head.clone()), "/").await;
        assert_eq!(failure.retry_after_ms, rest_ms, "{asked}");
    }
}

#[tokio::test]
async fn a_host_that_is_unknown_or_away_may_be_back_later() {
    let dns = Dns::answering("");
    let error = fetcher(dns.clone()).fetch("http://nobody.test/", LIMIT, LONG).await.unwrap_err();
    assert_eq!((error.code(), error.may_pass()), ("link_host_unknown", true));
    assert_eq!(dns.asked(), ["nobody.test"]);
    let vacant = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let link = format!("http://{}/", vacant.local_addr().unwrap());
    drop(vacant);
    let error = fetcher(dns).fetch(&link, LIMIT, LONG).await.unwrap_err();
    assert_eq!((error.code(), error.may_pass()), ("link_unreachable", true));
    // Plain text where TLS is expected.
    let site = Site::with_a_file("127.0.0.1:0").await;
    let link = site.link("/").replace("http:", "https:");
    let error = fetcher(Dns::answering("10.0.0.1")).fetch(&link, LIMIT, LONG).await.unwrap_err();
    assert_eq!(error.code(), "link_unreachable");
}

#[tokio::test]
async fn an_allowed_host_is_fetched_from_and_leads_nowhere_else() {
    let site = Site::open("127.0.0.1:0", |path| match path {
        "/out" => redirect_to("http://127.0.0.3/"),
        "/name" => redirect_to("http://private.test/"),
        _ => Answer::Whole(file("hello")),
    })
    .await;
    let dns = Dns::answering("127.0.0.1");
    let allowed = ["127.0.0.1:".to_owned() + &site.address.port().to_string(), "images.test".to_owned()];
    let allowed = allowed.iter().map(|entry| entry.parse().unwrap()).collect();
    let fetcher = Fetcher::with_resolver(allowed, dns).unwrap();
    let named = format!("http://images.test:{}/", site.address.port());
    assert_eq!(fetcher.fetch(&site.link("/"), LIMIT, LONG).await.unwrap().bytes, "hello");
    assert_eq!(fetcher.fetch(&named, LIMIT, LONG).await.unwrap().bytes, "hello");
    for path in ["/out", "/name"] {
        let error = fetcher.fetch(&site.link(path), LIMIT, LONG).await.unwrap_err();
        assert_eq!(error.code(), "link_address_refused", "{path}");
    }
}
