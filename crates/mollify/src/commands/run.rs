//! `mollify run`: runs a pipeline, or every point of its sweep.

use std::time::Instant;

use checkpoint::newest_good;
use pipeline::{Engine, Error, Failure, Interrupt, Note, Outcome, Plugin, Tick};
use ports::{Machine, Run};

use crate::commands::Ending;
use crate::explanation::Explanation;
use crate::problem::{Problem, print};
use crate::stderr::say;
use crate::world::Point;
use crate::{
    args, device, interrupt, metrics_file, notes, plan, profile, progress, resume, run_folder, world,
};

pub(crate) fn run(args: &args::Run, plugins: &[&dyn Plugin]) -> Result<Ending, Problem> {
    let points = world::points(&args.file, &args.settings.settings)?;
    // A mistake at the last point should not wait until the others have run.
    for point in &points {
        world::wired(&args.file, &point.settings, plugins)?;
    }
    let opened = device::open(&args.hardware)?;
    if args.profile {
        opened.machine.0.profile()?;
    }
    let interrupt = interrupt::on_ctrl_c()?;
    let say = |line: String| {
        if !args.quiet {
            say(line)
        }
    };
    say(opened.line());
    if let Some(warning) = opened.warning() {
        say(format!("warning: {warning}"));
    }
    if let (Some(gpu), false, Some(first)) = (&opened.gpu, args.quiet, points.first()) {
        plan::lines(&args.file, &first.settings, plugins, gpu.offer())?.into_iter().for_each(say);
    }
    let mut ending = Ending::Done;
    for (i, point) in points.iter().enumerate() {
        if points.len() > 1 {
            say(format!("point {} of {}: {}", i + 1, points.len(), point.name));
        }
        let swept = points.len() > 1;
        ending = play(args, point, swept, &opened.machine, &interrupt, plugins)?;
        if ending == Ending::Interrupted {
            break;
        }
    }
    if args.profile {
        print(&profile::table(&opened.machine.0.times()?))?;
    }
    Ok(ending)
}

/// Runs one world to its end.
fn play(
    args: &args::Run,
    point: &Point,
    swept: bool,
    machine: &Machine,
    interrupt: &Interrupt,
    plugins: &[&dyn Plugin],
) -> Result<Ending, Problem> {
    let (mut engine, pipeline) = world::wired(&args.file, &point.settings, plugins)?;
    let run = run_folder::run(&args.file, &point.name, &pipeline);
    let folder = run.folder.display().to_string();
    engine.world.insert_resource(machine.clone());
    engine.world.insert_resource(interrupt.clone());
    engine.world.insert_resource(run.clone());
    let say = |line: String| {
        if !args.quiet {
            say(line)
        }
    };

    let ticks = begin(args, &mut engine, &run, swept)?;
    if engine.is_finished() {
        say(format!("this run was finished after {ticks} ticks, so there is nothing to do"));
        return Ok(Ending::Done);
    }
    if ticks > 0 {
        say(format!("going on after {ticks} ticks"));
    }
    metrics_file::log(&mut engine, &run.folder, ticks)?;
    if !args.quiet {
        warn_of_data(&mut engine);
        progress::show(&mut engine);
        notes::show(&mut engine);
    }
    let began = Instant::now();
    let outcome = engine.run().map_err(|failure| with_way_back(failure, &mut engine, &run))?;
    let time = progress::clock(began.elapsed().as_secs_f64());
    let done = engine.world.resource::<Tick>().0;
    match outcome {
        Outcome::Finished => {
            say(format!("finished after {done} ticks, in {time}; the run is in {folder}"));
            Ok(Ending::Done)
        }
        Outcome::Interrupted => {
            let then = match resume::states(&mut engine, &run) {
                Some(_) => "`--resume` goes on from here",
                None => "nothing was saved, because the pipeline has no `Checkpoint`",
            };
            say(format!("interrupted after {done} ticks, in {time}; {then}"));
            Ok(Ending::Interrupted)
        }
    }
}

/// Notes that pictures are not as spread as their network is made for.
fn warn_of_data(engine: &mut Engine) {
    for warning in Explanation::of(engine).of_data() {
        engine.world.write_message(Note(format!("warning: {warning}")));
    }
}

/// What went wrong, with how to go on from the last state if there is one.
fn with_way_back(failure: Failure, engine: &mut Engine, run: &Run) -> Problem {
    let mut report = failure.report;
    let states = resume::states(engine, run).and_then(|folder| newest_good(&folder).ok());
    if let Some((_, state)) = states.and_then(|newest| newest.good)
        && let Some(last) = report.errors.pop()
    {
        let help = format!("`--resume` goes on from the last state, that after {} ticks", state.tick);
        report.errors.push(last.help(help));
    }
    report.into()
}

/// Readies the run's folder and says how many ticks the run has behind it.
fn begin(args: &args::Run, engine: &mut Engine, run: &Run, swept: bool) -> Result<u64, Problem> {
    run_folder::make(&run.folder)?;
    let states = resume::states(engine, run);
    let Some(states) = states else {
        return match &args.resume {
            None => Ok(0),
            Some(_) => Err(Error::new("a pipeline without a `Checkpoint` keeps no state to resume from")
                .help("leave out `--resume`")
                .into()),
        };
    };
    if let Some(Some(state)) = &args.resume {
        run_folder::expect_no_states(&states)?;
        return resume::resume_from(engine, state);
    }
    if args.resume.is_none() {
        if args.fresh {
            let aside = run_folder::set_aside(&states)?.filter(|_| !args.quiet);
            aside
                .iter()
                .for_each(|aside| say(format_args!("the earlier run is in `{}` now", aside.display())));
        }
        run_folder::expect_no_states(&states)?;
        return Ok(0);
    }
    match resume::resume(engine, &states, args.quiet)? {
        Some(ticks) => Ok(ticks),
        // A sweep that was interrupted never came to its later points.
        None if swept => Ok(0),
        None => Err(Error::new(format!("`{}` holds no state to resume from", states.display()))
            .help("without `--resume` the run starts from its beginning")
            .into()),
    }
}
