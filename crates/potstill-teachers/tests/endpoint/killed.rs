//! A run that is killed goes on where it was.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use potstill_core::ChatModel;
use potstill_teachers::Endpoint;
use wiremock::{Request, ResponseTemplate};

use crate::server::{Server, config, echoing, question};

const REQUESTS: usize = 500;

/// Where the child finds its server; unset in an ordinary run of the tests.
const SERVER: &str = "POTSTILL_TEST_SERVER";
const FOLDER: &str = "POTSTILL_TEST_FOLDER";

/// The run that is killed: 500 requests, and one file with all answers.
fn run(address: &str, folder: &Path) {
    let mut config = config(address).with_store(folder.join("answers.redb"));
    // The server of the undisturbed run has another port.
    config.deployment = Some("teacher".into());
    let endpoint = Endpoint::new(config).unwrap();
    let requests: Vec<_> = (0..REQUESTS).map(|n| question(&format!("q{n}"))).collect();
    let replies = endpoint.chat(&requests).into_iter();
    let lines: String = replies.map(|reply| reply.unwrap().text + "\n").collect();
    fs::write(folder.join("answers.txt"), lines).unwrap();
}

#[test]
fn the_child_of_the_other_test() {
    if let (Ok(address), Ok(folder)) = (env::var(SERVER), env::var(FOLDER)) {
        run(&address, folder.as_ref());
    }
}

fn child(server: &Server, folder: &Path) -> Child {
    let address = server.config().base_url;
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "killed::the_child_of_the_other_test"])
        .env(SERVER, address.trim_end_matches("/v1"))
        .env(FOLDER, folder)
        .spawn()
        .unwrap()
}

fn slowly(request: &Request) -> ResponseTemplate {
    echoing(request).set_delay(Duration::from_millis(5))
}

#[test]
fn a_run_that_is_killed_asks_for_nothing_twice_that_was_answered() {
    let undisturbed = tempfile::tempdir().unwrap();
    let server = Server::chatting(echoing);
    run(
        server.config().base_url.trim_end_matches("/v1"),
        undisturbed.path(),
    );

    let folder = tempfile::tempdir().unwrap();
    let server = Server::chatting(slowly);
    let mut first = child(&server, folder.path());
    while server.requests().len() < REQUESTS / 3 {
        assert!(first.try_wait().unwrap().is_none(), "the child ended early");
        thread::yield_now();
    }
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(!folder.path().join("answers.txt").exists());
    let before = server.requests().len();
    assert!(before < REQUESTS, "it was killed too late");

    assert!(child(&server, folder.path()).wait().unwrap().success());
    let mut sent: HashMap<Vec<u8>, usize> = HashMap::new();
    for request in server.requests() {
        *sent.entry(request.body).or_default() += 1;
    }
    assert_eq!(sent.len(), REQUESTS);
    // Only what was on its way when it was killed, and not yet answered and stored, is sent again.
    let twice = sent.values().filter(|&&times| times > 1).count();
    let concurrency = server.config().limits.concurrency;
    assert!(twice <= concurrency, "{twice} requests were sent twice");
    assert_eq!(
        fs::read(folder.path().join("answers.txt")).unwrap(),
        fs::read(undisturbed.path().join("answers.txt")).unwrap()
    );
}
