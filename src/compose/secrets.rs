//! Variables that each environment has a value of its own for, where nobody says what they are: `x-devenv.secrets`.
//!
//! ```yaml
//! x-devenv:
//!   secrets: { JWT_SECRET: "", SECRET_KEY: sb_secret_ }   # the variable, and how its value begins
//! services:
//!   api:
//!     environment: { JWT_SECRET: "${JWT_SECRET:-the default environment's}" }
//! ```

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use super::problem::Problem;
use super::tree::{Node, Value};
use crate::base::Failure;

/// Makes the value of a variable, always the same one for the same environment.
type Make = dyn Fn(&str) -> Result<String, Failure> + Send + Sync;

/// What an environment other than the default one has of its own; it knows its values when it is asked.
#[derive(Clone)]
pub struct Own(Arc<Make>);

impl Own {
    /// With a function that makes the value of a variable.
    pub fn new(make: impl Fn(&str) -> Result<String, Failure> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// Adds what `file`, the tree of a compose file, leaves to the environment and nobody set.
    pub(super) fn add(&self, file: &Node, variables: &mut BTreeMap<String, String>) -> Result<(), Failure> {
        // What is wrong with it is told when the file is read for good.
        for (name, begins) in read(file).unwrap_or_default() {
            if let Entry::Vacant(unset) = variables.entry(name) {
                let value = format!("{begins}{}", (self.0)(unset.key())?);
                unset.insert(value);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

const PATH: &str = "x-devenv.secrets";

/// The variables that a file names, and how their values begin.
pub(super) fn read(file: &Node) -> Result<Vec<(String, String)>, Vec<Problem>> {
    let Some(secrets) = file.get("x-devenv").and_then(|own| own.get("secrets")) else {
        return Ok(Vec::new());
    };
    let Value::Map(secrets) = &secrets.value else {
        let message = format!("`{PATH}` is a mapping: variables, and how their values begin");
        return Err(vec![Problem::new(message, secrets.mark)]);
    };
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for (name, begins) in secrets.iter() {
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            let message = format!("`{}` in `{PATH}` is no name of a variable", name.escape_debug());
            problems.push(Problem::new(message, secrets.key_mark(name)));
        }
        match &begins.value {
            Value::Text(begins) => found.push((name.to_owned(), begins.clone())),
            Value::Null => found.push((name.to_owned(), String::new())),
            _ => {
                let message = format!("`{PATH}.{name}` is how the value begins, as text");
                problems.push(Problem::new(message, begins.mark));
            }
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}
