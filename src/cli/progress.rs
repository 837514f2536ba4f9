//! A bar on a terminal, plain lines elsewhere; both on standard error.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Percents between two plain lines.
const LINE_STEP: u64 = 10;
const TICK: Duration = Duration::from_millis(120);

/// How far something is, in percent.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    label: String,
    told: Option<u64>,
}

impl Progress {
    /// A bar for `label`; `quiet` shows nothing.
    pub(super) fn new(label: &str, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{msg}  [{bar:40}] {pos:>3} %  {elapsed}")
                .expect("the template is a constant")
                .progress_chars("=> ");
            let bar = ProgressBar::new(100).with_style(style).with_message(label.to_owned());
            bar.enable_steady_tick(TICK);
            bar
        });
        let told = quiet.then_some(u64::MAX);
        Self { bar, label: label.to_owned(), told }
    }

    /// It is at `percent`; it never goes back.
    pub(super) fn at(&mut self, percent: u64) {
        let percent = percent.min(100);
        if let Some(bar) = &self.bar {
            bar.set_position(bar.position().max(percent));
        } else if self.is_news(percent) {
            eprintln!("{}: {percent} %", self.label);
            self.told = Some(percent);
        }
    }

    /// Whether a line is due.
    fn is_news(&self, percent: u64) -> bool {
        self.told.is_none_or(|told| percent >= told.saturating_add(LINE_STEP) || (percent == 100 && told < 100))
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_come_every_ten_percent_and_at_the_end() {
        let mut progress = Progress { bar: None, label: "a".into(), told: None };
        let news: Vec<u64> = [0, 1, 9, 12, 21, 22, 95, 96, 100, 100]
            .into_iter()
            .filter(|percent| {
                let news = progress.is_news(*percent);
                progress.told = if news { Some(*percent) } else { progress.told };
                news
            })
            .collect();
        assert_eq!(news, [0, 12, 22, 95, 100]);
    }

    #[test]
    fn quiet_says_nothing() {
        assert!(!Progress::new("a", true).is_news(100));
    }
}
