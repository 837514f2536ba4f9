//! From the configuration to signing in with Google.

use secrecy::ExposeSecret as _;

use crate::auth::google::{Google, Off, Settings, Unusable};
use crate::auth::seal::Seal;
use crate::config::Config;
use crate::store::Database;

/// Google as configured, for browsers that reach this service at `public_url`; or why nobody can sign in.
///
/// # Errors
/// [`Unusable`].
pub fn open(config: &Config, public_url: &str, database: &Database) -> Result<Result<Google, Off>, Unusable> {
    let google = &config.auth.google;
    if google.client_id.is_empty() || google.client_secret.expose_secret().is_empty() {
        return Ok(Err(Off::NoClient));
    }
    // The configuration is checked when it is read: what cannot be used here is a key that is not there.
    let Ok(seal) = Seal::parse(config.auth.encryption_key.expose_secret()) else {
        return Ok(Err(Off::NoKey));
    };
    let settings = Settings {
        client_id: google.client_id.clone(),
        client_secret: google.client_secret.clone(),
        auth_url: google.auth_url.clone(),
        token_url: google.token_url.clone(),
        userinfo_url: google.userinfo_url.clone(),
        tokeninfo_url: google.tokeninfo_url.clone(),
        revoke_url: google.revoke_url.clone(),
        jwks_url: google.jwks_url.clone(),
        issuer: google.issuer.clone(),
        scopes: google.scopes.clone(),
        redirect_origins: google.redirect_origins.clone(),
        public_url: public_url.to_owned(),
    };
    Google::open(settings, seal, database.clone(), uuid::Uuid::now_v7).map(Ok)
}
