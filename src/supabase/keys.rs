//! The keys that the Supabase CLI 3.1.0 and its predecessors know in `config.toml`. Whatever else stands there
//! is told to the user: most often it is a slip of the pen.

use crate::base::guess;

/// One table a line: its path, then its keys. `*` stands for a name of the user's; a table that ends in `.**`
/// may hold anything.
const TABLES: &str = "
: project_id $schema
analytics: enabled port backend vector_port gcp_project_id gcp_project_number gcp_jwt_path
api: enabled port schemas extra_search_path max_rows auto_expose_new_tables external_url
api.tls: enabled cert_path key_path
auth: enabled site_url external_url additional_redirect_urls jwt_expiry jwt_issuer signing_keys_path
auth: enable_refresh_token_rotation refresh_token_reuse_interval enable_manual_linking enable_signup
auth: enable_anonymous_sign_ins minimum_password_length password_requirements publishable_key secret_key
auth: jwt_secret anon_key service_role_key
auth.rate_limit: email_sent sms_sent anonymous_users token_refresh sign_in_sign_ups token_verifications web3
auth.captcha: enabled provider secret
auth.passkey: enabled
auth.webauthn: rp_display_name rp_id rp_origins
auth.hook.*: enabled uri secrets
auth.mfa: max_enrolled_factors
auth.mfa.*: enroll_enabled verify_enabled otp_length template max_frequency
auth.sessions: timebox inactivity_timeout
auth.email: enabled enable_signup double_confirm_changes enable_confirmations secure_password_change
auth.email: require_current_password max_frequency otp_length otp_expiry
auth.email.smtp: enabled host port user pass admin_email sender_name
auth.email.template.*: subject content content_path
auth.email.notification.*: enabled subject content content_path
auth.sms: enabled enable_signup enable_confirmations template max_frequency otp_length otp_expiry
auth.sms.twilio: enabled account_sid message_service_sid content_sid auth_token
auth.sms.twilio_verify: enabled account_sid message_service_sid auth_token
auth.sms.messagebird: enabled originator access_key
auth.sms.textlocal: enabled sender api_key
auth.sms.vonage: enabled from api_key api_secret
auth.sms.test_otp: *
auth.external.*: enabled client_id secret url redirect_uri skip_nonce_check email_optional
auth.web3.*: enabled
auth.oauth_server: enabled authorization_url_path allow_dynamic_registration
auth.third_party.*: enabled project_id tenant tenant_region user_pool_id user_pool_region domain issuer_url
compute.**:
db: port shadow_port health_timeout major_version orioledb_version root_key
db.pooler: enabled port pool_mode default_pool_size max_client_conn
db.migrations: enabled schema_paths
db.migrations.checks.**:
db.seed: enabled sql_paths
db.settings.**:
db.network_restrictions: enabled allowed_cidrs allowed_cidrs_v6
db.ssl_enforcement: enabled
db.vault: *
edge_runtime: enabled policy inspector_port deno_version
edge_runtime.secrets: *
experimental.**:
functions: verify_jwt
functions.*: enabled verify_jwt import_map entrypoint static_files
functions.*.env: *
inbucket: enabled port smtp_port pop3_port admin_email sender_name
local.**:
local_smtp: enabled port smtp_port pop3_port admin_email sender_name
realtime: enabled ip_version max_header_length
storage: enabled file_size_limit
storage.image_transformation: enabled
storage.buckets.*: public file_size_limit allowed_mime_types objects_path
storage.s3_protocol: enabled
storage.analytics: enabled max_namespaces max_tables max_catalogs
storage.analytics.buckets.**:
storage.vector: enabled max_buckets max_indexes
storage.vector.buckets.**:
studio: enabled port api_url openai_api_key pgmeta_image
";

/// Whether `path`, a key or a table, is known, and if not the known name nearest to its last part.
pub(super) fn look_up(path: &[&str]) -> Result<(), Option<&'static str>> {
    // An overlay `[remotes.NAME]` repeats the whole file.
    if let ["remotes", rest @ ..] = path {
        return rest.split_first().map_or(Ok(()), |(_, inner)| look_up(inner));
    }
    let Some((last, parents)) = path.split_last() else { return Ok(()) };
    let mut siblings: Vec<&'static str> = vec![];
    if parents.is_empty() {
        siblings.push("remotes");
    }
    for line in TABLES.lines().filter(|line| !line.is_empty()) {
        let (table, keys) = line.split_once(':').unwrap_or((line, ""));
        let table: Vec<&str> = table.split('.').filter(|part| !part.is_empty()).collect();
        if let [open @ .., "**"] = table.as_slice()
            && path.len() > open.len()
            && fits(open, &path[..open.len()])
        {
            return Ok(());
        }
        if table.len() > parents.len() && fits(&table[..parents.len()], parents) {
            siblings.push(table[parents.len()]);
        }
        if fits(&table, parents) {
            siblings.extend(keys.split_whitespace());
        }
    }
    if siblings.iter().any(|known| *known == "*" || known == last) {
        return Ok(());
    }
    let known = siblings.into_iter().filter(|known| *known != "**");
    Err(guess::closest(last, known, |known| 1 + known.len() / 4))
}

fn fits(pattern: &[&str], path: &[&str]) -> bool {
    pattern.len() == path.len()
        && pattern.iter().zip(path).all(|(known, part)| *known == "*" || known == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_unknown_and_nearly_known() {
        assert_eq!(look_up(&["api"]), Ok(()));
        assert_eq!(look_up(&["api", "port"]), Ok(()));
        assert_eq!(look_up(&["api", "prot"]), Err(Some("port")));
        assert_eq!(look_up(&["apy"]), Err(Some("api")));
        assert_eq!(look_up(&["db", "vault", "anything"]), Ok(()));
        assert_eq!(look_up(&["experimental", "what", "ever"]), Ok(()));
        assert_eq!(look_up(&["functions", "hello", "verify_jwt"]), Ok(()));
        assert_eq!(look_up(&["functions", "hello", "verify_jtw"]), Err(Some("verify_jwt")));
        assert_eq!(look_up(&["remotes", "staging", "db", "seed", "enabled"]), Ok(()));
        assert_eq!(look_up(&["remotes", "staging", "db", "seed", "enabld"]), Err(Some("enabled")));
        assert_eq!(look_up(&["completely", "new"]), Err(None));
    }
}
