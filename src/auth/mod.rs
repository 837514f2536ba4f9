//! Who may ask for what: API keys, and the one table of what each role may call.

pub mod api_key;
pub mod roles;
