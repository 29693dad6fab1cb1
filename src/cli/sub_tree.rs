//! Lists, visits and deletes subtrees (Java: ZKUtil.java, as far as the shell uses it).

use std::collections::VecDeque;

use super::cli_exception::CliError;
use crate::client_cnxn::{ClientError, Pending};
use crate::common::path_utils::validate_path;
use crate::keeper_exception::KeeperError;
use crate::multi_response::MultiResponse;
use crate::op::Op;
use crate::zookeeper::ZooKeeper;

/// How many requests that delete nodes may be in flight (Java: rateLimit).
const RATE_LIMIT: usize = 10;

fn child_path(parent: &str, child: &str) -> String {
    if parent == "/" { format!("/{child}") } else { format!("{parent}/{child}") }
}

/// The node and all its descendants, parents first, level by level (Java: listSubTreeBFS).
///
/// # Errors
/// If a node cannot be read.
pub(crate) fn list_bfs(zk: &ZooKeeper, path: &str) -> Result<Vec<String>, ClientError> {
    let mut tree = vec![path.to_owned()];
    let mut at = 0;
    while let Some(node) = tree.get(at).cloned() {
        let children = zk.get_children(&node, false)?;
        tree.extend(children.iter().map(|child| child_path(&node, child)));
        at += 1;
    }
    Ok(tree)
}

/// Calls `visit` for the node and all its descendants (Java: visitSubTreeDFS): first for all children of a node in
/// order, then for the descendants of each child. Skips nodes that are deleted meanwhile.
///
/// # Errors
/// If a node cannot be read, or `visit` fails.
pub(crate) fn visit_dfs(
    zk: &ZooKeeper,
    path: &str,
    watch: bool,
    visit: &mut dyn FnMut(&str) -> Result<(), CliError>,
) -> Result<(), CliError> {
    validate_path(path).map_err(ClientError::from)?;
    zk.get_data(path, watch)?;
    visit(path)?;
    visit_below(zk, path, watch, visit)
}

fn visit_below(
    zk: &ZooKeeper,
    path: &str,
    watch: bool,
    visit: &mut dyn FnMut(&str) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut children = match zk.get_children(path, watch) {
        Ok(children) => children,
        Err(error) if error.keeper_error() == Some(KeeperError::NoNode) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    children.sort();
    let children: Vec<String> = children.iter().map(|child| child_path(path, child)).collect();
    for child in &children {
        visit(child)?;
    }
    for child in &children {
        visit_below(zk, child, watch, visit)?;
    }
    Ok(())
}

/// Deletes the node and all its descendants, leaves first (Java: deleteRecursive). Each request deletes `batch_size`
/// nodes; if `batch_size` is not positive, nodes are deleted one by one. Returns false if a batch failed.
///
/// # Errors
/// If a node cannot be read or, when deleting one by one, cannot be deleted.
pub(crate) fn delete_recursive(
    zk: &ZooKeeper,
    path: &str,
    batch_size: i32,
) -> Result<bool, ClientError> {
    validate_path(path)?;
    let tree = list_bfs(zk, path)?;
    let leaves_first = tree.iter().rev();
    match usize::try_from(batch_size) {
        Ok(size) if size > 0 => {
            let paths: Vec<&String> = leaves_first.collect();
            let batches = paths.chunks(size).map(|batch| {
                batch.iter().map(|path| Op::delete(path.as_str(), -1)).collect::<Vec<_>>()
            });
            Ok(delete_in_batches(zk, batches))
        }
        _ => {
            for path in leaves_first {
                zk.delete(path, -1)?;
            }
            Ok(true)
        }
    }
}

fn delete_in_batches(zk: &ZooKeeper, batches: impl Iterator<Item = Vec<Op>>) -> bool {
    let mut on_their_way: VecDeque<Pending<MultiResponse>> = VecDeque::new();
    let has_deleted = |pending: Pending<MultiResponse>| {
        pending.wait().is_ok_and(|response| response.results.iter().all(|part| part.err() == 0))
    };
    let mut success = true;
    for ops in batches {
        if on_their_way.len() == RATE_LIMIT
            && let Some(oldest) = on_their_way.pop_front()
        {
            success &= has_deleted(oldest);
        }
        if !success {
            break;
        }
        match zk.submit_multi(ops) {
            Ok(pending) => on_their_way.push_back(pending),
            Err(_) => success = false,
        }
    }
    for pending in on_their_way {
        success &= has_deleted(pending);
    }
    success
}
