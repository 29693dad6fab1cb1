//! Prints a snapshot (Java: server/SnapshotFormatter.java).
//!
//! Differs from Java: children are sorted by name. A snapshot with a wrong checksum is printed, but the command
//! fails.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::data_tree::{DataTree, DataTreeConfig, DataTreeParts, NodeView};
use super::exit_code::ExitCode;
use super::persistence::file_header::FileHeader;
use super::persistence::file_snap::{SNAP_MAGIC, Sessions, deserialize_sessions};
use super::persistence::snap_shot::SnapError;
use super::persistence::snap_stream::{check_seal, input_stream};
use super::persistence::util::{SNAPSHOT_FILE_PREFIX, zxid_from_name};
use super::server_metrics::ServerMetrics;
use super::util::serialize_utils::TxnFormat;
use super::watch::i_watch_manager::IWatchManager;
use super::watch::watch_manager::WatchManager;
use crate::common::java_date::date_string;

use crate::common::time::{SystemClock, TimeSource};
use crate::common::zk_config::SystemProperties;
use crate::data::StatPersisted;
use crate::ids::Zxid;
use crate::jute::{BinaryInputArchive, InputError, Record};

const USAGE: &str = "\
USAGE: SnapshotFormatter [-d|-json] snapshot_file
       -d dump the data for each znode
       -json dump znode info in json format
";

/// The node numbers in the JSON output start above this. Ncdu reads them as inode numbers.
const INODE_START: u64 = 1000;

/// The format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Details { data: bool },
    Json,
}

/// The command: `[-d|-json] snapshot_file`.
pub fn main(
    args: &[String],
    properties: &SystemProperties,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let problem = match parse(args) {
        Err(problem) => problem,
        Ok((path, form)) => match run(path, form, properties, out) {
            Ok(()) => return ExitCode::ExecutionFinished,
            Err(problem) => {
                // If standard error is closed, nobody can be told.
                let _gone = writeln!(err, "{problem}");
                return ExitCode::UnexpectedError;
            }
        },
    };
    let _gone = err.write_all(problem.as_bytes());
    ExitCode::InvalidInvocation
}

fn parse(args: &[String]) -> Result<(&Path, Form), String> {
    let (mut data, mut json) = (false, false);
    let mut files = args.iter().skip_while(|arg| match arg.as_str() {
        "-d" => {
            data = true;
            true
        }
        "-json" => {
            json = true;
            true
        }
        _ => false,
    });
    let (Some(file), None) = (files.next(), files.next()) else {
        return Err(USAGE.to_owned());
    };
    let path = Path::new(file);
    check_file(path)?;
    if data && json {
        let problem = "Cannot specify both data dump (-d) and json mode (-json) in same call\n";
        return Err(problem.to_owned());
    }
    Ok((path, if json { Form::Json } else { Form::Details { data } }))
}

/// Java: ZKUtil.validateFileInput.
fn check_file(path: &Path) -> Result<(), String> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = absolute.display();
    if !path.exists() {
        return Err(format!("File '{name}' does not exist.\n"));
    }
    if path.is_dir() {
        return Err(format!("'{name}' is a directory. it must be a file.\n"));
    }
    fs::File::open(path)
        .map(drop)
        .map_err(|_| format!("Read permission is denied on the file '{name}'\n"))
}

