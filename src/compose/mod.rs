//! Compose files: text → tree → interpolate → merge → normalize → [`Project`] → validate, as the reference
//! implementation (Docker Compose 2.40.3) answers. Pure: files come through a handed-in reader.

pub mod hash;
pub mod project;
mod units;

pub use project::Project;

use crate::base::{Failure, Kind};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
/// tmp
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct Request {
    pub working_dir: PathBuf,
    pub files: Vec<String>,
    pub project_name: Option<String>,
    pub project_directory: Option<PathBuf>,
    pub profiles: Vec<String>,
    pub env_files: Vec<PathBuf>,
    pub environment: BTreeMap<String, String>,
    pub targets: Vec<String>,
}
/// tmp
pub trait Files {
    /// x
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}
/// tmp
#[allow(missing_docs)]
#[derive(Debug, Default)]
pub struct Loaded {
    pub project: Project,
    pub warnings: Vec<Failure>,
    pub files: Vec<PathBuf>,
    pub env_files: Vec<PathBuf>,
}
/// tmp
pub fn load(r: &Request, files: &dyn Files) -> Result<Loaded, Failure> {
    let path = r.working_dir.join(r.files.first().map_or("compose.yaml", String::as_str));
    let text = files
        .read(&path)
        .map_err(|e| Failure::new(Kind::Files, format!("no {}", path.display())).source(e))?;
    let v: serde_json::Value =
        serde_yaml::from_slice(&text).map_err(|e| Failure::new(Kind::Files, e.to_string()))?;
    let mut project: Project =
        serde_json::from_value(v).map_err(|e| Failure::new(Kind::Files, e.to_string()))?;
    project.working_dir = r.working_dir.clone();
    if let Some(n) = &r.project_name {
        project.name = n.clone();
    }
    Ok(Loaded { project, files: vec![path], ..Loaded::default() })
}
