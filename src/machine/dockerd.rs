//! Starting the engine, also on a machine without systemd.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::program::cannot_run;
use super::system::Cgroups;
use super::{MachineError, Programs, system};

/// The packages that make an engine on Debian and on Ubuntu.
pub const PACKAGES: [&str; 3] = ["docker.io", "iptables", "ca-certificates"];

/// Where the engine's messages go when we start it.
pub const LOG: &str = "/var/log/dockerd.log";

/// How long an engine may take from its start to its first answer: one that was killed first stops, for ten
/// seconds, the containers that outlived it.
pub const START: Duration = Duration::from_mins(2);

/// How the engine is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Arguments of `dockerd`; none for an engine in its usual places.
    pub arguments: Vec<String>,
    /// Where its messages go.
    pub log: PathBuf,
    /// Where it and its containerd write their process numbers; stale ones are removed before the start.
    pub pid_files: Vec<PathBuf>,
    /// How long to wait for its first answer.
    pub limit: Duration,
}

impl Default for Start {
    fn default() -> Self {
        Self {
            arguments: Vec::new(),
            log: LOG.into(),
            pid_files: vec!["/var/run/docker.pid".into(), "/var/run/docker/containerd/containerd.pid".into()],
            limit: START,
        }
    }
}

/// Whether an engine is installed on this machine.
#[must_use]
pub fn is_installed(programs: &Programs) -> bool {
    programs.find("dockerd").is_some()
}

/// Makes the kernel ready for an engine where nobody else (systemd) did; says what was changed.
pub async fn prepare(programs: &Programs) -> Result<Vec<String>, MachineError> {
    let mut done = Vec::new();
    if system::cgroups() == Cgroups::Unmounted {
        done.push(mount_cgroups(programs).await?);
    }
    if let Some(change) = choose_iptables(programs).await? {
        done.push(change);
    }
    Ok(done)
}

const SHORT: Duration = Duration::from_secs(10);
const CGROUP: &str = "/sys/fs/cgroup";

/// Mounts the control groups: the one tree where the kernel offers its controllers there, else one mount each.
async fn mount_cgroups(programs: &Programs) -> Result<String, MachineError> {
    let unified = programs.output("mount", &["-t", "cgroup2", "cgroup2", CGROUP], SHORT).await;
    if unified.is_ok() {
        let offered =
            std::fs::read_to_string(Path::new(CGROUP).join("cgroup.controllers")).unwrap_or_default();
        if ["cpu", "memory", "pids"].iter().all(|need| offered.split_whitespace().any(|c| c == *need)) {
            return Ok(format!("mounted the control groups (version 2) at {CGROUP}"));
        }
        programs.output("umount", &[CGROUP], SHORT).await?;
    }
    programs
        .output("mount", &["-t", "tmpfs", "-o", "uid=0,gid=0,mode=0755", "cgroup", CGROUP], SHORT)
        .await?;
    let table = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let mut mounted = Vec::new();
    for controller in controllers(&table) {
        let dir = format!("{CGROUP}/{controller}");
        std::fs::create_dir_all(&dir).map_err(|source| MachineError::Io {
            doing: "cannot create",
            path: dir.clone().into(),
            source,
        })?;
        // One that the kernel gives to somebody else (the unified tree) is left out.
        match programs.output("mount", &["-t", "cgroup", "-o", controller, "cgroup", &dir], SHORT).await {
            Ok(_) => mounted.push(controller),
            Err(_) => {
                let _ = std::fs::remove_dir(&dir);
            }
        }
    }
    Ok(format!("mounted the control groups (version 1: {}) at {CGROUP}", mounted.join(", ")))
}

/// The enabled controllers of `/proc/cgroups`.
fn controllers(table: &str) -> Vec<&str> {
    table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            (fields.get(3) == Some(&"1")).then(|| fields.first().copied())?
        })
        .collect()
}

/// Some kernels have only the older of the two interfaces behind `iptables`; then that one is chosen.
async fn choose_iptables(programs: &Programs) -> Result<Option<String>, MachineError> {
    let list = ["--wait", "--table", "nat", "--list-rules"];
    let Err(problem) = programs.output("iptables", &list, SHORT).await else {
        return Ok(None);
    };
    if programs.output("iptables-legacy", &list, SHORT).await.is_err() {
        return Err(problem);
    }
    for name in ["iptables", "ip6tables"] {
        let legacy = format!("/usr/sbin/{name}-legacy");
        programs.output("update-alternatives", &["--set", name, &legacy], SHORT).await?;
    }
    Ok(Some("chose iptables-legacy, the only one that this kernel has".to_owned()))
}

/// The engine that runs already according to its pid file.
fn running(pid_file: &Path) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    is_engine(&stat).then_some(pid)
}

/// Whether `/proc/PID/stat` is that of an engine or its containerd that lives. A dead one stays in the table
/// until its parent asks for it, which the first process of a container may never do.
fn is_engine(stat: &str) -> bool {
    let Some((before, after)) = stat.rsplit_once(')') else { return false };
    let name = before.split_once('(').map_or("", |(_, name)| name);
    let alive = !matches!(after.trim_start().chars().next(), Some('Z' | 'X') | None);
    alive && matches!(name, "dockerd" | "containerd")
}

