//! Tests of lesson.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use potstill_core::{ChatError, ChatFinish, ChatModel, ChatReply, ChatRequest, Role};
use potstill_testkit::ScriptedChat;

use super::super::{Farewells, LessonEnding, Meandering, QuizOptions, take_quiz};
use super::*;
use crate::{Content, Permission, Policy, Price, Terms};

const FACTS: [&str; 3] = [
    "A share is a part of the ownership of a company.",
    "Shares are traded on an exchange between buyers and sellers.",
    "A dividend is the part of the profit that a company pays to its owners.",
];

fn syllabus() -> Syllabus {
    let toml = format!(
        r#"
        title = "The stock market"
        [[topics]]
        id = "share"
        title = "What a share is"
        facts = [{{ id = "part", text = "{}" }}, {{ id = "exchange", text = "{}" }}]
        [[topics]]
        id = "dividend"
        title = "What a dividend is"
        requires = ["share"]
        facts = [{{ id = "profit", text = "{}" }}]
        [[quiz]]
        id = "q1"
        topic = "share"
        prompt = "What is a share?"
        answer = {{ kind = "text", accepted = ["part of a company"] }}
        [[quiz]]
        id = "q2"
        topic = "dividend"
        prompt = "Where does a dividend come from?"
        answer = {{ kind = "judged", reference = "from the profit" }}
    "#,
        FACTS[0], FACTS[1], FACTS[2]
    );
    Syllabus::from_toml(&toml, "test").unwrap()
}

fn system(request: &ChatRequest) -> &str {
    &request.messages[0].content
}

/// Teaches the first fact that its instructions name as open.
fn expert() -> ScriptedChat {
    ScriptedChat::new("expert-1", |request| {
        let turn = request.messages.len();
        match FACTS.iter().find(|fact| system(request).contains(*fact)) {
            Some(fact) => format!("Point {turn}: {fact} What do you make of that?"),
            None => format!("Number {turn}: which part is still not clear to you?"),
        }
    })
}

/// Says back a part of what it heard, and asks.
fn learner() -> ScriptedChat {
    ScriptedChat::new("learner-1", |request| {
        let heard = &request.messages.last().unwrap().content;
        let number = request.messages.len();
        let fact = FACTS.iter().find(|fact| heard.contains(**fact));
        match fact {
            Some(fact) => format!(
                "As I get it in step {number}, {} Is that always so?",
                fact.to_lowercase()
            ),
            None => format!("Hm, step {number} leaves me with a new question: why is it so?"),
        }
    })
}

fn lesson(teacher: ScriptedChat, student: ScriptedChat, options: LessonOptions) -> Lesson {
    let participants = vec![
        Participant::teacher("Ada", Arc::new(teacher)),
        Participant::student("Bob", Arc::new(student)),
    ];
    Lesson::new(syllabus(), participants, options).unwrap()
}

fn says(text: &'static str) -> ScriptedChat {
    ScriptedChat::new("parrot", move |_| text.to_owned())
}

#[track_caller]
fn assert_ended_by(transcript: &Transcript, guard: &str) {
    assert!(
        matches!(&transcript.ending, Some(LessonEnding::Guard { guard: found, .. }) if found == guard),
        "{:?} {:?}",
        transcript.ending,
        transcript.rejected
    );
}

#[test]
fn a_lesson_ends_when_every_fact_is_covered() {
    let transcript = lesson(expert(), learner(), LessonOptions::default())
        .hold()
        .unwrap();
    assert_eq!(transcript.ending, Some(LessonEnding::Covered));
    assert_eq!(transcript.turns.len(), 6);
    assert_eq!(
        (transcript.coverage.told(), transcript.coverage.said_back()),
        (1.0, 1.0)
    );
    assert_eq!(
        transcript
            .turns
            .iter()
            .map(|turn| turn.topic)
            .collect::<Vec<_>>(),
        [0, 0, 0, 1, 1, 1]
    );
    assert!(transcript.rejected.is_empty(), "{:?}", transcript.rejected);
    assert!(transcript.usage().completion_tokens > 50);
}

