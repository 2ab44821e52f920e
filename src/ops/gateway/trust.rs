//! HTTPS on request: an authority of this user's own signs what the gateway shows, and browsers are told to trust it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::super::{Context, now};
use super::Gateway;
use crate::base::{Failure, Kind};
use crate::gateway::protocol::{Ask, Pem, Route, Status};
use crate::machine::Programs;
use crate::machine::authority::{self, Authority, Removal, Store};

/// What came of it.
#[derive(Debug)]
pub struct Trust {
    /// The authority's certificate.
    pub certificate: PathBuf,
    /// Stores that have it now.
    pub installed: Vec<String>,
    /// Stores that do not: what they are called, why, and what to type.
    pub by_hand: Vec<(String, String, String)>,
    /// What the gateway does now.
    pub status: Status,
}

/// Makes the authority on first use, brings the gateway a certificate, and with `install` puts the authority's into
/// the stores of this machine and this user.
pub async fn trust(context: &Context, install: bool) -> Result<Trust, Failure> {
    let gateway = super::existing(context).await?;
    let authority = open(context)?;
    bring(context, &gateway, &authority).await?;
    let programs = programs(context);
    let (mut installed, mut by_hand) = (Vec::new(), Vec::new());
    for store in authority::stores(home(context).as_deref()) {
        let hand = |why: String| (store.title(), why, store.by_hand(&authority.file));
        if !install {
            by_hand.push(hand("as you wished".to_owned()));
            continue;
        }
        // Only root may change what the whole system trusts.
        if matches!(store, Store::System { .. }) && !rustix::process::geteuid().is_root() {
            by_hand.push(hand("it needs root".to_owned()));
            continue;
        }
        match store.install(&programs, &authority.file).await {
            Ok(()) => installed.push(store.title()),
            Err(error) => by_hand.push(hand(error.to_string())),
        }
    }
    Ok(Trust { certificate: authority.file, installed, by_hand, status: gateway.status().await? })
}

/// What came of the opposite.
#[derive(Debug)]
pub struct Distrust {
    /// Stores that do not have the authority's certificate any more.
    pub removed: Vec<String>,
    /// Stores that may have it still: what they are called, why, and what to type.
    pub by_hand: Vec<(String, String, String)>,
    /// What the gateway does now; none where there is no gateway.
    pub status: Option<Status>,
}

/// Lets the gateway go without TLS, and takes the authority's certificate out of the stores that have it, unless they
/// are to stay as they are. The authority itself is kept: what it signs next is trusted again by who trusts it by hand.
pub async fn distrust(context: &Context, uninstall: bool) -> Result<Distrust, Failure> {
    let gateway = match super::existing(context).await {
        Ok(gateway) => Some(gateway),
        // Stores are put right although there is no gateway any more.
        Err(failure) if failure.kind == Kind::Failed => None,
        Err(failure) => return Err(failure),
    };
    let mut status = None;
    if let Some(gateway) = gateway {
        gateway.order(Ask::Certificate { pem: None }).await?;
        status = Some(gateway.status().await?);
    }
    let (mut removed, mut by_hand) = (Vec::new(), Vec::new());
    let folder = folder(context)?;
    if uninstall && Authority::is_in(&folder) {
        let authority = open(context)?;
        let programs = programs(context);
        for store in authority::stores(home(context).as_deref()) {
            match store.remove(&programs, &authority.file).await {
                Ok(Removal::Gone) => removed.push(store.title()),
                Ok(Removal::NotThere | Removal::Another) => {}
                Err(error) => by_hand.push((store.title(), error.to_string(), store.by_hand_away())),
            }
        }
    }
    Ok(Distrust { removed, by_hand, status })
}

fn home(context: &Context) -> Option<PathBuf> {
    context.environment.get("HOME").map(PathBuf::from)
}

fn programs(context: &Context) -> Programs {
    let path = context.environment.get("PATH").map(OsString::from);
    Programs::new(path.as_deref(), Vec::new())
}

/// Brings a gateway that has a certificate one with the names that have come since.
pub(super) async fn refresh(context: &Context, gateway: &Gateway) -> Result<(), Failure> {
    if !Authority::is_in(&folder(context)?) || gateway.status().await?.https_port.is_none() {
        return Ok(());
    }
    bring(context, gateway, &open(context)?).await
}

async fn bring(context: &Context, gateway: &Gateway, authority: &Authority) -> Result<(), Failure> {
    let (routes, status) = (gateway.routes().await?, gateway.status().await?);
    let leaf = authority
        .sign(&names(&routes, &status), seconds())
        .map_err(|error| cannot(&folder(context).unwrap_or_default(), error))?;
    gateway.order(Ask::Certificate { pem: Some(Pem { chain: leaf.chain, key: leaf.key }) }).await
}

/// Names that the gateway may be asked for; a star stands for one label (RFC 6125, 6.4.3).
fn names(routes: &[Route], status: &Status) -> Vec<String> {
    let mut names = BTreeSet::from(["localhost".to_owned()]);
    let current = status.current.iter();
    let places = routes.iter().map(|route| (&route.project, &route.environment)).chain(current);
    for (project, environment) in places {
        names.insert(format!("{project}.localhost"));
        names.insert(format!("*.{project}.localhost"));
        names.insert(format!("*.{environment}.{project}.localhost"));
    }
    names.into_iter().collect()
}

fn open(context: &Context) -> Result<Authority, Failure> {
    let folder = folder(context)?;
    Authority::open(&folder, seconds()).map_err(|error| cannot(&folder, error))
}

fn folder(context: &Context) -> Result<PathBuf, Failure> {
    Ok(context.state_directory()?.join("authority"))
}

fn seconds() -> u64 {
    u64::try_from(now()).unwrap_or_default()
}

fn cannot(folder: &Path, error: std::io::Error) -> Failure {
    Failure::new(Kind::Failed, format!("the authority in {} cannot be used", folder.display()))
        .source(error)
        .hint("remove that folder to have another one made, which then has to be trusted anew")
}
