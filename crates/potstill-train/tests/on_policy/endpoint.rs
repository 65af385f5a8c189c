//! A teacher behind a server, asked about what the student has just written.

use burn::prelude::Device;
use potstill_core::{GenerateOptions, Objective, Teacher, TokenRow, Vocabulary};
use potstill_data::{Loader, LoaderOptions};
use potstill_losses::{
    Divergence, SampledReverseKl, SampledReverseKlConfig, SparseDivergence, SparseTargetConfig,
};
use potstill_teachers::{
    Endpoint, EndpointConfig, EndpointTeacher, ModelTeacher, ServerKind, TokenBytes,
};
use potstill_testkit::{TableLm, plain_device};
use potstill_train::{Decay, Event, Flow, Rollouts, Schedule, Trainer, TrainerConfig};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const TOKENS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// A model that can only be asked over HTTP, as `potstill-serve` answers.
struct Server {
    runtime: Runtime,
    mock: MockServer,
}

impl Server {
    fn of(model: &TableLm) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mock = runtime.block_on(MockServer::start());
        let table = model.probabilities();
        let scores = Mock::given(method("POST"))
            .and(path("/v1/completions"))
            .respond_with(move |request: &Request| scored(&table, request));
        runtime.block_on(scores.mount(&mock));
        Self { runtime, mock }
    }

    /// A teacher that names `top` tokens of each row.
    fn teacher(&self, top: usize) -> EndpointTeacher {
        let config = EndpointConfig {
            server: Some(ServerKind::Potstill),
            likely_tokens: top,
            ..EndpointConfig::new(format!("{}/v1", self.mock.uri()), "table")
        };
        let bytes = TOKENS.map(|token| token.as_bytes().to_vec());
        let endpoint = Endpoint::new(config)
            .unwrap()
            .with_token_bytes(TokenBytes::new(bytes.into()).unwrap());
        EndpointTeacher::new(endpoint, Vocabulary::of_size(TOKENS.len()), top).unwrap()
    }

    fn requests(&self) -> usize {
        let requests = self.runtime.block_on(self.mock.received_requests());
        requests.unwrap().len()
    }
}

/// The echo of a prompt with its log-probabilities.
fn scored(table: &[Vec<f64>], request: &Request) -> ResponseTemplate {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let ids: Vec<usize> = match &body["prompt"] {
        Value::String(text) => text.bytes().map(|byte| byte as usize % 8).collect(),
        ids => serde_json::from_value(ids.clone()).unwrap(),
    };
    let named = usize::try_from(body["logprobs"].as_u64().unwrap_or(0)).unwrap();
    let (mut own, mut top_ids, mut top) = (vec![Value::Null], vec![vec![]], vec![vec![]]);
    for pair in ids.windows(2) {
        let mut row: Vec<(usize, f64)> =
            table[pair[0]].iter().map(|p| p.ln()).enumerate().collect();
        own.push(json!(row[pair[1]].1));
        row.sort_by(|a, b| b.1.total_cmp(&a.1));
        row.truncate(named);
        let (ids, values): (Vec<usize>, Vec<f64>) = row.into_iter().unzip();
        top_ids.push(ids);
        top.push(values);
    }
    let shown: Vec<&str> = ids.iter().map(|&id| TOKENS[id]).collect();
    ResponseTemplate::new(200).set_body_json(json!({
        "choices": [{"text": "", "index": 0, "finish_reason": "length", "logprobs": {
            "tokens": shown, "token_logprobs": own, "text_offset": vec![0; ids.len()],
            "token_ids": ids, "top_logprobs": null, "top_token_ids": top_ids,
            "top_logprob_values": top,
        }}],
        "usage": {"prompt_tokens": ids.len(), "completion_tokens": 0},
    }))
}

fn model() -> TableLm {
    TableLm::new(TOKENS.len(), 1, 1.5, 21, &plain_device())
}

fn rollouts() -> Rollouts<TableLm> {
    let rows: Vec<_> = (0..16)
        .map(|i| TokenRow::document(&[i % 3, i % 8], &[0.0; 2]))
        .collect();
    let loader = Loader::new(rows, LoaderOptions::shuffled(16, 1)).unwrap();
    let options = GenerateOptions {
        seed: 5,
        ..GenerateOptions::greedy(6)
    };
    Rollouts::new(loader, options, 0, &plain_device()).unwrap()
}

fn untaught() -> TableLm {
    TableLm::new(TOKENS.len(), 1, 0.1, 2, &Device::default())
}

/// The student after `steps` steps, and the loss of each.
fn taught(
    objective: impl Objective,
    teacher: impl Teacher + 'static,
    steps: usize,
) -> (TableLm, Vec<f64>) {
    let config = TrainerConfig {
        learning_rate: 0.1,
        schedule: Schedule {
            decay: Decay::Cosine,
            ..Schedule::default()
        },
        ..TrainerConfig::steps(steps)
    };
    let (send, losses) = std::sync::mpsc::channel();
    let mut trainer = Trainer::new(config, untaught(), objective, teacher, rollouts())
        .unwrap()
        .callback(move |event: &Event<'_>| {
            if let Event::Step { report, .. } = event {
                send.send(report.loss).unwrap();
            }
            Flow::Continue
        });
    trainer.run().unwrap();
    (trainer.student(), losses.try_iter().collect())
}

/// Mean KL(q‖p) over what a token can be behind.
fn distance(student: &TableLm) -> f64 {
    let (q, p) = (
        student.probabilities().concat(),
        model().probabilities().concat(),
    );
    let terms = q.iter().zip(p).map(|(q, p)| q * (q / p).ln());
    terms.sum::<f64>() / TOKENS.len() as f64
}

fn sampled() -> SampledReverseKl {
    SampledReverseKlConfig::new().init().unwrap()
}

#[test]
fn a_student_comes_close_to_the_model_behind_a_server_by_its_own_text() {
    let server = Server::of(&model());
    let untaught = distance(&untaught());
    let (student, _) = taught(sampled(), server.teacher(1), 80);
    let left = distance(&student) / untaught;
    assert!(left < 0.3, "sampled: {left} of {untaught}");

    let divergence = Divergence::ReverseKl;
    let with_tail = SparseTargetConfig::new(SparseDivergence::WithTail { divergence });
    let (student, _) = taught(with_tail.init().unwrap(), server.teacher(3), 80);
    let left = distance(&student) / untaught;
    assert!(left < 0.3, "with tail: {left} of {untaught}");
    // Each rollout of each step was scored.
    assert!(server.requests() > 160 * 16);
}

#[test]
fn one_named_token_a_row_teaches_by_samples_what_the_whole_model_does() {
    let server = Server::of(&model());
    let (remote, remote_losses) = taught(sampled(), server.teacher(1), 20);
    let (local, local_losses) = taught(sampled(), ModelTeacher::new(&model()), 20);
    for (remote, local) in remote_losses.iter().zip(&local_losses) {
        assert!((remote - local).abs() < 1e-4, "{remote} {local}");
    }
    let tables = [remote, local].map(|student| student.probabilities().concat());
    for (remote, local) in tables[0].iter().zip(&tables[1]) {
        assert!((remote - local).abs() < 1e-4, "{remote} {local}");
    }
}
