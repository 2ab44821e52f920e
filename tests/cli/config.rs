//! `config`.

use insta::assert_snapshot;

use crate::sandbox::Sandbox;

#[test]
fn all_mistakes_of_a_file_are_told_in_one_run() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "compose.yaml",
        "services:
  web:
    imagee: nginx
    image: nginx:${TAG:?say which}
    ports: ['8080:eighty', '81:81']
    depends_on: [dbb]
    healthcheck: {test: x, interval: 5parsecs, timeout: 3x}
    volumes: ['data:/data']
    env_file: lost.env
  db:
    privileged: {}
    container_name: one
    networks: [front]
  job:
    image: job
    container_name: one
    depends_on: [more]
  more:
    extends: {file: more.yaml, service: more}
networks: []
secrets: {s: {file: 5}}
",
    );
    sandbox.write("more.yaml", "services: {more: {image: more, devices: [a:b:c:d], depends_on: [job]}}\n");
    // Each once, where it was made. What only follows from another is left out: a file that is no text is no file
    // that is missing, and networks that are a list are no network that is not declared.
    let all = sandbox.devenv("config -q");
    let told = all.lines().filter(|line| line.starts_with("error") || line.contains("-->"));
    assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @r#"
    error: services.web additional properties 'imagee' not allowed
     --> compose.yaml:3:5
    error: services.web.image needs the variable TAG, which has no value: say which
     --> compose.yaml:4:12
    error: invalid container port: eighty
     --> compose.yaml:5:13
    error: service "web" depends on undefined service "dbb"
     --> compose.yaml:6:18
    error: unknown unit "parsecs" in duration "5parsecs"
     --> compose.yaml:7:38
    error: unknown unit "x" in duration "3x"
     --> compose.yaml:7:57
    error: service "web" refers to undefined volume data
     --> compose.yaml:8:15
    error: env file [ROOT]/shop/lost.env not found
     --> compose.yaml:9:15
    error: services.db.privileged must be a boolean or string, this is a mapping
      --> compose.yaml:11:17
    error: services.job: container name "one" is already in use by service db
      --> compose.yaml:16:21
      --> compose.yaml:12:21
    error: dependency cycle detected: job -> more -> job
      --> compose.yaml:17:18
    error: networks must be a mapping, this is a list
      --> compose.yaml:20:11
    error: secrets.s.file must be a string, this is a number
      --> compose.yaml:21:21
    error: confusing device mapping, please use long syntax: a:b:c:d
     --> more.yaml:1:42
    "#);
    // A mistake that ends the loading is told beside what was found before.
    sandbox.write("compose.yaml", "services: {a: {image: i, bogus: 1}}\n");
    sandbox.write("over.yaml", "services: {a: {extends: b}, b: {image: [}\n");
    assert_snapshot!(sandbox.devenv("-f compose.yaml -f over.yaml config -q"), @r"
    exit 3
    --- stderr
    error: services.a additional properties 'bogus' not allowed
     --> compose.yaml:1:26
      |
    1 | services: {a: {image: i, bogus: 1}}
      |                          ^^^^^

    error: this is not YAML: did not find expected node content
     --> over.yaml:1:41
      |
    1 | services: {a: {extends: b}, b: {image: [}
      |                                         ^
    ");
}
