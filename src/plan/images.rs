//! Which images have to be built or pulled first.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::base::{Failure, Kind};
use crate::compose::project::{Project, Service};
use crate::plan::observed::Image;
use crate::plan::{Act, Cause, Plan, names};

/// What the command line says about images.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// `--build` (true), `--no-build` (false), or neither.
    pub build: Option<bool>,
    /// `--pull POLICY`: takes the place of every service's own.
    pub pull: Option<String>,
    /// The moment that `daily` and its like are measured from.
    pub now: SystemTime,
}

/// Adds the steps that bring the images of `services` here; says which step each service waits for.
pub fn add_steps(
    plan: &mut Plan,
    project: &Project,
    services: &[String],
    local: &BTreeMap<String, Image>,
    wishes: &Wishes,
) -> Result<BTreeMap<String, usize>, Failure> {
    let mut steps = BTreeMap::new();
    let mut by_image: BTreeMap<String, usize> = BTreeMap::new();
    let mut missing = Vec::new();
    for name in services {
        let Some(service) = project.services.get(name).filter(|service| service.provider.is_none()) else {
            continue;
        };
        let image = names::image(&project.name, name, service);
        let step = match need(service, local.get(&image), wishes) {
            Need::Nothing => continue,
            Need::Absent(reason) => {
                missing.push(
                    Failure::new(
                        Kind::Unreachable,
                        format!("image `{image}` of service `{name}` is not here, and {reason}"),
                    )
                    .hint(format!("get it with `devenv pull {name}`, or give the service a `build`")),
                );
                continue;
            }
            Need::Build(cause) => {
                let contexts = service.build.iter().flat_map(|build| build.additional_contexts.values());
                let after = contexts
                    .filter_map(|context| context.strip_prefix("service:"))
                    .filter_map(|other| steps.get(other).copied());
                let after = after.collect();
                // Two services may build one image, each in its own way: both builds are kept, in order.
                plan.add(Act::Build { image: image.clone(), service: name.clone() }, cause, after)
            }
            Need::Pull(cause) => *by_image.entry(image.clone()).or_insert_with(|| {
                plan.add(Act::Pull { image: image.clone(), service: name.clone() }, cause, Vec::new())
            }),
        };
        steps.insert(name.clone(), step);
    }
    if missing.is_empty() { Ok(steps) } else { Err(Failure::all(missing)) }
}

enum Need {
    Nothing,
    Build(Cause),
    Pull(Cause),
    Absent(&'static str),
}

/// The pull policies of the Compose Specification (`services.*.pull_policy`).
fn need(service: &Service, local: Option<&Image>, wishes: &Wishes) -> Need {
    let policy = wishes.pull.as_deref().unwrap_or(&service.pull_policy);
    if service.build.is_some() {
        let wanted = wishes.build == Some(true) || policy == "build";
        return match (local, wishes.build) {
            (None, Some(false)) => Need::Absent("--no-build forbids to build it"),
            (_, Some(false)) => Need::Nothing,
            (None, _) if policy == "never" => Need::Absent("its pull policy is never"),
            (None, _) => Need::Build(Cause::Missing),
            (Some(_), _) if wanted => Need::Build(Cause::BuildWanted),
            (Some(_), _) => Need::Nothing,
        };
    }
    let stale = |age: Duration| {
        let tagged = local.and_then(|image| image.tagged);
        tagged.is_none_or(|tagged| wishes.now.duration_since(tagged).is_ok_and(|since| since > age))
    };
    let because = || Need::Pull(Cause::PullPolicy(policy.to_owned()));
    match (local, policy) {
        (_, "always") => because(),
        (None, "never") => Need::Absent("its pull policy is never"),
        (None, _) => Need::Pull(Cause::Missing),
        (Some(_), _) => match refresh_after(policy) {
            Some(age) if stale(age) => because(),
            _ => Need::Nothing,
        },
    }
}

/// How old an image may be under `daily`, `weekly` and `every_<duration>`.
fn refresh_after(policy: &str) -> Option<Duration> {
    const DAY: u64 = 24 * 60 * 60;
    match policy {
        "daily" => Some(Duration::from_secs(DAY)),
        "weekly" => Some(Duration::from_secs(7 * DAY)),
        _ => span(policy.strip_prefix("every_")?),
    }
}

/// A span such as `36h` or `1w2d`: the units of the specification are w, d, h, m and s.
fn span(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut number = String::new();
    for c in text.chars() {
        let unit = match c {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            'w' => 7 * 24 * 60 * 60,
            'd' => 24 * 60 * 60,
            'h' => 60 * 60,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    (number.is_empty() && seconds > 0).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::project::Build;

    fn plan_for(service: Service, local: Option<Image>, wishes: &Wishes) -> Result<String, Failure> {
        let mut project = Project { name: "shop".into(), ..Project::default() };
        let image = names::image("shop", "web", &service);
        project.services.insert("web".into(), service);
        let local = local.into_iter().map(|found| (image.clone(), found)).collect();
        let mut plan = Plan::default();
        add_steps(&mut plan, &project, &["web".into()], &local, wishes)?;
        Ok(plan.to_string())
    }

    fn wishes() -> Wishes {
        Wishes { build: None, pull: None, now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) }
    }

    fn named(image: &str, policy: &str) -> Service {
        Service { image: image.into(), pull_policy: policy.into(), ..Service::default() }
    }

    #[test]
    fn a_missing_image_is_pulled_or_built() {
        assert_eq!(
            plan_for(named("a:1", ""), None, &wishes()).unwrap(),
            "  1  pull image a:1  # not there\n"
        );
        let built = Service { build: Some(Build::default()), ..Service::default() };
        assert_eq!(plan_for(built, None, &wishes()).unwrap(), "  1  build image shop-web  # not there\n");
        let here = Some(Image::default());
        assert_eq!(plan_for(named("a:1", "missing"), here, &wishes()).unwrap(), "");
    }

    #[test]
    fn an_image_that_may_not_be_fetched_is_a_failure() {
        let failure = plan_for(named("a:1", "never"), None, &wishes()).unwrap_err();
        assert_eq!(failure.kind, Kind::Unreachable);
        assert!(failure.message.contains("`a:1` of service `web`"), "{}", failure.message);
    }

    #[test]
    fn an_old_image_is_refreshed() {
        let old = || Some(Image { tagged: Some(SystemTime::UNIX_EPOCH), ..Image::default() });
        assert!(plan_for(named("a:1", "daily"), old(), &wishes()).unwrap().contains("pull policy daily"));
        assert_eq!(plan_for(named("a:1", "every_52w"), old(), &wishes()).unwrap(), "");
    }
}
