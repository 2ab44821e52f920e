//! How objects are called, made and dropped in SQL.

use serde_json::Value;

use crate::schema::quote::{name, text};
use crate::schema::{Id, Kind, Object};

/// What `COMMENT ON`, `ALTER … OWNER TO` and `DROP` call an object.
pub(super) fn called(object: &Object) -> String {
    let id = &object.id;
    let (whole, part) = (id.qualified(), name(&id.part));
    match id.kind {
        Kind::Schema => format!("SCHEMA {whole}"),
        Kind::Extension => format!("EXTENSION {whole}"),
        Kind::Enum | Kind::Range | Kind::Composite => format!("TYPE {whole}"),
        Kind::Domain => format!("DOMAIN {whole}"),
        Kind::DomainCheck => format!("CONSTRAINT {part} ON DOMAIN {whole}"),
        Kind::Sequence | Kind::SequenceOwner => format!("SEQUENCE {whole}"),
        Kind::Table => format!("TABLE {whole}"),
        Kind::Column | Kind::Default | Kind::ViewColumn => format!("COLUMN {whole}.{part}"),
        Kind::Function => format!("{} {}", routine(object), signature(id)),
        Kind::Aggregate => format!("AGGREGATE {}", signature(id)),
        Kind::Constraint => format!("CONSTRAINT {part} ON {whole}"),
        Kind::Index => format!("INDEX {whole}"),
        Kind::Statistics => format!("STATISTICS {whole}"),
        Kind::View => format!("VIEW {whole}"),
        Kind::MaterializedView => format!("MATERIALIZED VIEW {whole}"),
        Kind::Rule => format!("RULE {part} ON {whole}"),
        Kind::Trigger => format!("TRIGGER {part} ON {whole}"),
        Kind::Policy => format!("POLICY {part} ON {whole}"),
        Kind::EventTrigger => format!("EVENT TRIGGER {whole}"),
        Kind::Publication | Kind::PublicationTable | Kind::PublicationSchema => {
            format!("PUBLICATION {whole}")
        }
        Kind::DefaultPrivileges => String::new(),
    }
}

fn routine(object: &Object) -> &'static str {
    if object.is("procedure") { "PROCEDURE" } else { "FUNCTION" }
}

/// A function's name with the types of its arguments.
pub(super) fn signature(id: &Id) -> String {
    let arguments = if id.kind == Kind::Aggregate && id.part.is_empty() { "*" } else { &id.part };
    format!("{}({arguments})", id.qualified())
}

/// How an object is dropped.
pub(super) fn drop(object: &Object) -> String {
    let id = &object.id;
    let (whole, part) = (id.qualified(), name(&id.part));
    match id.kind {
        Kind::Column => format!("ALTER TABLE {whole} DROP COLUMN {part}"),
        Kind::Default => format!("ALTER TABLE {whole} ALTER COLUMN {part} DROP DEFAULT"),
        Kind::Constraint => format!("ALTER TABLE {whole} DROP CONSTRAINT {part}"),
        Kind::DomainCheck => format!("ALTER DOMAIN {whole} DROP CONSTRAINT {part}"),
        Kind::SequenceOwner => format!("ALTER SEQUENCE {whole} OWNED BY NONE"),
        Kind::PublicationTable => format!("ALTER PUBLICATION {part} DROP TABLE {whole}"),
        Kind::PublicationSchema => {
            format!("ALTER PUBLICATION {part} DROP TABLES IN SCHEMA {}", name(&id.name))
        }
        _ => format!("DROP {}", called(object)),
    }
}

