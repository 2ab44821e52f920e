//! HTTP/1.1: each request is looked up by its `Host`, and passed on as it comes, both ways, without a buffer between.
//!
//! What is passed on and what is not: RFC 9110, 7.6.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{Either, Empty, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::super::memory::Fixed;
use super::super::name;
use super::super::table::{Found, Place, State};
use super::attempt::{Aim, Attempt, Refused, connect};
use super::page::Page;
use super::{Gateway, HOLD, Visit, hold, relay, tcp, watch};

/// By which door a connection came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// The port of host names.
    Names,
    /// The same, by TLS.
    Secure,
    /// A port of one service.
    Fixed(Fixed),
}

/// A body that is passed on; an empty one may be sent again.
type Sent = Either<Incoming, Empty<Bytes>>;
/// What is answered: our own words, or what is passed on.
type Answered = Either<Full<Bytes>, Relayed>;

/// Serves the requests of one connection.
pub(super) async fn serve<S>(gateway: Arc<Gateway>, stream: S, entry: Entry)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let entry = &entry;
    let gateway = &gateway;
    let service =
        service_fn(|request| async move { Ok::<_, Infallible>(answer(gateway, entry, request).await) });
    // A client that breaks off has nobody to be told.
    let _ = server::Builder::new()
        .half_close(true)
        // Heads and small bodies in one piece: one call, and less of the kernel's work.
        .writev(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

/// The same for a connection that may say nothing for long, as those that browsers keep in reserve: until its first
/// byte it takes no buffers.
pub(super) async fn serve_when_it_speaks(gateway: Arc<Gateway>, stream: TcpStream, entry: Entry) {
    // A new connection counts as readable until the first look, so one is taken.
    if stream.peek(&mut [0]).await.is_ok_and(|seen| seen > 0) {
        boxed(gateway, stream, entry).await;
    }
}

/// Apart, so that who only waits holds no room for it.
fn boxed(gateway: Arc<Gateway>, stream: TcpStream, entry: Entry) -> BoxFuture<'static, ()> {
    Box::pin(serve(gateway, stream, entry))
}

async fn answer(gateway: &Arc<Gateway>, entry: &Entry, request: Request<Incoming>) -> Response<Answered> {
    let html = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let found = match host(&request) {
        Some(host) => find(gateway, entry, &host).await,
        None => Err(Own {
            status: StatusCode::BAD_REQUEST,
            page: Page::new("a request needs one `Host`"),
            again: false,
        }),
    };
    let own = match found {
        Ok(aim) => match forward(gateway, &aim, request, *entry == Entry::Secure).await {
            Ok(response) => return response,
            Err(refused) => explain(gateway, &aim, &refused),
        },
        Err(own) => own,
    };
    own.response(html)
}

/// The host that a request is for: that of an absolute target comes before the header (RFC 9112, 3.2.2).
fn host(request: &Request<Incoming>) -> Option<String> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.as_str().to_owned());
    }
    let mut all = request.headers().get_all(header::HOST).iter();
    match (all.next(), all.next()) {
        (Some(host), None) => host.to_str().ok().map(str::to_owned),
        _ => None,
    }
}

/// An answer of the gateway's own.
struct Own {
    status: StatusCode,
    page: Page,
    /// Whether it is worth trying again.
    again: bool,
}

