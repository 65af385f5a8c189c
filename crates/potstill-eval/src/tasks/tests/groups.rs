//! Groups against what lm-evaluation-harness recorded, and what is said about files that are none.

use super::*;
use crate::ItemScore;

const RECORDED: &str = include_str!("../../../tests/fixtures/tasks/recorded_groups.json");

fn suite(names: &[&str]) -> TaskSuite {
    let files = TaskFiles::read([fixture("")]).unwrap();
    files.suite(names).unwrap()
}

#[test]
fn members_numbers_and_layout_are_those_of_the_harness() {
    let recorded: Value = serde_json::from_str(RECORDED).unwrap();
    let run = suite(&["schoolbook", "library", "translation"])
        .run(&rule())
        .unwrap();
    let json = HarnessResults::new(&run.runs, &rule(), SystemTime::UNIX_EPOCH, Duration::ZERO)
        .with_groups(&run.groups)
        .to_json();
    for part in ["results", "groups"] {
        let recorded = recorded[part].as_object().unwrap();
        assert_eq!(json[part].as_object().unwrap().len(), recorded.len());
        for (name, recorded) in recorded {
            assert_numbers(&json[part][name], recorded.as_object().unwrap(), name);
        }
    }
    for part in [
        "group_subtasks",
        "versions",
        "n-shot",
        "higher_is_better",
        "n-samples",
    ] {
        assert_eq!(json[part], recorded[part], "{part}");
    }
    for run in &run.runs {
        let hashes = run.samples.iter().map(TaskSample::prompt_sha256);
        let hashes: Vec<String> = hashes.collect();
        assert_eq!(
            json!(hashes),
            recorded["prompts"][&run.task],
            "{}",
            run.task
        );
    }
}

#[test]
fn results_have_no_groups_where_nothing_is_averaged() {
    let run = suite(&["library", "own"]).run(&rule()).unwrap();
    let json = HarnessResults::new(&run.runs, &rule(), SystemTime::UNIX_EPOCH, Duration::ZERO)
        .with_groups(&run.groups)
        .to_json();
    assert_eq!(json["group_subtasks"]["library::shelf"], json!(["pages"]));
    assert!(json.get("groups").is_none());
    assert!(run.task("science").is_some() && run.group("own").is_none());
}

#[test]
fn averages_are_metrics_that_gates_and_comparisons_read() {
    let run = suite(&["schoolbook"]).run(&rule()).unwrap();
    let results = run.add_to(Results::new("rule"));
    let by_size = &results.metrics["schoolbook/acc"];
    let scores = by_size.scores.as_ref().unwrap();
    assert_eq!(scores.items().len(), 19);
    assert!((scores.mean() - by_size.value).abs() < 1e-12);
    assert_eq!(scores.items()[0].id, "science/0");
    assert_eq!(
        scores.items()[18].category.as_deref(),
        Some("schoolbook::verses")
    );
    let right: usize = scores
        .items()
        .iter()
        .map(|item: &ItemScore| item.score as usize)
        .sum();
    let wilson = crate::Proportion::new(right, 19).wilson_95();
    assert_eq!(by_size.interval, Some(wilson));
    let identity = by_size.task.as_ref().unwrap();
    assert_eq!(
        (identity.name.as_str(), identity.version.as_str()),
        ("schoolbook", "1.5")
    );

    let by_task = &results.metrics["schoolbook::reading/acc"];
    assert!(by_task.scores.is_none());
    let interval = by_task.interval.unwrap();
    assert!((interval.high - interval.low - 2.0 * 1.96 * 0.200_693).abs() < 1e-4);
    assert!(
        results
            .metrics
            .contains_key("counting/exact_match,strict-match")
    );
    assert!(
        results
            .metrics
            .contains_key("sums/exact_match,strict-match")
    );

    let limited = suite(&["schoolbook"]).with_limit(2).run(&rule()).unwrap();
    let group = limited.group("schoolbook").unwrap();
    assert_eq!(group.metric("acc").unwrap().documents, 8);
    assert_eq!(group.metric("f1").unwrap().tasks, ["claims"]);
    assert_ne!(&group.identity(), identity);
}

/// A folder with a task of its own and with some files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["claims.yaml", "claims.jsonl"] {
        fs::copy(fixture(name), folder.path().join(name)).unwrap();
    }
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[track_caller]
fn refused(files: &[(&str, &str)], names: &[&str], expected: &str) {
    let folder = folder(files);
    let files = TaskFiles::read([folder.path()]).unwrap();
    assert_says(&files.suite(names).unwrap_err(), expected);
}

#[test]
fn what_a_group_cannot_find_is_named() {
    refused(
        &[("g.yaml", "group: g\ntask: [claims, clams]")],
        &["g"],
        "g: `clams` is not the name of a task, a group or a tag in ",
    );
    refused(
        &[("a.yaml", "task: a"), ("cat.yaml", "task: cat\ntag: z")],
        &["clams"],
        "; there are claims, cat, a, z",
    );
    refused(
        &[("g.yaml", "group: g\ntask: [{task: clams, num_fewshot: 1}]")],
        &["g"],
        "`clams` is not the name",
    );
    refused(
        &[("x.yaml", "task: [")],
        &["x"],
        "x.yaml there cannot be read",
    );
    refused(&[("g.yaml", "group: g")], &["g"], "`task` names no member");
}

