//! The variables that `supabase status -o env` and `-o json` print, so that scripts written for the Supabase
//! CLI find the same names with devenv.

use std::fmt;
use std::fmt::Write as _;

use crate::base::{Failure, Kind};
use crate::supabase::token;

/// The keys of a stack. Their values are never part of `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Signs the tokens of users and the two legacy keys.
    pub jwt_secret: String,
    /// The new-style key for browsers.
    pub publishable: String,
    /// The new-style key for servers.
    pub secret: String,
    /// The access key of the S3 protocol.
    pub s3_access_key: String,
    /// The secret of the S3 protocol.
    pub s3_secret_key: String,
}

impl Keys {
    /// The fixed keys of every local stack. They protect nothing and must stay on loopback.
    #[must_use]
    pub fn local() -> Self {
        Self {
            jwt_secret: token::LOCAL_JWT_SECRET.to_owned(),
            publishable: "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH".to_owned(),
            secret: "sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz".to_owned(),
            s3_access_key: "625729a08b95bf1b7ff351a663f3a23c".to_owned(),
            s3_secret_key: "850181e4652dd023b7a98c58ae0d2d34bd487ee0cc3254aed6eda37307425907".to_owned(),
        }
    }

    /// The legacy key of the role `anon`.
    #[must_use]
    pub fn anon(&self) -> String {
        token::sign("anon", &self.jwt_secret)
    }

    /// The legacy key of the role `service_role`.
    #[must_use]
    pub fn service_role(&self) -> String {
        token::sign("service_role", &self.jwt_secret)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(***)")
    }
}

/// What runs, and where: a name is printed only when what it belongs to runs, as with the CLI.
#[derive(Debug, Clone)]
pub struct Status {
    /// `postgresql://postgres:postgres@127.0.0.1:54322/postgres`.
    pub db_url: String,
    /// The gateway, without a final slash; without it nothing under it is printed.
    pub api_url: Option<String>,
    /// Whether REST (and GraphQL) answer under the gateway.
    pub rest: bool,
    /// Whether edge functions answer under the gateway.
    pub functions: bool,
    /// Whether Auth runs; it brings the keys.
    pub auth: bool,
    /// Whether Storage answers the S3 protocol.
    pub storage_s3: bool,
    /// The Studio.
    pub studio_url: Option<String>,
    /// The mail catcher.
    pub mail_url: Option<String>,
    /// The keys.
    pub keys: Keys,
}

/// The CLI's field and its usual variable, for `--override-name FIELD=NAME`.
const NAMES: [(&str, &str); 17] = [
    ("auth.anon_key", "ANON_KEY"),
    ("api.url", "API_URL"),
    ("db.url", "DB_URL"),
    ("api.functions_url", "FUNCTIONS_URL"),
    ("api.graphql_url", "GRAPHQL_URL"),
    ("auth.jwt_secret", "JWT_SECRET"),
    ("mailpit.url", "MAILPIT_URL"),
    ("api.mcp_url", "MCP_URL"),
    ("auth.publishable_key", "PUBLISHABLE_KEY"),
    ("api.rest_url", "REST_URL"),
    ("storage.s3_access_key_id", "S3_PROTOCOL_ACCESS_KEY_ID"),
    ("storage.s3_secret_access_key", "S3_PROTOCOL_ACCESS_KEY_SECRET"),
    ("storage.s3_region", "S3_PROTOCOL_REGION"),
    ("auth.secret_key", "SECRET_KEY"),
    ("auth.service_role_key", "SERVICE_ROLE_KEY"),
    ("api.storage_s3_url", "STORAGE_S3_URL"),
    ("studio.url", "STUDIO_URL"),
];

/// The variables and their values, sorted by name. `overrides` are the words of `--override-name`.
pub fn variables(status: &Status, overrides: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let mut renamed = Vec::new();
    for word in overrides {
        renamed.push(one_override(word)?);
    }
    let api = |running: bool, path: &str| {
        status.api_url.as_ref().filter(|_| running).map(|url| format!("{}{path}", url.trim_end_matches('/')))
    };
    let keys = &status.keys;
    let auth = |value: &str| status.auth.then(|| value.to_owned());
    let s3 = |value: &str| status.storage_s3.then(|| value.to_owned());
    let mut variables = Vec::new();
    for (field, usual) in NAMES {
        let value = match field {
            "api.url" => api(true, ""),
            "api.rest_url" => api(status.rest, "/rest/v1"),
            "api.graphql_url" => api(status.rest, "/graphql/v1"),
            "api.functions_url" => api(status.functions, "/functions/v1"),
            "api.mcp_url" => api(status.studio_url.is_some(), "/mcp"),
            "api.storage_s3_url" => api(status.storage_s3, "/storage/v1/s3"),
            "db.url" => Some(status.db_url.clone()),
            "studio.url" => status.studio_url.clone(),
            "mailpit.url" => status.mail_url.clone(),
            "auth.publishable_key" => auth(&keys.publishable),
            "auth.secret_key" => auth(&keys.secret),
            "auth.jwt_secret" => auth(&keys.jwt_secret),
            "auth.anon_key" => auth(&keys.anon()),
            "auth.service_role_key" => auth(&keys.service_role()),
            "storage.s3_access_key_id" => s3(&keys.s3_access_key),
            "storage.s3_secret_access_key" => s3(&keys.s3_secret_key),
            _ => s3("local"),
        };
        let name = renamed.iter().rev().find(|(which, _)| *which == field).map_or(usual, |(_, name)| name);
        if let Some(value) = value {
            variables.push((name.to_owned(), value));
        }
    }
    variables.sort();
    Ok(variables)
}

