//! Named contexts for engines before 23.0, whose Dockerfile frontend has none: an image under a name is the
//! same as a first stage of that name, so one line is put before the file's own first `FROM`. A directory is
//! made an image first, which goes again when the build is over.

use std::collections::HashMap;

use super::dockerfile::instructions;
use super::failure::file_of;
use super::filesync::Offer;
use super::session::random_id;
use super::spec::{Build, Context, Dockerfile, NamedContext};
use super::{BuildError, Lent};
use crate::base::Events;

/// A Dockerfile into which lines were put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inserted {
    /// What the engine gets.
    pub(super) text: String,
    /// The line, from 1, that the first of them got.
    pub(super) at: u32,
    /// How many.
    pub(super) count: u32,
}

impl Inserted {
    /// The user's line for a line that the engine names.
    pub(super) fn original(&self, line: u32) -> u32 {
        if line >= self.at + self.count { line - self.count } else { line.min(self.at) }
    }
}

/// The label of images that stand for a directory, should one ever be left behind.
const LABEL: &str = "dev.devenv.context";

/// Images made of directories; forgotten by the engine when dropped.
pub(super) struct Stand {
    docker: bollard::Docker,
    names: Vec<String>,
}

impl Stand {
    /// The same build with an image in place of each directory.
    pub(super) async fn build(
        docker: &bollard::Docker,
        lent: &Lent,
        build: &Build,
        events: &Events,
    ) -> Result<(Build, Self), BuildError> {
        let mut changed = build.clone();
        let mut stand = Self { docker: docker.clone(), names: Vec::new() };
        for (name, context) in &mut changed.contexts {
            if let NamedContext::Directory(place) = context {
                let image = format!("devenv.local/context:{}", random_id());
                let directory = Build {
                    tags: vec![image.clone()],
                    context: Context::Directory(place.clone()),
                    dockerfile: Dockerfile::Inline("FROM scratch\nCOPY . /\n".to_owned()),
                    labels: vec![(LABEL.to_owned(), name.clone())],
                    ..Build::default()
                };
                stand.names.push(image.clone());
                Box::pin(super::build(docker, lent, &directory, events)).await?;
                *context = NamedContext::Image(image);
            }
        }
        Ok((changed, stand))
    }

    /// Removes the images and waits until they are gone.
    pub(super) async fn remove(mut self) {
        let names = std::mem::take(&mut self.names);
        remove(&self.docker, names).await;
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let names = std::mem::take(&mut self.names);
        if let (false, Ok(runtime)) = (names.is_empty(), tokio::runtime::Handle::try_current()) {
            let docker = self.docker.clone();
            runtime.spawn(async move { remove(&docker, names).await });
        }
    }
}

async fn remove(docker: &bollard::Docker, names: Vec<String>) {
    for name in names {
        // One that was never made is no trouble.
        let options = None::<bollard::query_parameters::RemoveImageOptions>;
        if let Err(error) = docker.remove_image(&name, options, None).await {
            tracing::debug!(%error, name, "image of a context was not removed");
        }
    }
}

/// Offers the Dockerfile with a stage more for each named context.
pub(super) fn into_dockerfile(
    build: &Build,
    offers: &mut HashMap<String, Offer>,
) -> Result<Inserted, BuildError> {
    let image = build.subject();
    let place = file_of(build);
    let unreadable = |source| BuildError::Unreadable { image: image.to_owned(), path: place.clone(), source };
    let mut files = Vec::new();
    let text = match &build.dockerfile {
        Dockerfile::Inline(text) => text.clone(),
        Dockerfile::Path(_) => {
            let mut ignore = place.as_os_str().to_owned();
            ignore.push(".dockerignore");
            if let Ok(content) = std::fs::read(ignore) {
                files.push(("Dockerfile.dockerignore".to_owned(), content));
            }
            std::fs::read_to_string(&place).map_err(unreadable)?
        }
    };
    let mut stages = Vec::new();
    for (name, context) in &build.contexts {
        match context {
            NamedContext::Image(base) => stages.push(format!("FROM {base} AS {name}")),
            NamedContext::Directory(_) | NamedContext::Remote(_) => {
                let what = format!("the additional context {name} from another machine");
                return Err(BuildError::Unsupported { image: image.to_owned(), what });
            }
        }
    }
    let inserted = insert(&text, &stages);
    files.insert(0, ("Dockerfile".to_owned(), inserted.text.clone().into_bytes()));
    offers.insert("dockerfile".to_owned(), Offer::Files(files));
    Ok(inserted)
}

fn insert(text: &str, stages: &[String]) -> Inserted {
    let from = instructions(text).into_iter().find(|one| one.word == "FROM");
    let at = from.and_then(|one| usize::try_from(one.line - 1).ok()).unwrap_or(0);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.splice(at..at, stages.iter().map(String::as_str));
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Inserted { text: lines.join("\n") + "\n", at: number(at + 1), count: number(stages.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_go_before_the_first_from() {
        let text = "# a\nARG X=1 \\\n# c\n FROM\n\nfrom ${X} AS y\nRUN z\n";
        let inserted = insert(text, &["FROM b AS c".into(), "FROM d AS e".into()]);
        let wanted = "# a\nARG X=1 \\\n# c\n FROM\n\nFROM b AS c\nFROM d AS e\nfrom ${X} AS y\nRUN z\n";
        assert_eq!(inserted, Inserted { text: wanted.into(), at: 6, count: 2 });
        assert_eq!([inserted.original(4), inserted.original(8), inserted.original(9)], [4, 6, 7]);
    }
}
