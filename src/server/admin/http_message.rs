//! Requests and responses of HTTP/1.1 (no Java twin: Jetty's in Java).
//!
//! This implements the part of RFC 9112 that scrapers, browsers and curl need: request heads of limited size,
//! bodies with a length or in chunks, and `Expect: 100-continue`. Ambiguous requests are refused and their
//! connection is closed.

use std::io::{self, BufRead, Read, Write};
use std::net::SocketAddr;

use jiff::Timestamp;
use jiff::fmt::strtime;

/// The longest request head, in bytes. This is Jetty's limit.
pub(crate) const MAX_HEAD: usize = 8 * 1024;

/// The status code of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// The request succeeded.
    pub const OK: Self = Self(200);
    /// The request is malformed.
    pub const BAD_REQUEST: Self = Self(400);
    /// The client must authenticate.
    pub const UNAUTHORIZED: Self = Self(401);
    /// The client has no permission.
    pub const FORBIDDEN: Self = Self(403);
    /// The path does not exist.
    pub const NOT_FOUND: Self = Self(404);
    /// The method is not allowed for this path.
    pub const METHOD_NOT_ALLOWED: Self = Self(405);
    /// The client sent nothing for too long.
    pub const REQUEST_TIMEOUT: Self = Self(408);
    /// The client must wait before it repeats the request.
    pub const TOO_MANY_REQUESTS: Self = Self(429);
    /// The request head is too long.
    pub const HEADERS_TOO_LARGE: Self = Self(431);
    /// The server failed.
    pub const INTERNAL_SERVER_ERROR: Self = Self(500);
    /// The method or coding is not supported.
    pub const NOT_IMPLEMENTED: Self = Self(501);
    /// The request cannot be served now.
    pub const SERVICE_UNAVAILABLE: Self = Self(503);
    /// The version of HTTP is not supported.
    pub const VERSION_NOT_SUPPORTED: Self = Self(505);

    /// The reason phrase of the status line.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self.0 {
            200 => "OK",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Server Error",
            501 => "Not Implemented",
            503 => "Service Unavailable",
            505 => "HTTP Version Not Supported",
            _ => "",
        }
    }
}

/// Why a request cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The client closed the connection or sent nothing in time.
    #[error("no request came")]
    Closed,
    /// The server answers with this status and closes the connection.
    #[error("{}: {what}", status.reason())]
    Refused {
        /// The status of the answer.
        status: Status,
        /// What is wrong with the request.
        what: &'static str,
    },
    /// The connection failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

const fn refused(status: Status, what: &'static str) -> RequestError {
    RequestError::Refused { status, what }
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The method, unchanged.
    pub method: String,
    /// The decoded path, without the query.
    pub path: String,
    /// Decoded names and values of the query, in order.
    pub query: Vec<(String, String)>,
    /// The headers in order. Names are in lower case.
    pub headers: Vec<(String, String)>,
    /// Whether the request uses HTTP/1.1 rather than 1.0.
    pub is_http_1_1: bool,
}