impl Own {
    fn response(self, html: bool) -> Response<Answered> {
        let (kind, text) = if html {
            ("text/html; charset=utf-8", self.page.html())
        } else {
            ("text/plain; charset=utf-8", self.page.plain())
        };
        let mut response = Response::new(Either::Left(Full::from(text)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(HeaderName::from_static("x-devenv-gateway"), HeaderValue::from_static("1"));
        if self.again {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        // What is left of a request's body would be taken for the next request.
        if self.status == StatusCode::MISDIRECTED_REQUEST || self.status == StatusCode::BAD_REQUEST {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// What a request is for; waits for an environment that was announced and is not there yet.
async fn find(gateway: &Arc<Gateway>, entry: &Entry, host: &str) -> Result<Aim, Own> {
    let misdirected = |why: String| Own {
        status: StatusCode::MISDIRECTED_REQUEST,
        page: Page::new("not an address of this gateway").line(why),
        again: false,
    };
    match entry {
        Entry::Fixed(fixed) => {
            if !name::is_loopback(host) {
                return Err(misdirected(name::Foreign(host.to_owned()).to_string()));
            }
            tcp::aim(gateway, fixed).ok_or_else(|| {
                let why = format!("no environment of `{}` is the current one", fixed.project);
                Own { status: StatusCode::NOT_FOUND, page: Page::new(why), again: false }
            })
        }
        Entry::Names | Entry::Secure => {
            let asked_for = name::read(host).map_err(|foreign| misdirected(foreign.to_string()))?;
            let mut turned = gateway.turned.subscribe();
            let found = async {
                let mut asked = false;
                loop {
                    let snapshot = gateway.snapshot();
                    match snapshot.table.find(&asked_for, &snapshot.memory) {
                        // What a command has just done may be told a little later than it answers.
                        Found::NotUp(_) | Found::Missing(_) if !asked => {
                            asked = true;
                            watch::look(gateway).await;
                        }
                        Found::NotUp(place) if snapshot.is_changing(&place, gateway.now()) => {
                            let _ = turned.changed().await;
                        }
                        found => return found,
                    }
                }
            };
            let found = tokio::time::timeout(HOLD, found).await;
            let snapshot = gateway.snapshot();
            match found.unwrap_or_else(|_| snapshot.table.find(&asked_for, &snapshot.memory)) {
                Found::Service(place, service) => Ok(Aim { place, service, port: None }),
                Found::NotUp(place) => {
                    let aim = Aim { place, service: String::new(), port: None };
                    Err(explain(gateway, &aim, &Refused::Starting))
                }
                Found::Index { project, environment } => Err(Own {
                    status: StatusCode::OK,
                    page: index(gateway, project.as_deref(), environment.as_deref()),
                    again: false,
                }),
                Found::Missing(what) => {
                    let project = match &asked_for {
                        name::Asked::Either(_, project) | name::Asked::Service { project, .. } => {
                            Some(project)
                        }
                        _ => None,
                    };
                    let known = project.filter(|project| !snapshot.table.environments(project).is_empty());
                    let mut page = index(gateway, known.map(String::as_str), None);
                    page.title = what;
                    Err(Own { status: StatusCode::NOT_FOUND, page, again: false })
                }
            }
        }
    }
}

/// What there is.
fn index(gateway: &Arc<Gateway>, project: Option<&str>, environment: Option<&str>) -> Page {
    let title = match (project, environment) {
        (Some(project), Some(environment)) => format!("{project}, {environment}"),
        (Some(project), None) => project.to_owned(),
        _ => "devenv".to_owned(),
    };
    let mut page = Page::new(title);
    let mut lists: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for route in gateway.routes() {
        let wanted = project.is_none_or(|project| project == route.project)
            && environment.is_none_or(|environment| environment == route.environment);
        if !wanted {
            continue;
        }
        let heading = format!("{}, {}", route.project, route.environment);
        if lists.last().is_none_or(|(last, _)| *last != heading) {
            lists.push((heading, Vec::new()));
        }
        if let Some((_, links)) = lists.last_mut() {
            links.push((route.short.clone().unwrap_or(route.url), route.state));
        }
    }
    if lists.is_empty() {
        page = page.line("nothing is here yet: `devenv up` starts a project");
    }
    page.links = lists;
    page
}

/// Why a request was not answered by its service, and what to do.
fn explain(gateway: &Arc<Gateway>, aim: &Aim, refused: &Refused) -> Own {
    let Aim { place, service, .. } = aim;
    let subject = if service.is_empty() { place.to_string() } else { format!("`{service}` of {place}") };
    let folder = |words: &str| format!("run `{words}` in the folder of {}", place.project);
    let (status, title, line, again) = match refused {
        Refused::Stopped => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{subject} was stopped"), folder("devenv up"), false)
        }
        Refused::NoPort => (
            StatusCode::BAD_GATEWAY,
            format!("{subject} has no port"),
            "name one with the label `dev.devenv.http`, or `expose` it".to_owned(),
            false,
        ),
        Refused::Starting => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{subject} is not up yet"), folder("devenv up"), true)
        }
        Refused::Silent(address) => (
            StatusCode::BAD_GATEWAY,
            format!("nothing answers for {subject}"),
            format!("it runs, but not on port {}: `devenv logs {service}` says why", address.port()),
            true,
        ),
        Refused::Asleep(why) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{place} could not be woken"),
            format!("{why}; {}", folder("devenv up")),
            true,
        ),
    };
    gateway.note(title.clone());
    Own { status, page: Page::new(title).line(line), again }
}

/// Passes a request on to a container of its service.
async fn forward(
    gateway: &Arc<Gateway>,
    aim: &Aim,
    mut request: Request<Incoming>,
    secure: bool,
) -> Result<Response<Answered>, Refused> {
    let visit = gateway.visit(&aim.place);
    let upgrade = is_upgrade(request.headers());
    let upgraded = upgrade.then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let protocol = if secure { "https" } else { "http" };
    let head = Head::of(parts.method, &parts.uri, parts.headers, upgrade, protocol);
    // Sent twice only where that is the same as once, and nothing of it could be half-read (RFC 9110, 9.2.2).
    let repeats = body.is_end_stream()
        && matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    let mut message = head.message(if repeats { Either::Right(Empty::new()) } else { Either::Left(body) });
    let mut attempt = Attempt::new(gateway, aim);
    loop {
        let (container, address) = attempt.way().await?;
        let key = (container, address.port());
        let reused = if upgrade { None } else { gateway.pool.take(&key) };
        let is_fresh = reused.is_none();
        let mut sender = match reused {
            Some(sender) => sender,
            None => {
                let Ok(stream) = connect(address).await else {
                    attempt.failed(address).await?;
                    continue;
                };
                let Ok((sender, connection)) =
                    client::Builder::new().writev(false).handshake(TokioIo::new(stream)).await
                else {
                    attempt.failed(address).await?;
                    continue;
                };
                tokio::spawn(async move {
                    // Its end is seen by who uses it.
                    let _ = connection.with_upgrades().await;
                });
                sender
            }
        };
        let mut error = match sender.try_send_request(message).await {
            Ok(response) => return Ok(hand_back(gateway, response, upgraded, Some((key, sender)), visit)),
            Err(error) => error,
        };
        match error.take_message() {
            Some(unsent) => message = unsent,
            None if repeats => message = head.message(Either::Right(Empty::new())),
            None => return Err(Refused::Silent(address)),
        }
        if is_fresh {
            attempt.failed(address).await?;
        }
    }
}

/// What goes before a body.
struct Head {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Head {
    fn of(method: Method, uri: &Uri, mut headers: HeaderMap, upgrade: bool, protocol: &'static str) -> Self {
        strip(&mut headers, upgrade);
        // Answered here.
        headers.remove(header::EXPECT);
        let host = headers.get(header::HOST).cloned();
        if let Some(host) = host {
            headers.insert(HeaderName::from_static("x-forwarded-host"), host);
        }
        headers.insert(HeaderName::from_static("x-forwarded-proto"), HeaderValue::from_static(protocol));
        let forwarded = HeaderName::from_static("x-forwarded-for");
        let before = headers.get(&forwarded).and_then(|value| value.to_str().ok());
        let all = before.map(|before| format!("{before}, 127.0.0.1"));
        let value = all.and_then(|all| HeaderValue::from_str(&all).ok());
        headers.insert(forwarded, value.unwrap_or(HeaderValue::from_static("127.0.0.1")));
        let path = uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
        Self { method, uri: path.parse().unwrap_or_default(), headers }
    }

    fn message(&self, body: Sent) -> Request<Sent> {
        let mut message = Request::new(body);
        *message.method_mut() = self.method.clone();
        *message.uri_mut() = self.uri.clone();
        *message.version_mut() = Version::HTTP_11;
        *message.headers_mut() = self.headers.clone();
        message
    }
}

/// Whether a request asks for another protocol on its connection.
fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
        && headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
}

/// Takes away what is meant for one connection only; what asks for another protocol stays where that is passed on.
fn strip(headers: &mut HeaderMap, upgrade: bool) {
    let mut named: Vec<HeaderName> = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        let words = value.to_str().unwrap_or_default().split(',');
        named.extend(words.filter_map(|word| HeaderName::from_bytes(word.trim().as_bytes()).ok()));
    }
    let protocol = headers.get(header::UPGRADE).cloned().filter(|_| upgrade);
    for name in named {
        headers.remove(name);
    }
    for name in [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
    if let Some(protocol) = protocol {
        headers.insert(header::UPGRADE, protocol);
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

/// Passes an answer on.
fn hand_back(
    gateway: &Arc<Gateway>,
    mut response: Response<Incoming>,
    upgraded: Option<hyper::upgrade::OnUpgrade>,
    way: Option<(Key, SendRequest<Sent>)>,
    visit: Visit,
) -> Response<Answered> {
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    strip(response.headers_mut(), switches);
    if let (true, Some(near)) = (switches, upgraded) {
        let far = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            let _visit = visit;
            // Whoever breaks off first ends both.
            let Ok((near, far)) = futures_util::future::try_join(near, far).await else { return };
            let (mut near, mut far) = (TokioIo::new(near), TokioIo::new(far));
            let _ = relay::relay(&mut near, &mut far).await;
        });
        let (parts, _) = response.into_parts();
        return Response::from_parts(parts, Either::Left(Full::default()));
    }
    let (mut parts, body) = response.into_parts();
    parts.version = Version::HTTP_11;
    let way = way.map(|(key, sender)| (Arc::clone(gateway), key, sender));
    let mut relayed = Relayed { body, way, _visit: visit };
    if relayed.body.is_end_stream() {
        relayed.give_back();
    }
    Response::from_parts(parts, Either::Right(relayed))
}

/// A body on its way. At its end the connection goes back into the pool; one that is left before is closed.
struct Relayed {
    body: Incoming,
    way: Option<(Arc<Gateway>, Key, SendRequest<Sent>)>,
    _visit: Visit,
}

impl Relayed {
    fn give_back(&mut self) {
        if let Some((gateway, key, sender)) = self.way.take() {
            gateway.pool.give(key, sender);
        }
    }
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(None) => self.give_back(),
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.give_back(),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A container and its port. Addresses are given to other containers later, ids are not.
type Key = (String, u16);

/// Connections to containers that wait for the next request.
#[derive(Default)]
pub(super) struct Pool(Mutex<HashMap<Key, Vec<Waiting>>>);

/// A connection, and since when it waits.
type Waiting = (SendRequest<Sent>, Instant);

/// For how long a connection waits; servers close theirs after five seconds or more.
const WAITS: Duration = Duration::from_secs(30);
/// How many wait for one port. More requests at once than that make connections all the time, until the machine has
/// no port left to make one from.
const WAITING: usize = 2048;

impl Pool {
    fn take(&self, key: &Key) -> Option<SendRequest<Sent>> {
        let mut all = hold(&self.0);
        let waiting = all.get_mut(key)?;
        // The last one to come back is the likeliest to be open.
        let mut at = waiting.len();
        while at > 0 {
            at -= 1;
            let (sender, since) = &waiting[at];
            if sender.is_closed() || since.elapsed() > WAITS {
                waiting.swap_remove(at);
            } else if sender.is_ready() {
                return Some(waiting.swap_remove(at).0);
            }
        }
        None
    }

    fn give(&self, key: Key, sender: SendRequest<Sent>) {
        if sender.is_closed() {
            return;
        }
        let mut all = hold(&self.0);
        let waiting = all.entry(key).or_default();
        if waiting.len() < WAITING {
            waiting.push((sender, Instant::now()));
        }
    }

    /// Forgets what nobody takes any more.
    pub(super) fn sweep(&self) {
        hold(&self.0).retain(|_, waiting| {
            waiting.retain(|(sender, since)| !sender.is_closed() && since.elapsed() <= WAITS);
            !waiting.is_empty()
        });
    }
}

impl Gateway {
    /// What leads where, in the order of projects, environments and services.
    pub(super) fn routes(&self) -> Vec<super::super::protocol::Route> {
        let snapshot = self.snapshot();
        let port = match self.listeners.front() {
            Some(80) | None => String::new(),
            Some(port) => format!(":{port}"),
        };
        let mut routes: Vec<super::super::protocol::Route> = Vec::new();
        for (place, containers) in snapshot.table.places() {
            let Place { project, environment } = place;
            let is_current = snapshot.table.current(project, &snapshot.memory).as_ref() == Some(environment);
            for container in containers {
                let known = |route: &super::super::protocol::Route| {
                    (&route.project, &route.environment, &route.service)
                        == (project, environment, &container.service)
                };
                if routes.last().is_some_and(known) {
                    continue;
                }
                let service = name::label(&container.service);
                let state = match container.state {
                    _ if snapshot.waking.contains(place) => "starting",
                    State::Running => "up",
                    _ if snapshot.memory.asleep.contains_key(place) => "asleep",
                    State::Changing | State::Created => "starting",
                    State::Ended(_) => "stopped",
                };
                routes.push(super::super::protocol::Route {
                    project: project.clone(),
                    environment: environment.clone(),
                    url: format!("http://{service}.{environment}.{project}.localhost{port}"),
                    short: is_current.then(|| format!("http://{service}.{project}.localhost{port}")),
                    service: container.service.clone(),
                    container_port: container.http_port(),
                    state: state.to_owned(),
                });
            }
        }
        routes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn what_is_meant_for_one_connection_goes_no_further() {
        let mut all = headers(&[
            ("connection", "close, x-mine"),
            ("x-mine", "1"),
            ("keep-alive", "5"),
            ("upgrade", "h2c"),
            ("te", "trailers"),
            ("x-other", "2"),
        ]);
        strip(&mut all, false);
        assert_eq!(all, headers(&[("te", "trailers"), ("x-other", "2")]));
        let mut all = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        assert!(is_upgrade(&all));
        strip(&mut all, true);
        assert_eq!(all, headers(&[("upgrade", "websocket"), ("connection", "upgrade")]));
    }

    #[test]
    fn the_target_is_a_path_and_the_host_stays() {
        let uri: Uri = "http://api.shop.localhost/a%20b?c=d".parse().unwrap();
        let all = headers(&[
            ("host", "api.shop.localhost:80"),
            ("x-forwarded-for", "::1"),
            ("expect", "100-continue"),
        ]);
        let head = Head::of(Method::GET, &uri, all, false, "https");
        assert_eq!(head.uri, "/a%20b?c=d");
        let get = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(get("host"), Some("api.shop.localhost:80"));
        assert_eq!(get("x-forwarded-host"), Some("api.shop.localhost:80"));
        assert_eq!(get("x-forwarded-for"), Some("::1, 127.0.0.1"));
        assert_eq!(get("x-forwarded-proto"), Some("https"));
        assert_eq!(get("expect"), None);
    }
}
