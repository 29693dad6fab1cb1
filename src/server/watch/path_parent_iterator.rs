//! Iterates over a path and its parents (Java: server/watch/PathParentIterator.java).

/// Returns a path, then its parent, and so on up to `/`. The path must be valid.
#[derive(Clone, Debug)]
pub(crate) struct PathParentIterator<'a> {
    /// The next path; empty at the end.
    path: &'a str,
    max_level: u32,
    /// The number of paths returned so far.
    levels: u32,
}

impl<'a> PathParentIterator<'a> {
    /// Iterates over the path and all its parents.
    #[must_use]
    pub(crate) const fn for_all(path: &'a str) -> Self {
        Self { path, max_level: u32::MAX, levels: 0 }
    }

    /// Returns only the path itself.
    #[must_use]
    pub(crate) const fn for_path_only(path: &'a str) -> Self {
        Self { path, max_level: 1, levels: 0 }
    }

    /// Whether the path returned last is a parent, not the path itself.
    #[must_use]
    pub(crate) const fn at_parent_path(&self) -> bool {
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