/// How an object is made, without its owner, comment and grants; `inside` is what is written into a table's statement.
pub(super) fn create(object: &Object, inside: &[String]) -> Vec<String> {
    let id = &object.id;
    let (whole, part) = (id.qualified(), name(&id.part));
    let definition = object.get("definition");
    let made = match id.kind {
        Kind::Schema => format!("CREATE SCHEMA {whole}"),
        Kind::Extension => {
            format!("CREATE EXTENSION IF NOT EXISTS {whole} WITH SCHEMA {}", name(object.get("schema")))
        }
        Kind::Enum => {
            let labels: Vec<String> = labels(object).iter().map(|label| text(label)).collect();
            format!("CREATE TYPE {whole} AS ENUM ({})", labels.join(", "))
        }
        Kind::Composite => {
            let attributes: Vec<String> = attributes(object).iter().map(Attribute::to_string).collect();
            format!("CREATE TYPE {whole} AS ({})", attributes.join(", "))
        }
        Kind::Range => format!("CREATE TYPE {whole} AS RANGE ({definition})"),
        Kind::Domain => {
            let mut sql = format!("CREATE DOMAIN {whole} AS {}{}", object.get("type"), collation(object));
            if !object.get("default").is_empty() {
                sql.push_str(&format!(" DEFAULT {}", object.get("default")));
            }
            sql + if object.is("not_null") { " NOT NULL" } else { "" }
        }
        Kind::DomainCheck => format!("ALTER DOMAIN {whole} ADD CONSTRAINT {part} {definition}"),
        Kind::Sequence => {
            let unlogged = if object.is("unlogged") { "UNLOGGED " } else { "" };
            format!("CREATE {unlogged}SEQUENCE {whole}{}", numbers(object))
        }
        Kind::SequenceOwner => format!("ALTER SEQUENCE {whole} OWNED BY {}", object.get("column")),
        Kind::Table => return table(object, inside),
        Kind::Column => {
            let mut made = vec![format!("ALTER TABLE {whole} ADD COLUMN {}", column(object))];
            made.extend(column_settings(object));
            return made;
        }
        Kind::Default => {
            format!("ALTER TABLE {whole} ALTER COLUMN {part} SET DEFAULT {}", object.get("expression"))
        }
        Kind::Function | Kind::Statistics => definition.trim_end().to_owned(),
        Kind::Aggregate => {
            let arguments = if object.get("arguments").is_empty() { "*" } else { object.get("arguments") };
            format!("CREATE AGGREGATE {whole}({arguments}) ({definition})")
        }
        Kind::Constraint => {
            let mut made = vec![format!("ALTER TABLE {whole} ADD CONSTRAINT {part} {definition}")];
            made.extend(identifies(object));
            return made;
        }
        Kind::Index => {
            let mut made = vec![definition.to_owned()];
            made.extend(identifies(object));
            return made;
        }
        Kind::View | Kind::MaterializedView => view(object, "CREATE"),
        Kind::Rule | Kind::Trigger => {
            let mut made = vec![definition.trim_end_matches(';').to_owned()];
            if !object.get("enabled").is_empty() {
                made.push(enabled(object));
            }
            return made;
        }
        Kind::Policy => policy(object),
        Kind::EventTrigger => {
            let tags = match object.get("tags") {
                "" => String::new(),
                tags => format!(" WHEN TAG IN ({tags})"),
            };
            let (event, function) = (object.get("event"), object.get("function"));
            let mut made =
                vec![format!("CREATE EVENT TRIGGER {whole} ON {event}{tags} EXECUTE FUNCTION {function}()")];
            if !object.get("enabled").is_empty() {
                made.push(enabled(object));
            }
            return made;
        }
        Kind::Publication => {
            let all = if object.is("all_tables") { " FOR ALL TABLES" } else { "" };
            format!("CREATE PUBLICATION {whole}{all} WITH ({})", publishes(object))
        }
        Kind::PublicationTable => {
            let mut sql = format!("ALTER PUBLICATION {part} ADD TABLE {whole}");
            if !object.get("columns").is_empty() {
                sql.push_str(&format!(" ({})", object.get("columns")));
            }
            if !object.get("where").is_empty() {
                sql.push_str(&format!(" WHERE ({})", object.get("where")));
            }
            sql
        }
        Kind::PublicationSchema => {
            format!("ALTER PUBLICATION {part} ADD TABLES IN SCHEMA {}", name(&id.name))
        }
        Kind::ViewColumn | Kind::DefaultPrivileges => return Vec::new(),
    };
    vec![made]
}

/// A member of a composite type.
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) type_name: String,
    pub(super) collation: Option<String>,
}

impl std::fmt::Display for Attribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", name(&self.name), self.type_name)?;
        self.collation.iter().try_for_each(|collation| write!(f, " COLLATE {collation}"))
    }
}

/// What a property holds as a JSON list.
fn list(object: &Object, property: &str) -> Vec<Value> {
    serde_json::from_str(object.get(property)).unwrap_or_default()
}

