//! `supabase/config.toml`: what devenv uses of it, typed and with the CLI's defaults.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::base::{Failure, Kind};
use crate::supabase::document::Document;
use crate::supabase::seeds::Pattern;

/// The parts of a project's configuration that devenv uses.
#[derive(Debug, Clone)]
pub struct Config {
    /// Tells apart the projects of one machine; usable in names of containers.
    pub project_id: String,
    /// `[api]`: REST.
    pub api: Api,
    /// `[db]`.
    pub db: Db,
    /// `[studio]`.
    pub studio: Service,
    /// `[local_smtp]`, once called `[inbucket]`: the mail catcher.
    pub mail: Mail,
    /// `[storage]`.
    pub storage: Storage,
    /// `[auth]`.
    pub auth: Auth,
    /// `[realtime] enabled`.
    pub realtime: bool,
    /// `[edge_runtime]`.
    pub edge_runtime: EdgeRuntime,
    /// `[functions.NAME]`.
    pub functions: BTreeMap<String, Function>,
    /// `[analytics]`.
    pub analytics: Service,
}

/// Something that listens on a port of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Whether it is started.
    pub enabled: bool,
    /// The port on the host.
    pub port: u16,
}

/// `[api]`.
#[derive(Debug, Clone)]
pub struct Api {
    /// Whether REST is started.
    pub enabled: bool,
    /// The gateway's port on the host.
    pub port: u16,
    /// The schemas with endpoints, `public` and `graphql_public` unless written.
    pub schemas: Vec<String>,
    /// What stands behind them in every request's search path.
    pub extra_search_path: Vec<String>,
    /// The most rows that an answer holds.
    pub max_rows: u32,
    /// Whether new tables of `public` are granted to the API roles; the CLI decides when unwritten.
    pub auto_expose_new_tables: Option<bool>,
}

/// `[db]`.
#[derive(Debug, Clone)]
pub struct Db {
    /// The port on the host.
    pub port: u16,
    /// PostgreSQL's major version.
    pub major_version: u32,
    /// Whether migrations run.
    pub migrations: bool,
    /// Files of a declared schema.
    pub schema_paths: Vec<Pattern>,
    /// `[db.vault]`: the secrets whose values are known.
    pub vault: BTreeMap<String, Secret>,
    /// Whether seeds run.
    pub seeds: bool,
    /// The seeds, `./seed.sql` unless written.
    pub seed_paths: Vec<Pattern>,
}

/// `[local_smtp]`.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Whether it is started.
    pub enabled: bool,
    /// The port of its pages on the host.
    pub port: u16,
    /// The port of SMTP on the host, when it is opened there.
    pub smtp_port: Option<u16>,
    /// The sender's address.
    pub admin_email: String,
    /// The sender's name.
    pub sender_name: String,
}

/// `[storage]`.
#[derive(Debug, Clone)]
pub struct Storage {
    /// Whether it is started.
    pub enabled: bool,
    /// The most bytes in a file.
    pub file_size_limit: u64,
    /// Whether it speaks the S3 protocol.
    pub s3_protocol: bool,
    /// `[storage.buckets.NAME]`, in the order of the file.
    pub buckets: Vec<Bucket>,
}

/// A bucket that is made at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Whether it is read without a key.
    pub public: bool,
    /// The most bytes in a file, the storage's limit unless written.
    pub file_size_limit: Option<u64>,
    /// The types allowed; empty means all.
    pub allowed_mime_types: Vec<String>,
    /// A directory whose files are put into it, relative to `supabase`.
    pub objects_path: Option<String>,
}

/// `[auth]`.
#[derive(Debug, Clone)]
pub struct Auth {
    /// Whether it is started.
    pub enabled: bool,
    /// The address of the user's site.
    pub site_url: String,
    /// Further addresses that may be redirected to.
    pub additional_redirect_urls: Vec<String>,
    /// Seconds until a token expires.
    pub jwt_expiry: u32,
    /// A JWT secret other than the local one.
    pub jwt_secret: Option<Secret>,
    /// Whether users may sign up at all.
    pub enable_signup: bool,
    /// Whether users may sign in without a name.
    pub enable_anonymous_sign_ins: bool,
    /// Whether identities may be linked by hand.
    pub enable_manual_linking: bool,
    /// Whether a refresh token is used once.
    pub enable_refresh_token_rotation: bool,
    /// Seconds within which it may be used again.
    pub refresh_token_reuse_interval: u32,
    /// The fewest characters of a password.
    pub minimum_password_length: u32,
    /// The kinds of characters a password needs, empty for none.
    pub password_requirements: String,
    /// `[auth.email]`.
    pub email: Email,
    /// `[auth.external.NAME]`.
    pub external: BTreeMap<String, External>,
}

