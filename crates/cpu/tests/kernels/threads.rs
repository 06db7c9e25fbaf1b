use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mollify_cpu::Pool;

#[test]
fn every_task_runs_once() {
    for threads in 1..=4 {
        let mut pool = Pool::new(threads);
        for tasks in [0, 1, 2, 3, 7, 100] {
            let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            pool.run(tasks, |task, _| {
                counts[task].fetch_add(1, Relaxed);
            });
            assert!(
                counts.iter().all(|count| count.load(Relaxed) == 1),
                "{tasks} tasks on {threads} threads"
            );
        }
    }
}

#[test]
fn a_pool_wakes_up_after_a_rest() {
    let mut pool = Pool::new(3);
    for _ in 0..5 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        let sum = AtomicUsize::new(0);
        pool.run(10, |task, _| {
            sum.fetch_add(task, Relaxed);
        });
        assert_eq!(sum.into_inner(), 45);
    }
}

#[test]
fn a_panic_of_a_task_reaches_the_caller_and_the_pool_goes_on() {
    for threads in 1..=3 {
        let mut pool = Pool::new(threads);
        for guilty in [0, 5, 19] {
            let run = || pool.run(20, |task, _| assert_ne!(task, guilty, "guilty"));
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "task {guilty} on {threads} threads");
        }
        let count = AtomicUsize::new(0);
        pool.run(20, |_, _| {
            count.fetch_add(1, Relaxed);
        });
        assert_eq!(count.into_inner(), 20);
    }
}

#[test]
fn working_memory_is_aligned_and_stays() {
    let mut pool = Pool::new(1);
    pool.run(1, |_, scratch| {
        let [a, b] = scratch.take([5, 33]);
        assert_eq!([a.len(), b.len()], [5, 33]);
        assert!([a.as_ptr(), b.as_ptr()].iter().all(|start| start.addr().is_multiple_of(64)));
        let bytes = scratch.bytes();
        scratch.take([20]);
        assert_eq!(scratch.bytes(), bytes, "no more than before");
    });
}
