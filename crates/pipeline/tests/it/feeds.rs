//! Loader threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use insta::assert_snapshot;
use mollify_pipeline::Feed;

use crate::toy::Count;
use crate::wire;

#[test]
fn items_come_in_order_for_any_number_of_workers() {
    for workers in [0, 1, 2, 3, 7] {
        for from in [0, 1, 5, 1000] {
            let mut feed = Feed::start(workers, 2, from, Ok);
            let items: Vec<u64> = (0..20).map(|_| feed.take().unwrap()).collect();
            assert_eq!(items, (from..from + 20).collect::<Vec<u64>>(), "{workers} workers from {from}");
            assert_eq!(feed.position(), from + 20);
        }
    }
}

#[test]
fn workers_wait_for_their_reader() {
    let made = Arc::new(AtomicU64::new(0));
    let mut feed = Feed::start(2, 3, 0, {
        let made = made.clone();
        move |item| {
            made.fetch_add(1, Ordering::SeqCst);
            Ok(item)
        }
    });
    for _ in 0..10 {
        feed.take().unwrap();
    }
    // Ten were taken; each of the two lanes holds three, and each worker one more in its hands.
    assert!(made.load(Ordering::SeqCst) <= 10 + 2 * 4);
    drop(feed);
    assert!(made.load(Ordering::SeqCst) <= 10 + 2 * 4);
}

#[test]
fn dropping_a_feed_joins_its_threads_even_while_they_wait() {
    let alive = Arc::new(());
    let feed = Feed::start(4, 1, 0, {
        let alive = alive.clone();
        move |item| Ok((item, alive.clone()))
    });
    drop(feed);
    assert_eq!(Arc::strong_count(&alive), 1, "every thread has let go");
}

#[test]
fn an_error_ends_its_lane_only_when_it_is_reached() {
    let mut feed = Feed::start(2, 4, 0, |item| if item == 3 { Err("bad item".into()) } else { Ok(item) });
    for item in 0..3 {
        assert_eq!(feed.take().unwrap(), item);
    }
    assert_eq!(feed.take().unwrap_err().to_string().trim_end(), "bad item");
    assert_eq!(feed.take().unwrap_err().to_string().trim_end(), "loader thread 1 has ended after an error");
}

#[test]
fn a_loader_that_fails_is_blamed_on_its_node() {
    let mut engine = wire(r#" "data": Load(workers: 3, broken: 5), "n": Until(ticks: 9) "#);
    let failure = engine.run().unwrap_err();
    assert_eq!((failure.node.as_str(), failure.tick), ("data", 5));
    assert_eq!(engine.value::<Count>("data"), Some(&Count(4)));
    assert_snapshot!(failure);
}

#[test]
fn a_loader_that_panics_is_blamed_on_its_node() {
    let mut engine = wire(r#" "data": Load(workers: 3, broken: 2, panics: true), "n": Until(ticks: 9) "#);
    assert_snapshot!(engine.run().unwrap_err());
}