#[test]
fn a_student_that_never_says_anything_back_is_asked_until_the_limit() {
    let options = LessonOptions {
        must_be_said_back: true,
        limits: Limits {
            turns: 8,
            ..Limits::default()
        },
        patience: 20,
        ..LessonOptions::default()
    };
    let vague = ScriptedChat::new("vague", |request| {
        format!("Hm, number {}?", request.messages.len())
    });
    let lesson = lesson(expert(), vague, options).with_guards(Vec::new());
    let transcript = lesson.hold().unwrap();
    assert_eq!(transcript.ending, Some(LessonEnding::Turns));
    assert_eq!(
        (transcript.turns.len(), transcript.coverage.said_back()),
        (8, 0.0)
    );
}

#[test]
fn tokens_are_limited() {
    let options = LessonOptions {
        limits: Limits {
            tokens: Some(100),
            ..Limits::default()
        },
        ..LessonOptions::default()
    };
    let transcript = lesson(expert(), learner(), options).hold().unwrap();
    assert_eq!(transcript.ending, Some(LessonEnding::Tokens));
}

#[test]
fn a_turn_that_a_guard_rejects_is_said_again_with_the_correction() {
    let teacher = ScriptedChat::new("hasty", |request| {
        if system(request).contains("Do not write what Bob says") {
            return FACTS[0].to_owned();
        }
        format!("{}\nBob: I see!", FACTS[0])
    });
    let options = LessonOptions {
        limits: Limits {
            turns: 1,
            ..Limits::default()
        },
        ..LessonOptions::default()
    };
    let transcript = lesson(teacher, learner(), options).hold().unwrap();
    assert_eq!(transcript.turns[0].text, FACTS[0]);
    assert_eq!(transcript.rejected.len(), 1);
    assert_eq!(transcript.rejected[0].finding.guard, "role-flip");
}

#[test]
fn patience_ends() {
    let transcript = lesson(says("..."), learner(), LessonOptions::default())
        .hold()
        .unwrap();
    assert_ended_by(&transcript, "empty-turn");
    assert_eq!((transcript.turns.len(), transcript.rejected.len()), (0, 3));

    let transcript = lesson(
        expert(),
        says("Let me explain shares to you."),
        LessonOptions::default(),
    );
    assert_ended_by(&transcript.hold().unwrap(), "role-flip");

    let chatty = ScriptedChat::new("chatty", |request| {
        format!(
            "Number {} on butter, flour and apples in grandmother's recipe collection.",
            request.messages.len()
        )
    });
    let lesson = lesson(chatty, learner(), LessonOptions::default())
        .with_guards(vec![Box::new(Meandering::default())]);
    let transcript = lesson.hold().unwrap();
    assert_ended_by(&transcript, "meandering");
    assert!(!transcript.turns.is_empty() && transcript.rejected.is_empty());
}

#[test]
fn goodbyes_end_a_lesson_only_when_they_do_not_stop() {
    let polite = || {
        ScriptedChat::new("polite", |request| {
            format!("Thank you, that was part {}.", request.messages.len())
        })
    };
    let participants = vec![
        Participant::teacher("Ada", Arc::new(polite())),
        Participant::student("Bob", Arc::new(polite())),
    ];
    let lesson = Lesson::new(syllabus(), participants, LessonOptions::default())
        .unwrap()
        .with_guards(vec![Box::new(Farewells { most: 2 })]);
    let transcript = lesson.hold().unwrap();
    assert_eq!(transcript.turns.len(), 2);
    assert_ended_by(&transcript, "farewells");
}

