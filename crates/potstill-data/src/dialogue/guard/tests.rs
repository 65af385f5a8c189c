//! Tests of guard.

use potstill_core::TokenLogProb;

use super::*;

fn syllabus() -> Syllabus {
    let toml = r#"
        title = "The stock market"
        [[topics]]
        id = "share"
        title = "What a share is"
        facts = [
            { id = "part", text = "A share is a part of the ownership of a company." },
            { id = "exchange", text = "The exchange opens at 9 in the morning.", contradictions = ["The exchange is open all night"] },
        ]
    "#;
    Syllabus::from_toml(toml, "test").unwrap()
}

fn speakers() -> [Speaker; 2] {
    let speaker = |name: &str, part| Speaker {
        name: name.into(),
        part,
        model: "scripted".into(),
        terms: None,
        prompt_sha256: String::new(),
    };
    [speaker("Ada", Part::Teacher), speaker("Bob", Part::Student)]
}

fn turn(part: Part, text: &str, told: f64) -> Turn {
    let name = if part == Part::Teacher { "Ada" } else { "Bob" };
    Turn {
        speaker: name.into(),
        part,
        topic: 0,
        text: text.into(),
        usage: None,
        warnings: Vec::new(),
        told,
        said_back: 0.0,
    }
}

/// Names of the default guards that find something.
fn found(part: Part, text: &str, turns: &[Turn], tokens: Option<&[ChatToken]>) -> Vec<String> {
    let (speakers, syllabus) = (speakers(), syllabus());
    let draft = Draft {
        text,
        cut_off: false,
        tokens,
        speaker: &speakers[usize::from(part == Part::Student)],
        speakers: &speakers,
        turns,
        syllabus: &syllabus,
        topic: 0,
    };
    default_guards()
        .iter()
        .filter_map(|guard| guard.examine(&draft))
        .map(|finding| finding.guard)
        .collect()
}

#[track_caller]
fn assert_found(part: Part, text: &str, turns: &[Turn], expected: &[&str]) {
    assert_eq!(found(part, text, turns, None), expected, "{text}");
}

const GOOD: &str =
    "A share is a small part of a company: whoever has it owns a part of the company.";

#[test]
fn a_lesson_in_order_passes() {
    let turns = [
        turn(Part::Teacher, GOOD, 0.5),
        turn(
            Part::Student,
            "So if I own a share, I own a bit of the company? Which company?",
            0.5,
        ),
    ];
    assert_found(Part::Teacher, GOOD, &[], &[]);
    assert_found(Part::Student, &turns[1].text, &turns[..1], &[]);
    assert_found(
        Part::Teacher,
        "Right. Shares of a company are traded on the exchange, which opens at 9 in the morning. What would you do at noon?",
        &turns,
        &[],
    );
}

#[test]
fn an_empty_turn_is_rejected() {
    assert_found(Part::Student, " ...\n", &[], &["empty-turn"]);
}

#[test]
fn an_echo_is_rejected() {
    let turns = [turn(Part::Teacher, GOOD, 0.5)];
    assert_found(Part::Student, GOOD, &turns, &["echo"]);
}

#[test]
fn repetition_is_rejected() {
    let turns = [
        turn(Part::Teacher, GOOD, 0.5),
        turn(Part::Student, "I see, and then what happens?", 0.5),
    ];
    assert_found(
        Part::Teacher,
        &format!("Well. {GOOD}"),
        &turns,
        &["repetition"],
    );
    let again = "own the company and ".repeat(9);
    assert_found(Part::Student, &again, &turns[..1], &["repetition"]);
}

#[test]
fn a_flipped_role_is_rejected() {
    assert_found(
        Part::Student,
        "Let me explain what a share is.",
        &[],
        &["role-flip"],
    );
    let turns = [turn(Part::Student, "Hello Ada, I am here.", 0.0)];
    assert_found(
        Part::Teacher,
        "Could you explain that to me? What is a share of a company?",
        &turns,
        &["role-flip"],
    );
    assert_found(
        Part::Teacher,
        "A share is a part of a company.\nBob: I understand the share now.",
        &turns,
        &["role-flip"],
    );
}

#[test]
fn endless_thanks_are_rejected() {
    let turns = [
        turn(Part::Student, "Thank you so much, Ada!", 1.0),
        turn(Part::Teacher, "You're welcome, Bob.", 1.0),
    ];
    assert_found(
        Part::Student,
        "Thanks, that was great.",
        &turns[..1],
        &["farewells"],
    );
    assert!(found(Part::Student, "Goodbye!", &turns, None).contains(&"farewells".into()));
    assert_found(
        Part::Student,
        "Thanks, but what is an owner of a share?",
        &turns[..1],
        &[],
    );
}

#[test]
fn meandering_is_noticed() {
    assert_found(
        Part::Teacher,
        "My favorite recipe needs flour, butter, sugar and plenty of ripe apples from grandmother's garden.",
        &[],
        &["meandering"],
    );
    let idle: Vec<Turn> = ["one", "two", "three"]
        .iter()
        .map(|text| {
            turn(
                Part::Teacher,
                &format!("Shares of the company, part {text}."),
                0.5,
            )
        })
        .collect();
    assert_found(
        Part::Teacher,
        "The company has shares, as I told.",
        &idle[..2],
        &[],
    );
    assert_found(
        Part::Teacher,
        "The company has shares, as I told.",
        &idle,
        &["meandering"],
    );
}

#[test]
fn a_contradicted_fact_is_rejected() {
    for wrong in [
        "The exchange opens at 8 in the morning.",
        "The exchange never opens in the morning, not even at 9.",
        "You can always trade: the exchange is open all night.",
    ] {
        assert_found(Part::Teacher, wrong, &[], &["contradiction"]);
    }
    for fine in [
        "The exchange opens at 9 in the morning, not before.",
        "Does the exchange open at 8 in the morning?",
    ] {
        assert_found(Part::Teacher, fine, &[], &[]);
    }
}

#[test]
fn an_unsure_teacher_is_rejected() {
    assert_found(
        Part::Teacher,
        "I'm not sure, but a share may be a part of a company.",
        &[],
        &["unsure"],
    );
    let tokens = |log_prob| {
        let chosen = TokenLogProb {
            bytes: vec![b'a'],
            log_prob,
        };
        vec![
            ChatToken {
                chosen,
                top: Vec::new()
            };
            20
        ]
    };
    assert_eq!(
        found(Part::Teacher, GOOD, &[], Some(&tokens(-3.0))),
        ["unsure"]
    );
    assert!(found(Part::Teacher, GOOD, &[], Some(&tokens(-0.5))).is_empty());
    assert!(found(Part::Student, "I am not sure what a share is.", &[], None).is_empty());
}
