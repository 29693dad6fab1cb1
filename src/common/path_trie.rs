//! A set of paths that finds the longest path at or above a given path
//! (Java: org/apache/zookeeper/common/PathTrie.java).
//!
//! It holds the paths that have a quota. The owner does the locking. Java throws at an empty path and at the
//! root; both are ignored here. Deleting a path also removes the inner names that no other path needs, which
//! Java keeps.

use std::collections::HashMap;

#[derive(Debug, Default)]
struct TrieNode {
    children: HashMap<Box<str>, TrieNode>,
    /// Whether the path that ends here is in the set (Java: property).
    is_member: bool,
}

/// A set of paths, stored name by name.
#[derive(Debug, Default)]
pub struct PathTrie {
    root: TrieNode,
}

/// The names in a path. Blank names are skipped, as in Java.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.trim().is_empty())
}

impl PathTrie {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a path.
    pub fn add_path(&mut self, path: &str) {
        let mut node = &mut self.root;
        for name in names(path) {
            node = node.children.entry(name.into()).or_default();
        }
        node.is_member = true;
        self.root.is_member = false;
    }

    /// Removes a path. Paths below it stay.
    pub fn delete_path(&mut self, path: &str) {
        let names: Vec<&str> = names(path).collect();
        let mut node = &mut self.root;
        // How many names above the path other paths still need.
        let mut needed = 0;
        for (depth, name) in names.iter().enumerate() {
            if node.is_member || node.children.len() > 1 {
                needed = depth;
            }
            match node.children.get_mut(*name) {
                Some(child) => node = child,
                None => return,
            }
        }
        node.is_member = false;
        if !node.children.is_empty() || names.is_empty() {
            return;
        }
        let mut node = &mut self.root;
        for name in &names[..needed] {
            match node.children.get_mut(*name) {
                Some(child) => node = child,
                None => return,
            }
        }
        node.children.remove(names[needed]);
    }

    /// Whether the path or one below it is in the set. Always true for the root.
    #[must_use]
    pub fn exists_node(&self, path: &str) -> bool {
        let mut node = Some(&self.root);
        for name in names(path) {
            node = node.and_then(|node| node.children.get(name));
        }
        node.is_some()
    }

    /// The longest path of the set that is the given path or above it; `/` if there is none.
    #[must_use]
    pub fn find_max_prefix(&self, path: &str) -> String {
        if self.root.children.is_empty() {
            return "/".to_owned();
        }
        let mut node = &self.root;
        let (mut walked, mut longest) = (String::new(), 0);
        for name in names(path) {
            match node.children.get(name) {
                Some(child) => node = child,
                None => break,
            }
            walked.push('/');
            walked.push_str(name);
            if node.is_member {
                longest = walked.len();
            }
        }
        if longest == 0 {
            return "/".to_owned();
        }
        walked.truncate(longest);
        walked
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.children.is_empty()
    }

    /// Removes all paths.
    pub fn clear(&mut self) {
        self.root = TrieNode::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_member_above_a_path_is_found() {
        let mut trie = PathTrie::new();
        assert_eq!(trie.find_max_prefix("/a/b"), "/");
        trie.add_path("/node1/node2/node3");
        trie.add_path("/node1");
        trie.add_path("/node1/node3/");
        for (path, prefix) in [
            ("/node1", "/node1"),
            ("/node1/node2", "/node1"),
            ("/node1/node2/node3/node4", "/node1/node2/node3"),
            ("/node1/node3/x", "/node1/node3"),
            ("/node12", "/"),
            ("/", "/"),
            ("", "/"),
            ("//node1// /node2", "/node1"),
        ] {
            assert_eq!(trie.find_max_prefix(path), prefix, "{path:?}");
        }
    }

    #[test]
    fn a_path_that_is_deleted_leaves_those_above_and_below() {
        let mut trie = PathTrie::new();
        for path in ["/a", "/a/b/c", "/a/b/c/d/e", "/a/x"] {
            trie.add_path(path);
        }
        trie.delete_path("/a/b/c");
        assert_eq!(trie.find_max_prefix("/a/b/c"), "/a");
        assert_eq!(trie.find_max_prefix("/a/b/c/d/e/f"), "/a/b/c/d/e");
        trie.delete_path("/a/b/c/d/e");
        assert!(!trie.exists_node("/a/b"));
        assert!(trie.exists_node("/a/x"));
        trie.delete_path("/a/not/there");
        trie.delete_path("/a");
        assert_eq!(trie.find_max_prefix("/a/x"), "/a/x");
        trie.delete_path("/a/x");
        assert!(trie.is_empty());
    }

    #[test]
    fn the_root_and_the_empty_path_are_never_members() {
        let mut trie = PathTrie::new();
        trie.add_path("");
        trie.add_path("/");
        trie.delete_path("");
        trie.delete_path("/");
        assert!(trie.is_empty());
        assert_eq!(trie.find_max_prefix("/a"), "/");
        trie.add_path("/a");
        trie.clear();
        assert!(trie.is_empty());
    }
}
