//! A registry from its first version to its last, and everything that may be wrong with it.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::{Better, Gates, ItemScore, Metric, Scores, TaskIdentity, Verdict};

struct Desk {
    folder: TempDir,
    registry: Registry,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(folder.path().join("registry")).unwrap();
        Self { folder, registry }
    }

    /// A model whose weights are `weights`, beside a tokenizer that all have.
    fn model(&self, weights: &str) -> PathBuf {
        let folder = self.folder.path().join("models").join(weights);
        fs::create_dir_all(folder.join("extra")).unwrap();
        fs::write(folder.join("model.safetensors"), weights).unwrap();
        fs::write(folder.join("extra/tokenizer.json"), "{}").unwrap();
        folder
    }

    /// A version that gets `right` of 100 items right.
    fn version(&self, name: &str, weights: &str, right: usize) -> NewVersion {
        let task = TaskIdentity::of_items("sums", "1", &[0]).unwrap();
        let score = |n: usize| if n < right { 1.0 } else { 0.0 };
        let items = (0..100).map(|n| ItemScore::new(n.to_string(), score(n)));
        let scores = Scores::new(items.collect()).unwrap();
        let metric = Metric::of_scores(Better::Higher, task, scores);
        NewVersion {
            results: Some(Results::new(name).with_metric("accuracy", metric)),
            ..NewVersion::new(name, self.model(weights), "MIT")
        }
    }

    fn save(&self, weights: &str, right: usize) -> VersionId {
        self.registry
            .save(&self.version("student", weights, right))
            .unwrap()
    }

    fn promote(&self, id: &VersionId) -> Verdict {
        let gates = Gates::parse(GATES).unwrap();
        let report = self
            .registry
            .promote(id, "champion", &gates, self.folder.path())
            .unwrap();
        report.verdict()
    }

    fn champion(&self) -> Option<u64> {
        let id = self.registry.resolve("student", "champion").unwrap();
        id.map(|id| id.version)
    }

    fn problems(&self) -> Vec<String> {
        let damages = self.registry.verify().unwrap();
        damages.into_iter().map(|damage| damage.problem).collect()
    }
}

const GATES: &str = r#"
schema = "potstill.gates/1"
[[threshold]]
metric = "accuracy"
min = 0.5
[[no_regression]]
metric = "accuracy"
to = "@champion"
unset_alias = "pass"
"#;

#[test]
fn an_alias_moves_only_through_a_passed_gate() {
    let desk = Desk::new();
    assert_eq!(desk.champion(), None);
    let (weak, first, worse, better) = (
        desk.save("a", 40),
        desk.save("b", 80),
        desk.save("c", 60),
        desk.save("d", 90),
    );
    assert_eq!(desk.promote(&weak), Verdict::Failed);
    assert_eq!(desk.champion(), None);
    assert_eq!(desk.promote(&first), Verdict::Passed);
    assert_eq!(desk.promote(&worse), Verdict::Failed);
    assert_eq!(desk.champion(), Some(2));
    assert_eq!(desk.promote(&better), Verdict::Passed);
    assert_eq!(desk.champion(), Some(4));

    let moves = desk.registry.moves("student").unwrap();
    assert_eq!(
        moves.iter().map(|step| step.version).collect::<Vec<_>>(),
        [2, 4]
    );
    let MoveReason::Promoted { report } = &moves[1].reason else {
        panic!("it was promoted");
    };
    let manifest = desk.registry.manifest(&better).unwrap();
    assert_eq!(report.files_sha256, Some(manifest.files_sha256));
    assert_eq!(report.outcomes.len(), 2);
    assert_eq!(desk.problems(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_judged_is_not_promoted() {
    let desk = Desk::new();
    let bare = NewVersion::new("student", desk.model("a"), "MIT");
    let id = desk.registry.save(&bare).unwrap();
    let gates = Gates::parse(GATES).unwrap();
    let error = desk
        .registry
        .promote(&id, "champion", &gates, desk.folder.path())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("student/1 was saved without results"),
        "{error}"
    );
    let speed =
        Gates::parse("schema = \"potstill.gates/1\"\n[[threshold]]\nmetric = \"speed\"\nmin = 1");
    let id = desk.save("b", 90);
    let report = desk
        .registry
        .promote(&id, "champion", &speed.unwrap(), desk.folder.path());
    assert_eq!(report.unwrap().verdict(), Verdict::Unjudged);
    assert_eq!(desk.champion(), None);
}

#[test]
fn rolling_back_goes_to_the_version_before_and_further() {
    let desk = Desk::new();
    for (n, right) in [80, 85, 90, 95].into_iter().enumerate() {
        let id = desk.save(&n.to_string(), right);
        assert_eq!(desk.promote(&id), Verdict::Passed);
    }
    let last = desk.registry.versions("student").unwrap().pop().unwrap();
    assert_eq!(desk.promote(&last), Verdict::Passed);
    let back = |because| {
        desk.registry
            .roll_back("student", "champion", because)
            .unwrap()
            .version
    };
    assert_eq!(back("too slow"), 3);
    // From here on 4 is over: what comes next goes back to 3.
    let id = desk.save("5", 97);
    assert_eq!((desk.promote(&id), back("too large")), (Verdict::Passed, 3));
    let second = desk.registry.versions("student").unwrap()[1].clone();
    desk.registry.retire(&second).unwrap();
    assert_eq!(back("still too slow"), 1);
    let error = desk
        .registry
        .roll_back("student", "champion", "worse")
        .unwrap_err();
    assert!(error.to_string().contains("no earlier version"), "{error}");
    let reason = &desk.registry.moves("student").unwrap()[5].reason;
    let because = "too slow".to_owned();
    assert_eq!(*reason, MoveReason::RolledBack { because });
    assert_eq!(desk.problems(), Vec::<String>::new());
}

#[test]
fn a_version_comes_out_as_it_went_in_and_shared_files_are_stored_once() {
    let desk = Desk::new();
    let (a, b) = (desk.save("a", 80), desk.save("b", 80));
    let folder = desk.folder.path().join("out");
    desk.registry.check_out(&a, &folder).unwrap();
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), b"a");
    assert_eq!(
        fs::read(folder.join("extra/tokenizer.json")).unwrap(),
        b"{}"
    );
    let manifest = desk.registry.manifest(&a).unwrap();
    assert_eq!(files_sha256(&folder).unwrap(), manifest.files_sha256);
    assert_ne!(
        desk.registry.manifest(&b).unwrap().files_sha256,
        manifest.files_sha256
    );
    let again = desk.registry.check_out(&b, &folder).unwrap_err();
    assert!(matches!(again, RegistryError::Exists { .. }), "{again}");
    // Two weights, one tokenizer, two results.
    let objects = disk::names(&desk.registry.root.join("objects")).unwrap();
    assert_eq!(objects.len(), 5);
}

