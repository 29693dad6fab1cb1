//! Prints a log file, repairs its checksums, or cuts it after a zxid
//! (Java: server/persistence/TxnLogToolkit.java and server/util/LogChopper.java).
//!
//! Differences from Java: an entry that is not a transaction is printed as such and does not end the dump. A
//! file can also be cut directly before a damaged entry. A failed cut leaves no file and returns an error. A
//! repaired file is not grown ahead.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use getopts::Options;

use super::file_header::FileHeader;
use super::file_txn_log::{END_OF_RECORD, TXNLOG_MAGIC, checksum};
use crate::common::java_date;
use crate::common::zk_config::{SystemProperties, decode_number};
use crate::data::ACL;
use crate::ids::Zxid;
use crate::jute::{
    BinaryInputArchive, BinaryOutputArchive, InputError, OutputArchive, Record,
    ToStringOutputArchive,
};
use crate::server::exit_code::ExitCode;
use crate::server::util::serialize_utils::{TxnBody, TxnFormat, deserialize_txn};
use crate::txn::Txn;
use crate::zoo_defs::OpCode;

const BRIEF: &str = "usage: TxnLogToolkit [-dhrvc] <txn_log_file_name> (-z <zxid>)";

/// Why the tool stops without a result.
#[derive(Debug, thiserror::Error)]
enum ToolkitError {
    /// A message and the exit code.
    #[error("{message}")]
    Stop { message: String, code: ExitCode },
    #[error("{0}")]
    Input(#[from] InputError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl ToolkitError {
    fn stop(code: ExitCode, message: impl Into<String>) -> Self {
        Self::Stop { message: message.into(), code }
    }

    const fn code(&self) -> ExitCode {
        match self {
            Self::Stop { code, .. } => *code,
            Self::Input(_) | Self::Io(_) => ExitCode::UnexpectedError,
        }
    }
}

/// The tool's input and output.
struct Console<'a> {
    input: &'a mut dyn BufRead,
    out: &'a mut dyn Write,
}

/// Runs the command. The user's answers come from `input`.
pub fn main(
    args: &[String],
    properties: &SystemProperties,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let mut console = Console { input, out };
    let format = TxnFormat::from_properties(properties);
    let result =
        run(args, format, &mut console).and_then(|code| Ok(console.out.flush().map(|()| code)?));
    result.unwrap_or_else(|problem| {
        // If standard error is closed, the message cannot be shown.
        let _gone = writeln!(err, "{problem}");
        problem.code()
    })
}

fn options() -> Options {
    let mut options = Options::new();
    options
        .optflag("h", "help", "Print help message")
        .optflag("r", "recover", "Recovery mode. Re-calculate CRC for broken entries.")
        .optflag(
            "v",
            "verbose",
            "Be verbose in recovery mode: print all entries, not just fixed ones.",
        )
        .optflag("d", "dump", "Dump mode. Dump all entries of the log file (default)")
        .optflag("y", "yes", "Non-interactive mode: repair all CRC errors without asking")
        .optflag("c", "chop", "Chop mode. Chop txn file to a zxid.")
        .optopt("z", "zxid", "Used with chop. Zxid to which to chop.", "ZXID");
    options
}

fn run(
    args: &[String],
    format: TxnFormat,
    console: &mut Console<'_>,
) -> Result<ExitCode, ToolkitError> {
    let options = options();
    let matches = options.parse(args).map_err(|problem| {
        let message = format!("{problem}\n\n{}", options.usage(BRIEF));
        ToolkitError::stop(ExitCode::UnexpectedError, message)
    })?;
    let Some(name) = matches.free.first().filter(|_| !matches.opt_present("h")) else {
        console.out.write_all(options.usage(BRIEF).as_bytes())?;
        let asked = matches.opt_present("h");
        return Ok(if asked { ExitCode::ExecutionFinished } else { ExitCode::UnexpectedError });
    };
    let path = Path::new(name);
    let zxid = matches.opt_str("z").filter(|_| matches.opt_present("c"));
    if let Some(zxid) = zxid {
        let number = decode_number(zxid.trim()).ok_or_else(|| {
            ToolkitError::stop(ExitCode::UnexpectedError, format!("{zxid} is no zxid"))
        })?;
        return chop(path, Zxid(number), format, console.out);
    }
    let recovery = matches.opt_present("r");
    let mut toolkit = TxnLogToolkit {
        path,
        format,
        recovery: None,
        verbose: matches.opt_present("v"),
        force: matches.opt_present("y"),
    };
    if recovery {
        toolkit.recovery = Some(Recovery::begin(path)?);
    }
    toolkit.dump(console)?;
    Ok(ExitCode::ExecutionFinished)
}

