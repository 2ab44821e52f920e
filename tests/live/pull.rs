//! Images pulled from a real registry: Debian's `docker-registry`, started here on the loopback address.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use devenv::base::{Event, Events};
use devenv::engine::build::spec::{Context, Dockerfile};
use devenv::engine::build::{Build, BuildError, Endpoint, Lent, build, build_classic};
use devenv::engine::credentials::Credentials;
use devenv::engine::pull::{Missing, PullError, pull};

const SOCKET: &str = "/var/run/docker.sock";
/// bcrypt of the password below, whose base64 differs between the plain and the URL-safe alphabet.
const HTPASSWD: &str = "me:$2y$05$abcdefghijklmnopqrstuuhPglzLTO1eyJQUtwG8MvupVdXZfpEtW\n";
const PASSWORD: &str = "p?w>~o?>x~";

/// A registry of its own, stopped and forgotten at the end.
struct Registry {
    process: Child,
    address: String,
    _files: tempfile::TempDir,
}

impl Registry {
    fn start(with_password: bool) -> Option<Self> {
        let files = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let store = files.path().join("store");
        let htpasswd = files.path().join("htpasswd");
        std::fs::write(&htpasswd, HTPASSWD).unwrap();
        let auth = if with_password {
            format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", htpasswd.display())
        } else {
            String::new()
        };
        let config = files.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n{auth}",
            store.display()
        );
        std::fs::write(&config, text).unwrap();
        let started = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = started else {
            println!("skipped: no docker-registry on this machine");
            return None;
        };
        let registry = Self { process, address, _files: files };
        for _ in 0..100 {
            if std::net::TcpStream::connect(&registry.address).is_ok() {
                return Some(registry);
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("the registry does not listen");
    }

    fn config(&self) -> String {
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("me:{PASSWORD}"));
        format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn docker(args: &[&str]) -> bool {
    Command::new("docker").args(args).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

async fn engine() -> bollard::Docker {
    let docker = bollard::Docker::connect_with_unix(SOCKET, 120, bollard::API_DEFAULT_VERSION).unwrap();
    docker.negotiate_version().await.unwrap()
}

/// Builds an image of a few megabytes, pushes it, and forgets it here.
async fn publish(registry: &Registry, name: &str) -> String {
    let image = format!("{}/{name}", registry.address);
    let context = tempfile::tempdir().unwrap();
    // Bytes of no other test, so that no layer is here already.
    let seed = std::process::id().wrapping_mul(31).wrapping_add(u32::try_from(name.len()).unwrap());
    let mixed = (0..4_000_000_u32).map(|n| n.wrapping_add(seed).wrapping_mul(2_654_435_761));
    let noise: Vec<u8> = mixed.flat_map(u32::to_be_bytes).collect();
    std::fs::write(context.path().join("noise"), noise).unwrap();
    let spec = Build {
        tags: vec![image.clone()],
        context: Context::Directory(context.path().to_owned()),
        dockerfile: Dockerfile::Inline("FROM scratch\nCOPY noise /\nCMD [\"/noise\"]\n".into()),
        labels: vec![("dev.devenv.test".into(), "build".into())],
        ..Build::default()
    };
    let lent = Lent {
        endpoint: Endpoint::Unix(SOCKET.into()),
        ca_bundle: None,
        credentials: Credentials::default(),
    };
    // The classic builder keeps no layer when its image goes.
    build_classic(&engine().await, &lent, &spec, &Events::nowhere()).await.unwrap();
    let config = tempfile::tempdir().unwrap();
    std::fs::write(config.path().join("config.json"), registry.config()).unwrap();
    assert!(docker(&["--config", config.path().to_str().unwrap(), "push", "-q", &image]));
    assert!(docker(&["image", "rm", "-f", &image]));
    image
}

#[tokio::test]
async fn an_image_comes_with_its_bytes_counted() {
    let Some(registry) = Registry::start(false) else { return };
    let image = publish(&registry, "devenv-test/plain:1").await;
    let told: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
    let sink = Arc::clone(&told);
    let events = Events::to(move |event| {
        if let Event::Progress { done: Some(done), total: Some(total), .. } = event {
            sink.lock().unwrap().push((done, total));
        }
    });
    let engine = engine().await;
    pull(&engine, &image, None, &Credentials::default(), &events).await.unwrap();
    assert!(engine.inspect_image(&image).await.is_ok());
    let told = told.lock().unwrap().clone();
    let &(done, total) = told.last().unwrap();
    assert_eq!(done, total);
    assert!(total > 1_000_000, "{told:?}");
    assert!(told.is_sorted_by_key(|(done, _)| *done), "{told:?}");
    assert!(docker(&["image", "rm", "-f", &image]));

    let wrong = format!("{}/devenv-test/plain:2", registry.address);
    match pull(&engine, &wrong, None, &Credentials::default(), &Events::nowhere()).await.unwrap_err() {
        PullError::Missing { image, why, .. } => assert_eq!((image, why), (wrong, Missing::NotFound)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_registry_with_a_password_wants_the_right_one() {
    let Some(registry) = Registry::start(true) else { return };
    let image = publish(&registry, "devenv-test/secret:1").await;
    let engine = engine().await;
    let nobody = Credentials::default();
    match pull(&engine, &image, None, &nobody, &Events::nowhere()).await.unwrap_err() {
        PullError::Missing { why, .. } => assert_eq!(why, Missing::Denied),
        other => panic!("{other:?}"),
    }
    let known = Credentials::parse(&registry.config()).unwrap();
    pull(&engine, &image, None, &known, &Events::nowhere()).await.unwrap();
    assert!(docker(&["image", "rm", "-f", &image]));

    // BuildKit asks for the same login through its session.
    let spec = Build {
        tags: vec!["devenv-test-build/private".into()],
        dockerfile: Dockerfile::Inline(format!("FROM {image}\nCOPY --from={image} /noise /again\n")),
        context: Context::Directory(tempfile::tempdir().unwrap().keep()),
        labels: vec![("dev.devenv.test".into(), "build".into())],
        ..Build::default()
    };
    let mut lent = Lent { endpoint: Endpoint::Unix(SOCKET.into()), ca_bundle: None, credentials: nobody };
    match build(&engine, &lent, &spec, &Events::nowhere()).await.unwrap_err() {
        BuildError::Base { base, why, line, .. } => {
            assert_eq!((base, why), (image.clone(), Missing::Denied));
            assert_eq!(line.unwrap().number, 1);
        }
        other => panic!("{other:?}"),
    }
    lent.credentials = known;
    build(&engine, &lent, &spec, &Events::nowhere()).await.unwrap();
    assert!(docker(&["image", "rm", "-f", "devenv-test-build/private"]));
    if let Context::Directory(empty) = &spec.context {
        std::fs::remove_dir_all(empty).unwrap();
    }
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_unreachable() {
    let engine = engine().await;
    for image in ["127.0.0.1:1/x:1", "registry.invalid/x:1"] {
        match pull(&engine, image, None, &Credentials::default(), &Events::nowhere()).await.unwrap_err() {
            PullError::Missing { image: named, why, .. } => {
                assert_eq!((named.as_str(), why), (image, Missing::Unreachable));
            }
            other => panic!("{other:?}"),
        }
    }
    let bad = pull(&engine, "Not A Name", None, &Credentials::default(), &Events::nowhere()).await;
    assert!(matches!(bad, Err(PullError::Name(_))));
}
