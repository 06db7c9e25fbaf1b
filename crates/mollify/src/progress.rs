//! Shows how far a run is: a bar where there is a terminal, a line now and then where there is none.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use bevy_ecs::prelude::*;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pipeline::{Act, After, Closing, Engine, Metric, Tick, Timing};
use ports::Images;

use crate::goal::{Goal, Goals};
use crate::stderr::say;

/// How often there is a line without a terminal.
const PAUSE: Duration = Duration::from_secs(10);
/// How many of the last losses the one shown is the mean of, roughly.
const WINDOW: f64 = 50.0;

/// How many images the run has seen if this tick brought any: clean ones, as data sets deliver them.
pub(crate) fn images_seen<'a>(images: impl Iterator<Item = Ref<'a, Images>>) -> Option<u64> {
    let data = images.filter(|images| images.is_changed() && images.is_clean() && images.step.is_none());
    data.map(|images| images.before + images.batch() as u64).max()
}

/// What is known of the act that is playing.
#[derive(Resource)]
struct Progress {
    bar: Option<ProgressBar>,
    act: usize,
    began: Instant,
    told: Instant,
    /// How far the act was when this process began with it.
    from: Option<u64>,
    loss: f64,
    losses: u32,
    /// What the last images that have arrived have cost, each.
    nfe: Option<f64>,
    /// What part of the time was spent on waiting for pictures.
    loader_wait: Option<f64>,
}

/// Shows the progress of this engine's run on the standard error.
pub(crate) fn show(engine: &mut Engine) {
    engine.world.insert_resource(Progress::new(engine.world.resource::<Act>().0));
    engine
        .add_systems(After, (note, tell).chain().after(ports::read_gauges).after(sampler::tell_evaluations));
}

impl Progress {
    fn new(act: usize) -> Self {
        let now = Instant::now();
        let bar = io::stderr().is_terminal().then(new_bar);
        Self {
            bar,
            act,
            began: now,
            told: now,
            from: None,
            loss: 0.0,
            losses: 0,
            nfe: None,
            loader_wait: None,
        }
    }

    /// `76800 of 150016 images, loss 0.4312, 950 images/s, loader wait 0.1 %, 1:17 left`, or
    /// `64 of 64 images, NFE 35, 310 images/s`.
    fn line(&self, tick: u64, goal: Option<Goal>) -> String {
        let mut parts = Vec::new();
        match goal {
            Some(Goal { done, of }) => parts.push(format!("{done} of {of} images")),
            None => parts.push(format!("tick {tick}")),
        }
        if self.losses > 0 {
            parts.push(format!("loss {:.4}", self.loss));
        }
        parts.extend(self.nfe.map(|nfe| format!("NFE {nfe}")));
        if let (Some(Goal { done, of }), Some(from)) = (goal, self.from) {
            let rate = done.saturating_sub(from) as f64 / self.began.elapsed().as_secs_f64().max(1e-3);
            if rate > 0.0 {
                parts.push(format!("{} images/s", three_digits(rate)));
            }
            parts.extend(self.loader_wait.map(|share| format!("loader wait {:.1} %", share * 100.0)));
            if rate > 0.0 && done < of {
                parts.push(format!("{} left", clock(of.saturating_sub(done) as f64 / rate)));
            }
        }
        parts.join(", ")
    }
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    let style = ProgressStyle::with_template("{bar:20} {wide_msg}").expect("the template is well-formed");
    bar.set_style(style.progress_chars("━╸ "));
    bar
}

/// Keeps a running mean of the loss, what images cost, and how long pictures were waited for.
fn note(
    mut metrics: MessageReader<Metric>,
    mut timings: MessageReader<Timing>,
    mut progress: ResMut<Progress>,
) {
    if let Some(wait) = timings.read().filter(|timing| timing.name == "loader_wait").last() {
        progress.loader_wait = Some(wait.value);
    }
    for metric in metrics.read() {
        match metric.name {
            "loss" if metric.value.is_finite() => {
                progress.losses = progress.losses.saturating_add(1);
                let weight = f64::from(progress.losses).min(WINDOW).recip();
                progress.loss += (metric.value - progress.loss) * weight;
            }
            "nfe" => progress.nfe = Some(metric.value),
            _ => {}
        }
    }
}

/// Moves the bar, or prints a line if it is time for one.
fn tell(mut progress: ResMut<Progress>, goals: Goals, tick: Res<Tick>, act: Res<Act>, closing: Res<Closing>) {
    let goal = goals.now();
    if progress.act != act.0 {
        *progress = Progress::new(act.0);
    }
    if progress.from.is_none() {
        // The first tick also compiles programs, so the clock starts behind it.
        progress.from = goal.map(|goal| goal.done);
        progress.began = Instant::now();
    }
    let line = progress.line(tick.0 + 1, goal);
    match &progress.bar {
        Some(bar) => {
            if let Some(Goal { done, of }) = goal {
                bar.set_length(of);
                bar.set_position(done);
            }
            bar.set_message(line);
            if closing.0 {
                bar.abandon();
            }
        }
        None if closing.0 || progress.told.elapsed() >= PAUSE => {
            say(line);
            progress.told = Instant::now();
        }
        None => {}
    }
}

/// `1:02:03`, or `2:03`.
pub(crate) fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

fn three_digits(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_hours_only_when_there_are_any() {
        assert_eq!(clock(63.4), "1:03");
        assert_eq!(clock(3723.0), "1:02:03");
    }

    #[test]
    fn a_line_says_what_is_known() {
        let mut progress = Progress { bar: None, ..Progress::new(0) };
        assert_eq!(progress.line(7, None), "tick 7");
        progress.loss = 0.43125;
        progress.losses = 3;
        let goal = Goal { done: 640, of: 1000 };
        assert_eq!(progress.line(10, Some(goal)), "640 of 1000 images, loss 0.4313");
        progress.nfe = Some(35.0);
        assert_eq!(progress.line(10, Some(goal)), "640 of 1000 images, loss 0.4313, NFE 35");
    }
}
