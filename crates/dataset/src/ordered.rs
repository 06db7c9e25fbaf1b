//! Works on items on several threads and hands the results on in order, with few of them in memory.

use std::num::NonZero;
use std::sync::mpsc::sync_channel;
use std::thread;

/// How many results each thread may be ahead.
const AHEAD: usize = 4;

/// Calls `work` for `0..count` on threads, each with a state of its own, and `take` with the results in order, here.
///
/// Ends at the first failure of `take`. Results wait in one lane a thread, which takes every so many-th item, so that
/// neither the order nor the memory depends on how fast the threads are.
pub fn in_order<S, T: Send>(
    count: usize,
    threads: NonZero<usize>,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
    mut take: impl FnMut(usize, T) -> Result<(), String>,
) -> Result<(), String> {
    let threads = threads.get().min(count.max(1));
    let (state, work) = (&state, &work);
    thread::scope(|scope| {
        let lane = |first: usize| {
            let (send, receive) = sync_channel(AHEAD);
            scope.spawn(move || {
                let mut state = state();
                // Nobody listens any more when `take` has failed.
                let _ =
                    (first..count).step_by(threads).try_for_each(|item| send.send(work(&mut state, item)));
            });
            receive
        };
        let lanes: Vec<_> = (0..threads).map(lane).collect();
        (0..count).try_for_each(|item| {
            let result = lanes[item % threads].recv();
            take(item, result.map_err(|_| format!("a thread has failed at item {item}"))?)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        for threads in 1..5 {
            let mut found = Vec::new();
            let threads = NonZero::new(threads).expect("not zero");
            let take = |item, square| {
                found.push((item, square));
                Ok(())
            };
            in_order(50, threads, || (), |(), item| item * item, take).expect("nothing fails");
            assert!(found.iter().enumerate().all(|(i, found)| *found == (i, i * i)), "{found:?}");
            assert_eq!(found.len(), 50);
        }
    }

    #[test]
    fn a_failure_ends_it_at_once() {
        let take = |item, ()| if item < 3 { Ok(()) } else { Err("enough".to_owned()) };
        let threads = NonZero::new(2).expect("not zero");
        assert_eq!(in_order(1_000_000_000, threads, || (), |(), _| (), take), Err("enough".into()));
    }
}
