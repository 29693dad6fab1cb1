//! A majority, with an oracle file for two voters (Java: server/quorum/flexible/QuorumOracleMaj.java).
//!
//! When one of two voters is left alone, the file decides whether it goes on. Its first character is `1` for the
//! server that may. Somebody else writes the file and must make sure that only one of the two servers reads `1`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use log::{debug, error, info};

use super::quorum_maj::QuorumMaj;
use super::quorum_members::QuorumMembers;
use super::quorum_verifier::{QuorumVerifier, VerifierKind};
use crate::ids::Sid;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.quorum.flexible.QuorumOracleMaj";

/// The number of voters for which the oracle helps out.
const VOTERS_OF_AN_ORACLE: usize = 2;

/// Counts votes, and asks the oracle if there are two voters.
#[derive(Debug)]
pub(crate) struct QuorumOracleMaj {
    majority: QuorumMaj,
    oracle: PathBuf,
    need_oracle: AtomicBool,
}

impl QuorumOracleMaj {
    /// A majority of these members, with the path of the oracle file.
    #[must_use]
    pub(crate) fn new(members: QuorumMembers, oracle: &Path) -> Self {
        info!(target: LOG, "Oracle is set to {}", oracle.display());
        Self {
            majority: QuorumMaj::new(members),
            oracle: oracle.into(),
            need_oracle: AtomicBool::new(true),
        }
    }
}

impl QuorumVerifier for QuorumOracleMaj {
    fn kind(&self) -> VerifierKind {
        VerifierKind::OracleMajority
    }

    fn members(&self) -> &QuorumMembers {
        self.majority.members()
    }

    fn voters(&self) -> &BTreeSet<Sid> {
        self.majority.voters()
    }

    fn weight(&self, id: Sid) -> i64 {
        self.majority.weight(id)
    }

    fn contains_quorum(&self, set: &BTreeSet<Sid>) -> bool {
        if self.majority.contains_quorum(set) {
            return true;
        }
        if self.voters().len() > VOTERS_OF_AN_ORACLE || !self.need_oracle() {
            return false;
        }
        let answer = self.ask_oracle();
        debug!(
            target: LOG,
            "We lose the quorum, but we do not have any valid followers Oracle:{answer}"
        );
        answer
    }

    fn oracle_path(&self) -> Option<&Path> {
        Some(&self.oracle)
    }

    fn need_oracle(&self) -> bool {
        self.need_oracle.load(Ordering::Acquire)
    }

    fn update_need_oracle(&self, has_forwarding_followers: bool) -> bool {
        let need = !has_forwarding_followers && self.voters().len() == VOTERS_OF_AN_ORACLE;
        self.need_oracle.store(need, Ordering::Release);
        need
    }

    fn ask_oracle(&self) -> bool {
        let mut first = [0];
        let read = File::open(&self.oracle).and_then(|mut file| file.read(&mut first));
        match read {
            Ok(_) => first == *b"1",
            Err(problem) => {
                error!(target: LOG, "the oracle {} says nothing: {problem}", self.oracle.display());
                false
            }
        }
    }

    fn revalidate_voteset(&self, has_all_quorums: bool, timed_out: bool) -> bool {
        has_all_quorums && timed_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::persistence::test_dir::TestDir;
    use crate::server::quorum::flexible::test_members::voters;
    use std::fs;

    #[test]
    fn of_two_voters_one_goes_on_alone_when_the_oracle_says_so() {
        let dir = TestDir::new();
        let file = dir.path().join("oracle");
        let alone: BTreeSet<Sid> = [Sid(1)].into();
        let two = QuorumOracleMaj::new(voters(&[1, 2]), &file);
        assert!(!two.contains_quorum(&alone), "no file");
        for (text, goes_on) in [("0", false), ("1\n", true), ("", false), ("true", false)] {
            fs::write(&file, text).unwrap();
            assert_eq!(two.contains_quorum(&alone), goes_on, "{text:?}");
            assert_eq!(two.override_quorum_decision(false), goes_on, "{text:?}");
        }
        fs::write(&file, "1").unwrap();
        assert!(!two.override_quorum_decision(true), "it has a follower");
        assert!(!two.contains_quorum(&alone), "the follower must agree");
        let three = QuorumOracleMaj::new(voters(&[1, 2, 3]), &file);
        assert!(!three.contains_quorum(&alone), "three voters need no oracle");
    }
}