#[test]
fn a_warning_reaches_the_next_teacher() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&heard);
    let teacher = ScriptedChat::new("stray", move |request| {
        notes
            .lock()
            .unwrap()
            .push(system(request).contains("Come back to the topic"));
        if request.messages.len() < 3 {
            "Apples, butter and flour make a wonderful cake.".into()
        } else {
            FACTS[0].into()
        }
    });
    let options = LessonOptions {
        limits: Limits {
            turns: 4,
            ..Limits::default()
        },
        ..LessonOptions::default()
    };
    lesson(teacher, learner(), options).hold().unwrap();
    assert_eq!(*heard.lock().unwrap(), [false, true]);
}

#[test]
fn any_model_can_teach_any_other() {
    let named = |name: &str, script: ScriptedChat| {
        ScriptedChat::new(name, move |request| {
            let reply = script.chat(std::slice::from_ref(request)).pop();
            reply
                .expect("one request, one reply")
                .expect("it answers")
                .text
        })
    };
    for teacher in ["large", "small"] {
        for student in ["large", "small"] {
            let lesson = lesson(
                named(teacher, expert()),
                named(student, learner()),
                LessonOptions::default(),
            );
            let transcript = lesson.hold().unwrap();
            assert_eq!(transcript.ending, Some(LessonEnding::Covered));
            let models: Vec<&str> = transcript
                .speakers
                .iter()
                .map(|speaker| speaker.model.as_str())
                .collect();
            assert_eq!(models, [teacher, student]);
        }
    }
}

#[test]
fn specialists_teach_their_topics_and_every_student_has_a_turn() {
    let participants = vec![
        Participant::teacher("Ada", Arc::new(expert())).with_topics(["share"]),
        Participant::teacher("Carl", Arc::new(expert())).with_topics(["dividend"]),
        Participant::student("Bob", Arc::new(learner())),
        Participant::student(
            "Dora",
            Arc::new(ScriptedChat::new("other", |request| {
                format!(
                    "And what about case {}? I wonder who decides that.",
                    request.messages.len()
                )
            })),
        ),
    ];
    let transcript = Lesson::new(syllabus(), participants, LessonOptions::default())
        .unwrap()
        .hold()
        .unwrap();
    assert_eq!(transcript.ending, Some(LessonEnding::Covered));
    let speakers: Vec<&str> = transcript
        .turns
        .iter()
        .map(|turn| turn.speaker.as_str())
        .collect();
    assert_eq!(
        speakers,
        [
            "Ada", "Bob", "Dora", "Ada", "Bob", "Dora", "Carl", "Bob", "Dora"
        ]
    );
    let records = transcript.records(None, "Teach me.", 64).unwrap();
    assert_eq!(records.len(), 2);
    let Content::Messages(messages) = &records[1].content else {
        panic!("it is a conversation")
    };
    assert!(messages[0].content.contains("Ada: ") && messages[0].content.contains("Dora: "));
    assert_eq!(messages.len(), 2);
}

#[test]
fn records_alternate_begin_with_the_user_and_end_with_the_teacher() {
    let transcript = lesson(expert(), learner(), LessonOptions::default())
        .hold()
        .unwrap();
    let records = transcript
        .records(Some("You teach."), "Please teach me.", 2)
        .unwrap();
    assert_eq!(records.len(), 3);
    for record in &records {
        let Content::Messages(messages) = &record.content else {
            panic!("it is a conversation")
        };
        let roles: Vec<&Role> = messages.iter().map(|message| &message.role).collect();
        assert_eq!(roles, [&Role::System, &Role::User, &Role::Assistant]);
        assert!(FACTS.iter().any(|fact| messages[2].content.contains(fact)));
    }
    assert_eq!(records[2].meta["lesson"]["parts"], 3);
}

/// Settings under which a transcript is the same byte for byte.
fn timeless() -> LessonOptions {
    LessonOptions {
        clock: || Timestamp::UNIX_EPOCH,
        ..LessonOptions::default()
    }
}

