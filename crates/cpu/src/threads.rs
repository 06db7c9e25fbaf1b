//! Fork and join over a fixed set of threads, each with working memory of its own.
//!
//! Tasks are independent, so which thread takes which task never shows in a result. Every thread starts with its own
//! stretch of the tasks (neighbours share data) and helps the others when it is done.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{JoinHandle, Thread};

use crate::{Level, Scratch};

/// How often a thread looks for news at once: for some 50 µs, as long as to wake up takes.
const SPINS: usize = 4000;
/// How often it lets others have its core between two looks, before it sleeps: for as long again and more, where nobody
/// wants the core.
const YIELDS: usize = 400;

/// A set of threads with their working memory, and the instructions that kernels use.
pub struct Pool {
    level: Level,
    team: Arc<Team>,
    handles: Vec<JoinHandle<()>>,
    scratch: Scratch,
    shared: Scratch,
}

/// What runs tasks: a [`Pool`] without the working memory that all tasks of a kernel share.
pub struct Workers<'a> {
    pub level: Level,
    team: &'a Team,
    scratch: &'a mut Scratch,
}

/// One thread's stretch of the tasks; apart from the others' in memory.
#[repr(align(64))]
#[derive(Default)]
struct Stretch {
    next: AtomicUsize,
    end: AtomicUsize,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

struct Team {
    /// Counts calls of `run`; a change is the signal to start.
    epoch: AtomicUsize,
    /// The tasks of this epoch.
    job: UnsafeCell<Option<Job>>,
    /// Workers that have not finished this epoch.
    busy: AtomicUsize,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    stretches: Vec<Stretch>,
    /// Who waits for `busy` to become 0.
    caller: Mutex<Option<Thread>>,
}

/// What every thread does with its tasks.
type Work<'a> = dyn Fn(&mut Tasks, &mut Scratch) + Sync + 'a;

type Job = *const Work<'static>;

/// The tasks of one thread, as it takes them: its own stretch first, then what the others have left.
pub struct Tasks<'a> {
    stretches: &'a [Stretch],
    /// The stretch that tasks are taken from now.
    current: usize,
    /// Stretches that are left, the current one included.
    left: usize,
}

impl Iterator for Tasks<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while self.left > 0 {
            let stretch = &self.stretches[self.current];
            let index = stretch.next.fetch_add(1, Relaxed);
            if index < stretch.end.load(Relaxed) {
                return Some(index);
            }
            self.current = (self.current + 1) % self.stretches.len();
            self.left -= 1;
        }
        None
    }
}

// SAFETY: `job` is written only while `busy` is 0, and read only between a change of `epoch` and the end of `busy`.
unsafe impl Sync for Team {}
// SAFETY: the pointer in `job` is only followed while `run`, which owns what it points at, waits.
unsafe impl Send for Team {}

impl Pool {
    /// A pool of that many threads, the calling one included, at the machine's best level.
    pub fn new(threads: usize) -> Pool {
        Pool::with_level(threads, Level::detect())
    }

    pub fn with_level(threads: usize, level: Level) -> Pool {
        assert!(level.is_available(), "this machine has no {level:?}");
        let threads = threads.max(1);
        let team = Arc::new(Team {
            epoch: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            busy: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
            stretches: (0..threads).map(|_| Stretch::default()).collect(),
            caller: Mutex::new(None),
        });
        let spawn = |me: usize| {
            let team = team.clone();
            let work = move || team.work(me);
            std::thread::Builder::new()
                .name(format!("cpu-{me}"))
                .spawn(work)
                .expect("the system starts a thread")
        };
        let handles = (1..threads).map(spawn).collect();
        Pool { level, team, handles, scratch: Scratch::default(), shared: Scratch::default() }
    }

    pub fn level(&self) -> Level {
        self.level
    }

    pub fn threads(&self) -> usize {
        self.team.stretches.len()
    }

    /// The threads, and working memory that the tasks of one kernel share.
    pub fn split(&mut self) -> (Workers<'_>, &mut Scratch) {
        (Workers { level: self.level, team: &self.team, scratch: &mut self.scratch }, &mut self.shared)
    }

    /// Runs `task(0)` to `task(tasks - 1)`, in any order, and waits for them.
    pub fn run(&mut self, tasks: usize, task: impl Fn(usize, &mut Scratch) + Sync) {
        self.split().0.run(tasks, task);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.team.stop.store(true, Release);
        self.team.start();
        for handle in self.handles.drain(..) {
            let _ = handle.join();
        }
    }
}

