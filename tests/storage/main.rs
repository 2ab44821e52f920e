//! The pool on real file systems: loop devices, btrfs and XFS. Needs root; where that is missing the tests fail,
//! and say so.
