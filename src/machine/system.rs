//! Facts about the system: its distribution, user, memory, disks and control groups.

use std::path::{Path, PathBuf};

/// Which packages a distribution has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Debian itself.
    Debian,
    /// Ubuntu and what is made from it.
    Ubuntu,
    /// Made from Debian, not from Ubuntu.
    DebianLike,
    /// Any other.
    Other,
}

impl Family {
    /// Whether packages come by apt.
    #[must_use]
    pub fn has_apt(self) -> bool {
        self != Self::Other
    }
}

/// What `/etc/os-release` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The name for people, such as `Debian GNU/Linux 12 (bookworm)`.
    pub name: String,
    /// Which packages it has.
    pub family: Family,
}

impl Distribution {
    /// Understands the text of `/etc/os-release`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let value = |key: &str| {
            text.lines().find_map(|line| {
                let value = line.trim().strip_prefix(key)?.strip_prefix('=')?;
                Some(value.trim_matches(['"', '\'']).to_owned())
            })
        };
        let id = value("ID").unwrap_or_default();
        let like = value("ID_LIKE").unwrap_or_default();
        let like = |name: &str| like.split_whitespace().any(|word| word == name);
        let family = match id.as_str() {
            "debian" => Family::Debian,
            "ubuntu" => Family::Ubuntu,
            _ if like("ubuntu") => Family::Ubuntu,
            _ if like("debian") => Family::DebianLike,
            _ => Family::Other,
        };
        let name =
            value("PRETTY_NAME").or_else(|| value("NAME")).unwrap_or_else(|| "an unknown system".to_owned());
        Self { name, family }
    }
}

/// Memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// What new programs can have without swapping.
    pub available: u64,
}

impl Memory {
    /// Understands the text of `/proc/meminfo`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
        };
        Some(Self { total: value("MemTotal")?, available: value("MemAvailable")? })
    }
}

/// Room on a disk, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The path that was asked about.
    pub path: PathBuf,
    /// The size of the file system it lies on.
    pub total: u64,
    /// What a plain user can still write.
    pub free: u64,
    /// How many more files it can hold; none where that has no limit (btrfs).
    pub free_files: Option<u64>,
}

/// The room at `path`, or at its nearest parent that exists. Hangs where a network share hangs.
#[must_use]
pub fn disk(path: &Path) -> Option<Disk> {
    let existing = path.ancestors().find(|path| path.exists())?;
    let found = rustix::fs::statvfs(existing).ok()?;
    Some(Disk {
        path: path.to_owned(),
        total: found.f_blocks.saturating_mul(found.f_frsize),
        free: found.f_bavail.saturating_mul(found.f_frsize),
        free_files: (found.f_files > 0).then_some(found.f_favail),
    })
}

/// How the kernel's control groups are mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cgroups {
    /// Not at all: no container can start.
    Unmounted,
    /// One mount for each of these controllers.
    V1(Vec<String>),
    /// One tree for all.
    V2,
}

impl Cgroups {
    /// Understands the text of `/proc/self/mountinfo`.
    #[must_use]
    pub fn parse(mountinfo: &str) -> Self {
        let mut controllers = Vec::new();
        for line in mountinfo.lines() {
            let Some((before, after)) = line.split_once(" - ") else { continue };
            let Some(place) = before.split(' ').nth(4) else { continue };
            match after.split(' ').next() {
                Some("cgroup2") if place == "/sys/fs/cgroup" => return Self::V2,
                Some("cgroup") => {
                    if let Some(name) = place.strip_prefix("/sys/fs/cgroup/") {
                        controllers.extend(name.split(',').map(str::to_owned));
                    }
                }
                _ => {}
            }
        }
        if controllers.is_empty() { Self::Unmounted } else { Self::V1(controllers) }
    }
}

/// The user this process works for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// Its name, where `/etc/passwd` has one.
    pub name: Option<String>,
}

impl User {
    /// Whether it may change the machine.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// The user of this process.
    #[must_use]
    pub fn current() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self { uid, name: name_of(uid, &passwd) }
    }
}

fn name_of(uid: u32, passwd: &str) -> Option<String> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

/// Whether systemd runs this machine.
#[must_use]
pub fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// The distribution of this machine.
#[must_use]
pub fn distribution() -> Distribution {
    let read = |path| std::fs::read_to_string(path).ok();
    Distribution::parse(&read("/etc/os-release").or_else(|| read("/usr/lib/os-release")).unwrap_or_default())
}

/// The memory of this machine; none where the kernel does not tell.
#[must_use]
pub fn memory() -> Option<Memory> {
    Memory::parse(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

/// The control groups of this machine.
#[must_use]
pub fn cgroups() -> Cgroups {
    Cgroups::parse(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_told_apart() {
        let family = |text| Distribution::parse(text).family;
        assert_eq!(family("ID=debian\nVERSION_ID=\"12\""), Family::Debian);
        assert_eq!(family("ID=ubuntu\nID_LIKE=debian"), Family::Ubuntu);
        assert_eq!(family("ID=linuxmint\nID_LIKE=\"ubuntu debian\""), Family::Ubuntu);
        assert_eq!(family("ID=kali\nID_LIKE=debian"), Family::DebianLike);
        assert_eq!(family("ID=\"fedora\""), Family::Other);
        assert_eq!(family(""), Family::Other);
        let name = Distribution::parse("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"").name;
        assert_eq!(name, "Debian GNU/Linux 12 (bookworm)");
    }

    #[test]
    fn memory_is_in_bytes() {
        let memory = Memory::parse("MemTotal:  2048 kB\nMemFree: 1 kB\nMemAvailable:   1024 kB\n");
        assert_eq!(memory, Some(Memory { total: 2 << 20, available: 1 << 20 }));
        assert_eq!(Memory::parse(""), None);
    }

    #[test]
    fn control_groups_are_told_apart() {
        let v2 = "24 23 0:2 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let v1 = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                  32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu\n\
                  33 31 0:30 / /sys/fs/cgroup/memory rw shared:1 - cgroup cgroup rw,memory\n";
        assert_eq!(Cgroups::parse(v2), Cgroups::V2);
        let controllers = ["cpu", "cpuacct", "memory"].map(str::to_owned).to_vec();
        assert_eq!(Cgroups::parse(v1), Cgroups::V1(controllers));
        assert_eq!(Cgroups::parse("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw"), Cgroups::Unmounted);
    }

    #[test]
    fn the_room_of_a_path_that_is_not_there_yet_is_its_parents() {
        let room = disk(Path::new("/tmp/not/there/yet")).unwrap();
        assert!(room.total >= room.free && room.total > 0, "{room:?}");
    }

    #[test]
    fn users_have_names() {
        assert_eq!(name_of(7, "root:x:0:0::/:/bin/sh\nann:x:7:7::/:/bin/sh").as_deref(), Some("ann"));
        assert_eq!(name_of(8, "ann:x:7:7::/:/bin/sh"), None);
    }
}
