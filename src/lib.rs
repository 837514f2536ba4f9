//! Mixvideo sells and runs media templates: a photo in, a video out.

pub mod activity;
pub mod auth;
pub mod domain;
pub mod http;
pub mod runtime;
pub mod store;
