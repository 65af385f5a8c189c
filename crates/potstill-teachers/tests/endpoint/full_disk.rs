//! A disk that is full: one error, and what was there is kept.

use std::env;
use std::error::Error as _;
use std::path::Path;
use std::process::Command;

use potstill_core::{ChatModel, ChatRequest};
use potstill_teachers::{AnswerStore, Endpoint, EndpointConfig, Error};

use crate::server::{Server, config, echoing, question};

const SERVER: &str = "POTSTILL_TEST_FULL_SERVER";
const STORE: &str = "POTSTILL_TEST_FULL_STORE";

/// No file of the child may grow beyond this many blocks, of 512 or 1024 bytes.
const MOST_BLOCKS: usize = 4096;

fn requests() -> Vec<ChatRequest> {
    let long = "x".repeat(40_000);
    (0..200).map(|n| question(&format!("{n} {long}"))).collect()
}

fn limited(address: &str, store: &Path) -> EndpointConfig {
    let mut config = config(address).with_store(store);
    config.limits.concurrency = 4;
    config
}

#[test]
fn the_child_of_the_other_test() {
    let (Ok(address), Ok(store)) = (env::var(SERVER), env::var(STORE)) else {
        return;
    };
    let endpoint = Endpoint::new(limited(&address, store.as_ref())).unwrap();
    let replies = endpoint.chat(&requests());
    assert!(replies.iter().any(Result::is_ok));
    let errors = replies.iter().filter_map(|reply| reply.as_ref().err());
    for error in errors {
        let error = error.source().unwrap().downcast_ref::<Error>().unwrap();
        assert!(
            matches!(
                error,
                Error::Store {
                    action: "write",
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn what_was_stored_before_the_disk_was_full_is_not_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("answers.redb");
    let server = Server::chatting(echoing);
    let address = server.config().base_url.trim_end_matches("/v1").to_owned();
    // With the signal ignored, a write beyond the limit fails as it does on a full disk.
    let script = format!("trap '' XFSZ; ulimit -f {MOST_BLOCKS}; exec \"$@\"");
    let child = Command::new("sh")
        .args(["-c", &script, "sh"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "full_disk::the_child_of_the_other_test"])
        .env(SERVER, &address)
        .env(STORE, &store)
        .status();
    assert!(child.unwrap().success());
    let before = server.requests().len();
    let kept = AnswerStore::open_existing(&store)
        .unwrap()
        .verify()
        .unwrap();
    let kept = usize::try_from(kept).unwrap();
    // Nothing more was sent once an answer could not be kept.
    assert!(kept > 0 && before < 200, "{kept} kept, {before} sent");
    assert!(before - kept <= 4, "{kept} kept, {before} sent");

    let endpoint = Endpoint::new(limited(&address, &store)).unwrap();
    assert!(endpoint.chat(&requests()).iter().all(Result::is_ok));
    assert_eq!(server.requests().len() - before, 200 - kept);
}
