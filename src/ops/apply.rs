//! Carries out a plan: every step as soon as those before it have ended, as many at once as there are.
//!
//! A step that fails takes its dependents with it and nothing else: what does not need it goes on, so that
//! one run tells all that is wrong.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::base::{Event, Events, Failure, Kind};
use crate::plan::{Act, Cause, Plan, Step};

/// Carries out single steps. The real one is [`super::up::Hands`]; tests have one that fails where told.
pub trait Perform {
    /// Does what the step says.
    fn perform(&self, step: &Step) -> impl Future<Output = Result<Outcome, Failure>> + Send;
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done; the word says how ("healthy", "created").
    Done(&'static str),
    /// Not reached, and not required: the reason is a warning.
    Excused(String),
}

/// When each service was last worked on, from the beginning of the run: how long it took to be ready.
pub type Times = BTreeMap<String, Duration>;

/// Carries out `plan`. All failures of the run come back as one.
pub async fn apply(plan: &Plan, hands: &impl Perform, events: &Events) -> Result<Times, Failure> {
    let began = Instant::now();
    let mut times = Times::new();
    for warning in &plan.warnings {
        events.tell(Event::warning(warning.as_str()));
    }
    let teller = Teller::new(plan, events);
    let mut waiting: Vec<usize> = plan.steps.iter().map(|step| step.after.len()).collect();
    let mut dependents: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, step) in plan.steps.iter().enumerate() {
        for &before in &step.after {
            dependents.entry(before).or_default().push(index);
        }
    }
    let run = async |index: usize| {
        let step = &plan.steps[index];
        teller.begins(index, step);
        (index, hands.perform(step).await)
    };
    let mut running = FuturesUnordered::new();
    for index in (0..plan.steps.len()).filter(|&index| plan.steps[index].after.is_empty()) {
        running.push(run(index));
    }
    let mut failures: Vec<Failure> = Vec::new();
    while let Some((index, result)) = running.next().await {
        let step = &plan.steps[index];
        match result {
            Ok(outcome) => {
                if let Some(service) = service(&step.act) {
                    times.insert(service.clone(), began.elapsed());
                }
                teller.ends(index, step, &outcome);
            }
            Err(failure) => {
                teller.fails(step, &failure);
                failures.push(failure);
                continue;
            }
        }
        for &dependent in dependents.get(&index).into_iter().flatten() {
            waiting[dependent] -= 1;
            // After a failure nobody waits for the rest to become ready: the failure is what counts.
            let idle = !failures.is_empty() && plan.steps[dependent].cause == Cause::WaitForAll;
            if waiting[dependent] == 0 && !idle {
                running.push(run(dependent));
            }
        }
    }
    if failures.is_empty() {
        return Ok(times);
    }
    // What the user has to mend comes first; an interruption or a lost engine explains the others.
    failures.sort_by_key(|failure| match failure.kind {
        Kind::Interrupted | Kind::Unreachable => 0,
        _ => 1,
    });
    Err(Failure::all(failures))
}

/// Turns steps into events: one line per resource, from its first step to its last.
struct Teller<'a> {
    events: &'a Events,
    last: BTreeMap<String, usize>,
    begun: Mutex<BTreeMap<String, Instant>>,
    awaited: BTreeSet<String>,
}

impl<'a> Teller<'a> {
    fn new(plan: &Plan, events: &'a Events) -> Self {
        let mut last = BTreeMap::new();
        let mut awaited = BTreeSet::new();
        for (index, step) in plan.steps.iter().enumerate() {
            last.insert(subject(&step.act), index);
            if let Act::Await { service, .. } = &step.act {
                awaited.insert(service.clone());
            }
        }
        Self { events, last, begun: Mutex::default(), awaited }
    }

    fn begins(&self, _: usize, step: &Step) {
        let subject = subject(&step.act);
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.entry(subject.clone()).or_insert_with(Instant::now);
        self.events.tell(Event::Started { subject, doing: doing(&step.act) });
    }