/// `[auth.email]`.
#[derive(Debug, Clone)]
pub struct Email {
    /// Whether users may sign up by mail.
    pub enabled: bool,
    /// Whether both addresses confirm a change.
    pub double_confirm_changes: bool,
    /// Whether a sign-up must be confirmed.
    pub enable_confirmations: bool,
    /// Whether a change of password needs a recent sign-in.
    pub secure_password_change: bool,
    /// The shortest time between two mails, as `1s`.
    pub max_frequency: String,
    /// The digits of a one-time password.
    pub otp_length: u32,
    /// Seconds until it expires.
    pub otp_expiry: u32,
}

/// A provider of identities.
#[derive(Debug, Clone)]
pub struct External {
    /// Whether it is offered.
    pub enabled: bool,
    /// The client's name there.
    pub client_id: String,
    /// The client's secret there.
    pub secret: Secret,
    /// Where it sends users back, when not the usual place.
    pub redirect_uri: String,
    /// Its own address, when it is self-hosted.
    pub url: String,
}

/// `[edge_runtime]`.
#[derive(Debug, Clone)]
pub struct EdgeRuntime {
    /// Whether functions are served.
    pub enabled: bool,
    /// `per_worker` (changes are seen) or `oneshot`.
    pub policy: String,
    /// The port of the inspector.
    pub inspector_port: u16,
    /// Deno's major version.
    pub deno_version: u32,
    /// Variables given to every function.
    pub secrets: BTreeMap<String, Secret>,
}

/// `[functions.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Whether it is served.
    pub enabled: bool,
    /// Whether a request needs a valid token.
    pub verify_jwt: bool,
    /// Its import map, relative to `supabase`.
    pub import_map: Option<String>,
    /// Its entry point, relative to `supabase`.
    pub entrypoint: Option<String>,
    /// Files that go with it.
    pub static_files: Vec<String>,
}

impl Default for Function {
    fn default() -> Self {
        Self { enabled: true, verify_jwt: true, import_map: None, entrypoint: None, static_files: Vec::new() }
    }
}

/// A value that no message shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Config {
    /// The configuration in `text`, the content of the file `path`, and warnings about what is not understood.
    ///
    /// `project` is the project's directory name, for a file without `project_id`; `variables` are the
    /// process' environment over `supabase/.env`: they fill `env(NAME)`, and `SUPABASE_API_PORT` goes before
    /// `api.port`, as in the CLI. An empty text gives the defaults.
    pub fn read(
        path: &Path,
        text: &str,
        project: &str,
        variables: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<Failure>), Failure> {
        let document = Document::parse(path, text, variables)?;
        let warnings = document.unknown_keys();
        let config = Self {
            project_id: project_id(&document.string(&["project_id"]).unwrap_or_default(), project),
            api: api(&document),
            db: db(&document),
            studio: service(&document, "studio", 54323),
            mail: mail(&document),
            storage: storage(&document),
            auth: auth(&document),
            realtime: document.boolean(&["realtime", "enabled"]).unwrap_or(true),
            edge_runtime: edge_runtime(&document),
            functions: functions(&document),
            analytics: service(&document, "analytics", 54327),
        };
        document.finish()?;
        if !(13..=18).contains(&config.db.major_version) {
            let message =
                format!("`db.major_version` is {}, which no Supabase stack has", config.db.major_version);
            return Err(Failure::new(Kind::Files, message).hint("write `major_version = 17`"));
        }
        Ok((config, warnings))
    }

    /// Whether requests of the function `name` need a valid token; they do unless the file says otherwise.
    #[must_use]
    pub fn verifies_jwt(&self, name: &str) -> bool {
        self.functions.get(name).is_none_or(|function| function.verify_jwt)
    }
}