/// Prints a log file and optionally repairs it.
struct TxnLogToolkit<'a> {
    path: &'a Path,
    format: TxnFormat,
    recovery: Option<Recovery>,
    verbose: bool,
    force: bool,
}

/// The repaired copy of the log.
struct Recovery {
    path: PathBuf,
    out: BufWriter<File>,
    crc_fixed: usize,
}

impl Recovery {
    fn begin(log: &Path) -> Result<Self, ToolkitError> {
        let mut path = log.as_os_str().to_owned();
        path.push(".fixed");
        let path = PathBuf::from(path);
        let file = File::options().write(true).create_new(true).open(&path).map_err(|problem| {
            let message = format!(
                "Recovery file {} already exists or not writable: {problem}",
                path.display()
            );
            ToolkitError::stop(ExitCode::UnexpectedError, message)
        })?;
        Ok(Self { path, out: BufWriter::new(file), crc_fixed: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    fn finish(mut self, out: &mut dyn Write) -> Result<(), ToolkitError> {
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        writeln!(
            out,
            "Recovery file {} has been written with {} fixed CRC error(s)",
            self.path.display(),
            self.crc_fixed
        )?;
        Ok(())
    }
}

/// An entry as stored in the file.
struct Entry {
    crc: i64,
    bytes: Vec<u8>,
}

impl Entry {
    fn is_intact(&self) -> bool {
        self.crc == i64::from(checksum(&self.bytes))
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut archive = BinaryOutputArchive::new(&mut bytes);
        archive.write_long(self.crc, "crcvalue");
        archive.write_buffer(Some(&self.bytes), "txnEntry");
        archive.write_byte(END_OF_RECORD, "EOR");
        bytes
    }
}

/// A log file that is read entry by entry, regardless of checksums.
struct LogStream {
    archive: BinaryInputArchive<BufReader<File>>,
}

impl LogStream {
    fn open(path: &Path, format: TxnFormat) -> Result<(Self, FileHeader), ToolkitError> {
        let file = File::open(path).map_err(|problem| {
            let message =
                format!("File doesn't exist or not readable: {}: {problem}", path.display());
            ToolkitError::stop(ExitCode::UnexpectedError, message)
        })?;
        let mut archive = BinaryInputArchive::new(BufReader::new(file), format.limits);
        let header = FileHeader::deserialize(&mut archive)?;
        if header.magic != TXNLOG_MAGIC {
            let name = path.file_name().unwrap_or_default().display();
            let message = format!("Invalid magic number for {name}");
            return Err(ToolkitError::stop(ExitCode::InvalidInvocation, message));
        }
        Ok((Self { archive }, header))
    }

    /// Reads the next entry up to its end mark; `None` at the end of the log.
    fn next(&mut self) -> Result<Option<Entry>, InputError> {
        let crc = match self.archive.read_long() {
            Err(error) if error.is_end_of_input() => return Ok(None),
            crc => crc?,
        };
        match self.archive.read_buffer("txnEntry") {
            Err(error) if error.is_end_of_input() => Ok(None),
            Ok(Some(bytes)) if bytes.is_empty() => Ok(None),
            Ok(bytes) => {
                Ok(Some(Entry { crc, bytes: bytes.ok_or(InputError::Null { tag: "txnEntry" })? }))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the end mark. Returns whether it is correct.
    fn is_terminated(&mut self) -> bool {
        self.archive.read_byte().is_ok_and(|byte| byte == END_OF_RECORD)
    }
}

fn print_header(header: &FileHeader, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "ZooKeeper Transactional Log File with dbid {} txnlog format version {}",
        header.dbid, header.version
    )
}

fn partial() -> ToolkitError {
    ToolkitError::stop(ExitCode::UnexpectedError, "Last transaction was partial.")
}

impl TxnLogToolkit<'_> {
    fn dump(mut self, console: &mut Console<'_>) -> Result<(), ToolkitError> {
        let (mut log, header) = LogStream::open(self.path, self.format)?;
        print_header(&header, console.out)?;
        if let Some(recovery) = &mut self.recovery {
            recovery.write(&header.to_bytes())?;
        }
        let mut count = 0;
        while let Some(mut entry) = log.next()? {
            if !entry.is_intact() {
                self.report_broken(&mut entry, console)?;
            }
            if self.recovery.is_none() || self.verbose {
                self.print_txn(&entry, "", console.out)?;
            }
            if !log.is_terminated() {
                return Err(partial());
            }
            if let Some(recovery) = &mut self.recovery {
                recovery.write(&entry.to_bytes())?;
            }
            count += 1;
        }
        writeln!(console.out, "EOF reached after {count} txns.")?;
        self.recovery.map_or(Ok(()), |recovery| recovery.finish(console.out))
    }

    /// Prints an entry with a wrong checksum, and corrects the checksum if the user agrees.
    fn report_broken(
        &mut self,
        entry: &mut Entry,
        console: &mut Console<'_>,
    ) -> Result<(), ToolkitError> {
        let force = self.force && self.recovery.is_some();
        self.print_txn(entry, if force { "CRC FIXED" } else { "CRC ERROR" }, console.out)?;
        if let Some(recovery) = &mut self.recovery
            && (force || ask_for_fix(console)?)
        {
            entry.crc = i64::from(checksum(&entry.bytes));
            recovery.crc_fixed += 1;
        }
        Ok(())
    }

    fn print_txn(&self, entry: &Entry, prefix: &str, out: &mut dyn Write) -> io::Result<()> {
        let mut text = match deserialize_txn(&entry.bytes, &self.format) {
            Ok(txn) => {
                let header = txn.header;
                format!(
                    "{} session {:#x} cxid {:#x} zxid {:#x} {} {}",
                    java_date::local_time(header.time, "%-m/%-d/%y, %-I:%M:%S %p %Z"),
                    header.client_id,
                    i64::from(header.cxid),
                    header.zxid,
                    op_name(header.r#type),
                    txn.txn.as_ref().map(formatted_txn).unwrap_or_default()
                )
            }
            Err(problem) => {
                format!("{} bytes that are no transaction: {problem}", entry.bytes.len())
            }
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        if !prefix.is_empty() {
            text.insert_str(0, &format!("{prefix} - "));
        }
        out.write_all(text.as_bytes())
    }
}

fn ask_for_fix(console: &mut Console<'_>) -> Result<bool, ToolkitError> {
    loop {
        write!(console.out, "Would you like to fix it (Yes/No/Abort) ? ")?;
        console.out.flush()?;
        let mut line = String::new();
        let ended = console.input.read_line(&mut line)? == 0;
        match line.trim_start().chars().next().map(|answer| answer.to_ascii_uppercase()) {
            Some('Y') => return Ok(true),
            Some('N') => return Ok(false),
            Some('A') => {
                return Err(ToolkitError::stop(ExitCode::ExecutionFinished, "Recovery aborted."));
            }
            None if ended => {
                let message = "Recovery aborted: there is no answer to read.";
                return Err(ToolkitError::stop(ExitCode::UnexpectedError, message));
            }
            _ => {}
        }
    }
}

/// The name of an operation (Java: Request.op2String).
fn op_name(code: i32) -> String {
    OpCode::try_from(code)
        .map_or_else(|_| format!("unknown {code}"), |op| op.java_name().to_owned())
}

/// The text of a transaction's record, with data as text.
fn formatted_txn(txn: &TxnBody) -> String {
    match txn {
        TxnBody::Create(txn) => format!(
            "{},{},{},{},{}",
            txn.path,
            text_of(txn.data.as_deref()),
            acl_list(&txn.acl),
            txn.ephemeral,
            txn.parent_c_version
        ),
        TxnBody::SetData(txn) => {
            format!("{},{},{}", txn.path, text_of(txn.data.as_deref()), txn.version)
        }
        TxnBody::CreateContainer(txn) => format!(
            "{},{},{},{}",
            txn.path,
            text_of(txn.data.as_deref()),
            acl_list(&txn.acl),
            txn.parent_c_version
        ),
        TxnBody::CreateTtl(txn) => format!(
            "{},{},{},{},{}",
            txn.path,
            text_of(txn.data.as_deref()),
            acl_list(&txn.acl),
            txn.parent_c_version,
            txn.ttl
        ),
        TxnBody::Multi(txn) => parts(&txn.txns),
        TxnBody::CreateSession(txn) => ToStringOutputArchive::text_of(txn),
        TxnBody::CloseSession(txn) => ToStringOutputArchive::text_of(txn),
        TxnBody::Delete(txn) => ToStringOutputArchive::text_of(txn),
        TxnBody::SetAcl(txn) => ToStringOutputArchive::text_of(txn),
        TxnBody::CheckVersion(txn) => ToStringOutputArchive::text_of(txn),
        TxnBody::Error(txn) => ToStringOutputArchive::text_of(txn),
    }
}

fn text_of(data: Option<&[u8]>) -> String {
    String::from_utf8_lossy(data.unwrap_or_default()).into_owned()
}

/// The text of a Java list of records, each with its line end.
fn acl_list(acls: &[ACL]) -> String {
    let texts: Vec<_> = acls.iter().map(ToStringOutputArchive::text_of).collect();
    format!("[{}]", texts.join(", "))
}

fn parts(txns: &[Txn]) -> String {
    let mut text = String::new();
    for (number, txn) in txns.iter().enumerate() {
        let separator = if number == 0 { "" } else { ";" };
        let written =
            write!(text, "{separator}{}:{}", op_name(txn.r#type), text_of(txn.data.as_deref()));
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }
    text
}

/// Copies the log up to and including the zxid to a new file beside it.
fn chop(
    path: &Path,
    zxid: Zxid,
    format: TxnFormat,
    out: &mut dyn Write,
) -> Result<ExitCode, ToolkitError> {
    let mut target = path.as_os_str().to_owned();
    target.push(format!(".chopped{}", zxid.0));
    let target = PathBuf::from(target);
    let chopped = Chopper { path, zxid, format }.chop(&target, out);
    if !matches!(chopped, Ok(true)) {
        // Leave no incomplete file behind that looks like a log.
        let _not_made = fs::remove_file(&target);
    }
    if chopped? {
        return Ok(ExitCode::ExecutionFinished);
    }
    let name = path.file_name().unwrap_or_default().display();
    writeln!(out, "Got exception: Failed to chop {name}")?;
    Ok(ExitCode::InvalidInvocation)
}

struct Chopper<'a> {
    path: &'a Path,
    zxid: Zxid,
    format: TxnFormat,
}

impl Chopper<'_> {
    /// Copies the entries. False if there is nothing to cut off, or the log does not contain the zxid.
    fn chop(&self, target: &Path, out: &mut dyn Write) -> Result<bool, ToolkitError> {
        let (mut log, header) = LogStream::open(self.path, self.format)?;
        print_header(&header, out)?;
        let mut chopped = BufWriter::new(File::create(target)?);
        chopped.write_all(&header.to_bytes())?;
        let mut count = 0;
        let mut previous = None;
        loop {
            let has_zxid = previous == Some(self.zxid);
            let entry = match log.next() {
                Ok(Some(entry)) => entry,
                Ok(None) => {
                    writeln!(out, "EOF reached after {count} txns.")?;
                    return Ok(false);
                }
                Err(problem) if has_zxid => {
                    writeln!(out, "The next entry is damaged: {problem}")?;
                    return self.finish(chopped, count, target, out);
                }
                Err(problem) => return Err(problem.into()),
            };
            let txn = self.checked(&entry, log.is_terminated());
            let zxid = match txn {
                Err(problem) if has_zxid => {
                    writeln!(out, "The next entry is damaged: {problem}")?;
                    return self.finish(chopped, count, target, out);
                }
                zxid => zxid?,
            };
            print_gap(previous, zxid, out)?;
            previous = Some(zxid);
            if zxid > self.zxid {
                if has_zxid {
                    return self.finish(chopped, count, target, out);
                }
                writeln!(out, "This log does not contain zxid {:x}", self.zxid.0)?;
                return Ok(false);
            }
            chopped.write_all(&entry.to_bytes())?;
            count += 1;
        }
    }

    fn checked(&self, entry: &Entry, is_terminated: bool) -> Result<Zxid, ToolkitError> {
        if !entry.is_intact() {
            let (stored, computed) = (entry.crc, checksum(&entry.bytes));
            let message = format!("CRC doesn't match {stored} vs {computed}");
            return Err(ToolkitError::stop(ExitCode::InvalidInvocation, message));
        }
        let txn = deserialize_txn(&entry.bytes, &self.format)?;
        if is_terminated { Ok(txn.zxid()) } else { Err(partial()) }
    }

    fn finish(
        &self,
        mut chopped: BufWriter<File>,
        count: usize,
        target: &Path,
        out: &mut dyn Write,
    ) -> Result<bool, ToolkitError> {
        chopped.flush()?;
        chopped.get_ref().sync_all()?;
        writeln!(out, "Chopping at {:x} new log has {count} records", self.zxid.0)?;
        writeln!(
            out,
            "Stop the server and move {} over {} before it is started again",
            target.display(),
            self.path.display()
        )?;
        Ok(true)
    }
}

/// Prints a gap between zxids, to help find the cause of a problem.
fn print_gap(previous: Option<Zxid>, zxid: Zxid, out: &mut dyn Write) -> io::Result<()> {
    let Some(previous) = previous.filter(|previous| zxid != previous.next()) else {
        return Ok(());
    };
    let kind = if zxid.epoch() == previous.epoch() {
        "intra"
    } else if zxid.counter() != 1 {
        "inter"
    } else {
        return Ok(());
    };
    writeln!(out, "There is {kind}-epoch gap between {:x} and {:x}", previous.0, zxid.0)
}

#[cfg(test)]
mod tests;