    fn ends(&self, index: usize, step: &Step, outcome: &Outcome) {
        let subject = subject(&step.act);
        match outcome {
            Outcome::Done(word) if self.last.get(&subject) == Some(&index) => {
                let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
                let took = begun.get(&subject).map_or(Duration::ZERO, Instant::elapsed);
                self.events.tell(Event::Done { subject, outcome: (*word).to_owned(), took });
            }
            Outcome::Done(word) => {
                let waits =
                    matches!(&step.act, Act::Start { target } if self.awaited.contains(&target.service));
                let doing = if waits { "started, waiting until it is ready" } else { word };
                self.events.tell(Event::Started { subject, doing: doing.to_owned() });
            }
            Outcome::Excused(reason) => self.events.tell(Event::warning(reason.as_str())),
        }
    }

    fn fails(&self, step: &Step, failure: &Failure) {
        let reason = failure.message.lines().next().unwrap_or_default().to_owned();
        self.events.tell(Event::Failed { subject: subject(&step.act), reason });
    }
}

/// The resource that a step is about. A container's line goes on through all of its steps, and a
/// replacement's under the final name.
fn subject(act: &Act) -> String {
    match act {
        Act::CreateNetwork { name, .. } | Act::RemoveNetwork { name, .. } => format!("network {name}"),
        Act::CreateVolume { name, .. } | Act::RemoveVolume { name } => format!("volume {name}"),
        // Under the image's plain name, as the builder and the puller tell their progress.
        Act::Pull { image, .. } | Act::Build { image, .. } | Act::RemoveImage { image } => image.clone(),
        Act::Create { target, replaces, .. } => {
            format!("container {}", replaces.as_ref().unwrap_or(&target.name))
        }
        Act::Rename { to, .. } => format!("container {to}"),
        Act::Start { target }
        | Act::Stop { target, .. }
        | Act::Restart { target, .. }
        | Act::Kill { target, .. }
        | Act::Pause { target }
        | Act::Unpause { target }
        | Act::Remove { target, .. } => format!("container {}", target.name),
        Act::Await { service, .. } => format!("service {service}"),
        Act::Prepare { service } => format!("database {service}"),
    }
}

/// The service that a step brings nearer to being ready.
fn service(act: &Act) -> Option<&String> {
    match act {
        Act::Create { target, .. }
        | Act::Start { target }
        | Act::Restart { target, .. }
        | Act::Unpause { target } => Some(&target.service),
        Act::Await { service, .. } | Act::Prepare { service } => Some(service),
        _ => None,
    }
}