#[test]
fn the_hash_of_a_model_is_what_sha256sum_says() {
    let desk = Desk::new();
    // (cd FOLDER && sha256sum extra/tokenizer.json model.safetensors | sha256sum)
    let expected = "a619337728a0928b050e41c976e9ecf36e8218185093f1610df8f849bac1d736";
    assert_eq!(files_sha256(desk.model("a")).unwrap(), expected);
}

#[test]
fn garbage_goes_and_numbers_are_never_used_again() {
    let desk = Desk::new();
    let (a, b) = (desk.save("a", 80), desk.save("b", 80));
    desk.promote(&a);
    let error = desk.registry.retire(&a).unwrap_err();
    assert_eq!(
        error.to_string(),
        "student/1 is @champion; promote another version first"
    );
    assert_eq!(
        desk.registry.collect_garbage().unwrap(),
        Collected::default()
    );
    desk.registry.retire(&b).unwrap();
    fs::write(desk.registry.root.join("objects/ca/.left.behind"), "half").unwrap();
    fs::write(
        desk.registry.root.join("models/student/versions/.3.json.x"),
        "half",
    )
    .unwrap();
    let collected = desk.registry.collect_garbage().unwrap();
    // The weights of b and what a killed writer left.
    assert_eq!((collected.files, collected.bytes), (3, 9));
    assert_eq!(desk.problems(), Vec::<String>::new());
    assert!(matches!(
        desk.registry.manifest(&b),
        Err(RegistryError::UnknownVersion { .. })
    ));
    assert_eq!(desk.save("c", 80).version, 3);
    assert_eq!(desk.save("b", 80).version, 4);
    let folder = desk.folder.path().join("out");
    desk.registry.check_out(&a, &folder).unwrap();
}

