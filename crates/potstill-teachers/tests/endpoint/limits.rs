//! Retries, pauses, rates, budgets, deadlines.

use std::error::Error as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use potstill_core::{ChatError, ChatModel, Sampling};
use potstill_teachers::{Budget, Endpoint, EndpointConfig, Error, Prices};
use wiremock::{Request, ResponseTemplate};

use crate::server::{InTurn, Server, config, echoing, question, raw, saying};

fn status(code: u16) -> ResponseTemplate {
    ResponseTemplate::new(code).set_body_string(r#"{"error": {"message": "not now"}}"#)
}

/// The endpoint's own error behind a chat's.
fn cause(error: &ChatError) -> &Error {
    error.source().unwrap().downcast_ref().unwrap()
}

fn chat_once(config: EndpointConfig) -> (Result<String, ChatError>, Endpoint) {
    let endpoint = Endpoint::new(config).unwrap();
    let reply = endpoint.chat(&[question("hello")]).remove(0);
    (reply.map(|reply| reply.text), endpoint)
}

#[test]
fn what_can_succeed_is_tried_again() {
    for code in [408, 409, 429, 500, 502, 503, 504] {
        let server = Server::chatting(InTurn::new([status(code), status(code), saying("hi")]));
        let (reply, endpoint) = chat_once(server.config());
        assert_eq!(reply.unwrap(), "hi", "{code}");
        assert_eq!(endpoint.spending().retries, 2);
    }
}

#[test]
fn what_cannot_succeed_is_sent_once_and_told() {
    for code in [400, 401, 403, 404, 413, 422, 501, 302] {
        let server = Server::chatting(status(code));
        let (reply, endpoint) = chat_once(server.config());
        let error = reply.unwrap_err();
        let told = match &error {
            ChatError::BadRequest { reason, .. } => reason.clone(),
            error => cause(error).to_string(),
        };
        assert!(told.contains("not now"), "{code}: {told}");
        assert_eq!(
            (server.requests().len(), endpoint.spending().failed),
            (1, 1)
        );
    }
}

#[test]
fn an_account_without_credit_is_not_asked_again() {
    let broke =
        r#"{"error": {"message": "you exceeded your quota", "code": "insufficient_quota"}}"#;
    let server = Server::chatting(ResponseTemplate::new(429).set_body_string(broke));
    let error = chat_once(server.config()).0.unwrap_err();
    assert!(
        cause(&error)
            .to_string()
            .contains("you exceeded your quota")
    );
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_error_that_comes_with_status_200_is_tried_again_as_the_error_that_it_is() {
    let hidden = r#"{"error": {"message": "upstream is busy", "code": 429}}"#;
    let hidden = ResponseTemplate::new(200).set_body_string(hidden);
    let server = Server::chatting(InTurn::new([hidden, saying("hi")]));
    assert_eq!(chat_once(server.config()).0.unwrap(), "hi");
}

#[test]
fn giving_up_says_how_often_and_why() {
    let server = Server::chatting(status(500));
    let error = chat_once(server.config()).0.unwrap_err();
    let error = cause(&error);
    assert!(error.to_string().ends_with("after 3 attempts"), "{error}");
    let last = error.source().unwrap().to_string();
    assert!(
        last.ends_with("refuses the request with status 500: not now"),
        "{last}"
    );
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn nobody_at_the_address_is_tried_again_and_told() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let (reply, endpoint) = chat_once(config(&address));
    let error = reply.unwrap_err();
    let last = cause(&error).source().unwrap().to_string();
    assert!(last.ends_with("cannot be reached"), "{last}");
    assert_eq!(endpoint.spending().tokens(), 0);
}

#[test]
fn retry_after_is_honored_in_seconds_and_as_a_date() {
    let date = || httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(2));
    let seconds = || "1".to_owned();
    for after in [&seconds as &dyn Fn() -> String, &date] {
        let after = after();
        let busy = status(429).insert_header("retry-after", after.as_str());
        let server = Server::chatting(InTurn::new([busy, saying("hi")]));
        let start = Instant::now();
        assert_eq!(chat_once(server.config()).0.unwrap(), "hi");
        let waited = start.elapsed().as_secs_f64();
        assert!((0.9..4.0).contains(&waited), "{after}: {waited}");
    }
}

#[test]
fn a_pause_that_is_too_long_ends_the_request() {
    let server = Server::chatting(status(429).insert_header("retry-after", "3600"));
    let start = Instant::now();
    let error = chat_once(server.config()).0.unwrap_err();
    let message = cause(&error).to_string();
    assert!(message.contains("come back in 3600 s"), "{message}");
    assert!(start.elapsed() < Duration::from_secs(2));
}

/// Answers two requests in ten milliseconds and refuses the others.
fn easily_overloaded() -> impl Fn(&Request) -> ResponseTemplate {
    let recent: Mutex<Vec<Instant>> = Mutex::default();
    move |request| {
        let mut recent = recent.lock().unwrap();
        recent.retain(|answered| answered.elapsed() < Duration::from_millis(10));
        if recent.len() == 2 {
            return status(429);
        }
        recent.push(Instant::now());
        echoing(request)
    }
}

#[test]
fn overload_makes_it_slower_and_loses_nothing() {
    let server = Server::chatting(easily_overloaded());
    let mut config = server.config();
    config.limits.concurrency = 12;
    config.retry.attempts = 50;
    let endpoint = Endpoint::new(config).unwrap();
    let requests: Vec<_> = (0..60).map(|n| question(&format!("q{n}"))).collect();
    let texts = endpoint
        .chat(&requests)
        .into_iter()
        .map(|reply| reply.unwrap().text);
    let expected = (0..60).map(|n| format!("q{n}"));
    assert!(texts.eq(expected));
    assert!(endpoint.spending().retries > 0);
}

#[test]
fn a_server_that_is_down_is_not_asked_for_ever() {
    let server = Server::chatting(InTurn::new(
        std::iter::once(saying("hi"))
            .chain(vec![status(503); 12])
            .chain([saying("up again")])
            .collect::<Vec<_>>(),
    ));
    let mut config = server.config();
    config.limits.concurrency = 1;
    config.retry.failures_in_a_row = 4;
    let endpoint = Endpoint::new(config.clone()).unwrap();
    let requests: Vec<_> = (0..100).map(|n| question(&format!("q{n}"))).collect();
    let replies = endpoint.chat(&requests);
    assert!(replies[0].is_ok());
    // Four requests of three attempts each.
    assert_eq!(server.requests().len(), 13);
    let message = cause(replies[99].as_ref().unwrap_err()).to_string();
    assert!(message.contains("4 requests in a row failed"), "{message}");
    assert!(message.contains("after 3 attempts"), "{message}");
    // Another run is another try.
    assert_eq!(chat_once(config).0.unwrap(), "up again");
}

#[test]
fn the_seconds_of_a_budget_end_a_run() {
    let slow = saying("hi").set_delay(Duration::from_millis(50));
    let server = Server::chatting(slow);
    let mut config = server.config();
    config.limits.concurrency = 1;
    config.budget.seconds = Some(0.2);
    let endpoint = Endpoint::new(config).unwrap();
    let requests: Vec<_> = (0..50).map(|n| question(&format!("q{n}"))).collect();
    let replies = endpoint.chat(&requests);
    assert!(replies[0].is_ok());
    assert!(matches!(replies[49], Err(ChatError::Budget(_))));
    assert!(server.requests().len() < 10);
}

#[test]
fn requests_a_minute_are_kept() {
    let server = Server::chatting(echoing);
    let mut config = server.config();
    // 20 a second, and six seconds' worth may come at once.
    config.limits.requests_per_minute = Some(1200.0);
    let endpoint = Endpoint::new(config).unwrap();
    let requests: Vec<_> = (0..130).map(|n| question(&format!("q{n}"))).collect();
    let start = Instant::now();
    assert!(endpoint.chat(&requests).iter().all(Result::is_ok));
    // 120 at once, and 10 more in half a second.
    assert!(start.elapsed() >= Duration::from_millis(400));
}

#[test]
fn a_hanging_server_is_left_after_the_deadline() {
    let (address, count) = raw(vec![None]);
    let mut config = config(&address);
    config.limits.attempt_seconds = 0.05;
    let start = Instant::now();
    let (reply, endpoint) = chat_once(config);
    let error = reply.unwrap_err();
    let last = cause(&error).source().unwrap().to_string();
    assert!(last.ends_with("did not answer within 0.05 s"), "{last}");
    assert_eq!(count.load(Ordering::Relaxed), 3);
    assert!(start.elapsed() < Duration::from_secs(5));
    // The server may have worked, and charged.
    assert!(endpoint.spending().unaccounted_tokens > 0);
}

#[test]
fn a_request_ends_with_its_own_deadline_whatever_the_attempts() {
    let (address, _) = raw(vec![None]);
    let mut config = config(&address);
    config.limits.attempt_seconds = 60.0;
    config.limits.request_seconds = 0.2;
    let start = Instant::now();
    assert!(chat_once(config).0.is_err());
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_token_budget_stops_before_it_is_exceeded() {
    let server = Server::chatting(echoing);
    let mut config = server.config();
    config.budget = Budget {
        tokens: Some(300),
        ..Budget::default()
    };
    let endpoint = Endpoint::new(config).unwrap();
    let requests: Vec<_> = (0..60).map(|n| question(&format!("q{n}"))).collect();
    let replies = endpoint.chat(&requests);
    let answered = replies.iter().filter(|reply| reply.is_ok()).count();
    // Each costs 12 and may cost at most about 110.
    assert!((10..25).contains(&answered), "{answered}");
    assert_eq!(server.requests().len(), answered);
    assert!(endpoint.spending().tokens() <= 300);
    let refused = replies
        .iter()
        .find_map(|reply| reply.as_ref().err())
        .unwrap();
    assert!(matches!(refused, ChatError::Budget(_)), "{refused}");
}

#[test]
fn a_money_budget_stops_and_the_cost_is_shown_as_it_grows() {
    let server = Server::chatting(echoing);
    let mut config = server.config();
    config.prices = Some(Prices {
        input_per_million: 1e6,
        output_per_million: 1e6,
        currency: "EUR".into(),
    });
    config.budget.money = Some(200.0);
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = lines.clone();
    let endpoint = Endpoint::new(config)
        .unwrap()
        .with_observer(move |spending| seen.lock().unwrap().push(spending.to_string()));
    let requests: Vec<_> = (0..40).map(|n| question(&format!("q{n}"))).collect();
    let replies = endpoint.chat(&requests);
    assert!(
        replies
            .iter()
            .any(|reply| matches!(reply, Err(ChatError::Budget(_))))
    );
    let money = endpoint.spending().money.unwrap();
    assert!((12.0..=200.0).contains(&money), "{money}");
    let lines = lines.lock().unwrap();
    assert!(
        lines.iter().any(|line| line.ends_with("; 12.0000 EUR")),
        "{lines:?}"
    );
}

#[test]
fn equal_requests_at_a_temperature_are_draws_of_their_own() {
    let server = Server::chatting(InTurn::new([saying("one"), saying("two")]));
    let mut config = server.config();
    config.limits.concurrency = 1;
    let endpoint = Endpoint::new(config).unwrap();
    let drawn = question("hello").with_sampling(Sampling::temperature(1.0));
    let replies = endpoint.chat(&[drawn.clone(), drawn]);
    let texts: Vec<String> = replies
        .into_iter()
        .map(|reply| reply.unwrap().text)
        .collect();
    assert_eq!(texts, ["one", "two"]);
}
