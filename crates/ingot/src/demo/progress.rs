//! Shows how far the demo is: bars with rates on a terminal, a line every two seconds elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use ingot_pipelines::PipelineEvent;

use crate::terminal;

const BAR_INTERVAL: Duration = Duration::from_millis(200);
const LINE_INTERVAL: Duration = Duration::from_secs(2);

/// What is counted while the demo runs. Cheap to clone; clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Records that the broker confirmed.
    pub sent: Arc<AtomicU64>,
    /// Rows written by this process, by dataset.
    datasets: Arc<Mutex<BTreeMap<String, u64>>>,
    expectations: Arc<Mutex<ExpectationCounts>>,
}

/// Rows that passed and failed, by dataset and expectation.
pub type ExpectationCounts = BTreeMap<(String, String), (u64, u64)>;

impl Counters {
    /// Takes an event of the pipeline into account.
    pub fn observe(&self, event: &PipelineEvent) {
        let PipelineEvent::FlowProgress {
            dataset,
            rows_out,
            expectations,
            ..
        } = event
        else {
            return;
        };
        let mut datasets = self.datasets.lock().unwrap_or_else(PoisonError::into_inner);
        *datasets.entry(dataset.clone()).or_default() += rows_out;
        let mut counts = self.expectations.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, passed, failed) in expectations {
            let count = counts.entry((dataset.clone(), name.clone())).or_default();
            count.0 += passed;
            count.1 += failed;
        }
    }

    /// Returns what the expectations counted in this process.
    pub fn expectations(&self) -> ExpectationCounts {
        let counts = self.expectations.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }

    fn datasets(&self) -> BTreeMap<String, u64> {
        self.datasets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Draws [`Counters`] until it is dropped.
pub struct Progress {
    counters: Counters,
    to_send: u64,
    started: Instant,
    display: Display,
}

enum Display {
    Bars {
        all: MultiProgress,
        bars: BTreeMap<String, ProgressBar>,
    },
    Lines,
}

impl Progress {
    /// Prepares to show `counters`, of which `sent` ends at `to_send`.
    pub fn new(counters: Counters, to_send: u64) -> Self {
        let display = if std::io::stderr().is_terminal() {
            Display::Bars {
                all: MultiProgress::new(),
                bars: BTreeMap::new(),
            }
        } else {
            Display::Lines
        };
        Self {
            counters,
            to_send,
            started: Instant::now(),
            display,
        }
    }

    /// Draws again and again; never ends by itself.
    pub async fn show(&mut self) {
        let interval = match self.display {
            Display::Bars { .. } => BAR_INTERVAL,
            Display::Lines => LINE_INTERVAL,
        };
        loop {
            tokio::time::sleep(interval).await;
            self.draw();
        }
    }

    /// Draws the last state and leaves it on the screen.
    pub fn finish(&mut self) {
        self.draw();
        if let Display::Bars { bars, .. } = &self.display {
            for bar in bars.values() {
                bar.abandon();
            }
        }
    }

    fn draw(&mut self) {
        let sent = self.counters.sent.load(Ordering::Relaxed);
        let datasets = self.counters.datasets();
        match &mut self.display {
            Display::Lines => {
                terminal::note(line(sent, self.to_send, &datasets, self.started.elapsed()));
            }
            Display::Bars { all, bars } => {
                let mut set = |name: &str, length: Option<u64>, position: u64| {
                    bars.entry(name.to_owned())
                        .or_insert_with(|| all.add(bar(name, length)))
                        .set_position(position);
                };
                set("sent", Some(self.to_send), sent);
                for (dataset, rows) in &datasets {
                    set(dataset, None, *rows);
                }
            }
        }
    }
}

fn bar(name: &str, length: Option<u64>) -> ProgressBar {
    let template = match length {
        Some(_) => "{prefix:<34} {bar:30} {human_pos:>9} of {human_len}  {per_sec}",
        None => "{prefix:<34} {spinner:30} {human_pos:>9} rows  {per_sec}",
    };
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(name.to_owned());
    bar
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn line(sent: u64, to_send: u64, datasets: &BTreeMap<String, u64>, elapsed: Duration) -> String {
    let rate = sent as f64 / elapsed.as_secs_f64().max(0.001);
    let mut text = format!("sent {sent} of {to_send} ({rate:.0}/s)");
    for (dataset, rows) in datasets {
        let rate = *rows as f64 / elapsed.as_secs_f64().max(0.001);
        text.push_str(&format!(" · {dataset} {rows} ({rate:.0}/s)"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_add_up_by_dataset() {
        let counters = Counters::default();
        for rows_out in [3, 4] {
            counters.observe(&PipelineEvent::FlowProgress {
                dataset: "main.bronze.flights".to_owned(),
                rows_in: 9,
                rows_out,
                expectations: vec![("valid".to_owned(), 8, 1)],
            });
        }
        let counted = counters.expectations();
        assert_eq!(counted.into_values().collect::<Vec<_>>(), [(16, 2)]);
        let text = line(10, 20, &counters.datasets(), Duration::from_secs(2));
        assert_eq!(text, "sent 10 of 20 (5/s) · main.bronze.flights 7 (4/s)");
    }
}