/// A name for containers, as the CLI makes it: at most 40 of `A-Za-z0-9_.-`, not starting with a sign.
fn project_id(written: &str, project: &str) -> String {
    let raw = if written.is_empty() { project } else { written };
    let mut clean = String::new();
    for character in raw.chars() {
        if character.is_ascii_alphanumeric() || "_.-".contains(character) {
            clean.push(character);
        } else if !clean.ends_with('_') {
            clean.push('_');
        }
    }
    let clean: String = clean.trim_start_matches(['_', '.', '-']).chars().take(40).collect();
    if clean.is_empty() { "supabase".to_owned() } else { clean }
}

fn texts(document: &Document<'_>, path: &[&str]) -> Option<Vec<String>> {
    Some(document.strings(path)?.into_iter().map(|(text, _)| text).collect())
}

fn patterns(document: &Document<'_>, path: &[&str]) -> Option<Vec<Pattern>> {
    let pattern = |(text, place)| Pattern { text, place: Some(place) };
    Some(document.strings(path)?.into_iter().map(pattern).collect())
}

/// The texts of a table, without those that ask for a variable which is not set.
fn secrets(document: &Document<'_>, table: &[&str]) -> BTreeMap<String, Secret> {
    let value = |name: String| {
        let path: Vec<&str> = table.iter().copied().chain([name.as_str()]).collect();
        let value = document.string(&path)?;
        let known = !(value.starts_with("env(") && value.ends_with(')'));
        known.then_some((name, Secret(value)))
    };
    document.keys(table).into_iter().filter_map(value).collect()
}

fn service(document: &Document<'_>, name: &str, port: u16) -> Service {
    Service {
        enabled: document.boolean(&[name, "enabled"]).unwrap_or(true),
        port: document.port(&[name, "port"]).unwrap_or(port),
    }
}

fn api(document: &Document<'_>) -> Api {
    let Service { enabled, port } = service(document, "api", 54321);
    let usual = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    Api {
        enabled,
        port,
        schemas: texts(document, &["api", "schemas"]).unwrap_or_else(|| usual(["public", "graphql_public"])),
        extra_search_path: texts(document, &["api", "extra_search_path"])
            .unwrap_or_else(|| usual(["public", "extensions"])),
        max_rows: document.integer(&["api", "max_rows"], "a number of rows").unwrap_or(1000),
        auto_expose_new_tables: document.boolean(&["api", "auto_expose_new_tables"]),
    }
}

fn db(document: &Document<'_>) -> Db {
    Db {
        port: document.port(&["db", "port"]).unwrap_or(54322),
        major_version: document.integer(&["db", "major_version"], "a version like `17`").unwrap_or(17),
        migrations: document.boolean(&["db", "migrations", "enabled"]).unwrap_or(true),
        schema_paths: patterns(document, &["db", "migrations", "schema_paths"]).unwrap_or_default(),
        vault: secrets(document, &["db", "vault"]),
        seeds: document.boolean(&["db", "seed", "enabled"]).unwrap_or(true),
        seed_paths: patterns(document, &["db", "seed", "sql_paths"])
            .unwrap_or_else(|| vec![Pattern { text: "./seed.sql".to_owned(), place: None }]),
    }
}

fn mail(document: &Document<'_>) -> Mail {
    let table = if document.has(&["local_smtp"]) { "local_smtp" } else { "inbucket" };
    let Service { enabled, port } = service(document, table, 54324);
    Mail {
        enabled,
        port,
        smtp_port: document.port(&[table, "smtp_port"]),
        admin_email: document.string(&[table, "admin_email"]).unwrap_or_else(|| "admin@email.com".to_owned()),
        sender_name: document.string(&[table, "sender_name"]).unwrap_or_else(|| "Admin".to_owned()),
    }
}

fn storage(document: &Document<'_>) -> Storage {
    let buckets = document.names(&["storage", "buckets"]).into_iter().map(|name| {
        let at = |key| ["storage", "buckets", name.as_str(), key];
        Bucket {
            public: document.boolean(&at("public")).unwrap_or(false),
            file_size_limit: document.bytes(&at("file_size_limit")),
            allowed_mime_types: texts(document, &at("allowed_mime_types")).unwrap_or_default(),
            objects_path: document.string(&at("objects_path")).filter(|path| !path.is_empty()),
            name: name.clone(),
        }
    });
    Storage {
        enabled: document.boolean(&["storage", "enabled"]).unwrap_or(true),
        file_size_limit: document.bytes(&["storage", "file_size_limit"]).unwrap_or(50 << 20),
        s3_protocol: document.boolean(&["storage", "s3_protocol", "enabled"]).unwrap_or(true),
        buckets: buckets.collect(),
    }
}

