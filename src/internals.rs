//! What the binary, the benchmarks and the tests of this package use of its inside (no Java twin).
//!
//! It is public only because these are crates of their own. It is no part of the library: it changes without notice.

#![allow(missing_docs, reason = "the items have their documentation where they are defined")]

pub mod bench {
    pub use crate::bench::*;
}
pub mod logging {
    pub use crate::logging::*;
}
pub mod proto {
    pub use crate::proto::*;
}
pub mod quotas {
    pub use crate::quotas::*;
}
pub mod txn {
    pub use crate::txn::*;
}
pub mod zookeeper_main {
    pub use crate::zookeeper_main::*;
}
pub mod audit {
    pub mod zk_audit_provider {
        pub use crate::audit::zk_audit_provider::ZKAuditProvider;
    }
}
pub mod cli {
    pub use crate::cli::acl_parser;
    pub mod cli_command {
        pub use crate::cli::cli_command::Console;
    }
    pub mod command_factory {
        pub use crate::cli::command_factory::COMMANDS;
    }
}
pub mod client {
    pub use crate::client::four_letter_word_main;
    pub mod connect_string_parser {
        pub use crate::client::connect_string_parser::ConnectStringParser;
    }
}
pub mod command_line {
    pub use crate::command_line::CommandLine;
}
pub mod common {
    pub use crate::common::{path_utils, time};
    pub mod config_exception {
        pub use crate::common::config_exception::{ConfigError, Place};
    }
    pub mod net_utils {
        pub use crate::common::net_utils::InetSocketAddress;
    }
    pub mod path_trie {
        pub use crate::common::path_trie::PathTrie;
    }
    pub mod properties {
        pub use crate::common::properties::Properties;
    }
    pub mod zk_config {
        pub use crate::common::zk_config::{SystemProperties, decode_number};
    }
}
pub mod delete_container_request {
    pub use crate::delete_container_request::DeleteContainerRequest;
}
pub mod jute {
    pub use crate::jute::{
        BinaryInputArchive, BinaryOutputArchive, Limits, OutputArchive, Record,
        ToStringOutputArchive,
    };
}
pub mod metrics {
    pub mod impls {
        pub mod default_metrics_provider {
            pub use crate::metrics::impls::default_metrics_provider::DefaultMetricsProvider;
        }
    }
}
pub mod multi_operation_record {
    pub use crate::multi_operation_record::MultiOperationRecord;
}
pub mod multi_response {
    pub use crate::multi_response::MultiResponse;
}
pub mod server {
    pub use crate::server::{purge_txn_log, snapshot_formatter, zookeeper_thread};
    pub mod admin {
        pub mod commands {
            pub use crate::server::admin::commands::AdminCommandsConfig;
        }
        pub mod dummy_admin_server {
            pub use crate::server::admin::dummy_admin_server::DummyAdminServer;
        }
        pub mod http_admin_server {
            pub use crate::server::admin::http_admin_server::AdminServerConfig;
        }
        pub mod http_message {
            pub use crate::server::admin::http_message::{Body, Framing, Head, Response, Status};
        }
    }
    pub mod auth {
        pub mod authentication_provider {
            pub use crate::server::auth::authentication_provider::HttpAuthRequest;
        }
        pub mod digest_authentication_provider {
            pub use crate::server::auth::digest_authentication_provider::DigestAuthenticationProvider;
        }
        pub mod provider_registry {
            pub use crate::server::auth::provider_registry::ProviderRegistry;
        }
        pub mod server_authentication_provider {
            pub use crate::server::auth::server_authentication_provider::MatchValues;
        }
    }
    pub mod authentication_helper {
        pub use crate::server::authentication_helper::AuthenticationHelper;
    }
    pub mod command {
        pub mod command_executor {
            pub use crate::server::command::command_executor::CommandExecutor;
        }
        pub mod four_letter_commands {
            pub use crate::server::command::four_letter_commands::FourLetterCommands;
        }
    }
    pub mod container_manager {
        pub use crate::server::container_manager::ContainerManagerConfig;
    }
    pub mod data_tree {
        pub use crate::server::data_tree::{
            DataTree, DataTreeConfig, DataTreeParts, SnapshotCursor, TreeContents,
        };
    }
    pub mod ephemeral_type {
        pub use crate::server::ephemeral_type::EphemeralTypes;
    }
    pub mod exit_code {
        pub use crate::server::exit_code::ExitCode;
    }
    pub mod nio_server_cnxn_factory {
        pub use crate::server::nio_server_cnxn_factory::{CnxnFactoryConfig, NIOServerCnxnFactory};
    }
    pub mod persistence {
        pub use crate::server::persistence::txn_log_toolkit;
        pub mod file_header {
            pub use crate::server::persistence::file_header::FileHeader;
        }
        pub mod file_txn_log {
            pub use crate::server::persistence::file_txn_log::{FileTxnLog, TailCheck};
        }
        pub mod file_txn_snap_log {
            pub use crate::server::persistence::file_txn_snap_log::{
                FileTxnSnapLog, FileTxnSnapLogConfig, RestoreError, VERSION_DIRECTORY,
            };
        }
        pub mod snap_stream {
            pub use crate::server::persistence::snap_stream::{StreamMode, is_valid_snapshot};
        }
        pub mod txn_log {
            pub use crate::server::persistence::txn_log::{
                FileTxnLogConfig, PersistenceMetrics, TxnLogError,
            };
        }
        pub mod util {
            pub use crate::server::persistence::util::{
                is_log_file_name, is_snapshot_file_name, zxid_from_name,
            };
        }
    }
    pub mod quorum {
        pub use crate::server::quorum::{learner_info, quorum_packet, quorum_peer_main};
        pub mod election {
            pub use crate::server::quorum::election::{
                Election, ElectionAddresses, ElectionPeer, ElectionSettings,
            };
        }
        pub mod fast_leader_election {
            pub use crate::server::quorum::fast_leader_election::FastLeaderElection;
            pub mod notification {
                pub use crate::server::quorum::fast_leader_election::notification::{
                    CURRENT_VERSION, NotificationFrame,
                };
            }
        }
        pub mod flexible {
            pub mod create_quorum_verifier {
                pub use crate::server::quorum::flexible::create_quorum_verifier::from_members;
            }
            pub mod quorum_members {
                pub use crate::server::quorum::flexible::quorum_members::QuorumMembers;
            }
            pub mod quorum_verifier {
                pub use crate::server::quorum::flexible::quorum_verifier::QuorumVerifier;
            }
        }
        pub mod follower {
            pub use crate::server::quorum::follower::Follower;
        }
        pub mod leader {
            pub use crate::server::quorum::leader::Leader;
        }
        pub mod learner {
            pub use crate::server::quorum::learner::LearnerError;
        }
        pub mod multiple_addresses {
            pub use crate::server::quorum::multiple_addresses::{
                DEFAULT_TIMEOUT, MultipleAddresses,
            };
        }
        pub mod observer {
            pub use crate::server::quorum::observer::Observer;
        }
        pub mod quorum_cnx_manager {
            pub use crate::server::quorum::quorum_cnx_manager::{
                QuorumCnxManager, initial_message,
            };
        }
        pub mod quorum_peer {
            pub use crate::server::quorum::quorum_peer::{QuorumPeer, QuorumPeerParts};
        }
        pub mod quorum_peer_config {
            pub use crate::server::quorum::quorum_peer_config::{QuorumPeerConfig, config_files};
            pub mod dynamic_file {
                pub use crate::server::quorum::quorum_peer_config::dynamic_file::version_from_filename;
            }
        }
        pub mod quorum_peer_settings {
            pub use crate::server::quorum::quorum_peer_settings::QuorumPeerSettings;
        }
        pub mod quorum_server {
            pub use crate::server::quorum::quorum_server::QuorumServer;
        }
        pub mod states {
            pub use crate::server::quorum::states::{LearnerType, ServerState};
        }
        pub mod synced_learner_tracker {
            pub use crate::server::quorum::synced_learner_tracker::SyncedLearnerTracker;
        }
        pub mod vote {
            pub use crate::server::quorum::vote::Vote;
        }
    }
    pub mod server_cnxn {
        pub use crate::server::server_cnxn::{
            CnxnInput, DisconnectReason, InputState, ServerCnxn, Transport,
        };
    }
    pub mod server_cnxn_factory {
        pub use crate::server::server_cnxn_factory::ServerCnxnFactory;
    }
    pub mod server_config {
        pub use crate::server::server_config::ServerConfig;
    }
    pub mod server_metrics {
        pub use crate::server::server_metrics::ServerMetrics;
    }
    pub mod server_settings {
        pub use crate::server::server_settings::ServerSettings;
    }
    pub mod server_stats {
        pub use crate::server::server_stats::ServerStats;
    }
    pub mod session_password {
        pub use crate::server::session_password::generate;
    }
    pub mod util {
        pub mod serialize_utils {
            pub use crate::server::util::serialize_utils::{
                TxnBody, TxnFormat, deserialize_sub_txn, deserialize_txn, serialize_txn,
            };
        }
    }
    pub mod watch {
        pub use crate::server::watch::WatchManager;
        pub mod watch_manager_factory {
            pub use crate::server::watch::watch_manager_factory::WatchManagerConfig;
        }
    }
    pub mod zk_database {
        pub use crate::server::zk_database::{DatabaseReports, ZKDatabase};
    }
    pub mod zookeeper_server {
        pub use crate::server::zookeeper_server::ZooKeeperServer;
        pub mod access {
            pub use crate::server::zookeeper_server::access::AccessConfig;
        }
    }
    pub mod zookeeper_server_main {
        pub use crate::server::zookeeper_server_main::StandaloneServer;
    }
}
pub mod stats_track {
    pub use crate::stats_track::StatsTrack;
}
pub mod util {
    pub mod lock_rank {
        pub use crate::util::lock_rank::{Rank, RankedMutex};
    }
}
pub mod zk_util {
    pub use crate::zk_util::perm_string;
}
