//! The judgement on one column. Rules of language and of standards, none of any particular database.

mod column;
mod table;

use self::column::Name;
pub(super) use self::table::Context;
use self::table::PUBLIC;
use super::name::words;
use super::value::{Forms, forms};
use super::{Tier, Verdict};
use crate::mask::policy::Make;
use crate::mask::table::{Kind, Table};

/// What was found, before anything speaks against it.
struct Found {
    tier: Tier,
    class: &'static str,
    make: Option<Make>,
    sure: f32,
    why: String,
}

fn personal(class: &'static str, make: Make, sure: f32, why: impl Into<String>) -> Found {
    Found { tier: Tier::Personal, class, make: Some(make), sure, why: why.into() }
}

fn secret(class: &'static str, sure: f32, why: impl Into<String>) -> Found {
    Found { tier: Tier::Secret, class, make: Some(Make::Null), sure, why: why.into() }
}

/// What a name in a JSON document says.
pub(super) fn of_key(key: &str) -> Option<Make> {
    let table = Table { name: "user".to_owned(), ..Table::default() };
    let context = Context::of(&table);
    let column = Name { words: words(key), kind: Kind::Text, context: &context, key: false };
    let found = column.secret().or_else(|| column.direct())?;
    found.sure.gt(&0.65).then(|| found.make.unwrap_or(Make::Form))
}

/// What a column is, by all that is known of it.
pub(super) fn judge(context: &Context, table: &Table, place: usize, values: &[String]) -> Verdict {
    let column = &table.columns[place];
    let forms = forms(values);
    let words = words(&column.name);
    let id = words.last().is_some_and(|word| word == "id" || word == "uuid" || word == "key");
    let primary = table.uniques.iter().any(|unique| unique == &[place]) && place == 0;
    let surrogate = (primary || id) && matches!(column.kind, Kind::Integer | Kind::Uuid | Kind::Number);
    let name = Name { words, kind: column.kind, context, key: table.refers(place) || surrogate };
    let mut found = match column.kind {
        Kind::Boolean => None,
        _ => name.secret().or_else(|| name.direct()),
    };
    if found.as_ref().is_none_or(|found| !found.tier.is_sensitive())
        && let Some(seen) = by_value(&name, &forms)
    {
        found = Some(seen);
    }
    if let Some(seen) = found.as_mut() {
        weigh(seen, &forms, &name);
    }
    if found.as_ref().is_none_or(|found| !found.tier.is_sensitive())
        && let Some(seen) = by_comment(column.comment.as_deref(), context, column.kind, name.key)
    {
        found = Some(seen);
    }
    if let Some(found) = found.filter(|found| found.sure >= 0.5) {
        let mut evidence = vec![found.why];
        if column.kind != Kind::Text {
            evidence.push(format!("type {}", column.type_name));
        }
        let Found { tier, class, make, sure, .. } = found;
        return Verdict { tier, class, make, confidence: sure.min(1.0), evidence };
    }
    let wide = column.kind == Kind::Text && (forms.sentences > 0.3 || forms.inside > 0.0);
    let free = name.any(
        "note comment description bio message body content text remark summary reason feedback review \
        log data payload extra html story detail",
    );
    let holds = match column.kind {
        Kind::Json | Kind::Bytes => Some("may hold anything"),
        Kind::Text if wide => Some("sentences"),
        Kind::Text if free && column.length.is_none_or(|length| length >= 100) => {
            Some("free text by its name")
        }
        _ => None,
    };
    match holds {
        Some(why) => Verdict {
            tier: Tier::Text,
            class: "free text",
            make: None,
            confidence: 0.5,
            evidence: vec![why.to_owned()],
        },
        None => Verdict { tier: Tier::None, class: "", make: None, confidence: 0.0, evidence: Vec::new() },
    }
}

/// What values give away that the name keeps to itself.
fn by_value(name: &Name<'_>, forms: &Forms) -> Option<Found> {
    if forms.count < 3 || name.key {
        return None;
    }
    let percent = |share: f32| format!("{:.0} % of the values sampled have that form", share * 100.0);
    let seen = |class, make, share: f32, sure| Some(personal(class, make, sure, percent(share)));
    if forms.email >= 0.4 {
        return seen("email", Make::Email, forms.email, 0.95);
    }
    if forms.secret >= 0.5 {
        return Some(secret("key", 0.9, percent(forms.secret)));
    }
    if forms.iban >= 0.7 {
        return seen("bank account", Make::Form, forms.iban, 0.95);
    }
    if forms.card >= 0.9 && forms.distinct >= 5 {
        return seen("card", Make::Card, forms.card, 0.9);
    }
    if forms.national >= 0.9 && forms.distinct >= 5 && forms.digits < 0.5 {
        return seen("number of a person", Make::Form, forms.national, 0.85);
    }
    if forms.phone >= 0.8 && forms.distinct >= 3 && !name.any("isbn sku version date ean barcode") {
        return seen("telephone", Make::Phone, forms.phone, 0.8);
    }
    if forms.network >= 0.8 && (name.context.person || name.context.trace || name.context.session) {
        return seen("network address", Make::Network, forms.network, 0.7);
    }
    let public = name.context.public || name.any(PUBLIC) || name.any("title film movie album book song");
    if forms.person >= 0.45 && forms.distinct >= 5 && !public {
        return seen("name", Make::Name, forms.person, 0.75);
    }
    None
}

