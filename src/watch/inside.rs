//! The other side: a program of ours that sees what a container sees and makes its files as they should be.
//!
//! It runs in a container of its own that shares the processes' namespace of the one that is written to, and makes
//! that one's root its own (`/proc/PID/root`, `proc_pid_root(5)`). So it works on images without a shell and without
//! `tar`, sees volumes, removes and renames, and ends with the container. It keeps no file half written: each is
//! made beside its place and renamed.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::disk::found as look;
use crate::base::digest::sha256;
use crate::reload::protocol::{Answer, Ask, Be, Make, Should};

/// Files up to this size are compared with what is there before they are written.
const SMALL: u64 = 1 << 20;

/// How a file is called until it is whole. Tools that watch leave out what ends so.
const UNFINISHED: &str = ".devenv~";

/// Answers questions about the container with this id, until the input ends. `user` is as an image has it:
/// `user[:group]`, by name or number; empty for root.
pub fn serve(container: &str, user: &str) -> io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 18, io::stdin().lock());
    let mut output = io::stdout().lock();
    let owner = match enter(container).and_then(|()| owner(user)) {
        Ok(owner) => owner,
        Err(error) => {
            // The first question is answered with it.
            input.read_line(&mut String::new())?;
            return answer(&mut output, &Answer::No { why: error.to_string() });
        }
    };
    let mut inside = Inside { owner, root: PathBuf::from("/") };
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let ask: Ask = serde_json::from_slice(&line)?;
        let told = inside.answer(ask, &mut input)?;
        answer(&mut output, &told)?;
    }
}

fn answer(output: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

/// Makes the container's root this program's.
fn enter(container: &str) -> io::Result<()> {
    let process = process_of(container)?;
    rustix::process::chroot(format!("/proc/{process}/root"))?;
    Ok(rustix::process::chdir("/")?)
}

/// A process of the container: the first one, unless it shares its processes with others.
fn process_of(container: &str) -> io::Result<u32> {
    let is_its = |process: u32| {
        // Engines put a container's id into its control groups, and into the paths of what they mount into it.
        ["cgroup", "mountinfo"].iter().any(|file| {
            fs::read_to_string(format!("/proc/{process}/{file}")).is_ok_and(|it| it.contains(container))
        })
    };
    if is_its(1) {
        return Ok(1);
    }
    let all = fs::read_dir("/proc")?.flatten();
    let mut numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .find(|number| is_its(*number))
        .ok_or_else(|| io::Error::new(ErrorKind::NotFound, "no process of the container is to be seen"))
}

/// The numbers of a user and a group, by the container's own files.
fn owner(user: &str) -> io::Result<(u32, u32)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    owner_in(user, &read("/etc/passwd"), &read("/etc/group"))
        .ok_or_else(|| io::Error::new(ErrorKind::NotFound, format!("the container has no user `{user}`")))
}

/// The same in the texts of `passwd(5)` and `group(5)`.
fn owner_in(user: &str, passwd: &str, group: &str) -> Option<(u32, u32)> {
    let (user, named) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let lines = |text: &'_ str| {
        text.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let field = |line: &Vec<String>, at: usize| line.get(at).and_then(|it| it.parse::<u32>().ok());
    let known = lines(passwd);
    let line = known
        .iter()
        .find(|line| line[0] == user)
        .or_else(|| known.iter().find(|line| line.get(2).is_some_and(|number| number == user)));
    let number = match line {
        Some(line) => field(line, 2)?,
        None => user.parse().ok()?,
    };
    let group = match named {
        None => line.and_then(|line| field(line, 3)).unwrap_or(0),
        Some(name) => match lines(group).iter().find(|line| line[0] == name) {
            Some(line) => field(line, 2)?,
            None => name.parse().ok()?,
        },
    };
    Some((number, group))
}

struct Inside {
    owner: (u32, u32),
    /// What paths begin at.
    root: PathBuf,
}