fn auth(document: &Document<'_>) -> Auth {
    let truth = |key, usual| document.boolean(&["auth", key]).unwrap_or(usual);
    let number = |key, usual| document.integer(&["auth", key], "a whole number").unwrap_or(usual);
    let external = document.names(&["auth", "external"]).into_iter().map(|name| {
        let at = |key| ["auth", "external", name.as_str(), key];
        let text = |key| document.string(&at(key)).unwrap_or_default();
        let external = External {
            enabled: document.boolean(&at("enabled")).unwrap_or(false),
            client_id: text("client_id"),
            secret: Secret(text("secret")),
            redirect_uri: text("redirect_uri"),
            url: text("url"),
        };
        (name.clone(), external)
    });
    Auth {
        enabled: truth("enabled", true),
        site_url: document
            .string(&["auth", "site_url"])
            .unwrap_or_else(|| "http://127.0.0.1:3000".to_owned()),
        additional_redirect_urls: texts(document, &["auth", "additional_redirect_urls"]).unwrap_or_default(),
        jwt_expiry: number("jwt_expiry", 3600),
        jwt_secret: document.string(&["auth", "jwt_secret"]).filter(|text| !text.is_empty()).map(Secret),
        enable_signup: truth("enable_signup", true),
        enable_anonymous_sign_ins: truth("enable_anonymous_sign_ins", false),
        enable_manual_linking: truth("enable_manual_linking", false),
        enable_refresh_token_rotation: truth("enable_refresh_token_rotation", true),
        refresh_token_reuse_interval: number("refresh_token_reuse_interval", 10),
        minimum_password_length: number("minimum_password_length", 6),
        password_requirements: document.string(&["auth", "password_requirements"]).unwrap_or_default(),
        email: email(document),
        external: external.collect(),
    }
}

fn email(document: &Document<'_>) -> Email {
    let truth = |key, usual| document.boolean(&["auth", "email", key]).unwrap_or(usual);
    let number = |key, usual| document.integer(&["auth", "email", key], "a whole number").unwrap_or(usual);
    Email {
        // Until 3.0 the CLI called the same switch `enable_signup`.
        enabled: truth("enabled", true) && truth("enable_signup", true),
        double_confirm_changes: truth("double_confirm_changes", true),
        enable_confirmations: truth("enable_confirmations", false),
        secure_password_change: truth("secure_password_change", false),
        max_frequency: document
            .string(&["auth", "email", "max_frequency"])
            .unwrap_or_else(|| "1s".to_owned()),
        otp_length: number("otp_length", 6),
        otp_expiry: number("otp_expiry", 3600),
    }
}

fn edge_runtime(document: &Document<'_>) -> EdgeRuntime {
    EdgeRuntime {
        enabled: document.boolean(&["edge_runtime", "enabled"]).unwrap_or(true),
        policy: document.string(&["edge_runtime", "policy"]).unwrap_or_else(|| "per_worker".to_owned()),
        inspector_port: document.port(&["edge_runtime", "inspector_port"]).unwrap_or(8083),
        deno_version: document.integer(&["edge_runtime", "deno_version"], "a version like `2`").unwrap_or(2),
        secrets: secrets(document, &["edge_runtime", "secrets"]),
    }
}

