//! What a server may answer; the real one is asked by `cargo xtask interop mlflow`.

use std::collections::BTreeMap;
use std::error::Error as _;

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use wiremock::matchers::{body_partial_json, header, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

/// A server that gives one answer to each call it knows.
struct Server {
    runtime: Runtime,
    server: MockServer,
}

impl Server {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(MockServer::start());
        Self { runtime, server }
    }

    fn answer(&self, call: &str, status: u16, body: Value) {
        let mock = Mock::given(path(format!("/api/2.0/mlflow/{call}")));
        self.mount(mock.respond_with(ResponseTemplate::new(status).set_body_json(body)));
    }

    fn mount(&self, mock: Mock) {
        self.runtime.block_on(mock.mount(&self.server));
    }

    fn client(&self) -> MlflowClient {
        MlflowClient::new(&self.server.uri(), None).unwrap()
    }
}

fn refusal(code: &str, message: &str) -> Value {
    json!({"error_code": code, "message": message})
}

#[test]
fn an_experiment_that_is_there_is_found() {
    let server = Server::new();
    let exists = refusal(
        "RESOURCE_ALREADY_EXISTS",
        "Experiment(name=e) already exists.",
    );
    server.answer("experiments/create", 400, exists);
    server.mount(
        Mock::given(path("/api/2.0/mlflow/experiments/get-by-name"))
            .and(query_param("experiment_name", "e & f"))
            .respond_with(
                ResponseTemplate::new(200)
                    .set_body_json(json!({"experiment": {"experiment_id": "7"}})),
            ),
    );
    assert_eq!(server.client().experiment("e & f").unwrap(), "7");
}

#[test]
fn what_is_not_there_is_none_and_what_is_refused_says_why() {
    let server = Server::new();
    let absent = refusal(
        "RESOURCE_DOES_NOT_EXIST",
        "Model Version (name=m, version=1) not found",
    );
    server.answer("model-versions/get", 404, absent);
    let unset = refusal(
        "INVALID_PARAMETER_VALUE",
        "Registered model alias x not found.",
    );
    server.answer("registered-models/alias", 400, unset);
    let client = server.client();
    assert_eq!(client.version("m", 1).unwrap(), None);
    assert_eq!(client.alias("m", "x").unwrap(), None);
    let error = client.set_alias("m", "x", 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "MLflow refused registered-models/alias (400, INVALID_PARAMETER_VALUE): Registered model alias \
         x not found."
    );
    let error = client.run("1").unwrap_err();
    assert!(error.to_string().contains("(404, no code)"), "{error}");
}

#[test]
fn an_answer_that_is_not_mlflows_is_an_error() {
    let server = Server::new();
    server.answer("runs/create", 200, json!({"run": {}}));
    let info = json!({"run_id": "r", "experiment_id": "1", "status": "FINISHED"});
    let metrics = json!([{"key": "a", "value": 1, "timestamp": i64::MAX}]);
    server.answer(
        "runs/get",
        200,
        json!({"run": {"info": info, "data": {"metrics": metrics}}}),
    );
    let version = json!({"model_version": {"name": "m", "version": "one"}});
    server.answer("model-versions/create", 200, version);
    let client = server.client();
    let none = BTreeMap::new();
    let error = client.start_run("1", "r", &none).unwrap_err().to_string();
    assert!(
        error.contains("is not MLflow's: missing field `info`"),
        "{error}"
    );
    let error = client.run("r").unwrap_err().to_string();
    assert!(
        error.contains("a was measured at 9223372036854775807"),
        "{error}"
    );
    let error = client
        .create_version("m", "s", None, &none)
        .unwrap_err()
        .to_string();
    assert!(error.contains("\"one\" is no number"), "{error}");
}

#[test]
fn numbers_that_json_lacks_are_sent_and_read_by_name() {
    let server = Server::new();
    let sent = json!({"metrics": [{"value": "NaN"}, {"value": "-Infinity"}, {"value": 0.5}]});
    server.mount(
        Mock::given(path("/api/2.0/mlflow/runs/log-batch"))
            .and(body_partial_json(sent))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({}))),
    );
    let info = json!({"run_id": "r", "experiment_id": "1", "status": "RUNNING"});
    let metric = json!({"key": "a", "value": "NaN", "timestamp": 1});
    server.answer(
        "runs/get",
        200,
        json!({"run": {"info": info, "data": {"metrics": [metric]}}}),
    );
    let client = server.client();
    let values = [f64::NAN, f64::NEG_INFINITY, 0.5];
    let metrics = values.map(|value| MlflowMetric::new("a", value));
    client.log("r", &BTreeMap::new(), &metrics).unwrap();
    let run = client.run("r").unwrap();
    assert!(run.metrics[0].value.is_nan());
    assert_eq!(run.status, MlflowStatus::Running);
}

#[test]
fn a_token_is_sent_and_never_shown() {
    let server = Server::new();
    server.mount(
        Mock::given(header("authorization", "Bearer s3cret"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({}))),
    );
    let client = MlflowClient::new(&format!("{}/", server.server.uri()), Some("s3cret")).unwrap();
    client.register_model("m").unwrap();
    assert!(!format!("{client:?}").contains("s3cret"));
    let error = MlflowClient::new("http://localhost", Some("a\nb")).unwrap_err();
    assert!(!format!("{error} {:?}", error.source()).contains("a\\nb"));
}

#[test]
fn a_server_that_is_gone_is_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let address = format!("http://{}", free.unwrap());
    let error = MlflowClient::new(&address, None)
        .unwrap()
        .register_model("m")
        .unwrap_err();
    assert_eq!(error.to_string(), format!("{address} did not answer"));
    for address in ["", "localhost:5000", "ftp://x", "http://"] {
        let error = MlflowClient::new(address, None).unwrap_err();
        assert!(matches!(error, MlflowError::Address { .. }), "{error}");
    }
}
