//! Images built on a real engine. Everything made here is labelled `dev.devenv.test=build` and removed again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use devenv::base::{Event, Events};
use devenv::engine::build::spec::{Context, Dockerfile, NamedContext, Secret, SecretSource, Ssh};
use devenv::engine::build::{Build, BuildError, CA_SECRET, Endpoint, ImageId, Lent, build, build_classic};
use devenv::engine::credentials::Credentials;
use devenv::engine::pull::Missing;
use futures_util::{FutureExt, StreamExt};

const BASE: &str = "devenv.local/debian:trixie";

/// Another engine may be tried by its socket; its processes must run on this machine.
fn socket() -> String {
    std::env::var("DEVENV_TEST_SOCKET").unwrap_or_else(|_| "/var/run/docker.sock".to_owned())
}

fn docker_program() -> Command {
    let mut program = Command::new("docker");
    program.args(["-H", &format!("unix://{}", socket())]);
    program
}

/// A context in a directory of its own, an image name of its own, and what was told.
struct Site {
    docker: bollard::Docker,
    lent: Lent,
    root: tempfile::TempDir,
    name: String,
    told: Arc<Mutex<Vec<Event>>>,
    classic: bool,
}

impl Site {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let place = root.path().join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, content).unwrap();
        }
        Self {
            docker: bollard::Docker::connect_with_unix(&socket(), 120, bollard::API_DEFAULT_VERSION).unwrap(),
            lent: Lent {
                endpoint: Endpoint::Unix(socket().into()),
                ca_bundle: None,
                credentials: Credentials::default(),
            },
            root,
            name: format!("devenv-test-build/{name}-{}", std::process::id()),
            told: Arc::default(),
            classic: false,
        }
    }

    fn spec(&self) -> Build {
        Build {
            tags: vec![self.name.clone()],
            context: Context::Directory(self.root.path().to_owned()),
            labels: vec![
                ("dev.devenv.test".into(), "build".into()),
                ("dev.devenv.test.name".into(), self.name.clone()),
            ],
            ..Build::default()
        }
    }

    fn inline(&self, text: &str) -> Build {
        Build { dockerfile: Dockerfile::Inline(text.replace("BASE", BASE)), ..self.spec() }
    }

    fn events(&self) -> Events {
        let told = Arc::clone(&self.told);
        Events::to(move |event| told.lock().unwrap().push(event))
    }

    async fn build(&self, spec: &Build) -> Result<ImageId, BuildError> {
        let docker = self.docker.clone().negotiate_version().await.unwrap();
        self.told.lock().unwrap().clear();
        if self.classic {
            build_classic(&docker, &self.lent, spec, &self.events()).await
        } else {
            build(&docker, &self.lent, spec, &self.events()).await
        }
    }

    fn output(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        told.iter()
            .filter_map(|event| match event {
                Event::Output { line, .. } => Some(line.clone()),
                _ => None,
            })
            .collect()
    }

    fn progress(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        told.iter()
            .filter_map(|event| match event {
                Event::Progress { detail, .. } => Some(detail.clone()),
                _ => None,
            })
            .collect()
    }

    /// The image and its layers as `docker save` writes them, in one piece.
    async fn saved(&self, id: &ImageId) -> Vec<u8> {
        let docker = self.docker.clone().negotiate_version().await.unwrap();
        let mut stream = std::pin::pin!(docker.export_image(&id.0));
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        bytes
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let own = format!("label=dev.devenv.test.name={}", self.name);
        let list = ["image", "ls", "-aq", "--no-trunc", "--filter", &own];
        let images = docker_program().args(list).output().unwrap();
        for id in String::from_utf8_lossy(&images.stdout).lines() {
            let _ = docker_program().args(["image", "rm", "-f", id]).output();
        }
    }
}

fn contains(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// A number that makes a step run although an earlier test run left it in the cache.
fn fresh() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{}", now.as_nanos())
}

