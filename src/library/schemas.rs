//! JSON Schemas: of what stands under `x-devenv`, and of a compose file that holds it.

use serde_json::{Value, json};

/// `x-devenv`, at the top of a compose file and, as its definition `service`, in a service.
pub const X_DEVENV: &str = include_str!("schemas/x-devenv.schema.json");

/// A masking policy.
pub const MASKING: &str = include_str!("schemas/masking.schema.json");

/// The Compose Specification's own schema, as it came with compose-go 2.9.1 (Apache-2.0).
pub const COMPOSE_SPECIFICATION: &str = include_str!("schemas/compose-spec.json");

/// What [`compose`] says about its origin; a file with it is ours to write anew.
pub const MADE_BY: &str = "Written by devenv init --vscode; devenv schema compose prints it.";

/// The schema of a compose file with `x-devenv`, in one piece: an editor needs no network for it.
#[must_use]
pub fn compose() -> Value {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let mut schema = parse(COMPOSE_SPECIFICATION);
    let mut own = parse(X_DEVENV);
    // Two editors' readers take the bare word only with the final `#`.
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["$comment"] = json!(MADE_BY);
    schema["title"] = json!("Compose file with x-devenv");
    if let Some(schema) = schema.as_object_mut() {
        schema.shift_remove("$id");
    }
    let mut definitions = own["definitions"].take();
    if let Some(own) = own.as_object_mut() {
        for key in ["$schema", "$id", "$comment", "definitions"] {
            own.shift_remove(key);
        }
    }
    let part = definitions["service"].take();
    schema["properties"]["x-devenv"] = within(own);
    schema["definitions"]["service"]["properties"]["x-devenv"] = within(part);
    if let Some(definitions) = definitions.as_object_mut() {
        definitions.shift_remove("service");
        // A service fragment is here what the specification calls a service.
        definitions.shift_remove("fragment");
        for (name, definition) in definitions {
            schema["definitions"][format!("x-devenv-{name}")] = within(definition.take());
        }
    }
    schema
}

/// The value with references into its own file turned to where they are in the whole schema.
fn within(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            for (key, value) in members.iter_mut() {
                let name =
                    value.as_str().filter(|_| key == "$ref").and_then(|r| r.strip_prefix("#/definitions/"));
                *value = match name {
                    Some("fragment") => json!("#/definitions/service"),
                    Some(name) => json!(format!("#/definitions/x-devenv-{name}")),
                    None => within(value.take()),
                };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = within(item.take())),
        _ => {}
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(schema: &Value, yaml: &str) -> Vec<String> {
        let document: Value = serde_yaml::from_str(yaml).unwrap();
        let validator = jsonschema::validator_for(schema).unwrap();
        validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    #[test]
    fn what_we_ship_is_valid() {
        let schema = compose();
        for file in super::super::FILES.iter().filter(|file| file.path.ends_with("/compose.yaml")) {
            // `<<: [*a, *b]` is merged by whoever reads a compose file.
            let mut value: serde_yaml::Value = serde_yaml::from_slice(file.bytes).unwrap();
            value.apply_merge().unwrap();
            let text = serde_yaml::to_string(&value).unwrap();
            assert_eq!(problems(&schema, &text), [""; 0], "{}", file.path);
        }
    }

    #[test]
    fn a_wrong_key_is_refused_wherever_it_stands() {
        let schema = compose();
        for (wrong, told) in [
            ("x-devenv: { supabase: { databse: { service: db } } }", "databse"),
            ("x-devenv: { supabase: { database: { service: db, prot: 1 } } }", "prot"),
            ("x-devenv: { images: latest }", "latest"),
            ("x-devenv: { supabase: { gateway: { service: api } } }", "port"),
            ("services: { a: { image: b, x-devenv: { offical: {} } } }", "offical"),
            ("services: { a: { image: b, x-devenv: { official: { imge: c } } } }", "imge"),
            ("servces: {}", "servces"),
        ] {
            let problems = problems(&schema, wrong);
            assert!(problems.iter().any(|problem| problem.contains(told)), "{wrong}: {problems:?}");
        }
        let ports =
            "x-devenv: { images: official, supabase: { studio: { service: api, port: \"${P:-1}\" } } }";
        assert_eq!(problems(&schema, ports), [""; 0]);
    }

    #[test]
    fn a_policy_is_valid_where_it_is_understood() {
        let schema: Value = serde_json::from_str(MASKING).unwrap();
        let whole = "version: 1\ntables:\n  a.b:\n    c: email\n    d: null\n    e: {mask: date, days: 3, per: c}\n    \
            f: {mask: json, paths: {$.x: phone}, rest: keep}\n    g: {mask: constant, value: x}\n  a.c: drop\n";
        assert_eq!(problems(&schema, whole), [""; 0]);
        for wrong in [
            "tables: {}",
            "version: 1\ntables: {a.b: {c: emial}}",
            "version: 1\ntables: {a.b: {c: {mask: date, day: 3}}}",
        ] {
            assert!(!problems(&schema, wrong).is_empty(), "{wrong}");
        }
    }

    #[test]
    fn the_small_schema_stands_alone() {
        let schema: Value = serde_json::from_str(X_DEVENV).unwrap();
        assert_eq!(problems(&schema, "supabase: { mail: { service: mail, port: 1080 } }"), [""; 0]);
        assert_eq!(problems(&schema, "supabase: { mial: {} }").len(), 1);
    }

    #[test]
    fn the_wrapper_of_the_checkout_says_the_same() {
        let wrapper: Value = serde_json::from_str(include_str!("schemas/compose.schema.json")).unwrap();
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let mut specification = parse(COMPOSE_SPECIFICATION);
        specification["$schema"] = json!("http://json-schema.org/draft-07/schema#");
        specification["$id"] = json!("https://devenv.local/compose-spec.json");
        let registry = jsonschema::Registry::new()
            .add("https://devenv.local/compose-spec.json", specification)
            .and_then(|registry| registry.add("https://devenv.local/x-devenv.schema.json", parse(X_DEVENV)))
            .and_then(jsonschema::RegistryBuilder::prepare)
            .unwrap();
        let wrapper = jsonschema::options().with_registry(&registry).build(&wrapper).unwrap();
        let whole = jsonschema::validator_for(&compose()).unwrap();
        for text in [
            "services: { a: { image: b, x-devenv: { official: { image: c } } } }",
            "services: { a: { image: b, x-devenv: { offical: { image: c } } } }",
            "x-devenv: { supabase: { mail: { service: mail, port: 1080 } } }",
            "x-devenv: { supabase: { mial: { service: mail, port: 1080 } } }",
            "servces: {}",
        ] {
            let document: Value = serde_yaml::from_str(text).unwrap();
            assert_eq!(wrapper.is_valid(&document), whole.is_valid(&document), "{text}");
        }
    }
}