#[test]
fn circles_and_doubles_are_named() {
    refused(
        &[
            ("a.yaml", "group: a\ntask: [claims, b]"),
            ("b.yaml", "group: b\ntask: [{group: c, task: [a]}]"),
        ],
        &["b"],
        "the group `b` holds itself: b > b::c > a > b",
    );
    refused(
        &[(
            "g.yaml",
            "group: g\ntask: [claims, {task: claims, num_fewshot: 1}]",
        )],
        &["g"],
        "`claims` comes twice",
    );
    refused(&[], &["claims", "claims"], "`claims` comes twice");
    refused(
        &[("more/claims.yaml", "task: claims")],
        &["claims"],
        "are both called `claims`",
    );
    refused(
        &[("x.yaml", "task: x\ntag: claims")],
        &["claims"],
        "`claims` is a tag of tasks and the name of ",
    );
}

#[test]
fn python_is_refused_only_where_it_is_asked_for() {
    let files = [
        ("python.yaml", "task: python\nprocess_docs: !function a.b"),
        ("g.yaml", "group: g\ntask: [claims, python]"),
        (
            "h.yaml",
            "group: h\ntask: [claims]\naggregate_metric_list: [{metric: acc, aggregation: !function a.b}]",
        ),
        ("i.yaml", "group: i\ntask: [claims]\nprocess_results: x"),
    ];
    let folder = folder(&files);
    let files = TaskFiles::read([folder.path()]).unwrap();
    assert_eq!(
        files.names().collect::<Vec<_>>(),
        ["claims", "g", "h", "i", "python"]
    );
    assert_eq!(files.suite(&["claims"]).unwrap().tasks().len(), 1);
    let says = |name, expected| assert_says(&files.suite(&[name]).unwrap_err(), expected);
    says("g", "`process_docs` needs Python (!function a.b)");
    says(
        "h",
        "`aggregate_metric_list.0.aggregation` needs Python (!function a.b)",
    );
    says("i", "i.yaml: `process_results` needs Python");
    assert!(TaskFiles::read([folder.path().join("none.yaml")]).is_err());
}

#[test]
fn what_makes_no_group_is_refused_by_key() {
    let says = |group: &str, expected| {
        let text = format!("group: g\n{group}");
        refused(
            &[("g.yaml", &text), ("t.yaml", "group: t\ntask: claims")],
            &["g"],
            expected,
        );
    };
    says("task: [claims]\naggregate: x", "unknown field `aggregate`");
    says(
        "task: [claims]\naggregate_metric_list: [{metric: acc, weight: 1}]",
        "unknown field `weight`",
    );
    says(
        "task: [claims]\naggregate_metric_list: [{metric: acc, aggregation: median}]",
        "`aggregate_metric_list.0.aggregation` is \"median\"; known is mean",
    );
    says(
        "task: [claims]\naggregate_metric_list: [{metric: accuracy}]",
        "averages `accuracy`, which none of its tasks has; they have acc, brier_score, f1, mcc",
    );
    says(
        "task: [claims]\naggregate_metric_list: [{metric: acc, filter_list: strict}]",
        "behind the filter `strict`, which none of its tasks has; they have none",
    );
    says(
        "aggregate_metric_list: {metric: acc}\ntask:\n- claims\n- task: x\n  dataset_path: json\n  \
         dataset_kwargs: {data_files: {test: claims.jsonl}}\n  test_split: test\n  output_type: loglikelihood\n  \
         doc_to_text: x\n  doc_to_target: x\n  metric_list: [{metric: acc, higher_is_better: false}]",
        "more is better in some of its tasks and less in others",
    );
    says(
        "task: [[claims]]",
        "`task.0` is [\"claims\"]; a member is a name or a mapping",
    );
    says(
        "task: [{num_fewshot: 1}]",
        "`task.0` has neither the key `task` nor `group`",
    );
    says(
        "task: [{task: t}]",
        "`task.0` calls `t` a task, which it is not",
    );
    says(
        "task: [{group: claims}]",
        "`task.0` calls `claims` a group, which it is not",
    );
    says(
        "task: [{group: t, task: [claims]}]",
        "has members for the group `t`",
    );
    says(
        "task: [{group: t, group_alias: T}]",
        "unknown field `group_alias`",
    );
    says(
        "task: [{task: claims, num_shot: 1}]",
        "g.yaml is not a group of tasks: unknown field `num_shot`",
    );
}

#[test]
fn data_that_a_group_names_is_beside_the_group() {
    let group =
        "group: g\ntask: [{task: claims, dataset_kwargs: {data_files: {test: fewer.jsonl}}}]";
    let claims = fs::read_to_string(fixture("claims.jsonl")).unwrap();
    let fewer: String = claims
        .lines()
        .take(2)
        .map(|line| format!("{line}\n"))
        .collect();
    let folder = folder(&[("groups/g.yaml", group), ("groups/fewer.jsonl", &fewer)]);
    let files = TaskFiles::read([folder.path()]).unwrap();
    assert_eq!(files.suite(&["g"]).unwrap().tasks()[0].len(), 2);
}
