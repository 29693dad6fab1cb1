//! The numbers of watches (Java: server/watch/WatchesSummary.java).

use std::fmt;

/// The numbers of connections, paths and watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchesSummary {
    /// The number of connections that have watches, or had some that have fired.
    pub num_connections: usize,
    /// The number of watched paths.
    pub num_paths: usize,
    /// The number of watches.
    pub total_watches: usize,
}

impl WatchesSummary {
    /// The name of [`num_connections`](Self::num_connections) in [`to_map`](Self::to_map).
    pub const KEY_NUM_CONNECTIONS: &str = "num_connections";
    /// The name of [`num_paths`](Self::num_paths).
    pub const KEY_NUM_PATHS: &str = "num_paths";
    /// The name of [`total_watches`](Self::total_watches).
    pub const KEY_NUM_TOTAL_WATCHES: &str = "num_total_watches";

    /// The names and values, in Java's order.
    #[must_use]
    pub const fn to_map(self) -> [(&'static str, usize); 3] {
        [
            (Self::KEY_NUM_CONNECTIONS, self.num_connections),
            (Self::KEY_NUM_PATHS, self.num_paths),
            (Self::KEY_NUM_TOTAL_WATCHES, self.total_watches),
        ]
    }
}

/// The text of the command `wchs`.
impl fmt::Display for WatchesSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { num_connections, num_paths, total_watches } = self;
        writeln!(f, "{num_connections} connections watching {num_paths} paths")?;
        write!(f, "Total watches:{total_watches}")
    }
}
