//! Makes a typed error of what an engine says when a build fails: which image is missing, which step broke,
//! which line of the Dockerfile it stands in.

use std::path::PathBuf;

use bollard_buildkit_proto::google::rpc;
use bollard_buildkit_proto::pb;
use prost::Message;

use super::contexts::Inserted;
use super::dockerfile::{find_step, instructions};
use super::error::{BuildError, Line};
use super::progress::Progress;
use super::spec::{Build, Context, Dockerfile};
use crate::engine::image_name::ImageName;
use crate::engine::pull::Missing;

pub(super) fn explain(
    build: &Build,
    inserted: Option<&Inserted>,
    status: &tonic::Status,
    progress: &Progress,
) -> BuildError {
    let image = build.subject().to_owned();
    let message = status.message();
    let reason = plain(message);
    let line = line_of(build, inserted, status, message);
    if matches!(status.code(), tonic::Code::Cancelled | tonic::Code::Unavailable)
        && progress.broken().is_none()
    {
        return BuildError::BrokenOff { image, reason };
    }
    if let Some(message) = after(message, "dockerfile parse error")
        .or_else(|| after(message, "Dockerfile parse error"))
        .or_else(|| after(message, "the Dockerfile cannot be empty").map(|_| "the file is empty"))
    {
        let message = message.trim_start_matches([':', ' ']);
        // "line 3: unknown instruction: FOO" or "on line 3: …": the number is told by the line.
        let message = message.strip_prefix("on ").unwrap_or(message);
        let told = match message.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
            Some((_, rest)) if line.is_some() => rest,
            _ => message,
        };
        return BuildError::Dockerfile { image, line, message: told.to_owned() };
    }
    if message.contains("failed to read dockerfile") || message.contains("open Dockerfile: no such file") {
        return BuildError::NoDockerfile { image, path: file_of(build) };
    }
    if let Some((base, why)) = missing_base(message, progress) {
        let line = line.or_else(|| line_of_base(build, &base));
        return BuildError::Base { image, base, why, line, reason };
    }
    if let Some(broken) = progress.broken() {
        if !broken.name.starts_with("[internal]") {
            let exit_code = exit_code(&broken.error).or_else(|| exit_code(message));
            let reason = plain(&broken.error);
            let line = line.or_else(|| line_of_step(build, inserted, &broken.name));
            return BuildError::Step { image, step: broken.name, line, exit_code, reason, log: broken.log };
        }
        return BuildError::Refused { image, reason: plain(&broken.error) };
    }
    if line.is_some()
        || message.contains("target stage")
        || message.contains("failed to create LLB definition")
    {
        return BuildError::Dockerfile { image, line, message: reason };
    }
    BuildError::Refused { image, reason }
}

fn after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    text.find(words).map(|at| &text[at + words.len()..])
}

/// Without the layers of wrapping that say nothing.
fn plain(message: &str) -> String {
    let mut rest = message;
    loop {
        let before = rest;
        for wrapping in [
            "failed to solve with frontend dockerfile.v0: ",
            "failed to solve: ",
            "failed to solve with frontend gateway.v0: ",
            "failed to build LLB: ",
            "failed to create LLB definition: ",
            "rpc error: code = Unknown desc = ",
            "rpc error: code = InvalidArgument desc = ",
            "rpc error: code = NotFound desc = ",
        ] {
            rest = rest.strip_prefix(wrapping).unwrap_or(rest);
        }
        if rest == before {
            return rest.to_owned();
        }
    }
}

