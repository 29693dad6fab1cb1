//! Tests of the tool against the output of Java's tool.

use super::*;
use crate::server::persistence::test_dir::TestDir;

fn compat_data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat_data/storage").join(name)
}

fn run_with(answers: &str, args: &[&str]) -> (ExitCode, String, String) {
    let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let properties = SystemProperties::new();
    let code = main(&args, &properties, &mut answers.as_bytes(), &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn run(args: &[&str]) -> (ExitCode, String, String) {
    run_with("", args)
}

/// The comparable part of the lines. Java's output has dates in UTC. With another time zone, only the text
/// after the dates is compared.
fn comparable(text: &str) -> Vec<&str> {
    let is_utc = java_date::date_string(0) == "Thu Jan 01 00:00:00 UTC 1970";
    text.lines()
        .map(|line| match line.find(" session 0x") {
            Some(at) if !is_utc => &line[at..],
            _ => line,
        })
        .collect()
}

/// Writes a changed copy of Java's log with 28 transactions. `change` gets the bytes and the offset of the 27th
/// entry.
fn log_with(dir: &TestDir, change: impl FnOnce(&mut Vec<u8>, usize)) -> String {
    let mut bytes = fs::read(compat_data("v3.9.5/log.1")).unwrap();
    let mut at = 16;
    for _ in 0..26 {
        let length = u32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap());
        at += 12 + usize::try_from(length).unwrap() + 1;
    }
    change(&mut bytes, at);
    let path = dir.path().join("log.1");
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_dump_is_what_java_prints() {
    let java = fs::read_to_string(compat_data("tools/v3.9.5-log.1.txt")).unwrap();
    for options in [&[][..], &["-d"], &["--dump", "-v"]] {
        let log = compat_data("v3.9.5/log.1");
        let args = [options, &[log.to_str().unwrap()]].concat();
        let (code, out, err) = run(&args);
        assert_eq!((code, err.as_str()), (ExitCode::ExecutionFinished, ""));
        assert_eq!(comparable(&out), comparable(&java));
    }
}

#[test]
fn logs_of_all_versions_are_dumped() {
    for (version, log, txns) in
        [("v3.4.14", "log.1", 25), ("v3.5.10", "log.1c", 27), ("v3.6.4", "log.1c", 27)]
    {
        let path = compat_data(version).join(log);
        let (code, out, _) = run(&[path.to_str().unwrap()]);
        assert_eq!(code, ExitCode::ExecutionFinished);
        assert!(out.ends_with(&format!("EOF reached after {txns} txns.\n")), "{version}: {out}");
        assert!(!out.contains("no transaction"), "{out}");
    }
}

#[test]
fn a_wrong_checksum_is_shown_and_repaired_when_that_is_wanted() {
    let dir = TestDir::new();
    let log = log_with(&dir, |bytes, at| bytes[at + 7] ^= 1);
    let good = fs::read(compat_data("v3.9.5/log.1")).unwrap();
    let (code, out, _) = run(&[&log]);
    assert_eq!((code, out.matches("CRC ERROR - ").count()), (ExitCode::ExecutionFinished, 1));

    let fixed = dir.path().join("log.1.fixed");
    for (answers, args, word, count) in [
        ("", &["-r", "-y"][..], "CRC FIXED - ", 1),
        ("what\nYes\n", &["-r"], "CRC ERROR - ", 1),
        ("n\n", &["--recover", "-v"], "CRC ERROR - ", 0),
    ] {
        let (code, out, err) = run_with(answers, &[args, &[&log]].concat());
        assert_eq!((code, err.as_str()), (ExitCode::ExecutionFinished, ""));
        assert!(out.contains(word), "{out}");
        assert!(out.ends_with(&format!("written with {count} fixed CRC error(s)\n")), "{out}");
        let bytes = fs::read(&fixed).unwrap();
        assert_eq!(bytes == good[..bytes.len()], count == 1);
        let (code, _, err) = run(&["-r", "-y", &log]);
        assert_eq!(code, ExitCode::UnexpectedError);
        assert!(err.contains("already exists"), "{err}");
        fs::remove_file(&fixed).unwrap();
    }
    for (answers, code) in
        [("Abort\n", ExitCode::ExecutionFinished), ("", ExitCode::UnexpectedError)]
    {
        let (ended, _, err) = run_with(answers, &["-r", &log]);
        assert_eq!(ended, code);
        assert!(err.starts_with("Recovery aborted"), "{err}");
        fs::remove_file(&fixed).unwrap();
    }
}

#[test]
fn a_log_is_cut_after_a_zxid() {
    let dir = TestDir::new();
    let log = log_with(&dir, |_, _| ());
    let whole = fs::read(&log).unwrap();
    let (code, out, err) = run(&["-c", "-z", "0x1a", &log]);
    assert_eq!((code, err.as_str()), (ExitCode::ExecutionFinished, ""));
    assert!(out.contains("Chopping at 1a new log has 26 records\n"), "{out}");
    let chopped = fs::read(dir.path().join("log.1.chopped26")).unwrap();
    assert!(chopped == whole[..chopped.len()]);
    assert!(run(&[dir.path().join("log.1.chopped26").to_str().unwrap()]).1.contains("26 txns"));
}

#[test]
fn a_log_is_cut_before_damage_if_the_zxid_is_the_last_good_one() {
    for damage in 0..3 {
        let dir = TestDir::new();
        let log = log_with(&dir, |bytes, at| match damage {
            0 => bytes[at + 40] ^= 1,
            1 => bytes[at + 8] = 0x7f,
            _ => bytes.truncate(at + 30),
        });
        let (code, out, _) = run(&["--chop", "--zxid", "26", &log]);
        if damage == 2 {
            assert_eq!(code, ExitCode::InvalidInvocation, "the log ends there: {out}");
            continue;
        }
        assert_eq!(code, ExitCode::ExecutionFinished, "{out}");
        assert!(out.contains("The next entry is damaged: "), "{out}");
        let (code, out, err) = run(&["-c", "-z", "25", &log]);
        assert_eq!(code, ExitCode::ExecutionFinished, "{out}{err}");
        let (code, ..) = run(&["-c", "-z", "27", &log]);
        assert_ne!(code, ExitCode::ExecutionFinished);
        assert_eq!(dir.names(), ["log.1", "log.1.chopped25", "log.1.chopped26"]);
    }
}

#[test]
fn a_cut_that_would_cut_nothing_leaves_no_file() {
    let dir = TestDir::new();
    let log = log_with(&dir, |_, _| ());
    for (zxid, says) in [("0", "does not contain zxid 0"), ("28", "EOF reached after 28 txns")] {
        let (code, out, _) = run(&["-c", "-z", zxid, &log]);
        assert_eq!(code, ExitCode::InvalidInvocation);
        assert!(out.contains(says) && out.contains("Failed to chop log.1"), "{out}");
    }
    assert_eq!(dir.names(), ["log.1"]);
}

#[test]
fn what_is_no_log_and_what_makes_no_sense_is_refused() {
    let dir = TestDir::new();
    let path = dir.path().join("file");
    fs::write(&path, "this is not a transaction log").unwrap();
    let path = path.to_str().unwrap();
    for (args, code, says) in [
        (&[path][..], ExitCode::InvalidInvocation, "Invalid magic number for file"),
        (&["/no/such/log"], ExitCode::UnexpectedError, "File doesn't exist or not readable"),
        (&["-q", path], ExitCode::UnexpectedError, "usage: TxnLogToolkit"),
        (&["-c", "-z", "xyz", path], ExitCode::UnexpectedError, "xyz is no zxid"),
    ] {
        let (ended, _, err) = run(args);
        assert_eq!(ended, code);
        assert!(err.contains(says), "{err}");
    }
    assert_eq!(run(&["-h"]).0, ExitCode::ExecutionFinished);
    assert_eq!(run(&[]).0, ExitCode::UnexpectedError);
    let torn = log_with(&dir, |bytes, at| bytes[at - 1] = 0);
    let (code, out, err) = run(&[&torn]);
    assert_eq!(
        (code, err.as_str()),
        (ExitCode::UnexpectedError, "Last transaction was partial.\n")
    );
    assert!(out.contains("zxid 0x1a"), "{out}");
}

#[test]
fn gaps_are_told() {
    let mut out = Vec::new();
    for (previous, zxid) in [(0, 1), (5, 6), (5, 8), (7, (1 << 32) + 1), (7, (1 << 32) + 2)] {
        let previous = Some(Zxid(previous)).filter(|zxid| *zxid > Zxid::ZERO);
        print_gap(previous, Zxid(zxid), &mut out).unwrap();
    }
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "There is intra-epoch gap between 5 and 8\nThere is inter-epoch gap between 7 and 100000002\n"
    );
}
