//! Load generator, comparison with other servers, and the upper limits of the machine (no Java twin).
//!
//! `bin/zkBench.sh` calls [`main`]. A measurement shares its processors with the server that it measures, so the
//! client does as little as possible: it serialises requests once (`template`), checks replies without building
//! records (`reply`), serves all connections on one thread (`worker`), and allocates no memory for an operation
//! (`lane`).

mod args;
mod error;
mod figures;
mod json;
mod latencies;
mod process_stats;

mod lane;
mod reply;
mod session;
mod template;
mod worker;

mod load;
mod null_server;
mod run_report;

mod compare;
pub mod crowd;
mod failover;
mod probe;
mod running_server;
mod scenarios;
mod server_process;
mod storm;
mod tail;

#[cfg(test)]
mod tests;

use std::fs;
use std::io::Write;

use crate::server::exit_code::ExitCode;

use args::{Asked, JsonTo, Work};
use error::BenchError;
use json::Json;
use load::{Second, Target};

/// Runs the command in the arguments that follow `bench`. Progress, results and errors go to `out`.
pub fn main(args: &[String], out: &mut dyn Write) -> ExitCode {
    let done = args::parse(args).and_then(|asked| run(asked, out));
    let code = match &done {
        Ok(()) => return ExitCode::ExecutionFinished,
        Err(BenchError::Arguments(_)) => ExitCode::InvalidInvocation,
        Err(_) => ExitCode::UnexpectedError,
    };
    if let Err(error) = done {
        // A failure to print is ignored: the exit code still reports the error.
        drop(writeln!(out, "zkBench: {error}"));
    }
    code
}

fn run(asked: Asked, out: &mut dyn Write) -> Result<(), BenchError> {
    match asked {
        Asked::Help(text) => print(out, &text),
        Asked::Run { target, work, json, quiet } => run_load(&target, &work, &json, quiet, out),
        Asked::Compare { plan, json } => {
            let (figures, done) = if json == JsonTo::Output {
                compare::compare(&plan, &mut std::io::sink())
            } else {
                compare::compare(&plan, out)
            };
            deliver(&json, &figures.to_json(), &figures.render(), out)?;
            done
        }
        Asked::Probe { plan, json } => {
            let bounds = probe::probe(&plan)?;
            deliver(&json, &probe::to_json(&bounds), &probe::render(&bounds), out)
        }
        Asked::Null { port } => {
            let server = null_server::NullServer::start(port, Box::new(|_, _| None));
            let server = server.map_err(BenchError::io(format!("listen on port {port}")))?;
            print(out, &format!("answers on {}\n", server.addr()))?;
            server.join();
            Ok(())
        }
    }
}

fn run_load(
    target: &Target,
    work: &Work,
    json: &JsonTo,
    quiet: bool,
    out: &mut dyn Write,
) -> Result<(), BenchError> {
    let progress = !quiet && *json != JsonTo::Output;
    let mut on_second = |second: Second| {
        if progress {
            // A closed output is reported when the result is printed.
            drop(
                out.write_all(run_report::second_line(second).as_bytes())
                    .and_then(|()| out.flush()),
            );
        }
    };
    let report = match work {
        Work::Load(load) => {
            load::populate(target)?;
            load::run(target, load, &mut on_second)?
        }
        Work::Create(creation) => load::create_nodes(target, *creation, &mut on_second)?,
    };
    deliver(json, &run_report::to_json(&report), &run_report::table(&report), out)?;
    report.fault().map_or(Ok(()), |fault| Err(BenchError::Protocol(fault)))
}

/// Writes the result to the requested place, in the requested form.
fn deliver(to: &JsonTo, json: &Json, table: &str, out: &mut dyn Write) -> Result<(), BenchError> {
    match to {
        JsonTo::Nobody => print(out, table),
        JsonTo::Output => print(out, &json.render()),
        JsonTo::File(path) => {
            print(out, table)?;
            let written = fs::write(path, json.render());
            written.map_err(BenchError::io(format!("write {}", path.display())))
        }
    }
}

fn print(out: &mut dyn Write, text: &str) -> Result<(), BenchError> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(BenchError::io("print"))
}