fn exit_code(text: &str) -> Option<i64> {
    let digits = after(text, "exit code: ")?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

/// The image whose description the engine could not get.
fn missing_base(message: &str, progress: &Progress) -> Option<(String, Missing)> {
    let why = Missing::of(message)?;
    let metadata =
        |name: &str| name.split_once("load metadata for ").map(|(_, image)| image.trim().to_owned());
    let broken = progress.broken();
    let named = match &broken {
        Some(broken) => metadata(&broken.name).or_else(|| {
            broken.error.contains("failed to resolve source").then(|| from_of(&broken.name)).flatten()
        })?,
        // Some engines tell of no step for it, only in the sentence.
        None => progress
            .unfinished()
            .filter_map(metadata)
            .find(|image| message.contains(image.as_str()))
            .or_else(|| plain(message).split(": ").next().map(str::to_owned))?,
    };
    let base = named.parse::<ImageName>().ok()?.familiar();
    Some((base, why))
}

fn from_of(step: &str) -> Option<String> {
    after(step, "FROM ").and_then(|rest| rest.split_whitespace().next()).map(str::to_owned)
}

/// What `BuildKit` attaches to an error about a place in the Dockerfile.
#[derive(Clone, PartialEq, Message)]
struct Source {
    #[prost(message, optional, tag = "1")]
    info: Option<pb::SourceInfo>,
    #[prost(message, repeated, tag = "2")]
    ranges: Vec<pb::Range>,
}

fn line_of(
    build: &Build,
    inserted: Option<&Inserted>,
    status: &tonic::Status,
    message: &str,
) -> Option<Box<Line>> {
    let (number, content) = attached(status.details()).or_else(|| {
        // "dockerfile parse error line 3: …", and newer "… on line 3: …".
        let digits = after(message, "parse error").and_then(|rest| after(rest, "line "))?;
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        Some((digits[..end].parse().ok()?, String::new()))
    })?;
    let number = inserted.map_or(number, |inserted| inserted.original(number));
    let content = text_of(build).unwrap_or(content);
    line_in(build, &content, number)
        .or_else(|| Some(Box::new(Line { file: file_of(build), number, text: String::new() })))
}

/// The line and the file's text out of the details of a status.
fn attached(details: &[u8]) -> Option<(u32, String)> {
    let status = rpc::Status::decode(details).ok()?;
    let mut last = None;
    for detail in status.details {
        if !detail.type_url.contains("errdefs.Source") {
            continue;
        }
        let found = if detail.value.first() == Some(&b'{') {
            from_json(&detail.value)
        } else {
            Source::decode(detail.value.as_slice()).ok().and_then(|source| {
                let line = source.ranges.first()?.start?.line;
                let data = source.info.map(|info| info.data).unwrap_or_default();
                Some((u32::try_from(line).ok()?, String::from_utf8_lossy(&data).into_owned()))
            })
        };
        last = found.or(last);
    }
    last
}

/// Engines up to 20.10 attach JSON.
fn from_json(value: &[u8]) -> Option<(u32, String)> {
    use base64::Engine;
    let source: serde_json::Value = serde_json::from_slice(value).ok()?;
    let line = source.pointer("/ranges/0/start/line")?.as_u64()?;
    let data = source.pointer("/info/data").and_then(|data| data.as_str()).unwrap_or_default();
    let data = base64::engine::general_purpose::STANDARD.decode(data).unwrap_or_default();
    Some((u32::try_from(line).ok()?, String::from_utf8_lossy(&data).into_owned()))
}

/// The name of the Dockerfile in errors: where it is, or plainly `Dockerfile` for inline text.
pub(super) fn file_of(build: &Build) -> PathBuf {
    match (&build.dockerfile, &build.context) {
        (Dockerfile::Path(path), Context::Directory(root)) => root.join(path),
        (Dockerfile::Path(path), Context::Remote(_)) => path.clone(),
        (Dockerfile::Inline(_), _) => "Dockerfile".into(),
    }
}

/// The Dockerfile itself, where this machine has it.
pub(super) fn text_of(build: &Build) -> Option<String> {
    match (&build.dockerfile, &build.context) {
        (Dockerfile::Inline(text), _) => Some(text.clone()),
        (Dockerfile::Path(path), Context::Directory(root)) => std::fs::read_to_string(root.join(path)).ok(),
        (Dockerfile::Path(_), Context::Remote(_)) => None,
    }
}

/// The line of a step that the engine only names.
fn line_of_step(build: &Build, inserted: Option<&Inserted>, step: &str) -> Option<Box<Line>> {
    let text = text_of(build)?;
    let all = instructions(inserted.map_or(&text, |inserted| &inserted.text));
    let found = find_step(&all, step)?;
    line_in(build, &text, inserted.map_or(found.line, |inserted| inserted.original(found.line)))
}

/// The `FROM` that asks for an image.
pub(super) fn line_of_base(build: &Build, base: &str) -> Option<Box<Line>> {
    let text = text_of(build)?;
    let base = base.parse::<ImageName>().ok()?.tagged();
    let same = |name: &str| name.parse::<ImageName>().is_ok_and(|name| name.tagged() == base);
    let all = instructions(&text);
    let found = all.iter().find(|one| one.base().is_some_and(same))?;
    line_in(build, &text, found.line)
}

pub(super) fn line_in(build: &Build, text: &str, number: u32) -> Option<Box<Line>> {
    let text = text.lines().nth(usize::try_from(number.checked_sub(1)?).ok()?)?;
    Some(Box::new(Line { file: file_of(build), number, text: text.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_is_taken_off() {
        assert_eq!(
            plain(
                "failed to solve with frontend dockerfile.v0: failed to build LLB: executor failed running [x]: exit code: 1"
            ),
            "executor failed running [x]: exit code: 1"
        );
        assert_eq!(exit_code("did not complete successfully: exit code: 17"), Some(17));
        assert_eq!(exit_code("killed"), None);
    }
}