impl Head {
    /// Reads a head. Empty lines before it are skipped.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn read(input: &mut impl BufRead) -> Result<Self, RequestError> {
        let mut bytes = Vec::new();
        loop {
            let line_start = bytes.len();
            read_line(input, &mut bytes)?;
            let line = bytes[line_start..].trim_ascii_end();
            match (line.is_empty(), line_start == 0) {
                (true, true) => bytes.clear(),
                (true, false) => break,
                _ => {}
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        let mut head = Self::request_line(lines.next().unwrap_or_default())?;
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line
                .split_once(':')
                .ok_or(refused(Status::BAD_REQUEST, "a header has no colon"))?;
            if name.is_empty() || name.contains(|byte: char| !is_token(byte)) {
                return Err(refused(Status::BAD_REQUEST, "a header has a wrong name"));
            }
            head.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(head)
    }

    fn request_line(line: &str) -> Result<Self, RequestError> {
        let parts: Vec<&str> = line.split(' ').collect();
        let [method, target, version] = parts[..] else {
            return Err(refused(Status::BAD_REQUEST, "the request line has not three parts"));
        };
        let is_http_1_1 = match version {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ => return Err(refused(Status::VERSION_NOT_SUPPORTED, "the version is not HTTP/1.x")),
        };
        if method.is_empty() || method.contains(|byte: char| !is_token(byte)) {
            return Err(refused(Status::BAD_REQUEST, "the method is no word"));
        }
        // A request to a proxy contains the host.
        let target = match target.strip_prefix("http://").or(target.strip_prefix("https://")) {
            Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => target,
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let query = pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (percent_decoded(name, true), percent_decoded(value, true)));
        Ok(Self {
            method: method.to_owned(),
            path: percent_decoded(path, false),
            query: query.collect(),
            headers: Vec::new(),
            is_http_1_1,
        })
    }

    /// The first header with this name, which must be in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The first query parameter with this name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Whether the client wants the connection closed after the answer.
    #[must_use]
    pub fn wants_close(&self) -> bool {
        let connection = self.header("connection").unwrap_or_default();
        let says =
            |word: &str| connection.split(',').any(|other| other.trim().eq_ignore_ascii_case(word));
        says("close") || (!self.is_http_1_1 && !says("keep-alive"))
    }

    /// How the end of the body is marked.
    ///
    /// # Errors
    /// When the headers contradict each other, or the coding is not supported.
    pub fn body_framing(&self) -> Result<Framing, RequestError> {
        let values = |name: &'static str| {
            self.headers.iter().filter(move |(other, _)| other == name).map(|(_, value)| value)
        };
        let mut codings = values("transfer-encoding");
        let mut lengths = values("content-length");
        match (codings.next(), lengths.next()) {
            (None, None) => Ok(Framing::Length(0)),
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => {
                match codings.next() {
                    None => Ok(Framing::Chunked),
                    Some(_) => Err(refused(Status::NOT_IMPLEMENTED, "more than one coding")),
                }
            }
            (Some(_), None) => Err(refused(Status::NOT_IMPLEMENTED, "an unknown coding")),
            (Some(_), Some(_)) => {
                Err(refused(Status::BAD_REQUEST, "a length and a coding at once"))
            }
            (None, Some(length)) => {
                let is_number = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
                let number = length.parse().ok().filter(|_| is_number);
                match number {
                    Some(number) if lengths.all(|other| other == length) => {
                        Ok(Framing::Length(number))
                    }
                    _ => Err(refused(Status::BAD_REQUEST, "the length of the body is no number")),
                }
            }
        }
    }
}