#[test]
fn lineage_leads_to_teacher_and_data() {
    let desk = Desk::new();
    let teacher = desk.version("teacher", "t", 95);
    let teacher = NewVersion {
        ingredients: vec![Ingredient::new(
            IngredientKind::Data,
            "books",
            "ab".repeat(32),
        )],
        ..teacher
    };
    let teacher = desk.registry.save(&teacher).unwrap();
    let manifest = desk.registry.manifest(&teacher).unwrap();
    let data = desk.folder.path().join("data.jsonl");
    fs::write(&data, "{}\n").unwrap();
    let student = NewVersion {
        ingredients: vec![
            Ingredient::of_version(IngredientKind::Teacher, &manifest),
            Ingredient::of_file(IngredientKind::Data, "data.jsonl", &data).unwrap(),
        ],
        ..desk.version("student", "s", 90)
    };
    let id = desk.registry.save(&student).unwrap();
    desk.registry.retire(&teacher).unwrap();
    desk.registry.collect_garbage().unwrap();
    let tree = desk.registry.lineage(&id).unwrap().to_string();
    let hash = &manifest.files_sha256[..12];
    assert_eq!(
        tree,
        format!(
            "student/1\n  teacher: teacher/1 ({hash}), retired\n    data: books (abababababab)\n  \
             data: data.jsonl (ca3d163bab05)"
        )
    );
    let orphan = NewVersion {
        ingredients: vec![Ingredient {
            version: Some(VersionId {
                model: "teacher".into(),
                version: 7,
            }),
            ..Ingredient::new(IngredientKind::Teacher, "t", "")
        }],
        ..desk.version("student", "o", 90)
    };
    let error = desk.registry.save(&orphan).unwrap_err();
    assert_eq!(error.to_string(), "there is no version teacher/7");
}

