//! Mixvideo.
fn main() {}