#[tokio::test]
async fn the_second_build_runs_nothing_and_gives_the_same_image() {
    let site = Site::new("cache", &[("a", "one"), ("b/c", "two")]);
    let spec = site.inline(&format!("FROM BASE\nCOPY . /ctx\nRUN echo {} && cat /ctx/b/c", fresh()));
    let first = site.build(&spec).await.unwrap();
    assert!(site.output().contains(&"two".to_owned()), "{:?}", site.output());
    let second = site.build(&spec).await.unwrap();
    assert_eq!(first, second);
    assert!(site.output().is_empty());
    assert!(site.progress().iter().any(|line| line.contains("RUN") && line.ends_with("(cached)")));
    fs::write(site.root.path().join("b/c"), "three").unwrap();
    assert_ne!(site.build(&spec).await.unwrap(), first);
    assert!(site.output().contains(&"three".to_owned()));
}

fn ignoring() -> Site {
    let site = Site::new(
        "ignore",
        &[
            (".dockerignore", "*.log\nnode_modules\n!keep.log\n**/secret\nout/*\n!out/one\n"),
            (
                "Dockerfile",
                &format!(
                    "FROM {BASE}\nCOPY . /ctx\nRUN cd /ctx && find . -printf '%P %M %l %U\\n' | sort && echo {}",
                    fresh()
                ),
            ),
            ("x.log", ""),
            ("keep.log", ""),
            ("node_modules/a/b", ""),
            ("d/secret", ""),
            ("d/open", ""),
            ("out/one", ""),
            ("out/two", ""),
            ("run", ""),
        ],
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o750);
    fs::set_permissions(site.root.path().join("run"), mode).unwrap();
    std::os::unix::fs::symlink("d/open", site.root.path().join("link")).unwrap();
    site
}

const KEPT: [&str; 10] = [
    " drwxr-xr-x  0",
    ".dockerignore -rw-r--r--  0",
    "Dockerfile -rw-r--r--  0",
    "d drwxr-xr-x  0",
    "d/open -rw-r--r--  0",
    "keep.log -rw-r--r--  0",
    "link lrwxrwxrwx d/open 0",
    "out drwxr-xr-x  0",
    "out/one -rw-r--r--  0",
    "run -rwxr-x---  0",
];

#[tokio::test]
async fn what_is_ignored_is_not_sent() {
    let site = ignoring();
    site.build(&site.spec()).await.unwrap();
    assert_eq!(site.output()[..10], KEPT);
}

#[tokio::test]
async fn a_dockerfile_has_an_ignore_file_of_its_own_and_may_lie_outside() {
    let site = Site::new(
        "outside",
        &[("ctx/a", ""), ("ctx/b", ""), ("ctx/.dockerignore", "a"), ("My.dockerignore", "b")],
    );
    fs::write(site.root.path().join("My"), format!("FROM {BASE}\nCOPY . /c\nRUN ls /c && echo {}", fresh()))
        .unwrap();
    let spec = Build {
        context: Context::Directory(site.root.path().join("ctx")),
        dockerfile: Dockerfile::Path(PathBuf::from("../My")),
        ..site.spec()
    };
    site.build(&spec).await.unwrap();
    assert_eq!(site.output()[0], "a");
}

#[tokio::test]
async fn arguments_target_labels_and_names_arrive() {
    let site = Site::new("args", &[]);
    let spec = site.inline(
        "ARG TAG=none\nFROM BASE AS one\nARG A\nARG B=kept\nRUN echo \"a=$A b=$B\"\nFROM one AS two\nRUN exit 9",
    );
    let second = format!("{}:second", site.name);
    let spec = Build {
        args: vec![("A".into(), Some(fresh())), ("B".into(), None)],
        target: Some("one".into()),
        tags: vec![site.name.clone(), second.clone()],
        ..spec
    };
    let id = site.build(&spec).await.unwrap();
    let said = format!("a={} b=kept", spec.args[0].1.as_ref().unwrap());
    assert!(site.output().contains(&said));
    for name in [&site.name, &second, &id.0] {
        let image = site.docker.inspect_image(name).await.unwrap();
        assert_eq!(image.id.as_deref(), Some(id.0.as_str()));
        assert_eq!(image.config.unwrap().labels.unwrap()["dev.devenv.test"], "build");
    }
}