#[test]
fn what_makes_no_version_is_refused() {
    let desk = Desk::new();
    let good = desk.version("student", "a", 80);
    let refused = |new: NewVersion| desk.registry.save(&new).unwrap_err().to_string();
    let with = |change: fn(&mut NewVersion)| {
        let mut new = good.clone();
        change(&mut new);
        refused(new)
    };
    assert!(with(|new| new.license = " ".into()).contains("without a license"));
    assert!(with(|new| new.model = "../x".into()).contains("cannot be the name of a model"));
    assert!(with(|new| new.folder = "no/such/folder".into()).contains("cannot read"));
    assert!(
        with(|new| new.results.as_mut().unwrap().files_sha256 = Some("00".repeat(32)))
            .contains("about files with the hash 000000000000…, but those to be saved have")
    );
    let empty = desk.folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let empty = NewVersion::new("student", empty, "MIT");
    assert!(refused(empty).contains("holds no files"));
    assert_eq!(desk.registry.versions("student").unwrap(), []);
    let id = desk.registry.save(&good).unwrap();
    let gates = Gates::parse(GATES).unwrap();
    let error = desk
        .registry
        .promote(&id, "@champion", &gates, Path::new("."))
        .unwrap_err();
    assert!(
        error.to_string().contains("cannot be the name of an alias"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn links_to_files_count_as_files_and_odd_ones_are_refused() {
    let desk = Desk::new();
    let model = desk.model("a");
    std::os::unix::fs::symlink("model.safetensors", model.join("link")).unwrap();
    assert!(
        objects::files_in(&model)
            .unwrap()
            .contains(&"link".to_owned())
    );
    let broken = model.join("a\nb");
    fs::write(&broken, "").unwrap();
    let error = files_sha256(&model).unwrap_err().to_string();
    assert!(
        error.contains("a\\nb\" is a name with a line break"),
        "{error}"
    );
    fs::remove_file(broken).unwrap();
    std::os::unix::fs::symlink(".", model.join("circle")).unwrap();
    let error = files_sha256(&model).unwrap_err().to_string();
    assert!(error.contains("neither a file nor a folder"), "{error}");
}

#[test]
fn damage_is_found_wherever_it_is() {
    let whole = |change: &dyn Fn(&Desk)| {
        let desk = Desk::new();
        let id = desk.save("a", 80);
        desk.promote(&id);
        let id = desk.save("b", 85);
        desk.promote(&id);
        assert_eq!(desk.problems(), Vec::<String>::new());
        change(&desk);
        desk.problems().join("; ")
    };
    let edit = |desk: &Desk, path: &str, from: &str, to: &str| {
        let path = desk.registry.root.join(path);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    };
    let manifest = "models/student/versions/1.json";
    let edited = whole(&|desk| edit(desk, manifest, "MIT", "GPL"));
    assert!(edited.contains("not what its own hash says"), "{edited}");
    let escaped = whole(&|desk| {
        let path = desk.registry.root.join(manifest);
        let id = desk.registry.versions("student").unwrap()[0].clone();
        let mut forged = desk.registry.manifest(&id).unwrap();
        forged.files[0].path = "../../x".into();
        VersionFile::write(&path, forged).unwrap();
    });
    assert!(
        escaped.contains("a file outside the model's folder"),
        "{escaped}"
    );
    let swapped = whole(&|desk| {
        let versions = desk.registry.root.join("models/student/versions");
        fs::copy(versions.join("2.json"), versions.join("1.json")).unwrap();
    });
    assert!(swapped.contains("manifest of another version"), "{swapped}");
    let cut = whole(&|desk| fs::write(desk.registry.root.join(manifest), "{").unwrap());
    assert!(cut.contains("EOF"), "{cut}");
    let object = |desk: &Desk| {
        let id = desk.registry.versions("student").unwrap()[0].clone();
        let file = desk.registry.manifest(&id).unwrap().files[1].clone();
        assert_eq!(file.path, "model.safetensors");
        desk.registry.objects.path(&file.sha256)
    };
    let rotten = whole(&|desk| fs::write(object(desk), "x").unwrap());
    assert_eq!(rotten, "its content has another hash");
    let lost = whole(&|desk| fs::remove_file(object(desk)).unwrap());
    assert!(lost.contains("No such file"), "{lost}");
    let moves = "models/student/moves.json";
    let gone = whole(&|desk| edit(desk, moves, "\"version\": 2", "\"version\": 9"));
    assert!(
        gone.contains("points to student/9, which is not there"),
        "{gone}"
    );
    let smuggled = whole(&|desk| {
        edit(
            desk,
            moves,
            "\"verdict\": \"passed\"",
            "\"verdict\": \"failed\"",
        )
    });
    assert!(smuggled.contains("which passed no gate"), "{smuggled}");
    let other = whole(&|desk| edit(desk, moves, "\"version\": 2", "\"version\": 1"));
    assert!(other.contains("a report on other files"), "{other}");
    let cut = whole(&|desk| fs::write(desk.registry.root.join(moves), "").unwrap());
    assert!(cut.contains("EOF"), "{cut}");
}

#[test]
fn damaged_files_are_neither_promoted_nor_checked_out() {
    let desk = Desk::new();
    let id = desk.save("a", 80);
    let hash = desk.registry.manifest(&id).unwrap().files[1].sha256.clone();
    fs::write(desk.registry.objects.path(&hash), "z").unwrap();
    let gates = Gates::parse(GATES).unwrap();
    let error = desk
        .registry
        .promote(&id, "champion", &gates, desk.folder.path())
        .unwrap_err();
    assert!(matches!(error, RegistryError::Damaged { .. }), "{error}");
    let out = desk.folder.path().join("out");
    let error = desk.registry.check_out(&id, &out).unwrap_err();
    assert!(matches!(error, RegistryError::Damaged { .. }), "{error}");
    assert!(!out.exists());
    let left = disk::names(desk.folder.path()).unwrap();
    assert_eq!(left, ["models", "registry"]);
}

#[test]
fn saving_again_heals_what_was_damaged() {
    let desk = Desk::new();
    let id = desk.save("a", 80);
    let hash = desk.registry.manifest(&id).unwrap().files[1].sha256.clone();
    // As long as it was, and longer.
    for rot in ["z", "zz"] {
        fs::write(desk.registry.objects.path(&hash), rot).unwrap();
        assert_eq!(desk.problems(), ["its content has another hash"]);
        let again = desk.save("a", 80);
        assert_eq!(desk.problems(), Vec::<String>::new());
        desk.registry.retire(&again).unwrap();
    }
}

#[test]
fn checking_out_twice_at_a_time_gives_one_whole_folder() {
    let desk = Desk::new();
    let id = desk.save("a", 80);
    let parent = desk.folder.path().join("out");
    // What a killed process left behind.
    let left = parent.join(".same.partial-0");
    fs::create_dir_all(left.join("extra")).unwrap();
    let check_out = |name: &str| desk.registry.check_out(&id, parent.join(name));
    for round in 0..20 {
        let (same, own) = (format!("same-{round}"), format!("own-{round}"));
        let found = std::thread::scope(|scope| {
            let both = [&same, &same, &own].map(|name| scope.spawn(|| check_out(name)));
            both.map(|thread| thread.join().unwrap())
        });
        assert!(found[2].is_ok(), "{found:?}");
        let winners = found[..2].iter().filter(|found| found.is_ok()).count();
        assert_eq!(winners, 1, "{found:?}");
        let exists = |it: &Result<_, _>| matches!(it, Err(RegistryError::Exists { .. }));
        assert!(found[..2].iter().any(exists), "{found:?}");
        assert_eq!(
            files_sha256(parent.join(same)).unwrap(),
            files_sha256(parent.join(own)).unwrap()
        );
    }
    check_out("same").unwrap();
    let hidden = disk::names(&parent).unwrap().into_iter();
    let hidden: Vec<String> = hidden.filter(|name| name.starts_with('.')).collect();
    assert_eq!(hidden, [".same.partial-0"], "the others cleaned up");
}

#[test]
fn a_registry_of_another_schema_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let header = folder.path().join("registry.json");
    for (text, problem) in [
        ("{\"schema\": \"x/2\"}", "x/2"),
        ("{}", "cannot be understood"),
    ] {
        fs::write(&header, text).unwrap();
        let error = Registry::open(folder.path()).unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
    }
}
