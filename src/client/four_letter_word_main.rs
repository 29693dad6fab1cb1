//! Sends a four-letter word to a server and reads the answer (Java: client/FourLetterWordMain.java).
//!
//! TLS is not supported.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::common::net_utils;
use crate::server::exit_code::ExitCode;

/// The default time limit for connecting and for each read.
const DEFAULT_SOCKET_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer that is accepted, in bytes: `wchp` and `dump` can be long.
const LONGEST_ANSWER: u64 = 256 * 1024 * 1024;

/// Returns the answer to the word. Every line ends with a line end.
///
/// # Errors
/// If the server cannot be reached or does not answer in time.
pub fn send_4_letter_word(host: &str, port: u16, word: &str) -> io::Result<String> {
    send_4_letter_word_within(host, port, word, DEFAULT_SOCKET_TIMEOUT)
}

/// As [`send_4_letter_word`], with a time limit for connecting and for each read.
///
/// # Errors
/// As [`send_4_letter_word`].
pub fn send_4_letter_word_within(
    host: &str,
    port: u16,
    word: &str,
    timeout: Duration,
) -> io::Result<String> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("no address for {host}"));
    for address in net_utils::resolve_all(host, port)? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return ask(stream, word, timeout),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn ask(mut stream: TcpStream, word: &str, timeout: Duration) -> io::Result<String> {
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.set_nodelay(true)?;
    stream.write_all(word.as_bytes())?;
    // As `nc` does: this tells the server that no more bytes follow.
    stream.shutdown(Shutdown::Write)?;
    let mut bytes = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut bytes).map_err(|error| {
        let what = format!("Exception while executing four letter word: {word}: {error}");
        io::Error::new(error.kind(), what)
    })?;
    let mut answer = String::from_utf8_lossy(&bytes).into_owned();
    if !answer.is_empty() && !answer.ends_with('\n') {
        answer.push('\n');
    }
    Ok(answer)
}

/// Prints the answer to `<host> <port> <cmd>` (Java: main). A fourth argument asks for TLS.
pub fn main(args: &[String], out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let result = match args {
        [host, port, word] => answer(host, port, word),
        [host, port, word, secure] if !secure.eq_ignore_ascii_case("true") => {
            answer(host, port, word)
        }
        [_, _, _, _] => Err("TLS is not supported".into()),
        _ => Ok("Usage: FourLetterWordMain <host> <port> <cmd> <secure(optional)>".into()),
    };
    let (written, code) = match result {
        Ok(text) => (writeln!(out, "{text}"), ExitCode::ExecutionFinished),
        Err(text) => (writeln!(err, "{text}"), ExitCode::UnexpectedError),
    };
    if written.is_err() { ExitCode::UnexpectedError } else { code }
}

fn answer(host: &str, port: &str, word: &str) -> Result<String, String> {
    let port = port.parse().map_err(|_| format!("{port} is no port"))?;
    send_4_letter_word(host, port, word).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::common::test_socket::dead_socket;
    use crate::server::zookeeper_thread;

    fn server(answer: &'static [u8]) -> (u16, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let handle = zookeeper_thread::spawn("server", None, move || {
            let (mut stream, _) = listener.accept()?;
            let mut word = Vec::new();
            stream.read_to_end(&mut word)?;
            assert_eq!(word, b"ruok");
            stream.write_all(answer)
        });
        (port, handle.unwrap())
    }

    #[test]
    fn the_answer_ends_with_a_line_end() {
        for (sent, text) in [(&b"imok"[..], "imok\n"), (b"a\nb\n", "a\nb\n"), (b"", "")] {
            let (port, handle) = server(sent);
            assert_eq!(send_4_letter_word("127.0.0.1", port, "ruok").unwrap(), text);
            handle.join().unwrap();
        }
    }

    #[test]
    fn a_server_that_is_not_there_is_an_error() {
        let (_socket, address) = dead_socket();
        let port = address.port().to_string();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = ["127.0.0.1", &port, "ruok"].map(str::to_owned);
        assert_eq!(main(&args, &mut out, &mut err), ExitCode::UnexpectedError);
        assert!(out.is_empty() && !err.is_empty());
    }
}