fn doing(act: &Act) -> String {
    match act {
        Act::CreateNetwork { .. } | Act::CreateVolume { .. } | Act::Create { .. } => "creating".to_owned(),
        Act::RemoveNetwork { .. }
        | Act::RemoveVolume { .. }
        | Act::RemoveImage { .. }
        | Act::Remove { .. } => "removing".to_owned(),
        Act::Pull { .. } => "pulling".to_owned(),
        Act::Build { .. } => "building".to_owned(),
        Act::Rename { .. } => "renaming".to_owned(),
        Act::Start { .. } => "starting".to_owned(),
        Act::Stop { .. } => "stopping".to_owned(),
        Act::Restart { .. } => "restarting".to_owned(),
        Act::Kill { signal, .. } => format!("sending {signal}"),
        Act::Pause { .. } => "pausing".to_owned(),
        Act::Unpause { .. } => "unpausing".to_owned(),
        Act::Await { goal, .. } => format!("waiting until it is {}", goal.word()),
        Act::Prepare { .. } => "applying migrations and seeds".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Target;

    /// Does nothing but write down what it was told; fails at the steps that it was told to fail at.
    #[derive(Default)]
    struct Fake {
        fails: BTreeSet<usize>,
        done: Mutex<Vec<usize>>,
    }

    impl Perform for Fake {
        async fn perform(&self, step: &Step) -> Result<Outcome, Failure> {
            // The number of a step stands in its name.
            let Act::RemoveVolume { name } = &step.act else { return Ok(Outcome::Done("done")) };
            let number: usize = name.parse().unwrap();
            tokio::task::yield_now().await;
            if self.fails.contains(&number) {
                return Err(Failure::new(Kind::Failed, format!("step {number}")));
            }
            self.done.lock().unwrap().push(number);
            Ok(Outcome::Done("removed"))
        }
    }

    /// Steps with these numbers of steps before them.
    fn plan(steps: &[&[usize]]) -> Plan {
        let mut plan = Plan::default();
        for (number, after) in steps.iter().enumerate() {
            plan.add(Act::RemoveVolume { name: number.to_string() }, Cause::Asked, after.to_vec());
        }
        plan
    }

    fn run(plan: &Plan, fails: impl IntoIterator<Item = usize>) -> (Result<(), Failure>, Vec<usize>) {
        let fake = Fake { fails: fails.into_iter().collect(), ..Fake::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(apply(plan, &fake, &Events::nowhere()));
        (result.map(|_| ()), fake.done.into_inner().unwrap())
    }

    /// Two chains that meet: 0 → 1 → 2, 3 → 4, and 5 after both; 6 stands alone.
    const SHAPE: [&[usize]; 7] = [&[], &[0], &[1], &[], &[3], &[2, 4], &[]];

    #[test]
    fn every_step_comes_after_those_it_needs() {
        let plan = plan(&SHAPE);
        let (result, done) = run(&plan, []);
        assert!(result.is_ok());
        assert_eq!(done.len(), SHAPE.len());
        for (number, step) in plan.steps.iter().enumerate() {
            let at = |wanted: usize| done.iter().position(|done| *done == wanted).unwrap();
            assert!(step.after.iter().all(|before| at(*before) < at(number)), "{number}: {done:?}");
        }
    }

    #[test]
    fn a_step_that_fails_takes_its_dependents_and_nothing_else() {
        // Whichever step fails: it and all that needs it are missing, all else is done.
        for fails in 0..SHAPE.len() {
            let (result, mut done) = run(&plan(&SHAPE), [fails]);
            assert_eq!(result.unwrap_err().message, format!("step {fails}"));
            let mut lost = BTreeSet::from([fails]);
            for (number, after) in SHAPE.iter().enumerate() {
                if after.iter().any(|before| lost.contains(before)) {
                    lost.insert(number);
                }
            }
            done.sort_unstable();
            let expected: Vec<usize> = (0..SHAPE.len()).filter(|number| !lost.contains(number)).collect();
            assert_eq!(done, expected, "step {fails} failed");
        }
    }

    #[test]
    fn all_failures_are_told() {
        let (result, mut done) = run(&plan(&SHAPE), [1, 3]);
        done.sort_unstable();
        let failure = result.unwrap_err();
        let mut told = vec![failure.message.clone()];
        told.extend(failure.others.iter().map(|other| other.message.clone()));
        told.sort();
        assert_eq!(told, ["step 1", "step 3"]);
        assert_eq!(done, [0, 6]);
    }

    #[test]
    fn after_a_failure_nobody_waits_until_the_rest_is_ready() {
        struct Waits(Mutex<bool>);
        impl Perform for Waits {
            async fn perform(&self, step: &Step) -> Result<Outcome, Failure> {
                match &step.act {
                    Act::Start { .. } => {
                        tokio::task::yield_now().await;
                        Ok(Outcome::Done("started"))
                    }
                    Act::Await { .. } => {
                        *self.0.lock().unwrap() = true;
                        Ok(Outcome::Done("ready"))
                    }
                    _ => Err(Failure::new(Kind::Failed, "no")),
                }
            }
        }
        let mut plan = Plan::default();
        let target = Target { service: "web".into(), name: "web".into(), id: None };
        let start = plan.add(Act::Start { target }, Cause::Missing, Vec::new());
        plan.add(Act::RemoveVolume { name: "0".into() }, Cause::Asked, Vec::new());
        let act = Act::Await { service: "web".into(), goal: crate::plan::Goal::Ready, required: true };
        plan.add(act, Cause::WaitForAll, vec![start]);
        let hands = Waits(Mutex::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(runtime.block_on(apply(&plan, &hands, &Events::nowhere())).is_err());
        assert!(!*hands.0.lock().unwrap());
    }
}
