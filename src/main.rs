//! The `zookeeper` binary: the first word of its command line selects Java's main class (no Java twin).
//!
//! Only this file ends the process.

use std::fs;
use std::io::{self, BufReader, IsTerminal, Write};
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam::channel::Sender;
use log::warn;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use zookeeper_server::internals::bench;
use zookeeper_server::internals::client::four_letter_word_main;
use zookeeper_server::internals::command_line::CommandLine;
use zookeeper_server::internals::logging::{self, LogTo};
use zookeeper_server::internals::server::auth::digest_authentication_provider::DigestAuthenticationProvider;
use zookeeper_server::internals::server::exit_code::ExitCode;
use zookeeper_server::internals::server::persistence::txn_log_toolkit;
use zookeeper_server::internals::server::purge_txn_log;
use zookeeper_server::internals::server::quorum::quorum_peer_main;
use zookeeper_server::internals::server::snapshot_formatter;
use zookeeper_server::internals::server::zookeeper_thread;
use zookeeper_server::internals::zookeeper_main;
use zookeeper_server::version;

const USAGE: &str = "\
Usage: zookeeper [-Dkey=value ...] COMMAND [arguments]
  server CONFIG | PORT DATADIR [TICKTIME] [MAXCNXNS]
                                        serve
  cli [-server HOST:PORT] [COMMAND ...] work with a server's nodes, as zkCli.sh
  digest USER:PASSWORD ...              print what ACLs and superDigest need of a password
  purge DATALOGDIR [SNAPDIR] -n COUNT   remove old snapshots and logs
  txnlog [-d|-r|-v|-y] [-c -z ZXID] FILE
                                        print, check, repair or cut a transaction log
  snapshot [-d|-json] FILE              print a snapshot
  bench run|compare|probe|null ...      load a server, compare servers, measure the machine
  4lw HOST PORT WORD                    ask a server with a four-letter word
  version                               print which release this is
";

/// The logger's name.
const LOG: &str = "org.apache.zookeeper.Main";

fn main() -> process::ExitCode {
    let line = CommandLine::parse(
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()),
    );
    let code = run(line);
    process::ExitCode::from(u8::try_from(code.value()).unwrap_or(1))
}

fn run(line: CommandLine) -> ExitCode {
    let log_to = if line.word.as_deref() == Some("server") { LogTo::Stdout } else { LogTo::Stderr };
    let log_context = logging::init(&line.properties, log_to);
    if let Some(notice) = line.notice() {
        warn!(target: LOG, "{notice}");
    }
    match line.word.as_deref() {
        Some("server") => {
            fail_at_file_size_limit();
            return_freed_memory();
            let mut err = io::stderr();
            let properties = line.properties.clone();
            quorum_peer_main::main(&line.args, properties, &log_context, &mut err, stop_on_signals)
        }
        Some("cli") => cli(&line),
        Some("digest") => digest(&line),
        Some("purge") => {
            let (mut out, mut err) = (io::stdout(), io::stderr());
            purge_txn_log::main(&line.args, &line.properties, &mut out, &mut err)
        }
        Some("txnlog") => {
            let (mut input, mut out, mut err) = (io::stdin().lock(), io::stdout(), io::stderr());
            txn_log_toolkit::main(&line.args, &line.properties, &mut input, &mut out, &mut err)
        }
        Some("snapshot") => {
            let (mut out, mut err) = (io::stdout(), io::stderr());
            snapshot_formatter::main(&line.args, &line.properties, &mut out, &mut err)
        }
        Some("bench") => bench::main(&line.args, &mut io::stdout()),
        Some("4lw") => {
            four_letter_word_main::main(&line.args, &mut io::stdout(), &mut io::stderr())
        }
        Some("version") => print(&format!("{}\n", version::version_info())),
        Some("help") => print(USAGE),
        _ => refuse(&line),
    }
}

