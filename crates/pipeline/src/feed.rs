//! Threads that make items ahead of time.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use bevy_ecs::prelude::*;
use crossbeam_channel::{Receiver, Sender, bounded};

/// Worker threads making items ahead of time, a few each, in a fixed order.
///
/// Worker `w` of `n` makes the items `w, w + n, w + 2n, …` and the reader takes turns, so the order never depends
/// on which thread is faster. A worker that is `ahead` items ahead waits. Dropping the feed joins every thread.
#[derive(Component)]
pub struct Feed<T: Send + Sync + 'static> {
    lanes: Vec<Receiver<Result<T>>>,
    workers: Vec<JoinHandle<()>>,
    next: u64,
}

impl<T: Send + Sync + 'static> Feed<T> {
    /// Starts at least one worker; `from` is the first item, which a resumed run takes from its checkpoint.
    pub fn start<F>(workers: usize, ahead: usize, from: u64, make: F) -> Self
    where
        F: Fn(u64) -> Result<T> + Clone + Send + 'static,
    {
        let count = workers.max(1) as u64;
        let mut feed = Feed { lanes: Vec::new(), workers: Vec::new(), next: from };
        for w in 0..count {
            let (lane, items) = bounded(ahead);
            let make = make.clone();
            let first = from + (w + count - from % count) % count;
            feed.lanes.push(items);
            feed.workers.push(std::thread::spawn(move || work(first, count, &lane, make)));
        }
        feed
    }

    /// The next item; waits for it if the workers are behind. A worker's error or panic is the error of its item.
    pub fn take(&mut self) -> Result<T> {
        let lane = (self.next % self.lanes.len() as u64) as usize;
        let ended = |_| format!("loader thread {lane} has ended after an error");
        let item = self.lanes[lane].recv().map_err(ended)??;
        self.next += 1;
        Ok(item)
    }

    /// The number of the item that [`take`](Self::take) returns next.
    pub fn position(&self) -> u64 {
        self.next
    }
}

/// Makes every `step`-th item until one fails or nobody wants them any more.
fn work<T>(first: u64, step: u64, lane: &Sender<Result<T>>, make: impl Fn(u64) -> Result<T>) {
    for item in (first..).step_by(step as usize) {
        let made = catch_unwind(AssertUnwindSafe(|| make(item))).unwrap_or_else(|payload| {
            Err(format!("the loader of item {item} panicked: {}", text(&*payload)).into())
        });
        let last = made.is_err();
        if lane.send(made).is_err() || last {
            return;
        }
    }
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or(payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

impl<T: Send + Sync + 'static> Drop for Feed<T> {
    fn drop(&mut self) {
        // Hang up first, or the workers would wait for room that never comes.
        self.lanes.clear();
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}
