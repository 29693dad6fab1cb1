//! The settings of a running server as the words `conf` and `configuration` show them (Java:
//! server/ZooKeeperServerConf.java and ZooKeeperServer.dumpConf).

use std::fmt::Write as _;

/// The settings of a running server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZooKeeperServerConf {
    /// The bound port; -1 if there is none.
    pub client_port: i32,
    /// The absolute path of the snapshots, `version-2` included.
    pub data_dir: String,
    /// The absolute path of the transaction logs, `version-2` included.
    pub data_log_dir: String,
    /// The length of a tick.
    pub tick_time_ms: i32,
    /// The limit of connections from one client address; 0 is no limit.
    pub max_client_cnxns_per_host: i32,
    /// The shortest session timeout that is granted.
    pub min_session_timeout_ms: i32,
    /// The longest session timeout that is granted.
    pub max_session_timeout_ms: i32,
    /// The id in `myid`; 0 for a server without an ensemble.
    pub server_id: i64,
    /// Connections that may wait to be accepted; -1 means as many as the system allows.
    pub client_port_listen_backlog: i32,
}

/// A value of [`ZooKeeperServerConf::to_map`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfValue {
    /// A number.
    Number(i64),
    /// A path.
    Text(String),
}

impl ZooKeeperServerConf {
    /// Names and values in Java's order, as the admin server shows them (Java: toMap).
    #[must_use]
    pub fn to_map(&self) -> Vec<(&'static str, ConfValue)> {
        let number = |value: i32| ConfValue::Number(value.into());
        vec![
            ("client_port", number(self.client_port)),
            ("data_dir", ConfValue::Text(self.data_dir.clone())),
            ("data_log_dir", ConfValue::Text(self.data_log_dir.clone())),
            ("tick_time", number(self.tick_time_ms)),
            ("max_client_cnxns", number(self.max_client_cnxns_per_host)),
            ("min_session_timeout", number(self.min_session_timeout_ms)),
            ("max_session_timeout", number(self.max_session_timeout_ms)),
            ("server_id", ConfValue::Number(self.server_id)),
            ("client_port_listen_backlog", number(self.client_port_listen_backlog)),
        ]
    }

    /// The text of the word `conf` (Java: ZooKeeperServer.dumpConf). `secure_client_port` is -1 if there is none.
    /// The sizes are those of the two directories, in bytes.
    #[must_use]
    pub fn dump(&self, secure_client_port: i32, data_dir_size: u64, data_log_size: u64) -> String {
        let mut text = String::with_capacity(512);
        let lines: [(&str, &dyn std::fmt::Display); 12] = [
            ("clientPort", &self.client_port),
            ("secureClientPort", &secure_client_port),
            ("dataDir", &self.data_dir),
            ("dataDirSize", &data_dir_size),
            ("dataLogDir", &self.data_log_dir),
            ("dataLogSize", &data_log_size),
            ("tickTime", &self.tick_time_ms),
            ("maxClientCnxns", &self.max_client_cnxns_per_host),
            ("minSessionTimeout", &self.min_session_timeout_ms),
            ("maxSessionTimeout", &self.max_session_timeout_ms),
            ("clientPortListenBacklog", &self.client_port_listen_backlog),
            ("serverId", &self.server_id),
        ];
        for (name, value) in lines {
            let _never_fails = writeln!(text, "{name}={value}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf() -> ZooKeeperServerConf {
        ZooKeeperServerConf {
            client_port: 2181,
            data_dir: "/data/version-2".into(),
            data_log_dir: "/log/version-2".into(),
            tick_time_ms: 2000,
            max_client_cnxns_per_host: 60,
            min_session_timeout_ms: 4000,
            max_session_timeout_ms: 40000,
            server_id: 0,
            client_port_listen_backlog: -1,
        }
    }

    #[test]
    fn the_word_conf_answers_as_java_does() {
        assert_eq!(
            conf().dump(-1, 67108880, 457),
            "clientPort=2181\nsecureClientPort=-1\ndataDir=/data/version-2\ndataDirSize=67108880\n\
             dataLogDir=/log/version-2\ndataLogSize=457\ntickTime=2000\nmaxClientCnxns=60\n\
             minSessionTimeout=4000\nmaxSessionTimeout=40000\n\
             clientPortListenBacklog=-1\nserverId=0\n"
        );
    }

    #[test]
    fn the_map_has_javas_names_in_javas_order() {
        let names: Vec<_> = conf().to_map().into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "client_port",
                "data_dir",
                "data_log_dir",
                "tick_time",
                "max_client_cnxns",
                "min_session_timeout",
                "max_session_timeout",
                "server_id",
                "client_port_listen_backlog"
            ]
        );
    }
}