/// Why a snapshot is not printed, or not completely.
#[derive(Debug, thiserror::Error)]
enum FormatterError {
    #[error("{0}")]
    Snap(#[from] SnapError),
    #[error("cannot print: {0}")]
    Out(#[from] io::Error),
}

fn run(
    path: &Path,
    form: Form,
    properties: &SystemProperties,
    out: &mut dyn Write,
) -> Result<(), FormatterError> {
    let place = path.display().to_string();
    let at_place = |source| SnapError::Input { place: place.clone(), source };
    let input = input_stream(path).map_err(|error| at_place(InputError::Io(error)))?;
    let limits = TxnFormat::from_properties(properties).limits;
    let mut archive = BinaryInputArchive::new(input, limits);
    let header = FileHeader::deserialize(&mut archive).map_err(at_place)?;
    if header.magic != SNAP_MAGIC {
        return Err(SnapError::InvalidMagic { place, found: header.magic }.into());
    }
    let mut sessions = Sessions::new();
    deserialize_sessions(&mut archive, &mut sessions).map_err(at_place)?;
    let metrics = ServerMetrics::null();
    let watches = || Arc::new(WatchManager::new(Arc::clone(&metrics))) as Arc<dyn IWatchManager>;
    let parts = DataTreeParts::new(watches(), watches());
    let config = DataTreeConfig::from_properties(properties, limits);
    let mut tree = DataTree::new(config, parts);
    tree.deserialize(&mut archive).map_err(at_place)?;

    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut out = io::BufWriter::new(out);
    match form {
        Form::Json => print_json(&tree, &mut out)?,
        Form::Details { data } => {
            let last = print_nodes(&tree, data, &mut out)?;
            print_sessions(&tree, &sessions, &mut out)?;
            let zxid = zxid_from_name(name, SNAPSHOT_FILE_PREFIX).max(last);
            writeln!(out, "----\nLast zxid: {zxid}")?;
        }
    }
    out.flush()?;
    if check_seal(&mut archive).map_err(at_place)? {
        return Ok(());
    }
    Err(SnapError::Checksum { place, section: "the tree" }.into())
}

/// Visits parents before children, and children sorted by name.
fn in_order<'a>(
    tree: &'a DataTree,
    mut visit: impl FnMut(Visit<'a>) -> io::Result<()>,
) -> io::Result<()> {
    let mut open: Vec<Vec<NodeView<'a>>> = vec![tree.node("/").into_iter().collect()];
    while let Some(siblings) = open.last_mut() {
        let Some(node) = siblings.pop() else {
            open.pop();
            if !open.is_empty() {
                visit(Visit::Leave)?;
            }
            continue;
        };
        let mut children: Vec<_> = node.child_nodes().collect();
        children.sort_by(|a, b| b.path().cmp(a.path()));
        let has_children = !children.is_empty();
        visit(Visit::Node { node, has_children })?;
        if has_children {
            open.push(children);
        }
    }
    Ok(())
}

/// A step of a walk through the tree.
enum Visit<'a> {
    Node {
        node: NodeView<'a>,
        has_children: bool,
    },
    /// All children of the innermost node that is still open have been visited.
    Leave,
}

/// Returns the highest zxid in the nodes' states.
fn print_nodes(tree: &DataTree, data: bool, out: &mut dyn Write) -> io::Result<Zxid> {
    writeln!(out, "ZNode Details (count={}):", tree.node_count())?;
    let mut last = Zxid::ZERO;
    in_order(tree, |visit| {
        let Visit::Node { node, .. } = visit else { return Ok(()) };
        let stat = node.stat_persisted();
        last = last.max(stat.mzxid).max(stat.pzxid);
        writeln!(out, "----\n{}", node.path())?;
        print_stat(&stat, out)?;
        let bytes = node.data().unwrap_or_default();
        if data {
            writeln!(out, "  data = {}", STANDARD.encode(bytes))
        } else {
            writeln!(out, "  dataLength = {}", bytes.len())
        }
    })?;
    writeln!(out, "----")?;
    Ok(last)
}

fn print_stat(stat: &StatPersisted, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "  cZxid = {:#016x}", stat.czxid)?;
    writeln!(out, "  ctime = {}", date_string(stat.ctime))?;
    writeln!(out, "  mZxid = {:#016x}", stat.mzxid)?;
    writeln!(out, "  mtime = {}", date_string(stat.mtime))?;
    writeln!(out, "  pZxid = {:#016x}", stat.pzxid)?;
    writeln!(out, "  cversion = {}", stat.cversion)?;
    writeln!(out, "  dataVersion = {}", stat.version)?;
    writeln!(out, "  aclVersion = {}", stat.aversion)?;
    writeln!(out, "  ephemeralOwner = {:#016x}", stat.ephemeral_owner)
}

fn print_sessions(tree: &DataTree, sessions: &Sessions, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Session Details (sid, timeout, ephemeralCount):")?;
    for (id, timeout) in sessions {
        writeln!(out, "{id:#016x}, {timeout}, {}", tree.ephemerals(*id).len())?;
    }
    Ok(())
}

/// The format of ncdu: a node with children is an array of itself and its children.
fn print_json(tree: &DataTree, out: &mut dyn Write) -> io::Result<()> {
    let now = SystemClock::new().wall_ms();
    write!(
        out,
        "[1,0,{{\"progname\":\"SnapshotFormatter.java\",\"progver\":\"0.01\",\"timestamp\":{now}}}"
    )?;
    let mut inode = INODE_START;
    in_order(tree, |visit| match visit {
        Visit::Leave => write!(out, "]"),
        Visit::Node { node, has_children } => {
            inode += 1;
            let path = node.path();
            let name = match path.rsplit_once('/') {
                Some((_, name)) if !name.is_empty() => name,
                _ => path,
            };
            let len = node.data().map_or(0, <[u8]>::len);
            let open = if has_children { "[" } else { "" };
            write!(
                out,
                ",{open}{{\"name\":\"{}\",\"asize\":{len},\"dsize\":{len},\"dev\":0,\"ino\":{inode}}}",
                quoted(name)
            )
        }
    })?;
    write!(out, "]")
}