/// A teacher that strays at first, flips roles in between and is empty at times.
fn unsteady() -> ScriptedChat {
    let steady = expert();
    ScriptedChat::new("unsteady-1", move |request| {
        let told = system(request);
        let corrected = told.contains("Do not write what Bob says") || told.contains("was empty");
        match request.messages.len() {
            2 => "Apples, butter and flour make a wonderful cake.".into(),
            4 if !corrected => format!("{}\nBob: I see!", FACTS[0]),
            6 if !corrected => String::new(),
            _ => {
                let reply = steady.chat(std::slice::from_ref(request)).remove(0);
                reply.expect("it answers").text
            }
        }
    })
}

/// Saves what lies in `file` when each request is made, which is what a kill would leave there.
fn watched(
    model: ScriptedChat,
    file: PathBuf,
    seen: &Arc<Mutex<Vec<Option<Vec<u8>>>>>,
) -> ScriptedChat {
    let seen = Arc::clone(seen);
    let name = model.name().to_owned();
    ScriptedChat::with_replies(name, move |request| {
        seen.lock().unwrap().push(fs::read(&file).ok());
        model.chat(std::slice::from_ref(request)).remove(0)
    })
}

#[test]
fn a_lesson_that_is_killed_anywhere_goes_on_to_the_same_bytes() {
    let limited = |tokens| LessonOptions {
        limits: Limits {
            tokens,
            ..Limits::default()
        },
        ..timeless()
    };
    for (options, rejected, turns) in [
        (timeless(), 2, 8),
        // The limit is reached by an attempt that does not stay.
        (limited(Some(300)), 1, 2),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lesson.json");
        let seen = Arc::default();
        let teacher = watched(unsteady(), file.clone(), &seen);
        let student = watched(learner(), file.clone(), &seen);
        let whole = lesson(teacher, student, options.clone())
            .hold_in(&file, |_| ())
            .unwrap();
        assert_eq!(
            (whole.rejected.len(), whole.turns.len()),
            (rejected, turns),
            "{whole:#?}"
        );
        assert!(!whole.turns[0].warnings.is_empty());
        let whole = fs::read(&file).unwrap();

        let left_behind = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(left_behind.len(), rejected + turns);
        for left in left_behind {
            match left {
                Some(bytes) => fs::write(&file, bytes).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
            lesson(unsteady(), learner(), options.clone())
                .hold_in(&file, |_| ())
                .unwrap();
            assert_eq!(
                String::from_utf8(fs::read(&file).unwrap()),
                String::from_utf8(whole.clone())
            );
        }
    }
}

#[test]
fn a_lesson_whose_model_fails_keeps_what_was_said_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (
        folder.path().join("whole.json"),
        folder.path().join("cut.json"),
    );
    lesson(unsteady(), learner(), timeless())
        .hold_in(&whole, |_| ())
        .unwrap();
    for answers in 0..6 {
        let left = AtomicUsize::new(answers);
        let dying = unsteady();
        let teacher = ScriptedChat::fallible("unsteady-1", move |request| {
            let alive = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
            alive.map_err(|_| ChatError::Budget("out of money".into()))?;
            Ok(dying.chat(std::slice::from_ref(request)).remove(0)?.text)
        });
        let _ = fs::remove_file(&cut);
        let error = lesson(teacher, learner(), timeless())
            .hold_in(&cut, |_| ())
            .unwrap_err();
        assert_eq!(error.to_string(), "Ada did not answer");
        lesson(unsteady(), learner(), timeless())
            .hold_in(&cut, |_| ())
            .unwrap();
        assert_eq!(fs::read(&cut).unwrap(), fs::read(&whole).unwrap());
    }
}

