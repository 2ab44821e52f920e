//! The program that is running, as files: what an image needs to hold so that this very program runs in it.
//!
//! A statically linked program is one file. One that is linked to libraries brings those that the kernel has mapped
//! for it (`proc_pid_maps(5)`), the loader among them, each at its own path.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The program and its libraries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its own file.
    pub file: PathBuf,
    /// The libraries that it is linked to, as it finds them.
    pub libraries: Vec<PathBuf>,
    /// Another one after every build.
    pub build: String,
}

/// Finds the files of the program that is running.
pub fn program() -> io::Result<Program> {
    let file = fs::read_link("/proc/self/exe")?;
    let found = fs::metadata(&file)?;
    let maps = fs::read_to_string("/proc/self/maps")?;
    let build = format!("{:x}-{:x}", found.len(), found.mtime_nsec() ^ (found.mtime() << 20));
    Ok(Program { libraries: mapped_libraries(&maps), file, build })
}

/// The shared libraries among the mapped files.
fn mapped_libraries(maps: &str) -> Vec<PathBuf> {
    let paths: BTreeSet<&str> = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| &line[at..]))
        .filter(|path| {
            // `libc.so.6`, `ld-linux.so`: the name of a shared object, with or without a version.
            path.rsplit('/').next().is_some_and(|name| format!("{name}.").contains(".so."))
        })
        .collect();
    paths.into_iter().map(PathBuf::from).collect()
}

impl Program {
    /// A tar of a tree in which the program is `name` (without the first slash) and runs.
    pub fn tar(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        archive.mode(tar::HeaderMode::Deterministic);
        add(&mut archive, &self.file, Path::new(name))?;
        let mut names: BTreeSet<PathBuf> = BTreeSet::new();
        for library in &self.libraries {
            names.insert(library.clone());
        }
        if let Some(loader) = interpreter(&self.file)? {
            names.insert(loader);
        }
        for path in &names {
            add(&mut archive, path, path.strip_prefix("/").unwrap_or(path))?;
            // The loader looks in folders that may be links to where the kernel says the file is.
            for alias in aliases(path) {
                add(&mut archive, path, alias.strip_prefix("/").unwrap_or(&alias))?;
            }
        }
        archive.into_inner()
    }
}

/// `/usr/lib/…` is found by the loader as `/lib/…` too where the two are one folder.
fn aliases(path: &Path) -> Vec<PathBuf> {
    let other = path.strip_prefix("/usr").ok().map(|rest| Path::new("/").join(rest));
    other.into_iter().collect()
}

fn add(archive: &mut tar::Builder<Vec<u8>>, source: &Path, name: &Path) -> io::Result<()> {
    let file = File::open(source)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(file.metadata()?.len());
    header.set_mode(0o755);
    header.set_mtime(0);
    archive.append_data(&mut header, name, BufReader::new(file))
}

/// The loader that a program names (ELF specification, `PT_INTERP`); none for a static one.
fn interpreter(program: &Path) -> io::Result<Option<PathBuf>> {
    let mut head = vec![0; 4096];
    let read = File::open(program)?.read(&mut head)?;
    head.truncate(read);
    let number = |at: usize, width: usize| -> Option<usize> {
        let bytes = head.get(at..at + width)?;
        Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    // ELF64, little-endian: the table of segments is at e_phoff, each of e_phentsize bytes, e_phnum of them.
    if head.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Ok(None);
    }
    let (Some(table), Some(size), Some(count)) = (number(32, 8), number(54, 2), number(56, 2)) else {
        return Ok(None);
    };
    for index in 0..count {
        let entry = table + index * size;
        if number(entry, 4) == Some(3) {
            let (Some(at), Some(length)) = (number(entry + 8, 8), number(entry + 32, 8)) else { break };
            let name = head.get(at..at + length.saturating_sub(1));
            return Ok(name.map(|name| PathBuf::from(String::from_utf8_lossy(name).into_owned())));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_told_from_other_mapped_files() {
        let maps = "55d0-55d1 r-xp 00000000 08:01 12 /opt/my tools/devenv\n\
                    7f00-7f01 r--p 00000000 08:01 13 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
                    7f01-7f02 r-xp 00000000 08:01 13 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
                    7f03-7f04 r--p 00000000 08:01 14 /usr/lib/locale/C.utf8/LC_CTYPE\n\
                    7ffd-7ffe rw-p 00000000 00:00 0 [stack]\n";
        assert_eq!(mapped_libraries(maps), [PathBuf::from("/usr/lib/x86_64-linux-gnu/libc.so.6")]);
    }

    #[test]
    fn this_program_runs_from_its_tar_alone() {
        let program = program().unwrap();
        let folder = tempfile::tempdir().unwrap();
        tar::Archive::new(program.tar("devenv").unwrap().as_slice()).unpack(folder.path()).unwrap();
        let names: Vec<_> = program.libraries.iter().map(|path| path.strip_prefix("/").unwrap()).collect();
        assert!(names.iter().all(|name| folder.path().join(name).is_file()), "{names:?}");
        assert!(folder.path().join("devenv").is_file());
        if let Some(loader) = interpreter(&program.file).unwrap() {
            assert!(folder.path().join(loader.strip_prefix("/").unwrap()).is_file());
        }
    }
}