/// Escapes a text for JSON as Jackson does.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            control if control < ' ' => {
                let written = write!(quoted, "\\u{:04X}", u32::from(control));
                debug_assert!(written.is_ok(), "writing to a String cannot fail");
            }
            other => quoted.push(other),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::persistence::test_dir::TestDir;
    use std::path::PathBuf;

    fn compat_data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat_data/storage").join(name)
    }

    fn format(args: &[&str]) -> (ExitCode, String, String) {
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut properties = SystemProperties::new();
        properties.set("zookeeper.extendedTypesEnabled", "true");
        let code = main(&args, &properties, &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    /// The sorted blocks of an output, because Java's order is arbitrary. Dates count only in UTC, as in Java's
    /// files.
    fn comparable(text: &str) -> Vec<String> {
        let is_utc = date_string(0) == "Thu Jan 01 00:00:00 UTC 1970";
        let lines = text.lines().filter(|line| is_utc || !line.contains("time = "));
        let text = lines.map(|line| format!("{line}\n")).collect::<String>();
        let mut blocks: Vec<_> = text.split("----\n").map(str::to_owned).collect();
        blocks.sort();
        blocks
    }

    #[test]
    fn a_snapshot_is_printed_as_java_prints_it() {
        let path = compat_data("v3.9.5/snapshot.1c");
        let path = path.to_str().unwrap();
        for (options, java) in
            [(&[][..], "v3.9.5-snapshot.1c.txt"), (&["-d"], "v3.9.5-snapshot.1c-d.txt")]
        {
            let (code, out, err) = format(&[options, &[path]].concat());
            assert_eq!((code, err.as_str()), (ExitCode::ExecutionFinished, ""));
            let java = fs::read_to_string(compat_data("tools").join(java)).unwrap();
            assert_eq!(comparable(&out), comparable(&java));
        }
    }

    #[test]
    fn compressed_snapshots_are_printed_too() {
        for name in ["v3.9.5-gz/snapshot.1b.gz", "v3.9.5-snappy/snapshot.1b.snappy"] {
            let (code, out, _) = format(&[compat_data(name).to_str().unwrap()]);
            assert_eq!(code, ExitCode::ExecutionFinished);
            assert!(out.starts_with("ZNode Details (count=20):\n----\n/\n"), "{out}");
            assert!(out.ends_with("----\nLast zxid: 0x1b\n"), "{out}");
        }
    }

    #[test]
    fn the_json_form_nests_children_in_their_parents_array() {
        let path = compat_data("v3.9.5/snapshot.0");
        let (code, out, _) = format(&["-json", path.to_str().unwrap()]);
        assert_eq!(code, ExitCode::ExecutionFinished);
        let (head, nodes) = out.split_once("},").unwrap();
        assert!(head.starts_with("[1,0,{\"progname\":\"SnapshotFormatter.java\""), "{head}");
        let node = |name: &str, inode: u64| {
            format!("{{\"name\":\"{name}\",\"asize\":0,\"dsize\":0,\"dev\":0,\"ino\":{inode}}}")
        };
        let names = ["/", "zookeeper", "config", "quota"];
        let [root, zookeeper, config, quota] =
            std::array::from_fn(|at| node(names[at], 1001 + at as u64));
        assert_eq!(nodes, format!("[{root},[{zookeeper},{config},{quota}]]]"));
    }

    #[test]
    fn names_are_quoted_for_json() {
        assert_eq!(quoted("a\"b\\c\n\u{1f}\u{8}ü"), "a\\\"b\\\\c\\n\\u001F\\bü");
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        let dir = TestDir::new();
        let mut bytes = fs::read(compat_data("v3.9.5/snapshot.1c")).unwrap();
        let whole = compat_data("v3.9.5/snapshot.1c");
        let whole = whole.to_str().unwrap();
        let broken = dir.path().join("snapshot.1c");
        *bytes.iter_mut().rfind(|byte| **byte == b'1').unwrap() ^= 4; // in a path
        fs::write(&broken, bytes).unwrap();
        for (args, code, says) in [
            (&[][..], ExitCode::InvalidInvocation, "USAGE: SnapshotFormatter"),
            (&[whole, "-d"], ExitCode::InvalidInvocation, "USAGE: SnapshotFormatter"),
            (&["-d", "-json", whole], ExitCode::InvalidInvocation, "Cannot specify both"),
            (&["/no/file"], ExitCode::InvalidInvocation, "File '/no/file' does not exist."),
            (&["/tmp"], ExitCode::InvalidInvocation, "is a directory"),
            (&[compat_data("v3.9.5/log.1").to_str().unwrap()], ExitCode::UnexpectedError, "magic"),
        ] {
            let (ended, _, err) = format(args);
            assert_eq!(ended, code, "{err}");
            assert!(err.contains(says), "{err}");
        }
        let (code, _, err) = format(&[broken.to_str().unwrap()]);
        assert_eq!(code, ExitCode::UnexpectedError);
        assert!(err.contains("CRC corruption") || err.contains("unable to find parent"), "{err}");
    }
}