#[test]
fn a_turn_that_is_cut_off_is_said_again_and_one_that_ends_is_not() {
    let endless = ScriptedChat::with_replies("endless", |request| {
        let mut reply = ChatReply::new(format!("{} And so on and", FACTS[0]));
        if system(request).contains("was cut off") {
            reply.text = FACTS[0].into();
        } else {
            reply.finish = ChatFinish::Length;
        }
        Ok(reply)
    });
    let options = LessonOptions {
        limits: Limits {
            turns: 2,
            ..Limits::default()
        },
        ..timeless()
    };
    let transcript = lesson(endless, learner(), options).hold().unwrap();
    assert_eq!(transcript.turns[0].text, FACTS[0]);
    let stopped: Vec<&str> = transcript
        .rejected
        .iter()
        .map(|rejected| rejected.finding.guard.as_str())
        .collect();
    assert_eq!(stopped, ["cut-off"]);
}

#[test]
fn cost_is_limited_and_needs_prices() {
    let priced = |price: Option<Price>| {
        let with = |mut one: Participant| {
            one.price = price;
            one
        };
        let participants = vec![
            with(Participant::teacher("Ada", Arc::new(expert()))),
            with(Participant::student("Bob", Arc::new(learner()))),
        ];
        let options = LessonOptions {
            limits: Limits {
                cost: Some(0.5),
                ..Limits::default()
            },
            ..timeless()
        };
        Lesson::new(syllabus(), participants, options)
    };
    let price = |million| Price {
        prompt_per_million: million,
        completion_per_million: million,
    };
    let ended = |million| priced(Some(price(million))).unwrap().hold().unwrap().ending;
    assert_eq!(ended(1.0), Some(LessonEnding::Covered));
    assert_eq!(ended(5_000.0), Some(LessonEnding::Cost));
    assert_eq!(
        priced(None).unwrap_err().to_string(),
        "the lesson may cost 0.5, but nobody knows what the tokens of \"Ada\" cost; give it a price"
    );
}

#[test]
fn records_of_a_lesson_pass_a_policy_only_under_the_terms_of_everybody_who_spoke() {
    let participants = vec![
        Participant::teacher("Ada", Arc::new(expert())).with_terms("vendor"),
        Participant::student("Bob", Arc::new(learner())).with_terms("apache"),
    ];
    let transcript = Lesson::new(syllabus(), participants, timeless())
        .unwrap()
        .hold()
        .unwrap();
    let records = transcript.records(None, "Teach me.", 2).unwrap();
    let made_by = records[0].provenance().unwrap();
    let models: Vec<_> = made_by
        .iter()
        .map(|one| {
            (
                one.model.as_str(),
                one.terms.as_deref(),
                one.template.as_str(),
            )
        })
        .collect();
    assert_eq!(
        models,
        [
            ("expert-1", Some("vendor"), "teacher"),
            ("learner-1", Some("apache"), "student")
        ]
    );
    let prompt = DialoguePrompts::default().teacher.sha256();
    assert_eq!(made_by[0].template_sha256, prompt);
    assert_eq!(made_by[0].request_sha256, transcript.lesson_sha256);

    let terms = |allows_training| Terms {
        name: "some terms".into(),
        url: None,
        read_on: "2026-11-22".into(),
        allows_training,
        conditions: None,
    };
    let mut policy = Policy {
        people: true,
        ..Policy::default()
    };
    policy.terms.insert("apache".into(), terms(Permission::Yes));
    let error = policy.check(&records).unwrap_err().to_string();
    assert!(
        error.contains("does not know the terms \"vendor\""),
        "{error}"
    );
    policy.terms.insert("vendor".into(), terms(Permission::No));
    assert!(policy.check(&records).is_err());
    policy.terms.insert("vendor".into(), terms(Permission::Yes));
    assert_eq!(policy.check(&records).unwrap().by_people, 0);
}

