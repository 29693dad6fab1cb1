//! A time limit for a whole request or greeting (no Java twin: Java's sockets know only how long they may be
//! silent, and a byte now and then keeps such a connection for ever).
//!
//! A [`DeadlineStream`] reads and writes one socket. Before each system call it sets the socket's timeout to
//! the shorter of the two remaining times: the silence limit and the limit for the whole message. Every port
//! reads the first bytes of an unknown client through such a stream.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::time;

/// The time by which a whole message must have arrived or been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// No time limit.
    pub(crate) const NEVER: Self = Self(None);

    /// A deadline that is `timeout` from now.
    #[must_use]
    pub(crate) fn after(timeout: Duration) -> Self {
        Self(time::now().checked_add(timeout))
    }

    /// A deadline that is `timeout_ms` from now. Zero or less means no deadline, as in Java's sockets.
    #[must_use]
    pub(crate) fn after_ms(timeout_ms: impl TryInto<u64>) -> Self {
        let timeout_ms = timeout_ms.try_into().ok().filter(|ms| *ms > 0);
        timeout_ms.map_or(Self::NEVER, |ms| Self::after(Duration::from_millis(ms)))
    }

    /// The time that is left; `None` if there is no limit.
    ///
    /// # Errors
    /// `TimedOut` when the deadline has passed.
    pub(crate) fn left(self) -> io::Result<Option<Duration>> {
        let Some(end) = self.0 else { return Ok(None) };
        match end.saturating_duration_since(time::now()) {
            Duration::ZERO => Err(too_slow()),
            left => Ok(Some(left)),
        }
    }

    /// The same deadline, moved back by `by`.
    fn extended(self, by: Duration) -> Self {
        Self(self.0.and_then(|end| end.checked_add(by)))
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it came too slowly: the time for all of it is over")
}

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "nothing came in time")
}

/// The time limit for a whole message.
#[derive(Clone, Copy, Debug)]
enum Whole {
    /// The time is running.
    Running(Deadline),
    /// The time starts with the first byte of the message.
    WithFirstByte(Duration),
}

/// A socket with a limit on the total time of a message, however slowly its bytes arrive. It changes the
/// socket's timeouts.
#[derive(Debug)]
pub(crate) struct DeadlineStream<'a> {
    stream: &'a TcpStream,
    silence: Option<Duration>,
    whole: Whole,
    /// A message that keeps this rate, in bytes per second, has its deadline extended.
    min_rate: Option<u64>,
}

impl<'a> DeadlineStream<'a> {
    /// A stream without any limit.
    #[must_use]
    pub(crate) const fn new(stream: &'a TcpStream) -> Self {
        Self { stream, silence: None, whole: Whole::Running(Deadline::NEVER), min_rate: None }
    }

    /// Limits how long a single read or write may wait.
    #[must_use]
    pub(crate) const fn with_silence(mut self, silence: Duration) -> Self {
        self.silence = Some(silence);
        self
    }

    /// Extends the deadline for every byte that is transferred, so that a message at this rate, in bytes per
    /// second, is never cut off.
    #[must_use]
    pub(crate) const fn with_min_rate(mut self, bytes_per_second: u64) -> Self {
        self.min_rate = Some(bytes_per_second);
        self
    }

    /// Sets the deadline of the next message.
    pub(crate) const fn begin(&mut self, deadline: Deadline) {
        self.whole = Whole::Running(deadline);
    }

    /// Gives the next message `timeout` from its first byte on.
    pub(crate) const fn begin_with_first_byte(&mut self, timeout: Duration) {
        self.whole = Whole::WithFirstByte(timeout);
    }

    /// The socket.
    #[must_use]
    pub(crate) const fn get_ref(&self) -> &'a TcpStream {
        self.stream
    }

    /// Reads the next bytes without consuming them; 0 at the end of the stream.
    ///
    /// # Errors
    /// As for reading.
    pub(crate) fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.peek(bytes).map_err(|error| self.in_words(error))
    }

    /// The time that the next read or write may take.
    fn left(&self) -> io::Result<Option<Duration>> {
        let whole = match self.whole {
            Whole::Running(deadline) => deadline.left()?,
            Whole::WithFirstByte(_) => None,
        };
        Ok([whole, self.silence].into_iter().flatten().min())
    }

    /// Replaces the `WouldBlock` that Linux returns for a socket timeout with an error that explains itself in
    /// a log.
    fn in_words(&self, error: io::Error) -> io::Error {
        match self.left() {
            Err(too_slow) if error.kind() == io::ErrorKind::WouldBlock => too_slow,
            Ok(_) if error.kind() == io::ErrorKind::WouldBlock => silent(),
            _ => error,
        }
    }

    fn went(&mut self, bytes: usize) {
        if let Whole::WithFirstByte(timeout) = self.whole
            && bytes > 0
        {
            self.whole = Whole::Running(Deadline::after(timeout));
        }
        if let (Whole::Running(deadline), Some(rate)) = (self.whole, self.min_rate) {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            let micros = bytes.saturating_mul(1_000_000) / rate.max(1);
            self.whole = Whole::Running(deadline.extended(Duration::from_micros(micros)));
        }
    }
}

