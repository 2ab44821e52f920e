//! `doctor` and the base image against the engine of this machine. Nothing that others use is touched.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use devenv::base::{Event, Events};
use devenv::engine::{base_image, endpoint, facts};
use devenv::ops::doctor::{Overall, Port, Report, Request, Status, doctor};

/// The engine that the environment names.
fn settings() -> endpoint::Settings {
    let value = |name: &str| std::env::var(name).ok();
    endpoint::Settings {
        docker_host: value("DOCKER_HOST"),
        docker_context: value("DOCKER_CONTEXT"),
        docker_config: value("DOCKER_CONFIG").map(Into::into),
        tls_verify: value("DOCKER_TLS_VERIFY"),
        cert_path: value("DOCKER_CERT_PATH").map(Into::into),
        home: value("HOME").map(Into::into),
        runtime_dir: value("XDG_RUNTIME_DIR").map(Into::into),
    }
}

fn request() -> Request {
    Request {
        engine: settings(),
        path: std::env::var_os("PATH"),
        directory: std::env::temp_dir(),
        ..Request::default()
    }
}

async fn engine() -> bollard::Docker {
    let endpoint = endpoint::resolve_here(&settings()).unwrap();
    endpoint::connect(&endpoint, endpoint::REPLY).await.unwrap()
}

fn status(report: &Report, id: &str) -> Status {
    report.checks.iter().find(|check| check.id == id).unwrap().status
}

#[tokio::test]
async fn the_engine_tells_about_itself() {
    let facts = facts::facts(&engine().await).await.unwrap();
    assert!(facts.platform.starts_with("linux/"), "{facts:?}");
    assert!(facts.clock.is_some() && !facts.root.is_empty(), "{facts:?}");
}

#[tokio::test]
async fn a_machine_with_an_engine_is_described() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let number = listener.local_addr().unwrap().port();
    let ports = vec![Port { number, wanted_by: "db".to_owned() }];
    let begin = Instant::now();
    let report = doctor(&Request { ports, ..request() }, &Events::nowhere()).await;
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(status(&report, "engine"), Status::Ok, "{report:?}");
    assert_eq!(status(&report, "ports"), Status::Warning, "{report:?}");
    let ports = report.checks.iter().find(|check| check.id == "ports").unwrap();
    assert!(ports.found.contains(&std::process::id().to_string()), "{}", ports.found);
}

#[tokio::test]
async fn fixing_a_healthy_machine_changes_nothing_and_is_quick() {
    if base_image::find(&engine().await).await.unwrap().is_none() {
        return;
    }
    let (tell, told) = std::sync::mpsc::channel();
    let events = Events::to(move |event| tell.send(event).unwrap());
    let begin = Instant::now();
    let report = doctor(&Request { fix: true, ..request() }, &events).await;
    let took = begin.elapsed();
    assert_eq!((report.status, report.fixed.as_slice()), (Overall::Ok, [].as_slice()), "{report:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let told: Vec<Event> = told.try_iter().collect();
    assert!(matches!(told.as_slice(), [Event::Note { .. }]), "{told:?}");
}

#[tokio::test]
async fn a_silent_engine_does_not_hold_doctor_up() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let silent = endpoint::Settings {
        docker_host: Some(format!("unix://{}", socket.display())),
        ..endpoint::Settings::default()
    };
    let begin = Instant::now();
    let report = doctor(&Request { engine: silent, fix: true, ..request() }, &Events::nowhere()).await;
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!((report.status, status(&report, "engine")), (Overall::Failed, Status::Failed));
}

/// A tar archive of one file, cut after `bytes`.
fn archive(bytes: usize) -> Bytes {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    let text = b"ID=debian\n".repeat(10_000);
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append_data(&mut header, "etc/os-release", text.as_slice()).unwrap();
    let whole = archive.into_inner().unwrap();
    Bytes::from(whole).slice(..).split_to(bytes.min(100_000 + 512))
}

async fn exists(engine: &bollard::Docker, name: &str) -> bool {
    engine.inspect_image(name).await.is_ok()
}

#[tokio::test]
async fn half_an_image_is_never_kept() {
    let engine = engine().await;
    let name = format!("devenv.local/test-half:{}", std::process::id());
    let half = futures_util::stream::iter([
        Ok(archive(50_000)),
        Err(std::io::Error::other("the maker of the image ended early")),
    ]);
    assert!(base_image::import(&engine, &name, half).await.is_err());
    assert!(!exists(&engine, &name).await);
}

#[tokio::test]
async fn a_whole_image_gets_its_name() {
    let engine = engine().await;
    let name = format!("devenv.local/test-whole:{}", std::process::id());
    let whole = futures_util::stream::iter([Ok(archive(usize::MAX)), Ok(Bytes::from(vec![0; 1536]))]);
    base_image::import(&engine, &name, whole).await.unwrap();
    assert!(exists(&engine, &name).await);
    engine.remove_image(&name, None::<bollard::query_parameters::RemoveImageOptions>, None).await.unwrap();
}
