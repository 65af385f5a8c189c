//! Over TLS, with a certificate that the machine trusts, and with others.
//!
//! Each client is a process of its own, because the file of trusted certificates is named by the
//! environment.

use std::env;
use std::error::Error as _;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use potstill_core::ChatModel;
use potstill_teachers::Endpoint;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::server::{config, http, question, read_request, said};

const SERVER: &str = "POTSTILL_TEST_TLS_SERVER";
const OUTCOME: &str = "POTSTILL_TEST_TLS_OUTCOME";

fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

/// A server that answers every request; returns its port and how many it read.
fn serve(certificate: &CertifiedKey<KeyPair>) -> (u16, Arc<AtomicUsize>) {
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let settings = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let settings = Arc::new(settings);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(&mut stream.unwrap(), settings.clone(), &seen);
        }
    });
    (port, count)
}

/// A client that does not trust the certificate ends the connection before it asks.
fn answer(stream: &mut TcpStream, settings: Arc<ServerConfig>, seen: &AtomicUsize) {
    let mut connection = ServerConnection::new(settings).unwrap();
    let mut tls = Stream::new(&mut connection, stream);
    if read_request(&mut tls).is_err() {
        return;
    }
    seen.fetch_add(1, Ordering::Relaxed);
    let said = said("over TLS").to_string();
    tls.write_all(&http("application/json", said.as_bytes()))
        .unwrap();
    tls.conn.send_close_notify();
    tls.flush().unwrap();
}

/// What a client that trusts `trusted` gets from the server, and how many requests arrive.
fn ask(
    host: &str,
    trusted: &CertifiedKey<KeyPair>,
    own: &CertifiedKey<KeyPair>,
) -> (String, usize) {
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, trusted.cert.pem()).unwrap();
    let outcome = folder.path().join("outcome");
    let (port, count) = serve(own);
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "https::the_child_of_the_other_tests"])
        .env("SSL_CERT_FILE", &roots)
        .env_remove("SSL_CERT_DIR")
        .env(SERVER, format!("https://{host}:{port}"))
        .env(OUTCOME, &outcome)
        .status();
    assert!(child.unwrap().success());
    let told = std::fs::read_to_string(outcome).unwrap();
    (told, count.load(Ordering::Relaxed))
}

#[test]
fn the_child_of_the_other_tests() {
    let (Ok(address), Ok(outcome)) = (env::var(SERVER), env::var(OUTCOME)) else {
        return;
    };
    let endpoint = Endpoint::new(config(&address).with_api_key("secret")).unwrap();
    let told = match endpoint.chat(&[question("hello")]).remove(0) {
        Ok(reply) => format!("answer: {}", reply.text),
        Err(error) => {
            let causes = std::iter::successors(error.source(), |&error| error.source());
            causes.map(|cause| format!("{cause}; ")).collect()
        }
    };
    std::fs::write(Path::new(&outcome), told).unwrap();
}

#[test]
fn a_server_with_a_trusted_certificate_answers() {
    let own = certificate();
    assert_eq!(
        ask("localhost", &own, &own),
        ("answer: over TLS".to_owned(), 1)
    );
}

#[test]
fn an_unknown_certificate_ends_it_before_anything_is_sent() {
    let (told, requests) = ask("localhost", &certificate(), &certificate());
    assert!(told.contains("cannot be reached"), "{told}");
    assert!(told.contains("certificate"), "{told}");
    // Another attempt would fail the same way.
    assert!(!told.contains("gave up"), "{told}");
    assert_eq!(requests, 0);
}

#[test]
fn a_certificate_for_another_name_ends_it_before_anything_is_sent() {
    let own = certificate();
    let (told, requests) = ask("127.0.0.1", &own, &own);
    assert!(told.contains("not valid for name"), "{told}");
    assert!(!told.contains("gave up"), "{told}");
    assert_eq!(requests, 0);
}
