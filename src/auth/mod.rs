//! Who may ask for what: API keys, people who sign in with Google, and the one table of what each role may call.

pub mod api_key;
pub mod google;
pub mod roles;
pub mod seal;