fn one_override(word: &str) -> Result<(&str, &str), Failure> {
    let Some((field, name)) = word.split_once('=').filter(|(_, name)| !name.is_empty()) else {
        return Err(Failure::new(Kind::Usage, format!("`--override-name {word}` is not FIELD=NAME"))
            .hint("write for example `--override-name api.url=NEXT_PUBLIC_SUPABASE_URL`"));
    };
    // The mail catcher was once called inbucket; scripts still say so.
    let field = if field == "inbucket.url" { "mailpit.url" } else { field };
    if NAMES.iter().any(|(known, _)| *known == field) {
        return Ok((field, name));
    }
    let known: Vec<&str> = NAMES.iter().map(|(field, _)| *field).collect();
    Err(Failure::new(Kind::Usage, format!("`{field}` is not a field of the status"))
        .hint(format!("choose one of {}", known.join(", "))))
}

/// The variables as lines `NAME="value"` for a shell or a `.env` file.
#[must_use]
pub fn env(variables: &[(String, String)]) -> String {
    let mut lines = String::new();
    for (name, value) in variables {
        let mut quoted = String::new();
        for character in value.chars() {
            match character {
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '\\' | '"' | '!' | '$' | '`' => quoted.extend(['\\', character]),
                _ => quoted.push(character),
            }
        }
        let _ = writeln!(lines, "{name}=\"{quoted}\"");
    }
    lines
}

/// The variables as one flat JSON object.
#[must_use]
pub fn json(variables: &[(String, String)]) -> serde_json::Value {
    variables.iter().map(|(name, value)| (name.clone(), serde_json::Value::String(value.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Status {
        Status {
            db_url: "postgresql://postgres:postgres@127.0.0.1:54322/postgres".to_owned(),
            api_url: Some("http://127.0.0.1:54321".to_owned()),
            rest: true,
            functions: true,
            auth: true,
            storage_s3: true,
            studio_url: Some("http://127.0.0.1:54323".to_owned()),
            mail_url: Some("http://127.0.0.1:54324".to_owned()),
            keys: Keys::local(),
        }
    }

    #[test]
    fn the_seventeen_names_come_in_the_order_of_the_cli() {
        let variables = variables(&all(), &[]).unwrap();
        let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names.join(" "),
            "ANON_KEY API_URL DB_URL FUNCTIONS_URL GRAPHQL_URL JWT_SECRET MAILPIT_URL MCP_URL PUBLISHABLE_KEY \
             REST_URL S3_PROTOCOL_ACCESS_KEY_ID S3_PROTOCOL_ACCESS_KEY_SECRET S3_PROTOCOL_REGION SECRET_KEY \
             SERVICE_ROLE_KEY STORAGE_S3_URL STUDIO_URL"
        );
        assert!(env(&variables).contains("REST_URL=\"http://127.0.0.1:54321/rest/v1\"\n"));
        assert_eq!(json(&variables)["MCP_URL"], "http://127.0.0.1:54321/mcp");
    }

    #[test]
    fn what_does_not_run_has_no_name() {
        let status = Status {
            api_url: None,
            auth: false,
            storage_s3: false,
            studio_url: None,
            mail_url: None,
            ..all()
        };
        assert_eq!(
            env(&variables(&status, &[]).unwrap()),
            "DB_URL=\"postgresql://postgres:postgres@127.0.0.1:54322/postgres\"\n"
        );
    }

    #[test]
    fn a_name_can_be_overridden_and_is_sorted_anew() {
        let words = ["api.url=ZED".to_owned(), "auth.anon_key=NEXT_PUBLIC_ANON".to_owned()];
        let variables = variables(&all(), &words).unwrap();
        assert_eq!(variables.last().unwrap().0, "ZED");
        assert!(variables.iter().any(|(name, _)| name == "NEXT_PUBLIC_ANON"));
        assert!(super::variables(&all(), &["api=X".to_owned()]).is_err());
        assert!(super::variables(&all(), &["api.url".to_owned()]).is_err());
    }

    #[test]
    fn values_are_quoted_for_a_shell() {
        assert_eq!(env(&[("A".to_owned(), "x\"$\n`".to_owned())]), "A=\"x\\\"\\$\\n\\`\"\n");
    }
}
