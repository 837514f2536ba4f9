//! The child's side: one job, then the end.

use std::io::{BufRead, Read, Write};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rlimit::Resource;
use serde::Serialize;
use serde_json::Value;

use super::{
    ASSIGNMENT_BYTES_MAX, Assignment, INPUT, Job, Limits, MISBEHAVE_VARIABLE, Misbehaviour, OUTPUT, Said, input_name,
};
use crate::activity::media;
use crate::domain::Failure;

/// How much politer than the server the child is towards other processes.
const NICENESS: i32 = 10;
/// How far a hard limit lies above its soft one, in the limit's own unit.
const HARD_LIMIT_MARGIN: u64 = 1;
/// The child's exit code when its parent is gone.
const PARENT_GONE: i32 = 3;

/// What `mixvideo worker` does: reads one assignment from stdin, carries it out within its limits and reports on
/// stdout. Exits with success whenever it could report, even a failure.
pub fn worker_main() -> ExitCode {
    let assignment = match read_assignment() {
        Ok(assignment) => assignment,
        Err(reason) => {
            eprintln!("mixvideo worker is started by the server and reads its job from stdin: {reason}");
            return ExitCode::from(2);
        }
    };
    // Before the limits, which its stack would count against.
    end_with_the_parent();
    if let Err(error) = confine(assignment.limits) {
        return say(&Said::Failed(Failure::passing("worker_not_confined", format!("no limits could be set: {error}"))));
    }
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| carry_out(&assignment.job)));
    say(&match outcome {
        Ok(Ok(result)) => Said::Done(result),
        Ok(Err(failure)) => Said::Failed(failure),
        // The same bytes panic again: another attempt would only repeat it.
        Err(_) => Said::Failed(Failure::fatal("decoder_crashed", "the picture could not be processed")),
    })
}

fn read_assignment() -> Result<Assignment, String> {
    let mut line = String::new();
    std::io::stdin().lock().take(ASSIGNMENT_BYTES_MAX).read_line(&mut line).map_err(|error| error.to_string())?;
    serde_json::from_str(&line).map_err(|error| error.to_string())
}

/// Ends this process when stdin ends, which is when the parent has died, however it died.
fn end_with_the_parent() {
    std::thread::spawn(|| {
        let ended = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        if ended.is_err() {
            eprintln!("the parent cannot be watched any longer");
        }
        std::process::exit(PARENT_GONE);
    });
}

/// Sets the limits; they can only be tightened from here on.
fn confine(limits: Limits) -> std::io::Result<()> {
    let memory = address_space_bytes()?.saturating_add(limits.memory_bytes);
    let wanted = [
        (Resource::AS, memory),
        (Resource::CPU, limits.cpu_s),
        (Resource::FSIZE, limits.file_bytes),
        (Resource::NOFILE, limits.open_files),
        (Resource::CORE, 0),
    ];
    for (resource, limit) in wanted {
        // A stricter limit that the administrator set stays. The hard limit is a little higher, because reaching it is
        // a plain SIGKILL while the soft one's signal says what happened.
        let hard = resource.get_hard()?.min(limit.saturating_add(HARD_LIMIT_MARGIN));
        resource.set(limit.min(hard), hard)?;
    }
    // Courtesy, not safety: a system that refuses either runs the job all the same.
    let polite = rustix::process::setpriority_process(None, NICENESS).is_ok();
    let first_to_go = std::fs::write("/proc/self/oom_score_adj", "1000").is_ok();
    if !(polite && first_to_go) {
        eprintln!("running at the server's own priority");
    }
    Ok(())
}

/// What the process has reserved by now: allocators reserve far more than they use, and a limit below that would fail
/// the first allocation.
fn address_space_bytes() -> std::io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text.split(' ').next().and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| std::io::Error::other("/proc/self/statm does not begin with a number"))?;
    Ok(pages.saturating_mul(rustix::param::page_size() as u64))
}

fn say(said: &Said) -> ExitCode {
    let line = serde_json::to_string(said).expect("a report holds texts and numbers only");
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn carry_out(job: &Job) -> Result<Value, Failure> {
    let (input, output) = (Path::new(INPUT), Path::new(OUTPUT));
    let progress = |part: f32| {
        say(&Said::Progress(part));
    };
    match job {
        Job::Picture => reported(media::take_picture(input, output)),
        Job::Render { render, pictures } => {
            let inputs: Vec<PathBuf> = (0..*pictures).map(|number| input_name(number).into()).collect();
            reported(media::render(render, &inputs, output, &progress))
        }
        Job::Image(restyle) => reported(media::restyle(restyle, input, output)),
        Job::Misbehave { how } if std::env::var_os(MISBEHAVE_VARIABLE).is_some() => Ok(misbehave(*how)),
        Job::Misbehave { .. } => Err(Failure::fatal("job_unknown", "there is no such job")),
    }
}

/// What the job left, as the parent hears it. The causes of a failure go to stderr, which is the server's log.
fn reported(outcome: Result<impl Serialize, media::Error>) -> Result<Value, Failure> {
    match outcome {
        Ok(left) => Ok(serde_json::to_value(left).expect("a report holds numbers only")),
        Err(error) => {
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(link) = cause {
                eprintln!("{link}");
                cause = link.source();
            }
            Err(error.into())
        }
    }
}

fn misbehave(how: Misbehaviour) -> Value {
    match how {
        Misbehaviour::Panic => panic!("the decoder met something it did not expect"),
        Misbehaviour::Abort => std::process::abort(),
        Misbehaviour::ExhaustMemory => {
            let mut held = Vec::new();
            loop {
                held.push(vec![1_u8; 16 << 20]);
            }
        }
        Misbehaviour::BurnProcessor => loop {
            std::hint::spin_loop();
        },
        Misbehaviour::WriteWithoutEnd => {
            let mut file = std::fs::File::create(OUTPUT).expect("the working directory is writable");
            while file.write_all(&[0; 65_536]).is_ok() {}
            Value::Null
        }
        Misbehaviour::Hang => {
            say(&Said::Progress(0.5));
            loop {
                std::thread::park();
            }
        }
        Misbehaviour::TalkGarbage => {
            println!("Segmentation fault (not really)");
            Value::Null
        }
        Misbehaviour::EndSilently => std::process::exit(0),
        Misbehaviour::TouchEnvironment => {
            let names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
            serde_json::json!({ "variables": names })
        }
    }
}
