//! Connections of which nothing is read: bytes, both ways.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::super::memory::Fixed;
use super::super::table::Place;
use super::Gateway;
use super::attempt::{Aim, Attempt};
use super::relay::relay;

/// Serves a connection to a service of a project's current environment.
pub(super) async fn serve(gateway: Arc<Gateway>, stream: TcpStream, fixed: Fixed) {
    if let Some(aim) = aim(&gateway, &fixed) {
        splice(gateway, stream, aim).await;
    }
}

/// Where a port of one service leads now; nowhere while no environment of the project is the current one.
pub(super) fn aim(gateway: &Gateway, fixed: &Fixed) -> Option<Aim> {
    let snapshot = gateway.snapshot();
    let environment = snapshot.table.current(&fixed.project, &snapshot.memory)?;
    Some(Aim {
        place: Place::new(&fixed.project, &environment),
        service: fixed.service.clone(),
        port: Some(fixed.container_port),
    })
}

/// Joins a connection to a container. Where there is no way, the connection is closed, which is all that can be said.
pub(super) async fn splice(gateway: Arc<Gateway>, mut stream: TcpStream, aim: Aim) {
    let _visit = gateway.visit(&aim.place);
    match Attempt::new(&gateway, &aim).connect().await {
        Ok((mut upstream, _)) => {
            // An end that was reset has nobody to be told.
            let _ = relay(&mut stream, &mut upstream).await;
        }
        Err(refused) => gateway.note(format!("{} {}: {refused:?}", aim.place, aim.service)),
    }
}
