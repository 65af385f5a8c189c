//! Folders and files that are whole or not there.

use super::*;

fn write_hello(folder: &Path) -> Result<(), Error> {
    write_file(&folder.join("a.txt"), b"hello")?;
    write_file(&folder.join("b.txt"), &[7; 3000])
}

#[test]
fn a_finished_folder_is_trusted_and_nothing_else_is_left() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("step-1");
    write_folder(&place, write_hello).unwrap();
    verify(&place).unwrap();
    assert_eq!(entries(root.path()).unwrap(), [place]);
}

#[test]
fn a_writer_that_fails_leaves_the_earlier_folder_alone() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("step-1");
    write_folder(&place, write_hello).unwrap();
    let error = write_folder(&place, |folder| {
        write_file(&folder.join("a.txt"), b"other")?;
        let full = io::Error::from(io::ErrorKind::StorageFull);
        Err(Error::io("write", &folder.join("b.txt"))(full))
    })
    .unwrap_err();
    assert!(error.to_string().contains("b.txt"), "{error}");
    verify(&place).unwrap();
    assert_eq!(fs::read(place.join("a.txt")).unwrap(), b"hello");
    assert_eq!(entries(root.path()).unwrap(), [place]);
}

#[test]
fn a_truncated_missing_or_changed_file_is_a_flaw_with_its_name() {
    for (file, content) in [
        ("b.txt", Some(vec![7; 2999])),
        ("b.txt", Some(vec![8; 3000])),
        ("a.txt", None),
        (MANIFEST, Some(b"{\"schema\"".to_vec())),
    ] {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("step-1");
        write_folder(&place, write_hello).unwrap();
        match content {
            Some(content) => fs::write(place.join(file), content).unwrap(),
            None => fs::remove_file(place.join(file)).unwrap(),
        }
        let flaw = verify(&place).unwrap_err();
        assert!(flaw.to_string().contains(file), "{flaw}");
    }
}

#[test]
fn cleaning_removes_only_what_is_unfinished() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("step-3.tmp-99")).unwrap();
    write_folder(&root.path().join("step-2"), write_hello).unwrap();
    clean(root.path()).unwrap();
    assert_eq!(entries(root.path()).unwrap(), [root.path().join("step-2")]);
}

#[test]
fn a_whole_folder_that_a_crash_kept_from_its_place_is_put_there() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    for name in ["step-1.tmp-99", "step-1.tmp-99-old", "step-2.tmp-99-old"] {
        write_folder(&path("new"), write_hello).unwrap();
        fs::rename(path("new"), path(name)).unwrap();
    }
    clean(root.path()).unwrap();
    assert_eq!(entries(root.path()).unwrap(), [path("step-1")]);
    verify(&path("step-1")).unwrap();
}
