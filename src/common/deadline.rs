//! Time for a whole request or greeting (no Java twin: Java's sockets know only how long they may be silent, and a byte now
//! and then keeps such a connection for ever).
//!
//! A [`DeadlineStream`] reads and writes one socket. Before it asks the system it allows for what is left: of the time for
//! silence, and of the time for the whole. Every port reads what a stranger says first through one.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::time;

/// Until when something has to be there as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// There is no hurry.
    pub const NEVER: Self = Self(None);

    /// So long from now on.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        Self(time::now().checked_add(timeout))
    }

    /// So many milliseconds from now on; none or fewer are "never", as in Java's sockets.
    #[must_use]
    pub fn after_ms(timeout_ms: impl TryInto<u64>) -> Self {
        let timeout_ms = timeout_ms.try_into().ok().filter(|ms| *ms > 0);
        timeout_ms.map_or(Self::NEVER, |ms| Self::after(Duration::from_millis(ms)))
    }

    /// The time that is left for the next step; `None` when there is no hurry.
    ///
    /// # Errors
    /// `TimedOut` when it is over.
    pub fn left(self) -> io::Result<Option<Duration>> {
        let Some(end) = self.0 else { return Ok(None) };
        match end.saturating_duration_since(time::now()) {
            Duration::ZERO => Err(too_slow()),
            left => Ok(Some(left)),
        }
    }

    /// So much later.
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

/// The time for the whole.
#[derive(Clone, Copy, Debug)]
enum Whole {
    /// It runs.
    Running(Deadline),
    /// It begins with the first byte that comes.
    WithFirstByte(Duration),
}

/// A socket that is read or written until a moment, however slowly the bytes go. Sets the timeouts of the socket.
#[derive(Debug)]
pub struct DeadlineStream<'a> {
    stream: &'a TcpStream,
    silence: Option<Duration>,
    whole: Whole,
    /// What a long message must keep up at least, in bytes a second; then it may take longer.
    min_rate: Option<u64>,
}

impl<'a> DeadlineStream<'a> {
    /// Without any limit.
    #[must_use]
    pub const fn new(stream: &'a TcpStream) -> Self {
        Self { stream, silence: None, whole: Whole::Running(Deadline::NEVER), min_rate: None }
    }

    /// Nothing may come, or be taken, for so long.
    #[must_use]
    pub const fn with_silence(mut self, silence: Duration) -> Self {
        self.silence = Some(silence);
        self
    }

    /// What comes at this rate, in bytes a second, has the time that it needs.
    #[must_use]
    pub const fn with_min_rate(mut self, bytes_per_second: u64) -> Self {
        self.min_rate = Some(bytes_per_second);
        self
    }

    /// The next message has to be over by then.
    pub const fn begin(&mut self, deadline: Deadline) {
        self.whole = Whole::Running(deadline);
    }

    /// The next message has so much time from its first byte on.
    pub const fn begin_with_first_byte(&mut self, timeout: Duration) {
        self.whole = Whole::WithFirstByte(timeout);
    }

    /// The socket.
    #[must_use]
    pub const fn get_ref(&self) -> &'a TcpStream {
        self.stream
    }

    /// Looks at what comes next without taking it; 0 at the end.
    ///
    /// # Errors
    /// As reading.
    pub fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.peek(bytes).map_err(|error| self.in_words(error))
    }

    /// What is left for the next step.
    fn left(&self) -> io::Result<Option<Duration>> {
        let whole = match self.whole {
            Whole::Running(deadline) => deadline.left()?,
            Whole::WithFirstByte(_) => None,
        };
        Ok([whole, self.silence].into_iter().flatten().min())
    }

    /// A timeout of the socket is `WouldBlock` on Linux, which says nothing to who reads a log.
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

    /// Does something with the other end every 20 ms while `body` runs.
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
        // The other side may have closed.
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
        // 50 kB a second, where 1 kB a second is asked for.
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
