//! Connections that send what no client sends (no Java twin).

#![allow(dead_code, unreachable_pub, reason = "a module of several test crates")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::frames;
use super::mutation::{bad_request, framed, misframed, mutate};
use super::random::Random;

/// The most requests that one connection sends.
const REQUESTS_AT_ONCE: usize = 48;

/// How long a server may take to close a connection after the client's end of stream.
const DEADLINE: Duration = Duration::from_secs(60);

/// The timeout of the sessions, ms. It is short, so that the sessions end soon and their ephemeral nodes go.
const SESSION_TIMEOUT: i32 = 500;

/// What was sent. Often, the connection ended before the server had read all of it.
#[derive(Debug, Default)]
pub struct Sent {
    pub connections: AtomicU64,
    pub frames: AtomicU64,
}

/// The material for connections.
#[derive(Debug)]
pub struct Attack {
    port: u16,
    seed: u64,
    requests: Vec<Vec<u8>>,
    connects: Vec<Vec<u8>>,
}

impl Attack {
    pub fn new(port: u16, seed: u64) -> Self {
        Self { port, seed, requests: frames::requests(), connects: frames::connects() }
    }

    /// Opens connections one after the other until `enough` is set.
    pub fn run(&self, part: u64, enough: &AtomicBool, sent: &Sent) {
        let mut random = Random::of_part(self.seed, part);
        while !enough.load(Ordering::Relaxed) {
            let (bytes, frames) = self.connection(&mut random);
            self.send(&mut random, &bytes);
            sent.connections.fetch_add(1, Ordering::Relaxed);
            sent.frames.fetch_add(frames, Ordering::Relaxed);
        }
    }

    /// All bytes that a connection sends, and the number of frames in them.
    fn connection(&self, random: &mut Random) -> (Vec<u8>, u64) {
        let mut bytes = Vec::new();
        match random.below(24) {
            0 => bytes.extend(random.pick(&[*b"ruok", *b"mntr", *b"xxxx", *b"stmk", *b"srvr"])),
            1 => bytes.extend(framed(bad_request(random, &self.requests))),
            2 | 3 => {
                let mut connect = random.pick(&self.connects).clone();
                mutate(random, &mut connect, &self.connects);
                bytes.extend(framed(&connect));
            }
            4 => bytes.extend(misframed(random, &self.connects[0])),
            5 => bytes.extend(framed(random.pick(&self.connects))),
            _ => bytes.extend(framed(frames::connect(SESSION_TIMEOUT))),
        }
        let mut frames = 1;
        for _ in 0..random.below(REQUESTS_AT_ONCE) {
            frames += 1;
            match random.below(200) {
                // The server misreads everything after this frame.
                0 => {
                    let frame = bad_request(random, &self.requests);
                    bytes.extend(misframed(random, &frame));
                }
                1 => bytes.extend(framed(random.pick(&self.connects))),
                2..40 => bytes.extend(framed(random.pick(&self.requests))),
                _ => bytes.extend(framed(bad_request(random, &self.requests))),
            }
        }
        if random.one_in(8) {
            bytes.truncate(random.below(bytes.len()));
        }
        (bytes, frames)
    }

    /// Sends the bytes in pieces, and ends the connection in one of several ways. The server may close it at any
    /// point.
    fn send(&self, random: &mut Random, bytes: &[u8]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the server accepts");
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut rest = bytes;
        while !rest.is_empty() {
            let longest = *random.pick(&[1, 7, 100, 4096, 1 << 20]);
            let (piece, behind) = rest.split_at(random.below(longest.min(rest.len())) + 1);
            if stream.write_all(piece).is_err() {
                break;
            }
            rest = behind;
        }
        if random.one_in(4) {
            return; // disconnects without reading the answers
        }
        let _closed_by_the_server = stream.shutdown(Shutdown::Write);
        let mut answers = [0; 4096];
        loop {
            match stream.read(&mut answers) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!(
                    "seed {}: the server does not close a connection whose end it has seen",
                    self.seed
                ),
                Err(_reset) => return,
            }
        }
    }
}