/// Appends a line, including its line end.
fn read_line(input: &mut impl BufRead, bytes: &mut Vec<u8>) -> Result<(), RequestError> {
    loop {
        let is_first = bytes.is_empty();
        let available = match input.fill_buf() {
            Ok([]) if is_first => return Err(RequestError::Closed),
            Ok([]) => return Err(refused(Status::BAD_REQUEST, "the head ends too early")),
            Ok(available) => available,
            Err(error) if is_timeout(&error) && is_first => return Err(RequestError::Closed),
            Err(error) if is_timeout(&error) => {
                return Err(refused(Status::REQUEST_TIMEOUT, "the head came too slowly"));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(RequestError::Io(error)),
        };
        let end = available.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let len = end.unwrap_or(available.len());
        if bytes.len() + len > MAX_HEAD {
            return Err(refused(Status::HEADERS_TOO_LARGE, "the head is too long"));
        }
        bytes.extend_from_slice(&available[..len]);
        input.consume(len);
        if end.is_some() {
            return Ok(());
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Whether the character is allowed in a method or header name.
const fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || matches!(
            character,
            '!' | '#'
                | '$'
                | '%'
                | '&'
                | '\''
                | '*'
                | '+'
                | '-'
                | '.'
                | '^'
                | '_'
                | '`'
                | '|'
                | '~'
        )
}

/// Replaces each `%xx` by its byte. Malformed escapes stay as they are.
fn percent_decoded(text: &str, plus_is_blank: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = after;
                }
                _ => bytes.push(b'%'),
            },
            (b'+', _) if plus_is_blank => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// How the end of a body is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The body has this many bytes.
    Length(u64),
    /// An empty chunk ends the body.
    Chunked,
}

/// The body of a request. The first read sends `100 Continue` to a client that waits for it.
pub struct Body<R, W> {
    input: R,
    /// Where `100 Continue` is written; `None` once it is sent, or if the client does not wait for it.
    go_on: Option<W>,
    state: BodyState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyState {
    /// This many bytes of the body, or of the current chunk, are left.
    Left {
        bytes: u64,
        chunked: bool,
    },
    /// The next line holds the length of a chunk.
    ChunkSize,
    Done,
}

impl<R: BufRead, W: Write> Body<R, W> {
    /// Creates a body. `go_on` is the connection to a client that waits for `100 Continue`, if it does.
    pub const fn new(input: R, framing: Framing, go_on: Option<W>) -> Self {
        let state = match framing {
            Framing::Length(0) => BodyState::Done,
            Framing::Length(bytes) => BodyState::Left { bytes, chunked: false },
            Framing::Chunked => BodyState::ChunkSize,
        };
        Self { input, go_on, state }
    }

    /// Whether the whole body has been read.
    pub fn is_done(&self) -> bool {
        self.state == BodyState::Done
    }

    /// Reads and discards up to `limit` bytes; true if the body ended within them.
    pub fn drain(&mut self, limit: u64) -> bool {
        // A client that still waits for `100 Continue` may or may not send its body, so the connection cannot
        // be reused.
        if self.go_on.is_some() {
            return self.is_done();
        }
        let drained = io::copy(&mut self.take(limit), &mut io::sink());
        drained.is_ok() && self.is_done()
    }

    /// Reads the length of the next chunk. After the last chunk, reads the trailers.
    fn next_chunk(&mut self) -> io::Result<()> {
        let line = self.line()?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let bytes = u64::from_str_radix(digits, 16)
            .ok()
            .filter(|_| !digits.starts_with('+'))
            .ok_or_else(|| wrong_body("the length of a chunk is no number"))?;
        if bytes > 0 {
            self.state = BodyState::Left { bytes, chunked: true };
            return Ok(());
        }
        while !self.line()?.is_empty() {} // trailers
        self.state = BodyState::Done;
        Ok(())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        (&mut self.input).take(MAX_HEAD as u64).read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            return Err(wrong_body("a line of the body does not end"));
        }
        Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned())
    }
}

fn wrong_body(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<R: BufRead, W: Write> Read for Body<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if let Some(mut output) = self.go_on.take() {
            output.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            output.flush()?;
        }
        loop {
            match self.state {
                BodyState::Done => return Ok(0),
                BodyState::ChunkSize => self.next_chunk()?,
                BodyState::Left { bytes, chunked } => {
                    let len = (&mut self.input).take(bytes).read(buffer)?;
                    if len == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    let left = bytes - len as u64;
                    self.state = match (left, chunked) {
                        (0, false) => BodyState::Done,
                        (0, true) => {
                            self.line()?; // the end of the chunk
                            BodyState::ChunkSize
                        }
                        _ => BodyState::Left { bytes: left, chunked },
                    };
                    return Ok(len);
                }
            }
        }
    }
}

/// The body of a response.
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A stream with this many bytes.
    Stream(Box<dyn Read + Send>, u64),
}

/// A response.
pub struct Response {
    /// The status.
    pub status: Status,
    /// Additional headers. The date, the length and the connection header are added when the response is
    /// written.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub content: Content,
}

impl Response {
    /// A response without a body.
    #[must_use]
    pub const fn empty(status: Status) -> Self {
        Self { status, headers: Vec::new(), content: Content::Bytes(Vec::new()) }
    }