/// Starts the engine through systemd.
pub async fn start_by_systemd(programs: &Programs) -> Result<(), MachineError> {
    programs.output("systemctl", &["start", "docker.service"], START).await.map(drop)
}

/// Starts `dockerd` in a session of its own, where it outlives us and our terminal, and waits until `ready`
/// says so; `ready` is asked again some milliseconds after each "not yet".
///
/// An engine that is starting already is waited for instead. The answer is what `ready` gave.
pub async fn start<T, F: Future<Output = Option<T>>>(
    programs: &Programs,
    start: &Start,
    mut ready: impl FnMut() -> F,
) -> Result<T, MachineError> {
    let begin = Instant::now();
    let log_error = |source| MachineError::Io { doing: "cannot write", path: start.log.clone(), source };
    let log = OpenOptions::new().create(true).append(true).open(&start.log).map_err(log_error)?;
    let log_begin = log.metadata().map_err(log_error)?.len();

    let mut child = None;
    if start.pid_files.first().and_then(|file| running(file)).is_none() {
        // A number that now belongs to another program would keep dockerd from starting.
        for file in &start.pid_files {
            if running(file).is_none() {
                let _ = std::fs::remove_file(file);
            }
        }
        let dockerd = programs
            .find("dockerd")
            .ok_or_else(|| MachineError::ProgramMissing { program: "dockerd".to_owned() })?;
        let mut command = programs.command("setsid")?;
        command
            .arg(dockerd)
            .args(&start.arguments)
            .current_dir("/")
            .stdout(Stdio::from(log.try_clone().map_err(log_error)?))
            .stderr(Stdio::from(log))
            .kill_on_drop(false);
        child = Some(command.spawn().map_err(|source| cannot_run("dockerd", source))?);
    }
    loop {
        if let Some(answer) = ready().await {
            return Ok(answer);
        }
        if let Some(child) = &mut child
            && child.try_wait().map_err(|source| cannot_run("dockerd", source))?.is_some()
        {
            let last = reasons(&start.log, log_begin);
            return Err(MachineError::EngineEnded { log: start.log.clone(), last });
        }
        if begin.elapsed() > start.limit {
            let last = reasons(&start.log, log_begin);
            return Err(MachineError::EngineSlow { log: start.log.clone(), after: start.limit, last });
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The lines of the log since `from` that tell of trouble; the last lines where none does.
fn reasons(log: &Path, from: u64) -> Vec<String> {
    let mut text = Vec::new();
    if let Ok(mut file) = std::fs::File::open(log) {
        let _ = file.seek(SeekFrom::Start(from)).and_then(|_| file.read_to_end(&mut text));
    }
    telling(&String::from_utf8_lossy(&text))
}

fn telling(log: &str) -> Vec<String> {
    let quiet = ["level=info", "level=debug", "level=warning", "level=trace"];
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let loud: Vec<&&str> = lines.iter().filter(|line| !quiet.iter().any(|q| line.contains(q))).collect();
    let chosen: Vec<&str> = if loud.is_empty() { lines } else { loud.into_iter().copied().collect() };
    chosen.iter().skip(chosen.len().saturating_sub(8)).map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enabled_controllers_are_mounted() {
        let table =
            "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t3\t1\nmemory\t0\t1\t0\npids\t8\t3\t1\n";
        assert_eq!(controllers(table), ["cpu", "pids"]);
    }

    #[test]
    fn the_log_is_cut_to_what_tells() {
        let log = "time=x level=info msg=\"Starting up\"\nfailed to start daemon: no space\n\n";
        assert_eq!(telling(log), ["failed to start daemon: no space"]);
        assert_eq!(telling("a level=info\nb level=info"), ["a level=info", "b level=info"]);
    }

    #[test]
    fn a_pid_file_of_another_program_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("docker.pid");
        std::fs::write(&file, std::process::id().to_string()).unwrap();
        assert_eq!(running(&file), None);
        assert_eq!(running(&dir.path().join("none")), None);
    }

    #[test]
    fn the_dead_do_not_count() {
        assert!(is_engine("48 (dockerd) S 1 48"));
        assert!(!is_engine("48 (dockerd) Z 1 48"));
        assert!(!is_engine("48 (a) dockerd) S 1 48"));
        assert!(!is_engine(""));
    }

    #[tokio::test]
    async fn an_engine_that_ends_at_once_is_told_with_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let fake = dir.path().join("dockerd");
        std::fs::write(&fake, "#!/bin/sh\necho level=info; echo failed to start: $1; exit 1\n").unwrap();
        std::fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = std::env::join_paths([dir.path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
        let programs = Programs::new(Some(&path), Vec::new());
        let how = Start {
            arguments: vec!["x".to_owned()],
            log: dir.path().join("log"),
            pid_files: Vec::new(),
            limit: Duration::from_secs(5),
        };
        let problem = start(&programs, &how, || std::future::ready(None::<()>)).await.unwrap_err();
        assert_eq!(problem.evidence(), ["failed to start: x"]);
        assert!(matches!(problem, MachineError::EngineEnded { .. }), "{problem:?}");
    }
}