impl Inside {
    fn answer(&mut self, ask: Ask, input: &mut impl Read) -> io::Result<Answer> {
        Ok(match ask {
            Ask::Hello => Answer::Here { user: self.owner.0, group: self.owner.1 },
            Ask::Compare { all } => {
                let numbers = all.iter().enumerate().filter(|(_, should)| self.differs(should));
                Answer::Differ { numbers: numbers.map(|(number, _)| number).collect() }
            }
            Ask::Make { all } => {
                let (mut changed, mut failed) = (0, Vec::new());
                for make in all {
                    match self.make(&make, input)? {
                        Ok(differed) => changed += usize::from(differed),
                        Err(error) => failed.push((make.path().to_owned(), said(&error))),
                    }
                }
                Answer::Made { changed, failed }
            }
        })
    }

    fn place(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Makes one path so; says whether it was not. The outer error is one of the input.
    fn make(&self, make: &Make, input: &mut impl Read) -> io::Result<io::Result<bool>> {
        let place = self.place(make.path());
        Ok(match make {
            Make::File { mode, size, modified, .. } => {
                let mut content = input.take(*size);
                let made = self.file(&place, *mode, *size, *modified, &mut content);
                // What was not read is not the next question.
                io::copy(&mut content, &mut io::sink())?;
                let mut whole = [0];
                input.read_exact(&mut whole)?;
                match made {
                    Ok(Made::Same) => Ok(false),
                    Ok(Made::Beside(beside)) if whole == [1] => {
                        put(&beside, &place, *modified).map(|()| true)
                    }
                    // It was changed while it was read: the next question has it.
                    Ok(Made::Beside(beside)) => fs::remove_file(beside).map(|()| false),
                    Err(error) => Err(error),
                }
            }
            Make::Folder { mode, .. } => self.folder(&place, *mode),
            Make::Link { to, .. } => self.link(&place, to),
            Make::Nothing { .. } => nothing(&place),
        })
    }

    fn folder(&self, place: &Path, mode: u32) -> io::Result<bool> {
        match look(place)? {
            Some(found) if found.is_dir() => {
                let differs = found.mode() & 0o7777 != mode;
                if differs {
                    fs::set_permissions(place, Permissions::from_mode(mode))?;
                }
                Ok(differs)
            }
            found => {
                if found.is_some() {
                    fs::remove_file(place)?;
                }
                self.above(place)?;
                fs::DirBuilder::new().mode(mode).create(place)?;
                // Without what the mask took away.
                fs::set_permissions(place, Permissions::from_mode(mode))?;
                std::os::unix::fs::lchown(place, Some(self.owner.0), Some(self.owner.1))?;
                Ok(true)
            }
        }
    }

    fn link(&self, place: &Path, to: &str) -> io::Result<bool> {
        if fs::read_link(place).is_ok_and(|said| said == Path::new(to)) {
            return Ok(false);
        }
        let beside = beside(place)?;
        self.above(place)?;
        clear(&beside)?;
        std::os::unix::fs::symlink(to, &beside)?;
        std::os::unix::fs::lchown(&beside, Some(self.owner.0), Some(self.owner.1))?;
        replace(&beside, place)?;
        Ok(true)
    }

    /// Writes a file beside its place, unless it is there already.
    fn file(
        &self,
        place: &Path,
        mode: u32,
        size: u64,
        modified: i64,
        content: &mut impl Read,
    ) -> io::Result<Made> {
        let mut start = Vec::new();
        if size <= SMALL {
            content.read_to_end(&mut start)?;
            if let Some(found) = look(place)?
                && found.is_file()
                && found.len() == size
                && (found.uid(), found.gid()) == self.owner
                && fs::read(place).is_ok_and(|there| there == start)
            {
                let is_later = found.mtime().saturating_mul(1_000_000_000) + found.mtime_nsec() != modified;
                let differs = found.mode() & 0o7777 != mode;
                if !differs && !is_later {
                    return Ok(Made::Same);
                }
            }
        }
        let beside = beside(place)?;
        let made = (|| {
            self.above(place)?;
            clear(&beside)?;
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(&start)?;
            io::copy(content, &mut file)?;
            std::os::unix::fs::fchown(&file, Some(self.owner.0), Some(self.owner.1))?;
            file.set_permissions(Permissions::from_mode(mode))
        })();
        if let Err(error) = made {
            let _ = fs::remove_file(&beside);
            return Err(error);
        }
        Ok(Made::Beside(beside))
    }

    /// Makes the folders above a path.
    fn above(&self, place: &Path) -> io::Result<()> {
        let Some(folder) = place.parent() else { return Ok(()) };
        if folder.is_dir() {
            return Ok(());
        }
        self.above(folder)?;
        match look(folder)? {
            None => {}
            Some(found) if found.is_dir() => return Ok(()),
            Some(_) => fs::remove_file(folder)?,
        }
        fs::create_dir(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        std::os::unix::fs::lchown(folder, Some(self.owner.0), Some(self.owner.1))
    }

    fn differs(&self, should: &Should) -> bool {
        let place = self.place(&should.path);
        let Ok(Some(found)) = look(&place) else { return should.make };
        if !found.is_symlink() && found.mode() & 0o7777 != should.mode {
            return true;
        }
        match &should.be {
            Be::Folder => !found.is_dir(),
            Be::Link(to) => !fs::read_link(&place).is_ok_and(|said| said == Path::new(to)),
            Be::File(size, digest) => {
                !found.is_file()
                    || found.len() != *size
                    || File::open(&place).and_then(sha256).map_or(true, |there| there != *digest)
            }
        }
    }
}

/// Gives a whole file its name.
fn put(beside: &Path, place: &Path, modified: i64) -> io::Result<()> {
    let put = (|| {
        if let Ok(modified) = u64::try_from(modified) {
            let when = UNIX_EPOCH + Duration::from_nanos(modified);
            File::options().write(true).open(beside)?.set_times(fs::FileTimes::new().set_modified(when))?;
        }
        match replace(beside, place) {
            // Something is mounted there, as a single file is: it is written where it stands.
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                let mut file = File::options().write(true).truncate(true).open(place)?;
                io::copy(&mut File::open(beside)?, &mut file)?;
                fs::remove_file(beside)
            }
            replaced => replaced,
        }
    })();
    if put.is_err() {
        let _ = fs::remove_file(beside);
    }
    put
}

enum Made {
    /// It was so already.
    Same,
    /// It is whole, beside its place.
    Beside(PathBuf),
}

/// A name beside a path.
fn beside(place: &Path) -> io::Result<PathBuf> {
    let name = place.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "the root is no file"))?;
    // A name is 255 bytes at most.
    let short = &name[..name.floor_char_boundary(200)];
    Ok(place.with_file_name(format!(".{short}{UNFINISHED}")))
}