    /// A text with the given content type.
    #[must_use]
    pub fn text(status: Status, content_type: &str, text: String) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".into(), content_type.into())],
            content: Content::Bytes(text.into_bytes()),
        }
    }

    /// An HTML page that describes an error.
    #[must_use]
    pub fn error_page(status: Status, what: &str) -> Self {
        let escaped = what.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let title = format!("Error {} {}", status.0, status.reason());
        let text = format!(
            "<html>\n<head><title>{title}</title></head>\n<body><h2>HTTP ERROR {} {}</h2>\n\
             <p>{escaped}</p>\n</body>\n</html>\n",
            status.0,
            status.reason()
        );
        Self::text(status, "text/html;charset=utf-8", text)
    }

    /// The response to methods other than GET, HEAD and POST, as Java's servlets give it; `None` for those
    /// three.
    #[must_use]
    pub fn to_other_method(method: &str) -> Option<Self> {
        match method {
            "GET" | "HEAD" | "POST" => None,
            "OPTIONS" => Some(
                Self::empty(Status::OK).with_header("Allow", "GET, HEAD, POST, TRACE, OPTIONS"),
            ),
            "TRACE" => Some(Self::empty(Status::FORBIDDEN)),
            "PUT" | "DELETE" => Some(Self::empty(Status::METHOD_NOT_ALLOWED)),
            _ => Some(Self::empty(Status::NOT_IMPLEMENTED)),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Writes the response. `head_only` leaves the body out.
    ///
    /// # Errors
    /// When the connection or the source of the body fails. The connection must then be closed.
    pub fn write(
        self,
        output: &mut impl Write,
        now_wall_ms: i64,
        close: bool,
        head_only: bool,
    ) -> io::Result<()> {
        let length = match &self.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Stream(_, length) => *length,
        };
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status.0, self.status.reason());
        head += &format!("Date: {}\r\n", http_date(now_wall_ms));
        for (name, value) in &self.headers {
            // Line ends are replaced, so that a value cannot start another header.
            head += &format!("{name}: {}\r\n", value.replace(['\r', '\n'], " "));
        }
        head += &format!("Content-Length: {length}\r\n");
        if close {
            head += "Connection: close\r\n";
        }
        head += "\r\n";
        output.write_all(head.as_bytes())?;
        match self.content {
            _ if head_only => {}
            Content::Bytes(bytes) => output.write_all(&bytes)?,
            Content::Stream(input, length) => {
                if io::copy(&mut input.take(length), output)? != length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        output.flush()
    }
}

/// A point in time in the format of HTTP headers.
fn http_date(wall_ms: i64) -> String {
    let time = Timestamp::from_millisecond(wall_ms).unwrap_or_default();
    strtime::format("%a, %d %b %Y %H:%M:%S GMT", time).unwrap_or_default()
}

/// The request that a handler receives.
pub(crate) struct Request<'a> {
    /// The head.
    pub head: &'a Head,
    /// The client's address.
    pub remote: SocketAddr,
    /// The body.
    pub body: &'a mut dyn Read,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Head, RequestError> {
        Head::read(&mut text.as_bytes())
    }

    fn status(text: &str) -> u16 {
        match head(text).and_then(|head| head.body_framing()) {
            Ok(_) => 200,
            Err(RequestError::Refused { status, .. }) => status.0,
            Err(_) => 0,
        }
    }

    #[test]
    fn a_head_is_taken_apart() {
        let head = head(
            "\r\nGET /commands/stm%6b?traceMask=306&x=a%20b+c&y&bad=%zz HTTP/1.1\r\nHost: h:1\r\n\
             AUTHORIZATION:  digest a:b \r\nConnection: Keep-Alive\r\n\r\nbody",
        )
        .unwrap();
        assert_eq!((head.method.as_str(), head.path.as_str()), ("GET", "/commands/stmk"));
        assert_eq!(head.parameter("traceMask"), Some("306"));
        assert_eq!(head.parameter("x"), Some("a b c"));
        assert_eq!((head.parameter("y"), head.parameter("bad")), (Some(""), Some("%zz")));
        assert_eq!(head.header("authorization"), Some("digest a:b"));
        assert!(!head.wants_close());
    }

    #[test]
    fn the_version_and_the_header_decide_whether_the_connection_stays() {
        for (text, close) in [
            ("GET / HTTP/1.1\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", true),
            ("GET / HTTP/1.0\nConnection: keep-alive\n\n", false),
            ("GET / HTTP/1.1\r\nConnection: TE, close\r\n\r\n", true),
        ] {
            assert_eq!(head(text).unwrap().wants_close(), close, "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_or_ambiguous_is_refused() {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(MAX_HEAD));
        for (text, code) in [
            ("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 200),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 200),
            ("", 0),
            ("GET /\r\n\r\n", 400),
            ("GET /  HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\n\r\n", 505),
            ("G(T / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nA: b\r\n folded: x\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: h\r\n", 400),
            ("GET / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
            (&long, 431),
        ] {
            assert_eq!(status(text), code, "{:?}", &text[..text.len().min(80)]);
        }
    }

    fn body(text: &str, framing: Framing) -> (io::Result<String>, bool, String) {
        let mut output = Vec::new();
        let mut body = Body::new(text.as_bytes(), framing, Some(&mut output));
        let mut read = String::new();
        let result = body.read_to_string(&mut read).map(|_| read);
        let done = body.is_done();
        (result, done, String::from_utf8(output).unwrap())
    }

    #[test]
    fn a_body_ends_after_its_length_or_with_its_last_chunk() {
        let (read, done, told) = body("hello, more", Framing::Length(5));
        assert_eq!((read.unwrap().as_str(), done), ("hello", true));
        assert_eq!(told, "HTTP/1.1 100 Continue\r\n\r\n");
        let chunks = "5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: t\r\n\r\nnext";
        let (read, done, _) = body(chunks, Framing::Chunked);
        assert_eq!((read.unwrap().as_str(), done), ("hello world", true));
        for (text, framing) in [
            ("hel", Framing::Length(5)),
            ("5\r\nhel", Framing::Chunked),
            ("xyz\r\n", Framing::Chunked),
            ("5\r\nhello\r\n", Framing::Chunked),
        ] {
            let (read, done, _) = body(text, framing);
            assert!(read.is_err() && !done, "{text:?}");
        }
    }

    #[test]
    fn what_a_handler_leaves_of_a_body_is_read_up_to_a_limit() {
        let mut rest = Body::new("0123456789".as_bytes(), Framing::Length(10), None::<Vec<u8>>);
        assert!(!rest.drain(5));
        assert!(rest.drain(5));
        let mut waits = Body::new("".as_bytes(), Framing::Length(10), Some(Vec::new()));
        assert!(!waits.drain(5));
    }

    #[test]
    fn an_answer_has_a_date_a_length_and_its_headers() {
        let write = |response: Response, close, head_only| {
            let mut output = Vec::new();
            response.write(&mut output, 1_795_249_911_000, close, head_only).unwrap();
            String::from_utf8(output).unwrap()
        };
        let response = Response::text(Status::OK, "text/plain", "abc".into())
            .with_header("last_zxid", "0x1\r\nEvil: x");
        assert_eq!(
            write(response, true, false),
            "HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 08:31:51 GMT\r\nContent-Type: text/plain\r\n\
             last_zxid: 0x1  Evil: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
        );
        let stream = Content::Stream(Box::new("0123456789".as_bytes()), 4);
        let response = Response { status: Status(418), headers: Vec::new(), content: stream };
        assert!(write(response, false, false).ends_with("Content-Length: 4\r\n\r\n0123"));
        assert!(Response::to_other_method("POST").is_none());
        let refused = Response::to_other_method("TRACE").unwrap();
        assert!(write(refused, false, false).starts_with("HTTP/1.1 403 Forbidden\r\n"));
        let response = Response::error_page(Status::NOT_FOUND, "<b>");
        let text = write(response, false, true);
        assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n") && text.ends_with("\r\n\r\n"));
    }
}
