//! Mixvideo sells and runs media templates: a photo in, a video out.
//!
//! In reading order: `domain` decides, `runtime` carries out and survives, `activity` does the work of a step,
//! `gateway` takes payments, `store` queries, `auth` and `http` are the front, `app` puts everything together.
#![doc = include_str!("ARCHITECTURE.md")]

pub mod domain;
pub mod runtime;

pub mod activity;
pub mod gateway;
pub mod store;

pub mod auth;
pub mod http;

pub mod app;
pub mod cli;
pub mod config;