impl Read for DeadlineStream<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        let read = (&mut &*self.stream).read(bytes).map_err(|error| self.in_words(error))?;
        self.went(read);
        Ok(read)
    }
}

impl Write for DeadlineStream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        let written = (&mut &*self.stream).write(bytes).map_err(|error| self.in_words(error))?;
        self.went(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    use crossbeam::channel::{RecvTimeoutError, bounded};

    const SHORT: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(30);

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (here, listener.accept().unwrap().0)
    }

    /// Calls `drip` on the other end every 20 ms while `body` runs.
    fn meanwhile(mut there: TcpStream, drip: impl Fn(&mut TcpStream) + Send, body: impl FnOnce()) {
        let (stop, stopped) = bounded::<()>(0);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let pause = Duration::from_millis(20);
                while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                    drip(&mut there);
                }
            });
            let _stops_at_the_end = stop;
            body();
        });
    }

    fn say_a_byte(there: &mut TcpStream) {
        // The other side may have closed already.
        let _gone = there.write_all(b"x");
    }

    #[test]
    fn a_byte_now_and_then_does_not_extend_the_time_for_the_whole() {
        let (here, there) = pair();
        meanwhile(there, say_a_byte, || {
            let started = time::now();
            let mut stream = DeadlineStream::new(&here).with_silence(LONG);
            stream.begin(Deadline::after(SHORT));
            let error = stream.read_exact(&mut [0; 10_000]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(started.elapsed() >= SHORT && started.elapsed() < LONG / 2);
        });
    }

    #[test]
    fn the_time_may_begin_with_the_first_byte() {
        let (here, there) = pair();
        let mut stream = DeadlineStream::new(&here).with_silence(SHORT);
        stream.begin_with_first_byte(SHORT / 3);
        let started = time::now();
        assert!(stream.read(&mut [0; 1]).is_err());
        assert!(started.elapsed() >= SHORT, "nothing has come: silence alone counts");
        meanwhile(there, say_a_byte, || {
            let error = stream.read_exact(&mut [0; 10_000]).unwrap_err();
            assert!(error.to_string().contains("too slowly"), "{error}");
        });
    }

    #[test]
    fn silence_ends_it_before_the_whole_does() {
        let (here, mut there) = pair();
        there.write_all(b"he").unwrap();
        let mut stream = DeadlineStream::new(&here).with_silence(SHORT);
        stream.begin(Deadline::after(LONG));
        let error = stream.read_exact(&mut [0; 5]).unwrap_err();
        assert!(error.to_string().contains("nothing came"), "{error}");
    }

    #[test]
    fn who_keeps_the_rate_has_the_time_that_it_needs() {
        let (here, there) = pair();
        // The client sends 50 kB per second; 1 kB per second is required.
        let say = |there: &mut TcpStream| there.write_all(&[0; 1000]).unwrap_or_default();
        meanwhile(there, say, || {
            let mut stream = DeadlineStream::new(&here).with_min_rate(1000);
            stream.begin(Deadline::after(SHORT));
            stream.read_exact(&mut [0; 40_000]).unwrap();
        });
    }

    #[test]
    fn who_takes_a_byte_now_and_then_does_not_extend_it_either() {
        let (here, there) = pair();
        let take = |there: &mut TcpStream| drop(there.read(&mut [0; 1]));
        meanwhile(there, take, || {
            let started = time::now();
            let mut stream = DeadlineStream::new(&here).with_silence(LONG);
            stream.begin(Deadline::after(SHORT));
            let error = stream.write_all(&vec![0; 64 << 20]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(started.elapsed() < LONG / 2);
        });
    }

    #[test]
    fn no_time_in_milliseconds_is_no_hurry() {
        assert_eq!(Deadline::after_ms(0), Deadline::NEVER);
        assert_eq!(Deadline::after_ms(-5), Deadline::NEVER);
        assert_eq!(Deadline::NEVER.left().unwrap(), None);
        assert!(Deadline::after_ms(60_000).left().unwrap() > Some(LONG));
        assert!(Deadline::after(Duration::ZERO).left().is_err());
    }
}
