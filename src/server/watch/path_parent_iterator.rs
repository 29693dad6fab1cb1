//! A path and its parents, upwards (Java: server/watch/PathParentIterator.java).

/// Hands out a path, then its parent, and so on up to `/`. The path must be valid.
#[derive(Clone, Debug)]
pub struct PathParentIterator<'a> {
    /// What comes next; empty at the end.
    path: &'a str,
    max_level: u32,
    /// Levels that were handed out.
    levels: u32,
}

impl<'a> PathParentIterator<'a> {
    /// The path and all its parents.
    #[must_use]
    pub const fn for_all(path: &'a str) -> Self {
        Self { path, max_level: u32::MAX, levels: 0 }
    }

    /// The path alone.
    #[must_use]
    pub const fn for_path_only(path: &'a str) -> Self {
        Self { path, max_level: 1, levels: 0 }
    }

    /// Whether what was handed out last is a parent and not the path itself.
    #[must_use]
    pub const fn at_parent_path(&self) -> bool {
        self.levels > 1
    }
}

impl<'a> Iterator for PathParentIterator<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.path.is_empty() || self.levels == self.max_level {
            return None;
        }
        let local_path = self.path;
        self.levels += 1;
        self.path = match local_path.rfind('/') {
            Some(0) if local_path.len() > 1 => "/",
            Some(at) => &local_path[..at],
            None => "",
        };
        Some(local_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parents_come_nearest_first() {
        for (path, all) in [
            ("/a/b/cd", vec!["/a/b/cd", "/a/b", "/a", "/"]),
            ("/a", vec!["/a", "/"]),
            ("/", vec!["/"]),
            ("", vec![]),
        ] {
            let mut iterator = PathParentIterator::for_all(path);
            let mut seen = Vec::new();
            while let Some(local_path) = iterator.next() {
                assert_eq!(iterator.at_parent_path(), !seen.is_empty());
                seen.push(local_path);
            }
            assert_eq!(seen, all);
            assert!(PathParentIterator::for_path_only(path).eq(all.into_iter().take(1)));
        }
    }
}