fn clear(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Puts a file or a link in the place of whatever is there.
fn replace(beside: &Path, place: &Path) -> io::Result<()> {
    match fs::rename(beside, place) {
        Err(error) if matches!(error.kind(), ErrorKind::IsADirectory | ErrorKind::DirectoryNotEmpty) => {
            fs::remove_dir_all(place)?;
            fs::rename(beside, place)
        }
        renamed => renamed,
    }
}

/// Takes away what stands at a path.
fn nothing(place: &Path) -> io::Result<bool> {
    match look(place)? {
        None => Ok(false),
        Some(found) if found.is_dir() => match fs::remove_dir(place) {
            // What else it holds is the container's own.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(false),
            removed => removed.map(|()| true),
        },
        Some(_) => fs::remove_file(place).map(|()| true),
    }
}

/// An error without the number that Rust puts behind it.
fn said(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    let mut text = text[..end].to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(root: &Path) -> Inside {
        let found = fs::metadata(root).unwrap();
        Inside { owner: (found.uid(), found.gid()), root: root.to_owned() }
    }

    fn make(inside: &mut Inside, all: Vec<(Make, &[u8])>) -> Answer {
        let mut input = Vec::new();
        for (make, content) in &all {
            if matches!(make, Make::File { .. }) {
                input.extend_from_slice(content);
                input.push(1);
            }
        }
        let mut input = input.as_slice();
        let all = all.into_iter().map(|(make, _)| make).collect();
        let told = inside.answer(Ask::Make { all }, &mut input).unwrap();
        assert!(input.is_empty());
        told
    }

    fn file(path: &str, content: &[u8]) -> Make {
        Make::File { path: path.to_owned(), mode: 0o640, size: content.len() as u64, modified: 1_000_000_000 }
    }

    fn made(changed: usize) -> Answer {
        Answer::Made { changed, failed: Vec::new() }
    }

    #[test]
    fn a_tree_is_made_so_and_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut inside = inside(folder.path());
        let all = || {
            vec![
                (Make::Folder { path: "/a".to_owned(), mode: 0o750 }, &b""[..]),
                (file("/a/b/c", b"one"), &b"one"[..]),
                (Make::Link { path: "/l".to_owned(), to: "/etc/hostname".to_owned() }, &b""[..]),
            ]
        };
        assert_eq!(make(&mut inside, all()), made(3));
        assert_eq!(make(&mut inside, all()), made(0));
        let found = fs::metadata(folder.path().join("a/b/c")).unwrap();
        assert_eq!((found.mode() & 0o7777, found.mtime()), (0o640, 1));
        assert_eq!(fs::metadata(folder.path().join("a")).unwrap().mode() & 0o7777, 0o750);
        assert_eq!(fs::read_link(folder.path().join("l")).unwrap(), Path::new("/etc/hostname"));
        // Each in the place of another kind.
        let flipped = vec![
            (Make::Link { path: "/a/b".to_owned(), to: "c".to_owned() }, &b""[..]),
            (Make::Folder { path: "/l".to_owned(), mode: 0o755 }, &b""[..]),
            (file("/l/x", b"two"), &b"two"[..]),
        ];
        assert_eq!(make(&mut inside, flipped), made(3));
        assert_eq!(make(&mut inside, vec![(file("/l", b"3"), &b"3"[..])]), made(1));
        assert_eq!(fs::read(folder.path().join("l")).unwrap(), b"3");
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn what_the_container_has_of_its_own_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut inside = inside(folder.path());
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/own"), "").unwrap();
        let nothing = |path: &str| (Make::Nothing { path: path.to_owned() }, &b""[..]);
        assert_eq!(make(&mut inside, vec![nothing("/a"), nothing("/b/c")]), made(0));
        assert_eq!(make(&mut inside, vec![nothing("/a/own"), nothing("/a")]), made(2));
    }

    #[test]
    fn a_file_that_was_not_read_to_its_end_is_not_put() {
        let folder = tempfile::tempdir().unwrap();
        let mut inside = inside(folder.path());
        let ask = Ask::Make { all: vec![file("/a", b"new")] };
        fs::write(folder.path().join("a"), "old").unwrap();
        assert_eq!(inside.answer(ask, &mut &b"n\0\0\0"[..]).unwrap(), made(0));
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_differs_is_found_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let mut inside = inside(folder.path());
        make(&mut inside, vec![(file("/a", b"one"), &b"one"[..])]);
        let should = |path: &str, content: &[u8], mode, make| Should {
            path: path.to_owned(),
            be: Be::File(content.len() as u64, sha256(content).unwrap()),
            mode,
            make,
        };
        let all = vec![
            should("/a", b"one", 0o640, false),
            should("/a", b"two", 0o640, false),
            should("/a", b"one", 0o600, false),
            should("/b", b"one", 0o640, false),
            should("/b", b"one", 0o640, true),
        ];
        let told = inside.answer(Ask::Compare { all }, &mut io::empty()).unwrap();
        assert_eq!(told, Answer::Differ { numbers: vec![1, 2, 4] });
    }

    #[test]
    fn users_are_numbers_in_the_end() {
        let passwd = "root:x:0:0::/:/bin/sh\nnode:x:1000:1001::/:\n77:x:5:6::/:\n";
        let group = "root:x:0:\nstaff:x:50:node\n";
        for (user, wanted) in [
            ("", Some((0, 0))),
            ("node", Some((1000, 1001))),
            ("1000", Some((1000, 1001))),
            ("4711", Some((4711, 0))),
            ("node:staff", Some((1000, 50))),
            ("node:7", Some((1000, 7))),
            ("4711:", Some((4711, 0))),
            ("77", Some((5, 6))),
            ("nobody-knows", None),
            ("node:nobody-knows", None),
        ] {
            assert_eq!(owner_in(user, passwd, group), wanted, "{user}");
        }
    }
}
