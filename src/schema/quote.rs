//! Names and texts as SQL writes them.

/// The words that PostgreSQL 18 does not take as a name everywhere (`pg_get_keywords()`, all but unreserved).
const WORDS: &str = "all analyse analyze and any array as asc asymmetric authorization between bigint binary bit \
boolean both case cast char character check coalesce collate collation column concurrently constraint create cross \
current_catalog current_date current_role current_schema current_time current_timestamp current_user dec decimal \
default deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full \
grant greatest group grouping having ilike in initially inner inout int integer intersect interval into is isnull \
join json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize \
json_table json_value lateral leading least left like limit localtime localtimestamp merge_action national natural \
nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps overlay placing \
position precision primary real references returning right row select session_user setof similar smallint some \
substring symmetric system_user table tablesample then time timestamp to trailing treat trim true union unique user \
using values varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest \
xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable";

/// A name, in quotes where it needs them (what `quote_ident` does).
#[must_use]
pub fn name(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !WORDS.split(' ').any(|word| word == name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A text in quotes (what `quote_literal` does).
#[must_use]
pub fn text(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_postgresql_needs_it() {
        let quoted: Vec<String> =
            ["users", "user", "User", "a b", "1a", "a\"b", "_x1", "ä", ""].map(name).into();
        assert_eq!(
            quoted,
            ["users", "\"user\"", "\"User\"", "\"a b\"", "\"1a\"", "\"a\"\"b\"", "_x1", "\"ä\"", "\"\""]
        );
        assert_eq!([text("it's"), text("a\\b")], ["'it''s'", "E'a\\\\b'"]);
    }
}