fn functions(document: &Document<'_>) -> BTreeMap<String, Function> {
    let usual = document.boolean(&["functions", "verify_jwt"]).unwrap_or(true);
    let functions = document.names(&["functions"]).into_iter().map(|name| {
        let at = |key| ["functions", name.as_str(), key];
        let text = |key| document.string(&at(key)).filter(|text| !text.is_empty());
        let function = Function {
            enabled: document.boolean(&at("enabled")).unwrap_or(true),
            verify_jwt: document.boolean(&at("verify_jwt")).unwrap_or(usual),
            import_map: text("import_map"),
            entrypoint: text("entrypoint"),
            static_files: texts(document, &at("static_files")).unwrap_or_default(),
        };
        (name.clone(), function)
    });
    functions.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Config, Vec<Failure>), Failure> {
        let variables = |name: &str| match name {
            "SITE" => Some("https://example.test".to_owned()),
            "DB_PORT" => Some("6000".to_owned()),
            "SUPABASE_STUDIO_PORT" => Some("7000".to_owned()),
            _ => None,
        };
        Config::read(Path::new("supabase/config.toml"), text, "my shop", &variables)
    }

    #[test]
    fn nothing_written_gives_the_defaults_of_the_cli() {
        let (config, warnings) = read("").unwrap();
        assert!(warnings.is_empty());
        assert_eq!(config.project_id, "my_shop");
        assert_eq!((config.api.port, config.db.port, config.mail.port), (54321, 54322, 54324));
        assert_eq!(config.db.seed_paths[0].text, "./seed.sql");
        assert_eq!(config.storage.file_size_limit, 50 << 20);
        assert!(config.auth.enabled && config.verifies_jwt("anything"));
    }

    #[test]
    fn values_come_from_the_file_and_from_variables() {
        let (config, warnings) = read(
            r#"
project_id = "shop"
[api]
schemas = ["public", "shop"]
[db]
port = "env(DB_PORT)"
[db.seed]
sql_paths = ["./seed.sql", "./seeds/*.sql"]
[studio]
openai_api_key = "env(OPENAI_API_KEY)"
[inbucket]
port = 1234
[storage.buckets.images]
public = true
file_size_limit = "5MB"
allowed_mime_types = ["image/png"]
[auth]
site_url = "env(SITE)"
[auth.external.apple]
secret = "env(UNSET_SECRET)"
[db.vault]
token = "env(SITE)"
later = "env(UNSET_SECRET)"
[functions.hello]
verify_jwt = false
[edge_runtime.secrets]
KEY = "value"
[remotes.staging]
project_id = "abcdefghijklmnopqrst"
[remotes.staging.db.seed]
enabled = true
"#,
        )
        .unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(config.project_id, "shop");
        assert_eq!(config.api.schemas, ["public", "shop"]);
        assert_eq!((config.db.port, config.studio.port, config.mail.port), (6000, 7000, 1234));
        assert_eq!(config.db.seed_paths[1].place.as_ref().unwrap().line, 8);
        assert_eq!(config.auth.site_url, "https://example.test");
        assert_eq!(config.storage.buckets[0].file_size_limit, Some(5 << 20));
        assert!(!config.verifies_jwt("hello"));
        assert_eq!(config.edge_runtime.secrets["KEY"].reveal(), "value");
        assert_eq!(config.db.vault.keys().collect::<Vec<_>>(), ["token"]);
        assert!(!format!("{config:?}").contains("value"));
    }

    #[test]
    fn unknown_keys_are_warnings_with_their_place() {
        let (_, warnings) = read("[api]\nprot = 1\n[later.table]\nx = 1\n").unwrap();
        let told: Vec<String> = warnings
            .iter()
            .map(|warning| format!("{} {} {:?}", warning.places[0], warning, warning.hints))
            .collect();
        assert_eq!(
            told,
            [
                "supabase/config.toml:2:1 `api.prot` is not a known key [\"did you mean `port`?\"]",
                "supabase/config.toml:3:2 `later` is not a known key [\"it is left as it is; the Supabase CLI may \
                 refuse it\"]",
            ]
        );
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let failure = read(
            "[api]\nport = 70000\n[db]\nport = \"env(NOT_SET)\"\nmajor_version = \"new\"\n[studio]\nenabled = 1.5\n\
             [storage]\nfile_size_limit = \"lots\"\n",
        )
        .unwrap_err();
        let all = std::iter::once(&failure).chain(&failure.others);
        let told: Vec<String> = all.map(|one| format!("{} {one}", one.places[0])).collect();
        assert_eq!(
            told,
            [
                "supabase/config.toml:2:8 `api.port` must be a port from 0 to 65535, not `70000`",
                "supabase/config.toml:4:8 `db.port` asks for the variable NOT_SET, which is not set",
                "supabase/config.toml:5:17 `db.major_version` must be a version like `17`, not `new`",
                "supabase/config.toml:7:11 `studio.enabled` must be `true` or `false`, not `1.5`",
                "supabase/config.toml:9:19 `storage.file_size_limit` must be a size like `50MiB`, not `lots`",
            ]
        );
    }

    #[test]
    fn a_mistake_of_syntax_has_its_place() {
        let failure = read("[api]\nport = \n").unwrap_err();
        assert_eq!(failure.kind, Kind::Files);
        assert_eq!(failure.places[0].line, 2);
        let failure = read("api = 3\n").unwrap_err();
        assert_eq!(failure.places[0].to_string(), "supabase/config.toml:1:7");
    }
}