pub(super) fn labels(object: &Object) -> Vec<String> {
    list(object, "labels").iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

pub(super) fn attributes(object: &Object) -> Vec<Attribute> {
    let member = |value: &Value, at: usize| value.get(at).and_then(Value::as_str).map(str::to_owned);
    let attribute = |value: &Value| {
        Some(Attribute { name: member(value, 0)?, type_name: member(value, 1)?, collation: member(value, 2) })
    };
    list(object, "attributes").iter().filter_map(attribute).collect()
}

/// The columns of a view with their types.
pub(super) fn columns(object: &Object) -> Vec<Value> {
    list(object, "columns")
}

pub(super) fn collation(object: &Object) -> String {
    match object.get("collation") {
        "" => String::new(),
        collation => format!(" COLLATE {collation}"),
    }
}

/// A sequence's numbers, as far as they are not what PostgreSQL takes by itself.
fn numbers(object: &Object) -> String {
    let most = match object.get("type") {
        "integer" => "2147483647",
        "smallint" => "32767",
        _ => "9223372036854775807",
    };
    let usual = [("type", "AS", "bigint"), ("increment", "INCREMENT BY", "1"), ("min", "MINVALUE", "1")];
    let usual = usual.into_iter().chain([
        ("max", "MAXVALUE", most),
        ("start", "START WITH", "1"),
        ("cache", "CACHE", "1"),
    ]);
    let mut sql = String::new();
    for (property, words, usual) in usual {
        let value = object.get(property);
        // Where it counts down, other numbers are the usual ones.
        if value != usual || (property != "type" && object.get("increment").starts_with('-')) {
            sql.push_str(&format!(" {words} {value}"));
        }
    }
    sql + if object.is("cycle") { " CYCLE" } else { "" }
}

/// All of a sequence's numbers.
pub(super) fn all_numbers(object: &Object) -> String {
    let cycle = if object.is("cycle") { "CYCLE" } else { "NO CYCLE" };
    let [kind, increment, min, max, start, cache] =
        ["type", "increment", "min", "max", "start", "cache"].map(|property| object.get(property));
    format!(
        "AS {kind} INCREMENT BY {increment} MINVALUE {min} MAXVALUE {max} START WITH {start} CACHE {cache} {cycle}"
    )
}

fn table(object: &Object, inside: &[String]) -> Vec<String> {
    let whole = object.id.qualified();
    let unlogged = if object.is("unlogged") { "UNLOGGED " } else { "" };
    let mut sql = format!("CREATE {unlogged}TABLE {whole}");
    let partition = object.get("partition_of");
    if partition.is_empty() && object.get("of_type").is_empty() {
        let body = inside.iter().map(|line| format!("\n  {line}")).collect::<Vec<_>>().join(",");
        sql.push_str(&if body.is_empty() { " ()".to_owned() } else { format!(" ({body}\n)") });
    } else if partition.is_empty() {
        sql.push_str(&format!(" OF {}", object.get("of_type")));
    } else {
        sql.push_str(&format!(" PARTITION OF {partition} {}", object.get("bound")));
    }
    for (property, before, after) in [
        ("inherits", " INHERITS (", ")"),
        ("partition_by", " PARTITION BY ", ""),
        ("options", " WITH (", ")"),
    ] {
        let value = object.get(property);
        if !value.is_empty() {
            sql.push_str(&format!("{before}{value}{after}"));
        }
    }
    let mut made = vec![sql];
    if object.is("row_security") {
        made.push(format!("ALTER TABLE {whole} ENABLE ROW LEVEL SECURITY"));
    }
    if object.is("force_row_security") {
        made.push(format!("ALTER TABLE {whole} FORCE ROW LEVEL SECURITY"));
    }
    if !object.get("replica_identity").is_empty() {
        made.push(format!("ALTER TABLE {whole} REPLICA IDENTITY {}", object.get("replica_identity")));
    }
    made
}

/// A column as `CREATE TABLE` has it, without its default.
pub(super) fn column(object: &Object) -> String {
    let mut sql = format!("{} {}{}", name(&object.id.part), object.get("type"), collation(object));
    if object.properties.contains_key("generated") {
        let kept = if object.is("virtual") { "VIRTUAL" } else { "STORED" };
        sql.push_str(&format!(" GENERATED ALWAYS AS ({}) {kept}", object.get("generated")));
    }
    if !object.get("identity").is_empty() {
        sql.push_str(&format!(" GENERATED {}", identity(object)));
    } else if object.is("not_null") {
        sql.push_str(" NOT NULL");
    }
    sql
}

/// `ALWAYS AS IDENTITY`, with what its sequence has of its own.
pub(super) fn identity(object: &Object) -> String {
    let how = if object.get("identity") == "a" { "ALWAYS" } else { "BY DEFAULT" };
    let most = match object.get("type") {
        "integer" => "2147483647",
        "smallint" => "32767",
        _ => "9223372036854775807",
    };
    let usual = format!("START WITH 1 INCREMENT BY 1 MINVALUE 1 MAXVALUE {most} CACHE 1 NO CYCLE");
    let (numbers, called) = (object.get("sequence"), object.get("sequence_name"));
    let mut own = Vec::new();
    if !called.is_empty() {
        own.push(format!("SEQUENCE NAME {called}"));
    }
    if numbers != usual && !numbers.is_empty() {
        own.push(numbers.to_owned());
    }
    if own.is_empty() {
        format!("{how} AS IDENTITY")
    } else {
        format!("{how} AS IDENTITY ({})", own.join(" "))
    }
}

/// What of a column cannot be said where it is made.
pub(super) fn column_settings(object: &Object) -> Vec<String> {
    let alter = format!("ALTER TABLE {} ALTER COLUMN {}", object.id.qualified(), name(&object.id.part));
    let setting = |property: &str, words: &str, after: &str| {
        let value = object.get(property);
        (!value.is_empty()).then(|| format!("{alter} {words}{value}{after}"))
    };
    [
        setting("storage", "SET STORAGE ", ""),
        setting("compression", "SET COMPRESSION ", ""),
        setting("statistics", "SET STATISTICS ", ""),
        setting("options", "SET (", ")"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The rows of the table are known by this index to who follows its changes.
pub(super) fn identifies(object: &Object) -> Option<String> {
    let (table, index) = match object.id.kind {
        Kind::Index => (object.get("table").to_owned(), &object.id.name),
        _ => (object.id.qualified(), &object.id.part),
    };
    object
        .is("identifies")
        .then(|| format!("ALTER TABLE {table} REPLICA IDENTITY USING INDEX {}", name(index)))
}

/// `CREATE VIEW`, or whatever `verb` says.
pub(super) fn view(object: &Object, verb: &str) -> String {
    let options = match object.get("options") {
        "" => String::new(),
        options => format!(" WITH ({options})"),
    };
    let empty = if object.is("unpopulated") { "\nWITH NO DATA" } else { "" };
    let definition = object.get("definition").trim_end().trim_end_matches(';');
    format!("{verb} {}{options} AS\n{definition}{empty}", called(object))
}

fn policy(object: &Object) -> String {
    let restrictive = if object.is("restrictive") { " AS RESTRICTIVE" } else { "" };
    let (called, command) = (called(object), object.get("command"));
    format!("CREATE {called}{restrictive} FOR {command}{}", policy_terms(object))
}

/// What `ALTER POLICY` can change.
pub(super) fn policy_terms(object: &Object) -> String {
    let mut sql = format!(" TO {}", object.get("roles"));
    for (property, words) in [("using", "USING"), ("check", "WITH CHECK")] {
        if object.properties.contains_key(property) {
            sql.push_str(&format!(" {words} ({})", object.get(property)));
        }
    }
    sql
}

/// What a publication publishes.
pub(super) fn publishes(object: &Object) -> String {
    format!(
        "publish = '{}', publish_via_partition_root = {}",
        object.get("operations"),
        object.is("via_root")
    )
}

/// Whether a trigger or rule fires, and when.
pub(super) fn enabled(object: &Object) -> String {
    let how = match object.get("enabled") {
        "D" => "DISABLE",
        "R" => "ENABLE REPLICA",
        "A" => "ENABLE ALWAYS",
        _ => "ENABLE",
    };
    let (whole, part) = (object.id.qualified(), name(&object.id.part));
    match object.id.kind {
        Kind::Rule => format!("ALTER TABLE {whole} {how} RULE {part}"),
        Kind::Trigger => format!("ALTER TABLE {whole} {how} TRIGGER {part}"),
        _ => format!("ALTER EVENT TRIGGER {whole} {how}"),
    }
}
