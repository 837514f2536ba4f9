//! What the disk holds of others' secrets: nothing that can be read.

use std::path::Path;

use super::browser::Browser;
use super::{APP, parameter, signing, text};

/// Whether a file of the directory holds `needle`.
fn holds(directory: &Path, needle: &str) -> bool {
    let mut files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.any(|file| {
        let bytes = if file.is_file() { std::fs::read(file).unwrap() } else { Vec::new() };
        bytes.windows(needle.len()).any(|part| part == needle.as_bytes())
    })
}

#[test]
fn no_token_and_no_code_is_on_disk_in_the_clear() {
    signing(async |signing| {
        let (token, user) = signing.token_of("ada").await;
        let url = signing.authorize(&format!("?redirect_url={APP}"));
        let landed = Browser::new().consent(&url, "bea", APP).await.url;
        let code = parameter(&landed, "code").unwrap();
        let directory = signing.server.directory.path();
        assert!(holds(directory, "ada@example.com") && holds(directory, &user), "this test looks in the wrong place");
        assert!(
            holds(directory, &hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&token))),
            "the hash is not there"
        );
        for secret in [&token, &code] {
            assert!(!holds(directory, secret), "{secret} can be read");
        }
        // The token that the code stands for, while it waits to be exchanged.
        let waiting = text(&signing.exchange(&code).await.data()["access_token"]);
        assert!(!holds(directory, &waiting), "{waiting} can be read");
        // Refresh tokens are seen here alone: what the table holds is sealed, and opens for its user alone.
        let database = &signing.server.database;
        let rows = mixvideo_users(database).await;
        assert_eq!(rows.len(), 2);
        let seal = mixvideo::auth::seal::Seal::parse(super::KEY).unwrap();
        for (sub, sealed) in rows {
            let opened = seal.open(&format!("refresh_token:{sub}"), &sealed).expect("it opens for its user");
            let refresh_token = secrecy::ExposeSecret::expose_secret(&opened).to_owned();
            assert!(refresh_token.len() > 20 && !sealed.contains(&refresh_token));
            assert!(!holds(directory, &refresh_token), "a refresh token can be read");
            assert!(seal.open("refresh_token:another", &sealed).is_none());
        }
    });
}

async fn mixvideo_users(database: &sea_orm::DatabaseConnection) -> Vec<(String, String)> {
    use sea_orm::{ConnectionTrait as _, Statement};
    let sql = "SELECT google_sub, refresh_token FROM users";
    let rows = database.query_all_raw(Statement::from_string(database.get_database_backend(), sql)).await.unwrap();
    rows.iter().map(|row| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap())).collect()
}