#[test]
fn silence_never_makes_two_turns_of_one_side_in_a_row() {
    // A lesson whose student says nothing at times: no turn is skipped, it is asked for again.
    let quiet = ScriptedChat::new("quiet", |request| {
        let corrected = system(request).contains("was empty");
        let number = request.messages.len();
        if corrected {
            format!("In step {number} I wonder: why is it so?")
        } else {
            " ".into()
        }
    });
    let transcript = lesson(expert(), quiet, timeless()).hold().unwrap();
    assert_eq!(transcript.ending, Some(LessonEnding::Covered));
    assert_eq!(transcript.rejected.len(), transcript.turns.len() / 2);
    let parts = transcript.turns.iter().map(|turn| turn.part);
    let expected = [Part::Teacher, Part::Student].into_iter().cycle();
    assert!(parts.zip(expected).all(|(part, expected)| part == expected));
    for record in transcript.records(None, "Teach me.", 64).unwrap() {
        let Content::Messages(messages) = &record.content else {
            panic!("it is a conversation")
        };
        assert!(messages.windows(2).all(|pair| pair[0].role != pair[1].role));
        assert!(
            messages
                .iter()
                .all(|message| !message.content.trim().is_empty())
        );
    }
}

#[test]
fn another_lesson_is_not_continued() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lesson.json");
    lesson(expert(), learner(), LessonOptions::default())
        .hold_in(&path, |_| ())
        .unwrap();
    let other = LessonOptions {
        seed: 1,
        ..LessonOptions::default()
    };
    let error = lesson(expert(), learner(), other)
        .hold_in(&path, |_| ())
        .unwrap_err();
    assert!(
        matches!(error, DialogueError::OtherLesson { .. }),
        "{error}"
    );
    fs::write(&path, "{").unwrap();
    let error = lesson(expert(), learner(), LessonOptions::default())
        .hold_in(&path, |_| ())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("lesson.json is not a saved lesson"),
        "{error}"
    );
}

#[test]
fn a_lesson_needs_both_parts_and_different_names() {
    let alone = vec![Participant::teacher("Ada", Arc::new(expert()))];
    let error = Lesson::new(syllabus(), alone, LessonOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a lesson needs a teacher and a student; it has 1 and 0"
    );
    let twins = vec![
        Participant::teacher("Ada", Arc::new(expert())),
        Participant::student("Ada", Arc::new(learner())),
    ];
    let error = Lesson::new(syllabus(), twins, LessonOptions::default()).unwrap_err();
    assert!(matches!(error, DialogueError::SameName(name) if name == "Ada"));
}

#[test]
fn a_quiz_is_graded_exactly_or_by_a_judge_who_sees_the_source() {
    let mut syllabus = syllabus();
    syllabus.source = Some("Dividends come out of profit.".into());
    let student = ScriptedChat::new("learner-2", |request| {
        let dividend = request.messages[0].content.contains("dividend");
        if dividend {
            "From the earnings.".into()
        } else {
            "It is a part of a company.".into()
        }
    });
    let judge = ScriptedChat::new("judge", |request| {
        let text = &request.messages[0].content;
        let sees =
            text.contains("Dividends come out of profit.") && text.contains("From the earnings.");
        if sees {
            "Correct.".into()
        } else {
            "wrong".into()
        }
    });
    let result = take_quiz(&student, &syllabus, Some(&judge), &QuizOptions::default()).unwrap();
    assert_eq!((result.score(), judge.requests()), (1.0, 1));
    let error = take_quiz(&student, &syllabus, None, &QuizOptions::default()).unwrap_err();
    assert!(matches!(error, DialogueError::Model { .. }), "{error}");
}

#[test]
fn a_drafted_syllabus_is_checked() {
    let prompts = DialoguePrompts::default();
    let draft = |text: &'static str| {
        super::super::draft_syllabus(&says(text), "Bees", Some("Bees fly."), (1, 1), &prompts)
    };
    let good = draft(
        r#"Sure! {"title": "Bees", "topics": [{"id": "t", "title": "Flight", "facts": [{"id": "f", "text": "Bees fly."}]}]} Enjoy."#,
    );
    assert_eq!(good.unwrap().source.as_deref(), Some("Bees fly."));
    let error = draft(r#"{"title": "Bees", "topics": []}"#)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "the draft of parrot is not a syllabus: it has no topic with a key fact"
    );
    assert!(draft("I would rather not.").is_err());
}