#[tokio::test]
async fn secrets_and_authorities_stay_out_of_the_image() {
    let marker = format!("MARKER{}", fresh());
    let mut site =
        Site::new("secret", &[("bundle.pem", &format!("CA{marker}")), (".dockerignore", "bundle.pem")]);
    site.lent.ca_bundle = Some(site.root.path().join("bundle.pem"));
    let spec = site.inline(&format!(
        "FROM BASE\nRUN --mount=type=secret,id=token --mount=type=secret,id={CA_SECRET},target=/etc/ssl/certs/devenv.crt \
         sha256sum /run/secrets/token /etc/ssl/certs/devenv.crt && wc -c < /etc/ssl/certs/devenv.crt && echo {}",
        fresh()
    ));
    let spec = Build {
        secrets: vec![Secret {
            id: "token".into(),
            source: SecretSource::Bytes(format!("TOKEN{marker}").into()),
        }],
        ..spec
    };
    let id = site.build(&spec).await.unwrap();
    assert!(site.output().contains(&(marker.len() + 2).to_string()), "{:?}", site.output());
    let saved = site.saved(&id).await;
    assert!(saved.len() > 1_000_000);
    assert!(!contains(&saved, &marker));
    let left = [
        "run",
        "--rm",
        &id.0,
        "find",
        "/run/secrets",
        "/etc/ssl/certs/devenv.crt",
        "-type",
        "f",
        "-printf",
        "%p %s\n",
    ];
    let left = docker_program().args(left).output().unwrap();
    assert!(left.stdout.is_empty(), "{left:?}");
    assert!(!format!("{spec:?}").contains(&marker));
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_named() {
    let site = Site::new("nosecret", &[]);
    let spec = site.inline(&format!(
        "FROM BASE\nRUN --mount=type=secret,id=x,required=true cat /run/secrets/x {}",
        fresh()
    ));
    let lost = PathBuf::from("/nowhere/secret");
    let with = Build {
        secrets: vec![Secret { id: "x".into(), source: SecretSource::File(lost.clone()) }],
        ..spec.clone()
    };
    match site.build(&with).await.unwrap_err() {
        BuildError::Secret { id, path, .. } => assert_eq!((id.as_str(), path), ("x", lost)),
        other => panic!("{other:?}"),
    }
    match site.build(&spec).await.unwrap_err() {
        BuildError::Step { reason, .. } => assert!(reason.contains("secret x"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_failing_step_tells_its_line_code_and_last_words() {
    let text = format!(
        "FROM {BASE} AS one\n\nRUN true\nRUN for i in $(seq 30); do echo line $i; done; echo {} >&2; exit 7\nRUN true\n",
        fresh()
    );
    let site = Site::new("fails", &[("deploy/Dockerfile", &text)]);
    let spec = Build { dockerfile: Dockerfile::Path("deploy/Dockerfile".into()), ..site.spec() };
    match site.build(&spec).await.unwrap_err() {
        BuildError::Step { step, line, exit_code, log, .. } => {
            assert!(step.starts_with("[3/4] RUN for i") || step.starts_with("[one 3/4] RUN for i"), "{step}");
            assert_eq!(exit_code, Some(7));
            let line = line.unwrap();
            assert_eq!((line.number, line.file), (4, site.root.path().join("deploy/Dockerfile")));
            assert!(line.text.starts_with("RUN for i"));
            assert_eq!(log.len(), 20);
            assert!(log[18..].contains(&"line 30".to_owned()) || log[17] == "line 30", "{log:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_missing_base_image_is_named() {
    let site = Site::new("nobase", &[]);
    let spec = site.inline("FROM BASE AS a\nFROM registry.invalid/team/base:1\nCOPY --from=a /x /x");
    match site.build(&spec).await.unwrap_err() {
        BuildError::Base { base, why, .. } => {
            assert_eq!((base.as_str(), why), ("registry.invalid/team/base:1", Missing::Unreachable));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn mistakes_in_a_dockerfile_have_a_line() {
    let site = Site::new("syntax", &[]);
    for (text, number, word) in [
        ("FROM BASE\n\nFOO bar", 3, "unknown instruction"),
        ("FROM BASE\nCOPY --from=nope", 2, "COPY"),
        ("FROM BASE\nENV", 2, "ENV"),
    ] {
        match site.build(&site.inline(text)).await.unwrap_err() {
            BuildError::Dockerfile { line, message, .. } => {
                assert!(message.contains(word), "{message}");
                assert_eq!(line.map(|line| line.number), Some(number), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
    let mut spec = site.inline("FROM BASE");
    spec.target = Some("nope".into());
    match site.build(&spec).await.unwrap_err() {
        BuildError::Dockerfile { message, .. } => assert!(message.contains("nope"), "{message}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(site.build(&site.spec()).await, Err(BuildError::NoDockerfile { .. })));
}

#[tokio::test]
async fn what_copy_names_must_exist_and_be_readable() {
    let site = Site::new("copy", &[]);
    match site.build(&site.inline("FROM BASE\nCOPY lost /x")).await.unwrap_err() {
        BuildError::Step { step, reason, .. } => {
            assert!(step.contains("COPY lost"));
            assert!(reason.contains("lost"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    let mut spec = site.inline("FROM BASE\nCOPY . /x");
    spec.context = Context::Directory("/nowhere/context".into());
    match site.build(&spec).await.unwrap_err() {
        BuildError::Unreadable { path, .. } => assert_eq!(path, Path::new("/nowhere/context")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn builds_at_the_same_time_share_a_stage() {
    let site = Site::new("share", &[("f", &fresh())]);
    let spec = site.inline(
        "FROM BASE AS common\nCOPY f /f\nRUN sleep 2 && date +%s%N > /stamp\n\
         FROM common AS left\nRUN echo stamp $(cat /stamp) left\nFROM common AS right\nRUN echo stamp $(cat /stamp) right",
    );
    let target = |name: &str| Build {
        target: Some(name.into()),
        tags: vec![format!("{}:{name}", site.name)],
        ..spec.clone()
    };
    let (left, right) = (target("left"), target("right"));
    let began = Instant::now();
    let (a, b) = tokio::join!(site.build(&left), site.build(&right));
    assert_ne!(a.unwrap(), b.unwrap());
    println!("two targets: {:?}", began.elapsed());
    let stamps: Vec<_> = site.output().into_iter().filter(|line| line.starts_with("stamp ")).collect();
    let stamp = |line: &str| line.split(' ').nth(1).unwrap().to_owned();
    assert_eq!(stamps.len(), 2, "{stamps:?}");
    assert_eq!(stamp(&stamps[0]), stamp(&stamps[1]));
}

/// Ctrl-C of one command must not break the build of another.
#[tokio::test]
async fn a_shared_step_survives_the_build_that_began_it() {
    let site = Site::new("survive", &[("f", &fresh())]);
    let marker = fresh();
    let spec = site.inline(&format!("FROM BASE\nCOPY f /f\nRUN sleep 3; : {marker} && cat /f"));
    let first = async {
        tokio::select! {
            () = async {
                assert!(within(Duration::from_secs(20), || is_running(&marker)).await);
                // Nothing tells when the second one has joined the step.
                tokio::time::sleep(Duration::from_secs(1)).await;
            } => {}
            ended = site.build(&spec) => panic!("{ended:?}"),
        }
    };
    let second = async {
        assert!(within(Duration::from_secs(20), || is_running(&marker)).await);
        build(&site.docker, &site.lent, &spec, &Events::nowhere()).await.unwrap();
    };
    tokio::join!(first, second);
}

fn is_running(marker: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|process| {
        fs::read(process.path().join("cmdline"))
            .is_ok_and(|line| contains(&line, marker) && contains(&line, "sleep"))
    })
}

async fn within(limit: Duration, what: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < limit {
        if what() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

#[tokio::test]
async fn a_dropped_build_ends_at_the_engine() {
    for classic in [false, true] {
        let mut site = Site::new("drop", &[]);
        site.classic = classic;
        let marker = fresh();
        let spec = site.inline(&format!("FROM BASE\nRUN sleep 9999 {marker}"));
        {
            let running = async { assert!(within(Duration::from_secs(20), || is_running(&marker)).await) };
            tokio::select! {
                () = running => {}
                ended = site.build(&spec) => panic!("{ended:?}"),
            }
        }
        assert!(within(Duration::from_secs(15), || !is_running(&marker)).await, "classic: {classic}");
    }
}

#[tokio::test]
async fn an_image_is_a_context_by_name() {
    let site = Site::new("named", &[]);
    let spec =
        site.inline("# one line\nARG X\nFROM BASE\nCOPY --from=other /etc/debian_version /other\nRUN exit 3");
    let spec = Build { contexts: vec![("other".into(), NamedContext::Image(BASE.into()))], ..spec };
    match site.build(&spec).await.unwrap_err() {
        BuildError::Step { line, .. } => assert_eq!(line.unwrap().number, 5),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_directory_is_a_context_by_name() {
    let site = Site::new(
        "nameddir",
        &[("main/a", ""), ("other/b", "bee"), ("other/c", ""), ("other/.dockerignore", "c")],
    );
    let spec = Build {
        context: Context::Directory(site.root.path().join("main")),
        contexts: vec![("other".into(), NamedContext::Directory(site.root.path().join("other")))],
        ..site.inline(&format!(
            "FROM BASE\nCOPY . /x\nCOPY --from=other . /x\nRUN ls /x && cat /x/b && echo {}",
            fresh()
        ))
    };
    site.build(&spec).await.unwrap();
    assert_eq!(site.output()[..2], ["a", "b"]);
    assert!(site.output()[2].starts_with("bee"), "{:?}", site.output());
    let left = ["image", "ls", "-aq", "--filter", "label=dev.devenv.context=other"];
    assert!(docker_program().args(left).output().unwrap().stdout.is_empty());
}

/// An agent that has no keys: it answers the request for them with an empty list.
#[tokio::test]
async fn steps_may_use_an_ssh_agent() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let site = Site::new("ssh", &[]);
    let socket = site.root.path().join("agent");
    let agent = tokio::net::UnixListener::bind(&socket).unwrap();
    let served = tokio::spawn(async move {
        let (mut wire, _) = agent.accept().await.unwrap();
        let mut asked = [0; 5];
        wire.read_exact(&mut asked).await.unwrap();
        assert_eq!(asked, [0, 0, 0, 1, 11]);
        wire.write_all(&[0, 0, 0, 5, 12, 0, 0, 0, 0]).await.unwrap();
    });
    let ask = "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ENV{SSH_AUTH_SOCK}) or die; \
               syswrite $s, pack(q(NC), 1, 11); sysread $s, my $a, 9; print join(q(,), unpack(q(C*), $a)), qq(\\n)";
    let spec = site.inline(&format!("FROM BASE\nRUN --mount=type=ssh perl -e '{ask}' && echo {}", fresh()));
    let spec = Build { ssh: vec![Ssh { id: "default".into(), socket }], ..spec };
    site.build(&spec).await.unwrap();
    assert!(site.output().contains(&"0,0,0,5,12,0,0,0,0".to_owned()), "{:?}", site.output());
    served.await.unwrap();
}

#[tokio::test]
async fn the_classic_builder_does_the_same() {
    let mut site = ignoring();
    site.classic = true;
    site.build(&site.spec()).await.unwrap();
    assert_eq!(site.output()[..10], KEPT);
    let spec = site.inline("FROM BASE\nRUN echo here; exit 4");
    match site.build(&spec).await.unwrap_err() {
        BuildError::Step { step, exit_code, log, .. } => {
            // Each label is a step here.
            assert_eq!((step.as_str(), exit_code), ("Step 2/4 : RUN echo here; exit 4", Some(4)));
            assert_eq!(log, ["here"]);
        }
        other => panic!("{other:?}"),
    }
    match site.build(&site.inline("FROM registry.invalid/x:1")).await.unwrap_err() {
        BuildError::Base { base, why, .. } => {
            assert_eq!((base.as_str(), why), ("registry.invalid/x:1", Missing::Unreachable));
        }
        other => panic!("{other:?}"),
    }
    match site.build(&site.inline("FROM BASE\nFOO")).await.unwrap_err() {
        BuildError::Dockerfile { line, .. } => assert_eq!(line.unwrap().number, 2),
        other => panic!("{other:?}"),
    }
    let secret = Secret { id: "x".into(), source: SecretSource::Bytes(Vec::new()) };
    let spec = Build { secrets: vec![secret], ..spec };
    assert!(matches!(site.build(&spec).await, Err(BuildError::Unsupported { .. })));
    let spec =
        Build { tags: vec![site.name.clone(), format!("{}:b", site.name)], ..site.inline("FROM BASE") };
    let id = site.build(&spec).await.unwrap();
    assert_eq!(site.docker.inspect_image(&spec.tags[1]).await.unwrap().id, Some(id.0));
}

#[tokio::test]
async fn an_absent_engine_is_told() {
    let mut site = Site::new("absent", &[]);
    site.lent.endpoint = Endpoint::Unix("/nowhere/docker.sock".into());
    let ended = build(&site.docker, &site.lent, &site.spec(), &Events::nowhere()).now_or_never();
    let error = match ended {
        Some(ended) => ended.unwrap_err(),
        None => build(&site.docker, &site.lent, &site.spec(), &Events::nowhere()).await.unwrap_err(),
    };
    assert!(matches!(error, BuildError::Connect { .. }));
}

#[tokio::test]
async fn large_files_arrive_whole() {
    let site = Site::new("large", &[]);
    let salt = std::process::id();
    let bytes: Vec<u8> = (0..1_000_000_u32)
        .flat_map(|n| n.wrapping_add(salt).wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    let place = site.root.path().join("noise");
    fs::write(&place, &bytes).unwrap();
    let sum = Command::new("sha256sum").arg(&place).output().unwrap();
    let sum = String::from_utf8_lossy(&sum.stdout)[..64].to_owned();
    site.build(&site.inline("FROM BASE\nCOPY noise /\nRUN sha256sum /noise")).await.unwrap();
    assert!(site.output().iter().any(|line| line.starts_with(&sum)), "{:?}", site.output());
}

/// Not a test of anything: figures for a directory named by `DEVENV_BENCH_CONTEXT`.
#[tokio::test]
#[ignore = "prints figures"]
async fn figures() {
    let Some(context) = std::env::var_os("DEVENV_BENCH_CONTEXT") else { return };
    for classic in [false, true] {
        let mut site = Site::new("figures", &[]);
        site.classic = classic;
        let mut spec = site.inline("FROM scratch\nCOPY . /\n");
        spec.context = Context::Directory(PathBuf::from(&context));
        for round in ["first", "again", "again"] {
            let began = Instant::now();
            site.build(&spec).await.unwrap();
            println!("classic {classic} {round}: {:?}", began.elapsed());
        }
    }
}
