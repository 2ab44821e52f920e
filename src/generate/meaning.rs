//! What texts and numbers are about, guessed from the names of their columns.
//!
//! Addresses of mail end in names of RFC 2606 and telephone numbers are of ranges that are given to nobody (NANP
//! 555-01xx; ITU country code 999), so that nothing generated reaches anyone.

use super::make::Meaning;

/// What a text column holds.
pub(super) fn of_text(table: &str, column: &str) -> Meaning {
    let name = column.to_lowercase().replace(['-', ' '], "_");
    let has = |part: &str| name.contains(part);
    let ends = |part: &str| name == part || name.ends_with(&format!("_{part}"));
    let any = |parts: &[&str]| parts.iter().any(|part| ends(part));
    if has("email") || ends("mail") {
        Meaning::Email
    } else if has("phone") || any(&["mobile", "fax", "tel", "msisdn"]) {
        Meaning::Phone
    } else if has("hash")
        || has("password")
        || has("token")
        || has("secret")
        || any(&["digest", "checksum", "etag"])
    {
        Meaning::Hex
    } else if has("first_name") || has("firstname") || has("given") || has("forename") {
        Meaning::Given
    } else if has("last_name") || has("lastname") || has("surname") || has("family_name") {
        Meaning::Family
    } else if has("username") || has("user_name") || any(&["login", "nickname", "handle"]) {
        Meaning::User
    } else if has("url") || has("website") || any(&["link", "homepage", "href", "uri"]) {
        Meaning::Url
    } else if any(&["ip", "ip_address", "ip_addr"]) {
        Meaning::Ip
    } else if has("street") || has("address") || ends("addr") {
        Meaning::Street
    } else if any(&["city", "town", "district", "region", "province"]) {
        Meaning::City
    } else if has("postal") || has("postcode") || has("zip") {
        Meaning::Digits
    } else if has("country_code") || has("countrycode") {
        Meaning::CountryCode
    } else if has("country") {
        Meaning::Country
    } else if has("currency") {
        Meaning::Currency
    } else if any(&["locale", "language", "lang"]) {
        Meaning::Language
    } else if has("color") || has("colour") {
        Meaning::Colour
    } else if any(&["status", "state"]) {
        Meaning::State
    } else if any(&["slug", "code", "key", "sku", "ref", "reference"]) {
        Meaning::Slug
    } else if any(&[
        "description",
        "body",
        "content",
        "comment",
        "notes",
        "note",
        "bio",
        "message",
        "summary",
        "text",
    ]) {
        Meaning::Sentence
    } else if has("company") || has("organi") || ends("employer") {
        Meaning::Company
    } else if name == "name" || any(&["full_name", "fullname", "display_name", "contact_name", "author"]) {
        let people = [
            "user", "person", "people", "customer", "employee", "author", "member", "profile", "contact",
            "actor", "artist", "patient", "student", "staff",
        ];
        let table = table.to_lowercase();
        if name != "name" || people.iter().any(|who| table.contains(who)) {
            Meaning::Name
        } else {
            Meaning::Title
        }
    } else if any(&["title", "subject", "headline", "label", "name"]) {
        Meaning::Title
    } else {
        Meaning::Word
    }
}

/// Between which numbers a column of whole numbers lies.
pub(super) fn of_number(column: &str) -> Option<(i64, i64)> {
    let name = column.to_lowercase();
    let ends = |part: &str| name == part || name.ends_with(&format!("_{part}"));
    let any = |parts: &[&str]| parts.iter().any(|part| ends(part));
    if any(&["quantity", "qty", "count", "position", "amount_of"]) {
        Some((1, 100))
    } else if ends("age") {
        Some((18, 90))
    } else if ends("year") {
        Some((1990, 2025))
    } else if ends("month") {
        Some((1, 12))
    } else if any(&["rating", "stars", "score"]) {
        Some((1, 5))
    } else if any(&["percent", "percentage", "discount"]) {
        Some((0, 100))
    } else if name.starts_with("lat") {
        Some((-90, 90))
    } else if name.starts_with("lon") || ends("lng") {
        Some((-180, 180))
    } else if ["price", "amount", "total", "cost", "cents", "balance", "fee"]
        .iter()
        .any(|part| name.contains(part))
    {
        Some((1, 10_000))
    } else {
        None
    }
}
