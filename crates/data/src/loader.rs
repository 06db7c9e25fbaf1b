//! Threads that make batches ahead of time, and how long a run waits for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bevy_ecs::error::Result;
use pipeline::Feed;

use crate::picture_set::PictureSet;
use crate::pictures::{Batch, Order};

/// Batches that each thread may be ahead.
const AHEAD: usize = 2;

/// The loader threads of one node.
pub struct Loader {
    feed: Feed<Batch>,
    /// Where in the run the next batch starts.
    next: u64,
    size: u64,
    /// When the first batch was there.
    began: Option<Instant>,
    /// How long later ones were waited for.
    waited: Duration,
}

impl Loader {
    /// Starts threads that make batches of `size` pictures from a position of the run.
    pub fn start(set: PictureSet, order: Order, from: u64, size: usize, threads: usize) -> Self {
        let (set, size) = (Arc::new(set), size as u64);
        let make = move |item: u64| {
            let start = from + item * size;
            Ok(order.batch(&*set, start..start + size)?)
        };
        let feed = Feed::start(threads, AHEAD, 0, make);
        Self { feed, next: from, size, began: None, waited: Duration::ZERO }
    }

    /// Where in the run the next batch starts.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The next batch, and what part of the time since the first one was spent on waiting.
    pub fn take(&mut self) -> Result<(Batch, Option<f64>)> {
        let asked = Instant::now();
        let batch = self.feed.take()?;
        self.next += self.size;
        let Some(began) = self.began else {
            self.began = Some(Instant::now());
            return Ok((batch, None));
        };
        self.waited += asked.elapsed();
        Ok((batch, Some(self.waited.as_secs_f64() / began.elapsed().as_secs_f64().max(1e-9))))
    }
}
