//! Groups of jobs.

use insta::assert_snapshot;

use crate::refusal;

/// "A workflow job uses `requires` to depend on an individual job inside a group, rather than on the
/// group invocation" is among what CircleCI does not compile.
#[test]
fn nobody_requires_a_job_inside_a_group() {
    assert_snapshot!(refusal(
        "\
version: 2.1
jobs: {build: &b {machine: true, steps: [checkout]}, deploy: *b, check: *b, notify: *b}
job-groups:
  ship:
    jobs: [deploy, check: {requires: [deploy]}]
  look:
    jobs: [build, notify: {requires: [ship/deploy]}]
workflows:
  ci:
    jobs:
      - ship
      - ship: {name: again, requires: [ship/check: success]}
      - look
      - notify: {requires: [ship, ship/deploy, ship/group-end]}
"
    ), @"
    error: the job `notify` of a group requires `ship/deploy`, which is not in the group
      ci.yml:7:39
    7 │     jobs: [build, notify: {requires: [ship/deploy]}]
      │                                       ^^^^^^^^^^^ let the use of the group require it

    error: the group `ship` is twice in this workflow as `again`
      ci.yml:12:9
    12 │       - ship: {name: again, requires: [ship/check: success]}
       │         ^^^^ give each use a `name` of its own

    error: job `notify` requires `ship/deploy`, which is inside a group of jobs
      ci.yml:14:35
    14 │       - notify: {requires: [ship, ship/deploy, ship/group-end]}
       │                                   ^^^^^^^^^^^ require the group: `ship`

    error: job `notify` requires `ship/group-end`, which is inside a group of jobs
      ci.yml:14:48
    14 │       - notify: {requires: [ship, ship/deploy, ship/group-end]}
       │                                                ^^^^^^^^^^^^^^ require the group: `ship`

    warning: `ship/group-end` is required twice
      ci.yml:14:48
    14 │       - notify: {requires: [ship, ship/deploy, ship/group-end]}
       │                                                ^^^^^^^^^^^^^^ the first one counts
    ");
}