/// Has the C library return every large block to the system when it is freed. By default, it learns from the first such
/// block to take later ones of this size from memory that it keeps, where small blocks come to lie between them: after 18
/// minutes of hostile clients, whose requests have a megabyte, a server kept 152 MiB, of which 127 were free. Must be
/// called before other threads start. `MALLOC_MMAP_THRESHOLD_` in the environment has precedence.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no crate has a safe function for it")]
fn return_freed_memory() {
    /// The size of a large block, in bytes. Most requests and answers are smaller.
    const LARGE: i32 = 256 << 10;
    if std::env::var_os("MALLOC_MMAP_THRESHOLD_").is_none() {
        // SAFETY: It takes two numbers and sets a parameter of the allocator. No other thread runs yet.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        }
    }
}

/// Other C libraries return freed memory by themselves.
#[cfg(not(target_env = "gnu"))]
const fn return_freed_memory() {}

/// Makes a write fail that would grow a file beyond the process's limit, as in a JVM. The server then logs what it
/// could not write and shuts down in order. Without a handler, the signal would end the process without a message.
fn fail_at_file_size_limit() {
    // The flag is never read: it is enough that the signal has a handler.
    if let Err(error) = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))) {
        warn!(target: LOG, "a limit of the size of files will end the server at once: {error}");
    }
}

/// SIGTERM, SIGINT and SIGHUP (the terminal is closed) shut the server down in order. A signal that was ignored when
/// the process started stays ignored, as in a JVM. This keeps nohup working.
fn stop_on_signals(stop: Sender<ExitCode>) {
    let ignored =
        fs::read_to_string("/proc/self/status").map_or(0, |status| ignored_signals(&status));
    let is_heard = |signal: &i32| ignored >> (signal - 1) & 1 == 0;
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP].into_iter().filter(is_heard));
    let waiting = signals.and_then(|mut signals| {
        zookeeper_thread::spawn("Signals", None, move || {
            if signals.forever().next().is_some() {
                // If the channel is full, a shutdown has already been requested.
                let _asked_before = stop.try_send(ExitCode::ExecutionFinished);
            }
            Ok::<(), io::Error>(())
        })
    });
    if let Err(error) = waiting {
        warn!(target: LOG, "signals will end the server without a shutdown: {error}");
    }
}

/// The signals that a process ignores; the lowest bit is the first signal. Empty if the kernel does not show them.
fn ignored_signals(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn cli(line: &CommandLine) -> ExitCode {
    let stdin = io::stdin();
    let is_terminal = stdin.is_terminal();
    let input = zookeeper_main::Input { lines: Box::new(BufReader::new(stdin)), is_terminal };
    let (mut out, mut err) = (io::stdout(), io::stderr());
    zookeeper_main::main(&line.args, &line.properties, input, &mut out, &mut err)
}

fn digest(line: &CommandLine) -> ExitCode {
    match DigestAuthenticationProvider::from_properties(&line.properties) {
        Ok(provider) => {
            let ids = line.args.iter().map(|id_password| {
                format!("{id_password}->{}\n", provider.algorithm().generate_digest(id_password))
            });
            print(&ids.collect::<String>())
        }
        Err(error) => {
            // An error is ignored: standard error is closed.
            let _gone = writeln!(io::stderr(), "{error}");
            ExitCode::InvalidInvocation
        }
    }
}

/// Writes to standard output. It is not an error if the reader has gone.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::UnexpectedError,
        _ => ExitCode::ExecutionFinished,
    }
}

fn refuse(line: &CommandLine) -> ExitCode {
    let said = line.word.as_ref().map(|word| format!("zookeeper: no command {word:?}\n"));
    let text = format!("{}{USAGE}", said.unwrap_or_default());
    // An error is ignored: standard error is closed.
    let _gone = io::stderr().write_all(text.as_bytes());
    ExitCode::InvalidInvocation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_is_ignored() {
        let status =
            "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n";
        assert_eq!(ignored_signals(status), 1 << (SIGHUP - 1) | 1 << 12);
        assert_eq!(ignored_signals("Name: x"), 0);
    }
}
