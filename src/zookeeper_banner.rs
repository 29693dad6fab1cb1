//! The first lines of a server's log (Java: org/apache/zookeeper/ZookeeperBanner.java; another
//! picture).

use log::info;

const BANNER: [&str; 6] = [
    r"",
    r"    ____  ____  ____  __ __ ___________ ____  _________",
    r"   /_  / / __ \/ __ \/ //_// ____/ ____/ __ \/ ____/ __ \",
    r"    / /_/ /_/ / /_/ / ,<  / __/ / __/ / /_/ / __/ / /_/ /",
    r"   /___/\____/\____/_/|_|/_____/_____/ .___/_____/_/|_|",
    r"                                    /_/",
];

/// Logs the name in large letters, with that logger.
pub(crate) fn print_banner(log_target: &str) {
    for line in BANNER {
        info!(target: log_target, "{line}");
    }
}