impl Workers<'_> {
    pub fn threads(&self) -> usize {
        self.team.stretches.len()
    }

    /// Runs `task(0)` to `task(tasks - 1)`, in any order, and waits for them. A panic of a task goes on here.
    pub fn run(&mut self, tasks: usize, task: impl Fn(usize, &mut Scratch) + Sync) {
        self.run_by_thread(tasks, |tasks, scratch| tasks.for_each(|index| task(index, scratch)));
    }

    /// Runs `work` on every thread, which is to do the tasks that it is handed: as [`Workers::run`], for what threads
    /// prepare once for all of theirs.
    pub fn run_by_thread(&mut self, tasks: usize, work: impl Fn(&mut Tasks, &mut Scratch) + Sync) {
        if tasks > 0 {
            self.team.run(tasks, &work, self.scratch);
        }
    }
}

impl Team {
    fn run(&self, tasks: usize, work: &Work, scratch: &mut Scratch) {
        let threads = self.stretches.len().min(tasks);
        for (index, stretch) in self.stretches.iter().enumerate() {
            let [start, end] = [index, index + 1].map(|index| index.min(threads) * tasks / threads);
            stretch.next.store(start, Relaxed);
            stretch.end.store(end, Relaxed);
        }
        if threads == 1 {
            return work(&mut self.tasks(0), scratch);
        }
        // SAFETY: no worker is busy, so nobody reads `job`; the lifetime is that of this call, which waits for all.
        unsafe { *self.job.get() = Some(std::mem::transmute::<&Work, Job>(work)) };
        *lock(&self.caller) = Some(std::thread::current());
        self.busy.store(self.stretches.len() - 1, Relaxed);
        self.start();
        let own = catch_unwind(AssertUnwindSafe(|| work(&mut self.tasks(0), scratch)));
        if own.is_err() {
            self.cancel();
        }
        self.wait();
        let others = lock(&self.panic).take();
        if let Some(panic) = own.err().or(others) {
            resume_unwind(panic);
        }
    }

    /// What the thread `me` takes.
    fn tasks(&self, me: usize) -> Tasks<'_> {
        Tasks { stretches: &self.stretches, current: me, left: self.stretches.len() }
    }

    /// Signals a new epoch.
    fn start(&self) {
        self.epoch.fetch_add(1, SeqCst);
        for stretch in self.stretches.iter().filter(|stretch| stretch.asleep.load(SeqCst)) {
            if let Some(thread) = stretch.thread.get() {
                thread.unpark();
            }
        }
    }

    fn wait(&self) {
        let done = || self.busy.load(Acquire) == 0;
        if !look_out(done) {
            while !done() {
                std::thread::park();
            }
        }
    }

    /// The life of a worker.
    fn work(&self, me: usize) {
        let _ = self.stretches[me].thread.set(std::thread::current());
        let mut scratch = Scratch::default();
        let mut epoch = 0;
        loop {
            epoch = self.next_epoch(me, epoch);
            if self.stop.load(Acquire) {
                return;
            }
            // SAFETY: `run` has set the job before this epoch and waits until this worker is not busy any more.
            let job = unsafe { &*(*self.job.get()).expect("an epoch has a job") };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job(&mut self.tasks(me), &mut scratch))) {
                self.cancel();
                *lock(&self.panic) = Some(panic);
            }
            let caller = lock(&self.caller).clone();
            let last = self.busy.fetch_sub(1, Release) == 1;
            if let (true, Some(caller)) = (last, caller) {
                caller.unpark();
            }
        }
    }

    /// Waits until the epoch is not `last` any more: first awake, then asleep.
    fn next_epoch(&self, me: usize, last: usize) -> usize {
        if look_out(|| self.epoch.load(Acquire) != last) {
            return self.epoch.load(Acquire);
        }
        self.stretches[me].asleep.store(true, SeqCst);
        while self.epoch.load(SeqCst) == last {
            std::thread::park();
        }
        self.stretches[me].asleep.store(false, SeqCst);
        self.epoch.load(Acquire)
    }

    /// Drops the tasks that nobody has taken.
    fn cancel(&self) {
        for stretch in &self.stretches {
            stretch.next.store(stretch.end.load(Relaxed), Relaxed);
        }
    }
}

/// Whether something has happened within a short time.
fn look_out(happened: impl Fn() -> bool) -> bool {
    for look in 0..SPINS + YIELDS {
        if happened() {
            return true;
        }
        if look < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
    }
    false
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