/// What values say for or against a name.
fn weigh(found: &mut Found, forms: &Forms, name: &Name<'_>) {
    if forms.count < 5 || !found.tier.is_sensitive() {
        return;
    }
    let confirmed = match found.class {
        "email" => forms.email,
        "telephone" => forms.phone,
        "card" => forms.card,
        "network address" => forms.network,
        "name" => forms.person,
        _ => 0.0,
    };
    if confirmed > 0.5 {
        found.sure = (found.sure + 0.04).min(0.99);
        found.why = format!("{}, {:.0} % of the values sampled have that form", found.why, confirmed * 100.0);
        return;
    }
    // `phone` that says `yes` and `address` that says `A` are something else.
    let codes = forms.codes > 0.95 && forms.distinct <= 12 && name.kind == Kind::Text;
    if codes && !matches!(found.class, "name" | "password" | "postal code") {
        found.sure -= 0.5;
    }
    if found.class == "email" && forms.email == 0.0 && forms.count >= 10 && forms.distinct > 3 {
        found.sure -= 0.3;
    }
}

/// What a comment says of a column whose name says nothing.
fn by_comment(comment: Option<&str>, context: &Context, kind: Kind, key: bool) -> Option<Found> {
    let comment = comment?;
    let lower = comment.to_lowercase();
    let said = ["personal data", "personally identif", "pii", "gdpr", "sensitive", "confidential"];
    let marked = said.iter().any(|words| {
        lower.split(|c: char| !c.is_alphanumeric() && c != ' ').any(|part| part.contains(words))
    });
    if marked && !lower.contains("no pii") && !lower.contains("not pii") && !key && kind != Kind::Boolean {
        return Some(personal("marked as personal", Make::Form, 0.8, "its comment says so"));
    }
    // A short comment is a better name.
    let words = words(comment.split(['.', '(', ',']).next().unwrap_or_default());
    if words.len() > 5 || key {
        return None;
    }
    let name = Name { words, kind, context, key };
    let mut found = name.secret().or_else(|| name.direct()).filter(|found| found.tier.is_sensitive())?;
    found.sure -= 0.25;
    "by its comment".clone_into(&mut found.why);
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::table::Column;

    fn tier(table: &str, column: &str, kind: Kind) -> Tier {
        let table = Table {
            schema: "public".to_owned(),
            name: table.to_owned(),
            columns: vec![
                Column { name: "key".to_owned(), kind: Kind::Integer, ..Column::default() },
                Column { name: column.to_owned(), kind, ..Column::default() },
            ],
            ..Table::default()
        };
        judge(&Context::of(&table), &table, 1, &[]).tier
    }

    #[test]
    fn names_that_tell() {
        for (table, column) in [
            ("users", "email"),
            ("x", "eMailAddress"),
            ("t_kunde", "name"),
            ("bookings", "guest_name"),
            ("staff", "FIRST"),
            ("people", "date_of_birth"),
            ("clients", "nif"),
            ("sites", "poc_1_cell"),
            ("orders", "billing_address_2"),
            ("logs", "client_ip"),
            ("employee", "photo"),
            ("direct_messages", "body"),
        ] {
            assert_eq!(tier(table, column, Kind::Text), Tier::Personal, "{table}.{column}");
        }
        for (table, column) in [
            ("users", "password_hash"),
            ("users", "passwd"),
            ("deliveries", "pickupCode"),
            ("x", "a_session"),
            ("api_keys", "key"),
            ("settings", "smtpPass"),
            ("devices", "refreshToken"),
        ] {
            assert_eq!(tier(table, column, Kind::Text), Tier::Secret, "{table}.{column}");
        }
    }

    #[test]
    fn names_that_only_look_so() {
        for (table, column, kind) in [
            ("users", "email_verified", Kind::Boolean),
            ("users", "password_changed_at", Kind::Time),
            ("users", "phone_count", Kind::Integer),
            ("products", "name", Kind::Text),
            ("roles", "name", Kind::Text),
            ("mails", "email_template_id", Kind::Integer),
            ("usage", "tokens", Kind::Integer),
            ("interfaces", "ip", Kind::Text),
            ("city", "zip", Kind::Text),
            ("files", "memory_address", Kind::Text),
            ("coins", "token_symbol", Kind::Text),
            ("user_roles", "name", Kind::Text),
        ] {
            assert!(!tier(table, column, kind).is_sensitive(), "{table}.{column}");
        }
    }
}
